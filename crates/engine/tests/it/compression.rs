//! Compression on demand: what is refused, what is chosen, what is lost and what is not.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector::{
    CodecSpec, CompressProgress, CompressRequest, Compression, ErrorKind, Keep, OpenOptions,
    PersistentVectorStore, Result, Scope, Settings, Target, TestSwitches,
};
use codegraph_vector_testkit::{Action, Call, Op, Rng, SimVfs};
use parking_lot::Mutex;

use crate::sample::{self, DIMENSION, Model, assert_holds, assert_refused, contents, put};

fn scalar(nbits: u8) -> CodecSpec {
    CodecSpec::Scalar { nbits, uniform: true, scope: Scope::Dimension, brain: false }
}

fn by(spec: CodecSpec) -> CompressRequest {
    CompressRequest::new(Target::Codec(spec))
}

fn none() -> CompressRequest {
    CompressRequest::new(Target::None)
}

/// Stores so small that nobody would compress them.
fn open_with(sim: &SimVfs, settings: Settings) -> PersistentVectorStore {
    let switches = TestSwitches { min_training_rows: Some(50), ..TestSwitches::default() };
    let options = OpenOptions { switches, settings: Some(settings), ..sample::options(sim) };
    PersistentVectorStore::open(sample::ROOT, options).unwrap()
}

fn open(sim: &SimVfs) -> PersistentVectorStore {
    open_with(sim, sample::settings())
}

/// Three segments of 100 rows each.
fn filled(sim: &SimVfs) -> (PersistentVectorStore, Model) {
    let (store, mut model, rng) = (open(sim), Model::new(), &mut Rng::new(1));
    for batch in 0..3 {
        put(&store, &mut model, &sample::nodes(rng, batch * 100..batch * 100 + 100)).unwrap();
        store.flush().unwrap();
    }
    (store, model)
}

fn compress(
    store: &PersistentVectorStore,
    request: &CompressRequest,
) -> Result<codegraph_vector::CompressReport> {
    store.compress(request, &|_| {})
}

#[test]
fn a_codec_that_falls_short_is_refused_and_nothing_changes() {
    let sim = SimVfs::new(1);
    let (store, model) = filled(&sim);
    let before = store.storage_header();
    let files = sim.paths();
    let coarse = || by(CodecSpec::Product { m: 1, nbits: 4, rotate: false }).with_min_recall(0.9);
    assert_refused(
        compress(&store, &coarse().with_keep(Keep::None)),
        ErrorKind::InvalidInput,
        &["product:m=1,nbits=4", "by codes alone", "0.9", "Nothing was changed"],
    );
    assert_eq!((store.storage_header(), sim.paths()), (before, files));
    assert_eq!((store.settings().compression, store.stats().unwrap().compression), (None, None));
    assert_holds(&store, &model);
    // The recall that counts is the one that reads have: of 100 rows that are ranked anew, out of 270.
    let refused = compress(&store, &coarse().with_keep(Keep::None).with_min_recall(0.5));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    let kept = compress(&store, &by(scalar(8)).with_min_recall(0.9)).unwrap();
    assert!(kept.report.unwrap().recall_at_10 > 0.8 && kept.candidates[0].accepted, "{kept:?}");
    assert_refused(compress(&store, &coarse().with_min_recall(1.5)), ErrorKind::InvalidInput, &["1.5"]);
    assert_refused(
        compress(&store, &by(CodecSpec::Product { m: 99, nbits: 8, rotate: false })),
        ErrorKind::InvalidInput,
        &["99"],
    );
    assert_holds(&store, &model);
}

