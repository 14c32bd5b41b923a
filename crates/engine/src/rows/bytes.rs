//! How sections are written and read: [`Sink`], [`SectionBytes`], and little-endian numbers in place.

use std::ops::Range;

use codegraph_vector_base::limits::SECTION_ALIGNMENT;
use codegraph_vector_base::{Error, ErrorKind, Result};

/// Takes a section's bytes, in order.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// A section to read in place. Getting bytes may verify their blocks, and so may fail.
pub(crate) trait SectionBytes {
    /// Bytes of the section.
    fn len(&self) -> usize;

    /// The bytes of `range`.
    ///
    /// # Errors
    /// `Corrupt` if the range is not within the section, or its blocks are bad.
    fn get(&self, range: Range<usize>) -> Result<&[u8]>;

    /// An error for a wrong byte at `offset`; sections of files add where that is.
    fn corrupt(&self, offset: usize, message: String) -> Error {
        Error::new(ErrorKind::Corrupt, message).at_offset(offset as u64)
    }
}

impl SectionBytes for &[u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn get(&self, range: Range<usize>) -> Result<&[u8]> {
        let found = <[u8]>::get(self, range.clone());
        found.ok_or_else(|| self.corrupt(range.start, cut_short(range.end)))
    }
}

impl SectionBytes for Vec<u8> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn get(&self, range: Range<usize>) -> Result<&[u8]> {
        let found = self.as_slice().get(range.clone());
        found.ok_or_else(|| self.corrupt(range.start, cut_short(range.end)))
    }
}

fn cut_short(end: usize) -> String {
    format!("a section ends before its byte {end}")
}

/// `count` things of `size` bytes each from `offset` on, or an error instead of an overflow.
pub(crate) fn array<B: SectionBytes>(bytes: &B, offset: usize, count: usize, size: usize) -> Result<&[u8]> {
    let end = count.checked_mul(size).and_then(|length| offset.checked_add(length));
    match end {
        Some(end) => bytes.get(offset..end),
        None => Err(bytes.corrupt(offset, cut_short(usize::MAX))),
    }
}

/// The `N` bytes at `offset`.
pub(crate) fn fixed<const N: usize, B: SectionBytes>(bytes: &B, offset: usize) -> Result<[u8; N]> {
    let found = array(bytes, offset, N, 1)?;
    found.first_chunk().copied().ok_or_else(|| bytes.corrupt(offset, cut_short(offset)))
}

/// The u32 at `offset`.
pub(crate) fn u32_at<B: SectionBytes>(bytes: &B, offset: usize) -> Result<u32> {
    fixed(bytes, offset).map(u32::from_le_bytes)
}

/// The u64 at `offset`.
pub(crate) fn u64_at<B: SectionBytes>(bytes: &B, offset: usize) -> Result<u64> {
    fixed(bytes, offset).map(u64::from_le_bytes)
}

/// The u64 at `offset` as a place or a length in memory.
pub(crate) fn usize_at<B: SectionBytes>(bytes: &B, offset: usize) -> Result<usize> {
    let number = u64_at(bytes, offset)?;
    usize::try_from(number).map_err(|_| bytes.corrupt(offset, format!("{number} is no length")))
}

/// Zeros that take `length` to the next multiple of the alignment.
pub(crate) fn padding(length: usize) -> &'static [u8] {
    const ZEROS: [u8; SECTION_ALIGNMENT] = [0; SECTION_ALIGNMENT];
    &ZEROS[..length.next_multiple_of(SECTION_ALIGNMENT) - length]
}

/// Collects small writes into larger ones.
pub(crate) struct Batch<'a, 'b> {
    sink: &'a mut Sink<'b>,
    pending: Vec<u8>,
    written: usize,
}

const BATCH_BYTES: usize = 64 << 10;

impl<'a, 'b> Batch<'a, 'b> {
    pub(crate) fn new(sink: &'a mut Sink<'b>) -> Self {
        Self { sink, pending: Vec::with_capacity(BATCH_BYTES), written: 0 }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len();
        if self.pending.len() + bytes.len() > BATCH_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BATCH_BYTES {
            return (self.sink)(bytes);
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Zeros up to the alignment.
    pub(crate) fn align(&mut self) -> Result<()> {
        self.put(padding(self.written))
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            (self.sink)(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }
}
