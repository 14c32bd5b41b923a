//! What the writer tells of how far the log is, and who keeps the log from being trimmed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use codegraph_vector_base::{Lsn, Result, SeqNo};
use parking_lot::{Condvar, Mutex};

use crate::version::Cut;

/// A hold on all of the log, until it is known what of it is needed.
const EVERYTHING: u64 = u64::MAX;

/// One a store. Its locks are leaves, but that the log is trimmed under `holds`.
#[derive(Debug)]
pub(crate) struct Feed {
    ends: Mutex<Ends>,
    grown: Condvar,
    /// Where the streams are.
    holds: Mutex<Vec<Weak<AtomicU64>>>,
    /// The first commit in log files, or behind them, by where they begin: it does not change.
    pub(super) first_commits: Mutex<BTreeMap<Lsn, SeqNo>>,
    /// Counts the restores of this process, each of which begins another line of history.
    restores: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    /// Everything before it is visible, and this is the last commit of that.
    applied: (Lsn, SeqNo),
    /// Everything before it is durable.
    synced: Lsn,
    closed: bool,
}

/// Where the feed ends: between two groups of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) lsn: Lsn,
    /// The last commit before it, where that is known.
    pub(crate) seqno: Option<SeqNo>,
}

impl Ends {
    fn end(&self) -> End {
        let (applied, seqno) = self.applied;
        End { lsn: applied.min(self.synced), seqno: (applied <= self.synced).then_some(seqno) }
    }
}

impl Feed {
    /// Of a store that was opened here, where all that it holds is durable.
    pub(crate) fn at(cut: &Cut) -> Self {
        let ends = Ends { applied: (cut.lsn, cut.seqno), synced: cut.lsn, closed: false };
        Self {
            ends: Mutex::new(ends),
            grown: Condvar::new(),
            holds: Mutex::default(),
            first_commits: Mutex::default(),
            restores: AtomicU64::new(0),
        }
    }

    /// Everything up to here is visible.
    pub(crate) fn applied(&self, cut: &Cut) {
        self.change(|ends| ends.applied = (cut.lsn, cut.seqno));
    }

    /// Another line of history has begun: streams of the old one are over.
    pub(crate) fn restored(&self) {
        self.restores.fetch_add(1, Ordering::AcqRel);
    }

    /// How many have begun in this process.
    pub(super) fn restores(&self) -> u64 {
        self.restores.load(Ordering::Acquire)
    }

    /// Everything before this is durable.
    pub(crate) fn synced(&self, lsn: Lsn) {
        self.change(|ends| ends.synced = ends.synced.max(lsn));
    }

    /// Everything up to here is visible and durable.
    pub(crate) fn refreshed(&self, cut: &Cut) {
        self.synced(cut.lsn);
        self.applied(cut);
    }

    /// Nothing more will come; whoever waits is woken.
    pub(crate) fn close(&self) {
        self.change(|ends| ends.closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut Ends)) {
        change(&mut self.ends.lock());
        self.grown.notify_all();
    }

    /// Where the feed ends now.
    pub(crate) fn end(&self) -> End {
        self.ends.lock().end()
    }

    /// Sleeps until the feed goes on behind `lsn`, or the store is closed; `false` if that took too long.
    pub(super) fn wait_beyond(&self, lsn: Lsn, timeout: Duration) -> bool {
        let mut ends = self.ends.lock();
        !self
            .grown
            .wait_while_for(&mut ends, |ends| ends.end().lsn <= lsn && !ends.closed, timeout)
            .timed_out()
    }

    /// Keeps all of the log, until the hold is moved or dropped.
    pub(crate) fn hold(&self) -> Hold {
        let at = Arc::new(AtomicU64::new(EVERYTHING));
        self.holds.lock().push(Arc::downgrade(&at));
        Hold(at)
    }

    /// How many streams there are.
    pub(super) fn streams(&self) -> u64 {
        self.holds.lock().iter().filter(|hold| hold.strong_count() > 0).count() as u64
    }

    /// Runs `trim` with where the log has to be kept from, for the sake of the streams that ask for no more than `may_hold`
    /// allows; none can begin meanwhile.
    pub(super) fn while_holding(
        &self,
        may_hold: impl Fn(Lsn) -> bool,
        trim: impl FnOnce(Option<Lsn>) -> Result<()>,
    ) -> Result<()> {
        let mut holds = self.holds.lock();
        holds.retain(|hold| hold.strong_count() > 0);
        let positions = holds.iter().filter_map(Weak::upgrade).map(|hold| hold.load(Ordering::Acquire));
        let floor = positions
            .filter_map(|at| match at {
                EVERYTHING => Some(Lsn(0)),
                at => Some(Lsn(at)).filter(|at| may_hold(*at)),
            })
            .min();
        trim(floor)
    }
}

/// Keeps the log from a position on.
#[derive(Debug)]
pub(crate) struct Hold(Arc<AtomicU64>);

impl Hold {
    /// What lies before this is no longer needed.
    pub(crate) fn move_to(&self, lsn: Lsn) {
        self.0.store(lsn.0, Ordering::Release);
    }
}
