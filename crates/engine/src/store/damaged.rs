//! Damage that is met: the segment is quarantined, and the rest goes on answering.

use std::sync::Arc;

use codegraph_vector_base::{Error, ErrorKind, Result, SegmentId};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::SegmentRef;

use super::core::Core;
use crate::quarantine::{Damage, QuarantinedSegment};
use crate::segment::Segment;
use crate::version::Version;

/// The segment one of whose files an error says is damaged.
pub(super) fn blamed<'a>(
    layout: &StoreLayout,
    mut segments: impl Iterator<Item = &'a SegmentRef>,
    error: &Error,
) -> Option<SegmentId> {
    let path = error.path().filter(|_| error.kind() == ErrorKind::Corrupt)?;
    let is_of = |info: &&SegmentRef| {
        let deaths = info.deaths.map(|deaths| layout.deaths_path(info.id, deaths.generation));
        *path == layout.segment_path(info.id) || deaths.is_some_and(|deaths| *path == deaths)
    };
    segments.find(is_of).map(|info| info.id)
}

impl Core {
    /// Quarantines a segment; whether it was not already.
    pub(super) fn quarantine(&self, segment: &Segment, error: &Error) -> bool {
        let since_us = self.environment.clock.now_us();
        let is_new = segment.quarantine(Damage { error: error.clone(), since_us });
        if is_new {
            self.schedule_repair();
        }
        is_new
    }

    /// Quarantines the segment of `version` that an error says is damaged; `false` if it says so of none.
    pub(super) fn note_damage(&self, version: &Version, error: &Error) -> bool {
        let infos = version.segments.iter().map(|segment| &segment.info);
        let Some(id) = blamed(&self.layout, infos, error) else { return false };
        let segments = version.segments.iter().filter(|segment| segment.info.id == id);
        segments.for_each(|segment| {
            self.quarantine(segment, error);
        });
        true
    }

    /// What `run` finds in a version without what is damaged in it, and whether that is less than all of it. What `run` meets is
    /// quarantined, and it begins anew without.
    pub(super) fn around_damage<T>(
        &self,
        version: &Version,
        mut run: impl FnMut(&Version) -> Result<T>,
    ) -> Result<(T, bool)> {
        loop {
            let rest = version.without_damaged();
            let looked_at = rest.as_ref().unwrap_or(version);
            match run(looked_at) {
                Err(error) if self.note_damage(looked_at, &error) => {}
                outcome => return outcome.map(|found| (found, rest.is_some())),
            }
        }
    }

    /// Refuses what takes all rows, if a segment could not be opened.
    pub(super) fn check_complete(&self) -> Result<()> {
        self.version.load().missing.check_writable()
    }

    /// Refuses to pass on damage.
    ///
    /// # Errors
    /// `Corrupt` if something is quarantined.
    pub(super) fn check_sound(&self) -> Result<()> {
        match self.quarantined().into_iter().next() {
            None => Ok(()),
            Some(bad) => Err(Error::corrupt(&bad.path, bad.offset, bad.what)
                .context(format!("segment {} is quarantined; repair it first", bad.segment))),
        }
    }

    /// What is quarantined.
    pub(crate) fn quarantined(&self) -> Vec<QuarantinedSegment> {
        let version = self.version.load();
        let open = version.segments.iter().filter_map(|segment: &Arc<Segment>| {
            let damage = segment.damage()?;
            Some(QuarantinedSegment::new(&segment.info, damage, segment.live_rows(), true))
        });
        let missing = version.missing.segments.iter();
        let missing = missing.map(|missing| {
            QuarantinedSegment::new(&missing.info, &missing.damage, missing.live_rows(), false)
        });
        open.chain(missing).collect()
    }
}
