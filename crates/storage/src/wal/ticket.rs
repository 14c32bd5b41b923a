//! What a caller holds while its record is on the way to the disk.

use std::sync::atomic::{AtomicBool, Ordering};

use codegraph_vector_base::Result;

use super::sync::{Condvar, Mutex};

/// How a record got into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Whether the record was synced before this was said.
    pub durable: bool,
}

/// A claim on the outcome of one record.
#[derive(Debug, Default)]
pub struct Ticket {
    state: Mutex<State>,
    changed: Condvar,
    /// The record left the queue: a leader has it. Changed under the log's lock only.
    taken: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Result<Committed>>,
    /// Someone has to lead the next group, and this ticket's holder was asked.
    poked: bool,
}

impl Ticket {
    /// The outcome, if it is known.
    pub fn outcome(&self) -> Option<Result<Committed>> {
        self.state.lock().outcome.clone()
    }

    /// Says that a leader has the record.
    pub(super) fn take(&self) {
        self.taken.store(true, Ordering::Relaxed);
    }

    /// Whether a leader has the record, so that its holder has nothing to lead.
    pub(super) fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn complete(&self, outcome: Result<Committed>) {
        self.state.lock().outcome = Some(outcome);
        self.changed.notify_all();
    }

    /// Asks the holder to look again; `false` if it needs no more, so that another is asked.
    pub(super) fn poke(&self) -> bool {
        let mut state = self.state.lock();
        if state.outcome.is_some() {
            return false;
        }
        state.poked = true;
        self.changed.notify_all();
        true
    }

    /// Sleeps until the outcome is known or the holder is poked.
    pub(super) fn park(&self) {
        let mut state = self.state.lock();
        while state.outcome.is_none() && !state.poked {
            self.changed.wait(&mut state);
        }
        state.poked = false;
    }
}
