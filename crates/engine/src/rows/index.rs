//! Section *payload index*: the rows of each value of the fields that filters are mostly about.
//!
//! Layout, all little-endian: a head of 128 bytes (format u32, rows u32, flags u32, zero u32, and of each
//! of seven parts the offset u64 and the bytes u64), then the parts, each at a multiple of 64 bytes:
//!
//! | part | contents |
//! | --- | --- |
//! | paths | string table of the distinct paths |
//! | path starts | the first row of each path, then the number of rows, u32 each; rows before the first have none |
//! | start lines, end lines | u32 a row, 2^32 - 1 where there is none |
//! | terms | string table of the terms |
//! | bitmap ends | where each term's bitmap ends, u64 each; it starts where the one before ends |
//! | bitmaps | standard roaring bitmaps of rows |
//!
//! A term is the field's name (`kind`, `language`, `attributes.NAME`), a NUL, a letter and a value: `p` the
//! field is present; `x` its values are left out, being too many; `t` a text; `f` a flag, one byte; `i` an integer, `d`
//! a number, eight bytes big-endian that sort as the values do. Names and content hashes are not indexed.

use std::ops::Range;

use codegraph_vector_base::{ErrorKind, Result, RowOrdinal};
use roaring::RoaringBitmap;

use super::bytes::{SectionBytes, array, u32_at, usize_at};
use super::strings::StringTable;
use crate::filter::{Field, Operand};
use crate::node::AttributeValue;

pub(crate) const FORMAT: u32 = 1;
pub(crate) const HEAD_BYTES: usize = 128;
pub(crate) const PARTS: usize = 7;

/// Flag: every free attribute of every row is among the terms.
pub(crate) const ALL_NAMES: u32 = 1;

const _: () = assert!(16 + PARTS * 16 <= HEAD_BYTES);

const SIGN: u64 = 1 << 63;

/// What follows the field's name in a term.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Term<'a> {
    Present,
    Incomplete,
    Text(&'a str),
    Integer(i64),
    Number(f64),
    Flag(bool),
    /// Letter and value, as they are.
    Raw(&'a [u8]),
}

impl<'a> From<&'a AttributeValue> for Term<'a> {
    fn from(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::Text(text) => Self::Text(text),
            AttributeValue::Integer(number) => Self::Integer(*number),
            AttributeValue::Number(number) => Self::Number(*number),
            AttributeValue::Flag(flag) => Self::Flag(*flag),
        }
    }
}

impl Term<'_> {
    pub(crate) fn put(self, key: &mut Vec<u8>) {
        match self {
            Self::Present => key.push(b'p'),
            Self::Incomplete => key.push(b'x'),
            Self::Text(text) => {
                key.push(b't');
                key.extend_from_slice(text.as_bytes());
            }
            Self::Integer(number) => {
                key.push(b'i');
                key.extend_from_slice(&(number as u64 ^ SIGN).to_be_bytes());
            }
            Self::Number(number) => {
                key.push(b'd');
                // Minus zero equals zero.
                let bits = (number + 0.0).to_bits();
                let sorted = if bits & SIGN == 0 { bits ^ SIGN } else { !bits };
                key.extend_from_slice(&sorted.to_be_bytes());
            }
            Self::Flag(flag) => key.extend_from_slice(&[b'f', u8::from(flag)]),
            Self::Raw(bytes) => key.extend_from_slice(bytes),
        }
    }
}

/// The value of a term, of its letter and what follows.
pub(crate) fn term_value(term: &[u8]) -> Option<Operand<'_>> {
    let (letter, value) = term.split_first()?;
    let number = || value.try_into().ok().map(u64::from_be_bytes);
    match letter {
        b't' => std::str::from_utf8(value).ok().map(Operand::Text),
        b'i' => number().map(|bits| Operand::Integer((bits ^ SIGN) as i64)),
        b'd' => number()
            .map(|bits| Operand::Number(f64::from_bits(if bits & SIGN == 0 { !bits } else { bits ^ SIGN }))),
        b'f' => value.first().map(|&flag| Operand::Flag(flag != 0)),
        _ => None,
    }
}

/// The beginning of a field's terms.
pub(crate) fn put_key(key: &mut Vec<u8>, field: &Field) {
    key.extend_from_slice(field.to_string().as_bytes());
    key.push(0);
}

/// Section *payload index*. Bitmaps are read when they are asked for.
#[derive(Clone, Debug)]
pub(crate) struct PayloadIndex<B> {
    bytes: B,
    rows: u32,
    all_names: bool,
    paths: StringTable,
    terms: StringTable,
    starts: usize,
    start_lines: usize,
    end_lines: usize,
    ends: usize,
    bitmaps: Range<usize>,
}