#[test]
fn auto_takes_the_smallest_that_holds() {
    let sim = SimVfs::new(2);
    let (store, model) = filled(&sim);
    let auto = |min_recall, max_bytes| {
        CompressRequest::new(Target::Auto { min_recall, max_bytes }).with_keep(Keep::None)
    };
    assert_refused(
        compress(&store, &auto(0.999, Some(3))),
        ErrorKind::InvalidInput,
        &["recall@10", "transform"],
    );
    assert_refused(compress(&store, &auto(0.1, Some(1))), ErrorKind::InvalidInput, &["max_bytes"]);
    assert_eq!(store.settings().compression, None);
    let report = compress(&store, &auto(0.8, None)).unwrap();
    let (taken, passed) = report.candidates.split_last().unwrap();
    assert!(taken.accepted && taken.report.recall_at_10 >= 0.8, "{report:?}");
    assert!(!passed.is_empty(), "{report:?}");
    for candidate in passed {
        assert!(!candidate.accepted && candidate.report.recall_at_10 < 0.8, "{candidate:?}");
        assert!(candidate.bytes_per_vector <= taken.bytes_per_vector, "{candidate:?}");
    }
    assert_eq!(report.compression, Some(Compression { spec: taken.spec.clone(), keep: Keep::None }));
    let stats = store.stats().unwrap().compression.unwrap();
    assert_eq!((stats.bytes_per_vector, stats.encoded_rows), (taken.bytes_per_vector, 300));
    assert_eq!(stats.recall_at_10, Some(taken.report.recall_at_10));
    assert_eq!(contents(&store).unwrap().len(), model.len());
}

#[test]
fn a_compression_tells_what_it_did() {
    let sim = SimVfs::new(3);
    let (store, model) = filled(&sim);
    let told = Mutex::new(Vec::new());
    let report =
        store.compress(&by(scalar(4)).with_keep(Keep::F16), &|step| told.lock().push(step.clone())).unwrap();
    assert_eq!(report.segments_rewritten, 3);
    assert_eq!(report.bytes_after, store.stats().unwrap().storage_bytes);
    let told = told.into_inner();
    let last = told.last().cloned();
    assert_eq!(last, Some(CompressProgress::Rewriting { done: 3, waiting: 0 }));
    assert!(told.iter().any(|step| matches!(step, CompressProgress::Measuring { share } if *share == 1.0)));
    let stats = store.stats().unwrap().compression.unwrap();
    assert_eq!((stats.kind, stats.keep, stats.encoded_rows, stats.raw_rows), ("scalar", Keep::F16, 300, 0));
    assert_eq!(stats.ratio, 8.0, "{stats:?}");
    assert_eq!(store.stats().unwrap().vector_bytes as usize, 300 * DIMENSION * 2);
    for (id, node) in &contents(&store).unwrap() {
        for (found, given) in node.embedding.iter().zip(&model[id].embedding) {
            assert!((found - given).abs() < 0.01, "{found} is not near {given}");
        }
    }
    // A second time there is nothing left to do, and nothing to train.
    let again = compress(&store, &by(scalar(4)).with_keep(Keep::F16)).unwrap();
    assert_eq!(again.segments_rewritten, 0);
}

