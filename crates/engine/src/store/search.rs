//! Search at a SeqNo: memtables and segments are scanned, the best rows are checked, and their metadata is fetched.
//!
//! What always holds: a row whose vector is kept has the score of that vector, whichever way it was found; a row that
//! has nothing but a code has the score that its code is estimated at, or in an exact search that of what it decodes
//! to; ties go by id; a search of many requests finds for each what it finds alone.
//!
//! Where there is an index ([`indexed`]), or there are codes, of segments ([`coded`]) or in memory ([`fresh`]), the nearest by
//! those are candidates, of all segments together, and are ranked anew by their vectors ([`rank`]). All other rows are
//! scored by their vectors ([`exact`]).

mod coded;
mod exact;
mod fresh;
mod hybrid;
mod indexed;
mod rank;
mod score;
mod text;

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use codegraph_vector_ann::codec::CodecReport;
use codegraph_vector_ann::{ExactScan, Hit, TopK};
use codegraph_vector_base::{Error, NodeId, Result, RowOrdinal, SeqNo};

use super::core::Core;
use super::pending_row::check_vector;
use super::rows::check_memory;
use crate::filter::Filter;
use crate::id_map::NodeIdSet;
use crate::memtable::MemRow;
use crate::node::NodeMetadata;
use crate::version::Version;
use coded::CodedSearches;
use exact::SegmentPass;
use indexed::IndexedSearches;
use rank::{Ranking, SegmentRow};

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
    /// Where rows are found by codes or an index: how many of the nearest by those are ranked anew by their vectors, at
    /// least [`limit`](Self::limit); unless said, as many as an index was found to need, or 100 by codes. Codes may leave
    /// out some of the nearest: more candidates find more of them.
    pub rerank: Option<usize>,
    /// Where there is an index: the share of the nearest that is to be found, from 0 to 1; 0.95 unless said. What it takes
    /// was measured when the index was built.
    pub effort: Option<f32>,
    /// The same as a number of the index's own: cells that are looked at, or nodes of a graph that are kept in sight. More
    /// finds more, in every kind of index. Goes before [`effort`](Self::effort).
    pub ef: Option<usize>,
    /// Only nodes of at least this score: those within a radius, the nearest [`limit`](Self::limit) of them.
    pub min_score: Option<f32>,
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
            effort: None,
            ef: None,
            min_score: None,
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

    /// The same with that effort; see [`SearchRequest::effort`].
    #[must_use]
    pub fn with_effort(mut self, recall: f32) -> Self {
        self.effort = Some(recall);
        self
    }

    /// The same with that effort; see [`SearchRequest::ef`].
    #[must_use]
    pub fn with_ef(mut self, ef: usize) -> Self {
        self.ef = Some(ef);
        self
    }

    /// The same within a radius; see [`SearchRequest::min_score`].
    #[must_use]
    pub fn with_min_score(mut self, score: f32) -> Self {
        self.min_score = Some(score);
        self
    }

    /// The same near a node's vector, among other nodes.
    pub(crate) fn like(&self, id: NodeId, vector: Vec<f32>) -> Self {
        let others = !Filter::ids([id]);
        let filter = match &self.filter {
            Some(filter) => filter.clone().and(others),
            None => others,
        };
        Self { vector, filter: Some(filter), ..self.clone() }
    }

    /// Refuses what cannot be.
    fn check(&self) -> Result<()> {
        if let Some(effort) = self.effort.filter(|effort| !(0.0..=1.0).contains(effort)) {
            return Err(Error::invalid(format!("effort is {effort}, and must be from 0 to 1")));
        }
        if self.ef == Some(0) {
            return Err(Error::invalid("ef is 0, and must be at least 1"));
        }
        if self.min_score.is_some_and(f32::is_nan) {
            return Err(Error::invalid("the least score is not a number"));
        }
        check(self.limit, self.filter.as_ref())
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
    /// The commit that wrote this version of it; [`SeqNo::MAX`] if none has yet, since it is that of an open transaction.
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
    /// Whether rows are left out because they lie in a damaged segment; see
    /// [`quarantined`](crate::PersistentVectorStore::quarantined). Those that are here are right.
    pub degraded: bool,
}

