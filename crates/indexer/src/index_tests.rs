//! Runs disturbed from within: files that change, vanish or fail while they are read.
#![allow(clippy::disallowed_methods)] // Source files, which are no store's.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use super::*;

// Half of it serves the tests outside.
#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../tests/it/harness.rs"]
mod harness;

use harness::{Fake, Tree, files, problems, rows};

fn index_hooked(tree: &Tree, store: &PersistentVectorStore, hook: Hook<'_>) -> IndexSummary {
    let (embedder, options) = (Fake::default(), IndexOptions::default());
    let job = Job { hook, ..Job::of_folder(store, &tree.root, &embedder, &options) };
    run(&job, &mut |_| {}).unwrap().summary
}

fn is_it(path: &Path) -> bool {
    path.ends_with("it.rs")
}

#[test]
fn a_file_that_changes_once_while_it_is_read_is_read_again() {
    let tree = Tree::of(&[("it.rs", "fn old() {}"), ("other.rs", "fn other() {}")]);
    let (store, reads) = (tree.store("s"), AtomicU64::new(0));
    let summary = index_hooked(&tree, &store, &|path| {
        if is_it(path) && reads.fetch_add(1, Ordering::Relaxed) == 0 {
            tree.write("it.rs", "fn new() {}");
        }
        Ok(())
    });
    assert_eq!((reads.load(Ordering::Relaxed), summary.files_indexed, summary.problems.len()), (2, 2, 0));
    assert_eq!(rows(&store), tree.fresh());
}

