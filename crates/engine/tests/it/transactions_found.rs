//! What a review of transactions found, a test for each, and the gate beside long transactions.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use codegraph_vector::{
    CodeNode, ConflictCause, ErrorKind, Filter, IsolationLevel, LockMode, LockTarget, NodeId,
    PersistentVectorStore, Result, TransactionOptions,
};
use codegraph_vector_testkit::SimVfs;

use crate::sample::{DIMENSION, open, reopen};

fn node(id: NodeId) -> CodeNode {
    CodeNode::new(id, vec![1.0; DIMENSION]).with_language("rust")
}

fn rust() -> Filter {
    Filter::eq("language", "rust")
}

fn cause<T: std::fmt::Debug>(outcome: Result<T>) -> ConflictCause {
    let error = outcome.unwrap_err();
    error.conflict().unwrap_or_else(|| panic!("no conflict: {error}")).cause
}

fn ids(store: &PersistentVectorStore, filter: &Filter) -> Result<Vec<NodeId>> {
    store.snapshot()?.ids(filter)
}

/// Lets other threads work until so many requests wait for locks.
fn until_waiting(store: &PersistentVectorStore, waiting: u64) {
    while store.consistency_manager().statistics().locks.waiting != waiting {
        thread::yield_now();
    }
}

/// Options of one that gives up on a lock at once.
fn impatient(level: IsolationLevel) -> TransactionOptions {
    TransactionOptions { lock_timeout: Some(Duration::ZERO), ..TransactionOptions::new(level) }
}

#[test]
fn a_predicate_write_that_found_a_lock_taken_may_be_tried_again() {
    let store = open(&SimVfs::new(1)).unwrap();
    store.put(node(1)).unwrap();
    for predicate_is_path in [false, true] {
        let mut holder = store.begin(IsolationLevel::ReadCommitted).unwrap();
        holder.put(node(1).with_path("a")).unwrap();
        let mut txn = store.begin_with(impatient(IsolationLevel::ReadCommitted)).unwrap();
        txn.put(node(2)).unwrap();
        let mut write = || match predicate_is_path {
            true => txn.replace_path("a", &[node(1)]),
            false => txn.delete_by_filter(&rust()),
        };
        assert_eq!(cause(write()), ConflictCause::LockTimeout);
        holder.commit().unwrap();
        write().unwrap();
        txn.commit().unwrap();
        assert_eq!(store.get(1).unwrap().is_some(), predicate_is_path);
        store.put(node(1)).unwrap();
    }
}

#[test]
fn what_is_decided_may_be_decided_again_by_number() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = store.consistency_manager();
    let prepared = |id| {
        let mut txn = store.begin(IsolationLevel::Serializable).unwrap();
        txn.put(node(id)).unwrap();
        txn.prepare().unwrap()
    };
    let (committed, rolled_back) = (prepared(1), prepared(2));
    let receipt = manager.commit_transaction(committed).unwrap();
    assert_eq!(manager.commit_transaction(committed).unwrap(), receipt);
    assert_eq!(manager.abort_transaction(committed).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(manager.abort_transaction(rolled_back).unwrap().len(), 1);
    assert!(manager.abort_transaction(rolled_back).unwrap().is_empty(), "nothing is left to restore");
    assert_eq!(manager.commit_transaction(rolled_back).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(manager.statistics().active, 0);
}

#[test]
fn locks_of_what_is_in_doubt_outlive_the_process_where_nothing_was_written_too() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    store.put(node(1)).unwrap();
    let mut txn = store.begin(IsolationLevel::Serializable).unwrap();
    assert!(!txn.delete(2).unwrap(), "what this transaction has read");
    txn.lock(LockTarget::Node(1), LockMode::S).unwrap();
    txn.put(node(3)).unwrap();
    let id = txn.prepare().unwrap();
    drop(txn);
    store.close().unwrap();
    let store = reopen(&sim).unwrap();
    for locked in [1, 2] {
        assert_eq!(cause(store.put(node(locked))), ConflictCause::Prepared, "node {locked}");
    }
    store.commit_prepared(id).unwrap();
    store.put_batch(&[node(1), node(2)]).unwrap();
    assert_eq!(ids(&store, &rust()).unwrap(), [1, 2, 3]);
}

