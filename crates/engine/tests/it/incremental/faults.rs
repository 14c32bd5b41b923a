//! What is in the way: panics, full and broken disks, transactions, the end of the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codegraph_vector::{
    ErrorKind, IncrementalConfig, IncrementalOperation, IsolationLevel, Moment, Probe, Write,
};
use codegraph_vector_testkit::{Action, Call, Fault, Op, SimVfs};

use super::{bare, by_hand, insert, start, update};
use crate::sample::{Model, assert_holds, assert_refused, open};

fn model_of(nodes: impl IntoIterator<Item = codegraph_vector::CodeNode>) -> Model {
    nodes.into_iter().map(|node| (node.id, node)).collect()
}

/// Panics the first time that a worker is at such a moment.
fn panics_once_at(is_it: fn(Moment) -> bool) -> Option<Probe> {
    let times = AtomicUsize::new(0);
    Some(Probe::new(move |moment| {
        if is_it(moment) && times.fetch_add(1, Ordering::SeqCst) == 0 {
            panic!("a worker that fails (this message is expected)");
        }
    }))
}

#[test]
fn a_panic_over_one_operation_is_told_to_its_ticket_and_nothing_else_is_lost() {
    for worker_threads in [0, 1] {
        let store = open(&SimVfs::new(1)).unwrap();
        let probe = panics_once_at(|moment| moment == Moment::Prepare(Some(13)));
        let config = IncrementalConfig { worker_threads, probe, ..IncrementalConfig::for_store(&store) };
        let manager = start(config);
        let tickets: Vec<_> =
            (10..20).map(|id| manager.submit_operation(insert(id, id as u64)).unwrap()).collect();
        for (id, ticket) in (10..20).zip(tickets) {
            match ticket.wait().all() {
                Ok(outcome) => assert!(outcome.receipt.durable && id != 13),
                Err(error) => assert_eq!((id, error.kind()), (13, ErrorKind::Internal), "{error}"),
            }
        }
        manager.submit_operation(insert(13, 13)).unwrap().wait().all().unwrap();
        assert_eq!(manager.statistics().worker_panics, 1);
        assert_holds(&store, &model_of((10..20).map(|id| bare(id, id as u64))));
    }
}

#[test]
fn a_panic_over_a_batch_has_each_operation_tried_alone() {
    let store = open(&SimVfs::new(1)).unwrap();
    let probe = panics_once_at(|moment| matches!(moment, Moment::Commit(n) if n > 1));
    let manager = start(IncrementalConfig { probe, ..by_hand(&store) });
    let operations = vec![insert(1, 1), insert(2, 2), update(1, 3), insert(3, 3)];
    assert_eq!(manager.submit_batch(operations).unwrap().wait().errors().count(), 0);
    assert_eq!(manager.statistics().worker_panics, 1);
    assert_holds(&store, &model_of([bare(1, 3), bare(2, 2), bare(3, 3)]));
}

#[test]
fn a_panic_behind_the_commit_is_an_unknown_outcome_and_others_go_on() {
    let store = open(&SimVfs::new(1)).unwrap();
    let probe = panics_once_at(|moment| matches!(moment, Moment::Queued(_)));
    let manager = start(IncrementalConfig { probe, ..by_hand(&store) });
    let outcome = manager.submit_operation(insert(1, 1)).unwrap().wait();
    assert_refused(outcome.all(), ErrorKind::OutcomeUnknown, &["may or may not"]);
    manager.submit_operation(update(1, 2)).unwrap().wait().all().unwrap();
    assert_holds(&store, &model_of([bare(1, 2)]));
}

/// Lets so many writes to the log find the disk full, but none that takes back what the one before had written.
fn fill(sim: &SimVfs, times: usize) {
    let calls = AtomicUsize::new(0);
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        if call.op != Op::Write || call.path.extension().is_none_or(|end| end != "wal") {
            return Action::Proceed;
        }
        let at = calls.fetch_add(1, Ordering::SeqCst);
        let full = at.is_multiple_of(2) && at / 2 < times;
        if full { Action::Fail(Fault::EnospcAfter(call.len as usize / 2)) } else { Action::Proceed }
    }));
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_patience_only() {
    for worker_threads in [0, 2] {
        let sim = SimVfs::new(1);
        let store = open(&sim).unwrap();
        let manager = start(IncrementalConfig { worker_threads, ..IncrementalConfig::for_store(&store) });
        fill(&sim, 3);
        let ticket = manager.submit_batch(vec![insert(1, 1), update(1, 2), insert(2, 2)]).unwrap();
        let later = manager.submit_operation(update(2, 3)).unwrap();
        assert!(ticket.wait().all().unwrap().receipt.durable);
        assert!(later.wait().all().unwrap().receipt.durable);
        assert!(manager.statistics().retried >= 3);
        assert_holds(&store, &model_of([bare(1, 2), bare(2, 3)]));
    }
}

#[test]
fn a_disk_that_stays_full_is_reported_once_and_room_is_used_when_it_comes() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    let manager = start(IncrementalConfig { retries: 2, retry_backoff: Duration::ZERO, ..by_hand(&store) });
    fill(&sim, usize::MAX);
    let outcome = manager.submit_batch(vec![insert(1, 1), insert(2, 2)]).unwrap().wait();
    assert_eq!(outcome.errors().filter(|(_, error)| error.kind() == ErrorKind::StorageFull).count(), 2);
    let statistics = manager.statistics();
    assert_eq!((statistics.failed, statistics.retried, statistics.put_off), (2, 4, 0));
    sim.clear_observer();
    manager.submit_operation(insert(3, 3)).unwrap().wait().all().unwrap();
    assert_holds(&store, &model_of([bare(3, 3)]));
}

