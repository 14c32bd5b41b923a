//! A watch over a real folder: what is edited, moved, removed and ignored is in the store a moment later.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use codegraph_vector::{ErrorKind, OpenOptions, PersistentVectorStore, Result};
use codegraph_vector_indexer::{Embedder, IndexOptions, Stop, WatchEvent, WatchRound, watch};

use crate::harness::{DIMENSION, Fake, Tree, files, rows};

/// More than any round takes, on whatever machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A watch that is under way.
struct Watching<'a> {
    tree: &'a Tree,
    store: &'a PersistentVectorStore,
    rounds: Receiver<WatchRound>,
}

impl Watching<'_> {
    fn round(&self) -> WatchRound {
        self.rounds.recv_timeout(PATIENCE).expect("a round")
    }

    /// The next round over this path, or over everything. (What is written may take two rounds on a slow machine.)
    fn round_over(&self, path: Option<&str>) -> WatchRound {
        let is_it = |round: &WatchRound| match (&round.paths, path) {
            (Some(paths), Some(path)) => paths.iter().any(|told| told == path),
            (paths, path) => paths.is_none() && path.is_none(),
        };
        loop {
            let round = self.round();
            if is_it(&round) {
                return round;
            }
        }
    }

    /// Waits until the store is what a fresh index is, which it has to become.
    fn settle(&self) {
        while rows(self.store) != self.tree.fresh() {
            self.round();
        }
    }
}

/// Watches a tree while `during` does things to it; gives how the watch ended.
fn watching(
    tree: &Tree,
    store: &PersistentVectorStore,
    embedder: &Fake,
    during: impl FnOnce(&Watching<'_>),
) -> Result<()> {
    let stop = Stop::default();
    let options = IndexOptions { stop: stop.clone(), ..IndexOptions::default() };
    let (told, rounds): (Sender<WatchRound>, _) = channel();
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let told = told;
            watch(store, &tree.root, embedder, &options, &mut |event| {
                if let WatchEvent::Round(round) = event {
                    // Whoever listens may be gone by the last round.
                    let _ = told.send(round);
                }
            })
        });
        // Also if what follows fails, or nobody would ever end the watch.
        let _stops = Stops(&stop);
        during(&Watching { tree, store, rounds });
        stop.stop();
        watch.join().expect("no panic")
    })
}

struct Stops<'a>(&'a Stop);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[test]
fn what_changes_is_indexed_and_nothing_else() {
    let tree = Tree::of(&[("a.rs", "fn a() {}\n"), ("src/b.rs", "fn b() {}\n"), ("src/c.rs", "fn c() {}\n")]);
    let (store, embedder) = (tree.store("s"), Fake::default());
    watching(&tree, &store, &embedder, |watch| {
        let first = watch.round();
        assert_eq!((first.paths, first.summary.files, first.summary.files_indexed), (None, 3, 3));
        let embedded = embedder.texts.load(Ordering::Relaxed);
        // What a run over everything would read again.
        tree.age("src/c.rs");
        watch.settle();

        tree.write("a.rs", "fn a() { 1 }\n");
        let round = watch.round_over(Some("a.rs"));
        assert_eq!((round.paths.unwrap().len(), round.summary.files, round.summary.files_indexed), (1, 1, 1));
        assert_eq!(round.summary.nodes, 6);
        assert_eq!(embedder.texts.load(Ordering::Relaxed), embedded + 1);
        watch.settle();

        tree.rename("src/b.rs", "src/deep/er/b2.rs");
        watch.settle();
        assert_eq!(files(&store), ["a.rs", "src/c.rs", "src/deep/er/b2.rs"]);
        // In a folder that was made a moment ago.
        tree.write("src/deep/er/d.rs", "fn d() {}\n");
        watch.settle();
        std::fs::rename(tree.path("src/deep"), tree.path("deep")).unwrap();
        watch.settle();
        assert_eq!(files(&store), ["a.rs", "deep/er/b2.rs", "deep/er/d.rs", "src/c.rs"]);
        tree.write("deep/er/d.rs", "fn d() { 2 }\n");
        watch.settle();

        std::fs::remove_dir_all(tree.path("deep")).unwrap();
        tree.remove("a.rs");
        watch.settle();
        assert_eq!(files(&store), ["src/c.rs"]);
    })
    .unwrap();
    assert_eq!(tree.index(&store).files_indexed, 0, "all that was told of was stored");
}

