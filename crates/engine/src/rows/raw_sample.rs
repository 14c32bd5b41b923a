//! Section *raw sample*: some rows' vectors as given, where rows have but codes; to measure those by.
//!
//! Layout, all little-endian: format u32 = 1, rows of the sample u32, dimension u32, zeros up to 64; the ordinals, u32
//! each, ascending, zeros up to a multiple of 64; the vectors, f32.

use codegraph_vector_base::{ErrorKind, NodeId, Result, RowOrdinal};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bytes::{Batch, SectionBytes, Sink, array, padding, u32_at};

/// Most rows of a sample.
pub(crate) const SAMPLE_ROWS: usize = 1000;

const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 64;
const SEED: u64 = u64::from_be_bytes(*b"a sample");

/// The rows of a sample are those where this is least: a uniform choice, and that of a union is made from samples.
pub(crate) fn sample_key(id: NodeId) -> u64 {
    xxh3_64_with_seed(&id.to_le_bytes(), SEED)
}

/// Writes the head and the ordinals; the vectors follow.
///
/// # Errors
/// Those of the sink.
pub(crate) fn write_sample_head(
    ordinals: &[RowOrdinal],
    dimension: usize,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut batch = Batch::new(sink);
    for number in [FORMAT, ordinals.len() as u32, dimension as u32] {
        batch.put(&number.to_le_bytes())?;
    }
    batch.align()?;
    batch.put(bytemuck::cast_slice(ordinals))?;
    batch.align()?;
    batch.finish()
}

/// Where the parts of a sample are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawSample {
    rows: usize,
    dimension: usize,
    vectors: usize,
}

impl RawSample {
    /// The sample of a segment of so many rows.
    ///
    /// # Errors
    /// `Corrupt` if the section is not one of that dimension, its ordinals do not ascend or are no rows;
    /// `Unsupported` for another format.
    pub(crate) fn open<B: SectionBytes>(bytes: &B, segment_rows: usize, dimension: usize) -> Result<Self> {
        let format = u32_at(bytes, 0)?;
        if format != FORMAT {
            let message = format!("a sample of format {format}; this version knows {FORMAT}");
            return Err(bytes.corrupt(0, message).as_kind(ErrorKind::Unsupported));
        }
        let (rows, claimed) = (u32_at(bytes, 4)? as usize, u32_at(bytes, 8)? as usize);
        if rows > SAMPLE_ROWS || claimed != dimension {
            return Err(bytes.corrupt(4, format!("a sample of {rows} rows of dimension {claimed}")));
        }
        let ends = HEAD_BYTES + rows * size_of::<RowOrdinal>();
        let vectors = ends + padding(ends).len();
        if bytes.len() != vectors + rows * dimension * size_of::<f32>() {
            return Err(bytes.corrupt(4, format!("a sample of {rows} rows in {} bytes", bytes.len())));
        }
        let sample = Self { rows, dimension, vectors };
        let ordinals = sample.ordinals(bytes)?;
        let ascend = ordinals.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascend || ordinals.last().is_some_and(|last| *last as usize >= segment_rows) {
            return Err(bytes.corrupt(HEAD_BYTES, "the rows of a sample are out of order".to_owned()));
        }
        Ok(sample)
    }

    /// Its rows, ascending.
    ///
    /// # Errors
    /// `Corrupt` if its bytes are bad, here and below.
    pub(crate) fn ordinals<'a, B: SectionBytes>(&self, bytes: &'a B) -> Result<&'a [RowOrdinal]> {
        let found = array(bytes, HEAD_BYTES, self.rows, size_of::<RowOrdinal>())?;
        bytemuck::try_cast_slice(found)
            .map_err(|_| bytes.corrupt(HEAD_BYTES, "a sample is not aligned".to_owned()))
    }

    /// Their vectors, row-major.
    pub(crate) fn vectors<'a, B: SectionBytes>(&self, bytes: &'a B) -> Result<&'a [f32]> {
        let found = array(bytes, self.vectors, self.rows * self.dimension, size_of::<f32>())?;
        bytemuck::try_cast_slice(found)
            .map_err(|_| bytes.corrupt(self.vectors, "a sample is not aligned".to_owned()))
    }
}
