//! Exact search at a SeqNo: memtables and segments are scanned, the best rows are checked, and
//! their metadata is fetched.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_ann::{ExactScan, Hit, Metric, RowBlock, Rows, TopK};
use codegraph_vector_base::{Error, NodeId, Result, RowOrdinal, SeqNo};

use super::core::Core;
use super::rows::check_memory;
use super::write::check_vector;
use crate::filter::Filter;
use crate::memtable::Chunk;
use crate::node::NodeMetadata;
use crate::rows::Candidates;
use crate::segment::Segment;
use crate::version::Version;

/// Most results of one search.
pub const MAX_LIMIT: usize = 10_000;
/// Rows scored in one go: their vectors fit the L2 cache's surroundings, and a lock is never held.
const SCAN_ROWS: u32 = 1024;
/// Candidates are scored one by one, rather than by scanning all rows, if they are fewer than one in this many.
const LISTED_SHARE: u64 = 4;

/// What to look for.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// As many finite numbers as the store has dimensions.
    pub vector: Vec<f32>,
    /// Number of results, at most [`MAX_LIMIT`].
    pub limit: usize,
    /// Only nodes that match.
    pub filter: Option<Filter>,
    /// Whether matches carry their metadata, which is read only if so.
    pub with_metadata: bool,
    /// Whether matches carry their vector.
    pub with_vector: bool,
}

impl SearchRequest {
    /// The `limit` nodes nearest to `vector`, with metadata.
    pub fn new(vector: impl Into<Vec<f32>>, limit: usize) -> Self {
        Self { vector: vector.into(), limit, filter: None, with_metadata: true, with_vector: false }
    }

    /// The same among nodes that match `filter`.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }
}

/// A node that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The node.
    pub node_id: NodeId,
    /// Higher is nearer; see [`SearchResults::score_kind`].
    pub score: f32,
    /// The commit that wrote this version of it.
    pub seqno: SeqNo,
    /// Its metadata, if asked for.
    pub metadata: Option<NodeMetadata>,
    /// Its vector as given, if asked for.
    pub vector: Option<Vec<f32>>,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchResults {
    /// Best first; equal scores in order of id.
    pub matches: Vec<Match>,
    /// What a score is: `cosine`, `dot`, or `euclidean` (the negative distance).
    pub score_kind: Metric,
    /// The state that was searched.
    pub seqno: SeqNo,
}

/// A row that may be among the results. Ordered by id first, so that ties go by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    id: NodeId,
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// The memtables keep rows by id.
    Memory,
    /// A segment of the version, and a row of it.
    Segment(u32, RowOrdinal),
}

impl Core {
    /// The nearest rows that a reader at `seqno` sees.
    pub(crate) fn search(
        &self,
        version: &Version,
        seqno: SeqNo,
        request: &SearchRequest,
    ) -> Result<SearchResults> {
        self.check_open()?;
        check_vector(&request.vector, self.dimension, self.metric)
            .map_err(|error| error.context("the query vector"))?;
        if request.limit == 0 || request.limit > MAX_LIMIT {
            let message = format!("limit is {}, and must be from 1 to {MAX_LIMIT}", request.limit);
            return Err(Error::invalid(message));
        }
        request.filter.as_ref().map_or(Ok(()), Filter::check)?;
        self.counters.searches.fetch_add(1, Ordering::Relaxed);
        let scan = ExactScan::new(self.metric, &request.vector);
        let mut top = TopK::new(request.limit);
        for table in version.memtables() {
            table.each_chunk(|chunk| scan_chunk(&scan, chunk, seqno, request.filter.as_ref(), &mut top));
        }
        for (at, segment) in version.segments.iter().enumerate() {
            let pass = SegmentPass { core: self, scan: &scan, segment, at: at as u32, seqno };
            match &request.filter {
                None => pass.scan_all(&mut top)?,
                Some(filter) => pass.scan_filtered(filter, &mut top)?,
            }
        }
        let hits = top.into_sorted();
        let matches = hits.into_iter().map(|hit| self.resolve(version, seqno, request, hit));
        Ok(SearchResults { matches: matches.collect::<Result<_>>()?, score_kind: self.metric, seqno })
    }

