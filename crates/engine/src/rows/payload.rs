//! Section *payload*: the encoded metadata of the rows, in compressed blocks.
//!
//! Layout, all little-endian: the compressed blocks one after the other; the directory, 24 bytes a block
//! (offset u64, first row u32, compressed bytes u32, raw bytes u32, CRC-32C of the compressed bytes u32);
//! a tail of 32 bytes (offset of the directory u64, blocks u32, rows u32, CRC-32C of the directory u32, format
//! u32, zeros). A raw block is the end of each of its rows (u32, counted from the end of this list), then the rows. Blocks
//! are LZ4 blocks (Yann Collet) of about [`BLOCK_BYTES`]: small enough to fetch one row, large enough to compress.

use std::ops::Range;

use codegraph_vector_base::limits::{MAX_METADATA_BYTES, MAX_SEGMENT_ROWS};
use codegraph_vector_base::{Crc32c, Error, ErrorKind, Result, RowOrdinal, crc32c};

use super::bytes::{SectionBytes, Sink, array, u32_at, u64_at, usize_at};

/// A block is closed when it has this many bytes raw.
pub(crate) const BLOCK_BYTES: usize = 16 << 10;

const FORMAT: u32 = 1;
const ENTRY_BYTES: usize = 24;
const TAIL_BYTES: usize = 32;
const END_BYTES: usize = 4;

/// Most raw bytes of a block: one short of full, and then the largest row.
const MAX_RAW_BYTES: usize = BLOCK_BYTES + MAX_METADATA_BYTES + END_BYTES;

/// LZ4 makes at most 255 bytes of one.
const MAX_EXPANSION: usize = 255;

/// Writes section *payload*, row by row.
pub(crate) struct PayloadWriter<'a, 'b> {
    sink: &'a mut Sink<'b>,
    ends: Vec<u8>,
    rows: Vec<u8>,
    first: u32,
    count: u32,
    offset: u64,
    directory: Vec<u8>,
}

impl<'a, 'b> PayloadWriter<'a, 'b> {
    pub(crate) fn new(sink: &'a mut Sink<'b>) -> Self {
        let (ends, rows, directory) = (Vec::new(), Vec::new(), Vec::new());
        Self { sink, ends, rows, first: 0, count: 0, offset: 0, directory }
    }

    /// The next row's encoded metadata.
    ///
    /// # Errors
    /// `TooLarge` over the limits of a row or a segment; those of the sink.
    pub(crate) fn push(&mut self, metadata: &[u8]) -> Result<()> {
        if metadata.len() > MAX_METADATA_BYTES || self.count as usize >= MAX_SEGMENT_ROWS {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "too many rows, or bytes of metadata, for a segment",
            ));
        }
        self.rows.extend_from_slice(metadata);
        // A block is far below 4 GiB.
        self.ends.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
        self.count += 1;
        if self.ends.len() + self.rows.len() >= BLOCK_BYTES {
            self.close_block()?;
        }
        Ok(())
    }

    /// Writes what is left; gives the number of rows.
    ///
    /// # Errors
    /// Those of the sink.
    pub(crate) fn finish(mut self) -> Result<u32> {
        self.close_block()?;
        (self.sink)(&self.directory)?;
        let mut tail = Vec::with_capacity(TAIL_BYTES);
        tail.extend_from_slice(&self.offset.to_le_bytes());
        for number in
            [(self.directory.len() / ENTRY_BYTES) as u32, self.count, crc32c(&self.directory), FORMAT]
        {
            tail.extend_from_slice(&number.to_le_bytes());
        }
        tail.resize(TAIL_BYTES, 0);
        (self.sink)(&tail)?;
        Ok(self.count)
    }

    fn close_block(&mut self) -> Result<()> {
        if self.ends.is_empty() {
            return Ok(());
        }
        self.ends.extend_from_slice(&self.rows);
        let compressed = lz4_flex::block::compress(&self.ends);
        self.directory.extend_from_slice(&self.offset.to_le_bytes());
        for number in [self.first, compressed.len() as u32, self.ends.len() as u32, crc32c(&compressed)] {
            self.directory.extend_from_slice(&number.to_le_bytes());
        }
        (self.sink)(&compressed)?;
        self.offset += compressed.len() as u64;
        self.first = self.count;
        self.ends.clear();
        self.rows.clear();
        Ok(())
    }
}

