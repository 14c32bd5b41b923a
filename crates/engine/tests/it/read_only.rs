//! Readers beside a writer in another process: they see what was acknowledged, never what a power cut can take
//! back, write nothing, and go on when files are cleared away under them.
//!
//! Two stores on one simulated disk share nothing but its files, as two processes would.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use codegraph_vector::{ErrorKind, OpenOptions, PersistentVectorStore, Result, Settings};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Op, Rng, SimVfs};
use parking_lot::Mutex;

use crate::sample::{
    self, Model, ROOT, assert_holds, assert_refused, contents, delete, nodes, open, open_read_only, put,
};

/// Small logs, so that they rotate.
fn writer(sim: &SimVfs) -> PersistentVectorStore {
    let settings = Settings { max_wal_file_bytes: 8 << 10, ..sample::settings() };
    let options = OpenOptions { settings: Some(settings), ..sample::options(sim) };
    PersistentVectorStore::open(ROOT, options).unwrap()
}

/// Something that a writer does.
fn step(store: &PersistentVectorStore, model: &mut Model, rng: &mut Rng) -> Result<()> {
    let some_id = |rng: &mut Rng| rng.below(60) as u128;
    match rng.below(10) {
        0..5 => {
            let start = some_id(rng);
            let batch = nodes(rng, start..start + 1 + rng.clone().below(6) as u128);
            put(store, model, &batch)
        }
        5 | 6 => delete(store, model, &[some_id(rng), some_id(rng)]),
        7 => {
            let path = model.values().find_map(|node| node.path.clone()).unwrap_or("src/a.rs".into());
            store.replace_path(&path, &[])?;
            model.retain(|_, node| node.path.as_ref() != Some(&path));
            Ok(())
        }
        8 => store.flush(),
        _ => store.merge().map(drop),
    }
}

/// Runs `act` while no call on `sim` may change anything.
fn without_writing<T>(sim: &SimVfs, act: impl FnOnce() -> T) -> T {
    sim.set_observer(Arc::new(|_: &SimVfs, call: &Call| {
        assert!(!call.op.mutates(), "a reader made {call:?}");
        Action::Proceed
    }));
    let result = act();
    sim.clear_observer();
    result
}

#[test]
fn a_reader_follows_whatever_the_writer_does_and_writes_nothing() {
    for seed in 0..12 {
        let (sim, rng) = (SimVfs::new(seed), &mut Rng::new(seed));
        let (mut store, mut model) = (writer(&sim), Model::new());
        let reader = without_writing(&sim, || open_read_only(&sim).unwrap());
        for _ in 0..60 {
            step(&store, &mut model, rng).unwrap();
            if rng.chance(0.1) {
                if rng.chance(0.5) {
                    store.close().unwrap();
                }
                drop(store);
                store = writer(&sim);
            }
            without_writing(&sim, || {
                reader.refresh().unwrap();
                assert_holds(&reader, &model);
                if rng.chance(0.2) {
                    assert_holds(&open_read_only(&sim).unwrap(), &model);
                }
            });
        }
        assert_eq!(reader.stats().unwrap().content_hash, store.stats().unwrap().content_hash);
        assert_eq!(reader.stats().unwrap().seqno, store.stats().unwrap().seqno);
    }
}

/// Opens readers on the disk as it is at each of the writer's calls.
struct Watch {
    before: Model,
    after: Option<Model>,
    looks: usize,
}

impl Watch {
    /// What a reader sees is what was acknowledged, or the commit in flight, and that one only if a power cut
    /// can no longer take it.
    fn look(&mut self, sim: &SimVfs, call: &Call) {
        self.looks += 1;
        let copy = sim.kill();
        let reader = open_read_only(&copy).unwrap_or_else(|error| panic!("before {call:?}: {error}"));
        let found = contents(&reader).unwrap_or_else(|error| panic!("before {call:?}: {error}"));
        if found == self.before {
            return;
        }
        assert!(self.after.as_ref() == Some(&found), "before {call:?} a reader sees neither state");
        let left = sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced);
        assert!(
            contents(&open(&left).unwrap()).unwrap() == found,
            "before {call:?} a reader sees what may be lost"
        );
    }
}