impl SearchResults {
    /// The same of less than all rows, if so: better ones may be among the others.
    pub(crate) fn degraded_if(mut self, degraded: bool) -> Self {
        self.degraded |= degraded;
        self.exact &= !degraded;
        self
    }
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
    /// The same of a row whose vector was held against its checksum in this search.
    Checked(u32, RowOrdinal),
}

impl Place {
    /// Where it is, if that is in a segment.
    fn segment_row(&self) -> Option<SegmentRow> {
        match self.source {
            Source::Memory => None,
            Source::Segment(at, ordinal) | Source::Checked(at, ordinal) => Some(SegmentRow { at, ordinal }),
        }
    }
}

/// A request at work.
struct Search<'r> {
    request: &'r SearchRequest,
    scan: ExactScan,
    top: TopK<Place>,
    /// See [`SearchResults::exact`].
    exact: bool,
}

/// Those of some searches that do not ask to be exact, those without a filter first, and how many these are: they look at
/// the same rows, together.
fn inexact<'s, 'r>(searches: &'s mut [Search<'r>]) -> (Vec<&'s mut Search<'r>>, usize) {
    let mut searches: Vec<_> = searches.iter_mut().filter(|search| !search.request.exact).collect();
    searches.sort_by_key(|search| search.request.filter.is_some());
    let together = searches.partition_point(|search| search.request.filter.is_none());
    (searches, together)
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
        requests.iter().try_for_each(|request| self.check_search(request))?;
        let (found, degraded) = self.around_damage(version, |version| {
            let searches = self.find(version, seqno, requests)?;
            let finished = searches.into_iter().map(|search| self.finish(version, seqno, search, |_| true));
            finished.collect::<Result<Vec<_>>>()
        })?;
        Ok(found.into_iter().map(|results| results.degraded_if(degraded)).collect())
    }

    /// The same as [`search`](Self::search) were the rows of `hidden` not there. It looks deeper, and deeper again if too
    /// many of what it found are hidden.
    pub(crate) fn search_without(
        &self,
        version: &Version,
        seqno: SeqNo,
        request: &SearchRequest,
        hidden: &NodeIdSet,
    ) -> Result<SearchResults> {
        self.check_open()?;
        self.check_search(request)?;
        let without = |version: &Version| self.search_deeper(version, seqno, request, hidden);
        let (results, degraded) = self.around_damage(version, without)?;
        Ok(results.degraded_if(degraded))
    }

    fn search_deeper(
        &self,
        version: &Version,
        seqno: SeqNo,
        request: &SearchRequest,
        hidden: &NodeIdSet,
    ) -> Result<SearchResults> {
        let deepest = request.limit + hidden.len();
        let mut limit = 2 * request.limit;
        loop {
            limit = limit.min(deepest);
            let deeper = SearchRequest { limit, ..request.clone() };
            let search = self.find(version, seqno, std::slice::from_ref(&deeper))?.swap_remove(0);
            // An index may give fewer than there are.
            let may_be_more = search.top.len() == limit || !search.exact;
            let too_far = search.top.len() == limit
                && request.min_score.is_some_and(|least| search.top.threshold() < least);
            let search = Search { request, ..search };
            let results = self.finish(version, seqno, search, |id| !hidden.contains(&id))?;
            if results.matches.len() == request.limit || limit == deepest || !may_be_more || too_far {
                return Ok(results);
            }
            limit *= 4;
        }
    }

    fn check_search(&self, request: &SearchRequest) -> Result<()> {
        check_vector(&request.vector, self.dimension, self.metric)
            .map_err(|error| error.context("the query vector"))?;
        request.check()
    }

    /// What there is for each of several requests.
    fn find<'r>(
        &self,
        version: &Version,
        seqno: SeqNo,
        requests: &'r [SearchRequest],
    ) -> Result<Vec<Search<'r>>> {
        let mut searches: Vec<_> = requests.iter().map(|request| self.begin(request)).collect();
        self.counters.searches.fetch_add(requests.len() as u64, Ordering::Relaxed);
        for search in &mut searches {
            fresh::scan_memtables(version, seqno, search);
        }
        self.scan_segments(version, seqno, &mut searches)?;
        Ok(searches)
    }

    fn begin<'r>(&self, request: &'r SearchRequest) -> Search<'r> {
        self.queries.push(&request.vector);
        let scan = ExactScan::new(self.metric, &request.vector);
        Search { request, scan, top: TopK::new(request.limit), exact: true }
    }

    fn scan_segments(&self, version: &Version, seqno: SeqNo, searches: &mut [Search<'_>]) -> Result<()> {
        let by_codes = searches.iter().any(|search| !search.request.exact);
        let groups =
            if by_codes { coded::groups(version)? } else { vec![Vec::new(); version.segments.len()] };
        let segments = version.segments.iter();
        let indexes = segments.map(|segment| if by_codes { segment.usable_index() } else { Ok(None) });
        let indexes = indexes.collect::<Result<Vec<_>>>()?;
        for (at, segment) in version.segments.iter().enumerate() {
            let pass = SegmentPass { core: self, segment, at: at as u32, seqno };
            let by_vectors = groups[at].is_empty() && indexes[at].is_none();
            for search in searches.iter_mut().filter(|search| search.request.exact || by_vectors) {
                pass.scan(search)?;
            }
        }
        if !by_codes {
            return Ok(());
        }
        let ranking = Ranking::new(version, &groups);
        let mut indexed = IndexedSearches::new(version, &indexes, searches);
        indexed.scan(self, seqno)?;
        indexed.rank_anew(&ranking)?;
        // Where there is an index, codes are for ranking only.
        let scanned = groups.iter().zip(&indexes);
        let scanned: Vec<_> =
            scanned.map(|(groups, index)| if index.is_some() { &[] } else { &groups[..] }).collect();
        let mut coded = CodedSearches::new(version, searches, &scanned);
        coded.scan(self, version, seqno)?;
        coded.rank_anew(&ranking)
    }

    /// The best of what was found and may be shown.
    fn finish(
        &self,
        version: &Version,
        seqno: SeqNo,
        search: Search<'_>,
        shows: impl Fn(NodeId) -> bool,
    ) -> Result<SearchResults> {
        let Search { request, top, exact, .. } = search;
        let near = |hit: &Hit<Place>| request.min_score.is_none_or(|least| hit.score >= least);
        let hits = top.into_sorted().into_iter().take_while(near);
        let hits: Vec<_> = hits.filter(|hit| shows(hit.key.id)).take(request.limit).collect();
        for row in hits.iter().filter_map(|hit| hit.key.segment_row()) {
            version.segments[row.at as usize].prefetch_seqno(row.ordinal);
        }
        let matches =
            hits.into_iter().map(|hit| self.resolve(version, seqno, request, hit)).collect::<Result<_>>()?;
        Ok(SearchResults { matches, score_kind: self.metric.into(), seqno, exact, degraded: false })
    }

    /// A hit with what was asked for; its vector is held against its checksum first, unless it was already.
    fn resolve(
        &self,
        version: &Version,
        seqno: SeqNo,
        request: &SearchRequest,
        hit: Hit<Place>,
    ) -> Result<Match> {
        let Place { id, source } = hit.key;
        let (row_seqno, vector, metadata, exact) = match source {
            Source::Segment(at, ordinal) | Source::Checked(at, ordinal) => {
                let segment = &version.segments[at as usize];
                let is_needed = request.with_vector || matches!(source, Source::Segment(..));
                segment.check_norm(ordinal)?;
                let vector = is_needed.then(|| segment.vector(ordinal)).transpose()?;
                let vector = vector.filter(|_| request.with_vector).map(Cow::into_owned);
                let encoded =
                    request.with_metadata.then(|| segment.encoded_metadata(ordinal, &self.caches()));
                let metadata =
                    encoded.transpose()?.map(|encoded| NodeMetadata::decode(&encoded)).transpose()?;
                (segment.seqno(ordinal)?, vector, metadata, segment.is_exact())
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
