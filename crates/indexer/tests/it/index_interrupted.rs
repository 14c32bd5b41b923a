//! Runs that end in the middle, and what the next one makes of it.

use codegraph_vector::ErrorKind;

use crate::harness::{Fake, Tree, rows};

fn tree() -> Tree {
    let tree = Tree::default();
    for at in 0..40 {
        let functions = (0..at % 5).map(|f| format!("fn f{f}_{at}() {{ {f} }}\n")).collect::<String>();
        tree.write(&format!("d{}/f{at}.rs", at % 3), functions);
    }
    tree
}

/// All rows of every file or none: what the store has of a file is what a whole index has of it.
fn assert_whole_files(partial: &[codegraph_vector::CodeNode], whole: &[codegraph_vector::CodeNode]) {
    let paths: std::collections::HashSet<_> = partial.iter().map(|row| &row.path).collect();
    let expected: Vec<_> = whole.iter().filter(|row| paths.contains(&row.path)).collect();
    assert_eq!(partial.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_run_that_fails_anywhere_leaves_whole_files_and_the_next_one_ends_where_it_should() {
    let tree = tree();
    let whole = tree.fresh();
    let mut unfinished = 0;
    for (batch, concurrency) in [(16, usize::MAX), (7, 2)] {
        for fails_at in (1..60).step_by(3) {
            let store = tree.store(&format!("{concurrency}-{fails_at}"));
            let embedder = Fake { fails_at: Some(fails_at), ..Fake::slow(batch, concurrency) };
            match tree.index_by(&store, &embedder) {
                Ok(_) => break,
                Err(error) => assert_eq!(error.message(), "the embedder had enough"),
            }
            let partial = rows(&store);
            unfinished += usize::from(!partial.is_empty() && partial.len() < whole.len());
            assert_whole_files(&partial, &whole);
            drop(store);
            let store = tree.store(&format!("{concurrency}-{fails_at}"));
            let summary = tree.index(&store);
            assert_eq!(summary.nodes_embedded + partial.len() as u64, whole.len() as u64);
            assert_eq!(rows(&store), whole);
        }
    }
    assert!(unfinished > 5, "only {unfinished} runs ended in the middle");
}

#[test]
fn a_failure_amid_changes_is_made_up_for() {
    let tree = tree();
    let store = tree.store("s");
    tree.index(&store);
    for fails_at in 1..6 {
        (0..10).for_each(|at| tree.write(&format!("d0/new{at}.rs"), format!("fn n{at}() {{ {fails_at} }}")));
        tree.write("d1/f1.rs", format!("fn changed() {{ {fails_at} }}"));
        let embedder = Fake { fails_at: Some(fails_at), ..Fake::default() };
        assert_eq!(tree.index_by(&store, &embedder).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    tree.remove("d2/f2.rs");
    tree.index(&store);
    assert_eq!(rows(&store), tree.fresh());
}
