//! Section *row metadata*: SeqNo, created and updated time, norm and checksum of each row.
//!
//! Layout, all little-endian: a head of 128 bytes (format u32, rows u32; for each of the three packed
//! columns its smallest value u64, its largest u64, and the bytes of a delta u64; zeros), then the
//! packed columns SeqNo, created, updated (a delta to the smallest value in as many bytes), the norms (f32), the
//! checksums (two u64). Each column begins at a multiple of 64 bytes from the section's start.
//! Packing is frame of reference (Goldstein, Ramakrishnan and Shaft, 1998), in whole bytes, so that any row is
//! read in place.

use std::borrow::Cow;

use codegraph_vector_base::limits::{MAX_SEGMENT_ROWS, SECTION_ALIGNMENT};
use codegraph_vector_base::{Error, ErrorKind, Result, RowChecksum, RowChecksumSum, RowOrdinal, SeqNo};

use super::bytes::{Batch, SectionBytes, Sink, array, fixed, u32_at, u64_at};

const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 128;
const PACKED: usize = 3;
const PACKED_HEAD_BYTES: usize = 24;
const NORM_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 16;

const _: () =
    assert!(8 + PACKED * PACKED_HEAD_BYTES <= HEAD_BYTES && HEAD_BYTES.is_multiple_of(SECTION_ALIGNMENT));

/// What the columns hold of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RowColumns {
    /// The commit that wrote the row.
    pub(crate) seqno: SeqNo,
    /// When the id was first stored, in microseconds since 1970.
    pub(crate) created_us: u64,
    /// When this version was written, in microseconds since 1970.
    pub(crate) updated_us: u64,
    /// The Euclidean norm of the vector.
    pub(crate) norm: f32,
    /// The row's checksum.
    pub(crate) checksum: RowChecksum,
}

