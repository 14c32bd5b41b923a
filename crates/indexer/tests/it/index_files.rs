//! Files that are awkward: too large, not text, not at rest, odd.

use std::fs;

use codegraph_vector::AttributeValue;
use codegraph_vector_indexer::IndexOptions;

use crate::harness::{Fake, Tree, files, problems, rows, run};

#[test]
fn what_is_no_source_is_left_out_and_reported() {
    let tree = Tree::of(&[("good.rs", "fn good() {}"), ("later.rs", "fn later() {}")]);
    let store = tree.store("s");
    tree.index(&store);
    assert_eq!(files(&store), ["good.rs", "later.rs"]);
    tree.write("binary.rs", b"fn f() {}\0");
    tree.write("latin.rs", b"// \xe4\nfn f() {}");
    tree.write("large.rs", vec![b' '; (4 << 20) + 1]);
    // What was source and is not any more leaves the store.
    tree.write("later.rs", b"\xff\xfef\0n\0");
    let summary = tree.index(&store);
    assert_eq!(
        problems(&summary),
        [
            "binary.rs: is binary",
            "large.rs: is larger than 4.0 MiB",
            "later.rs: is binary",
            "latin.rs: is not UTF-8 at byte 3"
        ]
    );
    assert_eq!((summary.files, summary.files_skipped, summary.files_unchanged), (5, 4, 1));
    assert_eq!((summary.files_removed, files(&store)), (0, vec!["good.rs".to_owned()]));
    assert_eq!(rows(&store), tree.fresh());
}

#[test]
fn a_limit_that_changes_takes_files_in_and_out() {
    let tree =
        Tree::of(&[("small.rs", "fn s() {}"), ("large.rs", "fn large() { let this_is = \"longer\"; }")]);
    let store = tree.store("s");
    let index = |max_file_bytes| {
        let options = IndexOptions { max_file_bytes, ..IndexOptions::default() };
        run(&store, &tree.root, &Fake::default(), &options).unwrap()
    };
    assert_eq!(index(20).files_skipped, 1);
    assert_eq!(files(&store), ["small.rs"]);
    assert_eq!((index(100).files_indexed, files(&store).len()), (1, 2));
    let summary = index(20);
    assert_eq!((summary.files_unchanged, summary.files_skipped), (1, 1));
    assert_eq!(files(&store), ["small.rs"]);
}

#[test]
fn line_ends_marks_and_emptiness_are_taken_as_they_are() {
    let tree = Tree::of(&[
        ("crlf.rs", "/// Says.\r\nfn says() {\r\n}\r\n"),
        ("bom.rs", "\u{feff}fn marked() {}\n"),
        ("empty.rs", ""),
        ("blank.rs", "\n\n"),
    ]);
    let store = tree.store("s");
    let summary = tree.index(&store);
    assert_eq!((summary.files_indexed, summary.files_skipped, summary.nodes), (4, 0, 6));
    let rows = rows(&store);
    let lines = |name: &str| {
        let row = rows.iter().find(|row| row.name.as_deref() == Some(name)).unwrap();
        (row.start_line.unwrap(), row.end_line.unwrap())
    };
    assert_eq!([lines("crlf"), lines("says")], [(1, 3), (2, 3)]);
    assert_eq!([lines("bom"), lines("marked")], [(1, 1), (1, 1)]);
    assert_eq!([lines("empty"), lines("blank")], [(1, 1), (1, 2)]);
    let file = |name: &str| rows.iter().find(|row| row.name.as_deref() == Some(name)).unwrap();
    assert_eq!(
        file("bom").attributes["file_bytes"],
        AttributeValue::Integer(18),
        "the mark is part of the file"
    );
}

#[test]
fn a_huge_file_is_skipped_without_being_read_and_handled_where_that_is_wanted() {
    const HUGE: u64 = 100 << 20;
    let tree = Tree::of(&[("small.rs", "fn s() {}")]);
    let file = fs::File::create(tree.path("zeros.rs")).unwrap();
    file.set_len(HUGE).unwrap();
    drop(file);
    let store = tree.store("s");
    let summary = tree.index(&store);
    assert_eq!((summary.files_skipped, summary.bytes_read), (1, 9));
    let options = IndexOptions { max_file_bytes: HUGE, ..IndexOptions::default() };
    let summary = run(&store, &tree.root, &Fake::default(), &options).unwrap();
    assert_eq!(problems(&summary), ["zeros.rs: is binary"]);
    assert!(summary.bytes_read >= HUGE);
}

#[test]
fn a_file_with_very_many_definitions_is_stored_in_part_and_reported() {
    let tree = Tree::default();
    tree.write("many.rs", (0..60_000).map(|at| format!("fn f{at}(){{}}\n")).collect::<String>());
    let store = tree.store("s");
    let summary = tree.index(&store);
    assert_eq!(problems(&summary), ["many.rs: has 60000 definitions, of which the first 49999 are stored"]);
    assert_eq!((summary.files_indexed, summary.nodes), (1, 50_000));
    assert_eq!(tree.index(&store).bytes_read, 0);
}

#[test]
fn a_file_that_no_commit_of_this_store_can_hold_is_left_out() {
    let tree = Tree::of(&[("small.rs", "fn s() {}")]);
    tree.write("many.rs", (0..500).map(|at| format!("fn f{at}(){{}}\n")).collect::<String>());
    let store = tree.store("s");
    store.configure(|settings| settings.max_batch_bytes = 32 << 10).unwrap();
    let summary = tree.index(&store);
    assert_eq!((summary.files_indexed, summary.files_skipped), (1, 1));
    assert!(problems(&summary)[0].starts_with("many.rs: cannot be stored: "), "{:?}", summary.problems);
    assert_eq!(files(&store), ["small.rs"]);
}

#[test]
fn names_without_end_are_cut() {
    let tree = Tree::default();
    let long = "n".repeat(400);
    tree.write("long.rs", format!("fn {long}() {{}}\nfn {long}x() {{}}\n"));
    let store = tree.store("s");
    let summary = tree.index(&store);
    assert_eq!((summary.files_indexed, summary.nodes), (1, 3));
    assert!(rows(&store).iter().all(|row| row.name.as_ref().unwrap().len() <= 256));
}

#[test]
fn syntax_errors_are_counted() {
    let tree = Tree::of(&[("good.rs", "fn good() {}"), ("bad.rs", "fn bad( {{{ ]]")]);
    let summary = tree.index(&tree.store("s"));
    assert_eq!((summary.files_indexed, summary.files_with_syntax_errors), (2, 1));
}
