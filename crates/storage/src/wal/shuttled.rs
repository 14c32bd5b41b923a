//! Group commit over locks that shuttle schedules: the log is compiled a second time, for these tests.
//!
//! A thread that is forgotten while it waits for its record is a test that hangs, which shuttle reports.

#![allow(clippy::duplicate_mod)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use codegraph_vector_base::frame::{Check, Seal};
use codegraph_vector_base::{Epoch, Error, ErrorKind, Lsn, Result, StoreId};
use codegraph_vector_testkit::scheduled::{explore, thread};
use codegraph_vector_testkit::{Action, Call, Fault, Observer, Op, SimClock, SimVfs};

use super::{ScanRange, appender, group, scan};

mod sync {
    pub(super) use codegraph_vector_testkit::scheduled::{Condvar, Mutex, MutexGuard};
}

#[path = "log.rs"]
#[allow(dead_code, unreachable_pub)] // The tests do not need all of it, and nobody else anything.
mod log;
#[path = "ticket.rs"]
#[allow(unreachable_pub)]
mod ticket;

use log::{GroupEnd, Log, LogHooks, SyncPolicy};
use ticket::{Committed, Ticket};

const SCHEDULES: usize = 200;
const SEAL: Seal = Seal { store: StoreId([7; 16]), epoch: Epoch(0) };
const KIND: u16 = 20;

/// A disk whose calls take a while, and one of which may fail.
struct Disk {
    fails: Option<(Op, Fault)>,
    failed: AtomicBool,
}

impl Observer for Disk {
    fn before(&self, _: &SimVfs, call: &Call) -> Action {
        thread::yield_now();
        match self.fails {
            Some((op, fault)) if op == call.op && !self.failed.swap(true, Ordering::Relaxed) => {
                Action::Fail(fault)
            }
            _ => Action::Proceed,
        }
    }
}

/// What the owner of the log knows: the numbers of the records that were committed.
#[derive(Default)]
struct Owner {
    committed: std::sync::Mutex<Vec<u64>>,
    applying: AtomicBool,
}

impl LogHooks<u64, u64> for Owner {
    fn sync_policy(&self) -> SyncPolicy {
        SyncPolicy::Sync
    }

    fn committed(&self, entries: Vec<u64>, _: &[u8], end: GroupEnd) -> Result<()> {
        assert!(!self.applying.swap(true, Ordering::Relaxed), "two groups at once");
        assert_eq!(end.lsn, end.synced, "applied before it was durable");
        thread::yield_now();
        for number in entries {
            let mut committed = self.committed.lock().unwrap();
            assert_eq!(number, committed.last().map_or(1, |last| last + 1), "out of order");
            committed.push(number);
        }
        self.applying.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn failed(&self, last: &mut u64, entries: Vec<u64>) {
        // Numbers that nobody got are given again.
        *last = entries.first().map_or(*last, |first| first - 1);
    }
}

/// A log on a disk.
struct Case {
    sim: SimVfs,
    log: Log<u64, u64>,
    owner: Owner,
}

impl Case {
    fn new(fails: Option<(Op, Fault)>) -> Arc<Self> {
        let sim = SimVfs::new(1);
        codegraph_vector_base::vfs::Vfs::create_dir_all(&sim, &folder()).unwrap();
        let appender = appender::Appender::create(Arc::new(sim.clone()), folder(), SEAL, 1 << 20).unwrap();
        sim.set_observer(Arc::new(Disk { fails, failed: AtomicBool::new(false) }));
        let log = Log::new(appender, 0, Arc::new(SimClock::default()));
        Arc::new(Self { sim, log, owner: Owner::default() })
    }

    fn enqueue(&self) -> Result<(Arc<Ticket>, u64)> {
        self.log.enqueue(|last, group| {
            let number = *last + 1;
            group.append(KIND, &[&number.to_le_bytes()]);
            *last = number;
            Ok((number, number))
        })
    }