impl RowColumns {
    fn packed(&self) -> [u64; PACKED] {
        [self.seqno.0, self.created_us, self.updated_us]
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Packing {
    min: u64,
    max: u64,
    width: usize,
    offset: usize,
}

/// Writes section *row metadata* of `rows`, which is gone through once a column, in row order.
///
/// # Errors
/// `TooLarge` for more rows than a segment may have; those of the sink.
pub(crate) fn write_columns<R>(rows: R, sink: &mut Sink<'_>) -> Result<()>
where
    R: Iterator<Item = RowColumns> + Clone,
{
    let mut packings = [Packing { min: u64::MAX, ..Packing::default() }; PACKED];
    let mut count = 0usize;
    for row in rows.clone() {
        count += 1;
        for (packing, value) in packings.iter_mut().zip(row.packed()) {
            packing.min = packing.min.min(value);
            packing.max = packing.max.max(value);
        }
    }
    let count = u32::try_from(count).ok().filter(|&rows| rows as usize <= MAX_SEGMENT_ROWS);
    let count = count.ok_or_else(|| Error::new(ErrorKind::TooLarge, "too many rows for a segment"))?;
    let mut batch = Batch::new(sink);
    batch.put(&FORMAT.to_le_bytes())?;
    batch.put(&count.to_le_bytes())?;
    for packing in &mut packings {
        packing.min = packing.min.min(packing.max);
        packing.width = (packing.max - packing.min).checked_ilog(256).map_or(0, |log| log as usize + 1);
        for number in [packing.min, packing.max, packing.width as u64] {
            batch.put(&number.to_le_bytes())?;
        }
    }
    batch.put(&[0; HEAD_BYTES - 8 - PACKED * PACKED_HEAD_BYTES])?;
    for (column, packing) in packings.iter().enumerate() {
        for row in rows.clone() {
            let delta = row.packed()[column].wrapping_sub(packing.min).to_le_bytes();
            batch.put(&delta[..packing.width])?;
        }
        batch.align()?;
    }
    for row in rows.clone() {
        batch.put(&row.norm.to_le_bytes())?;
    }
    batch.align()?;
    for row in rows {
        batch.put(&row.checksum.vector.to_le_bytes())?;
        batch.put(&row.checksum.metadata.to_le_bytes())?;
    }
    batch.finish()
}

/// Section *row metadata*.
#[derive(Clone, Debug)]
pub(crate) struct Columns<B> {
    bytes: B,
    rows: usize,
    packings: [Packing; PACKED],
    norms: usize,
    checksums: usize,
}

impl<B: SectionBytes> Columns<B> {
    /// # Errors
    /// `Corrupt` if the section is not that of `rows` rows; `Unsupported` if its format is newer.
    pub(crate) fn open(bytes: B, rows: usize) -> Result<Self> {
        let format = u32_at(&bytes, 0)?;
        if format != FORMAT {
            let message = format!("row columns of format {format}; this version knows {FORMAT}");
            return Err(bytes.corrupt(0, message).as_kind(ErrorKind::Unsupported));
        }
        let claimed = u32_at(&bytes, 4)?;
        if rows != claimed as usize {
            return Err(bytes.corrupt(4, format!("columns of {claimed} rows in a segment of {rows}")));
        }
        let mut packings = [Packing::default(); PACKED];
        let mut offset = HEAD_BYTES;
        for (column, packing) in packings.iter_mut().enumerate() {
            let head = 8 + column * PACKED_HEAD_BYTES;
            let (min, max, width) =
                (u64_at(&bytes, head)?, u64_at(&bytes, head + 8)?, u64_at(&bytes, head + 16)?);
            if width > 8 || min > max {
                return Err(bytes.corrupt(head, format!("a column of {width} bytes, {min} to {max}")));
            }
            *packing = Packing { min, max, width: width as usize, offset };
            offset = (offset + rows * packing.width).next_multiple_of(SECTION_ALIGNMENT);
        }
        let norms = offset;
        let checksums = (norms + rows * NORM_BYTES).next_multiple_of(SECTION_ALIGNMENT);
        let end = checksums + rows * CHECKSUM_BYTES;
        if bytes.len() != end {
            return Err(bytes.corrupt(0, format!("row columns have {} bytes, not {end}", bytes.len())));
        }
        Ok(Self { bytes, rows, packings, norms, checksums })
    }

    /// All of a row's columns.
    ///
    /// # Errors
    /// `Corrupt` if there is no such row, or its bytes are bad.
    pub(crate) fn get(&self, ordinal: RowOrdinal) -> Result<RowColumns> {
        Ok(RowColumns {
            seqno: self.seqno(ordinal)?,
            created_us: self.created_us(ordinal)?,
            updated_us: self.updated_us(ordinal)?,
            norm: self.norm(ordinal)?,
            checksum: self.checksum(ordinal)?,
        })
    }

    /// The commit that wrote a row. Errors as [`get`](Self::get), here and below.
    pub(crate) fn seqno(&self, ordinal: RowOrdinal) -> Result<SeqNo> {
        self.packed(0, ordinal).map(SeqNo)
    }

    /// No row's commit is later.
    pub(crate) fn max_seqno(&self) -> SeqNo {
        SeqNo(self.packings[0].max)
    }

    pub(crate) fn created_us(&self, ordinal: RowOrdinal) -> Result<u64> {
        self.packed(1, ordinal)
    }

    pub(crate) fn updated_us(&self, ordinal: RowOrdinal) -> Result<u64> {
        self.packed(2, ordinal)
    }

    pub(crate) fn norm(&self, ordinal: RowOrdinal) -> Result<f32> {
        self.check(ordinal)?;
        fixed(&self.bytes, self.norms + ordinal as usize * NORM_BYTES).map(f32::from_le_bytes)
    }

    /// The bytes of a row's norm and of its checksum, to have them fetched ahead.
    pub(crate) fn norm_and_checksum(&self, ordinal: RowOrdinal) -> Result<[&[u8]; 2]> {
        self.check(ordinal)?;
        let row = ordinal as usize;
        let norm = array(&self.bytes, self.norms + row * NORM_BYTES, NORM_BYTES, 1)?;
        Ok([norm, array(&self.bytes, self.checksums + row * CHECKSUM_BYTES, CHECKSUM_BYTES, 1)?])
    }

    /// The bytes of a row's SeqNo, for the same.
    pub(crate) fn seqno_bytes(&self, ordinal: RowOrdinal) -> Result<&[u8]> {
        self.check(ordinal)?;
        let Packing { width, offset, .. } = self.packings[0];
        array(&self.bytes, offset + ordinal as usize * width, width, 1)
    }

    /// All norms, in row order; a copy only where the bytes cannot be used in place.
    pub(crate) fn norms(&self) -> Result<Cow<'_, [f32]>> {
        let bytes = array(&self.bytes, self.norms, self.rows, NORM_BYTES)?;
        if cfg!(target_endian = "little")
            && let Ok(norms) = bytemuck::try_cast_slice(bytes)
        {
            return Ok(Cow::Borrowed(norms));
        }
        let (norms, _) = bytes.as_chunks();
        Ok(Cow::Owned(norms.iter().copied().map(f32::from_le_bytes).collect()))
    }

    pub(crate) fn checksum(&self, ordinal: RowOrdinal) -> Result<RowChecksum> {
        self.check(ordinal)?;
        let at = self.checksums + ordinal as usize * CHECKSUM_BYTES;
        Ok(RowChecksum { vector: u64_at(&self.bytes, at)?, metadata: u64_at(&self.bytes, at + 8)? })
    }

    /// The sum of all rows' checksums, as the manifest has it.
    pub(crate) fn checksum_sum(&self) -> Result<RowChecksumSum> {
        let bytes = array(&self.bytes, self.checksums, self.rows, CHECKSUM_BYTES)?;
        let mut sum = RowChecksumSum::default();
        for pair in bytes.as_chunks::<CHECKSUM_BYTES>().0 {
            let both = u128::from_le_bytes(*pair);
            sum += RowChecksum { vector: both as u64, metadata: (both >> 64) as u64 };
        }
        Ok(sum)
    }

    fn check(&self, ordinal: RowOrdinal) -> Result<()> {
        if (ordinal as usize) < self.rows {
            return Ok(());
        }
        Err(self.bytes.corrupt(0, format!("row {ordinal} of {}", self.rows)))
    }

    fn packed(&self, column: usize, ordinal: RowOrdinal) -> Result<u64> {
        self.check(ordinal)?;
        let Packing { min, max, width, offset } = self.packings[column];
        let at = offset + ordinal as usize * width;
        let bytes = self.bytes.get(at..at + width)?;
        let mut delta = [0; 8];
        delta[..width].copy_from_slice(bytes);
        let value = min.checked_add(u64::from_le_bytes(delta)).filter(|&value| value <= max);
        value.ok_or_else(|| self.bytes.corrupt(at, "a packed value is out of its column's range".to_owned()))
    }
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
