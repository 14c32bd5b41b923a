//! What can be set, what is refused, and what sealing and durability come to.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector::{
    Durability, Environment, ErrorKind, Filter, IncrementalConfig, IncrementalUpdateManager, OpenOptions,
    PersistentVectorStore, Settings,
};
use codegraph_vector_testkit::{CrashStyle, Rng, SimClock, SimVfs};

use super::{by_hand, insert, start};
use crate::sample::{ROOT, assert_refused, environment, open, open_read_only, options, settings};

#[test]
fn what_cannot_work_is_refused_by_name() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    let refused = |change: &dyn Fn(&mut IncrementalConfig), pieces: &[&str]| {
        let mut config = IncrementalConfig::for_store(&store);
        change(&mut config);
        assert_refused(IncrementalUpdateManager::new(config), ErrorKind::InvalidInput, pieces);
    };
    let day = Duration::from_secs(24 * 60 * 60);
    refused(&|config| config.max_batch_size = 0, &["max_batch_size is 0"]);
    refused(&|config| config.queue_capacity = 0, &["queue_capacity is 0"]);
    refused(&|config| config.queue_capacity = 100, &["max_batch_size is 1024", "queue_capacity, 100"]);
    refused(&|config| config.worker_threads = 1_000, &["worker_threads is 1000", "256"]);
    refused(&|config| config.parallel_threshold = 0, &["parallel_threshold is 0"]);
    refused(&|config| config.retries = 2_000, &["retries is 2000"]);
    refused(&|config| config.max_segment_size = 100, &["max_segment_size is 100", "4096"]);
    refused(&|config| config.max_segment_size = 1 << 40, &["max_segment_size", "memtable_bytes"]);
    refused(&|config| config.batch_timeout = day * 2, &["batch_timeout"]);
    refused(&|config| config.retry_backoff = day * 2, &["retry_backoff"]);
    refused(&|config| config.max_segment_age = Duration::ZERO, &["max_segment_age is 0ns"]);
    refused(&|config| config.wal_flush_interval = Duration::from_micros(5), &["wal_flush_interval is 5µs"]);
    store.put(super::bare(1, 1)).unwrap();
    let reader = open_read_only(&sim).unwrap();
    let outcome = IncrementalUpdateManager::new(IncrementalConfig::for_store(&reader));
    assert_refused(outcome, ErrorKind::ReadOnly, &["read-only"]);
    let manager = start(IncrementalConfig { max_segment_age: Duration::MAX, ..by_hand(&store) });
    assert_refused(manager.submit_batch(Vec::new()), ErrorKind::InvalidInput, &["empty"]);
    assert_eq!(manager.store().path(), store.path());
}

#[test]
fn a_ticket_is_durable_whatever_the_store_says_unless_an_interval_is_asked_for() {
    let sim = SimVfs::new(1);
    let settings = Settings { durability: Durability::None, ..settings() };
    let options = OpenOptions { settings: Some(settings), ..options(&sim) };
    let store = PersistentVectorStore::open(ROOT, options).unwrap();
    let manager = start(by_hand(&store));
    assert!(!store.put(super::bare(9, 9)).unwrap().receipt.durable);
    let outcome = manager.submit_operation(super::delete(7)).unwrap().wait().all().unwrap();
    assert!(outcome.receipt.durable, "so is what was there when nothing had to be done");
    assert!(manager.submit_operation(insert(1, 1)).unwrap().wait().all().unwrap().receipt.durable);
    assert_eq!(store.settings().durability, Durability::None);
    let after = sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced);
    assert_eq!(open(&after).unwrap().count(&Filter::everything()).unwrap(), 2);
    let wal_flush_interval = Duration::from_millis(20);
    let quick = start(IncrementalConfig { wal_flush_interval, ..by_hand(&store) });
    assert_eq!(store.settings().durability, Durability::Interval(20));
    let outcome = quick.submit_operation(insert(2, 2)).unwrap().wait().all().unwrap();
    assert!(!outcome.receipt.durable, "it is not, and says so");
    assert_eq!(store.count(&Filter::everything()).unwrap(), 3);
}

#[test]
fn a_memtable_is_sealed_by_its_size_and_by_its_age() {
    let (sim, clock) = (SimVfs::new(1), SimClock::default());
    let environment = Environment { clock: Arc::new(clock.clone()), ..environment(&sim) };
    let store = PersistentVectorStore::open(ROOT, OpenOptions { environment, ..options(&sim) }).unwrap();
    let config = IncrementalConfig {
        max_segment_size: 64 << 10,
        max_segment_age: Duration::from_secs(60),
        max_batch_size: 50,
        ..by_hand(&store)
    };
    let manager = start(config);
    let flushes = || store.stats().unwrap().flushes;
    let submit = |ids: std::ops::Range<u128>| {
        let operations = ids.map(|id| insert(id, 1)).collect();
        manager.submit_batch(operations).unwrap().wait().all().unwrap()
    };
    submit(0..10);
    assert_eq!(flushes(), 0);
    submit(10..1_000);
    assert!(flushes() >= 2, "{:?}", store.stats());
    store.flush().unwrap();
    let by_size = flushes();
    submit(0..1);
    clock.advance(Duration::from_secs(59));
    submit(1..2);
    assert_eq!(flushes(), by_size);
    clock.advance(Duration::from_secs(2));
    submit(2..3);
    let stats = store.stats().unwrap();
    assert_eq!((stats.flushes, stats.memtable_rows), (by_size + 1, 0));
}
