//! Switching to the next manifest, and clearing away what the two newest do not need.

use std::sync::atomic::Ordering;

use codegraph_vector_base::{Error, ErrorKind, Generation, Result, SegmentId};
use codegraph_vector_storage::manifest::{self, Manifest, SegmentRef, log_floor, prune, unreferenced};
use codegraph_vector_storage::{StoreLayout, write_deaths};

use super::core::{Core, Manifests};
use crate::segment::Segment;
use crate::version::Cut;

impl Core {
    /// Installs the next manifest, as `change` makes it out of the current one.
    ///
    /// # Errors
    /// If the switch may or may not have happened, the store takes no more writes.
    pub(crate) fn install(&self, change: impl FnOnce(&mut Manifest) -> Result<()>) -> Result<()> {
        self.install_locked(&mut self.manifests.lock(), change)
    }

    /// The same for who holds the manifests already.
    pub(super) fn install_locked(
        &self,
        manifests: &mut Manifests,
        change: impl FnOnce(&mut Manifest) -> Result<()>,
    ) -> Result<()> {
        let writer = self.writer()?;
        let mut next = manifests.current.successor();
        // First the commit, then the position: the log is durable at least as far as that commit.
        let seqno = self.head.lock().cut;
        let (synced, epoch) = writer.log.appender(|appender| (appender.synced(), appender.epoch()));
        if seqno.lsn <= synced {
            next.proven_seqno = next.proven_seqno.max(seqno.seqno);
        }
        next.proven_lsn = next.proven_lsn.max(synced);
        next.epoch = epoch;
        next.next_segment_id = SegmentId(writer.next_segment.load(Ordering::Relaxed));
        change(&mut next)?;
        // What is in segments is durable, also where later commits are not and the head proves nothing.
        next.proven_seqno = next.proven_seqno.max(next.checkpoint.seqno);
        let vfs = &*self.environment.vfs;
        if let Err(error) = manifest::install(vfs, &self.layout, Some(&manifests.current), &next) {
            if error.kind() == ErrorKind::OutcomeUnknown {
                let message = format!("the store takes no more writes until it is reopened: {error}");
                writer.log.shut(Error::new(ErrorKind::ReadOnly, message));
            }
            return Err(error);
        }
        manifests.previous = Some(std::mem::replace(&mut manifests.current, next));
        Ok(())
    }

    /// Writes the deaths of a segment up to `cut` under the coming generation, if they are not on
    /// disk already.
    pub(super) fn write_deaths(
        &self,
        segment: &Segment,
        known: &mut SegmentRef,
        cut: Cut,
        generation: Generation,
    ) -> Result<()> {
        let written = known.deaths.as_ref().map_or(0, |deaths| u64::from(deaths.count));
        if segment.deaths.count() == written {
            return Ok(());
        }
        let deaths: Vec<_> = segment.deaths.iter().filter(|(_, seqno)| *seqno <= cut.seqno).collect();
        if deaths.len() as u64 == written {
            return Ok(());
        }
        let vfs = &*self.environment.vfs;
        let path = self.layout.deaths_path(known.id, generation);
        known.deaths = Some(write_deaths(vfs, &path, self.store_id, known.id, generation, &deaths)?);
        Ok(())
    }

    /// Removes files that neither of the two newest manifests, nor a snapshot in this process, nor who follows the
    /// changes, needs. Leftovers hurt nobody, so what fails here is tried again the next time.
    pub(crate) fn clear_away(&self) -> Result<()> {
        let vfs = &*self.environment.vfs;
        let writer = self.writer()?;
        let mut manifests = self.manifests.lock();
        self.check_open()?;
        if writer.log.failure().is_some_and(|error| error.kind() != ErrorKind::Closed) {
            return Ok(()); // What a failed switch or rotation named may be there after a crash, or may not.
        }
        manifests.retired.retain(|(_, segment)| segment.strong_count() > 0);
        let keep: Vec<&Manifest> = std::iter::once(&manifests.current).chain(&manifests.previous).collect();
        prune(vfs, &self.layout, &keep)?;
        for path in unreferenced(vfs, &self.layout, &keep)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let segment = StoreLayout::parse_segment_name(name);
            // A flush or merge may have written a segment that no manifest names yet.
            let is_needed = |id| {
                writer.maintenance.is_building(id)
                    || manifests.retired.iter().any(|(pinned, _)| *pinned == id)
            };
            if segment.is_some_and(is_needed) {
                continue;
            }
            vfs.remove_file(&path)?;
            if let Some(id) = segment {
                self.caches().forget(id);
            }
        }
        self.trim_log(&manifests.current, log_floor(&keep))
    }
}
