//! Search at a SeqNo: memtables and segments are scanned, the best rows are checked, and their metadata is fetched.
//!
//! What always holds: a row whose vector is kept has the score of that vector, whichever way it was found; a row that
//! has nothing but a code has the score that its code is estimated at, or in an exact search that of what it decodes
//! to; ties go by id; a search of many requests finds for each what it finds alone.
//!
//! Rows without codes are scored by their vectors ([`exact`]). Where there are codes, the nearest by those are
//! candidates ([`coded`]), of all segments together, and are ranked anew by their vectors.

mod coded;
mod exact;
mod hybrid;
mod score;
mod text;

use std::sync::atomic::Ordering;

use codegraph_vector_ann::codec::CodecReport;
use codegraph_vector_ann::{ExactScan, Hit, TopK};
use codegraph_vector_base::{Error, NodeId, Result, RowOrdinal, SeqNo};

use super::core::Core;
use super::rows::check_memory;
use super::write::check_vector;
use crate::filter::Filter;
use crate::memtable::MemRow;
use crate::node::NodeMetadata;
use crate::version::Version;
use coded::CodedSearches;
use exact::{SegmentPass, scan_chunk};

pub use hybrid::HybridRequest;
pub(crate) use hybrid::{DEPTH, Ranked};
pub use score::ScoreKind;
pub use text::TextRequest;

/// Most results of one search.
pub const MAX_LIMIT: usize = 10_000;

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
    /// Whether every vector is looked at, codes or not; of rows that have nothing but a code, what it decodes to.
    pub exact: bool,
    /// Where rows have codes: how many of the nearest by codes are ranked anew by their vectors, at least
    /// [`limit`](Self::limit); 100 unless said, or the limit if that is more. Codes may leave out some of the nearest:
    /// more candidates find more of them.
    pub rerank: Option<usize>,
}

impl SearchRequest {
    /// The `limit` nodes nearest to `vector`, with metadata.
    pub fn new(vector: impl Into<Vec<f32>>, limit: usize) -> Self {
        Self {
            vector: vector.into(),
            limit,
            filter: None,
            with_metadata: true,
            with_vector: false,
            exact: false,
            rerank: None,
        }
    }

    /// The same among nodes that match `filter`.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// The same, looking at every vector or not; see [`SearchRequest::exact`].
    #[must_use]
    pub fn with_exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    /// The same with so many candidates; see [`SearchRequest::rerank`].
    #[must_use]
    pub fn with_rerank(mut self, rows: usize) -> Self {
        self.rerank = Some(rows);
        self
    }

