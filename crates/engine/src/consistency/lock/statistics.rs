//! How much was waited for locks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Locks of a store: what is held now, and counts since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockStatistics {
    /// Locks held now, intentions on the store included.
    pub held: u64,
    /// Requests that wait now.
    pub waiting: u64,
    /// Requests that had to wait.
    pub waits: u64,
    /// Microseconds that they waited, all together; what waits still is not counted.
    pub wait_us: u64,
    /// Microseconds that the longest of them waited.
    pub longest_wait_us: u64,
    /// Circles of waits that were found; each cost its youngest member what it had.
    pub deadlocks: u64,
    /// Requests that were given up because a lock was not free in time.
    pub timeouts: u64,
    /// Owners that had to give way to an older one, under wound-wait.
    pub wounds: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) waiting: AtomicU64,
    pub(super) waits: AtomicU64,
    wait_us: AtomicU64,
    longest_wait_us: AtomicU64,
    pub(super) deadlocks: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) wounds: AtomicU64,
}

impl Counters {
    pub(super) fn waited(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.wait_us.fetch_add(us, Ordering::Relaxed);
        self.longest_wait_us.fetch_max(us, Ordering::Relaxed);
    }

    pub(super) fn statistics(&self, held: u64) -> LockStatistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LockStatistics {
            held,
            waiting: get(&self.waiting),
            waits: get(&self.waits),
            wait_us: get(&self.wait_us),
            longest_wait_us: get(&self.longest_wait_us),
            deadlocks: get(&self.deadlocks),
            timeouts: get(&self.timeouts),
            wounds: get(&self.wounds),
        }
    }
}
