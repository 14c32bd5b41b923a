//! Many stores on a real disk under tight limits, used by many threads at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use codegraph_vector::{
    CodeNode, ErrorKind, NodeId, OpenOptions, PersistentVectorStore, Settings, StoreSet, StoreSetConfig,
};
use codegraph_vector_testkit::Rng;

use crate::sample::until;

const DIMENSION: usize = 16;

fn name(store: usize) -> String {
    format!("store-{store:03}")
}

/// A set of `stores` empty stores.
fn set_of(folder: &Path, stores: usize, config: StoreSetConfig) -> StoreSet {
    let settings = Settings { memtable_bytes: 24 << 10, merge_fanout: 2, ..Settings::default() };
    let options =
        OpenOptions { dimension: Some(DIMENSION), settings: Some(settings), ..OpenOptions::default() };
    let set = StoreSet::new(folder, StoreSetConfig { options, ..config }).unwrap();
    for store in 0..stores {
        drop(set.create(&name(store), |_| ()).unwrap());
    }
    set
}

/// A vector whose every number tells which version of the node it is.
fn marked(id: NodeId, version: u32) -> CodeNode {
    CodeNode::new(id, vec![version as f32 + 1.0; DIMENSION]).with_path(format!("src/{}.rs", id % 5))
}

/// Files of the folder that this process has open; none where the system does not tell.
#[allow(clippy::disallowed_methods)] // What the process has open is told by the system, not by a `Vfs`.
fn open_files(folder: &Path) -> Option<usize> {
    let listed = std::fs::read_dir("/proc/self/fd").ok()?;
    let targets = listed.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    Some(targets.filter(|target| target.starts_with(folder)).count())
}

/// What one thread has put into its own nodes of one store.
type Written = BTreeMap<NodeId, u32>;

/// One thread, which has the ids of every store that leave `thread` when divided by `threads`.
struct Worker {
    thread: u64,
    threads: u64,
    rng: Rng,
    written: Vec<Written>,
}

impl Worker {
    fn id(&mut self) -> NodeId {
        u128::from(self.rng.below(40) as u64 * self.threads + self.thread)
    }

    /// Uses one store for a moment: everything that was acknowledged before has to be there.
    fn step(&mut self, set: &StoreSet, version: u32) {
        let at = self.rng.below(self.written.len());
        let store = set.store(&name(at)).unwrap();
        for _ in 0..3 {
            let id = self.id();
            let found = store.get(id).unwrap().map(|node| node.embedding[0] as u32 - 1);
            assert_eq!(found, self.written[at].get(&id).copied(), "node {id} of {}", name(at));
        }
        match self.rng.below(4) {
            0 => {
                let id = self.id();
                assert!(store.delete(id).unwrap().receipt.durable);
                self.written[at].remove(&id);
            }
            1 => {
                let snapshot = store.snapshot().unwrap();
                drop(store);
                let id = self.id();
                let found = snapshot.get(id).unwrap().map(|node| node.embedding[0] as u32 - 1);
                assert_eq!(found, self.written[at].get(&id).copied());
            }
            _ => {
                let first = self.id();
                let ids = (0..20).map(|step| first + step * u128::from(self.threads));
                let batch: Vec<_> = ids.map(|id| marked(id, version)).collect();
                assert!(store.put_batch(&batch).unwrap().receipt.durable);
                self.written[at].extend(batch.iter().map(|node| (node.id, version)));
            }
        }
    }
}

/// Many threads on all stores of the set; then what each store has to hold.
fn work(set: &StoreSet, stores: usize, threads: u64, steps: u32, watch: impl Fn() + Sync) -> Vec<Written> {
    let (working, watch) = (&AtomicBool::new(true), &watch);
    let written = thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            while working.load(Ordering::SeqCst) {
                watch();
                thread::yield_now();
            }
        });
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let written = vec![Written::new(); stores];
                    let mut worker = Worker { thread, threads, rng: Rng::new(thread), written };
                    (0..steps).for_each(|version| worker.step(set, version));
                    worker.written
                })
            })
            .collect();
        let written: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        working.store(false, Ordering::SeqCst);
        watcher.join().unwrap();
        written
    });
    let mut all = vec![Written::new(); stores];
    for written in written {
        all.iter_mut().zip(written.unwrap()).for_each(|(all, own)| all.extend(own));
    }
    all
}

