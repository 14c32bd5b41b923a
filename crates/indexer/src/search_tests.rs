use codegraph_vector::{CodeNode, EmbedderId, ErrorKind, PersistentVectorStore, QUALIFIED_NAME};
use tempfile::TempDir;

use super::*;
use crate::embed::NodeText;

/// Knows two words.
struct TwoWords;

impl Embedder for TwoWords {
    fn id(&self) -> EmbedderId {
        EmbedderId { name: "two-words".into(), version: "1".into(), parameters: String::new() }
    }
    fn dimension(&self) -> usize {
        2
    }
    fn batch(&self) -> usize {
        1
    }
    fn concurrency(&self) -> usize {
        1
    }
    fn embed_nodes(&self, nodes: &[NodeText<'_>]) -> Result<Vec<Vec<f32>>> {
        nodes.iter().map(|node| self.embed_query(node.name)).collect()
    }
    fn embed_query(&self, text: &str) -> Result<Vec<f32>> {
        Ok(["left", "right"].map(|word| f32::from(u8::from(text.contains(word)))).into())
    }
}

fn node(id: NodeId, vector: [f32; 2], name: &str, lines: (u32, u32)) -> CodeNode {
    CodeNode::new(id, vector.into())
        .with_path("src/a.rs")
        .with_name(name)
        .with_kind("function")
        .with_lines(lines.0, lines.1)
        .with_attribute(QUALIFIED_NAME, name)
}

/// A file of 20 lines with a module on 2..=18, of it a method on 4..=8, in it two functions on line 5.
fn store() -> (TempDir, Snapshot) {
    let folder = tempfile::tempdir().unwrap();
    let store = PersistentVectorStore::new(folder.path().join("s"), folder.path().join("b"), 2).unwrap();
    let file = node(file_id("src/a.rs"), [1.0, 1.0], "a", (1, 20));
    let nodes = [
        file,
        node(2, [1.0, 0.0], "m", (2, 18)),
        node(3, [1.0, 0.1], "m::left", (4, 8)),
        node(4, [0.0, 1.0], "m::left::f", (5, 5)),
        node(5, [0.1, 1.0], "m::left::f::g", (5, 5)),
        node(6, [0.0, 1.0], "elsewhere", (1, 9)).with_path("src/b.rs"),
    ];
    store.put_batch(&nodes).unwrap();
    let snapshot = store.snapshot().unwrap();
    (folder, snapshot)
}

fn ids(found: Result<Found>) -> Vec<NodeId> {
    found.unwrap().matches.into_iter().map(|found| found.node_id).collect()
}

#[test]
fn a_question_finds_what_is_near_it() {
    let (_folder, snapshot) = store();
    let mut options = SearchOptions { limit: 2, filter: Filter::everything(), exact: false };
    assert_eq!(ids(search_text(&snapshot, SearchBy::Vector(&TwoWords), "the left one", &options)), [2, 3]);
    let found = search_text(&snapshot, SearchBy::Vector(&TwoWords), "right", &options).unwrap().matches;
    assert_eq!(found[0].metadata.as_ref().and_then(qualified_name), Some("m::left::f"));
    options.filter = Filter::path("src/b.rs");
    assert_eq!(ids(search_text(&snapshot, SearchBy::Vector(&TwoWords), "left right", &options)), [6]);
    assert!(
        search_text(&snapshot, SearchBy::Vector(&TwoWords), "neither", &options).unwrap().matches.is_empty()
    );
    options.limit = 0;
    assert_eq!(
        search_text(&snapshot, SearchBy::Vector(&TwoWords), "left", &options).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn a_question_goes_by_words_by_vectors_or_by_both() {
    let (_folder, snapshot) = store();
    let options = SearchOptions { limit: 9, filter: Filter::everything(), exact: false };
    let by = |by, question| ids(search_text(&snapshot, by, question, &options));
    // Two nodes have the word in their names; the one that is called so, and nothing else, comes first.
    assert_eq!(by(SearchBy::Text, "elsewhere"), [6]);
    assert_eq!(by(SearchBy::Text, "m.left.F()")[0], 4);
    assert!(by(SearchBy::Text, "right").is_empty());
    // By vector the word means what it does to the embedder; both together know both.
    assert_eq!(by(SearchBy::Vector(&TwoWords), "right")[..2], [4, 6]);
    assert_eq!(by(SearchBy::Both(&TwoWords), "right")[..2], [4, 6]);
    assert_eq!(by(SearchBy::Both(&TwoWords), "elsewhere"), [6], "the embedder knows no word of it");
    assert_eq!(by(SearchBy::Both(&TwoWords), "m::left::f::g")[0], 5, "what is named so comes first");
    let only = SearchOptions { limit: 1, filter: Filter::path("src/b.rs"), exact: true };
    assert_eq!(ids(search_text(&snapshot, SearchBy::Both(&TwoWords), "left right", &only)), [6]);
}

#[test]
fn what_is_like_a_node_is_not_that_node() {
    let (_folder, snapshot) = store();
    let options = SearchOptions { limit: 2, filter: Filter::everything(), exact: false };
    assert_eq!(ids(search_like(&snapshot, 4, &options)), [6, 5]);
    let options = SearchOptions { limit: 9, filter: Filter::path("src/b.rs"), exact: false };
    assert_eq!(ids(search_like(&snapshot, 4, &options)), [6]);
    assert!(search_like(&snapshot, 6, &options).unwrap().matches.is_empty());
    assert_eq!(search_like(&snapshot, 99, &options).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn the_innermost_node_is_at_a_line() {
    let (_folder, snapshot) = store();
    let at = |line| node_at(&snapshot, "src/a.rs", line).unwrap().map(|(id, _)| id);
    assert_eq!([2, 4, 5, 6, 8, 9, 18].map(at), [2, 3, 5, 3, 3, 2, 2].map(Some));
    assert_eq!([1, 19, 20, 99].map(at), [Some(file_id("src/a.rs")); 4]);
    assert_eq!(node_at(&snapshot, "src/b.rs", 3).unwrap().map(|(id, _)| id), Some(6));
    assert_eq!(node_at(&snapshot, "src/b.rs", 10).unwrap(), None);
    assert_eq!(node_at(&snapshot, "src/c.rs", 1).unwrap(), None);
}
