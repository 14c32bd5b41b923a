//! A first run, a second one, and what changes between them.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use codegraph_vector::{AttributeValue, Filter};
use codegraph_vector_indexer::{IndexOptions, IndexProgress, index};

use crate::harness::{Fake, Tree, files, names, rows, run, set_modified};

const SHAPES: &str = "//! Shapes.\n\n/// A square.\npub struct Square(f32);\n\nimpl Square {\n    /// How big \
                      it is.\n    pub fn area(&self) -> f32 {\n        self.0 * self.0\n    }\n}\n";
const MAIN: &str = "mod shapes;\nfn main() {\n    println!(\"hello\");\n}\n";

fn tree() -> Tree {
    Tree::of(&[("src/shapes.rs", SHAPES), ("src/main.rs", MAIN), ("README.md", "# Not code")])
}

#[test]
fn a_first_run_stores_every_definition_and_every_file() {
    let tree = tree();
    let store = tree.store("s");
    let summary = tree.index(&store);
    assert_eq!((summary.files, summary.files_indexed, summary.files_skipped), (2, 2, 0));
    assert_eq!((summary.nodes, summary.nodes_embedded, summary.nodes_reused), (5, 5, 0));
    assert_eq!(summary.bytes_read, (SHAPES.len() + MAIN.len()) as u64);
    assert!(summary.problems.is_empty());
    assert_eq!(
        names(&store),
        [
            "src/main.rs:main",
            "src/main.rs:main",
            "src/shapes.rs:Square",
            "src/shapes.rs:Square::area",
            "src/shapes.rs:shapes"
        ]
    );
    let rows = rows(&store);
    let row = |name: &str| rows.iter().find(|row| row.name.as_deref() == Some(name)).unwrap();
    let area = row("area");
    assert_eq!((area.kind.as_deref(), area.language.as_deref()), (Some("method"), Some("rust")));
    assert_eq!((area.start_line, area.end_line), (Some(8), Some(10)));
    assert_eq!(area.content_hash.as_ref().unwrap().len(), 32);
    let terms = area.terms.as_deref().unwrap();
    assert!(terms.split(' ').any(|word| word == "self"), "words of the definition: {terms}");
    let file = row("shapes");
    assert_eq!((file.kind.as_deref(), file.start_line, file.end_line), (Some("module"), Some(1), Some(11)));
    assert_eq!(file.attributes["file_bytes"], AttributeValue::Integer(SHAPES.len() as i64));
    assert_eq!(file.attributes["modified_us"], AttributeValue::Integer(1_500_000_000_000_000));
    let hash = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(SHAPES.as_bytes()));
    assert_eq!(file.attributes["file_hash"], AttributeValue::Text(hash));
}

#[test]
fn a_second_run_reads_nothing_and_writes_nothing() {
    let tree = tree();
    let store = tree.store("s");
    tree.index(&store);
    let (before, seqno) = (rows(&store), store.stats().unwrap().seqno);
    let embedder = Fake::default();
    let summary = tree.index_by(&store, &embedder).unwrap();
    assert_eq!((summary.files, summary.files_unchanged, summary.files_indexed), (2, 2, 0));
    assert_eq!((summary.bytes_read, summary.nodes_embedded, summary.nodes), (0, 0, 5));
    assert_eq!(embedder.calls.load(Ordering::Relaxed), 0);
    assert_eq!((rows(&store), store.stats().unwrap().seqno), (before, seqno));
}

#[test]
fn only_the_nodes_that_an_edit_touches_are_embedded_again() {
    let tree = tree();
    let store = tree.store("s");
    tree.index(&store);
    tree.write("src/shapes.rs", SHAPES.replace("self.0 * self.0", "self.0.powi(2)"));
    let summary = tree.index(&store);
    assert_eq!((summary.files_unchanged, summary.files_indexed), (1, 1));
    assert_eq!((summary.nodes_embedded, summary.nodes_reused, summary.nodes), (1, 2, 5));
    assert_eq!(rows(&store), tree.fresh());
}

#[test]
fn a_file_that_moves_keeps_its_vectors() {
    let tree = tree();
    let store = tree.store("s");
    tree.index(&store);
    tree.rename("src/shapes.rs", "lib/forms/shapes.rs");
    let summary = tree.index(&store);
    assert_eq!((summary.files_indexed, summary.files_removed), (1, 1));
    assert_eq!((summary.nodes_embedded, summary.nodes_reused, summary.nodes), (0, 3, 5));
    assert_eq!(files(&store), ["lib/forms/shapes.rs", "src/main.rs"]);
    assert_eq!(rows(&store), tree.fresh());
}

#[test]
fn a_file_that_is_gone_is_removed() {
    let tree = tree();
    let store = tree.store("s");
    tree.index(&store);
    tree.remove("src/shapes.rs");
    let summary = tree.index(&store);
    assert_eq!((summary.files, summary.files_removed, summary.nodes), (1, 1, 2));
    assert_eq!(rows(&store), tree.fresh());
    tree.remove("src/main.rs");
    assert_eq!(tree.index(&store).nodes, 0);
    assert_eq!(store.count(&Filter::everything()).unwrap(), 0);
}

#[test]
fn a_file_with_another_time_and_the_same_bytes_is_noted_and_not_embedded() {
    let tree = tree();
    let store = tree.store("s");
    tree.index(&store);
    tree.age("src/main.rs");
    let embedder = Fake::default();
    let summary = tree.index_by(&store, &embedder).unwrap();
    assert_eq!((summary.files_unchanged, summary.files_indexed), (2, 0));
    assert_eq!((summary.bytes_read, embedder.calls.load(Ordering::Relaxed)), (MAIN.len() as u64, 0));
    assert_eq!(rows(&store), tree.fresh());
    assert_eq!(tree.index(&store).bytes_read, 0, "the new time was recorded");
}