/// Section *payload*: where the blocks are. Their bytes come from here or from wherever the engine
/// reads and caches them.
#[derive(Clone, Debug)]
pub(crate) struct PayloadReader<B> {
    bytes: B,
    directory: usize,
    blocks: usize,
    rows: u32,
}

/// A block's entry in the directory, checked.
#[derive(Clone, Debug)]
struct Entry {
    range: Range<usize>,
    rows: Range<u32>,
    raw_bytes: usize,
    crc: u32,
}

impl<B: SectionBytes> PayloadReader<B> {
    /// # Errors
    /// `Corrupt` if the section is not that of `rows` rows; `Unsupported` if its format is newer.
    pub(crate) fn open(bytes: B, rows: usize) -> Result<Self> {
        let Some(tail) = bytes.len().checked_sub(TAIL_BYTES) else {
            return Err(bytes.corrupt(0, format!("a payload section of {} bytes", bytes.len())));
        };
        let directory = usize_at(&bytes, tail)?;
        let (blocks, claimed) = (u32_at(&bytes, tail + 8)? as usize, u32_at(&bytes, tail + 12)?);
        let (crc, format) = (u32_at(&bytes, tail + 16)?, u32_at(&bytes, tail + 20)?);
        if format != FORMAT {
            let message = format!("payload of format {format}; this version knows {FORMAT}");
            return Err(bytes.corrupt(tail, message).as_kind(ErrorKind::Unsupported));
        }
        if claimed as usize != rows || (blocks == 0) != (rows == 0) {
            return Err(bytes.corrupt(tail, format!("a payload of {claimed} rows in a segment of {rows}")));
        }
        let entries = array(&bytes, directory, blocks, ENTRY_BYTES)?;
        if directory + entries.len() != tail || crc32c(entries) != crc {
            return Err(bytes.corrupt(directory, "the payload's directory is damaged".to_owned()));
        }
        Ok(Self { bytes, directory, blocks, rows: claimed })
    }

