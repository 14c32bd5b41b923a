//! Compression in the background: vectors shrink, reads do not notice, a restart goes on with it.

use std::time::Duration;

use codegraph_vector::{
    CodecSpec, CompressRequest, CompressionStatistics, Durability, Filter, Keep, OpenOptions,
    PersistentVectorStore, SearchRequest, Settings, Target,
};
use codegraph_vector_testkit::{Rng, generators};

use super::{Model, Place, assert_holds, found, model_of, nearest, nodes};

const DIMENSION: usize = 32;
const ROWS: u128 = 1500;

/// Waits until the store says this of its compression; fails if work in the background did.
#[track_caller]
fn wait_for(store: &PersistentVectorStore, holds: impl Fn(Option<&CompressionStatistics>) -> bool) {
    loop {
        let stats = store.stats().unwrap();
        assert_eq!(stats.background_error, None);
        if holds(stats.compression.as_ref()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_done(stats: Option<&CompressionStatistics>, kind: &str) -> bool {
    stats.is_some_and(|stats| {
        stats.kind == kind && stats.trained && stats.encoded_rows > 0 && stats.waiting_segments == 0
    })
}

fn compression(store: &PersistentVectorStore) -> CompressionStatistics {
    store.stats().unwrap().compression.unwrap()
}

fn filled(place: &Place) -> (PersistentVectorStore, Model) {
    let store = place.open(DIMENSION).unwrap();
    let batch = nodes(&mut Rng::new(3), 0..ROWS, DIMENSION);
    store.put_batch(&batch).unwrap();
    store.flush().unwrap();
    (store, model_of(&batch))
}

/// Exact answers whether or not there are codes beside the vectors.
#[track_caller]
fn assert_finds(store: &PersistentVectorStore, model: &Model) {
    for (id, node) in model.iter().step_by(97) {
        assert_eq!(
            found(store, &SearchRequest::new(node.embedding.clone(), 1)),
            [*id],
            "a vector finds itself"
        );
    }
    let query = generators::unit_vector(&mut Rng::new(9), DIMENSION);
    let filter = Filter::eq("kind", "struct");
    let request = SearchRequest::new(query.clone(), 10).with_filter(filter.clone());
    let (hits, expected) = (found(store, &request), nearest(model, &query, 10, &filter));
    assert!(hits.iter().filter(|id| expected.contains(id)).count() >= 8, "{hits:?}, not {expected:?}");
}

#[test]
fn product_and_scalar_codes_shrink_vectors_and_reads_do_not_notice() {
    let place = Place::new();
    let (store, model) = filled(&place);
    store.enable_product_quantization(16, 4).unwrap();
    wait_for(&store, |stats| is_done(stats, "product"));
    assert_holds(&store, &model);
    assert_finds(&store, &model);
    let product = compression(&store);
    assert_eq!((product.spec.as_str(), product.keep), ("product:m=16,nbits=4,rotate=false", Keep::Full));
    assert_eq!((product.encoded_rows, product.raw_rows), (ROWS as u64, 0));
    assert!(product.ratio > 8.0 && product.bytes_per_vector < 20, "{product:?}");
    let report = product.report.unwrap();
    assert!(report.held_out_queries > 100 && report.rows > 1000, "{report:?}");
    assert!(report.recall_at_10_reranked >= report.recall_at_10 && report.recall_at_10 > 0.1, "{report:?}");
    assert_eq!(product.recall_at_10, Some(report.recall_at_10_reranked));

    store.enable_scalar_quantization(8, true).unwrap();
    wait_for(&store, |stats| is_done(stats, "scalar"));
    assert_holds(&store, &model);
    assert_finds(&store, &model);
    let scalar = compression(&store);
    assert!(scalar.ratio > 3.0 && scalar.recall_at_10 > Some(0.99), "{scalar:?}");
    assert!(scalar.bytes_per_vector > product.bytes_per_vector);

    store.disable_compression().unwrap();
    wait_for(&store, |stats| stats.is_none());
    store.merge().unwrap();
    assert_holds(&store, &model);
}

#[test]
fn files_shrink() {
    let place = Place::new();
    let (store, model) = filled(&place);
    let request = CompressRequest::new(Target::Codec(CodecSpec::Transform { bytes: 8 })).with_keep(Keep::F16);
    let report = store.compress(&request.with_min_recall(0.9), &|_| {}).unwrap();
    assert_eq!(report.bytes_after, store.stats().unwrap().storage_bytes);
    let saved = report.bytes_before.saturating_sub(report.bytes_after);
    assert!(saved > ROWS as u64 * DIMENSION as u64, "{report:?}");
    let stats = compression(&store);
    assert!(stats.ratio == 16.0 && stats.ratio_stored > 1.3 && stats.ratio_stored < 2.0, "{stats:?}");
    assert_eq!(store.snapshot().unwrap().count(&Filter::everything()).unwrap(), model.len() as u64);
}

#[test]
fn a_restart_goes_on_with_the_codec_and_with_what_waits() {
    let place = Place::new();
    let (store, mut model) = filled(&place);
    store.enable_scalar_quantization(4, false).unwrap();
    wait_for(&store, |stats| is_done(stats, "scalar"));
    let before = compression(&store);
    store.close().unwrap();
    drop(store);

    let store = place.open(DIMENSION).unwrap();
    let after = compression(&store);
    assert_eq!(
        (after.report, after.encoded_rows),
        (before.report, before.encoded_rows),
        "it was not trained again"
    );
    let more = nodes(&mut Rng::new(4), ROWS..2 * ROWS, DIMENSION);
    store.put_batch(&more).unwrap();
    model.extend(model_of(&more));
    store.flush().unwrap();
    assert_eq!(compression(&store).encoded_rows, 2 * ROWS as u64, "a flush encodes");
    // Asked for, and not waited for.
    store.enable_product_quantization(8, 4).unwrap();
    drop(store);

    let store = place.open(DIMENSION).unwrap();
    wait_for(&store, |stats| is_done(stats, "product"));
    assert_holds(&store, &model);
    assert_finds(&store, &model);
}

#[test]
fn a_codec_is_trained_while_writes_go_on() {
    let place = Place::new();
    let settings = Settings { durability: Durability::None, memtable_bytes: 64 << 10, ..Settings::default() };
    let options =
        OpenOptions { dimension: Some(DIMENSION), settings: Some(settings), ..OpenOptions::default() };
    let store = PersistentVectorStore::open(place.store(), options).unwrap();
    store.enable_scalar_quantization(4, true).unwrap();
    let early = compression(&store);
    assert_eq!((early.trained, early.ratio, early.recall_at_10), (false, 1.0, None));
    let (rng, mut model) = (&mut Rng::new(5), Model::new());
    for batch in 0..40 {
        let nodes = nodes(rng, batch * 80..batch * 80 + 100, DIMENSION);
        store.put_batch(&nodes).unwrap();
        model.extend(model_of(&nodes));
        store.delete(batch * 80 + 7).unwrap();
        model.remove(&(batch * 80 + 7));
    }
    store.flush().unwrap();
    store.merge().unwrap();
    wait_for(&store, |stats| is_done(stats, "scalar"));
    assert_holds(&store, &model);
    assert_finds(&store, &model);
}