    /// Commits one record and waits for it.
    fn commit(&self) -> Result<u64> {
        let (ticket, number) = self.enqueue()?;
        let Committed { durable } = self.log.wait(&ticket, &self.owner)?;
        assert!(durable && self.committed().contains(&number), "told before it was committed");
        Ok(number)
    }

    fn committed(&self) -> Vec<u64> {
        self.owner.committed.lock().unwrap().clone()
    }

    /// Asserts that the log has what was committed, and as many of it as there were.
    fn finish(&self, count: u64) {
        let all: Vec<u64> = (1..=count).collect();
        assert_eq!(self.committed(), all);
        let range = ScanRange { from: Lsn(0), proven: Lsn(0), limit: Lsn(u64::MAX), check: Check::Verify };
        let mut logged = Vec::new();
        self.sim.clear_observer();
        let read = scan(&self.sim, &folder(), SEAL.store, range, &mut |record| {
            logged.push(u64::from_le_bytes(record.payload.try_into().unwrap()));
            Ok(())
        });
        read.unwrap();
        assert_eq!(logged, all);
    }
}

fn folder() -> PathBuf {
    PathBuf::from("/wal")
}

fn spawn<R: Send + 'static>(
    case: &Arc<Case>,
    work: impl FnOnce(&Case) -> R + Send + 'static,
) -> thread::JoinHandle<R> {
    let case = case.clone();
    thread::spawn(move || work(&case))
}

#[test]
fn everyone_who_commits_is_told_and_in_order() {
    explore(SCHEDULES, || {
        let case = Case::new(None);
        let threads = [2, 2, 1]
            .map(|times| spawn(&case, move |case| (0..times).for_each(|_| assert!(case.commit().is_ok()))));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        case.finish(5);
    });
}

#[test]
fn a_drain_commits_what_nobody_waits_for() {
    explore(SCHEDULES, || {
        let case = Case::new(None);
        let leaves = spawn(&case, |case| {
            let queued = case.enqueue().unwrap().1;
            case.log.drain(&case.owner);
            assert!(case.committed().contains(&queued), "drained, and not committed");
        });
        let waits = spawn(&case, |case| assert!(case.commit().is_ok()));
        let drains = spawn(&case, |case| case.log.drain(&case.owner));
        for thread in [leaves, waits, drains] {
            thread.join().unwrap();
        }
        case.finish(2);
    });
}

#[test]
fn a_failed_sync_is_told_to_everyone_and_is_the_last() {
    explore(SCHEDULES, || {
        let case = Case::new(Some((Op::SyncData, Fault::SyncFails)));
        let threads = [(); 3].map(|()| spawn(&case, |case| case.commit().map_err(|error| error.kind())));
        let kinds = threads.map(|thread| thread.join().unwrap().unwrap_err());
        assert!(kinds.iter().all(|kind| [ErrorKind::OutcomeUnknown, ErrorKind::ReadOnly].contains(kind)));
        assert!(kinds.contains(&ErrorKind::OutcomeUnknown));
        assert_eq!(case.enqueue().map(|_| ()).map_err(|error: Error| error.kind()), Err(ErrorKind::ReadOnly));
        assert!(case.committed().is_empty());
    });
}

#[test]
fn a_full_disk_fails_some_and_the_log_goes_on() {
    explore(SCHEDULES, || {
        let case = Case::new(Some((Op::Write, Fault::Enospc)));
        let threads = [(); 3].map(|()| spawn(&case, |case| case.commit().map_err(|error| error.kind())));
        let outcomes = threads.map(|thread| thread.join().unwrap());
        let refused = outcomes.iter().filter(|outcome| **outcome == Err(ErrorKind::StorageFull)).count();
        let told = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(refused > 0 && refused + told == 3, "{outcomes:?}");
        case.commit().unwrap();
        case.finish(told as u64 + 1);
    });
}
