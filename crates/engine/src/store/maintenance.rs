//! Work in the background: flushes and merges that are due, and the syncs of `Durability::Interval`.
//!
//! [`policy`](self::policy) says what is merged, [`gate`](self::gate) when that may be done, [`pace`](self::pace) how it
//! is written, [`pressure`](self::pressure) what it costs writers, [`progress`](self::progress) what there is to tell of it.

mod gate;
mod pace;
pub(super) mod policy;
mod pressure;
mod progress;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use codegraph_vector_base::{Error, ErrorKind, Result, SegmentId};
use parking_lot::Mutex;

use super::core::{Core, Writer};
use crate::options::Durability;
use crate::pool;

pub(super) use gate::Gate;
pub(crate) use pace::Mode;
pub(super) use pace::{Pace, PacedVfs};
use pressure::Pressure;
pub(super) use progress::{Job, Progress};
pub use progress::{JobKind, JobStatistics, MaintenanceStatistics};

/// Without a flush for so long, indexes are built.
const QUIET: Duration = Duration::from_secs(1);
/// Work that failed is tried again after so long, after twice that if it fails again, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(300);
/// Whether a memtable has come of age is looked at no more often than this.
const LEAST_LOOK: Duration = Duration::from_millis(20);
/// Whether a window has opened is looked at no less often than this: clocks are put forward and back.
const LONGEST_LOOK: Duration = Duration::from_secs(900);

/// What maintenance keeps for a store that is open for writing.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    pub(crate) gate: Gate,
    pub(crate) progress: Progress,
    pressure: Pressure,
    /// Segments that are being written, or wait to be named by a manifest.
    building: Mutex<BTreeSet<SegmentId>>,
    pub(crate) checkpoint_alarm: Alarm,
    pub(crate) repair_alarm: Alarm,
    seal_alarm: Alarm,
    window_alarm: Alarm,
}

/// A segment that is being written; its files are left alone until this is dropped.
pub(crate) struct Building<'a> {
    pub(crate) id: SegmentId,
    maintenance: &'a Maintenance,
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.maintenance.building.lock().remove(&self.id);
    }
}

impl Maintenance {
    /// Keeps the files of a segment that no manifest names yet.
    pub(super) fn keep(&self, id: SegmentId) -> Building<'_> {
        self.building.lock().insert(id);
        Building { id, maintenance: self }
    }

    /// Whether a segment is being written.
    pub(super) fn is_building(&self, id: SegmentId) -> bool {
        self.building.lock().contains(&id)
    }
}

/// A plan for later, of which there is one at a time.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// Counts the plans: the last one counts.
    plan: AtomicU64,
}

/// A kind of work that runs in the background, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Background {
    /// Queued or running.
    busy: AtomicBool,
    /// Why it failed the last time, if it did.
    failure: Mutex<Option<Error>>,
    /// How often it has failed, the last times.
    in_a_row: AtomicU32,
    /// It failed, and is not to be tried again before it is time.
    holds_off: AtomicBool,
    retry: Alarm,
}

impl Background {
    /// Why it failed the last time, if it did.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.lock().clone()
    }

    /// Takes down how it ended; how long to wait before it is tried again, if it failed.
    fn ended(&self, failure: Option<Error>) -> Option<Duration> {
        let failed = failure.is_some();
        *self.failure.lock() = failure;
        self.holds_off.store(failed, Ordering::Release);
        if !failed {
            self.in_a_row.store(0, Ordering::Relaxed);
            return None;
        }
        let before = self.in_a_row.fetch_add(1, Ordering::Relaxed);
        Some(FIRST_RETRY.saturating_mul(1 << before.min(16)).min(LAST_RETRY))
    }
}

