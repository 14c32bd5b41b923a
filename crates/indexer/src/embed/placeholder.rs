//! Stands in for `lexical` and `NodeText::render`, which are written elsewhere. Not to be merged.

use codegraph_vector::{EmbedderId, Error, PersistentVectorStore, Result};

use super::{Embedder, NodeText};

/// There is none.
pub(super) enum LexicalEmbedder {}

impl LexicalEmbedder {
    pub(super) fn open(_: Option<&PersistentVectorStore>) -> Result<Self> {
        Err(Error::invalid("there is no lexical embedder yet"))
    }
}

impl Embedder for LexicalEmbedder {
    fn id(&self) -> EmbedderId {
        match *self {}
    }

    fn dimension(&self) -> usize {
        match *self {}
    }

    fn batch(&self) -> usize {
        match *self {}
    }

    fn concurrency(&self) -> usize {
        match *self {}
    }

    fn embed_nodes(&self, _: &[NodeText<'_>]) -> Result<Vec<Vec<f32>>> {
        match *self {}
    }

    fn embed_query(&self, _: &str) -> Result<Vec<f32>> {
        match *self {}
    }
}

impl NodeText<'_> {
    /// The node as one text.
    pub(crate) fn render(&self, max_chars: usize) -> String {
        let text = format!("{}\n{}\n{}\n{}", self.qualified_name, self.docs, self.signature, self.body);
        text.chars().take(max_chars).collect()
    }
}
