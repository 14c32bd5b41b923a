//! Locks, who waits for whom, and errors that say so.

use std::thread;
use std::time::Duration;

use codegraph_vector::{
    CodeNode, Conflict, ConflictCause, DeadlockPolicy, ErrorKind, IsolationLevel, LockMode, LockTarget,
    NodeId, PersistentVectorStore, Result, TransactionOptions, Write,
};

use super::{Place, assert_holds, model_of};

use IsolationLevel::{ReadCommitted, RepeatableRead, Serializable};

fn at(id: NodeId, value: f32) -> CodeNode {
    CodeNode::new(id, vec![value, 1.0, 1.0, 1.0])
}

fn waiting(store: &PersistentVectorStore) -> u64 {
    store.consistency_manager().statistics().locks.waiting
}

/// Waits until so many requests wait for locks.
fn until_waiting(store: &PersistentVectorStore, requests: u64) {
    while waiting(store) < requests {
        thread::yield_now();
    }
}

#[track_caller]
fn conflict<T>(outcome: Result<T>) -> Conflict {
    let error = outcome.err().expect("this should have been refused");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    error.conflict().expect("what got in the way").clone()
}

#[test]
fn a_single_write_waits_for_a_transaction_and_does_not_get_lost() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    for commits in [true, false] {
        store.put(at(1, 1.0)).unwrap();
        let mut txn = store.begin(ReadCommitted).unwrap();
        txn.put(at(1, 2.0)).unwrap();
        thread::scope(|scope| {
            let single = scope.spawn(|| store.update_vector(1, &[3.0; 4]).unwrap());
            until_waiting(&store, 1);
            // Whoever does not wait is told at once.
            assert_eq!(conflict(store.submit(&Write::Put(&[at(1, 9.0)]))).node, Some(1));
            if commits {
                txn.commit().unwrap();
            } else {
                txn.rollback().unwrap();
            }
            assert!(single.join().unwrap().receipt.durable);
        });
        assert_holds(&store, &model_of(&[CodeNode::new(1, vec![3.0; 4])]));
    }
}

#[test]
fn shared_locks_go_together_and_exclude_writers() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    store.put(at(1, 1.0)).unwrap();
    let mut readers = [(); 2].map(|()| store.begin(ReadCommitted).unwrap());
    for reader in &mut readers {
        reader.lock(LockTarget::Node(1), LockMode::S).unwrap();
    }
    let options = TransactionOptions {
        lock_timeout: Some(Duration::from_millis(1)),
        ..TransactionOptions::new(ReadCommitted)
    };
    let mut writer = store.begin_with(options).unwrap();
    let refused = conflict(writer.put(at(1, 2.0)));
    assert_eq!((refused.cause, refused.node), (ConflictCause::LockTimeout, Some(1)));
    // A lock that was not free in time does not end a transaction.
    writer.put(at(2, 2.0)).unwrap();
    drop(readers);
    writer.put(at(1, 2.0)).unwrap();
    writer.commit().unwrap();
    assert_holds(&store, &model_of(&[at(1, 2.0), at(2, 2.0)]));
}

#[test]
fn a_lock_of_the_store_is_one_of_all_nodes() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    let manager = store.consistency_manager();
    let owner = manager.begin_transaction(Serializable).unwrap();
    manager.acquire_lock(owner, LockTarget::Store, LockMode::X).unwrap();
    thread::scope(|scope| {
        let single = scope.spawn(|| store.put(at(1, 1.0)).unwrap());
        until_waiting(&store, 1);
        assert_eq!(store.get(1).unwrap(), None, "readers wait for nobody");
        manager.abort_transaction(owner).unwrap();
        single.join().unwrap();
    });
    assert_holds(&store, &model_of(&[at(1, 1.0)]));
    assert_eq!(manager.statistics().locks.held, 0);
}

