//! The facade's part that keeps segments in order.

use codegraph_vector_base::Result;

use crate::persistent::PersistentVectorStore;
use crate::quarantine::QuarantinedSegment;
use crate::store::{MergeReport, RepairReport};

impl PersistentVectorStore {
    /// Merges at most `max` segments, those of which most is gained: a part of what is due in the background, else the
    /// smallest, else one with dead rows. Heeds neither pauses, windows nor rates: somebody waits for it. A merge that the
    /// background is at is waited for; one that stands still gives way.
    ///
    /// # Errors
    /// `InvalidInput` if `max` is 0; `StorageFull` if there is no room for what is merged beside it: then the store is as it
    /// was.
    pub fn merge_segments(&self, max: usize) -> Result<MergeReport> {
        self.core.merge_segments(max)
    }

    /// Does what is due in the background, merges and indexes, and waits for it: for a process that is about to end, since what is
    /// at work when the store is closed is given up, and begun again by the next. Nothing while maintenance is paused or
    /// outside of its windows.
    ///
    /// # Errors
    /// As [`merge_segments`](Self::merge_segments).
    pub fn maintain(&self) -> Result<()> {
        self.core.maintain()
    }

    /// From now on, and until it is resumed or the store is closed, nothing is merged, rewritten or indexed in the background;
    /// what is at work stops at the next block. Writes, flushes and what is asked for by hand go on. What is to be
    /// done grows meanwhile, and with it the room that the store takes: see [`MaintenanceStatistics`].
    ///
    /// [`MaintenanceStatistics`]: crate::MaintenanceStatistics
    ///
    /// # Errors
    /// `ReadOnly`, `Closed`.
    pub fn pause_maintenance(&self) -> Result<()> {
        self.core.pause_maintenance()
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// `ReadOnly`, `Closed`.
    pub fn resume_maintenance(&self) -> Result<()> {
        self.core.resume_maintenance()
    }

    /// Segments in quarantine: something bad was met in them. Searches leave them out, and say so.
    pub fn quarantined(&self) -> Vec<QuarantinedSegment> {
        self.core.quarantined()
    }

    /// Repairs what is quarantined, from the newest backups that have it. With [`background`](crate::Settings::background) this is also begun by
    /// itself, whenever something is found. With `give_up`, segments that no backup has leave the store, with all their rows.
    ///
    /// # Errors
    /// `ReadOnly` if it was opened for reading; `Closed`; what keeps the backups from being read; `Corrupt` if what is there
    /// in the end is not what the manifest says.
    pub fn repair(&self, give_up: bool) -> Result<RepairReport> {
        self.core.repair(give_up)
    }
}