#[test]
fn at_every_call_of_the_writer_a_reader_sees_what_is_durable_and_no_more() {
    let mut looks = 0;
    for seed in 0..6 {
        let (sim, rng) = (SimVfs::new(seed), &mut Rng::new(100 + seed));
        let (store, mut model) = (writer(&sim), Model::new());
        put(&store, &mut model, &nodes(rng, 0..5)).unwrap();
        let watch = Watch { before: model.clone(), after: None, looks: 0 };
        let watch = Arc::new(Mutex::new(watch));
        let watching = watch.clone();
        sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
            if call.op.mutates() {
                watching.lock().look(sim, call);
            }
            Action::Proceed
        }));
        for _ in 0..25 {
            // The same step on a copy of the disk tells what it will make.
            let copy = sim.kill();
            let mut after = model.clone();
            step(&open(&copy).unwrap(), &mut after, &mut rng.clone()).unwrap();
            watch.lock().after = Some(after.clone());
            step(&store, &mut model, rng).unwrap();
            assert!(after == model);
            let mut watch = watch.lock();
            (watch.before, watch.after) = (after, None);
        }
        store.close().unwrap();
        sim.clear_observer();
        let watch = watch.lock();
        looks += watch.looks;
    }
    assert!(looks > 500, "{looks} looks");
}

#[test]
fn an_open_reader_that_refreshes_inside_the_sync_does_not_see_the_commit() {
    let (sim, rng) = (SimVfs::new(1), &mut Rng::new(1));
    let (store, mut model) = (writer(&sim), Model::new());
    put(&store, &mut model, &nodes(rng, 0..10)).unwrap();
    let reader = open_read_only(&sim).unwrap();
    let (syncs, inside) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let expected = Arc::new(Mutex::new(model.clone()));
    let (seen, count) = (expected.clone(), syncs.clone());
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        if call.op == Op::SyncData && !inside.swap(true, Ordering::SeqCst) {
            reader.refresh().unwrap();
            assert!(contents(&reader).unwrap() == *seen.lock(), "an unsynced commit was seen");
            count.fetch_add(1, Ordering::SeqCst);
            inside.store(false, Ordering::SeqCst);
        }
        Action::Proceed
    }));
    for start in 0..20 {
        put(&store, &mut model, &nodes(rng, start..start + 3)).unwrap();
        *expected.lock() = model.clone();
    }
    sim.clear_observer();
    assert!(syncs.load(Ordering::SeqCst) >= 20);
}

/// The disk at the moment when a commit is written and its sync begins; and what was acknowledged.
fn caught_in_a_sync() -> (SimVfs, Model, Model) {
    let (sim, rng) = (SimVfs::new(1), &mut Rng::new(1));
    let (store, mut model) = (writer(&sim), Model::new());
    put(&store, &mut model, &nodes(rng, 0..10)).unwrap();
    store.flush().unwrap();
    put(&store, &mut model, &nodes(rng, 5..15)).unwrap();
    let acknowledged = model.clone();
    let caught = Arc::new(Mutex::new(None));
    let catch = caught.clone();
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op == Op::SyncData {
            *catch.lock() = Some((sim.kill(), sim.crash(&mut Rng::new(2), CrashStyle::KeepAll)));
        }
        Action::Proceed
    }));
    put(&store, &mut model, &nodes(rng, 100..103)).unwrap();
    sim.clear_observer();
    let (killed, crashed) = caught.lock().take().unwrap();
    assert_holds(&open_read_only(&killed).unwrap(), &acknowledged);
    assert_holds(&open_read_only(&crashed).unwrap(), &model);
    (killed, acknowledged, model)
}

#[test]
fn after_a_kill_a_reader_sees_what_was_acknowledged_until_a_writer_proves_the_rest() {
    let (sim, acknowledged, all) = caught_in_a_sync();
    let reader = open_read_only(&sim).unwrap();
    assert_holds(&reader, &acknowledged);
    // The next writer syncs what the killed one had written, and then it counts.
    let store = open(&sim).unwrap();
    reader.refresh().unwrap();
    assert_holds(&reader, &all);
    assert_holds(&open_read_only(&sim).unwrap(), &all);
    assert_holds(&store, &all);
}

#[test]
fn after_a_reboot_everything_on_the_disk_counts() {
    let (sim, _, all) = caught_in_a_sync();
    let rebooted = sim.crash(&mut Rng::new(9), CrashStyle::KeepAll);
    let reader = open_read_only(&rebooted).unwrap();
    assert_holds(&reader, &all);
    let store = open(&rebooted).unwrap();
    reader.refresh().unwrap();
    assert_holds(&reader, &all);
    assert_holds(&store, &all);
}

#[test]
fn a_note_that_is_caught_half_written_proves_nothing() {
    let (sim, acknowledged, _) = caught_in_a_sync();
    // Byte 16 on: the synced Lsn, and what follows it. The boot id before it is the same in every note.
    for byte in 16..32 {
        let torn = sim.kill();
        torn.flip_bit(Path::new(ROOT).join("LOCK"), byte, 0);
        let seen = contents(&open_read_only(&torn).unwrap()).unwrap();
        let extra: Vec<_> = seen.keys().filter(|id| !acknowledged.contains_key(id)).collect();
        assert!(extra.is_empty(), "byte {byte}: {extra:?} may still be lost");
    }
}