#[test]
fn what_is_ignored_is_not_looked_at_until_that_changes() {
    let tree =
        Tree::of(&[(".gitignore", "out/\n*.gen.rs\n"), ("a.rs", "fn a() {}\n"), ("out/b.rs", "fn b() {}\n")]);
    let store = tree.store("s");
    watching(&tree, &store, &Fake::default(), |watch| {
        watch.round();
        tree.write("out/b.rs", "fn b() { 1 }\n");
        tree.write("out/new/c.rs", "fn c() {}\n");
        tree.write("d.gen.rs", "fn d() {}\n");
        tree.write(".hidden/e.rs", "fn e() {}\n");
        tree.write("a.rs", "fn a() { 1 }\n");
        let round = watch.round_over(Some("a.rs"));
        assert_eq!(round.summary.files, 1, "{:?}", round.paths);
        watch.settle();
        assert_eq!(files(&store), ["a.rs"]);

        tree.write(".gitignore", "*.gen.rs\n");
        assert_eq!(watch.round_over(None).summary.files, 3);
        watch.settle();
        // It is watched from then on.
        tree.write("out/new/c.rs", "fn c() { 1 }\n");
        watch.settle();
        tree.write("out/.gitignore", "new\n");
        watch.settle();
        assert_eq!(files(&store), ["a.rs", "out/b.rs"]);
    })
    .unwrap();
}

#[test]
fn the_store_may_lie_in_the_folder_and_readers_see_each_round() {
    let tree = Tree::of(&[("a.rs", "fn a() {}\n")]);
    let path = tree.path("stores/here");
    let (dimension, embedder) = (Some(DIMENSION), Some(Fake::default().id()));
    // Readers elsewhere see what is durable, so that each round has to be.
    let options = OpenOptions { dimension, embedder, ..OpenOptions::default() };
    let store = PersistentVectorStore::open(&path, options).unwrap();
    watching(&tree, &store, &Fake::default(), |watch| {
        watch.round();
        let read = || {
            let options = OpenOptions { read_only: true, must_exist: true, ..OpenOptions::default() };
            let reader = PersistentVectorStore::open(&path, options).unwrap();
            files(&reader)
        };
        assert_eq!(read(), ["a.rs"]);
        tree.write("b.rs", "fn b() {}\n");
        let round = watch.round();
        assert_eq!(round.paths, Some(vec!["b.rs".to_owned()]), "what the store writes is no change");
        assert_eq!(read(), ["a.rs", "b.rs"]);
        // Its own writes are heard by nobody: no further round comes of them.
        assert_eq!(
            watch.rounds.recv_timeout(Duration::from_millis(700)).unwrap_err(),
            RecvTimeoutError::Timeout
        );
    })
    .unwrap();
}

#[test]
fn a_round_that_fails_is_made_up_for() {
    let tree = Tree::of(&[("a.rs", "fn a() {}\n")]);
    let store = tree.store("s");
    let embedder = Fake { fails_at: Some(2), ..Fake::default() };
    watching(&tree, &store, &embedder, |watch| {
        watch.round();
        tree.write("b.rs", "fn b() {}\n");
        let round = watch.round();
        assert_eq!((round.paths, round.summary.files_indexed), (None, 1), "everything is looked at again");
        watch.settle();
    })
    .unwrap();
    assert_eq!(embedder.calls.load(Ordering::Relaxed), 3);
}

#[test]
fn a_watch_ends_with_what_is_stored_or_with_what_no_other_try_mends() {
    let tree = Tree::of(&[("a.rs", "fn a() {}\n")]);
    let store = tree.store("s");
    // Told to stop before it begins.
    let stop = Stop::default();
    stop.stop();
    let options = IndexOptions { stop, ..IndexOptions::default() };
    watch(&store, &tree.root, &Fake::default(), &options, &mut |_| {}).unwrap();
    let error =
        watch(&store, Path::new("/no/such/folder"), &Fake::default(), &options, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // The first round fails.
    let failing = Fake { fails_at: Some(1), ..Fake::default() };
    let error = watching(&tree, &store, &failing, |watch| drop(watch.rounds.recv())).unwrap_err();
    assert_eq!(error.message(), "the embedder had enough");
    // The folder goes away.
    let outcome = watching(&tree, &store, &Fake::default(), |watch| {
        watch.round();
        std::fs::remove_dir_all(&tree.root).unwrap();
        assert!(watch.rounds.recv_timeout(PATIENCE).is_err(), "no round comes of that");
    });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(files(&store), ["a.rs"], "a folder that is gone empties no store");
}
