//! One transaction: what it has read and written so far, and how it ended.
//!
//! What always holds:
//! - its calls run one after the other, from whatever threads;
//! - a call that fails has changed nothing; one that fails by a conflict ends the transaction at once, so that nobody waits
//!   for what can never commit; only a lock that was not free in time may be asked for again;
//! - what has ended says how to every later call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codegraph_vector_base::{Conflict, ConflictCause, Error, ErrorKind, NodeId, Result, SeqNo, TxnId};
use parking_lot::{Mutex, MutexGuard};

use super::level::Rules;
use super::lock::LockSet;
use super::reads::ReadSet;
use super::statistics::Ending;
use super::write_set::{Change, Savepoint, WriteSet};
use crate::store::ValidatingGuard;
use crate::store::core::Core;
use crate::version::Version;

/// What a statement reads of what is committed.
pub(crate) type View = (Arc<Version>, SeqNo);

/// How long a transaction may be idle, be open, and wait for a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) idle: Duration,
    pub(crate) total: Duration,
    pub(crate) lock: Duration,
}

/// A transaction, shared by whoever uses it and the registry.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) id: TxnId,
    pub(crate) rules: &'static Rules,
    pub(crate) limits: Limits,
    /// By the monotonic clock.
    pub(crate) begun: Duration,
    /// The same of its last call, in microseconds.
    last_used_us: AtomicU64,
    body: Mutex<Body>,
}

/// What is behind the lock.
#[derive(Debug)]
pub(crate) enum Body {
    Open(Box<Open>),
    /// What it was is in the log, and in what the store holds for it.
    Prepared,
    Ended(End),
}

/// How it ended, for later calls.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Committed,
    RolledBack,
    Failed(Error),
}

/// A transaction at work.
#[derive(Debug)]
pub(crate) struct Open {
    /// None in a store that was opened read-only.
    pub(crate) locks: Option<LockSet>,
    pub(crate) writes: WriteSet,
    pub(crate) reads: ReadSet,
    /// What it reads throughout, from its first statement on, at the levels that do.
    pub(crate) view: Option<View>,
    /// Places in its writes to go back to, oldest first, by number.
    pub(crate) savepoints: Vec<(u64, Savepoint)>,
    pub(crate) next_savepoint: u64,
    /// While commits have to keep what its searches are validated by.
    pub(crate) _validating: Option<ValidatingGuard>,
    pub(crate) waited: Duration,
    pub(crate) committing: Duration,
}

/// A call on a transaction.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) cell: &'a Cell,
}

impl Cell {
    pub(crate) fn new(id: TxnId, rules: &'static Rules, limits: Limits, now: Duration, open: Open) -> Self {
        let body = Mutex::new(Body::Open(Box::new(open)));
        let last_used_us = AtomicU64::new(now.as_micros() as u64);
        Self { id, rules, limits, begun: now, last_used_us, body }
    }

    /// Runs a statement, whole or not at all.
    pub(crate) fn run<R>(
        &self,
        core: &Arc<Core>,
        statement: impl FnOnce(&mut Open, Call<'_>) -> Result<R>,
    ) -> Result<R> {
        let call = Call { core, cell: self };
        let mut body = self.enter(core)?;
        let Body::Open(open) = &mut *body else { return Err(body.refusal(self.id)) };
        let (mark, bytes) = (open.writes.savepoint(), open.writes.bytes());
        let outcome = statement(open, call).and_then(|done| open.check_size(call, bytes).map(|()| done));
        self.touch(core);
        let error = match outcome {
            Ok(done) => {
                open.writes.release(mark);
                drop(body);
                // Whoever wounded it meanwhile found it at work, and left the rest to this call.
                self.reap(core);
                return Ok(done);
            }
            Err(error) => error,
        };
        if is_fatal(&error) {
            call.end(&mut body, End::Failed(error.clone()));
        } else {
            open.undo_to(call, mark);
            open.writes.release(mark);
        }
        Err(error)
    }

    /// The body, after what has run out of time, or was wounded, is rolled back.
    pub(crate) fn enter(&self, core: &Arc<Core>) -> Result<MutexGuard<'_, Body>> {
        core.check_open()?;
        let mut body = self.body.lock();
        self.end_if_doomed(core, &mut body);
        Ok(body)
    }

