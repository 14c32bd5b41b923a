//! A read view: a pinned version at a SeqNo. Opening one takes no lock; it never changes.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, RowChecksum, SeqNo};

use super::core::Handle;
use super::rows::Row;
use super::search::{DEPTH, HybridRequest, Ranked, SearchRequest, SearchResults, TextRequest};
use crate::filter::Filter;
use crate::memtable::MemRow;
use crate::node::{CodeNode, NodeMetadata, node_id_text};
use crate::version::Version;

/// What the store keeps of a vector beside the vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorMetadata {
    /// The node.
    pub node_id: NodeId,
    /// The commit that wrote this version.
    pub seqno: SeqNo,
    /// When the node was first stored, in µs since the Unix epoch. Replacing keeps it, deleting does not.
    pub created_us: u64,
    /// When this version was committed, in µs since the Unix epoch.
    pub updated_us: u64,
    /// Euclidean length of the vector as given.
    pub norm: f32,
    /// Whether the vector is kept as given, bit for bit; else what is read is near it.
    pub exact: bool,
    /// What the vector's code was made by, as a [`CodecSpec`](crate::CodecSpec)'s text, if it has a code.
    pub codec: Option<String>,
    /// Bytes that are kept of the vector: as given, as half floats, or as nothing but a code.
    pub vector_bytes: u64,
    /// Bytes of the encoded metadata, before compression.
    pub metadata_bytes: u64,
    /// Checksum of both.
    pub checksum: RowChecksum,
}

/// The store as it was at one commit. Holding it keeps the files and memory it needs.
#[derive(Clone)]
pub struct Snapshot {
    core: Arc<Handle>,
    version: Arc<Version>,
    seqno: SeqNo,
}

impl Snapshot {
    pub(crate) fn open(core: &Arc<Handle>) -> Result<Self> {
        core.check_open()?;
        let (version, seqno) = core.read_point();
        Ok(Self { core: core.clone(), version, seqno })
    }

    /// The commit that this shows.
    pub fn seqno(&self) -> SeqNo {
        self.seqno
    }

    /// A node with its vector, bit for bit as it was given unless [`VectorMetadata::exact`] says otherwise.
    ///
    /// # Errors
    /// `Corrupt` if what is stored of it is damaged.
    pub fn get(&self, id: NodeId) -> Result<Option<CodeNode>> {
        let row = self.row(id)?;
        row.map(|row| Ok(CodeNode::from_parts(row.id, row.vector, NodeMetadata::decode(&row.encoded)?)))
            .transpose()
    }

    /// What is kept of a node's vector.
    ///
    /// # Errors
    /// `Corrupt` if what is stored of the node, or the codes of its segment, are damaged.
    pub fn vector_metadata(&self, id: NodeId) -> Result<Option<VectorMetadata>> {
        let Some(row) = self.row(id)? else { return Ok(None) };
        let kept = row.kept()?;
        Ok(Some(VectorMetadata {
            node_id: id,
            seqno: row.columns.seqno,
            created_us: row.columns.created_us,
            updated_us: row.columns.updated_us,
            norm: row.columns.norm,
            exact: kept.exact,
            codec: kept.codec,
            vector_bytes: kept.bytes,
            metadata_bytes: row.encoded.len() as u64,
            checksum: row.columns.checksum,
        }))
    }

