//! What the simulation found, one by one.
//!
//! Guards against: the return of bugs that once needed many seeds to show.

use std::path::Path;
use std::sync::Arc;

use codegraph_vector::vfs::Vfs;
use codegraph_vector::{CodeNode, Durability, Filter, Metric, Settings, TestSwitches, Write};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Op, Rng, SimClock, SimVfs};
use parking_lot::Mutex;

use super::image::{FOLDER, Setup};

const SETUP: Setup = Setup {
    dimension: 2,
    metric: Metric::Dot,
    switches: TestSwitches {
        ignore_crc: false,
        free_locks_early: false,
        keep_tail: false,
        batch_part_bytes: None,
        min_training_rows: None,
        min_index_rows: None,
        skip_validation: false,
    },
};

fn disk() -> SimVfs {
    let sim = SimVfs::new(1);
    sim.create_dir_all(Path::new("/data")).expect("a folder");
    sim.sync_dir(Path::new("/")).expect("synced");
    sim
}

fn open(
    sim: &SimVfs,
    durability: Durability,
) -> codegraph_vector::Result<codegraph_vector::PersistentVectorStore> {
    let settings = Settings { durability, background: false, ..Settings::default() };
    SETUP.open(sim, &mut Rng::new(2), Some(settings), &SimClock::default())
}

fn node(id: u128) -> CodeNode {
    CodeNode::new(id, vec![1.0, 2.0])
}

#[test]
fn a_manifest_whose_writer_was_killed_is_made_durable_before_the_store_serves() {
    let (sim, killed) = (disk(), Arc::new(Mutex::new(None)));
    let keep = killed.clone();
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        let named = sim.paths().iter().any(|path| path.ends_with("MANIFEST-00000000000000000001"));
        if call.op == Op::SyncDir && call.path == Path::new(FOLDER) && named {
            keep.lock().get_or_insert_with(|| sim.kill());
        }
        Action::Proceed
    }));
    open(&sim, Durability::Sync).expect("created");
    sim.clear_observer();
    let killed = killed.lock().take().expect("a kill between the rename and the sync");
    let store = open(&killed, Durability::Sync).expect("opens");
    assert!(store.put(node(1)).expect("put").receipt.durable);
    let after = killed.crash(&mut Rng::new(3), CrashStyle::LoseUnsynced);
    assert_eq!(open(&after, Durability::Sync).expect("opens").get(1).expect("get"), Some(node(1)));
}

#[test]
fn a_reader_elsewhere_does_not_believe_a_log_file_whose_name_is_not_durable_yet() {
    let sim = disk();
    let store = open(&sim, Durability::None).expect("created");
    assert!(!store.put(node(1)).expect("put").receipt.durable);
    let (killed, seen) = (sim.kill(), Arc::new(Mutex::new(Vec::new())));
    let list = seen.clone();
    killed.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op == Op::SyncDir && call.path.ends_with("wal") {
            let reader = SETUP.open_read_only(&sim.kill()).expect("opens");
            list.lock().push(reader.count(&Filter::everything()).expect("count"));
        }
        Action::Proceed
    }));
    let store = open(&killed, Durability::Sync).expect("recovers");
    killed.clear_observer();
    assert!(!seen.lock().is_empty() && seen.lock().iter().all(|count| *count == 0), "{:?}", seen.lock());
    assert_eq!(store.count(&Filter::everything()).expect("count"), 1);
}

#[test]
fn a_store_whose_note_for_readers_cannot_be_written_does_not_open() {
    let sim = disk();
    open(&sim, Durability::Sync).expect("created").close().expect("closed");
    let after = sim.crash(&mut Rng::new(4), CrashStyle::LoseUnsynced);
    after.set_observer(Arc::new(|_: &SimVfs, call: &Call| {
        let note = call.op == Op::Write && call.path.ends_with("LOCK");
        if note { Action::Fail(Fault::Eio) } else { Action::Proceed }
    }));
    assert!(open(&after, Durability::None).is_err(), "readers elsewhere would believe unsynced commits");
    after.clear_observer();
    open(&after, Durability::None).expect("opens");
}

#[test]
fn a_queued_write_that_was_committed_is_told_so_after_the_store_was_closed() {
    let sim = disk();
    let store = open(&sim, Durability::Sync).expect("created");
    let pending = store.submit(&Write::Put(&[node(1)])).expect("queued");
    store.close().expect("closed");
    assert!(pending.wait().expect("committed by the close").receipt.durable);
}

#[test]
fn a_recovery_after_a_killed_recovery_survives_a_power_cut() {
    let sim = disk();
    let store = open(&sim, Durability::None).expect("created");
    let first = store.put(node(1)).expect("put"); // So that the tail does not begin where its file does.
    store.flush().expect("flushed");
    store.put(node(2)).expect("put");
    assert!(!first.receipt.durable);
    let (killed, again) = (sim.kill(), Arc::new(Mutex::new(None)));
    let keep = again.clone();
    killed.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        let renamed =
            sim.paths().iter().filter(|path| path.extension().is_some_and(|end| end == "wal")).count() == 2;
        if call.op == Op::SyncDir && call.path.ends_with("wal") && renamed {
            keep.lock().get_or_insert_with(|| sim.kill());
        }
        Action::Proceed
    }));
    open(&killed, Durability::Sync).expect("recovers");
    killed.clear_observer();
    let again = again.lock().take().expect("a kill between the rename and the sync");
    let images = Arc::new(Mutex::new(Vec::new()));
    let list = images.clone();
    again.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op.is_sync() {
            let crashes = (0..32).map(|seed| sim.crash(&mut Rng::new(seed), CrashStyle::Subset));
            list.lock().extend(crashes);
        }
        Action::Proceed
    }));
    open(&again, Durability::Sync).expect("recovers again");
    again.clear_observer();
    for image in images.lock().drain(..) {
        assert_eq!(open(&image, Durability::Sync).expect("opens").get(1).expect("get"), Some(node(1)));
    }
}

#[test]
fn a_log_file_named_by_a_killed_recovery_after_a_clean_close_is_made_durable_before_it_is_written() {
    let sim = disk();
    let store = open(&sim, Durability::Sync).expect("created");
    store.put(node(1)).expect("put");
    store.close().expect("closed");
    drop(store);
    // A process writes, and is killed before the write is whole: the next one finds a tail to be cut.
    let store = open(&sim, Durability::Sync).expect("opens");
    sim.set_observer(Arc::new(|_: &SimVfs, call: &Call| {
        let log = call.op == Op::Write && call.path.extension().is_some_and(|end| end == "wal");
        if log { Action::Fail(Fault::TornWrite(100)) } else { Action::Proceed }
    }));
    store.put(node(2)).expect_err("torn");
    sim.clear_observer();
    let (killed, again) = (sim.kill(), Arc::new(Mutex::new(None)));
    let keep = again.clone();
    killed.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        let named =
            sim.paths().iter().filter(|path| path.extension().is_some_and(|end| end == "wal")).count() == 2;
        if call.op == Op::SyncDir && call.path.ends_with("wal") && named {
            keep.lock().get_or_insert_with(|| sim.kill());
        }
        Action::Proceed
    }));
    open(&killed, Durability::Sync).expect("recovers");
    killed.clear_observer();
    let again = again.lock().take().expect("a kill between the rename and the sync");
    let store = open(&again, Durability::Sync).expect("recovers");
    assert!(store.put(node(3)).expect("put").receipt.durable);
    let after = again.crash(&mut Rng::new(5), CrashStyle::LoseUnsynced);
    assert_eq!(open(&after, Durability::Sync).expect("opens").get(3).expect("get"), Some(node(3)));
}
