//! The transactions of an open store: which there are, how many there may be, and which have run out of time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use codegraph_vector_base::{Conflict, ConflictCause, Error, ErrorKind, Result, TxnId};
use parking_lot::{Condvar, Mutex};

use super::cell::{Body, Call, Cell, End, Limits, Open};
use super::level::IsolationLevel;
use super::statistics::{Ending, LevelCounters, TransactionStatistics};
use crate::options::TransactionConfig;
use crate::pool;
use crate::store::core::Core;

/// Ended transactions that are remembered, so that a late call is told what became of them.
const REMEMBERED: usize = 1024;
/// Time-outs are looked after so many times in each, but not more often, or more seldom, than these.
const LOOKS: u32 = 4;
const MOST_OFTEN: Duration = Duration::from_millis(10);
const MOST_SELDOM: Duration = Duration::from_secs(1);

/// How a transaction is begun.
#[derive(Clone, Copy, Debug)]
pub struct TransactionOptions {
    /// Its level.
    pub level: IsolationLevel,
    /// As [`TransactionConfig::idle_timeout_ms`], for this one.
    pub idle_timeout: Option<Duration>,
    /// As [`TransactionConfig::total_timeout_ms`], for this one.
    pub total_timeout: Option<Duration>,
    /// As [`TransactionConfig::lock_timeout_ms`], for this one.
    pub lock_timeout: Option<Duration>,
}

impl TransactionOptions {
    /// With the time-outs of the store's settings.
    pub fn new(level: IsolationLevel) -> Self {
        Self { level, idle_timeout: None, total_timeout: None, lock_timeout: None }
    }

