//! Indexes of commits: what a checkout would give, at the cost of what changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use codegraph_vector::{CodeNode, ErrorKind, PersistentVectorStore, Result};
use codegraph_vector_indexer::{IndexOptions, IndexSummary, commit_of, index_commit};
use codegraph_vector_testkit::repository::{Item, Repository};
use proptest::prelude::*;

use crate::harness::{Fake, Tree, files, problems, rows};

/// The files of a commit.
type Files = BTreeMap<&'static str, String>;

fn some_files() -> Files {
    let file = |path, text: &str| (path, text.to_owned());
    Files::from([
        file("README.md", "# Not code"),
        file("src/a.rs", "fn a() { 1 }\nfn b() { 2 }\n"),
        file("src/deep/c.rs", "struct C;\n"),
        file("lib/d.py", "def d():\n    return 4\n"),
    ])
}

fn commit(repository: &Repository, files: &Files) -> String {
    repository.commit(files.iter().map(|(path, text)| (*path, &**text)))
}

fn at(store: &PersistentVectorStore, root: &Path, revision: &str) -> IndexSummary {
    try_at(store, root, revision, &Fake::default()).unwrap()
}

fn try_at(store: &PersistentVectorStore, root: &Path, revision: &str, by: &Fake) -> Result<IndexSummary> {
    index_commit(store, root, revision, by, &IndexOptions::default(), &mut |_| {})
}

/// The rows of an index of a commit that is made from nothing.
fn fresh(tree: &Tree, revision: &str) -> Vec<CodeNode> {
    let folder = tempfile::tempdir_in(&tree.stores).unwrap();
    let store = crate::harness::open(&folder.path().join("fresh"), &Fake::default());
    at(&store, &tree.root, revision);
    rows(&store)
}

/// Rows without what a file is known by: its time in a folder, its blob in a commit.
fn unmarked(mut rows: Vec<CodeNode>) -> Vec<CodeNode> {
    for row in &mut rows {
        row.attributes.remove("modified_us");
        row.attributes.remove("git_blob");
    }
    rows
}

fn check_out(tree: &Tree, files: &Files) {
    for entry in fs::read_dir(&tree.root).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with(".git") {
            continue;
        }
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    files.iter().for_each(|(path, text)| tree.write(path, text));
}

#[test]
fn a_commit_is_indexed_as_a_checkout_of_it_would_be() {
    let tree = Tree::default();
    let repository = Repository::make(&tree.root, false);
    let files = some_files();
    let id = commit(&repository, &files);
    let store = tree.store("s");
    let summary = at(&store, &tree.root, "HEAD");
    assert_eq!((summary.files, summary.files_indexed, summary.nodes), (3, 3, 7));
    assert_eq!((summary.commit.as_deref(), summary.since.as_deref()), (Some(&*id), None));
    assert_eq!(commit_of(&store).unwrap(), Some(id));
    assert!(!tree.path("src").exists(), "nothing was checked out");
    check_out(&tree, &files);
    assert_eq!(unmarked(rows(&store)), unmarked(tree.fresh()));
    let module = rows(&store).into_iter().find(|row| row.attributes.contains_key("git_blob")).unwrap();
    assert!(!module.attributes.contains_key("modified_us"), "a commit has no times: {module:?}");
}

