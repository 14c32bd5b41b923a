//! Memtables that have grown old are sealed, however small they are.

use std::sync::Weak;
use std::time::Duration;

use super::pipeline::{Pipeline, State};
use crate::memtable::Memtable;
use crate::pool;

/// No timer looks further ahead.
const FAR_AWAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The memtable that the last commits went into, and since when.
#[derive(Debug, Default)]
pub(super) struct Age {
    memtable: Weak<Memtable>,
    since: Duration,
    /// A timer will look.
    timer: bool,
}

impl Pipeline {
    /// After commits: notes when a new memtable got its first rows.
    pub(super) fn mind_age(&self, state: &mut State, now: Duration) {
        let version = self.core.version.load();
        let age = &mut state.age;
        let known = std::ptr::eq(age.memtable.as_ptr(), std::sync::Arc::as_ptr(&version.memtable));
        if known || version.memtable.rows() == 0 {
            return;
        }
        (age.memtable, age.since) = (std::sync::Arc::downgrade(&version.memtable), now);
        if self.works_alone() && !std::mem::replace(&mut age.timer, true) {
            self.look_later(self.config.max_segment_age);
        }
    }

    fn look_later(&self, delay: Duration) {
        let this = self.this.clone();
        pool::spawn_after(delay.min(FAR_AWAY), move || {
            let Some(this) = this.upgrade() else { return };
            this.state.lock().age.timer = false;
            this.check_age();
        });
    }

    /// Seals the memtable if it is old enough.
    pub(super) fn check_age(&self) {
        let mut state = self.state.lock();
        let memtable = state.age.memtable.upgrade();
        let version = self.core.version.load();
        if !memtable.is_some_and(|memtable| std::sync::Arc::ptr_eq(&memtable, &version.memtable)) {
            return; // It was sealed for its size; the next one has no rows of this manager.
        }
        let left = (state.age.since.saturating_add(self.config.max_segment_age)).saturating_sub(self.now());
        if !left.is_zero() {
            if self.works_alone() && !std::mem::replace(&mut state.age.timer, true) {
                self.look_later(left);
            }
            return;
        }
        state.age.memtable = Weak::new();
        drop(state);
        // Whoever writes next is told if it cannot be: the rows are in the log.
        let _ = self.core.seal();
    }
}