    fn limits(&self, config: &TransactionConfig) -> Limits {
        let or = |given: Option<Duration>, ms| given.unwrap_or(Duration::from_millis(ms));
        Limits {
            idle: or(self.idle_timeout, config.idle_timeout_ms),
            total: or(self.total_timeout, config.total_timeout_ms),
            lock: or(self.lock_timeout, config.lock_timeout_ms),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    known: Mutex<Known>,
    /// Told when a transaction has ended.
    room: Condvar,
    levels: [LevelCounters; IsolationLevel::ALL.len()],
    /// Transactions that there were, in a store that was opened for reading.
    read_only: AtomicU64,
    /// Whether somebody will look after time-outs.
    reaping: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    cells: HashMap<TxnId, Arc<Cell>>,
    /// Those of them that are neither prepared nor ended.
    open: usize,
    ended: VecDeque<(TxnId, End)>,
}

impl Registry {
    /// Begins a transaction; waits for room, if there are as many as there may be.
    ///
    /// # Errors
    /// `Conflict` if there was no room in time.
    pub(crate) fn begin(&self, core: &Arc<Core>, options: TransactionOptions) -> Result<Arc<Cell>> {
        core.check_open()?;
        let settings = core.settings();
        let limits = options.limits(&settings.transactions);
        let rules = options.level.rules();
        let id = match &core.writer {
            Some(writer) => writer.next_txn_id(),
            None => TxnId(self.read_only.fetch_add(1, Ordering::Relaxed) + 1),
        };
        let validates = core.writer.as_ref().filter(|_| rules.tracks_predicates);
        let open = Open {
            locks: core.writer.as_ref().map(|writer| writer.locks.owner(id)),
            writes: Default::default(),
            reads: Default::default(),
            view: None,
            savepoints: Vec::new(),
            next_savepoint: 0,
            _validating: validates.map(|writer| writer.validating.enter()),
            waited: Duration::ZERO,
            committing: Duration::ZERO,
        };
        let cell = Arc::new(Cell::new(id, rules, limits, core.environment.clock.monotonic(), open));
        self.admit(core, &cell, settings.transactions.max_active)?;
        self.levels[rules.level as usize].begin();
        self.schedule_reaping(core);
        Ok(cell)
    }

    fn admit(&self, core: &Arc<Core>, cell: &Arc<Cell>, most: usize) -> Result<()> {
        let clock = &core.environment.clock;
        let deadline = clock.monotonic().saturating_add(cell.limits.lock);
        let mut known = self.known.lock();
        while known.open >= most {
            drop(known);
            self.reap(core);
            known = self.known.lock();
            let left = deadline.saturating_sub(clock.monotonic());
            if known.open < most {
                break;
            }
            if left.is_zero() {
                return Err(Conflict::new(ConflictCause::TooManyTransactions).into());
            }
            self.room.wait_for(&mut known, left.min(MOST_SELDOM));
        }
        cell.touch(core);
        known.open += 1;
        known.cells.insert(cell.id, cell.clone());
        Ok(())
    }

    /// A transaction that is open or prepared, or has ended a while ago.
    ///
    /// # Errors
    /// `NotFound`; what ended it, if it has ended.
    pub(crate) fn find(&self, id: TxnId) -> Result<Arc<Cell>> {
        let known = self.known.lock();
        if let Some(cell) = known.cells.get(&id) {
            return Ok(cell.clone());
        }
        Err(match known.ended.iter().rev().find(|(ended, _)| *ended == id) {
            Some((_, end)) => end.refusal(id),
            None => Error::new(ErrorKind::NotFound, format!("there is no transaction {id}")),
        })
    }

    /// Those that are open or prepared, oldest first.
    pub(crate) fn cells(&self) -> Vec<Arc<Cell>> {
        let mut cells: Vec<_> = self.known.lock().cells.values().cloned().collect();
        cells.sort_unstable_by_key(|cell| cell.id);
        cells
    }

    /// Counts a transaction that was prepared out of those that are open.
    pub(crate) fn prepared(&self) {
        self.known.lock().open -= 1;
        self.room.notify_one();
    }

    /// Forgets a transaction, but for how it ended.
    pub(crate) fn forget(&self, cell: &Cell, end: &End, ending: Ending, was_open: bool) {
        self.levels[cell.rules.level as usize].end(ending);
        let mut known = self.known.lock();
        if known.cells.remove(&cell.id).is_none() {
            return;
        }
        if known.ended.len() == REMEMBERED {
            known.ended.pop_front();
        }
        known.ended.push_back((cell.id, end.clone()));
        if was_open {
            known.open -= 1;
            self.room.notify_one();
        }
    }

    /// Adds the times that a transaction took to the statistics.
    pub(crate) fn took(&self, call: Call<'_>, open: &Open) {
        let lasted = call.core.environment.clock.monotonic().saturating_sub(call.cell.begun);
        self.levels[call.cell.rules.level as usize].took(lasted, open.waited, open.committing);
    }

    /// Numbers about transactions.
    pub(crate) fn statistics(&self, core: &Core) -> TransactionStatistics {
        let levels = IsolationLevel::ALL.into_iter().zip(&self.levels);
        TransactionStatistics {
            active: self.known.lock().open as u64,
            in_doubt: core.head.lock().prepared.undecided().count() as u64,
            levels: levels.map(|(level, counters)| counters.read(level)).collect(),
            locks: core.writer.as_ref().map(|writer| writer.locks.statistics()).unwrap_or_default(),
        }
    }

    /// Rolls back those that have run out of time.
    pub(crate) fn reap(&self, core: &Arc<Core>) {
        let now = core.environment.clock.monotonic();
        for cell in self.cells() {
            let Some(conflict) = cell.expired(now, cell.is_at_work()) else { continue };
            if let Some(writer) = &core.writer {
                // It may be waiting for a lock.
                writer.locks.doom(cell.id, conflict);
            }
            cell.reap(core);
        }
    }

    /// Rolls back a transaction that was wounded, if no call on it is at work; else that call does it.
    pub(crate) fn reap_one(&self, core: &Arc<Core>, id: TxnId) {
        let cell = self.known.lock().cells.get(&id).cloned();
        if let Some(cell) = cell {
            cell.reap(core);
        }
    }

    /// Rolls back all that are open: the store is being closed.
    pub(crate) fn abandon_all(&self, core: &Arc<Core>) {
        // First those at rest: calls of others may be waiting for their locks.
        let (at_work, at_rest): (Vec<_>, Vec<_>) =
            self.cells().into_iter().partition(|cell| cell.is_at_work());
        at_rest.iter().for_each(|cell| cell.abandon(core, End::RolledBack));
        for cell in at_work {
            if let Some(writer) = &core.writer {
                // It may be waiting for a lock of one that is prepared.
                let over = Conflict::new(ConflictCause::Expired).with(Some(cell.id));
                writer.locks.doom(cell.id, over);
            }
            cell.abandon(core, End::RolledBack);
        }
    }

    fn schedule_reaping(&self, core: &Arc<Core>) {
        let settings = core.settings();
        if !settings.background || self.reaping.swap(true, Ordering::AcqRel) {
            return;
        }
        let TransactionConfig { idle_timeout_ms, total_timeout_ms, .. } = settings.transactions;
        let least = Duration::from_millis(idle_timeout_ms.min(total_timeout_ms));
        let core = Arc::downgrade(core);
        pool::spawn_after((least / LOOKS).clamp(MOST_OFTEN, MOST_SELDOM), move || {
            let Some(core) = core.upgrade() else { return };
            let registry = &core.transactions;
            registry.reaping.store(false, Ordering::Release);
            registry.reap(&core);
            if registry.known.lock().open > 0 {
                registry.schedule_reaping(&core);
            }
        });
    }
}

impl End {
    /// What a call on a transaction that ended so is told.
    pub(crate) fn refusal(&self, id: TxnId) -> Error {
        match self {
            End::Committed => Error::invalid(format!("transaction {id} has been committed")),
            End::RolledBack => Error::invalid(format!("transaction {id} has been rolled back")),
            End::Failed(error) => error.clone().context(format_args!("transaction {id} was rolled back")),
        }
    }
}

impl Body {
    /// Why a call is refused that needs an open transaction.
    pub(crate) fn refusal(&self, id: TxnId) -> Error {
        match self {
            Body::Ended(end) => end.refusal(id),
            Body::Prepared | Body::Open(_) => Error::invalid(format!(
                "transaction {id} is prepared: all that is left is to commit it or to roll it back"
            )),
        }
    }
}
