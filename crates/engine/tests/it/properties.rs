//! Properties and settings of a store: kept through everything that happens to it, changed by one switch each, and never
//! undone by one another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use codegraph_vector::vfs::{OpenMode, Vfs};
use codegraph_vector::{ErrorKind, PersistentVectorStore, Settings};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Op, Rng, SimVfs};

use crate::sample::{self, ROOT, assert_refused, nodes, open, open_read_only, reopen};

const MAX_VALUE_BYTES: usize = 256 << 10;
const MAX_PROPERTIES: usize = 64;

/// Counts the calls that change the disk while `act` runs.
fn changes(sim: &SimVfs, act: impl FnOnce()) -> usize {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        seen.fetch_add(usize::from(call.op.mutates()), Ordering::SeqCst);
        Action::Proceed
    }));
    act();
    sim.clear_observer();
    calls.load(Ordering::SeqCst)
}

fn property(store: &PersistentVectorStore, name: &str) -> Option<String> {
    store.property(name).unwrap()
}

#[test]
fn a_property_outlives_flushes_merges_configurations_and_restarts() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    assert_eq!(property(&store, "root"), None);
    store.set_property("root", Some("/src/ü")).unwrap();
    store.set_property("empty", Some("")).unwrap();
    store.set_property("merge_fanout", Some("no setting")).unwrap();
    for round in 0..3 {
        store.put_batch(&nodes(&mut Rng::new(round), 0..20)).unwrap();
        store.flush().unwrap();
    }
    store.merge().unwrap();
    store.configure(|settings| settings.merge_fanout = 5).unwrap();
    drop(store);
    let store = reopen(&sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced)).unwrap();
    assert_eq!(property(&store, "root").as_deref(), Some("/src/ü"));
    assert_eq!(property(&store, "empty").as_deref(), Some(""), "empty is not missing");
    assert_eq!(store.settings(), Settings { merge_fanout: 5, ..sample::settings() });
    assert!(store.verify().unwrap().is_clean());
    assert_eq!(property(&store, "merge_fanout").as_deref(), Some("no setting"));
}

#[test]
fn a_removed_property_is_gone_and_setting_what_is_there_writes_nothing() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    store.set_property("root", Some("/a")).unwrap();
    let nothing = changes(&sim, || {
        store.set_property("root", Some("/a")).unwrap();
        store.set_property("other", None).unwrap();
        assert_eq!(property(&store, "root").as_deref(), Some("/a"));
    });
    assert_eq!(nothing, 0);
    assert!(changes(&sim, || store.set_property("root", None).unwrap()) > 0);
    assert_eq!(property(&store, "root"), None);
    drop(store);
    assert_eq!(property(&reopen(&sim).unwrap(), "root"), None);
}

#[test]
fn names_values_and_numbers_have_limits() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    let long = "n".repeat(64);
    for name in ["", "Root", "a b", "ü", "a/b", "a\0", &format!("{long}n")] {
        for outcome in [store.set_property(name, Some("x")), store.property(name).map(drop)] {
            assert_refused(outcome, ErrorKind::InvalidInput, &["property", "64"]);
        }
    }
    let value = "v".repeat(MAX_VALUE_BYTES);
    let over = format!("{value}v");
    assert_refused(store.set_property("a", Some(&over)), ErrorKind::TooLarge, &["a takes 262145", "262144"]);
    store.set_property(&long, Some(&value)).unwrap();
    for number in 1..MAX_PROPERTIES {
        store.set_property(&format!("a-z.0_9-{number}"), Some("x")).unwrap();
    }
    assert_refused(store.set_property("one-more", Some("")), ErrorKind::TooLarge, &["64", "one-more"]);
    store.set_property("a-z.0_9-1", Some(&value)).unwrap();
    store.set_property(&long, None).unwrap();
    store.set_property("one-more", Some("")).unwrap();
    drop(store);
    let store = reopen(&sim).unwrap();
    assert!(property(&store, "a-z.0_9-1") == Some(value));
    assert_eq!((property(&store, "one-more").as_deref(), property(&store, &long)), (Some(""), None));
}

