//! Which operation comes first, with many submitters, priorities and batches at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use codegraph_vector::{IncrementalConfig, IncrementalOperation, NodeId, Priority};
use codegraph_vector_testkit::{Rng, SimVfs};

use super::{Gate, bare, by_hand, delete, insert, start, update};
use crate::sample::{DIMENSION, open};

const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

fn numbered(node_id: NodeId, number: u32) -> IncrementalOperation {
    let mut vector = vec![1.0; DIMENSION];
    vector[0] = number as f32;
    match number % 3 {
        0 => IncrementalOperation::Insert { node_id, vector },
        1 => IncrementalOperation::Update { node_id, new_vector: vector },
        _ => IncrementalOperation::Put(codegraph_vector::CodeNode::new(node_id, vector).with_path("a.rs")),
    }
}

#[test]
fn a_reader_never_sees_a_node_go_back_however_many_write_whatever_the_priority() {
    const NODES: u128 = 3;
    const ROUNDS: u32 = 150;
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(IncrementalConfig {
        batch_timeout: Duration::ZERO,
        worker_threads: 3,
        max_batch_size: 7,
        ..IncrementalConfig::for_store(&store)
    });
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = [0.0; 4 * NODES as usize];
            while !over.load(Ordering::Relaxed) {
                for (id, last) in last.iter_mut().enumerate() {
                    let Some(node) = store.get(id as NodeId).unwrap() else { continue };
                    assert!(node.embedding[0] >= *last, "node {id} went from {last} to {:?}", node.embedding);
                    *last = node.embedding[0];
                }
            }
        });
        let writers: Vec<_> = (0..4u128)
            .map(|writer| {
                let manager = &manager;
                scope.spawn(move || {
                    let rng = &mut Rng::new(writer as u64);
                    for number in 1..=ROUNDS {
                        let operations =
                            (0..NODES).map(|node| numbered(writer * NODES + node, number)).collect();
                        let ticket = manager.submit_batch_with(operations, *rng.pick(&PRIORITIES)).unwrap();
                        if rng.chance(0.1) {
                            ticket.wait().all().unwrap();
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        manager.flush().unwrap();
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    for id in 0..4 * NODES {
        assert_eq!(store.get(id).unwrap().unwrap().embedding[0], ROUNDS as f32);
    }
}

#[test]
fn what_is_urgent_overtakes_what_is_not() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(IncrementalConfig { max_batch_size: 1, ..by_hand(&store) });
    let bulk = (0..10).map(|id| insert(id, 1)).collect();
    let bulk = manager.submit_batch_with(bulk, Priority::Low).unwrap();
    let urgent = manager.submit_operation_with(insert(99, 1), Priority::High).unwrap();
    urgent.wait().all().unwrap();
    let statistics = manager.statistics();
    assert_eq!((statistics.committed, statistics.queued), (1, [0, 0, 10]));
    // On the same node it takes along what stands before it, and nothing else.
    let again = manager.submit_operation_with(update(5, 2), Priority::High).unwrap();
    again.wait().all().unwrap();
    assert_eq!(store.get(5).unwrap(), Some(bare(5, 2)));
    assert!(manager.statistics().queued[2] >= 8, "{:?}", manager.statistics());
    bulk.wait().all().unwrap();
}

#[test]
fn what_is_not_urgent_gets_its_turn() {
    let store = open(&SimVfs::new(1)).unwrap();
    let manager = start(IncrementalConfig { max_batch_size: 1, ..by_hand(&store) });
    let low = manager.submit_operation_with(insert(1, 1), Priority::Low).unwrap();
    let normal = manager.submit_operation(insert(2, 1)).unwrap();
    let urgent: Vec<_> =
        (10..40).map(|id| manager.submit_operation_with(insert(id, 1), Priority::High).unwrap()).collect();
    for (at, ticket) in urgent.into_iter().enumerate() {
        ticket.wait().all().unwrap();
        assert!(at < 4 || normal.try_outcome().is_some(), "normal waits for {at} urgent ones");
        assert!(at < 8 || low.try_outcome().is_some(), "low waits for {at} urgent ones");
    }
}

#[test]
fn several_batches_are_under_way_at_once_but_never_two_of_one_node() {
    let (store, gate) = (open(&SimVfs::new(1)).unwrap(), Gate::default());
    let manager = start(IncrementalConfig {
        batch_timeout: Duration::ZERO,
        worker_threads: 3,
        probe: gate.before_commits(),
        ..IncrementalConfig::for_store(&store)
    });
    manager.submit_operation(insert(1, 1)).unwrap();
    gate.wait_for(1);
    manager.submit_operation(insert(2, 2)).unwrap();
    gate.wait_for(2);
    let gone = manager.submit_batch(vec![delete(1), delete(2)]).unwrap();
    assert_eq!(manager.statistics().queued, [0, 2, 0], "both wait for what is under way");
    manager.submit_operation(insert(3, 3)).unwrap();
    gate.wait_for(3);
    gate.open();
    assert_eq!(gone.wait().all().unwrap().deleted, 2);
    manager.flush().unwrap();
    assert_eq!(store.get(3).unwrap(), Some(bare(3, 3)));
    assert_eq!(store.get(1).unwrap(), None);
}

#[test]
fn who_waits_behind_a_batch_at_the_disk_is_begun_when_it_has_waited_long_enough() {
    let (store, gate) = (open(&SimVfs::new(1)).unwrap(), Gate::default());
    let manager = start(IncrementalConfig {
        // The store's clock stands still, but for a microsecond at each look at it.
        batch_timeout: Duration::from_micros(20),
        probe: gate.before_commits(),
        ..IncrementalConfig::for_store(&store)
    });
    manager.submit_operation(insert(1, 1)).unwrap();
    gate.wait_for(1);
    manager.submit_operation(insert(2, 2)).unwrap();
    gate.wait_for(2);
    gate.open();
    manager.flush().unwrap();
    assert_eq!(manager.statistics().batches, 2);
}