/// Whether this is a failure: who gave way, or was interrupted by the end, has not failed.
pub(super) fn is_failure(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Busy | ErrorKind::Closed)
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
                core.flush_frozen().inspect_err(|error| core.note_full_disk(error))?;
                core.schedule_merge();
                core.schedule_compression();
                core.schedule_indexing();
                Ok(())
            },
            |core| !core.version.load().frozen.is_empty(),
        );
    }

    fn schedule_merge(self: &Arc<Self>) {
        self.schedule_gated(
            |writer| &writer.merge_job,
            |core| core.merge_where_due(Mode::Background),
            |core| core.is_merge_due(),
        );
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
                core.schedule_gated(
                    |writer| &writer.index_job,
                    |core| core.build_indexes(Mode::Background).map(|_| ()),
                    |core| core.is_index_due(),
                );
            }
        });
    }

    /// The same for compression alone.
    pub(super) fn schedule_compression(self: &Arc<Self>) {
        self.schedule_gated(
            |writer| &writer.compress_job,
            |core| core.compress_where_due(),
            |core| core.is_compression_due(),
        );
    }

    /// As [`schedule`](Self::schedule), for work that pauses and windows keep waiting, and that is not tried again at once if it
    /// failed.
    fn schedule_gated(
        self: &Arc<Self>,
        job: fn(&Writer) -> &Background,
        work: fn(&Arc<Self>) -> Result<()>,
        more: fn(&Self) -> bool,
    ) {
        let Some(writer) = self.writer.as_ref().filter(|_| self.settings.load().background) else { return };
        if job(writer).holds_off.load(Ordering::Acquire) {
            return; // That it is tried again is planned.
        }
        if self.may_maintain() {
            self.schedule(job, work, more);
        } else if more(self) {
            let until = self.until_window().map(|until| until.min(LONGEST_LOOK));
            self.later(|writer| &writer.maintenance.window_alarm, until, |core| core.schedule_maintenance());
        }
    }

    /// Has the pool do `work`, unless it is queued or at it already. What came in while it ran, `more`
    /// tells, is done in another round, unless it failed: then it is tried again later.
    pub(crate) fn schedule(
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
            let outcome = work(&core);
            let retry = round.0.ended(outcome.err().filter(is_failure));
            drop(round);
            if retry.is_some() {
                core.later(
                    move |writer| &job(writer).retry,
                    retry,
                    move |core| {
                        if let Some(writer) = &core.writer {
                            job(writer).holds_off.store(false, Ordering::Release);
                        }
                        core.schedule_maintenance();
                    },
                );
            } else if more(&core) && core.may_maintain() {
                core.schedule(job, work, more);
            } else if more(&core) {
                core.schedule_maintenance();
            }
        });
    }

    /// Has `work` done after `delay`, and forgets what was planned by this alarm before; that is all without a delay.
    pub(crate) fn later(
        self: &Arc<Self>,
        alarm: impl Fn(&Writer) -> &Alarm + Send + 'static,
        delay: Option<Duration>,
        work: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) {
        let Some(writer) = &self.writer else { return };
        let plan = alarm(writer).plan.fetch_add(1, Ordering::AcqRel) + 1;
        let Some(delay) = delay else { return };
        let core = Arc::downgrade(self);
        pool::spawn_after(delay, move || {
            let Some(core) = core.upgrade().filter(|core| !core.is_closing()) else { return };
            let Some(writer) = &core.writer else { return };
            if alarm(writer).plan.load(Ordering::Acquire) == plan {
                work(&core);
            }
        });
    }

    /// Has memtables flushed when they come of age, if the settings ask for it. What was planned before is forgotten.
    pub(super) fn schedule_sealing(self: &Arc<Self>) {
        let left = self.settings.load().memtable_age().map(|age| self.until_of_age(age).max(LEAST_LOOK));
        self.later(
            |writer| &writer.maintenance.seal_alarm,
            left,
            |core| {
                let age = core.settings.load().memtable_age();
                if age.is_some_and(|age| core.until_of_age(age).is_zero()) {
                    core.schedule(
                        |writer| &writer.checkpoint_job,
                        |core| core.checkpoint_where_due(),
                        |_| false,
                    );
                }
                core.schedule_sealing();
            },
        );
    }

    /// How long it is until the oldest row in the memtable is of this age; all of it if there is none.
    fn until_of_age(&self, age: Duration) -> Duration {
        let now_us = self.environment.clock.now_us();
        match self.version.load().memtable.oldest_us() {
            Some(written_us) => age.saturating_sub(Duration::from_micros(now_us.saturating_sub(written_us))),
            None => age,
        }
    }

    /// A new segment's id.
    pub(super) fn new_segment<'a>(&self, writer: &'a Writer) -> Building<'a> {
        let maintenance = &writer.maintenance;
        let mut building = maintenance.building.lock();
        let id = SegmentId(writer.next_segment.fetch_add(1, Ordering::Relaxed));
        building.insert(id);
        Building { id, maintenance }
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