#[test]
fn an_edit_of_the_same_length_at_the_same_time_is_noticed_while_the_time_is_young() {
    let tree = tree();
    let store = tree.store("s");
    let now = SystemTime::now();
    for (at, word) in ["hellp", "hellq", "hellr"].into_iter().enumerate() {
        // As if a file system counted in seconds, and all of this happened within one.
        tree.write("src/main.rs", MAIN.replace("hello", word));
        set_modified(&tree.path("src/main.rs"), now);
        let summary = tree.index(&store);
        assert_eq!(summary.files_indexed, if at == 0 { 2 } else { 1 }, "{word}");
        assert_eq!(rows(&store), tree.fresh(), "{word}");
    }
    // A time that is still to come is never trusted.
    tree.write("src/main.rs", MAIN);
    set_modified(&tree.path("src/main.rs"), now + Duration::from_secs(10_000));
    tree.index(&store);
    tree.write("src/main.rs", MAIN.replace("hello", "jello"));
    set_modified(&tree.path("src/main.rs"), now + Duration::from_secs(10_000));
    assert_eq!(tree.index(&store).files_indexed, 1);
    assert_eq!(rows(&store), tree.fresh());
}

#[test]
#[cfg(unix)]
fn other_bytes_of_the_same_length_and_time_are_noticed_in_a_file_that_changed_since() {
    let tree = tree();
    let store = tree.store("s");
    tree.index(&store);
    // As an archive unpacks it that gives all files the same old time.
    let time = fs::metadata(tree.path("src/main.rs")).unwrap().modified().unwrap();
    for word in ["jello", "cello"] {
        fs::write(tree.path("other"), MAIN.replace("hello", word)).unwrap();
        set_modified(&tree.path("other"), time);
        fs::rename(tree.path("other"), tree.path("src/main.rs")).unwrap();
        assert_eq!(tree.index(&store).files_indexed, 1, "{word}");
        assert_eq!(rows(&store), tree.fresh());
    }
}

#[test]
fn an_embedder_that_wants_batches_is_not_called_more_often_at_a_time_and_gives_the_same_rows() {
    let files: Vec<(String, String)> = (0..60)
        .map(|at| (format!("f{at}.rs"), (0..at % 7).map(|f| format!("fn f{at}_{f}() {{}}\n")).collect()))
        .collect();
    let tree = Tree::default();
    files.iter().for_each(|(path, text)| tree.write(path, text));
    let store = tree.store("s");
    let embedder = Fake::slow(20, 2);
    let summary = tree.index_by(&store, &embedder).unwrap();
    let nodes = files.iter().map(|(_, text)| 1 + text.lines().count() as u64).sum::<u64>();
    assert_eq!((summary.nodes, summary.nodes_embedded), (nodes, nodes));
    assert_eq!(embedder.texts.load(Ordering::Relaxed), nodes);
    assert!(embedder.most_at_once.load(Ordering::Relaxed) <= 2);
    assert_eq!(rows(&store), tree.fresh());
}

#[test]
fn equal_texts_of_a_file_are_embedded_once() {
    let tree = Tree::of(&[("twice.rs", "mod a { fn f() {} }\nmod b {}\n")]);
    let same = "#[cfg(unix)]\nfn f() {}\n#[cfg(windows)]\nfn f() {}\n";
    tree.write("same.rs", same);
    for embedder in [Fake::default(), Fake::slow(3, 1)] {
        let store = tree.store(&format!("s{}", embedder.batch));
        let summary = tree.index_by(&store, &embedder).unwrap();
        assert_eq!((summary.nodes, summary.nodes_embedded), (7, 7));
        assert_eq!(embedder.texts.load(Ordering::Relaxed), 6);
        assert_eq!(rows(&store), tree.fresh());
    }
}

#[test]
fn progress_only_grows_and_ends_at_the_summary() {
    let tree = tree();
    (0..300).for_each(|at| tree.write(&format!("many/f{at}.rs"), format!("fn f{at}() {{}}")));
    let store = tree.store("s");
    let mut told: Vec<IndexProgress> = Vec::new();
    let summary = index(&store, &tree.root, &Fake::default(), &IndexOptions::default(), &mut |progress| {
        told.push(progress);
    })
    .unwrap();
    for pair in told.windows(2) {
        let fields = |p: &IndexProgress| [p.files_found, p.files_done, p.nodes, p.bytes, p.all_found.into()];
        assert!(fields(&pair[0]).iter().zip(fields(&pair[1])).all(|(before, after)| *before <= after));
    }
    let last = told.last().unwrap();
    assert_eq!((last.files_found, last.files_done, last.all_found), (302, 302, true));
    assert_eq!((last.nodes, last.bytes), (summary.nodes, summary.bytes_read));
    assert!(told.iter().all(|progress| progress.files_done <= progress.files_found));
}

#[test]
fn the_number_of_threads_does_not_show() {
    let tree = tree();
    let mut all = Vec::new();
    for threads in [1, 5] {
        let store = tree.store(&threads.to_string());
        let options = IndexOptions { threads, ..IndexOptions::default() };
        run(&store, &tree.root, &Fake::default(), &options).unwrap();
        all.push(rows(&store));
    }
    assert_eq!(all[0], all[1]);
}
