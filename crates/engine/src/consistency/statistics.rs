//! What transactions did since the store was opened, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codegraph_vector_base::ConflictCause;

use super::level::IsolationLevel;
use super::lock::LockStatistics;

/// What became of transactions of one level, and how long that took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelStatistics {
    /// The level.
    pub level: IsolationLevel,
    /// Transactions that were begun.
    pub begun: u64,
    /// Committed, those that only read included.
    pub committed: u64,
    /// Rolled back by whoever had begun them, or dropped.
    pub rolled_back: u64,
    /// Rolled back because of others: how many for each cause, those that occurred only.
    pub aborted: Vec<(ConflictCause, u64)>,
    /// Time from beginning to end of those that have ended, or were prepared, in microseconds.
    pub open_us: u64,
    /// Of it, time that they waited for locks, in microseconds.
    pub waiting_us: u64,
    /// Of it, time from the call of `commit` or `prepare` to its end, in microseconds.
    pub committing_us: u64,
}

/// Transactions of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionStatistics {
    /// Open ones, those that are prepared not counted.
    pub active: u64,
    /// Prepared ones that await a decision.
    pub in_doubt: u64,
    /// By level, the weakest first.
    pub levels: Vec<LevelStatistics>,
    /// Locks, those of single writes included.
    pub locks: LockStatistics,
}

impl TransactionStatistics {
    /// Committed ones of all levels.
    pub fn committed(&self) -> u64 {
        self.levels.iter().map(|level| level.committed).sum()
    }

    /// Those of all levels that were rolled back for this cause.
    pub fn aborted(&self, cause: ConflictCause) -> u64 {
        let all = self.levels.iter().flat_map(|level| &level.aborted);
        all.filter(|(of, _)| *of == cause).map(|(_, count)| count).sum()
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Committed,
    RolledBack,
    Aborted(ConflictCause),
}

/// The counts of one level.
#[derive(Debug, Default)]
pub(crate) struct LevelCounters {
    begun: AtomicU64,
    committed: AtomicU64,
    rolled_back: AtomicU64,
    aborted: [AtomicU64; ConflictCause::ALL.len()],
    open_us: AtomicU64,
    waiting_us: AtomicU64,
    committing_us: AtomicU64,
}

impl LevelCounters {
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, how: Ending) {
        let counter = match how {
            Ending::Committed => &self.committed,
            Ending::RolledBack => &self.rolled_back,
            Ending::Aborted(cause) => match ConflictCause::ALL.iter().position(|known| *known == cause) {
                Some(at) => &self.aborted[at],
                None => &self.rolled_back,
            },
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds to the times: how long it was open, and waited for locks and commits meanwhile.
    pub(crate) fn took(&self, open: Duration, waiting: Duration, committing: Duration) {
        let times = [(&self.open_us, open), (&self.waiting_us, waiting), (&self.committing_us, committing)];
        for (counter, time) in times {
            counter.fetch_add(time.as_micros() as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self, level: IsolationLevel) -> LevelStatistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let aborted = ConflictCause::ALL.iter().zip(&self.aborted).map(|(cause, count)| (*cause, get(count)));
        LevelStatistics {
            level,
            begun: get(&self.begun),
            committed: get(&self.committed),
            rolled_back: get(&self.rolled_back),
            aborted: aborted.filter(|(_, count)| *count > 0).collect(),
            open_us: get(&self.open_us),
            waiting_us: get(&self.waiting_us),
            committing_us: get(&self.committing_us),
        }
    }
}
