//! What a review of the code found, each by a test that failed before it was mended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use codegraph_vector::{Durability, ErrorKind, OpenOptions, PersistentVectorStore, Settings};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Op, Rng, SimVfs};

use parking_lot::Mutex;

use crate::sample::{
    Model, ROOT, assert_holds, assert_refused, contents, nodes, open, open_read_only, options, put, settings,
};

/// Lets the next sync of the store's folder fail, once a manifest has been renamed into it.
fn fail_the_switch(sim: &SimVfs) {
    let failed = AtomicBool::new(false);
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        let switch = call.op == Op::SyncDir && call.path.as_os_str() == ROOT;
        if switch && !failed.swap(true, Ordering::SeqCst) {
            Action::Fail(Fault::Eio)
        } else {
            Action::Proceed
        }
    }));
}

#[test]
fn files_of_a_switch_in_doubt_are_not_cleared_away() {
    let (sim, rng, mut model) = (SimVfs::new(1), &mut Rng::new(1), Model::new());
    let store = open(&sim).unwrap();
    put(&store, &mut model, &nodes(rng, 0..20)).unwrap();
    store.flush().unwrap();
    put(&store, &mut model, &nodes(rng, 20..30)).unwrap();
    fail_the_switch(&sim);
    assert_refused(store.flush(), ErrorKind::OutcomeUnknown, &["manifest"]);
    sim.clear_observer();
    // Neither finds anything to do, but to clear away.
    let _ = store.merge();
    for seed in 0..200 {
        let after = sim.crash(&mut Rng::new(seed), CrashStyle::Subset);
        let store = open(&after).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_holds(&store, &model);
    }
}

#[test]
fn a_reader_shows_nothing_unsynced_of_a_writer_that_opens_between_the_note_and_the_log() {
    for refreshed in [false, true] {
        let (sim, rng, mut model) = (SimVfs::new(1), &mut Rng::new(1), Model::new());
        let store = open(&sim).unwrap();
        put(&store, &mut model, &nodes(rng, 0..5)).unwrap();
        store.close().unwrap();
        let sim = sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced); // Another boot.
        let reader = refreshed.then(|| open_read_only(&sim).unwrap());
        let (writer, late) = (Arc::new(Mutex::new(None)), nodes(rng, 100..101));
        let (opened, first) = (writer.clone(), AtomicBool::new(true));
        sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
            if call.op == Op::List && call.path.ends_with("wal") && first.swap(false, Ordering::SeqCst) {
                let settings = Settings { durability: Durability::None, ..settings() };
                let options = OpenOptions { settings: Some(settings), ..options(sim) };
                let store = PersistentVectorStore::open(ROOT, options).unwrap();
                store.put_batch(&late).unwrap();
                *opened.lock() = Some(store);
            }
            Action::Proceed
        }));
        let reader = reader.map_or_else(|| open_read_only(&sim), |reader| reader.refresh().map(|()| reader));
        assert_eq!(contents(&reader.unwrap()).unwrap(), model, "a power cut could take the rest");
        assert!(writer.lock().is_some());
        sim.clear_observer();
    }
}

#[test]
fn a_refresh_that_meets_damage_in_what_was_acknowledged_says_so() {
    let (sim, rng, mut model) = (SimVfs::new(1), &mut Rng::new(1), Model::new());
    let store = open(&sim).unwrap();
    put(&store, &mut model, &nodes(rng, 0..5)).unwrap();
    let reader = open_read_only(&sim).unwrap();
    let end = store.stats().unwrap().synced_lsn.0;
    put(&store, &mut model, &nodes(rng, 5..6)).unwrap();
    sim.flip_bit(format!("{ROOT}/wal/{:020}.wal", 0), 4096 + end + 100, 3);
    assert_refused(reader.refresh(), ErrorKind::Corrupt, &["wal"]);
}