    /// Rows by codes that are ranked anew.
    fn candidates(&self) -> usize {
        self.rerank.unwrap_or(CodecReport::RERANK).max(self.limit)
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
    /// Its vector, if asked for.
    pub vector: Option<Vec<f32>>,
    /// Whether score and vector are those of the vector as it was given. Else they come from half floats, or from
    /// nothing but a code.
    pub exact: bool,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchResults {
    /// Best first; equal scores in order of id.
    pub matches: Vec<Match>,
    /// What a score is.
    pub score_kind: ScoreKind,
    /// The state that was searched.
    pub seqno: SeqNo,
    /// Whether these are the nearest for sure: every row that might be among them was scored by its vector as it was
    /// given.
    pub exact: bool,
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

/// A request at work.
struct Search<'r> {
    request: &'r SearchRequest,
    scan: ExactScan,
    top: TopK<Place>,
    /// See [`SearchResults::exact`].
    exact: bool,
}

/// Refuses what no search can do.
fn check(limit: usize, filter: Option<&Filter>) -> Result<()> {
    if limit == 0 || limit > MAX_LIMIT {
        let message = format!("limit is {limit}, and must be from 1 to {MAX_LIMIT}");
        return Err(Error::invalid(message));
    }
    filter.map_or(Ok(()), Filter::check)
}

impl Core {
    /// The nearest rows that a reader at `seqno` sees.
    pub(crate) fn search(
        &self,
        version: &Version,
        seqno: SeqNo,
        request: &SearchRequest,
    ) -> Result<SearchResults> {
        let mut all = self.search_many(version, seqno, std::slice::from_ref(request))?;
        Ok(all.swap_remove(0))
    }

    /// The same for each of several requests.
    pub(crate) fn search_many(
        &self,
        version: &Version,
        seqno: SeqNo,
        requests: &[SearchRequest],
    ) -> Result<Vec<SearchResults>> {
        self.check_open()?;
        let begun = requests.iter().map(|request| self.begin(request));
        let mut searches = begun.collect::<Result<Vec<Search<'_>>>>()?;
        self.counters.searches.fetch_add(requests.len() as u64, Ordering::Relaxed);
        for Search { request, scan, top, .. } in &mut searches {
            let filter = request.filter.as_ref();
            for table in version.memtables() {
                table.each_chunk(|chunk| scan_chunk(scan, chunk, seqno, filter, top));
            }
        }
        self.scan_segments(version, seqno, &mut searches)?;
        searches.into_iter().map(|search| self.finish(version, seqno, search)).collect()
    }

    fn begin<'r>(&self, request: &'r SearchRequest) -> Result<Search<'r>> {
        check_vector(&request.vector, self.dimension, self.metric)
            .map_err(|error| error.context("the query vector"))?;
        check(request.limit, request.filter.as_ref())?;
        self.queries.push(&request.vector);
        let scan = ExactScan::new(self.metric, &request.vector);
        Ok(Search { request, scan, top: TopK::new(request.limit), exact: true })
    }

    fn scan_segments(&self, version: &Version, seqno: SeqNo, searches: &mut [Search<'_>]) -> Result<()> {
        let by_codes = searches.iter().any(|search| !search.request.exact);
        let groups =
            if by_codes { coded::groups(version)? } else { vec![Vec::new(); version.segments.len()] };
        for (at, (segment, groups)) in version.segments.iter().zip(&groups).enumerate() {
            let pass = SegmentPass { core: self, segment, at: at as u32, seqno };
            for search in searches.iter_mut().filter(|search| search.request.exact || groups.is_empty()) {
                pass.scan(search)?;
            }
        }
        if !by_codes {
            return Ok(());
        }
        let mut coded = CodedSearches::new(version, searches, &groups);
        coded.scan(self, version, seqno)?;
        coded.rank_anew(version)
    }

    fn finish(&self, version: &Version, seqno: SeqNo, search: Search<'_>) -> Result<SearchResults> {
        let Search { request, top, exact, .. } = search;
        let hits = top.into_sorted().into_iter();
        let matches = hits.map(|hit| self.resolve(version, seqno, request, hit)).collect::<Result<_>>()?;
        Ok(SearchResults { matches, score_kind: self.metric.into(), seqno, exact })
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
        let (row_seqno, vector, metadata, exact) = match source {
            Source::Segment(at, ordinal) => {
                let segment = &version.segments[at as usize];
                let vector = segment.vector(ordinal)?;
                let vector = request.with_vector.then(|| vector.into_owned());
                let encoded =
                    request.with_metadata.then(|| segment.encoded_metadata(ordinal, &self.caches()));
                let metadata =
                    encoded.transpose()?.map(|encoded| NodeMetadata::decode(&encoded)).transpose()?;
                (segment.columns(ordinal)?.seqno, vector, metadata, segment.is_exact())
            }
            Source::Memory => {
                let read = |row: &MemRow, vector: &[f32], _| {
                    check_memory(row, vector)?;
                    let vector = request.with_vector.then(|| vector.to_vec());
                    let metadata = request.with_metadata.then(|| (*row.metadata).clone());
                    Ok((row.seqno, vector, metadata, true))
                };
                let found = version.memtables().find_map(|table| table.get(id, seqno, read));
                found.unwrap_or_else(|| Err(Error::invalid(format!("node {id} left its memtable"))))?
            }
        };
        Ok(Match { node_id: id, score: hit.score, seqno: row_seqno, metadata, vector, exact })
    }
}
