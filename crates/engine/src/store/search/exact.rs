//! Rows scored by their vectors: those of the memtables, of segments without codes, and in exact searches of all.

use std::sync::Arc;

use codegraph_vector_ann::{ExactScan, RowBlock, Rows, TopK};
use codegraph_vector_base::{Result, RowOrdinal, SeqNo};

use super::rank::SegmentRow;
use super::{Place, Search, Source};
use crate::filter::Filter;
use crate::memtable::Chunk;
use crate::rows::Candidates;
use crate::segment::Segment;
use crate::store::core::Core;

/// Rows scored in one go: their vectors fit the L2 cache's surroundings, and a lock is never held.
const SCAN_ROWS: u32 = 1024;
/// Candidates are scored one by one, rather than by scanning all rows, if they are fewer than one in this many.
const LISTED_SHARE: u64 = 4;

pub(super) fn scan_chunk(
    scan: &ExactScan,
    chunk: &Chunk,
    seqno: SeqNo,
    filter: Option<&Filter>,
    top: &mut TopK<Place>,
) {
    if chunk.rows.is_empty() {
        return;
    }
    let block = RowBlock { rows: &chunk.vectors, norms: &chunk.norms };
    let admit = |at: u32| {
        let row = &chunk.rows[at as usize];
        let admitted =
            row.visible_at(seqno) && filter.is_none_or(|filter| filter.matches(row.id, &row.metadata));
        admitted.then_some(Place { id: row.id, source: Source::Memory })
    };
    scan.scan_block(block, Rows::All, admit, top);
}

/// One segment, as a reader at a SeqNo sees it.
#[derive(Clone, Copy)]
pub(super) struct SegmentPass<'a> {
    pub(super) core: &'a Core,
    pub(super) segment: &'a Arc<Segment>,
    /// Its place in the version.
    pub(super) at: u32,
    pub(super) seqno: SeqNo,
}

impl SegmentPass<'_> {
    /// Scores all rows that match by their vectors.
    pub(super) fn scan(&self, search: &mut Search<'_>) -> Result<()> {
        let Some(filter) = &search.request.filter else {
            search.exact &= self.segment.is_exact();
            let sees = self.sight();
            return self.blocks(search, |_| None, sees);
        };
        let candidates = self.segment.candidates(filter)?;
        self.scan_matching(search, filter, &candidates)
    }

    /// Scores the rows among candidates that match by their vectors.
    pub(super) fn scan_matching(
        &self,
        search: &mut Search<'_>,
        filter: &Filter,
        candidates: &Candidates,
    ) -> Result<()> {
        if candidates.bitmap.is_empty() {
            return Ok(());
        }
        search.exact &= self.segment.is_exact();
        let sees = |ordinal| self.sees(ordinal, filter, candidates);
        let few = self.are_few(candidates);
        if few && !self.segment.is_exact() {
            // Making vectors of rows that nobody asks for costs more than looking them up.
            return candidates.bitmap.iter().try_for_each(|ordinal| self.one(search, ordinal, sees));
        }
        let listed = |start: u32| {
            let rows = candidates.bitmap.range(start..start.saturating_add(SCAN_ROWS));
            few.then(|| rows.map(|ordinal| ordinal - start).collect())
        };
        self.blocks(search, listed, sees)
    }

    /// Whether candidates are better scored one by one.
    pub(super) fn are_few(&self, candidates: &Candidates) -> bool {
        candidates.bitmap.len() < u64::from(self.segment.rows()) / LISTED_SHARE
    }

    /// Tells of a row whether the reader sees it.
    pub(super) fn sight(&self) -> impl Fn(RowOrdinal) -> Result<bool> {
        let all_visible = self.segment.all_visible_at(self.seqno);
        move |ordinal| Ok(all_visible || self.segment.visible_at(ordinal, self.seqno)?)
    }

    /// Whether the reader sees a row and it matches.
    pub(super) fn sees(&self, ordinal: RowOrdinal, filter: &Filter, candidates: &Candidates) -> Result<bool> {
        Ok(candidates.bitmap.contains(ordinal)
            && self.segment.visible_at(ordinal, self.seqno)?
            && self.core.is_match(self.segment, ordinal, filter, candidates)?)
    }

    /// Scores the rows block by block: those that `listed` gives for a block, all if it gives none.
    /// `see` is asked only about rows that would be among the best.
    fn blocks(
        &self,
        search: &mut Search<'_>,
        listed: impl Fn(u32) -> Option<Vec<u32>>,
        see: impl Fn(RowOrdinal) -> Result<bool>,
    ) -> Result<()> {
        let norms = self.segment.norms()?;
        let mut failed = None;
        let mut start = 0;
        while start < self.segment.rows() {
            let end = start.saturating_add(SCAN_ROWS).min(self.segment.rows());
            let list = listed(start);
            if list.as_ref().is_none_or(|list| !list.is_empty()) {
                let rows = self.segment.vectors(start..end)?;
                let block = RowBlock { rows: &rows, norms: &norms[start as usize..end as usize] };
                let admit = |at: u32| self.admit(start + at, &see, &mut failed);
                let rows = list.as_deref().map_or(Rows::All, Rows::Listed);
                search.scan.scan_block(block, rows, admit, &mut search.top);
            }
            start = end;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Scores a row by its vector.
    fn one(
        &self,
        search: &mut Search<'_>,
        ordinal: RowOrdinal,
        see: impl Fn(RowOrdinal) -> Result<bool>,
    ) -> Result<()> {
        let vector = self.segment.vector(ordinal)?;
        let score = search.scan.score_one(&vector, self.segment.columns(ordinal)?.norm);
        if score >= search.top.threshold()
            && let Some(place) = self.place(ordinal, &see)?
        {
            search.top.push(score, place);
        }
        Ok(())
    }

    /// A row's place, if it is seen; keeps the first error.
    pub(super) fn admit(
        &self,
        ordinal: RowOrdinal,
        see: &impl Fn(RowOrdinal) -> Result<bool>,
        failed: &mut Option<codegraph_vector_base::Error>,
    ) -> Option<Place> {
        self.place(ordinal, see).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            None
        })
    }

    /// The same for whoever does without the row's id: within an index the ordinal says which it is, and takes least room.
    pub(super) fn admit_row(
        &self,
        ordinal: RowOrdinal,
        see: &impl Fn(RowOrdinal) -> Result<bool>,
        failed: &mut Option<codegraph_vector_base::Error>,
    ) -> Option<RowOrdinal> {
        let seen = see(ordinal).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            false
        });
        seen.then_some(ordinal)
    }

    /// Adds the nearest of this segment to those of others.
    pub(super) fn merge(&self, nearest: TopK<RowOrdinal>, all: &mut TopK<SegmentRow>) {
        for hit in nearest.into_sorted() {
            all.push(hit.score, SegmentRow { at: self.at, ordinal: hit.key });
        }
    }

    fn place(&self, ordinal: RowOrdinal, see: &impl Fn(RowOrdinal) -> Result<bool>) -> Result<Option<Place>> {
        if !see(ordinal)? {
            return Ok(None);
        }
        let source = Source::Segment(self.at, ordinal);
        Ok(Some(Place { id: self.segment.id(ordinal)?, source }))
    }
}
