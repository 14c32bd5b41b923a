//! Work in the background: flushes and merges that are due, and the syncs of `Durability::Interval`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codegraph_vector_base::Result;

use super::core::{Core, Writer};
use crate::cache::Caches;
use crate::options::{Durability, Settings};
use crate::pool;

impl Core {
    /// Has the pool flush what is frozen and merge what is due, unless it is at it already.
    pub(crate) fn schedule_maintenance(self: &Arc<Self>) {
        let Some(writer) = &self.writer else { return };
        if !self.settings.load().background || writer.maintaining.swap(true, Ordering::AcqRel) {
            return;
        }
        let core = Arc::downgrade(self);
        pool::spawn(move || {
            if let Some(core) = core.upgrade() {
                core.maintain();
            }
        });
    }

    fn maintain(self: &Arc<Self>) {
        let Some(writer) = &self.writer else { return };
        let outcome = self.flush_frozen().and_then(|()| self.merge_where_due());
        writer.maintaining.store(false, Ordering::Release);
        let failed = outcome.is_err();
        *writer.background_error.lock() = outcome.err();
        // What was frozen while the last merge ran came too late for this round.
        if !failed && !self.version.load().frozen.is_empty() {
            self.schedule_maintenance();
        }
    }

    fn flush_frozen(&self) -> Result<()> {
        while self.flush_oldest()? {}
        self.clear_away()
    }

    /// Takes over new settings, and keeps them for later openings.
    pub(crate) fn configure(&self, settings: Settings) -> Result<()> {
        settings.check()?;
        let pairs = settings.to_pairs();
        self.install(|next| {
            next.settings = pairs;
            Ok(())
        })?;
        if settings.cache != self.settings.load().cache {
            let caches = Caches::new(self.environment.vfs.clone(), self.layout.clone(), &settings.cache);
            self.caches.store(Arc::new(caches));
        }
        self.settings.store(Arc::new(settings));
        Ok(())
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
