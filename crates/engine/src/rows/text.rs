//! Section *text*: which rows have each term, how much it counts there, and how long each row's text is.
//!
//! Layout, all little-endian: a head of 128 bytes (format u32, rows u32, version of the terms u32, zero u32, sum of the
//! lengths u64, and of each of four parts the offset u64 and the bytes u64), then the parts, each at a multiple of 64
//! bytes:
//!
//! | part | contents |
//! | --- | --- |
//! | terms | string table of the terms |
//! | ends | where each term's postings end, u64 each; they start where the ones before end |
//! | lengths | words of each row, u32 each |
//! | postings | of each term: rows that have it; then for each of them twice the rows passed over since the last one, plus 1 if the term counts once there; else what it counts, less 2 |
//!
//! Numbers of postings are LEB128 of at most 35 bits. What terms are is for [`crate::text`] to say: postings of another
//! version are not read but made anew from the metadata.

use std::ops::Range;

use codegraph_vector_base::{Error, ErrorKind, Result, RowOrdinal};

use super::bytes::{SectionBytes, u32_at, u64_at, usize_at};
use super::strings::StringTable;

pub(crate) const FORMAT: u32 = 1;
pub(crate) const HEAD_BYTES: usize = 128;
pub(crate) const PARTS: usize = 4;
/// Where the places of the parts begin in the head.
const PARTS_AT: usize = 24;
const END_BYTES: usize = 8;

const _: () = assert!(PARTS_AT + PARTS * 16 <= HEAD_BYTES);

/// Section *text*. It holds places; postings are read when they are asked for.
#[derive(Clone, Debug)]
pub(crate) struct TextIndex<B> {
    bytes: B,
    rows: u32,
    version: u32,
    total_length: u64,
    terms: StringTable,
    ends: usize,
    lengths: Range<usize>,
    postings: Range<usize>,
}

impl<B: SectionBytes> TextIndex<B> {
    /// # Errors
    /// `Corrupt` if the section is not that of `rows` rows; `Unsupported` if its format is newer.
    pub(crate) fn open(bytes: B, rows: usize) -> Result<Self> {
        let format = u32_at(&bytes, 0)?;
        if format != FORMAT {
            let message = format!("text of format {format}; this version knows {FORMAT}");
            return Err(bytes.corrupt(0, message).as_kind(ErrorKind::Unsupported));
        }
        let (claimed, version, total_length) = (u32_at(&bytes, 4)?, u32_at(&bytes, 8)?, u64_at(&bytes, 16)?);
        if claimed as usize != rows {
            return Err(bytes.corrupt(4, format!("a text section of {claimed} rows in a segment of {rows}")));
        }
        let mut parts = [(0, 0); PARTS];
        for (part, (offset, length)) in parts.iter_mut().enumerate() {
            let at = PARTS_AT + part * 16;
            (*offset, *length) = (usize_at(&bytes, at)?, usize_at(&bytes, at + 8)?);
            if offset.checked_add(*length).is_none_or(|end| end > bytes.len()) {
                return Err(bytes.corrupt(at, "a part of the text section ends after it".to_owned()));
            }
        }
        let [terms, ends, lengths, postings] = parts;
        let terms = StringTable::open(&bytes, terms.0, terms.1)?;
        if ends.1 != terms.len() * END_BYTES || lengths.1 != rows * size_of::<u32>() {
            return Err(bytes.corrupt(PARTS_AT, "a part of the text section has the wrong length".to_owned()));
        }
        let range = |(offset, length): (usize, usize)| offset..offset + length;
        Ok(Self {
            bytes,
            rows: claimed,
            version,
            total_length,
            terms,
            ends: ends.0,
            lengths: range(lengths),
            postings: range(postings),
        })
    }

    /// Which version of the terms this was made of.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// Sum of all rows' lengths.
    pub(crate) fn total_length(&self) -> u64 {
        self.total_length
    }

    /// The rows' lengths, little-endian.
    pub(crate) fn lengths(&self) -> Result<&[[u8; 4]]> {
        Ok(self.bytes.get(self.lengths.clone())?.as_chunks().0)
    }

