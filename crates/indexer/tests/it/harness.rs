//! A folder of sources, stores to index it into, and an embedder that is quick, repeatable and counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use codegraph_vector::{
    CodeNode, Durability, EmbedderId, Error, OpenOptions, PersistentVectorStore, Result, Settings,
};
use codegraph_vector_base::Random;
use codegraph_vector_indexer::{Embedder, IndexOptions, IndexSummary, NodeText, index};
use codegraph_vector_testkit::SeededRandom;
use tempfile::TempDir;

pub const DIMENSION: usize = 6;

/// Embeds by hashing.
pub struct Fake {
    pub version: &'static str,
    pub batch: usize,
    pub concurrency: usize,
    /// The call that fails, from 1.
    pub fails_at: Option<u64>,
    pub calls: AtomicU64,
    pub texts: AtomicU64,
    pub most_at_once: AtomicU64,
    pub at_once: AtomicU64,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            version: "1",
            batch: 16,
            concurrency: usize::MAX,
            fails_at: None,
            calls: AtomicU64::new(0),
            texts: AtomicU64::new(0),
            most_at_once: AtomicU64::new(0),
            at_once: AtomicU64::new(0),
        }
    }
}

impl Fake {
    /// One that wants few calls with many texts.
    pub fn slow(batch: usize, concurrency: usize) -> Self {
        Self { batch, concurrency, ..Self::default() }
    }
}

impl Embedder for Fake {
    fn id(&self) -> EmbedderId {
        EmbedderId { name: "fake".into(), version: self.version.into(), parameters: String::new() }
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn embed_nodes(&self, nodes: &[NodeText<'_>]) -> Result<Vec<Vec<f32>>> {
        assert!(!nodes.is_empty() && nodes.len() <= self.batch);
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        self.texts.fetch_add(nodes.len() as u64, Ordering::SeqCst);
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let vectors = nodes.iter().map(|node| self.embed_query(&node.render(1 << 20))).collect();
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if self.fails_at == Some(call) { Err(Error::invalid("the embedder had enough")) } else { vectors }
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>> {
        let seed = text.bytes().fold(17u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let mut bytes = [0; DIMENSION];
        SeededRandom::new(seed).fill(&mut bytes)?;
        Ok(bytes.iter().map(|byte| f32::from(*byte) + 1.0).collect())
    }
}

/// A folder of sources, and one for stores.
pub struct Tree {
    pub root: PathBuf,
    pub stores: PathBuf,
    /// Each file that is written is a second younger than the one before, and all are of long ago.
    seconds: AtomicU64,
    _folder: TempDir,
}

impl Default for Tree {
    fn default() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (root, stores) = (folder.path().join("code"), folder.path().join("stores"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&stores).unwrap();
        Self { root, stores, seconds: AtomicU64::new(1_500_000_000), _folder: folder }
    }
}

impl Tree {
    pub fn of(files: &[(&str, &str)]) -> Self {
        let tree = Self::default();
        files.iter().for_each(|(path, text)| tree.write(path, text));
        tree
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let file = self.path(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        self.age(path);
    }

    /// Gives a file a time of long ago that no other file had.
    pub fn age(&self, path: &str) {
        let seconds = self.seconds.fetch_add(1, Ordering::Relaxed);
        set_modified(&self.path(path), SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::create_dir_all(self.path(to).parent().unwrap()).unwrap();
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// The store of this name, made if it is not there.
    pub fn store(&self, name: &str) -> PersistentVectorStore {
        open(&self.stores.join(name), &Fake::default())
    }

    pub fn index(&self, store: &PersistentVectorStore) -> IndexSummary {
        self.index_by(store, &Fake::default()).unwrap()
    }

    pub fn index_by(&self, store: &PersistentVectorStore, embedder: &Fake) -> Result<IndexSummary> {
        run(store, &self.root, embedder, &IndexOptions::default())
    }

    /// The rows of an index that is made from nothing.
    pub fn fresh(&self) -> Vec<CodeNode> {
        let folder = tempfile::tempdir_in(&self.stores).unwrap();
        let store = open(&folder.path().join("fresh"), &Fake::default());
        self.index(&store);
        rows(&store)
    }
}

pub fn set_modified(file: &Path, time: SystemTime) {
    fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
}

pub fn open(path: &Path, embedder: &Fake) -> PersistentVectorStore {
    // Nothing here is about power cuts.
    let settings = Settings { durability: Durability::None, ..Settings::default() };
    let options = OpenOptions {
        dimension: Some(DIMENSION),
        embedder: Some(embedder.id()),
        settings: Some(settings),
        ..OpenOptions::default()
    };
    PersistentVectorStore::open(path, options).unwrap()
}

pub fn run(
    store: &PersistentVectorStore,
    root: &Path,
    embedder: &Fake,
    options: &IndexOptions,
) -> Result<IndexSummary> {
    index(store, root, embedder, options, &mut |_| {})
}

/// Everything in a store, in order of ids.
pub fn rows(store: &PersistentVectorStore) -> Vec<CodeNode> {
    store.snapshot().unwrap().iter().unwrap().collect::<Result<_>>().unwrap()
}

/// `path:qualified name` of everything in a store, sorted.
pub fn names(store: &PersistentVectorStore) -> Vec<String> {
    let name = |row: CodeNode| {
        let codegraph_vector::AttributeValue::Text(name) = &row.attributes["qualified_name"] else {
            panic!("{row:?} has no qualified name")
        };
        format!("{}:{name}", row.path.unwrap())
    };
    let mut names: Vec<String> = rows(store).into_iter().map(name).collect();
    names.sort();
    names
}

/// The files of a store, sorted.
pub fn files(store: &PersistentVectorStore) -> Vec<String> {
    let mut files: Vec<String> = rows(store).into_iter().filter_map(|row| row.path).collect();
    files.sort();
    files.dedup();
    files
}

/// `path: reason` of the problems.
pub fn problems(summary: &IndexSummary) -> Vec<String> {
    summary.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.reason)).collect()
}