#[test]
fn the_next_commit_costs_what_changed_and_ends_where_a_fresh_index_does() {
    let tree = Tree::default();
    let repository = Repository::make(&tree.root, false);
    let mut files = some_files();
    (0..50).for_each(|at| drop(files.insert(["a.rs", "b.rs"][at % 2], format!("fn f{at}() {{}}\n"))));
    let first = commit(&repository, &files);
    let store = tree.store("s");
    at(&store, &tree.root, &first);
    // One file of three nodes is edited in one of them, one moves, one goes.
    *files.get_mut("src/a.rs").unwrap() = "fn a() { 1 }\nfn b() { 3 }\n".to_owned();
    let moved = files.remove("src/deep/c.rs").unwrap();
    files.insert("lib/c.rs", moved);
    files.remove("a.rs");
    let second = commit(&repository, &files);
    let embedder = Fake::default();
    let summary = try_at(&store, &tree.root, &second, &embedder).unwrap();
    assert_eq!((summary.commit, summary.since.clone()), (Some(second.clone()), Some(first.clone())));
    assert_eq!((summary.files, summary.files_indexed, summary.files_removed), (2, 2, 2));
    assert_eq!(summary.bytes_read, (files["src/a.rs"].len() + files["lib/c.rs"].len()) as u64);
    assert_eq!((summary.nodes_embedded, embedder.texts.load(Ordering::Relaxed)), (1, 1));
    assert_eq!(rows(&store), fresh(&tree, &second));
    // And back.
    let summary = at(&store, &tree.root, "HEAD~1");
    assert_eq!((summary.commit.clone(), summary.since), (Some(first.clone()), Some(second)));
    assert_eq!(rows(&store), fresh(&tree, &first));
    // Nothing at all.
    let (before, seqno) = (rows(&store), store.stats().unwrap().seqno);
    let summary = at(&store, &tree.root, &first[..12]);
    assert_eq!((summary.files, summary.files_removed, summary.bytes_read), (0, 0, 0));
    assert_eq!((summary.since, commit_of(&store).unwrap()), (Some(first.clone()), Some(first)));
    assert_eq!((rows(&store), store.stats().unwrap().seqno), (before, seqno));
}

#[test]
fn without_the_old_commit_files_are_compared_by_their_blobs() {
    let tree = Tree::default();
    let mut files = some_files();
    let old = Repository::make(&tree.root, false);
    commit(&old, &files);
    let store = tree.store("s");
    at(&store, &tree.root, "HEAD");
    // As after a `gc`, or in another clone of a part.
    fs::remove_dir_all(tree.path(".git")).unwrap();
    let new = Repository::make(&tree.root, false);
    files.insert("new.rs", "fn new() {}\n".to_owned());
    let id = commit(&new, &files);
    let summary = at(&store, &tree.root, "HEAD");
    assert_eq!((summary.since, summary.files, summary.files_unchanged), (None, 4, 3));
    assert_eq!((summary.bytes_read, summary.files_indexed), (12, 1));
    assert_eq!(rows(&store), fresh(&tree, &id));
}

#[test]
fn what_something_else_wrote_is_no_basis() {
    let tree = Tree::default();
    let repository = Repository::make(&tree.root, false);
    let files = some_files();
    commit(&repository, &files);
    let store = tree.store("s");
    at(&store, &tree.root, "HEAD");
    store.replace_path("src/a.rs", &[]).unwrap();
    let summary = at(&store, &tree.root, "HEAD");
    assert_eq!((summary.since, summary.files, summary.files_indexed), (None, 3, 1));
    assert_eq!(rows(&store), fresh(&tree, "HEAD"));
    // Other limits ask for other files.
    let options = IndexOptions { max_file_bytes: 20, ..IndexOptions::default() };
    let summary = index_commit(&store, &tree.root, "HEAD", &Fake::default(), &options, &mut |_| {}).unwrap();
    assert_eq!((summary.since.is_none(), summary.files_skipped), (true, 2));
    assert_eq!(self::files(&store), ["src/deep/c.rs"]);
    at(&store, &tree.root, "HEAD");
    assert_eq!(rows(&store), fresh(&tree, "HEAD"));
}

#[test]
fn a_store_may_be_of_a_commit_now_and_of_the_folder_then() {
    let tree = Tree::default();
    let repository = Repository::make(&tree.root, false);
    let mut files = some_files();
    commit(&repository, &files);
    let store = tree.store("s");
    at(&store, &tree.root, "HEAD");
    check_out(&tree, &files);
    let embedder = Fake::default();
    let summary = tree.index_by(&store, &embedder).unwrap();
    assert_eq!((summary.files_unchanged, embedder.calls.load(Ordering::Relaxed)), (3, 0));
    assert_eq!((rows(&store), commit_of(&store).unwrap()), (tree.fresh(), None));
    assert_eq!(tree.index(&store).bytes_read, 0, "the times were recorded");

    tree.write("src/a.rs", "fn edited() {}\n");
    tree.remove("lib/d.py");
    tree.index(&store);
    files.insert("src/e.rs", "fn e() {}\n".to_owned());
    let id = commit(&repository, &files);
    let summary = at(&store, &tree.root, "HEAD");
    assert_eq!((summary.since, summary.files_unchanged, summary.files_indexed), (None, 1, 3));
    assert_eq!(rows(&store), fresh(&tree, &id));
    // The folder is as it was: its times say nothing of what the store has by now.
    tree.index(&store);
    assert_eq!(rows(&store), tree.fresh());
}