    /// Whether [`get`](Self::get) gives a node's vector as it was given, bit for bit; of a node that is not there, too.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn is_exact(&self, id: NodeId) -> Result<bool> {
        self.core.check_open()?;
        for segment in self.version.segments.iter().filter(|segment| !segment.is_exact()) {
            if segment.find(id, self.seqno)?.is_some() {
                return Ok(false);
            }
        }
        if self.version.check_complete().is_err() {
            self.core.contains(&self.version, self.seqno, id)?;
        }
        Ok(true)
    }

    fn row(&self, id: NodeId) -> Result<Option<Row>> {
        self.core.check_open()?;
        self.core.find_row(&self.version, self.seqno, id)
    }

    /// The nearest nodes. Where there is an index or there are codes, candidates are found by those and ranked anew by
    /// their vectors, unless the request is [`exact`](SearchRequest::exact).
    ///
    /// # Errors
    /// `InvalidInput` for a vector, limit or filter that cannot be. Damage is none: its segment is left out, and the results are
    /// [`degraded`](SearchResults::degraded).
    pub fn search(&self, request: &SearchRequest) -> Result<SearchResults> {
        self.core.search(&self.version, self.seqno, request)
    }

    /// The nodes most like another one, which is not among them; `request` tells how many, among which, and how to look,
    /// but for its vector.
    ///
    /// # Errors
    /// `NotFound` if there is no such node; as [`search`](Self::search).
    pub fn search_like(&self, id: NodeId, request: &SearchRequest) -> Result<SearchResults> {
        let row = self.row(id)?.ok_or_else(|| no_such_node(id))?;
        self.search(&request.like(id, row.vector))
    }

    /// For each of several requests what [`search`](Self::search) finds. Those without a filter share the scan of the
    /// codes, which is faster than one after the other.
    ///
    /// # Errors
    /// As [`search`](Self::search), if any of them fails.
    pub fn search_many(&self, requests: &[SearchRequest]) -> Result<Vec<SearchResults>> {
        self.core.search_many(&self.version, self.seqno, requests)
    }

    /// The same on several threads, each with a part of the requests.
    ///
    /// # Errors
    /// As [`search_many`](Self::search_many).
    pub fn search_parallel(
        &self,
        requests: &[SearchRequest],
        threads: NonZeroUsize,
    ) -> Result<Vec<SearchResults>> {
        let part = requests.len().div_ceil(threads.get()).max(1);
        let found: Vec<Result<Vec<SearchResults>>> = thread::scope(|scope| {
            let (first, others) = requests.split_at(part.min(requests.len()));
            let others = others.chunks(part).map(|part| scope.spawn(|| self.search_many(part)));
            let others: Vec<_> = others.collect();
            let first = self.search_many(first);
            let join = |other: thread::ScopedJoinHandle<'_, _>| {
                other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            std::iter::once(first).chain(others.into_iter().map(join)).collect()
        });
        let found: Vec<Vec<SearchResults>> = found.into_iter().collect::<Result<_>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The nodes whose names, paths and terms fit a text best, by BM25. What is named exactly as asked comes first.
    ///
    /// # Errors
    /// `InvalidInput` for a limit or filter that cannot be. Damage is as in [`search`](Self::search).
    pub fn search_text(&self, request: &TextRequest) -> Result<SearchResults> {
        self.core.search_text(&self.version, self.seqno, request)
    }

    /// The nodes that are near to a vector, fit a text, or both: both rankings, fused by reciprocal rank.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_hybrid(&self, request: &HybridRequest) -> Result<SearchResults> {
        self.core.search_hybrid(&self.version, self.seqno, request)
    }

    /// The nodes that fit a text, or are in a ranking that somebody made of nodes of this snapshot, best first, or both:
    /// what [`search_hybrid`](Self::search_hybrid) does of a ranking by vector. The filter is for the text alone.
    ///
    /// # Errors
    /// As [`search_text`](Self::search_text); `InvalidInput` if a node of the ranking is not in this snapshot, or
    /// `text_share` is not from 0 to 1.
    pub fn search_fused(
        &self,
        request: &TextRequest,
        ranking: &[NodeId],
        text_share: f32,
    ) -> Result<SearchResults> {
        let ranked = Ranked { ids: ranking, text_share, depth: DEPTH, with_vector: false };
        self.core.search_fused(&self.version, self.seqno, request, &ranked)
    }

    /// Ids of the nodes that match a filter, in order.
    pub fn ids(&self, filter: &Filter) -> Result<Vec<NodeId>> {
        self.core.check_open()?;
        let mut ids = self.core.matching_ids(&self.version, self.seqno, filter)?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// Number of nodes that match a filter.
    pub fn count(&self, filter: &Filter) -> Result<u64> {
        self.core.check_open()?;
        Ok(self.core.matching_ids(&self.version, self.seqno, filter)?.len() as u64)
    }

    /// Hands id and metadata of every node that matches to `visit`, once each: those in memory first, in no order, then
    /// those of one segment after the other, by path and id. Vectors are not read; metadata is decompressed a block at
    /// a time, which is all that is held in memory.
    ///
    /// # Errors
    /// `InvalidInput` for a filter that cannot be; `Corrupt` if a block it needs is damaged; that of `visit`, which
    /// ends the pass.
    pub fn each_metadata(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(NodeId, &NodeMetadata) -> Result<()>,
    ) -> Result<()> {
        self.core.check_open()?;
        self.core.each_match(&self.version, self.seqno, filter, &mut |row| visit(row.id, row.metadata()?))
    }

    /// All nodes in id order, one after the other; memory for the ids of the memtables alone.
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<CodeNode>>> {
        self.core.check_open()?;
        self.version.check_complete()?;
        let mut recent = Vec::new();
        for table in self.version.memtables() {
            table.each_chunk(|chunk| {
                let seen = |row: &&MemRow| row.visible_at(self.seqno);
                recent.extend(chunk.rows.iter().filter(seen).map(|row| row.id));
            });
        }
        recent.sort_unstable();
        let runs = self.version.segments.len();
        Ok(InIdOrder { snapshot: self.clone(), recent: recent.into_iter().peekable(), places: vec![0; runs] })
    }
}

/// What is said where a node that is asked for is not there.
pub(crate) fn no_such_node(id: NodeId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no node {}", node_id_text(id)))
}

/// Goes through memtables and segments side by side, in id order.
struct InIdOrder {
    snapshot: Snapshot,
    recent: std::iter::Peekable<std::vec::IntoIter<NodeId>>,
    /// For each segment, how many of its ids were passed.
    places: Vec<u32>,
}

impl InIdOrder {
    /// The next id of each segment that the snapshot sees, the least of them first.
    fn step(&mut self) -> Result<Option<CodeNode>> {
        let Snapshot { core, version, seqno } = &self.snapshot;
        let mut least: Option<(NodeId, usize)> = None;
        for (at, segment) in version.segments.iter().enumerate() {
            while self.places[at] < segment.rows() {
                let ordinal = segment.by_id(self.places[at])?;
                if segment.visible_at(ordinal, *seqno)? {
                    let id = segment.id(ordinal)?;
                    if least.is_none_or(|(other, _)| id < other) {
                        least = Some((id, at));
                    }
                    break;
                }
                self.places[at] += 1;
            }
        }
        if let Some(id) = self.recent.next_if(|id| least.is_none_or(|(other, _)| *id < other)) {
            return self.snapshot.get(id);
        }
        let Some((_, at)) = least else { return Ok(None) };
        let segment = &version.segments[at];
        let row = core.segment_row(segment, segment.by_id(self.places[at])?)?;
        self.places[at] += 1;
        Ok(Some(CodeNode::from_parts(row.id, row.vector, NodeMetadata::decode(&row.encoded)?)))
    }
}

impl Iterator for InIdOrder {
    type Item = Result<CodeNode>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if step.as_ref().is_some_and(Result::is_err) {
            // An error ends the iteration: what follows would silently lack a row.
            self.places = self.snapshot.version.segments.iter().map(|segment| segment.rows()).collect();
            self.recent = Vec::new().into_iter().peekable();
        }
        step
    }
}
