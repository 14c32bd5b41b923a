//! Tests of a set of stores on a simulated disk.

use std::sync::{Arc, Barrier};
use std::thread;

use codegraph_vector_base::vfs::{OpenMode, Vfs};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Rng, SimVfs};
use parking_lot::Mutex;

use super::*;
use crate::{CodeNode, Environment, IsolationLevel, NodeId, Settings, Snapshot, Write};

const ROOT: &str = "/stores";

fn set_of(sim: &SimVfs, change: impl FnOnce(&mut StoreSetConfig)) -> StoreSet {
    let environment = Environment { vfs: Arc::new(sim.clone()), ..Environment::default() };
    let settings = Some(Settings { background: false, ..Settings::default() });
    let options = OpenOptions { dimension: Some(2), settings, environment, ..OpenOptions::default() };
    let mut config = StoreSetConfig { options, ..StoreSetConfig::default() };
    change(&mut config);
    StoreSet::new(ROOT, config).unwrap()
}

/// A set of which so many stores may be open, with stores of these names.
fn small(most: usize, names: &[&str]) -> StoreSet {
    let set = set_of(&SimVfs::new(1), |config| config.max_open_stores = most);
    for name in names {
        drop(set.create(name, |_| ()).unwrap());
    }
    set
}

fn node(id: NodeId) -> CodeNode {
    CodeNode::new(id, vec![1.0, id as f32])
}

/// Whether touching the store opens it.
#[track_caller]
fn opens(set: &StoreSet, name: &str) -> bool {
    let before = set.statistics().opened;
    drop(set.store(name).unwrap());
    set.statistics().opened > before
}

fn kind<T>(outcome: Result<T>) -> ErrorKind {
    outcome.err().expect("this should have been refused").kind()
}

#[test]
fn the_store_that_was_not_used_for_the_longest_time_is_closed_for_another() {
    let set = small(3, &["a", "b", "c"]);
    assert!(!opens(&set, "a"), "there was room for all three");
    drop(set.create("d", |_| ()).unwrap());
    assert_eq!(set.statistics().open, 3);
    assert!(!opens(&set, "a") && !opens(&set, "c") && !opens(&set, "d"));
    assert!(opens(&set, "b"), "it was the one that nobody had used since");
    assert!(opens(&set, "a"), "and then this was");
    assert!(!opens(&set, "d"));
    assert_eq!(set.statistics().evicted, 3);
}

#[test]
fn what_was_acknowledged_is_there_when_the_store_is_opened_again() {
    let set = small(1, &["a", "b"]);
    for id in 0..20 {
        for name in ["a", "b"] {
            let store = set.store(name).unwrap();
            assert_eq!(store.count(&crate::Filter::everything()).unwrap(), id as u64);
            assert!(store.put(node(id)).unwrap().receipt.durable);
        }
    }
    assert_eq!((set.statistics().open, set.statistics().evicted), (1, 41));
}

#[test]
fn whatever_holds_a_store_keeps_it_open_and_one_more_is_opened_then() {
    type Hold = fn(PersistentVectorStore) -> Box<dyn std::any::Any>;
    let holds: [(&str, Hold); 4] = [
        ("a handle", |store| Box::new(store)),
        ("a snapshot", |store| Box::<Snapshot>::new(store.snapshot().unwrap())),
        ("a transaction", |store| Box::new(store.begin(IsolationLevel::Serializable).unwrap())),
        ("a manager of transactions", |store| Box::new(store.consistency_manager())),
    ];
    for (what, hold) in holds {
        let set = small(1, &["a", "b", "c"]);
        let held = hold(set.store("a").unwrap());
        assert!(opens(&set, "b"), "{what}");
        assert_eq!(set.statistics().in_use, 1, "{what}");
        assert!(opens(&set, "c") && !opens(&set, "a"), "{what}");
        drop(held);
        assert!(opens(&set, "b") && opens(&set, "a"), "{what}");
        // The last to be opened made the other go first.
        assert_eq!((set.statistics().open, set.statistics().in_use), (1, 0), "{what}");
    }
}

#[test]
fn a_write_that_is_queued_is_not_lost_by_the_closing_of_its_store() {
    let set = small(1, &["a", "b"]);
    let pending = set.store("a").unwrap().submit(&Write::Put(&[node(7)])).unwrap();
    assert!(opens(&set, "b"));
    assert!(pending.wait().unwrap().receipt.durable);
    assert_eq!(set.store("a").unwrap().get(7).unwrap(), Some(node(7)));
}

