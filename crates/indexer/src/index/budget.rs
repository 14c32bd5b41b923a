//! Memory for the files that are being worked on, shared by all threads.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// So many bytes, and who holds them.
#[derive(Debug)]
pub(crate) struct Budget {
    total: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    closed: bool,
}

/// Bytes that are held; dropping gives them back.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// A budget of which nothing is used.
    pub(crate) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { total, state: Mutex::default(), freed: Condvar::new() })
    }

    /// Waits until there is room; what exceeds the whole waits until nothing else is held. `None` once closed.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let mut state = self.state.lock();
        while !state.closed && state.used > 0 && state.used.saturating_add(bytes) > self.total {
            self.freed.wait(&mut state);
        }
        if state.closed {
            return None;
        }
        state.used += bytes;
        Some(Held { budget: self.clone(), bytes })
    }

    /// Does a thread's part of a run. If that panics, everyone goes who waits: nobody may be left to give back what
    /// they wait for.
    pub(crate) fn closing_on_panic<T>(&self, part: impl FnOnce() -> T) -> T {
        let _closes = ClosesOnPanic(self);
        part()
    }

    /// Lets everyone go who waits, now and later.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.freed.notify_all();
    }
}

struct ClosesOnPanic<'a>(&'a Budget);

impl Drop for ClosesOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}

impl Held {
    /// Holds more, without waiting: who holds some and waits for more could wait for ever.
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.budget.state.lock().used += bytes;
        self.bytes += bytes;
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.state.lock().used -= self.bytes;
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_for_what_is_given_back() {
        let budget = Budget::new(100);
        let mut first = budget.take(60).unwrap();
        first.grow(60);
        assert_eq!(first.bytes(), 120);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| budget.take(500).map(|held| held.bytes()));
            assert!(!second.is_finished());
            drop(first);
            assert_eq!(second.join().unwrap(), Some(500), "more than the whole goes alone");
        });
        assert_eq!(budget.state.lock().used, 0);
    }

    #[test]
    fn closing_frees_who_waits() {
        let budget = Budget::new(10);
        let _held = budget.take(10).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| budget.take(1).is_none());
            budget.close();
            assert!(waits.join().unwrap());
        });
    }
}
