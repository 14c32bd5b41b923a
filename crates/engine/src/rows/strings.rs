//! A sorted table of byte strings, front-coded: exact look-ups, ranges and scans, in place.
//!
//! A string's *rank* is its place in the order; whatever belongs to it is kept in arrays beside the
//! table. (Front coding: Witten, Moffat and Bell, "Managing Gigabytes", 1994.) A finite-state transducer would be
//! about as small, but the `fst` crate may panic on bytes that it did not write.
//!
//! Layout, all little-endian: strings u32, strings a group u32, bytes of the data u64; the start of each
//! group in the data u64 each; the data: for each string the bytes that it shares with the one before (in the
//! first of a group none), the bytes that follow (both LEB128 numbers of at most 32 bits), and those bytes.

use codegraph_vector_base::{Error, ErrorKind, Result};

use super::bytes::{SectionBytes, array, u32_at, usize_at};

const HEAD_BYTES: usize = 16;
const GROUP: usize = 16;
const START_BYTES: usize = 8;

/// Makes a table of strings that come in order.
#[derive(Debug, Default)]
pub(crate) struct StringTableBuilder {
    count: usize,
    starts: Vec<u8>,
    data: Vec<u8>,
    last: Vec<u8>,
}

impl StringTableBuilder {
    /// # Errors
    /// `InvalidInput` if the string is not after the one before; `TooLarge` for more than fit.
    pub(crate) fn push(&mut self, string: &[u8]) -> Result<()> {
        if self.count > 0 && string <= self.last.as_slice() {
            return Err(Error::invalid("strings of a table are out of order"));
        }
        if self.count >= u32::MAX as usize || string.len() >= u32::MAX as usize {
            return Err(Error::new(ErrorKind::TooLarge, "too many strings for a table"));
        }
        let shared = if self.count.is_multiple_of(GROUP) {
            self.starts.extend_from_slice(&(self.data.len() as u64).to_le_bytes());
            0
        } else {
            string.iter().zip(&self.last).take_while(|(a, b)| a == b).count()
        };
        put_number(&mut self.data, shared);
        put_number(&mut self.data, string.len() - shared);
        self.data.extend_from_slice(&string[shared..]);
        self.last.truncate(shared);
        self.last.extend_from_slice(&string[shared..]);
        self.count += 1;
        Ok(())
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.starts.len() + self.data.len());
        bytes.extend_from_slice(&(self.count as u32).to_le_bytes());
        bytes.extend_from_slice(&(GROUP as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.data.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&self.starts);
        bytes.extend_from_slice(&self.data);
        bytes
    }
}

fn put_number(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(data: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0u64;
    for (place, &byte) in data.iter().enumerate().take(5) {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            let number = u32::try_from(number).ok()?;
            return Some((number as usize, &data[place + 1..]));
        }
    }
    None
}

/// A table within a section, from `offset` on. It holds places only; bytes are given with each call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StringTable {
    count: usize,
    starts: usize,
    data: usize,
    data_bytes: usize,
}