#[test]
fn a_log_that_fails_is_told_to_every_ticket_and_to_who_submits() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    let manager = start(IncrementalConfig { max_batch_size: 1, ..by_hand(&store) });
    manager.submit_operation(insert(1, 1)).unwrap().wait().all().unwrap();
    sim.set_observer(Arc::new(|_: &SimVfs, call: &Call| {
        let log = call.op == Op::SyncData && call.path.extension().is_some_and(|end| end == "wal");
        if log { Action::Fail(Fault::SyncFails) } else { Action::Proceed }
    }));
    let tickets: Vec<_> = (2..5).map(|id| manager.submit_operation(insert(id, 1)).unwrap()).collect();
    let kinds: Vec<_> = tickets.into_iter().map(|ticket| ticket.wait().all().unwrap_err().kind()).collect();
    assert_eq!(kinds, [ErrorKind::OutcomeUnknown, ErrorKind::ReadOnly, ErrorKind::ReadOnly]);
    assert_refused(manager.submit_operation(insert(9, 1)), ErrorKind::ReadOnly, &["log failed"]);
    assert_refused(manager.flush(), ErrorKind::ReadOnly, &["log failed"]);
    assert_refused(manager.shutdown(), ErrorKind::ReadOnly, &["log failed"]);
    assert_eq!(store.get(1).unwrap(), Some(bare(1, 1)), "reads go on");
}

#[test]
fn what_a_transaction_holds_waits_for_it_with_all_that_comes_later_for_the_node() {
    for worker_threads in [0, 2] {
        let store = open(&SimVfs::new(1)).unwrap();
        let manager = start(IncrementalConfig {
            worker_threads,
            retries: 1_000,
            retry_backoff: Duration::from_millis(1),
            ..IncrementalConfig::for_store(&store)
        });
        let mut transaction = store.begin(IsolationLevel::ReadCommitted).unwrap();
        transaction.put(bare(1, 1).with_name("held").with_path("a.rs")).unwrap();
        let held = manager.submit_batch(vec![update(1, 2), insert(2, 2)]).unwrap();
        manager.submit_operation(insert(3, 3)).unwrap().wait().all().unwrap();
        let later = manager.submit_operation(update(1, 4)).unwrap();
        let replace = IncrementalOperation::ReplacePath { path: "b.rs".to_owned(), nodes: vec![bare(1, 5)] };
        let last = manager.submit_operation(replace).unwrap();
        assert!(held.try_outcome().is_none() && later.try_outcome().is_none());
        transaction.commit().unwrap();
        last.wait().all().unwrap();
        let [first, then] = [held, later].map(|ticket| ticket.wait().all().unwrap().receipt.seqno);
        assert!(first <= then, "{first} {then}");
        assert!(manager.statistics().retried > 0);
        assert_holds(&store, &model_of([bare(1, 5).with_path("b.rs"), bare(2, 2), bare(3, 3)]));
    }
}

#[test]
fn who_does_not_try_again_is_told_of_the_conflict() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(IncrementalConfig { retries: 0, ..by_hand(&store) });
    let mut transaction = store.begin(IsolationLevel::ReadCommitted).unwrap();
    transaction.put(bare(1, 1).with_path("a.rs")).unwrap();
    let outcome = manager.submit_batch(vec![update(1, 2), insert(2, 2), update(1, 3)]).unwrap().wait();
    let kinds: Vec<_> = outcome.errors().map(|(at, error)| (at, error.kind())).collect();
    assert_eq!(kinds, [(0, ErrorKind::Conflict), (2, ErrorKind::Conflict)]);
    assert_holds(&store, &model_of([bare(2, 2)]));
    transaction.rollback().unwrap();
}

#[test]
fn what_a_transaction_in_doubt_has_read_waits_for_its_decision_alone() {
    let store = open(&SimVfs::new(1)).unwrap();
    store.put_batch(&[bare(1, 1), bare(2, 2)]).unwrap();
    let manager = start(IncrementalConfig { retries: 0, ..by_hand(&store) });
    let mut transaction = store.begin(IsolationLevel::Serializable).unwrap();
    transaction.get(1).unwrap();
    transaction.put(bare(5, 5)).unwrap();
    let id = transaction.id();
    transaction.prepare().unwrap();
    let outcome = manager.submit_batch(vec![update(1, 9), update(2, 9)]).unwrap().wait();
    let kinds: Vec<_> = outcome.errors().map(|(at, error)| (at, error.kind())).collect();
    assert_eq!(kinds, [(0, ErrorKind::Conflict)]);
    store.commit_prepared(id).unwrap();
    manager.submit_operation(update(1, 8)).unwrap().wait().all().unwrap();
    assert_holds(&store, &model_of([bare(1, 8), bare(2, 9), bare(5, 5)]));
}

#[test]
fn a_commit_that_nobody_waits_for_is_not_in_the_way() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(IncrementalConfig { retries: 0, ..by_hand(&store) });
    let pending = store.submit(&Write::Put(&[bare(1, 1)])).unwrap();
    manager.submit_operation(update(1, 2)).unwrap().wait().all().unwrap();
    pending.wait().unwrap();
    assert_holds(&store, &model_of([bare(1, 2)]));
}

#[test]
fn a_store_that_is_closed_is_told_to_who_submits_and_who_waits() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(by_hand(&store));
    let ticket = manager.submit_operation(insert(1, 1)).unwrap();
    store.close().unwrap();
    assert_refused(ticket.wait().all(), ErrorKind::Closed, &["closed"]);
    assert_refused(manager.submit_operation(insert(2, 2)), ErrorKind::Closed, &["closed"]);
}
