//! Incremental operations, and what they make of segments and the log.

use std::thread;
use std::time::Duration;

use codegraph_vector::{
    CodeNode, Durability, Filter, IncrementalConfig, IncrementalOperation, IncrementalUpdateManager, NodeId,
    PersistentVectorStore, Priority,
};
use codegraph_vector_testkit::Rng;

use super::{Model, Place, assert_holds, block_on, copy_files, model_of, node, nodes};

const DIMENSION: usize = 16;

fn puts(nodes: &[CodeNode]) -> Vec<IncrementalOperation> {
    nodes.iter().cloned().map(IncrementalOperation::Put).collect()
}

fn manager(store: &PersistentVectorStore) -> IncrementalUpdateManager {
    IncrementalUpdateManager::new(IncrementalConfig::for_store(store)).unwrap()
}

#[test]
fn operations_from_an_editor_and_a_bulk_run_are_there_after_a_restart() {
    let (place, rng) = (Place::new(), &mut Rng::new(1));
    let mut model = Model::new();
    {
        let store = place.open(DIMENSION).unwrap();
        let manager = manager(&store);
        let bulk = nodes(rng, 0..600, DIMENSION);
        let tickets: Vec<_> = bulk
            .chunks(50)
            .map(|chunk| manager.submit_batch_with(puts(chunk), Priority::Low).unwrap())
            .collect();
        model.extend(model_of(&bulk));
        // The file that is open is saved three times meanwhile.
        let open_file: Vec<CodeNode> = nodes(rng, 1_000..1_004, DIMENSION);
        for saved in 1..=open_file.len() {
            let nodes: Vec<_> = open_file[..saved]
                .iter()
                .map(|node| CodeNode { path: Some("src/open.rs".to_owned()), ..node.clone() })
                .collect();
            model.extend(model_of(&nodes));
            let replace = IncrementalOperation::ReplacePath { path: "src/open.rs".to_owned(), nodes };
            let ticket = manager.submit_operation_with(replace, Priority::High).unwrap();
            assert!(block_on(ticket).all().unwrap().receipt.durable);
        }
        let new_vector = node(rng, 0, DIMENSION).embedding;
        model.get_mut(&7).unwrap().embedding.clone_from(&new_vector);
        model.remove(&8);
        let last = vec![
            IncrementalOperation::Update { node_id: 7, new_vector },
            IncrementalOperation::Delete { node_id: 8 },
        ];
        assert_eq!(manager.submit_batch(last).unwrap().wait().all().unwrap().deleted, 1);
        for ticket in tickets {
            assert!(block_on(ticket).all().unwrap().receipt.durable);
        }
        let statistics = manager.statistics();
        assert_eq!((statistics.committed, statistics.failed), (606, 0));
        assert_holds(&store, &model);
    }
    assert_holds(&place.open(DIMENSION).unwrap(), &model);
}

#[test]
fn tickets_are_awaited_without_threads_too() {
    let place = Place::new();
    let store = place.open(DIMENSION).unwrap();
    let config = IncrementalConfig { worker_threads: 0, ..IncrementalConfig::for_store(&store) };
    let manager = IncrementalUpdateManager::new(config).unwrap();
    let nodes = nodes(&mut Rng::new(2), 0..40, DIMENSION);
    let first = manager.submit_batch(puts(&nodes[..20])).unwrap();
    let second = manager.submit_batch(puts(&nodes[20..])).unwrap();
    assert_eq!(block_on(second).errors().count() + block_on(first).errors().count(), 0);
    assert_holds(&store, &model_of(&nodes));
}

#[test]
fn segments_are_sealed_by_size_and_by_age_in_the_background() {
    let (place, rng) = (Place::new(), &mut Rng::new(3));
    let store = place.open(DIMENSION).unwrap();
    let config = IncrementalConfig {
        max_segment_size: 32 << 10,
        max_segment_age: Duration::from_millis(20),
        ..IncrementalConfig::for_store(&store)
    };
    let manager = IncrementalUpdateManager::new(config).unwrap();
    let large = nodes(rng, 0..1_000, DIMENSION);
    for chunk in large.chunks(100) {
        manager.submit_batch(puts(chunk)).unwrap().wait().all().unwrap();
    }
    let small = nodes(rng, 1_000..1_010, DIMENSION);
    manager.submit_batch(puts(&small)).unwrap();
    manager.flush().unwrap();
    // It takes as long as it takes.
    while store.stats().unwrap().memtable_rows > 0 {
        thread::sleep(Duration::from_millis(5));
    }
    let stats = store.stats().unwrap();
    assert!(stats.flushes >= 2 && stats.background_error.is_none(), "{stats:?}");
    let mut model = model_of(&large);
    model.extend(model_of(&small));
    assert_holds(&store, &model);
}

#[test]
fn what_was_acknowledged_is_in_the_log_of_a_process_that_is_killed() {
    let (place, rng) = (Place::new(), &mut Rng::new(4));
    let store = place.open(DIMENSION).unwrap();
    let manager = manager(&store);
    let mut model = Model::new();
    for round in 0..5u128 {
        let batch = nodes(rng, round * 10..round * 10 + 20, DIMENSION);
        manager.submit_batch(puts(&batch)).unwrap().wait().all().unwrap();
        model.extend(model_of(&batch));
        let killed = Place::new();
        copy_files(&place.store(), &killed.store());
        assert_holds(&killed.open(DIMENSION).unwrap(), &model);
    }
    assert!(store.stats().unwrap().log.commits >= 5);
}

#[test]
fn with_an_interval_the_log_is_synced_behind_the_tickets() {
    let place = Place::new();
    let store = place.open(DIMENSION).unwrap();
    let wal_flush_interval = Duration::from_millis(2);
    let config = IncrementalConfig { wal_flush_interval, ..IncrementalConfig::for_store(&store) };
    let manager = IncrementalUpdateManager::new(config).unwrap();
    assert_eq!(store.settings().durability, Durability::Interval(2));
    let before = store.stats().unwrap().log.syncs;
    let nodes = nodes(&mut Rng::new(5), 0..100, DIMENSION);
    manager.submit_batch(puts(&nodes)).unwrap().wait().all().unwrap();
    while store.stats().unwrap().log.syncs == before {
        thread::sleep(Duration::from_millis(1));
    }
    assert_holds(&store, &model_of(&nodes));
}

#[test]
fn many_clients_share_commits_and_syncs() {
    const CLIENTS: u128 = 8;
    const ROUNDS: u128 = 20;
    let place = Place::new();
    let store = place.open(DIMENSION).unwrap();
    let manager = manager(&store);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let manager = &manager;
            scope.spawn(move || {
                let rng = &mut Rng::new(client as u64);
                for round in 0..ROUNDS {
                    let ids: NodeId = client * 1_000 + round * 3;
                    let ticket = manager.submit_batch(puts(&nodes(rng, ids..ids + 3, DIMENSION))).unwrap();
                    assert!(ticket.wait().all().unwrap().receipt.durable);
                }
            });
        }
    });
    let (statistics, log) = (manager.statistics(), store.stats().unwrap().log);
    assert_eq!(u128::from(statistics.committed), CLIENTS * ROUNDS * 3);
    assert!(log.syncs <= log.commits && u128::from(log.commits) <= CLIENTS * ROUNDS, "{log:?}");
    assert_eq!(u128::from(store.count(&Filter::everything()).unwrap()), CLIENTS * ROUNDS * 3);
}
