//! The engine through its facade, on a real disk. Groups: life cycle, restart, load, compression, transactions,
//! isolation, locks and conflicts, rollback operations, checkpoints, backup and recovery, incremental operations with segments and log.
#![allow(missing_docs)]

#[path = "persistent_integration_tests/backup_and_recovery.rs"]
mod backup_and_recovery;
#[path = "persistent_integration_tests/checkpoints.rs"]
mod checkpoints;
#[path = "persistent_integration_tests/compression.rs"]
mod compression;
#[path = "persistent_integration_tests/incremental.rs"]
mod incremental;
#[path = "persistent_integration_tests/isolation.rs"]
mod isolation;
#[path = "persistent_integration_tests/life_cycle.rs"]
mod life_cycle;
#[path = "persistent_integration_tests/load.rs"]
mod load;
#[path = "persistent_integration_tests/locks_and_conflicts.rs"]
mod locks_and_conflicts;
#[path = "persistent_integration_tests/restart.rs"]
mod restart;
#[path = "persistent_integration_tests/rollback_operations.rs"]
mod rollback_operations;
#[path = "persistent_integration_tests/transactions.rs"]
mod transactions;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use codegraph_vector::{CodeNode, Filter, NodeId, PersistentVectorStore, Result, SearchRequest};
use codegraph_vector_testkit::{Rng, generators};

/// A folder for a store and its backups.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("vectors.db")
    }

    fn backups(&self) -> PathBuf {
        self.folder.path().join("backups")
    }

    fn open(&self, dimension: usize) -> Result<PersistentVectorStore> {
        PersistentVectorStore::new(self.store(), self.backups(), dimension)
    }
}

/// What a store should hold.
type Model = BTreeMap<NodeId, CodeNode>;

/// A node as an indexer would make it.
fn node(rng: &mut Rng, id: NodeId, dimension: usize) -> CodeNode {
    let line = rng.below(900) as u32 + 1;
    CodeNode::new(id, generators::unit_vector(rng, dimension))
        .with_path(generators::path(rng))
        .with_name(generators::identifier(rng))
        .with_kind(*rng.pick(&["function", "method", "struct", "module"]))
        .with_language(generators::language(rng).0)
        .with_lines(line, line + rng.below(60) as u32)
        .with_content_hash(format!("{:032x}", rng.next_u128()))
}

fn nodes(rng: &mut Rng, ids: impl IntoIterator<Item = NodeId>, dimension: usize) -> Vec<CodeNode> {
    ids.into_iter().map(|id| node(rng, id, dimension)).collect()
}

fn model_of(nodes: &[CodeNode]) -> Model {
    nodes.iter().map(|node| (node.id, node.clone())).collect()
}

/// Panics unless store and model hold the same, and the store is sound.
#[track_caller]
fn assert_holds(store: &PersistentVectorStore, model: &Model) {
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.count(&Filter::everything()).unwrap(), model.len() as u64);
    for (found, expected) in snapshot.iter().unwrap().zip(model.values()) {
        assert_eq!(found.unwrap(), *expected);
    }
    let report = store.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// The nearest ids by cosine, the slow way.
fn nearest(model: &Model, query: &[f32], limit: usize, filter: &Filter) -> Vec<NodeId> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let score = |node: &CodeNode| dot(query, &node.embedding) / dot(&node.embedding, &node.embedding).sqrt();
    let matching = model.values().filter(|node| filter.matches(node.id, &node.metadata()));
    let mut scored: Vec<_> = matching.map(|node| (score(node), node.id)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.into_iter().take(limit).map(|(_, id)| id).collect()
}

fn found(store: &PersistentVectorStore, request: &SearchRequest) -> Vec<NodeId> {
    store.search(request).unwrap().matches.into_iter().map(|hit| hit.node_id).collect()
}

/// Wakes the thread that waits in [`block_on`].
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor there is: the store's futures need no more of one.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Copies a store's files as they are, as a kill at this moment would leave them.
fn copy_files(from: &Path, to: &Path) {
    use codegraph_vector::vfs::{OpenMode, RealVfs, Vfs, read_file};
    for folder in ["", "wal", "segments"] {
        RealVfs.create_dir_all(&to.join(folder)).unwrap();
        for name in RealVfs.list(&from.join(folder)).unwrap() {
            let source = from.join(folder).join(&name);
            if source.is_file() {
                let bytes = read_file(&RealVfs, &source).unwrap();
                let file = RealVfs.open(&to.join(folder).join(&name), OpenMode::Create).unwrap();
                file.write_at(&bytes, 0).unwrap();
            }
        }
    }
}