#[test]
fn a_run_over_a_commit_that_fails_is_made_up_for() {
    let tree = Tree::default();
    let repository = Repository::make(&tree.root, false);
    let mut files = some_files();
    commit(&repository, &files);
    let store = tree.store("s");
    at(&store, &tree.root, "HEAD");
    for (path, text) in [("src/a.rs", "fn x() {}\n"), ("lib/d.py", "def y():\n    pass\n")] {
        files.insert(path, text.to_owned());
    }
    commit(&repository, &files);
    let failing = Fake { fails_at: Some(2), ..Fake::default() };
    assert!(try_at(&store, &tree.root, "HEAD", &failing).is_err());
    assert_eq!(commit_of(&store).unwrap(), None, "it is of no commit now");
    // Neither the commit before nor the one that was begun is a basis.
    let summary = at(&store, &tree.root, "HEAD~1");
    assert_eq!(summary.since, None);
    assert_eq!(rows(&store), fresh(&tree, "HEAD~1"));
}

#[test]
fn what_is_no_file_of_source_is_left_out_as_in_a_folder() {
    let tree = Tree::default();
    let repository = Repository::make(&tree.root, false);
    let large = Item::File(vec![b' '; (4 << 20) + 1]);
    repository.commit([
        (&b"a.rs"[..], Item::Program(b"fn a() {}".to_vec())),
        (b"binary.rs", Item::File(b"fn f() {}\0".to_vec())),
        (b"latin.rs", Item::File(b"// \xe4".to_vec())),
        (b"large.rs", large),
        (b"link.rs", Item::Link("a.rs".to_owned())),
        (b"module.rs", Item::Submodule),
        (b".hidden/b.rs", "fn no() {}".into()),
        (b".hidden.rs", "fn no() {}".into()),
        (b"odd\xff.rs", "fn no() {}".into()),
        (b".gitignore", "build/".into()),
        (b"build/kept.rs", "fn committed_nonetheless() {}".into()),
    ]);
    let store = tree.store("s");
    let summary = at(&store, &tree.root, "HEAD");
    assert_eq!(
        problems(&summary),
        [
            "binary.rs: is binary",
            "large.rs: is larger than 4.0 MiB",
            "latin.rs: is not UTF-8 at byte 3",
            "odd\u{fffd}.rs: has a path that is not UTF-8"
        ]
    );
    assert_eq!((summary.files, summary.files_skipped), (6, 4));
    assert_eq!(files(&store), ["a.rs", "build/kept.rs"]);
    // A file that becomes a folder, a link that becomes a file, and a permission that is nothing.
    repository.commit([
        ("a.rs", "fn a() {}"),
        ("binary.rs/in.rs", "fn b() {}"),
        ("link.rs", "fn c() {}"),
        ("build", "no code"),
    ]);
    let summary = at(&store, &tree.root, "HEAD");
    assert_eq!((summary.since.is_some(), summary.files_indexed, summary.files_removed), (true, 2, 1));
    assert_eq!(rows(&store), fresh(&tree, "HEAD"));
}

#[test]
fn a_blob_that_the_repository_lacks_is_looked_for_again() {
    let tree = Tree::default();
    let repository = Repository::make(&tree.root, false);
    let missing = || ("b.rs", Item::Missing(b"fn b() {}".to_vec()));
    repository.commit([("a.rs", "fn a() {}".into()), missing()]);
    let store = tree.store("s");
    let summary = at(&store, &tree.root, "HEAD");
    assert_eq!((summary.files_indexed, summary.files_skipped), (1, 1));
    assert!(problems(&summary)[0].starts_with("b.rs: the object "), "{:?}", summary.problems);
    assert_eq!(commit_of(&store).unwrap(), None, "it is not the index of the commit");
    repository.commit([("c.rs", "fn b() {}")]); // Which brings the bytes.
    assert_eq!(at(&store, &tree.root, "HEAD~1").files_indexed, 1);
    assert_eq!(files(&store), ["a.rs", "b.rs"]);
}

