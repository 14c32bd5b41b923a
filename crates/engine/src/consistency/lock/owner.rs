//! Who holds locks and waits for them.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_base::{Conflict, TxnId};

use super::mode::LockTarget;
use super::sync::{Condvar, Mutex};

/// One transaction or one write by itself. It waits for one lock at a time.
pub(in crate::consistency) struct Owner {
    pub(super) id: TxnId,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fate: Fate,
    waits: Waits,
}

/// What others may still do to an owner.
enum Fate {
    Open,
    /// It will not be given up any more for the sake of others.
    Sealed,
    /// It has to give up, and why.
    Doomed(Conflict),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Not,
    For(LockTarget),
    /// It has what it waited for, and need only wake up.
    Granted,
}

/// How a wait goes on.
pub(super) enum Progress {
    Granted,
    Doomed(Conflict),
    Waiting,
}

impl Owner {
    pub(super) fn new(id: TxnId) -> Arc<Self> {
        let state = State { fate: Fate::Open, waits: Waits::Not };
        Arc::new(Self { id, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Says that it has to give up, and wakes it if it waits. `false` if it was told so before, or cannot give up any more.
    pub(super) fn doom(&self, conflict: Conflict) -> bool {
        let mut state = self.state.lock();
        let open = matches!(state.fate, Fate::Open);
        if open {
            state.fate = Fate::Doomed(conflict);
            self.changed.notify_one();
        }
        open
    }

    /// From now on it cannot be doomed.
    pub(super) fn seal(&self) -> Result<(), Conflict> {
        let mut state = self.state.lock();
        if let Fate::Doomed(conflict) = &state.fate {
            return Err(conflict.clone());
        }
        state.fate = Fate::Sealed;
        Ok(())
    }

    /// Why it has to give up.
    pub(super) fn doomed(&self) -> Option<Conflict> {
        match &self.state.lock().fate {
            Fate::Doomed(conflict) => Some(conflict.clone()),
            Fate::Open | Fate::Sealed => None,
        }
    }

    /// What it waits for, unless it is about to stop. Who is sealed does not wait.
    pub(super) fn waits_for(&self) -> Option<LockTarget> {
        let state = self.state.lock();
        match (&state.fate, state.waits) {
            (Fate::Open, Waits::For(target)) => Some(target),
            _ => None,
        }
    }

    pub(super) fn begin_wait(&self, target: LockTarget) {
        let mut state = self.state.lock();
        debug_assert!(!matches!(state.fate, Fate::Sealed), "a sealed owner takes no more locks");
        state.waits = Waits::For(target);
    }

    pub(super) fn end_wait(&self) {
        self.state.lock().waits = Waits::Not;
    }

    /// Says that what it waits for is its own.
    pub(super) fn grant(&self) {
        self.state.lock().waits = Waits::Granted;
        self.changed.notify_one();
    }

    /// How its wait stands. Doom counts for more than a lock.
    pub(super) fn progress(&self) -> Progress {
        self.state.lock().progress()
    }

    /// Sleeps until that changes, or `patience` has passed.
    pub(super) fn sleep(&self, patience: Duration) {
        let mut state = self.state.lock();
        if let Progress::Waiting = state.progress() {
            self.changed.wait_for(&mut state, patience);
        }
    }
}

impl State {
    fn progress(&self) -> Progress {
        match (&self.fate, self.waits) {
            (Fate::Doomed(conflict), _) => Progress::Doomed(conflict.clone()),
            (_, Waits::Granted) => Progress::Granted,
            _ => Progress::Waiting,
        }
    }
}
