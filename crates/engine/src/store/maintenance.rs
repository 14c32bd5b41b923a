//! Work in the background: flushes and merges that are due, and the syncs of `Durability::Interval`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use codegraph_vector_base::{Error, Result};
use parking_lot::Mutex;

use super::core::{Core, Writer};
use crate::options::Durability;
use crate::pool;

/// Without a flush for so long, indexes are built.
const QUIET: Duration = Duration::from_secs(1);

/// A kind of work that runs in the background, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Background {
    /// Queued or running.
    busy: AtomicBool,
    /// Why it failed the last time, if it did.
    failure: Mutex<Option<Error>>,
}

impl Background {
    /// Why it failed the last time, if it did.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.lock().clone()
    }
}

/// Frees the way for the next round, also if this one panics.
struct Round<'a>(&'a Background);

impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

impl Core {
    /// Has the pool flush what is frozen, clear away what is not needed, and then merge what is due, and do what is due
    /// for compression and indexes; flushes do not wait for merges, nor merges for the training of a codec.
    pub(crate) fn schedule_maintenance(self: &Arc<Self>) {
        self.schedule(
            |writer| &writer.flush_job,
            |core| {
                core.flush_frozen()?;
                core.schedule_merge();
                core.schedule_compression();
                core.schedule_indexing();
                Ok(())
            },
            |core| !core.version.load().frozen.is_empty(),
        );
    }

    fn schedule_merge(self: &Arc<Self>) {
        self.schedule(|writer| &writer.merge_job, |core| core.merge_where_due(), |core| core.is_merge_due());
    }

    /// The same for codes of rows in memory.
    pub(super) fn schedule_coding(self: &Arc<Self>) {
        if self.is_coding_due() {
            // What came in meanwhile is for the next write to tell of.
            self.schedule(|writer| &writer.coding_job, |core| core.code_fresh_rows(), |_| false);
        }
    }

    /// The same for indexes, when no flush came for a while: what is flushed in quick succession is merged before long,
    /// and gets its index then.
    fn schedule_indexing(self: &Arc<Self>) {
        if !self.settings.load().background || !self.is_index_due() {
            return;
        }
        let (core, flushes) = (Arc::downgrade(self), self.counters.flushes.load(Ordering::Relaxed));
        pool::spawn_after(QUIET, move || {
            let Some(core) = core.upgrade() else { return };
            if core.counters.flushes.load(Ordering::Relaxed) == flushes {
                core.schedule(
                    |writer| &writer.index_job,
                    |core| core.build_indexes().map(|_| ()),
                    |core| core.is_index_due(),
                );
            }
        });
    }

    /// The same for compression alone.
    pub(super) fn schedule_compression(self: &Arc<Self>) {
        self.schedule(
            |writer| &writer.compress_job,
            |core| core.compress_where_due(),
            |core| core.is_compression_due(),
        );
    }

    /// Has the pool do `work`, unless it is queued or at it already. What came in while it ran, `more`
    /// tells, is done in another round, unless it failed.
    pub(super) fn schedule(
        self: &Arc<Self>,
        job: fn(&Writer) -> &Background,
        work: fn(&Arc<Self>) -> Result<()>,
        more: fn(&Self) -> bool,
    ) {
        let Some(writer) = &self.writer else { return };
        if !self.settings.load().background || job(writer).busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let core = Arc::downgrade(self);
        pool::spawn(move || {
            let Some(core) = core.upgrade() else { return };
            let Some(writer) = &core.writer else { return };
            let round = Round(job(writer));
            let failure = work(&core).err();
            let failed = failure.is_some();
            *round.0.failure.lock() = failure;
            drop(round);
            if !failed && more(&core) {
                core.schedule(job, work, more);
            }
        });
    }

    fn flush_frozen(&self) -> Result<()> {
        while self.flush_oldest()? {}
        self.clear_away()
    }

    /// Under `Durability::Interval`, has the log synced when the interval is over.
    pub(super) fn schedule_sync(&self, writer: &Writer) {
        let Durability::Interval(ms) = self.settings.load().durability else { return };
        if writer.sync_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let core = self.this.get().cloned();
        pool::spawn_after(Duration::from_millis(ms), move || {
            let Some(core) = core.as_ref().and_then(std::sync::Weak::upgrade) else { return };
            let Some(writer) = &core.writer else { return };
            writer.sync_scheduled.store(false, Ordering::Release);
            // A failure latches the log, and the next write is told.
            if let Ok(synced) = writer.log.sync() {
                let _ = core.leave_note(writer, synced);
            }
        });
    }
}