#[test]
fn a_folder_of_a_repository_is_indexed_by_itself() {
    let tree = Tree::default();
    let repository = Repository::make(&tree.root, false);
    let mut files = some_files();
    commit(&repository, &files);
    fs::create_dir_all(tree.path("src/deep")).unwrap();
    let store = tree.store("s");
    let summary = at(&store, &tree.path("src"), "HEAD");
    assert_eq!((summary.files, self::files(&store)), (2, vec!["a.rs".to_owned(), "deep/c.rs".to_owned()]));
    files.insert("src/new.rs", "fn new() {}\n".to_owned());
    files.insert("lib/new.rs", "fn new() {}\n".to_owned());
    commit(&repository, &files);
    assert_eq!(at(&store, &tree.path("src"), "HEAD").files_indexed, 1);
    assert_eq!(self::files(&store), ["a.rs", "deep/c.rs", "new.rs"]);
    fs::create_dir(tree.path("none")).unwrap();
    let error = try_at(&tree.store("t"), &tree.path("none"), "HEAD", &Fake::default()).unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.message().contains("no folder \"none\""), "{error}");
}

#[test]
fn a_bare_repository_will_do() {
    let tree = Tree::default();
    let repository = Repository::make(&tree.root, true);
    commit(&repository, &some_files());
    let store = tree.store("s");
    assert_eq!(at(&store, &tree.root, "HEAD").files, 3);
    assert_eq!(rows(&store), fresh(&tree, "HEAD"));
}

#[test]
fn what_is_no_commit_is_refused_and_changes_nothing() {
    let tree = Tree::default();
    let store = tree.store("s");
    let refused = |revision| try_at(&store, &tree.root, revision, &Fake::default()).unwrap_err();
    let error = refused("HEAD");
    assert!(error.kind() == ErrorKind::NotFound && error.message().contains("no git repository"), "{error}");
    let repository = Repository::make(&tree.root, false);
    assert_eq!(refused("HEAD").kind(), ErrorKind::NotFound, "no commit yet");
    commit(&repository, &some_files());
    at(&store, &tree.root, "HEAD");
    let before = (rows(&store), commit_of(&store).unwrap());
    for (revision, says) in
        [("nowhere", "nowhere"), ("HEAD:src/a.rs", "not a commit"), ("", "no commit \"\"")]
    {
        let error = refused(revision);
        assert!(error.message().contains(says), "{error}");
    }
    assert_eq!((rows(&store), commit_of(&store).unwrap()), before);
}

const PATHS: [&str; 6] = ["a.rs", "b.rs", "d/a.rs", "d/c.rs", "d/e/f.rs", "g.rs/x.rs"];
const TEXTS: [&str; 5] = [
    "",
    "fn one() { 1 }\n",
    "fn one() { 1 }\nfn two() { 2 }\n",
    "mod m { fn one() { 1 } }\n",
    "fn broken( {",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Commits in any order, runs that fail and runs over the folder between them.
    #[test]
    fn an_index_led_from_commit_to_commit_is_the_index_made_anew(
        commits in prop::collection::vec(prop::collection::vec(prop::option::of(0..TEXTS.len()), PATHS.len()), 1..4),
        visits in prop::collection::vec((0..4usize, 0..6u8), 1..8),
    ) {
        let tree = Tree::default();
        let repository = Repository::make(&tree.root, false);
        tree.write("folder.rs", "fn of_the_folder() {}");
        let ids: Vec<String> = commits.iter().map(|texts| {
            let files = PATHS.iter().zip(texts);
            repository.commit(files.filter_map(|(path, text)| Some((*path, TEXTS[(*text)?]))))
        }).collect();
        let store = tree.store("s");
        for (which, how) in visits {
            let id = &ids[which % ids.len()];
            match how {
                0 => {
                    let failing = Fake { fails_at: Some(1 + which as u64), ..Fake::default() };
                    let _ = try_at(&store, &tree.root, id, &failing);
                }
                1 => {
                    tree.index(&store);
                    prop_assert_eq!(rows(&store), tree.fresh());
                }
                _ => {
                    at(&store, &tree.root, id);
                    prop_assert_eq!(rows(&store), fresh(&tree, id));
                }
            }
        }
    }
}