#[test]
fn a_deadlock_costs_the_youngest_and_names_the_circle() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    let ids: [NodeId; 3] = [1, 2, 3];
    let mut txns: Vec<_> = ids.iter().map(|_| store.begin(ReadCommitted).unwrap()).collect();
    let numbers: Vec<_> = txns.iter().map(codegraph_vector::Transaction::id).collect();
    for (txn, id) in txns.iter_mut().zip(ids) {
        txn.put(at(id, id as f32)).unwrap();
    }
    thread::scope(|scope| {
        let mut waiters = Vec::new();
        for (at_once, (mut txn, next)) in txns.into_iter().zip([2, 3, 1]).enumerate() {
            if at_once < 2 {
                waiters.push(scope.spawn(move || txn.put(at(next, 10.0)).and_then(|()| txn.commit())));
                until_waiting(&store, at_once as u64 + 1);
            } else {
                // The third, which is the youngest, closes the circle.
                let refused = conflict(txn.put(at(next, 10.0)));
                assert_eq!(refused.cause, ConflictCause::Deadlock);
                let mut cycle = refused.cycle.clone();
                cycle.sort_unstable();
                assert_eq!(cycle, numbers);
                assert_eq!(conflict(txn.commit()).cause, ConflictCause::Deadlock, "it is over");
            }
        }
        for waiter in waiters.into_iter().rev() {
            waiter.join().unwrap().unwrap();
        }
    });
    assert_holds(&store, &model_of(&[at(1, 1.0), at(2, 10.0), at(3, 10.0)]));
    let statistics = store.consistency_manager().statistics();
    assert_eq!((statistics.locks.deadlocks, statistics.locks.held), (1, 0));
}

#[test]
fn under_wound_wait_the_old_take_over() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    store.configure(|settings| settings.transactions.deadlocks = DeadlockPolicy::WoundWait).unwrap();
    let mut old = store.begin(ReadCommitted).unwrap();
    let mut young = store.begin(ReadCommitted).unwrap();
    young.put(at(1, 2.0)).unwrap();
    old.put(at(1, 1.0)).unwrap();
    assert_eq!(conflict(young.get(1)).cause, ConflictCause::Wounded);
    assert_eq!(conflict(young.commit()).cause, ConflictCause::Wounded);
    old.commit().unwrap();
    assert_holds(&store, &model_of(&[at(1, 1.0)]));
}

#[test]
fn the_first_committer_wins_and_the_other_is_told_who_and_where() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    store.put_batch(&[at(1, 1.0), at(2, 1.0)]).unwrap();
    for level in [RepeatableRead, Serializable] {
        let mut txn = store.begin(level).unwrap();
        txn.get(2).unwrap();
        store.put(at(1, 2.0)).unwrap();
        let refused = conflict(txn.put(at(1, 3.0)));
        assert_eq!((refused.cause, refused.node), (ConflictCause::Write, Some(1)));
        // What was read, and is written by a transaction that can be named.
        let mut txn = store.begin(level).unwrap();
        txn.get(1).unwrap();
        txn.put(at(2, 3.0)).unwrap();
        let mut other = store.begin(ReadCommitted).unwrap();
        let number = other.id();
        other.put(at(1, 4.0)).unwrap();
        other.commit().unwrap();
        let refused = conflict(txn.commit());
        assert_eq!((refused.cause, refused.node), (ConflictCause::Read, Some(1)));
        assert_eq!(refused.transaction, Some(number));
        assert!(refused.to_string().ends_with("try again"), "{refused}");
    }
}

#[test]
fn what_is_prepared_is_in_nobodys_power() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    store.put_batch(&[at(1, 1.0), at(2, 1.0)]).unwrap();
    let mut prepared = store.begin(Serializable).unwrap();
    prepared.get(2).unwrap();
    prepared.put(at(1, 2.0)).unwrap();
    let number = prepared.prepare().unwrap();
    // Others may not write what it read.
    let mut other = store.begin(ReadCommitted).unwrap();
    other.put(at(2, 5.0)).unwrap();
    let refused = conflict(other.commit());
    assert_eq!((refused.cause, refused.transaction), (ConflictCause::Prepared, Some(number)));
    // Nor what it wrote, which is locked.
    let options = TransactionOptions {
        lock_timeout: Some(Duration::from_millis(1)),
        ..TransactionOptions::new(ReadCommitted)
    };
    let mut other = store.begin_with(options).unwrap();
    assert_eq!(conflict(other.put(at(1, 5.0))).cause, ConflictCause::LockTimeout);
    assert_eq!(store.in_doubt().unwrap().len(), 1);
    prepared.commit().unwrap();
    other.put(at(1, 6.0)).unwrap();
    other.commit().unwrap();
    assert_holds(&store, &model_of(&[at(1, 6.0), at(2, 1.0)]));
    assert!(store.in_doubt().unwrap().is_empty());
}
