//! What is compared: BM25, the default embedder alone, and the whole way in, index and search.

use std::collections::HashMap;
use std::path::Path;

use codegraph_vector::{Filter, OpenOptions, PersistentVectorStore, Snapshot};
use codegraph_vector_ann::{ExactScan, Metric, RowBlock, Rows, TopK, norm};
use codegraph_vector_indexer::{
    Embedder, EmbedderSpec, IndexOptions, IndexSummary, NodeKind, SearchBy, SearchOptions, index, search_text,
};

use super::Outcome;
use super::bm25::{Bm25, Words};
use super::documents::{Document, Documents};

/// Finds documents for a question: their places, best first.
pub(crate) trait System: Sync {
    /// What it is called in the table.
    fn name(&self) -> &str;

    /// At most `limit` of them.
    fn find(&self, question: &str, limit: usize) -> Outcome<Vec<usize>>;
}

/// BM25 over the very texts that the embedder is given.
pub(crate) struct Text {
    name: &'static str,
    index: Bm25,
}

impl Text {
    pub(crate) fn new(name: &'static str, documents: &[Document], words: Words) -> Self {
        let text = |document: &Document| {
            format!("{}\n{}\n{}", document.qualified_name, document.signature, document.body)
        };
        Self { name, index: Bm25::new(documents.iter().map(text), words) }
    }
}

impl System for Text {
    fn name(&self) -> &str {
        self.name
    }

    fn find(&self, question: &str, limit: usize) -> Outcome<Vec<usize>> {
        Ok(self.index.search(question, limit))
    }
}

/// Vectors of documents, searched exactly by cosine.
pub(crate) struct Vectors {
    rows: Vec<f32>,
    norms: Vec<f32>,
}

impl Vectors {
    pub(crate) fn new(rows: Vec<f32>, dimension: usize) -> Self {
        let norms = rows.chunks(dimension).map(norm).collect();
        Self { rows, norms }
    }

    pub(crate) fn find(&self, query: &[f32], limit: usize) -> Vec<usize> {
        let scan = ExactScan::new(Metric::Cosine, query);
        let mut top = TopK::new(limit);
        scan.scan_block(RowBlock { rows: &self.rows, norms: &self.norms }, Rows::All, Some, &mut top);
        top.into_sorted().iter().map(|hit| hit.key as usize).collect()
    }
}

/// An embedder by itself.
pub(crate) struct Embedded<'a> {
    name: String,
    embedder: &'a dyn Embedder,
    vectors: Vectors,
}

impl<'a> Embedded<'a> {
    pub(crate) fn new(name: String, embedder: &'a dyn Embedder, documents: &[Document]) -> Outcome<Self> {
        let mut rows = Vec::with_capacity(documents.len() * embedder.dimension());
        for batch in documents.chunks(embedder.batch().max(1)) {
            let texts: Vec<_> = batch.iter().map(Document::text).collect();
            rows.extend(embedder.embed_nodes(&texts)?.into_iter().flatten());
        }
        Ok(Self { name, embedder, vectors: Vectors::new(rows, embedder.dimension()) })
    }
}

impl System for Embedded<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn find(&self, question: &str, limit: usize) -> Outcome<Vec<usize>> {
        Ok(self.vectors.find(&self.embedder.embed_query(question)?, limit))
    }
}

/// A run of the indexer over a folder, into a store that is made if it is not there.
pub(crate) fn index_into(
    store: &Path,
    spec: &EmbedderSpec,
    root: &Path,
) -> Outcome<(PersistentVectorStore, IndexSummary)> {
    let embedder = spec.open(None)?;
    let options = OpenOptions {
        dimension: Some(embedder.dimension()),
        embedder: Some(embedder.id()),
        ..OpenOptions::default()
    };
    let store = PersistentVectorStore::open(store, options)?;
    let embedder = spec.open(Some(&store))?;
    let summary = index(&store, root, &*embedder, &IndexOptions::default(), &mut |_| ())?;
    Ok((store, summary))
}

/// A store that was made of the corpus as a user makes one.
pub(crate) struct Indexed {
    store: PersistentVectorStore,
    embedder: Box<dyn Embedder>,
}

impl Indexed {
    /// Writes the blanked sources into a folder and indexes it.
    pub(crate) fn new(spec: &EmbedderSpec, folder: &Path, corpus: &Documents) -> Outcome<Self> {
        let root = folder.join("root");
        for source in &corpus.sources {
            let path = root.join(&source.path);
            std::fs::create_dir_all(path.parent().unwrap_or(&root))?;
            std::fs::write(path, &source.text)?;
        }
        let (store, summary) = index_into(&folder.join("store"), spec, &root)?;
        if summary.nodes < corpus.documents.len() as u64 {
            let missing = corpus.documents.len() as u64 - summary.nodes;
            return Err(format!("{missing} documents are not in the store: {:?}", summary.problems).into());
        }
        // Opened anew, it weighs questions with what the store now knows of the corpus.
        let embedder = spec.open(Some(&store))?;
        Ok(Self { store, embedder })
    }

    pub(crate) fn embedder(&self) -> &dyn Embedder {
        &*self.embedder
    }

    /// A way that a question goes.
    pub(crate) fn searched<'a>(
        &'a self,
        name: String,
        by: SearchBy<'a>,
        documents: &[Document],
    ) -> Outcome<Searched<'a>> {
        let key = |(at, document): (usize, &Document)| {
            let kind = document.kind.name().to_owned();
            ((document.path.clone(), kind, document.name.clone(), document.start_line), at)
        };
        let places = documents.iter().enumerate().map(key).collect();
        let snapshot = self.store.snapshot()?;
        let filter = !Filter::eq("kind", NodeKind::Module.name());
        Ok(Searched { name, by, snapshot, filter, places })
    }
}

/// What tells a document of the corpus and a row of the store that they are the same: path, kind, name, line.
type Place = (String, String, String, u32);

/// A store that is searched.
pub(crate) struct Searched<'a> {
    name: String,
    by: SearchBy<'a>,
    snapshot: Snapshot,
    filter: Filter,
    places: HashMap<Place, usize>,
}

impl System for Searched<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn find(&self, question: &str, limit: usize) -> Outcome<Vec<usize>> {
        let options = SearchOptions { limit, filter: self.filter.clone(), exact: false };
        let matches = search_text(&self.snapshot, self.by, question, &options)?.matches;
        let place = |found: codegraph_vector::Match| {
            let node = found.metadata.unwrap_or_default();
            let (Some(path), Some(kind), Some(name), Some(line)) =
                (node.path, node.kind, node.name, node.start_line)
            else {
                return Err("a result without path, kind, name or line".into());
            };
            let place = (path, kind, name, line);
            self.places.get(&place).copied().ok_or_else(|| format!("{place:?} is no document").into())
        };
        matches.into_iter().map(place).collect()
    }
}
