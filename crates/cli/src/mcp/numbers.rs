//! `stats`: what is in the index.

use std::collections::BTreeMap;

use codegraph_vector::{Filter, Snapshot};
use codegraph_vector_indexer::{EmbedderSpec, Language, NodeKind, files};
use rmcp::schemars::transform::RecursiveTransform;
use rmcp::schemars::{self, JsonSchema};
use serde::Serialize;

use super::reader::Reader;
use super::refusal::Refusal;
use super::reply::{Document, plain_numbers};
use crate::output::{bytes, count};

/// The index in numbers.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(transform = RecursiveTransform(plain_numbers))]
pub(crate) struct Numbers {
    /// The folder that is indexed; null if the store was not made by indexing
    root: Option<String>,
    /// The store's folder
    store: String,
    /// What makes vectors of code and questions; null as above
    embedder: Option<String>,
    /// Files in the index
    files: u64,
    /// Definitions in the index, one for each file itself included
    nodes: u64,
    /// Definitions by language
    languages: BTreeMap<String, u64>,
    /// Definitions by kind
    kinds: BTreeMap<String, u64>,
    /// The number of the last commit: it grows whenever something is stored
    last_commit: u64,
    /// Dimensions of the vectors
    dimension: usize,
    /// Bytes of the store on disk
    storage_bytes: u64,
    /// Of these, bytes of vectors
    vector_bytes: u64,
}

/// Counts.
pub(crate) fn stats(reader: &Reader) -> Result<Numbers, Refusal> {
    let view = reader.view()?;
    let stats = view.store.stats()?;
    view.read(|snapshot| {
        let languages = Language::ALL.map(Language::name);
        Ok(Numbers {
            root: view.root.as_ref().map(|root| root.display().to_string()),
            store: view.store.path().display().to_string(),
            embedder: EmbedderSpec::of_store(&view.store)?.map(|spec| spec.to_string()),
            files: files(snapshot)?,
            nodes: snapshot.count(&Filter::everything())?,
            languages: by(snapshot, "language", &languages)?,
            kinds: by(snapshot, "kind", &NodeKind::ALL.map(NodeKind::name))?,
            last_commit: snapshot.seqno().0,
            dimension: stats.dimension,
            storage_bytes: stats.storage_bytes,
            vector_bytes: stats.vector_bytes,
        })
    })
}

/// How many nodes have each of these values; values that none has are left out.
fn by(snapshot: &Snapshot, field: &str, values: &[&str]) -> codegraph_vector::Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for value in values {
        let count = snapshot.count(&Filter::eq(field, *value))?;
        if count > 0 {
            counts.insert((*value).to_owned(), count);
        }
    }
    Ok(counts)
}

impl Document for Numbers {
    fn text(&self) -> String {
        let list = |counts: &BTreeMap<String, u64>| {
            let counts = counts.iter().map(|(name, count)| format!("{name} {count}"));
            counts.collect::<Vec<_>>().join(", ")
        };
        format!(
            "root: {}\nstore: {} ({}, of these vectors {})\nembedder: {} ({} dimensions)\n{}, {}\nby language: {}\n\
             by kind: {}\nlast commit: {}\n",
            self.root.as_deref().unwrap_or("unknown"),
            self.store,
            bytes(self.storage_bytes),
            bytes(self.vector_bytes),
            self.embedder.as_deref().unwrap_or("unknown"),
            self.dimension,
            count(self.files, "file"),
            count(self.nodes, "definition"),
            list(&self.languages),
            list(&self.kinds),
            self.last_commit,
        )
    }
}
