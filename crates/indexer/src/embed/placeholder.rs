//! Stands in for `lexical`, which is written elsewhere. Not to be merged.

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