#[test]
fn a_policy_is_kept_and_an_interrupted_switch_goes_on() {
    let sim = SimVfs::new(4);
    let (store, model) = filled(&sim);
    let images = Arc::new(Mutex::new(Vec::new()));
    let keep = images.clone();
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op == Op::Rename {
            keep.lock().push(sim.kill());
        }
        Action::Proceed
    }));
    let report = compress(&store, &by(scalar(8))).unwrap();
    sim.clear_observer();
    let mut partly = 0;
    for image in std::mem::take(&mut *images.lock()) {
        let store = open_with(&image, Settings { background: true, ..Settings::default() });
        let Some(stats) = store.stats().unwrap().compression else { continue };
        assert_eq!(store.settings().compression, report.compression);
        partly += usize::from(stats.encoded_rows > 0 && stats.raw_rows > 0);
        loop {
            let stats = store.stats().unwrap();
            assert_eq!(stats.background_error, None);
            if stats.compression.unwrap().encoded_rows == 300 {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_holds(&store, &model);
    }
    assert!(partly > 0, "no crash in the middle");
}

#[test]
fn only_codes_are_not_decoded_unasked() {
    let sim = SimVfs::new(5);
    let (store, given) = filled(&sim);
    compress(&store, &by(scalar(8)).with_keep(Keep::None)).unwrap();
    let kept = contents(&store).unwrap();
    assert!(kept != given && kept.keys().eq(given.keys()));
    let pieces = ["300 rows", "--lossy"];
    let same = || contents(&store).unwrap() == kept;
    assert_refused(store.enable_scalar_quantization(8, true), ErrorKind::InvalidInput, &pieces);
    assert_refused(store.enable_product_quantization(4, 4), ErrorKind::InvalidInput, &pieces);
    assert_refused(store.disable_compression(), ErrorKind::InvalidInput, &pieces);
    assert_refused(compress(&store, &by(scalar(4)).with_keep(Keep::None)), ErrorKind::InvalidInput, &pieces);
    assert_refused(compress(&store, &none()), ErrorKind::InvalidInput, &pieces);
    assert_refused(store.configure(|settings| settings.compression = None), ErrorKind::InvalidInput, &pieces);
    store.enable_compression(Compression { spec: scalar(8), keep: Keep::None }).unwrap();
    store.merge().unwrap();
    assert!(same(), "codes are copied");
    drop(store);
    let store = open(&sim);
    let near = |found: &Model, most: f32| {
        found.iter().all(|(id, node)| {
            node.embedding.iter().zip(&given[id].embedding).all(|(x, y)| (x - y).abs() < most)
        })
    };
    compress(&store, &by(scalar(4)).with_keep(Keep::None).with_loss()).unwrap();
    let coarse = contents(&store).unwrap();
    assert!(coarse != kept && near(&coarse, 2.0), "decoded and encoded anew, once");
    assert!(!store.settings().compression_lossy, "the leave is gone with what it was for");
    assert_refused(store.disable_compression(), ErrorKind::InvalidInput, &pieces);
    compress(&store, &none().with_loss()).unwrap();
    let raw = contents(&store).unwrap();
    assert!(near(&raw, 2.0) && raw.keys().eq(given.keys()));
    assert!(raw.keys().all(|id| !store.vector_metadata(*id).unwrap().unwrap().exact), "it does not pretend");
    assert_eq!(store.stats().unwrap().compression, None);
    let report = store.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn with_few_rows_a_codec_is_trained_later() {
    let sim = SimVfs::new(6);
    let (store, mut model, rng) = (open(&sim), Model::new(), &mut Rng::new(2));
    put(&store, &mut model, &sample::nodes(rng, 0..40)).unwrap();
    let refused = compress(&store, &by(scalar(8)).with_min_recall(0.1));
    assert_refused(refused, ErrorKind::InvalidInput, &["40 rows", "50"]);
    assert_eq!(store.settings().compression, None);
    let report = compress(&store, &by(scalar(8))).unwrap();
    assert_eq!((report.report, report.segments_rewritten), (None, 0));
    assert_eq!(report.compression, store.settings().compression);
    let stats = store.stats().unwrap().compression.unwrap();
    assert_eq!((stats.trained, stats.raw_rows, stats.encoded_rows), (false, 40, 0));
    put(&store, &mut model, &sample::nodes(rng, 40..80)).unwrap();
    let report = compress(&store, &by(scalar(8))).unwrap();
    assert!(report.report.is_some());
    // Each of the two segments is too small to be encoded, and both together are not.
    assert_eq!(store.merge().unwrap(), 2);
    assert_eq!(store.stats().unwrap().compression.unwrap().encoded_rows, 80);
    assert_holds(&store, &model);
}

#[test]
fn codes_go_when_compression_is_disabled() {
    let sim = SimVfs::new(7);
    let (store, model) = filled(&sim);
    compress(&store, &by(scalar(8))).unwrap();
    assert!(store.stats().unwrap().code_bytes > 0);
    assert_holds(&store, &model);
    let report = compress(&store, &none()).unwrap();
    assert_eq!((report.compression, report.segments_rewritten), (None, 3));
    let stats = store.stats().unwrap();
    assert_eq!((stats.code_bytes, stats.compression), (0, None));
    assert_holds(&store, &model);
    assert_eq!(DIMENSION * 4 * 300, stats.vector_bytes as usize);
}
