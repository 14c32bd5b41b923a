//! The contents of a segment's sections but the vectors: ids and their index, the membership
//! filter, the row columns, payload blocks, the payload index, and the text.
//!
//! What always holds:
//! - rows are numbered in the order of (path, id), rows without a path first ([`row_order`]);
//! - writers hand bytes to a [`Sink`] once, in order; readers work in place on [`SectionBytes`];
//! - bytes are checked where they are used: a wrong one is a `Corrupt` error, never a panic, and no
//!   length that the bytes claim is allocated before it was held against the bytes that are there.
//!
//! The bytes of each section are described beside their constants, and together in `FORMAT.md`. Files,
//! maps and block checksums belong to `storage`.

mod bytes;
mod codebooks;
mod codes;
mod columns;
mod evaluate;
mod id_filter;
mod ids;
mod index;
mod index_build;
mod payload;
mod raw_sample;
mod strings;
mod text;
mod text_build;

pub(crate) use bytes::{SectionBytes, Sink, padding, u32_at};
pub(crate) use codebooks::{CodebookPlace, read_codebooks, write_codebooks};
pub(crate) use codes::{GroupPlace, place_groups, read_groups, write_groups};
pub(crate) use columns::{Columns, RowColumns, write_columns};
pub(crate) use evaluate::Candidates;
pub(crate) use id_filter::{IdFilter, write_id_filter};
pub(crate) use ids::{IdIndex, Ids, write_id_index, write_ids};
pub(crate) use index::PayloadIndex;
pub(crate) use index_build::PayloadIndexBuilder;
pub(crate) use payload::{PayloadBlock, PayloadReader, PayloadWriter};
pub(crate) use raw_sample::{RawSample, SAMPLE_ROWS, sample_key, write_sample_head};
pub(crate) use text::{Postings, TextIndex};
pub(crate) use text_build::TextIndexBuilder;

use std::cmp::Ordering;

use codegraph_vector_base::NodeId;

/// The order of a segment's rows: by path, none first, then by id.
pub(crate) fn row_order(a: (Option<&str>, NodeId), b: (Option<&str>, NodeId)) -> Ordering {
    a.cmp(&b)
}

#[cfg(test)]
#[path = "rows/rows_tests.rs"]
mod tests;
