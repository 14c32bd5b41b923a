//! Checkpoints: where recovery begins, and what is there, counted and summed.
//!
//! What always holds: a manifest's contents are exactly the rows that its segments and death files leave alive. A flush adds the
//! rows that it writes and takes out those that died since the checkpoint before; a merge takes out those that died after
//! the checkpoint, but before the moment that it read. So both cost what they change. Recovery from anything but a clean
//! close, and `verify`, recompute them from every row.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_base::{Error, ErrorKind, Generation, Lsn, Result, SeqNo};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::{Contents, Manifest};

use super::core::Core;
use crate::quarantine::{Missing, MissingSegment};
use crate::record_prepared::count_prepared;
use crate::segment::Segment;

/// How often a checkpoint is made anew because a merge came between it and who asked for it.
const ATTEMPTS: usize = 32;

/// A checkpoint: a durable, consistent state of the store, from which the next recovery begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// The manifest that names it.
    pub generation: Generation,
    /// The last commit in it.
    pub seqno: SeqNo,
    /// Where the log goes on from it.
    pub lsn: Lsn,
    /// That commit's time, in µs since the Unix epoch.
    pub commit_time_us: u64,
    /// Nodes in it.
    pub rows: u64,
    /// Sum modulo 2^128 of a hash of each node's id, commit and checksum.
    pub checksum: u128,
    /// Prepared transactions that waited for their decision.
    pub in_doubt: u64,
}

impl Core {
    /// Makes a checkpoint of everything that is visible; writes go on meanwhile.
    pub(crate) fn create_checkpoint(&self) -> Result<CheckpointInfo> {
        self.flush()?;
        self.latest_checkpoint()
    }

    /// Makes a checkpoint of everything that is visible, which needs nothing of the log.
    ///
    /// # Errors
    /// `Busy` if merges came in between time and again; `Corrupt` if something is quarantined; those of a flush.
    pub(crate) fn standalone_checkpoint(&self) -> Result<Manifest> {
        for _ in 0..ATTEMPTS {
            self.check_sound()?;
            self.flush()?;
            let manifest = self.manifests.lock().current.clone();
            if manifest.is_standalone() {
                return Ok(manifest);
            }
        }
        Err(Error::new(ErrorKind::Busy, "merges keep coming between; try again, or pause maintenance for it"))
    }

    /// The checkpoint from which the next recovery would begin.
    pub(crate) fn latest_checkpoint(&self) -> Result<CheckpointInfo> {
        self.check_open()?;
        let manifest = self.manifests.lock().current.clone();
        let contents = match manifest.contents {
            Some(contents) => contents,
            // Of a store that a version wrote which did not count them, and that was opened for reading.
            None => {
                contents_of(self.version.load().segments.iter().map(Arc::as_ref), manifest.checkpoint.seqno)?
            }
        };
        Ok(CheckpointInfo {
            generation: manifest.generation,
            seqno: manifest.checkpoint.seqno,
            lsn: manifest.checkpoint.lsn,
            commit_time_us: manifest.checkpoint.commit_time_us,
            rows: contents.rows,
            checksum: contents.checksum,
            in_doubt: count_prepared(&manifest.prepared)?,
        })
    }

    /// Has a checkpoint made in the background, time and again, if the settings ask for it. What was planned before is
    /// forgotten.
    pub(super) fn schedule_checkpoints(self: &Arc<Self>) {
        let interval_ms = self.settings.load().checkpoint_interval_ms();
        let interval = (interval_ms > 0).then(|| Duration::from_millis(interval_ms));
        self.later(
            |writer| &writer.maintenance.checkpoint_alarm,
            interval,
            |core| {
                core.schedule_checkpoints();
                core.schedule(|writer| &writer.checkpoint_job, |core| core.checkpoint_where_due(), |_| false);
            },
        );
    }

    /// Makes a checkpoint if anything was committed or prepared since the last, and has merged what is due by it.
    pub(super) fn checkpoint_where_due(self: &Arc<Self>) -> Result<()> {
        let checkpoint = self.manifests.lock().current.checkpoint.lsn;
        let end = self.head.lock().cut.lsn;
        if end > checkpoint && self.version.load().missing.is_empty() {
            self.flush()?;
            self.schedule_maintenance();
        }
        Ok(())
    }
}

/// What segments hold at a checkpoint, recomputed.
///
/// # Errors
/// `Corrupt` if a block of their rows' columns is damaged.
pub(super) fn contents_of<'a>(
    mut segments: impl Iterator<Item = &'a Segment>,
    checkpoint: SeqNo,
) -> Result<Contents> {
    segments.try_fold(Contents::default(), |sum, segment| Ok(sum.with(segment.contents_at(checkpoint)?)))
}

/// Rows of a segment that died after one commit and until another.
///
/// # Errors
/// As [`contents_of`].
pub(super) fn died_between(segment: &Segment, after: SeqNo, until: SeqNo) -> Result<Contents> {
    let mut died = Contents::default();
    if segment.deaths.latest() > after {
        for (row, _) in segment.deaths.iter().filter(|(_, death)| *death > after && *death <= until) {
            segment.add_to(&mut died, row)?;
        }
    }
    Ok(died)
}

/// Refuses segments that do not hold what their manifest says, with those that could not be opened.
///
/// # Errors
/// `Corrupt`, saying what differs; as [`contents_of`].
pub(super) fn check_contents(
    layout: &StoreLayout,
    manifest: &Manifest,
    segments: &[Arc<Segment>],
    missing: &Missing,
) -> Result<()> {
    let Some(known) = manifest.contents else { return Ok(()) };
    let mut found = contents_of(segments.iter().map(Arc::as_ref), manifest.checkpoint.seqno)?;
    // Of what could not be opened only the number of rows is known.
    found.rows += missing.segments.iter().map(MissingSegment::live_rows).sum::<u64>();
    if found == known || (found.rows == known.rows && !missing.is_empty()) {
        return Ok(());
    }
    let message = match found.rows == known.rows {
        true => format!(
            "the checksum of the checkpoint at commit {} is {:032x}, but its {} rows come to {:032x}",
            manifest.checkpoint.seqno, known.checksum, found.rows, found.checksum
        ),
        false => format!(
            "the checkpoint at commit {} has {} rows, but {} are there",
            manifest.checkpoint.seqno, known.rows, found.rows
        ),
    };
    Err(Error::corrupt(layout.manifest_path(manifest.generation), 0, message))
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
