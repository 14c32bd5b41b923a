//! Which store takes which folder and which embedder.

use std::fs;

use codegraph_vector::{CodeNode, ErrorKind};
use codegraph_vector_indexer::{IndexOptions, root_of};

use crate::harness::{DIMENSION, Fake, Tree, files, open, rows, run};

#[test]
fn a_store_knows_its_folder_wherever_both_move() {
    let tree = Tree::of(&[("a.rs", "fn a() {}")]);
    let store = open(&tree.path(".cgv"), &Fake::default());
    assert_eq!(root_of(&store).unwrap(), None);
    tree.index(&store);
    assert_eq!(root_of(&store).unwrap().unwrap(), tree.root.canonicalize().unwrap());
    drop(store);
    let moved = tree.stores.join("moved");
    fs::rename(&tree.root, &moved).unwrap();
    let store = open(&moved.join(".cgv"), &Fake::default());
    assert_eq!(root_of(&store).unwrap().unwrap(), moved.canonicalize().unwrap());
    let summary = run(&store, &moved, &Fake::default(), &IndexOptions::default()).unwrap();
    assert_eq!((summary.files_unchanged, summary.bytes_read), (1, 0));
}

#[test]
fn another_folder_is_refused_while_the_first_is_there() {
    let (tree, other) = (Tree::of(&[("a.rs", "fn a() {}")]), Tree::of(&[("b.rs", "fn b() {}")]));
    let store = tree.store("s");
    tree.index(&store);
    let before = rows(&store);
    let error = run(&store, &other.root, &Fake::default(), &IndexOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    for part in [tree.root.to_str().unwrap(), other.root.to_str().unwrap(), "--reroot"] {
        assert!(error.message().contains(part), "{error}");
    }
    assert_eq!(rows(&store), before);
    let reroot = IndexOptions { reroot: true, ..IndexOptions::default() };
    run(&store, &other.root, &Fake::default(), &reroot).unwrap();
    assert_eq!(files(&store), ["b.rs"]);
    assert_eq!(root_of(&store).unwrap().unwrap(), other.root.canonicalize().unwrap());
    assert_eq!(rows(&store), other.fresh());
}

#[test]
fn what_was_checked_in_one_folder_proves_nothing_in_another() {
    let tree = Tree::of(&[("a.rs", "fn a() { 1 }")]);
    let store = tree.store("s");
    tree.index(&store);
    let time = fs::metadata(tree.path("a.rs")).unwrap().modified().unwrap();
    let copy = tree.stores.join("copy");
    fs::create_dir(&copy).unwrap();
    fs::write(copy.join("a.rs"), "fn a() { 2 }").unwrap();
    crate::harness::set_modified(&copy.join("a.rs"), time);
    fs::remove_dir_all(&tree.root).unwrap();
    // The first folder is gone, so the store may be of another; size and time of its file are the same.
    let summary = run(&store, &copy, &Fake::default(), &IndexOptions::default()).unwrap();
    assert_eq!((summary.files_indexed, summary.nodes_embedded), (1, 1));
}

#[test]
fn vectors_of_another_embedder_are_refused() {
    let tree = Tree::of(&[("a.rs", "fn a() {}")]);
    let store = tree.store("s");
    let error = tree.index_by(&store, &Fake { version: "2", ..Fake::default() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("fake 1") && error.message().contains("fake 2"), "{error}");
    assert_eq!(root_of(&store).unwrap(), None, "nothing was written");
}

#[test]
fn a_store_that_something_else_filled_is_left_alone() {
    let tree = Tree::of(&[("a.rs", "fn a() {}")]);
    let store = tree.store("s");
    store.put(CodeNode::new(1, vec![1.0; DIMENSION])).unwrap();
    let error = tree.index_by(&store, &Fake::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("not made by `cgv index`"), "{error}");
    assert_eq!(rows(&store).len(), 1);
    assert_eq!(root_of(&store).unwrap(), None);
}

#[test]
fn only_a_folder_that_is_there_can_be_indexed() {
    let tree = Tree::of(&[("a.rs", "fn a() {}")]);
    let store = tree.store("s");
    let index = |path: &str| run(&store, &tree.path(path), &Fake::default(), &IndexOptions::default());
    let error = index("a.rs").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("only a folder"), "{error}");
    assert_eq!(index("none").unwrap_err().kind(), ErrorKind::NotFound);
}
