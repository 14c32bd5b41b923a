//! The indexes of segments: which each is to have, and building those that are missing.
//!
//! What always holds: an index comes with the segment that it is of, by a merge of one segment if need be, so a crash leaves
//! the segment with or without it, whole.

use std::sync::atomic::Ordering;

use codegraph_vector_ann::index::{IndexKind, IndexSpec};
use codegraph_vector_base::Result;

use super::core::Core;
use super::maintenance::{JobKind, Mode};
use crate::compression::Keep;
use crate::segment::Segment;
use crate::version::Version;

/// How rows in segments are indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexStatistics {
    /// What the settings ask for, as an [`IndexPolicy`](crate::IndexPolicy)'s text.
    pub policy: String,
    /// Rows in segments that have cells.
    pub ivf_rows: u64,
    /// Rows in segments that have a graph.
    pub hnsw_rows: u64,
    /// Rows in segments without an index: all of them are looked at.
    pub flat_rows: u64,
    /// Bytes of all indexes.
    pub bytes: u64,
    /// Segments that wait for another index than they have.
    pub waiting_segments: u64,
}

impl Core {
    /// The index that a segment of so many rows gets, of whose vectors so much is kept.
    pub(super) fn index_spec(&self, rows: usize, keep: Keep) -> Option<IndexSpec> {
        self.settings.load().index.spec(rows, keep, self.switches.min_index_rows)
    }

    /// Whether a segment has not the index that it would get now. One that is damaged gets none.
    pub(super) fn is_index_other(&self, segment: &Segment) -> bool {
        let wanted = self.index_spec(segment.rows() as usize, segment.keep()).map(|spec| spec.kind);
        segment.damage().is_none() && segment.index_kind() != wanted
    }

    /// Whether a segment waits for an index.
    pub(super) fn is_index_due(&self) -> bool {
        self.version.load().segments.iter().any(|segment| self.is_index_other(segment))
    }

    /// Writes segments anew until each has the index that it is to have; returns how many were.
    pub(crate) fn build_indexes(&self, mode: Mode) -> Result<usize> {
        let waiting = |version: &Version| {
            let waits = version.segments.iter().find(|segment| self.is_index_other(segment));
            waits.map(|segment| vec![segment.clone()])
        };
        let mut built = 0;
        while let Some(merged) = self.merge_if(mode, JobKind::Index, waiting)? {
            built += merged.sources;
            self.counters.rewrites.fetch_add(1, Ordering::Relaxed);
            self.let_go()?;
        }
        Ok(built)
    }

    /// All that is due, where maintenance is allowed.
    pub(crate) fn maintain(&self) -> Result<()> {
        self.writer()?;
        if self.may_maintain() {
            self.merge_where_due(Mode::ByHand)?;
            self.build_indexes(Mode::ByHand)?;
        }
        Ok(())
    }

    /// See the fields.
    pub(super) fn index_statistics(&self, version: &Version) -> IndexStatistics {
        let rows_of = |kind| {
            let of_kind = version.segments.iter().filter(|segment| segment.index_kind() == kind);
            of_kind.map(|segment| u64::from(segment.rows())).sum()
        };
        let waiting = version.segments.iter().filter(|segment| self.is_index_other(segment));
        IndexStatistics {
            policy: self.settings().index.to_string(),
            ivf_rows: rows_of(Some(IndexKind::Ivf)),
            hnsw_rows: rows_of(Some(IndexKind::Hnsw)),
            flat_rows: rows_of(None),
            bytes: version.segments.iter().map(|segment| segment.index_bytes()).sum(),
            waiting_segments: waiting.count() as u64,
        }
    }
}
