//! What each operation comes to in each mode, alone and on the same node as others.

use codegraph_vector::{
    CodeNode, ErrorKind, IncrementalConfig, IncrementalMode, IncrementalOperation, Priority,
};
use codegraph_vector_testkit::SimVfs;

use super::{bare, by_hand, delete, insert, start, update, vector};
use crate::sample::{Model, assert_holds, open};

fn model_of(nodes: impl IntoIterator<Item = CodeNode>) -> Model {
    nodes.into_iter().map(|node| (node.id, node)).collect()
}

#[test]
fn upsert_replaces_inserts_and_deletes_nothing() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(by_hand(&store));
    let named = bare(1, 1).with_name("parse").with_path("a.rs");
    store.put(named.clone()).unwrap();
    let ticket = manager.submit_batch(vec![update(1, 2), update(2, 3), delete(3), insert(4, 4)]).unwrap();
    let outcome = ticket.wait();
    assert_eq!(outcome.errors().count(), 0);
    assert_eq!(outcome.all().unwrap().deleted, 0);
    assert!(outcome.outcomes.iter().flatten().all(|outcome| outcome.receipt.durable));
    let renewed = CodeNode { embedding: vector(2), ..named };
    assert_holds(&store, &model_of([renewed, bare(2, 3), bare(4, 4)]));
    manager.submit_operation(insert(1, 5)).unwrap().wait().all().unwrap();
    assert_eq!(store.get(1).unwrap(), Some(bare(1, 5)), "its metadata is gone with the old node");
    let gone = manager.submit_batch(vec![delete(1), delete(2), delete(9)]).unwrap().wait();
    assert_eq!(gone.all().unwrap().deleted, 2);
    let each: Vec<u64> = gone.outcomes.iter().flatten().map(|outcome| outcome.deleted).collect();
    assert_eq!(each, [1, 1, 0]);
}

#[test]
fn strict_refuses_each_of_these_alone() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(IncrementalConfig { mode: IncrementalMode::Strict, ..by_hand(&store) });
    store.put_batch(&[bare(1, 1), bare(2, 2)]).unwrap();
    let operations = vec![insert(1, 9), update(3, 9), delete(4), update(2, 5), insert(5, 6), delete(1)];
    let outcome = manager.submit_batch(operations).unwrap().wait();
    let kinds: Vec<_> = outcome.errors().map(|(at, error)| (at, error.kind())).collect();
    assert_eq!(kinds, [(0, ErrorKind::AlreadyExists), (1, ErrorKind::NotFound), (2, ErrorKind::NotFound)]);
    let error = outcome.all().unwrap_err();
    assert!(error.message().starts_with("operation 0: node 1 is there already"), "{error}");
    assert_holds(&store, &model_of([bare(2, 5), bare(5, 6)]));
    // What stands before it in the same commit counts.
    let chain = vec![insert(1, 1), insert(1, 2), update(1, 3), delete(1), delete(1), insert(1, 4)];
    let outcome = manager.submit_batch(chain).unwrap().wait();
    let kinds: Vec<_> = outcome.errors().map(|(at, error)| (at, error.kind())).collect();
    assert_eq!(kinds, [(1, ErrorKind::AlreadyExists), (4, ErrorKind::NotFound)]);
    assert_holds(&store, &model_of([bare(1, 4), bare(2, 5), bare(5, 6)]));
}

#[test]
fn a_bad_operation_fails_alone_and_says_why() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(by_hand(&store));
    let node = bare(5, 5).with_path("a.rs");
    let operations = vec![
        IncrementalOperation::Insert { node_id: 1, vector: vec![1.0; 3] },
        insert(2, 2),
        IncrementalOperation::Update { node_id: 3, new_vector: vec![f32::NAN; 8] },
        IncrementalOperation::ReplacePath { path: "b.rs".to_owned(), nodes: vec![bare(4, 4), node] },
        IncrementalOperation::Put(bare(6, 6).with_lines(7, 5)),
        IncrementalOperation::Put(bare(7, 7).with_name("x".repeat(2 << 20))),
        IncrementalOperation::ReplacePath { path: "/b.rs".to_owned(), nodes: vec![bare(8, 8)] },
        insert(9, 9),
    ];
    let outcome = manager.submit_batch(operations).unwrap().wait();
    let kinds: Vec<_> = outcome.errors().map(|(at, error)| (at, error.kind())).collect();
    let invalid = ErrorKind::InvalidInput;
    assert_eq!(kinds[..4], [(0, invalid), (2, invalid), (3, invalid), (4, invalid)]);
    assert_eq!(kinds[4..], [(5, ErrorKind::TooLarge), (6, invalid)]);
    let texts: Vec<_> = outcome.errors().map(|(_, error)| error.to_string()).collect();
    for (text, piece) in texts.iter().zip(["node 1", "node 3", "node 5", "node 6", "node 7", "/b.rs"]) {
        assert!(text.contains(piece), "{piece:?} is not in {text}");
    }
    assert_holds(&store, &model_of([bare(2, 2), bare(9, 9)]));
    let statistics = manager.statistics();
    assert_eq!((statistics.submitted, statistics.committed, statistics.failed), (8, 2, 6));
}