    /// The rows that have a term.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are bad, here and below.
    pub(crate) fn find(&self, term: &str) -> Result<Option<Postings<'_>>> {
        let rank = self.terms.find(&self.bytes, term.as_bytes())?;
        rank.map(|rank| self.postings(rank)).transpose()
    }

    fn postings(&self, rank: usize) -> Result<Postings<'_>> {
        let at = self.ends + rank * END_BYTES;
        let start = match rank.checked_sub(1) {
            Some(before) => usize_at(&self.bytes, self.ends + before * END_BYTES)?,
            None => 0,
        };
        let end = usize_at(&self.bytes, at)?;
        if start > end || end > self.postings.len() {
            return Err(self.bytes.corrupt(at, "postings of the text section are out of bounds".to_owned()));
        }
        let offset = self.postings.start + start;
        let mut left = self.bytes.get(offset..self.postings.start + end)?;
        let count = take_number(&mut left).and_then(|count| u32::try_from(count).ok());
        let count = count.filter(|count| (1..=self.rows).contains(count));
        let postings = Postings { offset, left, count: count.unwrap_or(0), next: 0, rows: self.rows };
        if count.is_none() { Err(self.damaged(&postings)) } else { Ok(postings) }
    }

    /// The next row that has the term, and how much it counts there.
    #[inline]
    pub(crate) fn step(&self, postings: &mut Postings<'_>) -> Result<Option<(RowOrdinal, u32)>> {
        if postings.count == 0 {
            return if postings.left.is_empty() { Ok(None) } else { Err(self.damaged(postings)) };
        }
        postings.advance().map(Some).ok_or_else(|| self.damaged(postings))
    }

    fn damaged(&self, postings: &Postings<'_>) -> Error {
        self.bytes.corrupt(postings.offset, "postings of the text section are damaged".to_owned())
    }

    /// Checks all of it.
    ///
    /// # Errors
    /// `Corrupt` if anything cannot be what was written.
    pub(crate) fn verify(&self) -> Result<()> {
        let sum: u64 = self.lengths()?.iter().map(|length| u64::from(u32::from_le_bytes(*length))).sum();
        if sum != self.total_length {
            return Err(self.bytes.corrupt(16, "lengths of the text section do not add up".to_owned()));
        }
        let mut terms = self.terms.cursor(&self.bytes, 0)?;
        let mut last: Option<Vec<u8>> = None;
        while let Some((rank, term)) = terms.next()? {
            if last.as_deref().is_some_and(|last| last >= term) {
                return Err(self.bytes.corrupt(0, "terms of the text section are out of order".to_owned()));
            }
            last = Some(term.to_vec());
            let mut postings = self.postings(rank)?;
            while self.step(&mut postings)?.is_some() {}
        }
        Ok(())
    }
}

/// The rows that have a term, in order.
#[derive(Clone, Debug)]
pub(crate) struct Postings<'a> {
    /// Where they are in the section.
    offset: usize,
    left: &'a [u8],
    /// Rows to come.
    count: u32,
    /// The least row that may come.
    next: u32,
    rows: u32,
}

impl Postings<'_> {
    /// Rows that are still to come: at first, those that have the term.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    #[inline]
    fn advance(&mut self) -> Option<(RowOrdinal, u32)> {
        let head = take_number(&mut self.left)?;
        let row = u64::from(self.next) + (head >> 1);
        let row = u32::try_from(row).ok().filter(|row| *row < self.rows)?;
        let count = if head & 1 == 1 { 1 } else { u32::try_from(take_number(&mut self.left)? + 2).ok()? };
        // A row is below the number of rows, so there is one after it.
        (self.next, self.count) = (row + 1, self.count - 1);
        Some((row, count))
    }
}

/// The LEB128 number at the front, of at most 35 bits.
#[inline]
fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (place, &byte) in bytes.iter().enumerate().take(5) {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            *bytes = &bytes[place + 1..];
            return Some(number);
        }
    }
    None
}

/// Appends a number as [`take_number`] takes it.
pub(crate) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The `part`-th part begins at `offset` and has so many bytes: what a head says of it.
pub(crate) fn put_place(head: &mut [u8], part: usize, offset: usize, length: usize) {
    let at = PARTS_AT + part * 16;
    head[at..at + 8].copy_from_slice(&(offset as u64).to_le_bytes());
    head[at + 8..at + 16].copy_from_slice(&(length as u64).to_le_bytes());
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