/// Panics unless a store that is opened by itself holds exactly this, and is sound.
fn assert_holds(path: &Path, written: &Written) {
    let store = PersistentVectorStore::open(path, OpenOptions { must_exist: true, ..OpenOptions::default() });
    let store = store.unwrap();
    let snapshot = store.snapshot().unwrap();
    let nodes = snapshot.iter().unwrap();
    let found: Written =
        nodes.map(|node| node.map(|node| (node.id, node.embedding[0] as u32 - 1)).unwrap()).collect();
    assert_eq!(found, *written, "{}", path.display());
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn no_write_is_lost_and_no_limit_passed_while_threads_use_more_stores_than_may_be_open() {
    const STORES: usize = 60;
    const OPEN: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    // A third of the files that is not for reading blocks.
    let config = StoreSetConfig { max_open_files: 32, ..StoreSetConfig::default() };
    let set = set_of(folder.path(), STORES, config);
    assert_eq!(set.statistics().max_open, OPEN);
    let most_files = AtomicU64::new(0);
    let watch = || {
        let open = set.statistics().open;
        assert!(open <= OPEN, "{open} stores are open");
        most_files.fetch_max(open_files(folder.path()).unwrap_or(0) as u64, Ordering::Relaxed);
    };
    // Fewer threads than stores that may be open: nobody has to open one more.
    let written = work(&set, STORES, 6, 150, watch);
    let statistics = set.statistics();
    assert!(statistics.evicted > 200, "{statistics:?}");
    assert_eq!((statistics.in_use, statistics.last_error), (0, None));
    let most_files = most_files.into_inner();
    // What threads are at just now (opening, flushing, merging) takes a few more for a moment.
    assert!(most_files <= 32 + 4 * 6, "{most_files} files were open at once");
    set.close_all().unwrap();
    if open_files(folder.path()).is_some() {
        assert!(most_files > 0, "nothing was ever open");
        // A job in the background that saw its store close may let go of a file a moment later.
        until("no file is left open", || open_files(folder.path()) == Some(0));
    }
    for (store, written) in written.iter().enumerate() {
        assert_holds(&folder.path().join(name(store)), written);
    }
}

#[test]
fn with_room_for_one_store_everyone_still_gets_theirs() {
    const STORES: usize = 5;
    let folder = tempfile::tempdir().unwrap();
    let config = StoreSetConfig { max_open_stores: 1, threads: 1, ..StoreSetConfig::default() };
    let set = set_of(folder.path(), STORES, config);
    let written = work(&set, STORES, 4, 80, || {
        let open = set.statistics().open;
        assert!(open <= 5, "{open} are open, of which at most four are in use");
    });
    // Dropping the set would do, but not wait for whoever is closing a store in the background.
    set.close_all().unwrap();
    for (store, written) in written.iter().enumerate() {
        assert_holds(&folder.path().join(name(store)), written);
    }
}

#[test]
fn stores_that_are_open_are_used_while_others_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreSetConfig { max_open_stores: 2, ..StoreSetConfig::default() };
    let set = set_of(folder.path(), 12, config);
    let pinned = set.store(&name(0)).unwrap();
    thread::scope(|scope| {
        for thread in 0..3 {
            let set = &set;
            scope.spawn(move || {
                for turn in 0..40 {
                    let id = (thread * 100 + turn) as u128;
                    set.store(&name(1 + (thread + turn) % 11)).unwrap().put(marked(id, 1)).unwrap();
                }
            });
        }
        for id in 0..120 {
            pinned.put(marked(id, 2)).unwrap();
        }
    });
    assert_eq!(pinned.stats().unwrap().active_vectors, 120);
    let busy = PersistentVectorStore::open(pinned.path(), OpenOptions::default());
    assert_eq!(busy.err().map(|error| error.kind()), Some(ErrorKind::Busy), "it stayed open all the time");
    drop(pinned);
    let counted: u64 = (1..12).map(|at| set.store(&name(at)).unwrap().stats().unwrap().active_vectors).sum();
    assert_eq!(counted, 120);
}