#[test]
fn one_that_is_too_large_for_a_commit_does_not_take_its_company_along() {
    let store = open(&SimVfs::new(1)).unwrap();
    store.configure(|settings| settings.max_batch_bytes = 4 << 10).unwrap();
    let manager = start(by_hand(&store));
    let many = (100..300).map(|id| bare(id, 1)).collect();
    let large = IncrementalOperation::ReplacePath { path: "a.rs".to_owned(), nodes: many };
    // It is taken alone for its size; so that it has company, its estimate has to be small.
    let name = IncrementalOperation::Put(bare(1, 1).with_terms("a ".repeat(4 << 10)));
    let outcome = manager.submit_batch(vec![insert(2, 2), large, insert(3, 3), name]).unwrap().wait();
    let kinds: Vec<_> = outcome.errors().map(|(at, error)| (at, error.kind())).collect();
    assert_eq!(kinds, [(1, ErrorKind::TooLarge), (3, ErrorKind::TooLarge)]);
    assert_holds(&store, &model_of([bare(2, 2), bare(3, 3)]));
}

#[test]
fn a_node_that_is_deleted_and_inserted_again_is_a_new_one() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(by_hand(&store));
    store.put(bare(1, 1)).unwrap();
    let before = store.vector_metadata(1).unwrap().unwrap();
    manager.submit_batch(vec![update(1, 2), insert(1, 3)]).unwrap().wait().all().unwrap();
    let updated = store.vector_metadata(1).unwrap().unwrap();
    assert_eq!(updated.created_us, before.created_us);
    manager.submit_batch(vec![delete(1), insert(1, 4)]).unwrap().wait().all().unwrap();
    let renewed = store.vector_metadata(1).unwrap().unwrap();
    assert!(renewed.created_us > before.created_us);
}

#[test]
fn a_path_is_replaced_with_all_that_was_on_its_way_there() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(by_hand(&store));
    store.put_batch(&[bare(1, 1).with_path("a.rs"), bare(2, 2).with_path("a.rs")]).unwrap();
    let put = |id, path: &str| IncrementalOperation::Put(bare(id, id as u64).with_path(path));
    let low =
        manager.submit_batch_with(vec![put(3, "a.rs"), put(4, "b.rs"), update(2, 9)], Priority::Low).unwrap();
    let replace =
        IncrementalOperation::ReplacePath { path: "a.rs".to_owned(), nodes: vec![bare(1, 5), bare(6, 6)] };
    let high = manager.submit_operation_with(replace, Priority::High).unwrap();
    // It was replaced by then, so this is another node 2.
    let after = manager.submit_operation_with(update(2, 7), Priority::High).unwrap();
    after.wait().all().unwrap();
    assert_eq!(high.wait().all().unwrap().deleted, 2);
    low.wait().all().unwrap();
    let expected = [
        bare(1, 5).with_path("a.rs"),
        bare(2, 7),
        bare(4, 4).with_path("b.rs"),
        bare(6, 6).with_path("a.rs"),
    ];
    assert_holds(&store, &model_of(expected));
}

#[test]
fn a_hundred_updates_of_a_node_are_one_row_of_one_commit() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(by_hand(&store));
    let operations = (0..100).map(|seed| update(1, seed)).collect();
    let outcome = manager.submit_batch(operations).unwrap().wait();
    let commits: Vec<_> = outcome.outcomes.iter().flatten().map(|outcome| outcome.receipt.seqno).collect();
    assert!(commits.len() == 100 && commits.iter().all(|seqno| *seqno == commits[0]), "{commits:?}");
    assert_eq!(store.stats().unwrap().memtable_rows, 1);
    assert_holds(&store, &model_of([bare(1, 99)]));
}

#[test]
fn large_batches_are_prepared_by_all_cores_and_come_to_the_same() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(IncrementalConfig { parallel_threshold: 2, ..by_hand(&store) });
    let mut operations: Vec<_> = (0..500).map(|id| insert(id, id as u64)).collect();
    operations.push(IncrementalOperation::Insert { node_id: 999, vector: vec![] });
    let outcome = manager.submit_batch(operations).unwrap().wait();
    assert_eq!(outcome.errors().map(|(at, _)| at).collect::<Vec<_>>(), [500]);
    let updates = (0..500).map(|id| update(id, id as u64 + 1)).collect();
    manager.submit_batch(updates).unwrap().wait().all().unwrap();
    assert_holds(&store, &model_of((0..500).map(|id| bare(id, id as u64 + 1))));
}
