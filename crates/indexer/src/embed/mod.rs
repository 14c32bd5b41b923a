//! Embedders: what makes a vector of a node's text, or of a question.

mod lexical;
mod model2vec;
mod openai;
mod spec;

pub(crate) use lexical::{CorpusCounter, CorpusStatistics};
pub use spec::EmbedderSpec;

use codegraph_vector::{EmbedderId, Match, Result};

use crate::language::Language;
use crate::node::NodeKind;

/// What an embedder is told of a node. It knows no path: a node that moves keeps its vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeText<'a> {
    /// The language of its file.
    pub language: Language,
    /// What it is.
    pub kind: NodeKind,
    /// Its own name.
    pub name: &'a str,
    /// Its name within the file.
    pub qualified_name: &'a str,
    /// Its documentation, without comment marks.
    pub docs: String,
    /// The definition up to its body.
    pub signature: &'a str,
    /// The body as it stands there, without docstrings and without the bodies of definitions nested in it.
    pub body: String,
}

/// Makes vectors of texts. One instance serves many threads.
pub trait Embedder: Send + Sync {
    /// Who made the vectors; a store takes those of one embedder only.
    fn id(&self) -> EmbedderId;

    /// Number of dimensions of every vector it makes.
    fn dimension(&self) -> usize;

    /// Most nodes that it wants in one call.
    fn batch(&self) -> usize;

    /// Most calls that it wants at the same time. `usize::MAX` is for those that are bounded by the CPUs alone: the
    /// threads that parse call them at once; for others texts are gathered into full batches.
    fn concurrency(&self) -> usize;

    /// Whether it weighs questions by how common their words are in the indexed code, which is then counted.
    fn uses_corpus(&self) -> bool {
        false
    }

    /// A vector for each node, in order, each finite and not zero.
    ///
    /// # Errors
    /// Whatever kept it from making all of them.
    fn embed_nodes(&self, nodes: &[NodeText<'_>]) -> Result<Vec<Vec<f32>>>;

    /// The vector to search with for a question in plain words.
    ///
    /// # Errors
    /// As above.
    fn embed_query(&self, text: &str) -> Result<Vec<f32>>;

    /// A second look at the best matches of a question, for an embedder that can tell more from their metadata than
    /// from their vectors: it may change scores. Without it, scores stay.
    fn reconsider(&self, text: &str, matches: &mut [Match]) {
        let _ = (text, matches);
    }
}