#[test]
fn many_who_touch_a_store_at_once_open_it_once() {
    let set = small(4, &["a"]);
    set.close_all().unwrap();
    let (before, all) = (set.statistics().opened, Barrier::new(8));
    thread::scope(|scope| {
        for id in 0..8 {
            let (set, all) = (&set, &all);
            scope.spawn(move || {
                all.wait();
                set.store("a").unwrap().put(node(id)).unwrap();
            });
        }
    });
    assert_eq!(set.statistics().opened, before + 1);
    assert_eq!(set.store("a").unwrap().stats().unwrap().active_vectors, 8);
}

#[test]
fn a_store_that_cannot_be_opened_is_told_and_not_remembered() {
    let sim = SimVfs::new(1);
    let set = set_of(&sim, |_| ());
    assert_eq!(kind(set.store("a")), ErrorKind::NotFound);
    drop(set.create("a", |_| ()).unwrap());
    assert!(!opens(&set, "a"));
    set.close("a").unwrap();
    let folder = std::path::Path::new(ROOT).join("a");
    let is_manifest = |name: &String| StoreLayout::parse_manifest_name(name).is_some();
    for name in sim.list(&folder).unwrap().into_iter().filter(is_manifest) {
        sim.open(&folder.join(name), OpenMode::ReadWrite).unwrap().write_at(b"damaged", 16).unwrap();
    }
    for failed in 2..4 {
        assert_eq!(kind(set.store("a")), ErrorKind::Corrupt);
        let statistics = set.statistics();
        assert_eq!((statistics.open, statistics.failed), (0, failed));
    }
}

#[test]
fn a_store_is_made_once_and_as_it_was_asked_for() {
    let set = small(2, &["a"]);
    assert_eq!(kind(set.create("a", |_| ())), ErrorKind::AlreadyExists, "it is open");
    set.close_all().unwrap();
    assert_eq!(kind(set.create("a", |_| ())), ErrorKind::AlreadyExists, "it is not open");
    let other = set.create("b", |options| options.dimension = Some(5)).unwrap();
    assert_eq!(other.storage_header().dimension, 5);
    assert_eq!(kind(set.create("c", |options| options.dimension = None)), ErrorKind::InvalidInput);
    assert_eq!(kind(set.store("c")), ErrorKind::NotFound);
    assert_eq!(set.list().unwrap(), ["a", "b"]);
}

#[test]
fn a_store_that_its_user_closed_is_opened_again() {
    let set = small(4, &["a"]);
    let store = set.store("a").unwrap();
    store.put(node(1)).unwrap();
    store.close().unwrap();
    assert_eq!(kind(store.get(1)), ErrorKind::Closed);
    let again = set.store("a").unwrap();
    drop(store); // Late: what it lets go is not what is open now.
    assert_eq!(set.statistics().in_use, 1);
    assert_eq!(again.get(1).unwrap(), Some(node(1)));
    set.close("a").unwrap();
    assert_eq!(kind(again.get(1)), ErrorKind::Closed);
    assert!(opens(&set, "a"));
}

#[test]
fn a_store_outlives_its_set_while_it_is_used() {
    let sim = SimVfs::new(1);
    let set = set_of(&sim, |_| ());
    let used = set.create("a", |_| ()).unwrap();
    drop(set.create("b", |_| ()).unwrap());
    drop(set);
    used.put(node(1)).unwrap();
    let again = set_of(&sim, |_| ());
    assert!(opens(&again, "b"), "the set has closed it");
    assert_eq!(kind(again.store("a")), ErrorKind::Busy);
    drop(used);
    assert_eq!(again.store("a").unwrap().get(1).unwrap(), Some(node(1)));
}

#[test]
fn a_store_that_is_removed_is_gone_and_may_be_made_anew() {
    let sim = SimVfs::new(1);
    let set = set_of(&sim, |_| ());
    for name in ["a", "b"] {
        let store = set.create(name, |_| ()).unwrap();
        store.put(node(1)).unwrap();
        store.flush().unwrap();
    }
    let used = set.store("a").unwrap();
    set.remove("a").unwrap();
    assert_eq!(kind(used.get(1)), ErrorKind::Closed);
    assert_eq!(kind(set.store("a")), ErrorKind::NotFound);
    assert_eq!(kind(set.remove("a")), ErrorKind::NotFound);
    assert_eq!(sim.list(Path::new(ROOT)).unwrap(), ["b"]);
    assert_eq!(set.create("a", |_| ()).unwrap().stats().unwrap().active_vectors, 0);
    set.close_all().unwrap();
    set.remove("b").unwrap();
    assert_eq!((set.list().unwrap(), set.statistics().open), (vec!["a".to_owned()], 0));
}

