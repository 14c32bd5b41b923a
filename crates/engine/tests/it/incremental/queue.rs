//! The queue's bounds, pauses, and the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use codegraph_vector::{ErrorKind, Filter, IncrementalConfig, Priority, WhenFull};
use codegraph_vector_testkit::SimVfs;

use super::{Gate, bare, by_hand, insert, start, update};
use crate::sample::{assert_holds, assert_refused, open};

#[test]
fn a_full_queue_refuses_and_says_when_to_come_again() {
    let store = open(&SimVfs::new(1)).unwrap();
    let full = IncrementalConfig { queue_capacity: 4, max_batch_size: 4, ..by_hand(&store) };
    let manager = start(IncrementalConfig { when_full: WhenFull::Refuse, ..full });
    let three = manager.submit_batch(vec![insert(1, 1), insert(2, 2), insert(3, 3)]).unwrap();
    let error = manager.submit_batch(vec![insert(4, 4), insert(5, 5)]).unwrap_err();
    assert!(error.retry_after() >= Some(Duration::from_millis(1)), "{error}");
    assert_refused::<()>(Err(error), ErrorKind::Overloaded, &["3 of 4", "try again in"]);
    let one = manager.submit_operation(insert(4, 4)).unwrap();
    assert_refused(manager.submit_operation(insert(5, 5)), ErrorKind::Overloaded, &["4 of 4"]);
    three.wait().all().unwrap();
    one.wait().all().unwrap();
    let large = (10..20).map(|id| insert(id, 1)).collect();
    manager.submit_batch(large).unwrap().wait().all().unwrap();
    let statistics = manager.statistics();
    assert_eq!((statistics.refused, statistics.submitted, statistics.committed), (2, 14, 14));
    assert_eq!(store.count(&Filter::everything()).unwrap(), 14);
}

#[test]
fn who_waits_for_room_gives_up_in_time() {
    let store = open(&SimVfs::new(1)).unwrap();
    let when_full = WhenFull::Block { at_most: Some(Duration::from_millis(5)) };
    let full = IncrementalConfig { queue_capacity: 1, max_batch_size: 1, when_full, ..by_hand(&store) };
    let manager = start(full);
    manager.pause(); // Else it would make room itself.
    let first = manager.submit_operation(insert(1, 1)).unwrap();
    assert_refused(manager.submit_operation(insert(2, 2)), ErrorKind::Overloaded, &["1 of 1"]);
    manager.resume();
    manager.submit_operation(insert(3, 3)).unwrap();
    assert!(first.try_outcome().is_some(), "who waited for room has done it");
}

#[test]
fn who_waits_for_room_gets_in_when_a_worker_has_made_it() {
    let (store, gate) = (open(&SimVfs::new(1)).unwrap(), Gate::default());
    let manager = start(IncrementalConfig {
        queue_capacity: 2,
        max_batch_size: 2,
        worker_threads: 1,
        probe: gate.before_commits(),
        ..IncrementalConfig::for_store(&store)
    });
    let first = manager.submit_batch(vec![insert(1, 1), insert(2, 2)]).unwrap();
    gate.wait_for(1);
    thread::scope(|scope| {
        let low = scope.spawn(|| manager.submit_batch_with(vec![update(1, 8)], Priority::Low).unwrap());
        let high = scope.spawn(|| manager.submit_batch_with(vec![insert(3, 3)], Priority::High).unwrap());
        gate.open();
        high.join().unwrap().wait().all().unwrap();
        low.join().unwrap().wait().all().unwrap();
    });
    first.wait().all().unwrap();
    manager.shutdown().unwrap();
    let nodes = [bare(1, 8), bare(2, 2), bare(3, 3)];
    assert_holds(&store, &nodes.into_iter().map(|node| (node.id, node)).collect());
}

#[test]
fn a_paused_manager_begins_nothing_but_what_it_is_told_to_flush() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(IncrementalConfig::for_store(&store));
    manager.pause();
    let tickets: Vec<_> = [Priority::High, Priority::Low, Priority::Low]
        .into_iter()
        .zip(1..)
        .map(|(priority, id)| manager.submit_operation_with(insert(id, 1), priority).unwrap())
        .collect();
    let statistics = manager.statistics();
    assert_eq!((statistics.queued, statistics.batches), ([1, 0, 2], 0));
    manager.flush().unwrap();
    assert!(tickets.iter().all(|ticket| ticket.try_outcome().is_some()));
    let late = manager.submit_operation(insert(4, 4)).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| late.wait());
        manager.resume();
        waiting.join().unwrap().all().unwrap();
    });
    assert_eq!(manager.statistics().queued, [0; 3]);
}

#[test]
fn a_shutdown_does_what_was_submitted_and_refuses_the_rest() {
    for worker_threads in [0, 2] {
        let sim = SimVfs::new(1);
        let store = open(&sim).unwrap();
        let manager = start(IncrementalConfig { worker_threads, ..IncrementalConfig::for_store(&store) });
        let ticket = manager.submit_batch((0..50).map(|id| insert(id, 1)).collect()).unwrap();
        manager.shutdown().unwrap();
        assert_eq!(ticket.try_outcome().unwrap().errors().count(), 0);
        assert_refused(manager.submit_operation(insert(99, 1)), ErrorKind::Closed, &["shut down"]);
        manager.shutdown().unwrap();
        let other = start(IncrementalConfig { worker_threads, ..IncrementalConfig::for_store(&store) });
        other.submit_batch((50..80).map(|id| insert(id, 1)).collect()).unwrap();
        drop(other);
        assert_eq!(store.count(&Filter::everything()).unwrap(), 80);
        drop((store, manager));
        assert_eq!(open(&sim).unwrap().count(&Filter::everything()).unwrap(), 80, "the lock is free");
    }
}

#[test]
fn a_shutdown_under_load_loses_nothing_that_was_taken_in() {
    let store = open(&SimVfs::new(1)).unwrap();
    let config =
        IncrementalConfig { queue_capacity: 64, max_batch_size: 16, ..IncrementalConfig::for_store(&store) };
    let (manager, taken) = (start(config), AtomicU64::new(0));
    thread::scope(|scope| {
        for writer in 0..4u128 {
            let (manager, taken) = (&manager, &taken);
            scope.spawn(move || {
                for at in 0.. {
                    let ids = [writer << 32 | at << 1, writer << 32 | at << 1 | 1];
                    match manager.submit_batch(ids.map(|id| insert(id, 1)).into()) {
                        Ok(ticket) if at % 8 == 0 => assert_eq!(ticket.wait().errors().count(), 0),
                        Ok(_) => {}
                        Err(error) => return assert_eq!(error.kind(), ErrorKind::Closed),
                    }
                    taken.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        while taken.load(Ordering::Relaxed) < 300 {
            thread::yield_now();
        }
        manager.shutdown().unwrap();
    });
    let (taken, statistics) = (taken.into_inner(), manager.statistics());
    assert_eq!(store.count(&Filter::everything()).unwrap(), taken);
    assert_eq!((statistics.submitted, statistics.committed, statistics.failed), (taken, taken, 0));
    assert!(statistics.commits <= statistics.batches && statistics.mean_batch >= 1.0);
    assert!(statistics.latency_p50_us <= statistics.latency_p99_us);
}