    #[cfg(test)]
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// The block that holds a row.
    ///
    /// # Errors
    /// `Corrupt` if there is no such row, or the directory's bytes are bad.
    pub(crate) fn locate(&self, ordinal: RowOrdinal) -> Result<usize> {
        if ordinal >= self.rows {
            return Err(self.bytes.corrupt(self.directory, format!("row {ordinal} of {}", self.rows)));
        }
        let (mut low, mut high) = (0, self.blocks);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.first_row(middle)? <= ordinal {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Where in the section a block's compressed bytes are.
    ///
    /// # Errors
    /// `Corrupt` if there is no such block, or its entry is bad.
    pub(crate) fn block_range(&self, block: usize) -> Result<Range<usize>> {
        self.entry(block).map(|entry| entry.range)
    }

    /// Checks and decompresses a block's bytes.
    ///
    /// # Errors
    /// `Corrupt` if they are not what was written.
    pub(crate) fn decode_block(&self, block: usize, compressed: &[u8]) -> Result<PayloadBlock> {
        let entry = self.entry(block)?;
        let damaged =
            |what: &str| self.bytes.corrupt(entry.range.start, format!("payload block {block}: {what}"));
        if compressed.len() != entry.range.len() {
            return Err(damaged("wrong length"));
        }
        if Crc32c::new().update(compressed).value() != entry.crc {
            return Err(damaged("wrong checksum"));
        }
        let mut raw = vec![0; entry.raw_bytes];
        match lz4_flex::block::decompress_into(compressed, &mut raw) {
            Ok(length) if length == raw.len() => {}
            _ => return Err(damaged("does not decompress to its length")),
        }
        PayloadBlock::new(raw, entry.rows).ok_or_else(|| damaged("rows are out of bounds"))
    }

    /// A block, from the section itself.
    ///
    /// # Errors
    /// As [`decode_block`](Self::decode_block).
    #[cfg(test)]
    pub(crate) fn read_block(&self, block: usize) -> Result<PayloadBlock> {
        let range = self.block_range(block)?;
        self.decode_block(block, self.bytes.get(range)?)
    }

    fn first_row(&self, block: usize) -> Result<u32> {
        u32_at(&self.bytes, self.directory + block * ENTRY_BYTES + 8)
    }

    fn entry(&self, block: usize) -> Result<Entry> {
        let at = self.directory.saturating_add(block.saturating_mul(ENTRY_BYTES));
        let refuse =
            || self.bytes.corrupt(at, format!("the directory's entry of payload block {block} is bad"));
        if block >= self.blocks {
            return Err(refuse());
        }
        let start = u64_at(&self.bytes, at)?;
        let (first, length) = (u32_at(&self.bytes, at + 8)?, u32_at(&self.bytes, at + 12)? as usize);
        let (raw_bytes, crc) = (u32_at(&self.bytes, at + 16)? as usize, u32_at(&self.bytes, at + 20)?);
        let last = if block + 1 < self.blocks { self.first_row(block + 1)? } else { self.rows };
        let start = usize::try_from(start).map_err(|_| refuse())?;
        let end = start.checked_add(length).filter(|&end| end <= self.directory).ok_or_else(refuse)?;
        let rows = last.checked_sub(first).filter(|&rows| rows > 0).ok_or_else(refuse)?;
        let plausible = raw_bytes <= MAX_RAW_BYTES
            && raw_bytes / MAX_EXPANSION <= length
            && raw_bytes / END_BYTES >= rows as usize;
        if !plausible || last > self.rows || (block == 0) != (first == 0) {
            return Err(refuse());
        }
        Ok(Entry { range: start..end, rows: first..last, raw_bytes, crc })
    }
}

/// A decompressed block, whose rows' bounds have been checked.
#[derive(Clone, Debug)]
pub(crate) struct PayloadBlock {
    raw: Vec<u8>,
    rows: Range<RowOrdinal>,
}

impl PayloadBlock {
    fn new(raw: Vec<u8>, rows: Range<RowOrdinal>) -> Option<Self> {
        let count = rows.len();
        let (ends, metadata) = raw.split_at_checked(count * END_BYTES)?;
        let mut previous = 0;
        for end in ends.as_chunks::<END_BYTES>().0 {
            let end = u32::from_le_bytes(*end);
            if end < previous {
                return None;
            }
            previous = end;
        }
        (previous as usize == metadata.len()).then_some(Self { raw, rows })
    }

    /// The rows that are here.
    pub(crate) fn rows(&self) -> Range<RowOrdinal> {
        self.rows.clone()
    }

    /// Bytes that the block takes in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.raw.len() + size_of::<Self>()
    }

    /// A row's encoded metadata, if the row is here.
    pub(crate) fn row(&self, ordinal: RowOrdinal) -> Option<&[u8]> {
        if !self.rows.contains(&ordinal) {
            return None;
        }
        let place = (ordinal - self.rows.start) as usize;
        let (ends, metadata) = self.raw.split_at_checked(self.rows.len() * END_BYTES)?;
        let ends = ends.as_chunks::<END_BYTES>().0;
        let end = u32::from_le_bytes(*ends.get(place)?);
        let start = place
            .checked_sub(1)
            .and_then(|before| ends.get(before))
            .map_or(0, |end| u32::from_le_bytes(*end));
        metadata.get(start as usize..end as usize)
    }
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
