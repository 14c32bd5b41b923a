//! Finding nodes: by a question in plain words, by being like another node, by place.

use std::cmp::Reverse;

use codegraph_vector::{
    AttributeValue, Filter, Match, NodeId, NodeMetadata, QUALIFIED_NAME, Result, SearchRequest,
    SearchResults, Snapshot, TextRequest,
};

use crate::embed::Embedder;
use crate::index::file_id;

/// What a question goes by.
#[derive(Clone, Copy)]
pub enum SearchBy<'a> {
    /// What its words mean to an embedder, and where they are: both rankings, fused.
    Both(&'a dyn Embedder),
    /// What its words mean to an embedder.
    Vector(&'a dyn Embedder),
    /// Where its words are.
    Text,
}

/// Matches that an embedder takes a second look at, at least.
const RECONSIDERED: usize = 100;

/// How much the ranking by words counts beside that by vectors. From a third to a half it makes no difference.
const TEXT_SHARE: f32 = 0.5;

/// Which nodes may be found, and how many.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// Number of results.
    pub limit: usize,
    /// Only nodes that match.
    pub filter: Filter,
    /// Whether every vector is looked at, codes or not.
    pub exact: bool,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Best first, with metadata.
    pub matches: Vec<Match>,
    /// Whether nodes are left out because they lie in a damaged segment; see
    /// [`SearchResults::degraded`](codegraph_vector::SearchResults::degraded).
    pub degraded: bool,
}

impl From<SearchResults> for Found {
    fn from(results: SearchResults) -> Self {
        Self { matches: results.matches, degraded: results.degraded }
    }
}

/// The nodes that answer a question best, best first, with metadata. None if no word of it is known.
///
/// # Errors
/// Whatever the embedder or the store fails with.
pub fn search_text(
    snapshot: &Snapshot,
    by: SearchBy<'_>,
    text: &str,
    options: &SearchOptions,
) -> Result<Found> {
    let by_text = TextRequest { filter: narrowed(&options.filter), ..TextRequest::new(text, options.limit) };
    let (embedder, fused) = match by {
        SearchBy::Both(embedder) => (embedder, true),
        SearchBy::Vector(embedder) => (embedder, false),
        SearchBy::Text => return Ok(snapshot.search_text(&by_text)?.into()),
    };
    let mut found = by_vector(snapshot, embedder, text, options)?;
    if fused {
        let ranking: Vec<NodeId> = found.matches.iter().map(|found| found.node_id).collect();
        let fused = Found::from(snapshot.search_fused(&by_text, &ranking, TEXT_SHARE)?);
        return Ok(Found { degraded: found.degraded || fused.degraded, ..fused });
    }
    found.matches.truncate(options.limit);
    Ok(found)
}

/// The nodes that an embedder finds, best first; more than were asked for.
fn by_vector(
    snapshot: &Snapshot,
    embedder: &dyn Embedder,
    text: &str,
    options: &SearchOptions,
) -> Result<Found> {
    let vector = embedder.embed_query(text)?;
    // A vector without a direction is near to nothing.
    if vector.iter().all(|number| *number == 0.0) {
        return Ok(Found::default());
    }
    // None at all is for the store to refuse.
    let limit = if options.limit == 0 { 0 } else { options.limit.max(RECONSIDERED) };
    let mut found = Found::from(snapshot.search(&options.request(vector, limit))?);
    embedder.reconsider(text, &mut found.matches);
    found.matches.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.node_id.cmp(&b.node_id)));
    Ok(found)
}

/// The nodes most like another one, which is not among them; best first, with metadata.
///
/// # Errors
/// `NotFound` if there is no such node; whatever the store fails with.
pub fn search_like(snapshot: &Snapshot, id: NodeId, options: &SearchOptions) -> Result<Found> {
    Ok(snapshot.search_like(id, &options.request(Vec::new(), options.limit))?.into())
}

impl SearchOptions {
    /// What the store is asked.
    fn request(&self, vector: Vec<f32>, limit: usize) -> SearchRequest {
        let mut request = SearchRequest::new(vector, limit).with_exact(self.exact);
        request.filter = narrowed(&self.filter);
        request
    }
}

/// A filter that leaves something out.
fn narrowed(filter: &Filter) -> Option<Filter> {
    (!filter.is_everything()).then(|| filter.clone())
}

/// The innermost node at a line of a file; the file's own node if there is no other.
///
/// # Errors
/// Whatever the store fails with.
pub fn node_at(snapshot: &Snapshot, path: &str, line: u32) -> Result<Option<(NodeId, NodeMetadata)>> {
    let at =
        Filter::path(path).and(Filter::range("start_line", ..=line)).and(Filter::range("end_line", line..));
    let mut innermost: Option<(_, NodeId, NodeMetadata)> = None;
    for id in snapshot.ids(&at.and(!Filter::ids([file_id(path)])))? {
        let Some(node) = snapshot.get(id)? else { continue };
        let metadata = node.metadata();
        let lines = metadata.end_line.zip(metadata.start_line).map(|(end, start)| end.abs_diff(start));
        // Of several on one line, the one whose name says that it is in the others.
        let name_bytes = qualified_name(&metadata).map_or(0, str::len);
        let place = (lines, Reverse(name_bytes), id);
        if innermost.as_ref().is_none_or(|(inner, ..)| place < *inner) {
            innermost = Some((place, id, metadata));
        }
    }
    match innermost {
        Some((_, id, metadata)) => Ok(Some((id, metadata))),
        None => file_node(snapshot, path),
    }
}

/// The node of a file itself.
pub(crate) fn file_node(snapshot: &Snapshot, path: &str) -> Result<Option<(NodeId, NodeMetadata)>> {
    let id = file_id(path);
    Ok(snapshot.get(id)?.map(|node| (id, node.metadata())))
}

/// A node's name within its file, such as `Store::open`, where the indexer recorded one.
pub fn qualified_name(metadata: &NodeMetadata) -> Option<&str> {
    match metadata.attributes.get(QUALIFIED_NAME) {
        Some(AttributeValue::Text(name)) => Some(name),
        _ => None,
    }
}

/// An attribute as filters name it.
pub(crate) fn attribute(name: &str) -> String {
    format!("attributes.{name}")
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