#[test]
fn nobody_waits_on_for_a_lock_in_a_closed_store() {
    let store = Arc::new(open(&SimVfs::new(1)).unwrap());
    let mut txn = store.begin(IsolationLevel::ReadCommitted).unwrap();
    txn.put(node(1)).unwrap();
    txn.prepare().unwrap();
    let in_doubt = store.in_doubt().unwrap().len();
    let waiting = [true, false].map(|in_transaction| {
        let store = store.clone();
        thread::spawn(move || match in_transaction {
            true => store.begin(IsolationLevel::ReadCommitted)?.put(node(1)),
            false => store.put(node(1)).map(|_| ()),
        })
    });
    until_waiting(&store, 2);
    store.close().unwrap();
    for thread in waiting {
        thread.join().unwrap().unwrap_err();
    }
    assert_eq!(in_doubt, 1);
    assert_eq!(txn.commit().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_transaction_may_have_all_the_time_in_the_world() {
    let store = open(&SimVfs::new(1)).unwrap();
    let ever = Some(Duration::MAX);
    let options = TransactionOptions {
        idle_timeout: ever,
        total_timeout: ever,
        lock_timeout: ever,
        ..TransactionOptions::new(IsolationLevel::Serializable)
    };
    let mut txn = store.begin_with(options).unwrap();
    txn.put(node(1)).unwrap();
    txn.lock(LockTarget::Store, LockMode::X).unwrap();
    txn.commit().unwrap();
}

#[test]
fn a_transaction_over_a_limit_that_was_lowered_still_reads_and_goes_back() {
    let store = open(&SimVfs::new(1)).unwrap();
    let mut txn = store.begin(IsolationLevel::ReadCommitted).unwrap();
    txn.put(node(1)).unwrap();
    let savepoint = txn.savepoint().unwrap();
    (2..200).for_each(|id| txn.put(node(id)).unwrap());
    store.configure(|settings| settings.max_batch_bytes = 4 << 10).unwrap();
    assert_eq!(txn.put(node(200)).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(txn.ids(&rust()).unwrap().len(), 199);
    txn.rollback_to(&savepoint).unwrap();
    txn.put(node(200)).unwrap();
    txn.commit().unwrap();
    assert_eq!(ids(&store, &rust()).unwrap(), [1, 200]);
}

#[test]
fn a_predicate_write_that_lost_its_races_gets_its_turn_and_stops_nobody_who_it_waits_for() {
    // As many as it tries before it stops everyone else.
    const RACES: usize = 4;
    let store = Arc::new(open(&SimVfs::new(1)).unwrap());
    store.put(node(1)).unwrap();
    let begin = || store.begin(IsolationLevel::ReadCommitted).unwrap();
    let mut holder = begin();
    holder.put(node(1)).unwrap();
    let deleting = {
        let store = store.clone();
        thread::spawn(move || store.delete_by_filter(&rust()))
    };
    for _ in 0..RACES {
        until_waiting(&store, 1);
        // The next one stands behind the deleter, so it has the lock when that one has lost its race.
        let next = {
            let mut txn = begin();
            thread::spawn(move || txn.put(node(1)).map(|()| txn))
        };
        until_waiting(&store, 2);
        holder.commit().unwrap();
        holder = next.join().unwrap().unwrap();
    }
    // It stops everyone else from here on, but while it waits for a lock.
    until_waiting(&store, 1);
    store.put(CodeNode::new(9, vec![1.0; DIMENSION])).unwrap();
    holder.commit().unwrap();
    assert_eq!(deleting.join().unwrap().unwrap().deleted, 1);
    assert_eq!(ids(&store, &Filter::everything()).unwrap(), [9]);
}
