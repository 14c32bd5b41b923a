//! When a write is acknowledged, and how many share a sync.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_base::vfs::RealVfs;
use codegraph_vector_base::{Lsn, SystemClock};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::wal::{Appender, Log, SyncPolicy, scan};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Op, Rng, SimVfs};

use super::*;

#[test]
fn a_write_is_acknowledged_only_after_its_sync() {
    let sim = SimVfs::new(1);
    let numbers = Arc::new(Numbers::create(&sim, ENDLESS));
    numbers.put(100).expect("acknowledged");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sink, inner) = (Arc::clone(&seen), Arc::clone(&numbers));
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        if call.op.mutates() {
            sink.lock().expect("unpoisoned").push((call.op, inner.applied().len()));
        }
        Action::Proceed
    }));
    assert!(numbers.put(100).expect("acknowledged").durable);
    sim.clear_observer();
    // Nothing but the write and its sync; neither applied nor acknowledged before both.
    assert_eq!(*seen.lock().expect("unpoisoned"), [(Op::Write, 1), (Op::SyncData, 1)]);
    assert_eq!(numbers.applied(), [0, 1]);
    assert_eq!(read(&sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced)).0, [0, 1]);
}

#[test]
fn one_sync_serves_all_commits_that_wait() {
    let sim = SimVfs::new(1);
    let numbers = Numbers::create(&sim, ENDLESS);
    let tickets: Vec<_> = (0..10).map(|len| numbers.queue(len).expect("queued")).collect();
    let seen = sim.watch_changes();
    assert!(numbers.wait(&tickets[3]).expect("acknowledged").durable);
    let ops: Vec<Op> = seen.take().iter().map(|call| call.op).collect();
    assert_eq!(ops, [Op::Write, Op::SyncData]);
    for ticket in &tickets {
        assert!(ticket.outcome().expect("known").expect("acknowledged").durable);
    }
    let statistics = numbers.log.statistics();
    assert_eq!((statistics.groups, statistics.commits, statistics.syncs), (1, 10, 1));
    assert_eq!(read(&sim).0.len(), 10);
}

#[test]
fn commits_that_come_during_a_sync_share_the_next() {
    const THREADS: u64 = 8;
    const EACH: u64 = 20;
    let sim = SimVfs::new(1);
    let numbers = Numbers::create(&sim, ENDLESS);
    sim.set_observer(Arc::new(|_: &SimVfs, call: &Call| {
        if call.op == Op::SyncData {
            std::thread::sleep(Duration::from_millis(2));
        }
        Action::Proceed
    }));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..EACH).for_each(|_| assert!(numbers.put(50).expect("acknowledged").durable)));
        }
    });
    sim.clear_observer();
    let statistics = numbers.log.statistics();
    assert_eq!(statistics.commits, THREADS * EACH);
    assert!(statistics.syncs * 3 <= statistics.commits, "{statistics:?}");
    assert_eq!(read(&sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced)).0.len() as u64, THREADS * EACH);
    assert!(numbers.applied().is_sorted(), "applied out of order");
}

#[test]
fn threads_share_syncs_on_a_real_disk() {
    const THREADS: u64 = 8;
    const EACH: u64 = 25;
    let home = tempfile::tempdir().expect("a folder");
    let layout = StoreLayout::new(home.path());
    layout.create_dirs(&RealVfs).expect("folders");
    let appender = Appender::create(Arc::new(RealVfs), layout.wal_dir(), seal(1), 16 << 10).expect("created");
    let numbers = Numbers::new(appender, 0, SyncPolicy::Sync);
    let log = Log::new(
        Appender::create(Arc::new(RealVfs), layout.wal_dir(), seal(1), 16 << 10).expect("created"),
        0,
        Arc::new(SystemClock::new()),
    );
    let numbers = Numbers { log, ..numbers };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..EACH).for_each(|_| assert!(numbers.put(300).expect("acknowledged").durable)));
        }
    });
    let statistics = numbers.log.statistics();
    assert_eq!(statistics.commits, THREADS * EACH);
    assert!(
        statistics.syncs <= statistics.commits && statistics.groups <= statistics.commits,
        "{statistics:?}"
    );
    let mut found = 0;
    let scanned = scan(&RealVfs, &layout.wal_dir(), STORE, all(), &mut |_| {
        found += 1;
        Ok(())
    });
    assert_eq!((found, scanned.expect("sound").end), (THREADS * EACH, numbers.end()));
}

#[test]
fn without_a_sync_a_write_says_that_it_is_not_durable() {
    let sim = SimVfs::new(1);
    let numbers = Numbers::new(create(&sim, ENDLESS), 0, SyncPolicy::WriteOnly);
    assert!(!numbers.put(10).expect("acknowledged").durable);
    assert_eq!(numbers.log.statistics().syncs, 0);
    assert_eq!(read(&sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced)).0, []);
    assert_eq!(numbers.log.sync().ok(), Some(numbers.end()));
    assert_eq!(read(&sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced)).0, [0]);
    let seen = sim.watch_changes();
    assert_eq!(numbers.log.sync().ok(), Some(numbers.end()));
    assert!(seen.take().is_empty(), "nothing was left to sync");
}

#[test]
fn a_group_s_header_says_what_was_durable_before_it() {
    let sim = SimVfs::new(1);
    let numbers = Numbers::new(create(&sim, ENDLESS), 0, SyncPolicy::WriteOnly);
    let mut expected = Vec::new();
    let mut synced = Lsn(0);
    for round in 0..6 {
        expected.push((numbers.end(), synced));
        numbers.put(round).expect("written");
        if round % 2 == 1 {
            synced = numbers.log.sync().expect("synced");
        }
    }
    let file = sim.read_all(wal_path(0)).expect("there");
    for (lsn, synced) in expected {
        let at = (FILE_HEADER + lsn.0 + FRAME_HEADER) as usize;
        assert_eq!(file[at..at + 8], synced.0.to_le_bytes());
    }
}

#[test]
fn drain_writes_what_nobody_waits_for() {
    let sim = SimVfs::new(1);
    let numbers = Numbers::create(&sim, ENDLESS);
    let tickets = [numbers.queue(1).expect("queued"), numbers.queue(2).expect("queued")];
    numbers.log.drain(&numbers.owner);
    assert!(tickets.iter().all(|ticket| ticket.outcome().expect("known").is_ok()));
    assert_eq!(read(&sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced)).0, [0, 1]);
}