impl<B: SectionBytes> PayloadIndex<B> {
    /// # Errors
    /// `Corrupt` if the section is not that of `rows` rows; `Unsupported` if its format is newer.
    pub(crate) fn open(bytes: B, rows: usize) -> Result<Self> {
        let format = u32_at(&bytes, 0)?;
        if format != FORMAT {
            let message = format!("payload index of format {format}; this version knows {FORMAT}");
            return Err(bytes.corrupt(0, message).as_kind(ErrorKind::Unsupported));
        }
        let (claimed, flags) = (u32_at(&bytes, 4)?, u32_at(&bytes, 8)?);
        if claimed as usize != rows {
            return Err(bytes.corrupt(4, format!("a payload index of {claimed} rows in a segment of {rows}")));
        }
        let mut parts = [(0, 0); PARTS];
        for (part, (offset, length)) in parts.iter_mut().enumerate() {
            let at = 16 + part * 16;
            (*offset, *length) = (usize_at(&bytes, at)?, usize_at(&bytes, at + 8)?);
            if offset.checked_add(*length).is_none_or(|end| end > bytes.len()) {
                return Err(bytes.corrupt(at, "a part of the payload index ends after it".to_owned()));
            }
        }
        let [paths, starts, start_lines, end_lines, terms, ends, bitmaps] = parts;
        let (paths, terms) =
            (StringTable::open(&bytes, paths.0, paths.1)?, StringTable::open(&bytes, terms.0, terms.1)?);
        let expected = [
            (starts, (paths.len() + 1) * 4),
            (start_lines, rows * 4),
            (end_lines, rows * 4),
            (ends, terms.len() * 8),
        ];
        if let Some(((offset, length), _)) = expected.into_iter().find(|((_, length), fit)| length != fit) {
            return Err(bytes.corrupt(offset, format!("a part of the payload index has {length} bytes")));
        }
        Ok(Self {
            rows: claimed,
            all_names: flags & ALL_NAMES != 0,
            paths,
            terms,
            starts: starts.0,
            start_lines: start_lines.0,
            end_lines: end_lines.0,
            ends: ends.0,
            bitmaps: bitmaps.0..bitmaps.0 + bitmaps.1,
            bytes,
        })
    }

    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// The rows of exactly this path.
    ///
    /// # Errors
    /// `Corrupt` if the index's bytes are bad, here and below.
    pub(crate) fn rows_of_path(&self, path: &str) -> Result<Range<RowOrdinal>> {
        match self.paths.find(&self.bytes, path.as_bytes())? {
            Some(rank) => self.rows_of_ranks(rank..rank + 1),
            None => Ok(0..0),
        }
    }

    /// The rows without a path.
    pub(crate) fn rows_without_path(&self) -> Result<Range<RowOrdinal>> {
        Ok(0..self.start_of_rank(0)?)
    }

    /// Calls `visit` with each path that begins with `prefix`, in order, and its rows.
    pub(crate) fn each_path(
        &self,
        prefix: &str,
        mut visit: impl FnMut(&str, Range<RowOrdinal>) -> Result<()>,
    ) -> Result<()> {
        let rank = self.paths.lower_bound(&self.bytes, prefix.as_bytes())?;
        let mut cursor = self.paths.cursor(&self.bytes, rank)?;
        while let Some((rank, path)) = cursor.next()? {
            if !path.starts_with(prefix.as_bytes()) {
                break;
            }
            let rows = self.rows_of_ranks(rank..rank + 1)?;
            let path = std::str::from_utf8(path)
                .map_err(|_| self.bytes.corrupt(self.starts, "a path is not UTF-8".to_owned()))?;
            visit(path, rows)?;
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> &B {
        &self.bytes
    }

    pub(super) fn path_table(&self) -> &StringTable {
        &self.paths
    }

    pub(super) fn term_table(&self) -> &StringTable {
        &self.terms
    }

    pub(super) fn has_all_names(&self) -> bool {
        self.all_names
    }

    /// The rows of consecutive paths, which are consecutive too.
    pub(super) fn rows_of_ranks(&self, ranks: Range<usize>) -> Result<Range<RowOrdinal>> {
        if ranks.is_empty() {
            return Ok(0..0);
        }
        let rows = self.start_of_rank(ranks.start)?..self.start_of_rank(ranks.end)?;
        if rows.start <= rows.end && rows.end <= self.rows {
            return Ok(rows);
        }
        Err(self.bytes.corrupt(self.starts + ranks.start * 4, "a path's rows are out of bounds".to_owned()))
    }

    fn start_of_rank(&self, rank: usize) -> Result<RowOrdinal> {
        let at = self.starts + rank * 4;
        let row = u32_at(&self.bytes, at)?;
        if rank > self.paths.len() || row > self.rows {
            return Err(self.bytes.corrupt(at, "a path's rows are out of bounds".to_owned()));
        }
        Ok(row)
    }

    /// The lines of all rows, of the first or last line of a node.
    pub(super) fn lines(&self, last: bool) -> Result<&[[u8; 4]]> {
        let offset = if last { self.end_lines } else { self.start_lines };
        array(&self.bytes, offset, self.rows as usize, 4).map(|bytes| bytes.as_chunks().0)
    }

    /// The rows of a term.
    pub(super) fn bitmap(&self, rank: usize) -> Result<RoaringBitmap> {
        let at = self.ends + rank * 8;
        let start = if rank == 0 { 0 } else { usize_at(&self.bytes, at - 8)? };
        let end = usize_at(&self.bytes, at)?;
        let refuse = |why: &str| self.bytes.corrupt(at, format!("the bitmap of term {rank} {why}"));
        if rank >= self.terms.len() || start > end || end > self.bitmaps.len() {
            return Err(refuse("is out of bounds"));
        }
        let bytes = self.bytes.get(self.bitmaps.start + start..self.bitmaps.start + end)?;
        let bitmap = RoaringBitmap::deserialize_from(bytes).map_err(|cause| refuse(&cause.to_string()))?;
        if bitmap.max().is_some_and(|row| row >= self.rows) {
            return Err(refuse("has rows that are not there"));
        }
        Ok(bitmap)
    }
}
