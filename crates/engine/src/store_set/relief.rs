//! Giving memory back: the memtables of all stores together may take so much.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_base::ErrorKind;

use super::keep::Kept;
use crate::budget::Pressure;
use crate::pool;
use crate::store::core::Core;

impl Kept {
    /// Flushes what takes most: in the background, unless there is so little memory that the writer who found it out has to.
    pub(super) fn relieve(&self, pressure: Pressure) {
        if pressure == Pressure::TooHigh {
            self.relieve_now();
            return;
        }
        if self.relief_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.this.clone();
        pool::spawn(move || {
            let Some(kept) = this.upgrade() else { return };
            kept.relief_scheduled.store(false, Ordering::Release);
            kept.relieve_now();
        });
    }

    /// Until a quarter is free again, or nothing is left that would be worth it: what snapshots hold cannot be given back.
    fn relieve_now(&self) {
        let _one_at_a_time = self.relieving.lock();
        let enough = self.limits.memtable_bytes - self.limits.memtable_bytes / 4;
        // If live memtables take more than they may, one of those that are open takes twice this.
        let worth = self.limits.memtable_bytes / (2 * self.limits.stores as u64);
        while self.budget.memtable_bytes() > enough {
            let Some((path, core, bytes)) = self.largest() else { return };
            if bytes < worth.max(1) || !self.relieve_of(&path, &core) {
                return;
            }
        }
    }

    /// The store whose memtables take most.
    fn largest(&self) -> Option<(PathBuf, Arc<Core>, u64)> {
        let open: Vec<_> = {
            let slots = self.slots.lock();
            slots.cores().map(|(path, core)| (path.to_owned(), core.clone())).collect()
        };
        let flushable = open.into_iter().filter(|(_, core)| !core.is_closing());
        let sized = flushable.map(|(path, core)| {
            let bytes = core.version.load().memtables().map(|table| table.bytes()).sum();
            (path, core, bytes)
        });
        sized.max_by_key(|(_, _, bytes)| *bytes)
    }

    /// Closes a store that nobody uses, which costs less than a flush if there is little in it; else flushes it.
    fn relieve_of(&self, path: &Path, core: &Arc<Core>) -> bool {
        let closing = {
            let mut slots = self.slots.lock();
            if slots.is_idle(path) && !core.is_at_work() { slots.begin_closing(path) } else { None }
        };
        if let Some(closing) = closing {
            self.evict(path, closing);
            return true;
        }
        match core.flush() {
            Ok(()) => {
                self.counters.relieved.fetch_add(1, Ordering::Relaxed);
                true
            }
            // Somebody closed it: its memory is free.
            Err(error) if error.kind() == ErrorKind::Closed => true,
            Err(error) => {
                self.counters.note(Err(error));
                false
            }
        }
    }
}
