//! Many rows, several threads, everything in the background on.

use std::thread;

use codegraph_vector::{CodeNode, Filter, SearchRequest};
use codegraph_vector_testkit::{Rng, generators};

use super::{Model, Place, found, model_of, nearest, node, nodes};

#[test]
fn twenty_thousand_rows_from_four_threads_are_all_there_and_found() {
    const DIMENSION: usize = 64;
    const ROWS: u128 = 5_000;
    const BATCH: u128 = 125;
    let place = Place::new();
    let store = place.open(DIMENSION).unwrap();
    store
        .configure(|settings| {
            (settings.memtable_bytes, settings.max_wal_file_bytes) = (1 << 20, 1 << 20);
        })
        .unwrap();
    let parts: Vec<Model> = thread::scope(|scope| {
        let write = |writer: u128| {
            let (store, rng) = (store.clone(), &mut Rng::new(writer as u64));
            let mut model = Model::new();
            for first in (writer * ROWS..(writer + 1) * ROWS).step_by(BATCH as usize) {
                let batch = nodes(rng, first..first + BATCH, DIMENSION);
                assert!(store.put_batch(&batch).unwrap().receipt.durable);
                model.extend(model_of(&batch));
                if rng.chance(0.2) {
                    let doomed: Vec<_> = (0..5).map(|_| first + rng.below(BATCH as usize) as u128).collect();
                    store.delete_batch(&doomed).unwrap();
                    model.retain(|id, _| !doomed.contains(id));
                }
                if rng.chance(0.2) {
                    let id = writer * ROWS + rng.below(100) as u128;
                    let replaced = node(rng, id, DIMENSION);
                    store.put(replaced.clone()).unwrap();
                    model.insert(id, replaced);
                }
            }
            model
        };
        let threads: Vec<_> = (0..4).map(|writer| scope.spawn(move || write(writer))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let model: Model = parts.into_iter().flatten().collect();
    let check = |store: &codegraph_vector::PersistentVectorStore| {
        let stats = store.stats().unwrap();
        assert_eq!((stats.active_vectors, stats.background_error), (model.len() as u64, None));
        let rng = &mut Rng::new(77);
        for filter in [Filter::everything(), Filter::eq("language", "go"), Filter::path_prefix("src/core/")] {
            let expected = model.values().filter(|node| filter.matches(node.id, &node.metadata())).count();
            assert_eq!(store.count(&filter).unwrap(), expected as u64);
            let query = generators::unit_vector(rng, DIMENSION);
            let request = SearchRequest::new(query.clone(), 25).with_filter(filter.clone()).with_exact(true);
            assert_eq!(found(store, &request), nearest(&model, &query, 25, &filter));
        }
        assert!(store.snapshot().unwrap().iter().unwrap().map(Result::unwrap).eq(model.values().cloned()));
        let report = store.verify().unwrap();
        assert!(report.is_clean(), "{report:?}");
    };
    check(&store);
    // A merge in the background takes as long as it takes.
    while store.stats().unwrap().merges == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let stats = store.stats().unwrap();
    assert!(stats.flushes >= 4, "{stats:?}");
    assert!(stats.log.commits >= 160 && stats.log.syncs <= stats.log.commits, "{:?}", stats.log);
    store.flush().unwrap();
    store.merge().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.segments, stats.dead_rows, stats.memtable_rows), (1, 0, 0));
    assert_eq!((stats.segment_rows, stats.vector_bytes), (model.len() as u64, model.len() as u64 * 256));
    assert_eq!(store.verify().unwrap().rows, stats.segment_rows);
    check(&store);
    store.close().unwrap();
    drop(store);
    check(&place.open(DIMENSION).unwrap());
}

#[test]
fn a_row_costs_less_than_a_twentieth_of_its_vector_beside_it() {
    const DIMENSION: usize = 384;
    let place = Place::new();
    let store = place.open(DIMENSION).unwrap();
    let rng = &mut Rng::new(1);
    for first in (0..5_000).step_by(500) {
        let batch: Vec<CodeNode> = nodes(rng, first..first + 500, DIMENSION)
            .into_iter()
            .map(|node| node.with_attribute("visibility", "pub").with_attribute("complexity", first as u32))
            .collect();
        store.put_batch(&batch).unwrap();
    }
    store.flush().unwrap();
    store.merge().unwrap();
    // Some of the rows are dead, since deaths are part of what a row costs.
    store.delete_batch(&(0..200).collect::<Vec<_>>()).unwrap();
    store.flush().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.segment_rows, stats.vector_bytes), (5_000, 5_000 * 4 * 384));
    assert!(stats.metadata_bytes >= 5_000 * 16, "the ids alone take more: {stats:?}");
    assert!(stats.metadata_percent() < 5.0, "{} percent", stats.metadata_percent());
    // No more than is on the disk is counted away: files hold vectors, this, the payload and the log.
    assert!(stats.storage_bytes > stats.vector_bytes + stats.metadata_bytes);
}