impl StringTable {
    /// # Errors
    /// `Corrupt` if there is no table of exactly `length` bytes.
    pub(crate) fn open<B: SectionBytes>(bytes: &B, offset: usize, length: usize) -> Result<Self> {
        let refuse = || bytes.corrupt(offset, "the head of a string table is bad".to_owned());
        if length < HEAD_BYTES {
            return Err(refuse());
        }
        let (count, group) = (u32_at(bytes, offset)? as usize, u32_at(bytes, offset + 4)? as usize);
        let data_bytes = usize_at(bytes, offset + 8)?;
        let starts = offset + HEAD_BYTES;
        let starts_bytes = count.div_ceil(GROUP) * START_BYTES;
        let expected = (HEAD_BYTES + starts_bytes).checked_add(data_bytes);
        if group != GROUP || expected != Some(length) {
            return Err(refuse());
        }
        Ok(Self { count, starts, data: starts + starts_bytes, data_bytes })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The rank of the first string that is not before `string`.
    ///
    /// # Errors
    /// `Corrupt` if the table's bytes are bad, here and below.
    pub(crate) fn lower_bound<B: SectionBytes>(&self, bytes: &B, string: &[u8]) -> Result<usize> {
        self.partition(bytes, |found| found < string)
    }

    /// The rank of the first string that is after `string`.
    pub(crate) fn upper_bound<B: SectionBytes>(&self, bytes: &B, string: &[u8]) -> Result<usize> {
        self.partition(bytes, |found| found <= string)
    }

    /// The rank of `string`.
    pub(crate) fn find<B: SectionBytes>(&self, bytes: &B, string: &[u8]) -> Result<Option<usize>> {
        let rank = self.lower_bound(bytes, string)?;
        let mut cursor = self.cursor(bytes, rank)?;
        Ok(cursor.next()?.filter(|(_, found)| *found == string).map(|(rank, _)| rank))
    }

    /// The first rank at which `before` is false; it has to be true up to there and false from there on.
    fn partition<B: SectionBytes>(&self, bytes: &B, before: impl Fn(&[u8]) -> bool) -> Result<usize> {
        let (mut low, mut high) = (0, self.count.div_ceil(GROUP));
        while low < high {
            let middle = low + (high - low) / 2;
            let mut cursor = self.cursor_at_group(bytes, middle)?;
            match cursor.next()? {
                Some((_, first)) if before(first) => low = middle + 1,
                _ => high = middle,
            }
        }
        let Some(group) = low.checked_sub(1) else { return Ok(0) };
        let mut cursor = self.cursor_at_group(bytes, group)?;
        while let Some((rank, found)) = cursor.next()? {
            if !before(found) {
                return Ok(rank);
            }
        }
        Ok(self.count)
    }

    /// The strings from a rank on.
    pub(crate) fn cursor<'a, B: SectionBytes>(&self, bytes: &'a B, rank: usize) -> Result<Cursor<'a, B>> {
        let mut cursor = self.cursor_at_group(bytes, rank / GROUP)?;
        while cursor.rank < rank.min(self.count) {
            cursor.next()?;
        }
        Ok(cursor)
    }

    fn cursor_at_group<'a, B: SectionBytes>(&self, bytes: &'a B, group: usize) -> Result<Cursor<'a, B>> {
        let rank = group.saturating_mul(GROUP);
        if rank >= self.count {
            return Ok(Cursor { bytes, table: *self, rank: self.count, at: 0, string: Vec::new() });
        }
        let start = usize_at(bytes, self.starts + group * START_BYTES)?;
        if start > self.data_bytes {
            return Err(self.damaged(bytes, group));
        }
        Ok(Cursor { bytes, table: *self, rank, at: start, string: Vec::new() })
    }

    fn damaged<B: SectionBytes>(&self, bytes: &B, group: usize) -> Error {
        bytes.corrupt(self.starts + group * START_BYTES, "a string table is damaged".to_owned())
    }
}

/// Goes through the strings of a table in order.
pub(crate) struct Cursor<'a, B> {
    bytes: &'a B,
    table: StringTable,
    rank: usize,
    at: usize,
    string: Vec<u8>,
}

/// Bytes of data to look at for a string's two numbers.
const NUMBERS_BYTES: usize = 10;

impl<B: SectionBytes> Cursor<'_, B> {
    /// The next string and its rank.
    ///
    /// # Errors
    /// `Corrupt` if the table's bytes are bad.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, &[u8])>> {
        if self.rank >= self.table.count {
            return Ok(None);
        }
        if !self.advance()? {
            return Err(self.table.damaged(self.bytes, self.rank / GROUP));
        }
        self.rank += 1;
        Ok(Some((self.rank - 1, &self.string)))
    }

    fn advance(&mut self) -> Result<bool> {
        let (data, length) = (self.table.data, self.table.data_bytes);
        let seen = length.saturating_sub(self.at).min(NUMBERS_BYTES);
        let head = array(self.bytes, data + self.at, seen, 1)?;
        let Some((shared, rest)) = take_number(head) else { return Ok(false) };
        let Some((fresh, rest)) = take_number(rest) else { return Ok(false) };
        let start = self.at + (head.len() - rest.len());
        let Some(end) = start.checked_add(fresh).filter(|&end| end <= length) else { return Ok(false) };
        if shared > self.string.len() || (self.rank.is_multiple_of(GROUP) && shared > 0) {
            return Ok(false);
        }
        self.string.truncate(shared);
        self.string.extend_from_slice(self.bytes.get(data + start..data + end)?);
        self.at = end;
        Ok(true)
    }
}

#[cfg(test)]
#[path = "strings_tests.rs"]
mod tests;
