//! Source code into nodes, nodes into embeddings, embeddings into a store.
//!
//! What always holds: a file is replaced in the store as a whole; what is in the store of a file is a
//! function of its path, its bytes, the embedder and this crate's version, so an interrupted run that is
//! run again ends where an undisturbed one does; nothing that a file holds makes a run fail.

// Some tests within share their harness with those outside.
#[cfg(test)]
extern crate self as codegraph_vector_indexer;

mod c_tokens;
mod embed;
mod index;
mod language;
mod node;
mod parse;
mod root;
mod search;
mod snippet;
mod source;
mod stop;
mod text;
mod watch;
mod ways;
mod words;

pub use embed::{Embedder, EmbedderSpec, NodeText};
pub use index::{IndexOptions, IndexProgress, IndexSummary, Problem, commit_of, index, index_commit};
pub use language::Language;
pub use node::{NodeKind, ParsedFile, ParsedNode};
pub use parse::parse;
pub use root::root_of;
pub use search::{Found, SearchBy, SearchOptions, node_at, qualified_name, search_like, search_text};
pub use snippet::{Snippet, SnippetLine, printable, snippet};
pub use source::{Source, files, source};
pub use stop::Stop;
pub use text::Texts;
pub use watch::{WatchEvent, WatchRound, watch};
pub use ways::{normal, way};
pub use words::terms;