    /// A hit with what was asked for; its vector is held against its checksum first.
    fn resolve(
        &self,
        version: &Version,
        seqno: SeqNo,
        request: &SearchRequest,
        hit: Hit<Place>,
    ) -> Result<Match> {
        let Place { id, source } = hit.key;
        let (row_seqno, vector, metadata) = match source {
            Source::Segment(at, ordinal) => {
                let segment = &version.segments[at as usize];
                let vector = segment.vector(ordinal)?;
                let vector = request.with_vector.then(|| vector.into_owned());
                let encoded =
                    request.with_metadata.then(|| segment.encoded_metadata(ordinal, &self.caches()));
                let metadata =
                    encoded.transpose()?.map(|encoded| NodeMetadata::decode(&encoded)).transpose()?;
                (segment.columns(ordinal)?.seqno, vector, metadata)
            }
            Source::Memory => {
                let read = |row: &crate::memtable::MemRow, vector: &[f32], _| {
                    check_memory(row, vector)?;
                    let vector = request.with_vector.then(|| vector.to_vec());
                    Ok((row.seqno, vector, request.with_metadata.then(|| (*row.metadata).clone())))
                };
                let found = version.memtables().find_map(|table| table.get(id, seqno, read));
                found.unwrap_or_else(|| Err(Error::invalid(format!("node {id} left its memtable"))))?
            }
        };
        Ok(Match { node_id: id, score: hit.score, seqno: row_seqno, metadata, vector })
    }
}

fn scan_chunk(scan: &ExactScan, chunk: &Chunk, seqno: SeqNo, filter: Option<&Filter>, top: &mut TopK<Place>) {
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

/// The scan of one segment.
struct SegmentPass<'a> {
    core: &'a Core,
    scan: &'a ExactScan,
    segment: &'a Arc<Segment>,
    at: u32,
    seqno: SeqNo,
}

impl SegmentPass<'_> {
    fn scan_all(&self, top: &mut TopK<Place>) -> Result<()> {
        let all_visible = self.segment.all_visible_at(self.seqno);
        let see = |ordinal| Ok(all_visible || self.segment.visible_at(ordinal, self.seqno)?);
        self.blocks(top, |_| None, see)
    }

    fn scan_filtered(&self, filter: &Filter, top: &mut TopK<Place>) -> Result<()> {
        let candidates = self.segment.candidates(filter)?;
        if candidates.bitmap.is_empty() {
            return Ok(());
        }
        let few = candidates.bitmap.len() < u64::from(self.segment.rows()) / LISTED_SHARE;
        let listed = |start: u32| {
            let rows = candidates.bitmap.range(start..start.saturating_add(SCAN_ROWS));
            few.then(|| rows.map(|ordinal| ordinal - start).collect())
        };
        self.blocks(top, listed, |ordinal| self.sees(ordinal, filter, &candidates))
    }

    fn sees(&self, ordinal: RowOrdinal, filter: &Filter, candidates: &Candidates) -> Result<bool> {
        Ok(candidates.bitmap.contains(ordinal)
            && self.segment.visible_at(ordinal, self.seqno)?
            && self.core.is_match(self.segment, ordinal, filter, candidates)?)
    }

    /// Scores the rows block by block: those that `listed` gives for a block, all if it gives none.
    /// `see` is asked only about rows that would be among the best.
    fn blocks(
        &self,
        top: &mut TopK<Place>,
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
                let admit = |at: u32| {
                    self.place(start + at, &see).unwrap_or_else(|error| {
                        failed.get_or_insert(error);
                        None
                    })
                };
                self.scan.scan_block(block, list.as_deref().map_or(Rows::All, Rows::Listed), admit, top);
            }
            start = end;
        }
        failed.map_or(Ok(()), Err)
    }

    fn place(&self, ordinal: RowOrdinal, see: &impl Fn(RowOrdinal) -> Result<bool>) -> Result<Option<Place>> {
        if !see(ordinal)? {
            return Ok(None);
        }
        let source = Source::Segment(self.at, ordinal);
        Ok(Some(Place { id: self.segment.id(ordinal)?, source }))
    }
}
