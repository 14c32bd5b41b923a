//! Finding nodes: by a question in plain words, by being like another node, by place.

use codegraph_vector::{Filter, Match, NodeId, NodeMetadata, Result, Snapshot};

use crate::embed::Embedder;

/// Which nodes may be found, and how many.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// Number of results.
    pub limit: usize,
    /// Only nodes that match.
    pub filter: Filter,
}

/// The nodes that answer a question best, best first, with metadata.
///
/// # Errors
/// Whatever the embedder or the store fails with.
pub fn search_text(
    snapshot: &Snapshot,
    embedder: &dyn Embedder,
    text: &str,
    options: &SearchOptions,
) -> Result<Vec<Match>> {
    let _ = (snapshot, embedder, text, options);
    Ok(Vec::new())
}

/// The nodes most like another one, which is not among them; best first, with metadata.
///
/// # Errors
/// `NotFound` if there is no such node; whatever the store fails with.
pub fn search_like(snapshot: &Snapshot, id: NodeId, options: &SearchOptions) -> Result<Vec<Match>> {
    let _ = (snapshot, id, options);
    Ok(Vec::new())
}

/// The innermost node at a line of a file; the file's own node if there is no other.
///
/// # Errors
/// Whatever the store fails with.
pub fn node_at(snapshot: &Snapshot, path: &str, line: u32) -> Result<Option<(NodeId, NodeMetadata)>> {
    let _ = (snapshot, path, line);
    Ok(None)
}