#[test]
fn a_file_that_never_rests_keeps_its_rows_and_is_read_by_the_next_run() {
    let tree = Tree::of(&[("it.rs", "fn old() {}"), ("other.rs", "fn other() {}")]);
    let store = tree.store("s");
    tree.index(&store);
    let before = rows(&store);
    tree.write("it.rs", "fn a() {}");
    let summary = index_hooked(&tree, &store, &|path| {
        if is_it(path) {
            // Another file in its place, of the same size and time.
            let time = fs::metadata(path)?.modified()?;
            fs::write(path.with_extension("tmp"), "fn b() {}")?;
            harness::set_modified(&path.with_extension("tmp"), time);
            fs::rename(path.with_extension("tmp"), path)?;
        }
        Ok(())
    });
    assert_eq!(problems(&summary), ["it.rs: changed each time that it was read"]);
    assert_eq!((summary.files, summary.files_skipped, summary.files_unchanged), (2, 1, 1));
    assert_eq!(rows(&store), before);
    assert_eq!(tree.index(&store).files_indexed, 1);
    assert_eq!(rows(&store), tree.fresh());
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_rows() {
    let tree = Tree::of(&[("it.rs", "fn old() {}")]);
    let store = tree.store("s");
    tree.index(&store);
    let before = rows(&store);
    tree.write("it.rs", "fn new() {}");
    tree.write("new/it.rs", "fn never_read() {}");
    let fail = |path: &Path| if is_it(path) { Err(io::Error::other("no luck")) } else { Ok(()) };
    let summary = index_hooked(&tree, &store, &fail);
    assert_eq!(problems(&summary), ["it.rs: cannot be read: no luck", "new/it.rs: cannot be read: no luck"]);
    assert_eq!((summary.files_skipped, rows(&store)), (2, before));
    tree.index(&store);
    assert_eq!(rows(&store), tree.fresh());
}

#[test]
fn a_file_that_could_not_be_checked_stays_unchecked() {
    let tree = Tree::of(&[("it.rs", "fn a() {}"), ("b.rs", "fn b() {}")]);
    let store = tree.store("s");
    tree.index(&store);
    let time = fs::metadata(tree.path("it.rs")).unwrap().modified().unwrap();
    tree.write("it.rs", "fn c() {}");
    harness::set_modified(&tree.path("it.rs"), time);
    let fail = |path: &Path| if is_it(path) { Err(io::Error::other("no luck")) } else { Ok(()) };
    index_hooked(&tree, &store, &fail);
    assert_eq!(tree.index(&store).files_indexed, 1, "nobody had looked into it");
    assert_eq!(rows(&store), tree.fresh());
}

#[test]
fn a_file_that_vanishes_while_it_is_read_is_gone() {
    let tree = Tree::of(&[("it.rs", "fn old() {}"), ("other.rs", "fn other() {}")]);
    let store = tree.store("s");
    tree.index(&store);
    tree.write("it.rs", "fn new() {}");
    let summary =
        index_hooked(&tree, &store, &|path| if is_it(path) { fs::remove_file(path) } else { Ok(()) });
    assert_eq!((summary.files, summary.files_removed, summary.problems.len()), (1, 1, 0));
    assert_eq!(files(&store), ["other.rs"]);
}

#[test]
fn what_a_clock_that_was_ahead_checked_is_checked_again() {
    let tree = Tree::of(&[("it.rs", "fn a() {}")]);
    let store = tree.store("s");
    let now = std::time::SystemTime::now();
    harness::set_modified(&tree.path("it.rs"), now);
    tree.index(&store);
    store.set_property(CHECKED, Some(&i64::MAX.to_string())).unwrap();
    tree.write("it.rs", "fn b() {}");
    harness::set_modified(&tree.path("it.rs"), now);
    assert_eq!(tree.index(&store).files_indexed, 1);
    assert_eq!(rows(&store), tree.fresh());
    store.set_property(CHECKED, Some("of another version")).unwrap();
    assert_eq!(tree.index(&store).files_unchanged, 1);
}

#[test]
fn a_file_whose_folder_became_a_file_while_it_was_read_is_gone() {
    let tree = Tree::of(&[("d/it.rs", "fn old() {}"), ("other.rs", "fn other() {}")]);
    let store = tree.store("s");
    tree.index(&store);
    tree.write("d/it.rs", "fn new() {}");
    let summary = index_hooked(&tree, &store, &|path| {
        if is_it(path) {
            fs::remove_dir_all(tree.path("d"))?;
            tree.write("d", "");
        }
        Ok(())
    });
    assert_eq!((summary.files_removed, problems(&summary)), (1, vec![]));
    assert_eq!(files(&store), ["other.rs"]);
}

#[test]
fn who_listens_may_panic_and_nobody_waits_for_ever() {
    let tree = Tree::default();
    let text = format!("fn f() {{}}\n// {}\n", "x".repeat(3 << 20));
    (0..60).for_each(|at| tree.write(&format!("f{at}.rs"), &text));
    let (store, reads) = (tree.store("s"), AtomicU64::new(0));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut progress = |_: IndexProgress| {
            // Until all that may be held is held, so that whoever reads on has to wait for it.
            while (reads.load(Ordering::Relaxed) as usize + 1) * text.len() < BUDGET_BYTES {
                thread::sleep(std::time::Duration::from_millis(1));
            }
            panic!("nobody listens");
        };
        let hook = |_: &Path| {
            reads.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let (embedder, options) = (Fake::default(), IndexOptions::default());
        let job = Job { hook: &hook, ..Job::of_folder(&store, &tree.root, &embedder, &options) };
        run(&job, &mut progress).map(|_| ())
    }));
    assert!(outcome.is_err());
    tree.index(&store);
    assert_eq!(rows(&store), tree.fresh());
}

#[test]
fn counts_of_words_that_cannot_be_read_are_made_anew() {
    let tree = Tree::of(&[("it.rs", "fn parse() {}")]);
    let folder = tree.stores.join("s");
    let spec = crate::EmbedderSpec::Lexical;
    let id = spec.open(None).unwrap().id();
    let options = codegraph_vector::OpenOptions {
        dimension: Some(384),
        embedder: Some(id),
        ..codegraph_vector::OpenOptions::default()
    };
    let store = PersistentVectorStore::open(&folder, options).unwrap();
    let index = || {
        let embedder = spec.open(Some(&store)).unwrap();
        index(&store, &tree.root, &*embedder, &IndexOptions::default(), &mut |_| {}).unwrap();
        store.property("index.corpus").unwrap()
    };
    let counts = index();
    assert!(counts.is_some());
    store.set_property("index.corpus", Some("1 2\nthe counts of another version")).unwrap();
    assert_eq!(index(), counts);
}