#[test]
fn a_reader_elsewhere_sees_properties_after_a_refresh_and_cannot_set_them() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    store.set_property("root", Some("/a")).unwrap();
    let reader = open_read_only(&sim).unwrap();
    assert_eq!(property(&reader, "root").as_deref(), Some("/a"));
    store.set_property("root", Some("/b")).unwrap();
    assert_eq!(property(&reader, "root").as_deref(), Some("/a"));
    reader.refresh().unwrap();
    assert_eq!(property(&reader, "root").as_deref(), Some("/b"));
    assert_refused(reader.set_property("root", Some("/b")), ErrorKind::ReadOnly, &["opened read-only"]);
    assert_eq!(property(&store, "root").as_deref(), Some("/b"));
}

#[test]
fn a_damaged_property_is_noticed() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    store.set_property("root", Some("findme")).unwrap();
    let path = format!("{ROOT}/MANIFEST-{:020}", store.storage_header().generation);
    let file = sim.open(path.as_ref(), OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    let at = bytes.windows(6).position(|window| window == b"findme").expect("in the manifest");
    let copy = sim.kill();
    copy.flip_bit(&path, at as u64, 1);
    let store = reopen(&copy).unwrap();
    assert_eq!(store.recovery_report().fallbacks.len(), 1);
    assert_eq!(property(&store, "root"), None, "the manifest before it was taken");
}

#[test]
fn a_switch_of_which_nobody_knows_whether_it_happened_stops_the_store() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    store.set_property("root", Some("/a")).unwrap();
    let fail = |wanted: Op| {
        sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
            let manifest = call.path.to_string_lossy().contains("MANIFEST") || call.op == Op::SyncDir;
            if call.op == wanted && manifest { Action::Fail(Fault::Eio) } else { Action::Proceed }
        }));
        let outcome = store.set_property("root", Some("/b"));
        sim.clear_observer();
        outcome
    };
    assert_refused(fail(Op::Write), ErrorKind::Io, &[]);
    assert_eq!(property(&store, "root").as_deref(), Some("/a"));
    store.set_property("other", Some("goes on")).unwrap();
    assert_refused(fail(Op::SyncDir), ErrorKind::OutcomeUnknown, &[]);
    // Not even what seems to be there can be promised now.
    assert_refused(store.set_property("root", Some("/a")), ErrorKind::ReadOnly, &["reopened"]);
    assert_refused(store.configure(|settings| settings.merge_fanout = 5), ErrorKind::ReadOnly, &["reopened"]);
    assert_ne!(store.settings().merge_fanout, 5);
    let store = reopen(&sim.kill()).unwrap();
    assert_eq!(property(&store, "root").as_deref(), Some("/b"));
    assert_eq!(property(&store, "other").as_deref(), Some("goes on"));
}

#[test]
fn concurrent_changes_do_not_undo_one_another() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = PersistentVectorStore::new(&path, folder.path().join("backups"), sample::DIMENSION).unwrap();
    let before = store.settings();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    store.configure(|settings| settings.merge_fanout += 1).unwrap();
                    store.configure(|settings| settings.max_batch_bytes += 1).unwrap();
                    store.set_property(&format!("thread-{thread}"), Some(&round.to_string())).unwrap();
                }
            });
        }
        scope.spawn(|| {
            for round in 0..ROUNDS as u64 {
                store.put_batch(&nodes(&mut Rng::new(round), 0..10)).unwrap();
                store.flush().unwrap();
            }
        });
    });
    let expected = Settings {
        merge_fanout: before.merge_fanout + THREADS * ROUNDS,
        max_batch_bytes: before.max_batch_bytes + (THREADS * ROUNDS) as u64,
        ..before
    };
    assert_eq!(store.settings(), expected);
    drop(store);
    let store = PersistentVectorStore::new(&path, folder.path().join("backups"), sample::DIMENSION).unwrap();
    assert_eq!(store.settings(), expected, "memory and manifest agree");
    for thread in 0..THREADS {
        let last = (ROUNDS - 1).to_string();
        assert_eq!(property(&store, &format!("thread-{thread}")), Some(last));
    }
}
