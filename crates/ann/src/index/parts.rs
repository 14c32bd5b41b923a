//! The bytes of an index: a head that says what it is, and parts, each at a multiple of 64 bytes.
//!
//! Little-endian: magic `CGVX`, version, kind, metric, dimension, number of parts (u32 each), rows (u64), how many of
//! them came since all was learned (u64), 24 bytes of zeros; for each part offset and length (u64 each); the parts.

use std::ops::Range;

use crate::codec::CodecError;

const MAGIC: [u8; 4] = *b"CGVX";
const VERSION: u32 = 1;
pub(super) const HEAD_BYTES: usize = 64;
const ENTRY_BYTES: usize = 16;
/// Parts begin at multiples of this, so that they can be used where they lie.
const ALIGNMENT: usize = 64;
/// More than any index has.
const MOST_PARTS: usize = 64;

/// What the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u32,
    pub(super) metric: u32,
    pub(super) dim: usize,
    pub(super) rows: usize,
    /// Rows that came since all was learned.
    pub(super) added: u64,
}

/// The kind in a head, if it is one.
pub(super) fn read_kind(head: &[u8]) -> Option<u32> {
    let known = head.starts_with(&MAGIC) && head.get(4..8)? == VERSION.to_le_bytes();
    let kind = head.get(8..12)?.try_into().ok()?;
    known.then_some(u32::from_le_bytes(kind))
}

/// Where the parts are.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    ranges: Vec<Range<usize>>,
    len: usize,
}

/// Puts an index together.
#[derive(Debug, Default)]
pub(super) struct PartsWriter {
    parts: Vec<Vec<u8>>,
}

impl PartsWriter {
    /// Adds the next part.
    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        self.parts.push(bytes);
    }

    /// All of it.
    pub(super) fn finish(self, head: Head) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        for number in [VERSION, head.kind, head.metric, head.dim as u32, self.parts.len() as u32] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&(head.rows as u64).to_le_bytes());
        bytes.extend_from_slice(&head.added.to_le_bytes());
        bytes.resize(HEAD_BYTES, 0);
        let mut at = (HEAD_BYTES + ENTRY_BYTES * self.parts.len()).next_multiple_of(ALIGNMENT);
        for part in &self.parts {
            bytes.extend_from_slice(&(at as u64).to_le_bytes());
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            at = (at + part.len()).next_multiple_of(ALIGNMENT);
        }
        bytes.reserve_exact(at - bytes.len());
        for part in self.parts {
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
            bytes.extend_from_slice(&part);
        }
        bytes
    }
}

impl Parts {
    /// Reads head and table. The bytes may be anything.
    ///
    /// # Errors
    /// [`CodecError::Malformed`] for what [`PartsWriter::finish`] did not write.
    pub(super) fn open(bytes: &[u8]) -> Result<(Head, Self), CodecError> {
        let malformed = |why: &str| CodecError::Malformed(format!("an index {why}"));
        let head = bytes.get(..HEAD_BYTES).ok_or_else(|| malformed("is too short for its head"))?;
        let u32_at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if head[..4] != MAGIC || u32_at(4) != VERSION {
            return Err(malformed("begins like none that is known"));
        }
        let (kind, metric, dim, count) = (u32_at(8), u32_at(12), u32_at(16) as usize, u32_at(20) as usize);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let (rows, added) = (u64_at(24), u64_at(32));
        if dim == 0 || count > MOST_PARTS || rows >= u64::from(u32::MAX) {
            return Err(malformed("has no dimension, too many parts or too many rows"));
        }
        let table = bytes.get(HEAD_BYTES..HEAD_BYTES + ENTRY_BYTES * count);
        let table = table.ok_or_else(|| malformed("is too short for its parts"))?;
        let mut ranges = Vec::with_capacity(count);
        for entry in table.as_chunks::<ENTRY_BYTES>().0 {
            let (start, len) = entry.split_at(8);
            let number =
                |bytes: &[u8]| usize::try_from(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)));
            let range = number(start).ok().zip(number(len).ok());
            let range = range.and_then(|(start, len)| Some(start..start.checked_add(len)?));
            let range =
                range.filter(|range| range.end <= bytes.len() && range.start.is_multiple_of(ALIGNMENT));
            ranges.push(range.ok_or_else(|| malformed("has a part that is not within it"))?);
        }
        let head = Head { kind, metric, dim, rows: rows as usize, added };
        Ok((head, Self { ranges, len: bytes.len() }))
    }

    /// Bytes of the index.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A part; nothing where there is none of that number.
    pub(super) fn bytes<'a>(&self, bytes: &'a [u8], number: usize) -> &'a [u8] {
        self.ranges.get(number).map_or(&[], |range| &bytes[range.clone()])
    }

    /// Where a part is; nowhere if there is none of that number.
    pub(super) fn range(&self, number: usize) -> Range<usize> {
        self.ranges.get(number).cloned().unwrap_or_default()
    }

    /// A part of numbers of 4 bytes, as an index that is opened should have it.
    ///
    /// # Errors
    /// [`CodecError::Malformed`] if it is no whole number of them, or the bytes do not lie where they may be used.
    pub(super) fn numbers<'a, T: bytemuck::AnyBitPattern>(
        &self,
        bytes: &'a [u8],
        number: usize,
    ) -> Result<&'a [T], CodecError> {
        bytemuck::try_cast_slice(self.bytes(bytes, number))
            .map_err(|why| CodecError::Malformed(format!("an index has a part that cannot be used: {why}")))
    }

    /// A part of numbers.
    pub(super) fn u32s<'a>(&self, bytes: &'a [u8], number: usize) -> &'a [u32] {
        bytemuck::cast_slice(self.bytes(bytes, number))
    }

    /// A part of floats.
    pub(super) fn f32s<'a>(&self, bytes: &'a [u8], number: usize) -> &'a [f32] {
        bytemuck::cast_slice(self.bytes(bytes, number))
    }
}