#[test]
fn a_crash_while_a_store_is_removed_leaves_it_whole_or_gone() {
    let sim = SimVfs::new(1);
    let set = set_of(&sim, |_| ());
    for (id, name) in [(0, "other"), (1, "doomed")] {
        let store = set.create(name, |_| ()).unwrap();
        store.put(node(id)).unwrap();
        store.flush().unwrap();
    }
    set.close_all().unwrap();
    let disks = Arc::new(Mutex::new(Vec::new()));
    let sink = disks.clone();
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        for style in CrashStyle::ALL.into_iter().filter(|_| call.op.mutates()) {
            sink.lock().push(sim.crash(&mut Rng::new(call.index), style));
        }
        Action::Proceed
    }));
    set.remove("doomed").unwrap();
    sim.clear_observer();
    let (mut whole, mut gone) = (0, 0);
    for disk in disks.lock().iter() {
        let after = set_of(disk, |_| ());
        match after.store("doomed") {
            Ok(store) => {
                assert_eq!(store.get(1).unwrap(), Some(node(1)));
                whole += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                gone += 1;
            }
        }
        // What is left of the one is cleared away with the other.
        after.remove("other").unwrap();
        let left = disk.list(Path::new(ROOT)).unwrap();
        assert!(left.is_empty() || left == ["doomed"], "rubbish stays: {left:?}");
    }
    assert!(whole > 3 && gone > 3, "{whole} whole, {gone} gone");
}

#[test]
fn names_lead_nowhere_else() {
    let set = small(2, &["a", "A.b-c_9", "_"]);
    let long = "x".repeat(129);
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "/etc",
        "../a",
        "a\\b",
        "-a",
        ".a",
        "a.",
        "ä",
        "a b",
        "a\0",
        "a.backups",
        &long,
    ] {
        assert_eq!(kind(set.store(name)), ErrorKind::InvalidInput, "{name:?}");
        assert_eq!(kind(set.create(name, |_| ())), ErrorKind::InvalidInput, "{name:?}");
    }
    assert_eq!(set.list().unwrap(), ["A.b-c_9", "_", "a"]);
}

#[test]
fn stores_anywhere_are_under_the_same_limit() {
    let sim = SimVfs::new(1);
    let set = set_of(&sim, |config| config.max_open_stores = 1);
    drop(set.create("a", |_| ()).unwrap());
    let options = set.kept.config.options.clone();
    drop(PersistentVectorStore::open("/elsewhere", options).unwrap());
    let store = set.store_at("/elsewhere").unwrap();
    assert_eq!((set.statistics().open, set.statistics().evicted), (1, 1));
    assert_eq!(store.backups(), Path::new("/elsewhere.backups"));
}

#[test]
fn memtables_take_no_more_together_than_they_may() {
    let names: Vec<_> = (0..6).map(|at| format!("store-{at}")).collect();
    let set = set_of(&SimVfs::new(1), |config| config.memory_bytes = 1 << 20);
    let most = set.statistics().max_memtable_bytes;
    assert_eq!(most, 512 << 10);
    let stores: Vec<_> = names.iter().map(|name| set.create(name, |_| ()).unwrap()).collect();
    let mut highest = 0;
    for round in 0..60 {
        for store in &stores {
            let batch: Vec<_> = (0..20).map(|at| node(round * 20 + at)).collect();
            store.put_batch(&batch).unwrap();
            highest = highest.max(set.statistics().memtable_bytes);
        }
    }
    // The last write before somebody has to give something back goes over it.
    assert!(most < highest && highest < most + most / 4 + (32 << 10), "{highest}");
    assert!(set.statistics().relieved > 0);
    assert_eq!(set.statistics().last_error, None);
    drop(stores);
    for name in &names {
        assert_eq!(set.store(name).unwrap().stats().unwrap().active_vectors, 1200);
    }
    set.close_all().unwrap();
    // Whoever was about to give memory back holds a store a moment longer.
    while set.statistics().memtable_bytes > 0 {
        thread::yield_now();
    }
}

#[test]
fn a_limit_that_cannot_be_is_named() {
    type Change = fn(&mut StoreSetConfig);
    let changes: [(&str, Change); 4] = [
        ("max_open_stores", |config| config.max_open_stores = 0),
        ("memory_bytes", |config| config.memory_bytes = 1000),
        ("max_open_files", |config| config.max_open_files = 2),
        ("threads", |config| config.threads = 0),
    ];
    for (name, change) in changes {
        let mut config = StoreSetConfig::default();
        change(&mut config);
        let error = StoreSet::new(ROOT, config).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains(name), "{error}");
    }
    let by_files = StoreSetConfig { max_open_files: 32, ..StoreSetConfig::default() };
    assert_eq!(StoreSet::new(ROOT, by_files).unwrap().statistics().max_open, 8);
}