    /// Rolls back what has run out of time or was wounded, if no call is at work.
    pub(crate) fn reap(&self, core: &Arc<Core>) {
        if let Some(mut body) = self.body.try_lock() {
            self.end_if_doomed(core, &mut body);
        }
    }

    /// Whether a call is at work on it.
    pub(crate) fn is_at_work(&self) -> bool {
        self.body.try_lock().is_none()
    }

    /// Rolls it back, whatever it is at, unless it is prepared.
    pub(crate) fn abandon(&self, core: &Arc<Core>, end: End) {
        let mut body = self.body.lock();
        if matches!(*body, Body::Open(_)) {
            Call { core, cell: self }.end(&mut body, end);
        }
    }

    /// Ends what was prepared here and has been decided.
    pub(crate) fn settle(&self, core: &Arc<Core>, end: End) {
        let mut body = self.body.lock();
        if matches!(*body, Body::Prepared) {
            Call { core, cell: self }.end(&mut body, end);
        }
    }

    fn end_if_doomed(&self, core: &Arc<Core>, body: &mut Body) {
        let Body::Open(open) = body else { return };
        let wounded = open.locks.as_ref().and_then(LockSet::doomed);
        if let Some(conflict) = wounded.or_else(|| self.expired(core.environment.clock.monotonic(), false)) {
            Call { core, cell: self }.end(body, End::Failed(conflict.into()));
        }
    }

    /// Whether it has run out of time. It is not idle while a call is at work.
    pub(crate) fn expired(&self, now: Duration, at_work: bool) -> Option<Conflict> {
        let idle = now.saturating_sub(self.last_used());
        let open = now.saturating_sub(self.begun);
        let over = (!at_work && idle >= self.limits.idle) || open >= self.limits.total;
        over.then(|| Conflict::new(ConflictCause::Expired).with(Some(self.id)))
    }

    /// When it was last used, by the monotonic clock.
    pub(crate) fn last_used(&self) -> Duration {
        Duration::from_micros(self.last_used_us.load(Ordering::Relaxed))
    }

    pub(crate) fn touch(&self, core: &Core) {
        let now = core.environment.clock.monotonic();
        self.last_used_us.store(now.as_micros() as u64, Ordering::Relaxed);
    }
}

/// Whether a transaction that met this cannot commit any more.
fn is_fatal(error: &Error) -> bool {
    error.conflict().is_some_and(|conflict| conflict.cause != ConflictCause::LockTimeout)
}

impl Call<'_> {
    /// Ends the transaction: its locks are free, and its writes forgotten with them.
    pub(crate) fn end(self, body: &mut Body, end: End) {
        let ending = match &end {
            End::Committed => Ending::Committed,
            End::RolledBack => Ending::RolledBack,
            End::Failed(error) => error.conflict().map_or(Ending::RolledBack, |c| Ending::Aborted(c.cause)),
        };
        let before = std::mem::replace(body, Body::Ended(end.clone()));
        let registry = &self.core.transactions;
        match before {
            Body::Open(open) => {
                registry.took(self, &open);
                registry.forget(self.cell, &end, ending, true);
            }
            Body::Prepared => registry.forget(self.cell, &end, ending, false),
            Body::Ended(_) => {}
        }
    }

    /// Lets Read Uncommitted see what was done to a node.
    pub(crate) fn pending(self, id: NodeId, change: Option<Change>) {
        if let Some(writer) = &self.core.writer {
            writer.locks.pending.set(self.cell.id, id, change);
        }
    }
}

impl Open {
    /// Refuses more writes than one commit may hold. What there was before may be more, if the limit was lowered.
    fn check_size(&self, call: Call<'_>, before: u64) -> Result<()> {
        let (bytes, most) = (self.writes.bytes(), call.core.settings.load().max_batch_bytes);
        if bytes <= most.max(before) {
            return Ok(());
        }
        let message = format!("the transaction has written {bytes} bytes, and max_batch_bytes is {most}");
        Err(Error::new(ErrorKind::TooLarge, message))
    }

    /// Takes writes back, down to a mark.
    pub(crate) fn undo_to(&mut self, call: Call<'_>, mark: Savepoint) {
        for (id, change) in self.writes.rollback_to(mark) {
            call.pending(id, change);
        }
    }
}

#[cfg(test)]
#[path = "cell_tests.rs"]
mod tests;
