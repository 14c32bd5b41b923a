//! Section *codebooks*: what trained codecs are made from again, and what each was found to be worth.
//!
//! Layout, all little-endian: format u32 = 1, codebooks u32, zeros up to 64; then for each codebook a head of 64 bytes
//! (id u128: XXH3-128 of its bytes; the report: recall@10 f32, reranked recall@10 f32, mean squared error f32,
//! held-out queries u32, rows u64, real queries u32, zero u32; bytes of the codebook u64; zeros), the bytes, and
//! zeros up to a multiple of 64.

use std::ops::Range;

use codegraph_vector_ann::codec::CodecReport;
use codegraph_vector_base::limits::SECTION_ALIGNMENT;
use codegraph_vector_base::{ErrorKind, Result};

use super::bytes::{Batch, SectionBytes, Sink, fixed, u32_at, u64_at, usize_at};
use crate::compression::{CodebookId, TrainedCodec};

const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 64;

/// Writes the section.
///
/// # Errors
/// Those of the sink.
pub(crate) fn write_codebooks<'a>(
    codebooks: impl ExactSizeIterator<Item = &'a TrainedCodec>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut batch = Batch::new(sink);
    batch.put(&FORMAT.to_le_bytes())?;
    batch.put(&(codebooks.len() as u32).to_le_bytes())?;
    batch.align()?;
    for trained in codebooks {
        let CodecReport { recall_at_10, recall_at_10_reranked, mean_squared_error, .. } = trained.report;
        batch.put(&trained.id.0.to_le_bytes())?;
        for number in [recall_at_10, recall_at_10_reranked, mean_squared_error] {
            batch.put(&number.to_le_bytes())?;
        }
        batch.put(&trained.report.held_out_queries.to_le_bytes())?;
        batch.put(&trained.report.rows.to_le_bytes())?;
        batch.put(&u64::from(trained.report.real_queries).to_le_bytes())?;
        batch.put(&(trained.codebook.len() as u64).to_le_bytes())?;
        batch.align()?;
        batch.put(&trained.codebook)?;
        batch.align()?;
    }
    batch.finish()
}

/// A codebook in its section.
#[derive(Clone, Debug)]
pub(crate) struct CodebookPlace {
    pub(crate) id: CodebookId,
    pub(crate) report: CodecReport,
    /// Where its bytes are.
    pub(crate) bytes: Range<usize>,
}

/// The codebooks of a section. What their bytes say is for [`TrainedCodec::read`] to check.
///
/// # Errors
/// `Corrupt` if the section is not made of whole codebooks; `Unsupported` for another format.
pub(crate) fn read_codebooks<B: SectionBytes>(bytes: &B) -> Result<Vec<CodebookPlace>> {
    let format = u32_at(bytes, 0)?;
    if format != FORMAT {
        let message = format!("codebooks of format {format}; this version knows {FORMAT}");
        return Err(bytes.corrupt(0, message).as_kind(ErrorKind::Unsupported));
    }
    let count = u32_at(bytes, 4)?;
    let mut places = Vec::new();
    let mut at = HEAD_BYTES;
    for _ in 0..count {
        let number = |offset| u32_at(bytes, at + offset).map(f32::from_bits);
        let report = CodecReport {
            recall_at_10: number(16)?,
            recall_at_10_reranked: number(20)?,
            mean_squared_error: number(24)?,
            held_out_queries: u32_at(bytes, at + 28)?,
            rows: u64_at(bytes, at + 32)?,
            real_queries: u32_at(bytes, at + 40)?,
        };
        let id = CodebookId(u128::from_le_bytes(fixed(bytes, at)?));
        let (start, length) = (at + HEAD_BYTES, usize_at(bytes, at + 48)?);
        let end = start.checked_add(length).filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(|| bytes.corrupt(at, format!("a codebook of {length} bytes")))?;
        places.push(CodebookPlace { id, report, bytes: start..end });
        at = end.next_multiple_of(SECTION_ALIGNMENT);
    }
    if at != bytes.len() {
        return Err(bytes.corrupt(at, format!("{count} codebooks do not end with their section")));
    }
    Ok(places)
}
