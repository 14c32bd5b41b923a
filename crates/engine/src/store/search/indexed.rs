//! Rows found by indexes: each gives candidates with estimated scores, the best of all segments are ranked anew.
//!
//! A filter is met in one of two ways, whichever looks at less: its matches are scored one by one by their sketches; or the
//! index is searched with more effort, the fewer rows match, and admits only those. With few matches all are ranked.

use std::ops::Range;

use codegraph_vector_ann::TopK;
use codegraph_vector_ann::index::{Calibration, IndexKind, IndexQuery};
use codegraph_vector_base::{Error, Result, RowOrdinal, SeqNo};

use super::exact::SegmentPass;
use super::rank::{Ranking, SegmentRow};
use super::{Search, SearchRequest, inexact};
use crate::compression::Keep;
use crate::segment::SegmentIndex;
use crate::store::core::Core;
use crate::version::Version;

/// The share of the nearest that a search finds unless it says otherwise.
const DEFAULT_RECALL: f32 = 0.95;
/// Results for which indexes were measured.
const MEASURED_RESULTS: usize = 10;
/// What it costs to score a listed row, in rows that cells are scanned of.
const LISTED_COST: u64 = 40;
/// The same in nodes that a graph walks over.
const LISTED_COST_OF_NODES: u64 = 1;

/// What to ask an index for that is to find such a share: more, as questions in words lie further from all rows than most of
/// what it was measured by. Of embeddings of code, efforts that found 0.975 at the build found 0.935 to 0.95 of what
/// questions are nearest to.
fn with_margin(recall: f32) -> f32 {
    const SHARE: f32 = 0.75;
    recall + SHARE * (1.0 - recall)
}

/// Where fewer rows than this share match, an index is told which.
const TOLD_SHARE: f64 = 0.25;

/// How much one index is asked for one search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Effort {
    ef: usize,
    candidates: usize,
}

impl SearchRequest {
    /// The effort for an index that was measured so, whose rows match in such a share.
    fn effort_for(&self, measured: &Calibration, share: f64) -> Effort {
        let recall = with_margin(self.effort.unwrap_or(DEFAULT_RECALL));
        let rung = match self.ef {
            Some(ef) => measured.for_effort(ef),
            None => measured.for_recall(recall),
        };
        let (ef, candidates) = match rung {
            // Nothing that was measured found so much.
            Some(rung) if rung.recall < recall => (2 * rung.ef, rung.candidates),
            Some(rung) => (rung.ef, rung.candidates),
            None => (self.limit, self.limit),
        };
        let times = (self.limit as f64 / MEASURED_RESULTS as f64).max(1.0);
        // Rows further down the list are found further out, but not that much.
        let ef = self.ef.unwrap_or_else(|| (ef as f64 * times.sqrt()).ceil() as usize);
        // Of rows that match in a small share the nearest are far out, and where they are depends on the filter.
        let ef = (ef as f64 / (share * share).max(1e-9)).ceil().min(1e9) as usize;
        let candidates = (candidates as f64 * times).ceil() as usize;
        Effort { ef, candidates: self.rerank.unwrap_or(candidates).max(self.limit) }
    }
}

/// The requests among several that go by indexes.
pub(super) struct IndexedSearches<'s, 'r, 'v> {
    version: &'v Version,
    /// The index of each segment, if it has one that can be used.
    indexes: &'v [Option<SegmentIndex<'v>>],
    /// Those without a filter first: they go through an index together.
    searches: Vec<&'s mut Search<'r>>,
    /// How many those are.
    together: usize,
    /// For each search, the nearest so far.
    candidates: Vec<TopK<SegmentRow>>,
}