#[test]
fn files_cleared_away_under_a_reader_cost_it_nothing_but_age() {
    for seed in 0..8 {
        let (sim, rng) = (SimVfs::new(seed), &mut Rng::new(seed));
        let (store, mut model) = (writer(&sim), Model::new());
        put(&store, &mut model, &nodes(rng, 0..40)).unwrap();
        store.flush().unwrap();
        put(&store, &mut model, &nodes(rng, 30..60)).unwrap();
        store.flush().unwrap();
        let reader = open_read_only(&sim).unwrap();
        let (old, then) = (reader.snapshot().unwrap(), model.clone());
        if seed % 2 == 0 {
            assert!(contents(&reader).unwrap() == then);
        }
        for _ in 0..3 {
            put(&store, &mut model, &nodes(rng, 20..30)).unwrap();
            store.flush().unwrap();
            store.merge().unwrap();
        }
        // A snapshot gives what it showed, or says that it is too old.
        for (id, node) in &then {
            match old.get(*id) {
                Ok(found) => assert_eq!(found.as_ref(), Some(node)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Stale, "{error}"),
            }
        }
        if let Some(Err(error)) = old.iter().unwrap().find(Result::is_err) {
            assert_refused(Err::<(), _>(error), ErrorKind::Stale, &["refresh"]);
        }
        // A read at the present moves on by itself.
        without_writing(&sim, || {
            let shown = reader.get(25).unwrap();
            assert!(shown.as_ref() == then.get(&25) || shown.as_ref() == model.get(&25));
            reader.refresh().unwrap();
            assert_holds(&reader, &model);
        });
    }
}

#[test]
fn a_reader_of_what_is_no_store_yet_can_try_again() {
    let sim = SimVfs::new(1);
    assert_refused(open_read_only(&sim), ErrorKind::NotFound, &[ROOT]);
    let store = writer(&sim);
    let reader = open_read_only(&sim).unwrap();
    assert_holds(&reader, &Model::new());
    let mut model = Model::new();
    put(&store, &mut model, &nodes(&mut Rng::new(1), 0..3)).unwrap();
    assert_holds(&reader, &Model::new());
    reader.refresh().unwrap();
    assert_holds(&reader, &model);
    assert_refused(
        store.clone().refresh().map(|()| store.recovery_report()).and(reader.flush()),
        ErrorKind::ReadOnly,
        &[],
    );
}

#[test]
fn readers_on_a_real_disk_see_a_growing_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = PersistentVectorStore::new(&path, folder.path().join("backups"), sample::DIMENSION).unwrap();
    store
        .configure(|settings| {
            (settings.memtable_bytes, settings.max_wal_file_bytes) = (64 << 10, 32 << 10);
        })
        .unwrap();
    let (writing, acknowledged) = (AtomicBool::new(true), AtomicUsize::new(0));
    const COMMITS: usize = 1500;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let rng = &mut Rng::new(1);
            for id in 0..COMMITS {
                store.put(sample::node(rng, id as u128)).unwrap();
                acknowledged.store(id + 1, Ordering::SeqCst);
            }
            writing.store(false, Ordering::SeqCst);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let read_only = || OpenOptions { read_only: true, ..OpenOptions::default() };
                let reader = PersistentVectorStore::open(&path, read_only()).unwrap();
                let mut rounds = 0;
                while writing.load(Ordering::SeqCst) || rounds == 0 {
                    let known = acknowledged.load(Ordering::SeqCst);
                    reader.refresh().unwrap();
                    let ids =
                        reader.snapshot().unwrap().ids(&codegraph_vector::Filter::everything()).unwrap();
                    assert!(ids.iter().copied().eq(0..ids.len() as u128), "not a prefix");
                    assert!(ids.len() >= known, "{} of {known} acknowledged", ids.len());
                    if let Some(last) = ids.last() {
                        assert!(reader.get(*last).unwrap().is_some());
                    }
                    rounds += 1;
                }
            });
        }
    });
    let reader =
        PersistentVectorStore::open(&path, OpenOptions { read_only: true, ..OpenOptions::default() })
            .unwrap();
    assert_eq!(reader.stats().unwrap().active_vectors, COMMITS as u64);
    assert!(store.stats().unwrap().flushes > 0, "{:?}", store.stats().unwrap());
}