impl<'s, 'r, 'v> IndexedSearches<'s, 'r, 'v> {
    /// Those that do not ask to be exact.
    pub(super) fn new(
        version: &'v Version,
        indexes: &'v [Option<SegmentIndex<'v>>],
        searches: &'s mut [Search<'r>],
    ) -> Self {
        let (searches, together) = inexact(searches);
        // As many as the index that wants the most.
        let most = |request: &SearchRequest| {
            let of_index =
                |found: &SegmentIndex<'_>| request.effort_for(found.index.calibration(), 1.0).candidates;
            indexes.iter().flatten().map(of_index).max().unwrap_or(0)
        };
        let candidates = searches.iter().map(|search| TopK::new(most(search.request))).collect();
        Self { version, indexes, searches, together, candidates }
    }

    /// Finds the candidates in all segments that have an index.
    pub(super) fn scan(&mut self, core: &Core, seqno: SeqNo) -> Result<()> {
        for (at, (segment, found)) in self.version.segments.iter().zip(self.indexes).enumerate() {
            let Some(found) = found else { continue };
            let pass = SegmentPass { core, segment, at: at as u32, seqno };
            let vectors = self.searches.iter().map(|search| found.index.prepare(&search.request.vector));
            let queries: Vec<IndexQuery> = vectors.collect();
            self.scan_together(&pass, found, &queries[..self.together])?;
            for (number, query) in queries.iter().enumerate().skip(self.together) {
                self.scan_apart(&pass, found, number, query)?;
            }
        }
        Ok(())
    }

    fn scan_together(
        &mut self,
        pass: &SegmentPass<'_>,
        found: &SegmentIndex<'_>,
        queries: &[IndexQuery],
    ) -> Result<()> {
        // Of rows that are codes alone, decoding all would be another score than that of their codes.
        let (rows, has_vectors) = (pass.segment.rows() as usize, pass.segment.keep() > Keep::None);
        let in_full = |top: &TopK<SegmentRow>| has_vectors && top.k() >= rows;
        if !self.candidates[..self.together].iter().any(in_full) {
            return self.walk(pass, found, 0..self.together, queries);
        }
        for (number, query) in queries.iter().enumerate() {
            if in_full(&self.candidates[number]) {
                // All rows would be ranked by their vectors.
                pass.scan(self.searches[number])?;
            } else {
                self.walk(pass, found, number..number + 1, std::slice::from_ref(query))?;
            }
        }
        Ok(())
    }

    /// Searches the index for some searches without a filter.
    fn walk(
        &mut self,
        pass: &SegmentPass<'_>,
        found: &SegmentIndex<'_>,
        numbers: Range<usize>,
        queries: &[IndexQuery],
    ) -> Result<()> {
        let (searches, tops) = (&mut self.searches[numbers.clone()], &mut self.candidates[numbers]);
        let measured = found.index.calibration();
        let efforts: Vec<usize> =
            searches.iter().map(|search| search.request.effort_for(measured, 1.0).ef).collect();
        searches.iter_mut().for_each(|search| search.exact = false);
        let sees = pass.sight();
        let mut failed = None;
        let mut nearest: Vec<TopK<RowOrdinal>> = tops.iter().map(|top| TopK::new(top.k())).collect();
        let admit = |_, ordinal| pass.admit_row(ordinal, &sees, &mut failed);
        found.index.search(found.bytes, queries, &efforts, admit, &mut nearest);
        for (((search, query), top), mut nearest) in searches.iter().zip(queries).zip(tops).zip(nearest) {
            if is_short(found, top, &nearest, search.request) {
                nearest = TopK::new(top.k());
                let admit = |ordinal| pass.admit_row(ordinal, &sees, &mut failed);
                found.index.score_listed(found.bytes, query, 0..pass.segment.rows(), admit, &mut nearest);
            }
            pass.merge(nearest, top);
        }
        failed.map_or(Ok(()), Err)
    }

    fn scan_apart(
        &mut self,
        pass: &SegmentPass<'_>,
        found: &SegmentIndex<'_>,
        number: usize,
        query: &IndexQuery,
    ) -> Result<()> {
        let search = &mut *self.searches[number];
        let Some(filter) = &search.request.filter else { return Ok(()) };
        let matching = pass.segment.candidates(filter)?;
        let top = &mut self.candidates[number];
        if matching.bitmap.is_empty()
            || (pass.segment.keep() > Keep::None && matching.bitmap.len() <= top.k() as u64)
        {
            return pass.scan_matching(search, filter, &matching);
        }
        search.exact = false;
        let share = matching.bitmap.len() as f64 / f64::from(pass.segment.rows());
        let effort = search.request.effort_for(found.index.calibration(), share);
        let sees = |ordinal| pass.sees(ordinal, filter, &matching);
        let mut failed: Option<Error> = None;
        let mut nearest = TopK::new(top.k());
        let mut by_list = list_is_cheaper(found, matching.bitmap.len(), effort.ef);
        if !by_list {
            let mut admit = |ordinal| pass.admit_row(ordinal, &sees, &mut failed);
            let top = &mut nearest;
            if share < TOLD_SHARE {
                found.index.search_among(found.bytes, query, effort.ef, &matching.bitmap, admit, top);
            } else {
                let (queries, tops) = (std::slice::from_ref(query), std::slice::from_mut(top));
                found.index.search(found.bytes, queries, &[effort.ef], |_, ordinal| admit(ordinal), tops);
            }
            by_list = is_short(found, &self.candidates[number], &nearest, search.request);
        }
        if by_list {
            nearest = TopK::new(nearest.k());
            let admit = |ordinal| pass.admit_row(ordinal, &sees, &mut failed);
            found.index.score_listed(found.bytes, query, &matching.bitmap, admit, &mut nearest);
        }
        pass.merge(nearest, &mut self.candidates[number]);
        failed.map_or(Ok(()), Err)
    }

    /// Ranks the candidates anew, among what was found otherwise.
    pub(super) fn rank_anew(self, ranking: &Ranking<'_>) -> Result<()> {
        for (search, candidates) in self.searches.into_iter().zip(self.candidates) {
            let rows: Vec<SegmentRow> = candidates.into_sorted().into_iter().map(|hit| hit.key).collect();
            ranking.rank(search, &rows)?;
        }
        Ok(())
    }
}

/// Whether a graph was left before there were results enough, with those of other segments: the rows that are admitted lie
/// apart. Those that were found in it are to be thrown away, as they will be found again.
fn is_short(
    found: &SegmentIndex<'_>,
    others: &TopK<SegmentRow>,
    nearest: &TopK<RowOrdinal>,
    request: &SearchRequest,
) -> bool {
    found.index.kind() == IndexKind::Hnsw && others.len() + nearest.len() < request.limit
}

/// Whether scoring so many listed rows looks at less than a search of that effort does.
fn list_is_cheaper(found: &SegmentIndex<'_>, listed: u64, ef: usize) -> bool {
    let rows = found.index.rows() as f64;
    // What was looked at grows with the effort, up to all there is.
    let rung = found.index.calibration().rungs().iter().rfind(|rung| rung.ef <= ef);
    let looked_at = rung.map_or(1.0, |rung| f64::from(rung.looked_at) * ef as f64 / rung.ef as f64);
    let cost = match found.index.kind() {
        IndexKind::Ivf => LISTED_COST,
        IndexKind::Hnsw => LISTED_COST_OF_NODES,
    };
    (listed * cost) as f64 <= looked_at.min(1.0) * rows
}
