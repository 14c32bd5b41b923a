//! Repair: damaged files are fetched from elsewhere, opened, and put in the place of those that are there.
//!
//! What always holds:
//! - what comes into the place of a file is that file: its reference in the manifest fits, and every byte of it was read again;
//! - it is fetched beside the old one, which maps keep as long as somebody reads it, and takes its name atomically;
//! - deaths since then are carried over: those of an open segment by row, those that came while it was missing by id;
//! - what is given up leaves by a manifest, and no segment that can be repaired is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, SegmentId, SeqNo, StoreId};
use codegraph_vector_storage::manifest::SegmentRef;
use codegraph_vector_storage::{read_deaths, verify_segment, write_deaths};

use super::apply::Totals;
use super::checkpoint::{check_contents, contents_of};
use super::core::Core;
use super::open::count;
use crate::quarantine::QuarantinedSegment;
use crate::segment::Segment;
use crate::version::Version;

/// What nobody has now is looked for again after so long.
const NEXT_LOOK: Duration = Duration::from_secs(300);

/// A file that is damaged.
pub(crate) struct DamagedFile<'a> {
    /// The store that it is of.
    pub(crate) store: StoreId,
    /// Its segment.
    pub(crate) info: &'a SegmentRef,
    /// Whether it is the segment's deaths.
    pub(crate) deaths: bool,
}

impl DamagedFile<'_> {
    /// Whether the file at a path is what this one was: as long as the manifest says, and whole.
    pub(crate) fn is_at(&self, vfs: &dyn Vfs, path: &Path) -> Result<bool> {
        let Self { store, info, .. } = *self;
        let found = match info.deaths.as_ref().filter(|_| self.deaths) {
            Some(deaths) => read_deaths(vfs, path, store, info.id, info.rows, deaths).map(|_| true),
            None => verify_segment(vfs, path, info.origin, info.id, &info.file).map(|bad| bad.is_empty()),
        };
        match found {
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => Ok(false),
            found => found,
        }
    }
}

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Segments that are whole again.
    pub repaired: Vec<SegmentId>,
    /// Those that nobody had, and that are still quarantined.
    pub left: Vec<QuarantinedSegment>,
    /// Those that were given up.
    pub given_up: Vec<QuarantinedSegment>,
    /// Nodes that went with them, in order, as far as their ids could be read.
    pub lost: Vec<NodeId>,
    /// Rows that went with them whose ids could not be read. Some of them may have been dead.
    pub lost_unknown: u64,
}

impl Core {
    /// Has the pool repair what is quarantined.
    pub(super) fn schedule_repair(&self) {
        let Some(core) = self.this.get().and_then(std::sync::Weak::upgrade) else { return };
        core.schedule(|writer| &writer.repair_job, Core::repair_in_background, |_| false);
    }

    fn repair_in_background(self: &Arc<Self>) -> Result<()> {
        let outcome = self.repair(false);
        if !matches!(&outcome, Ok(report) if report.left.is_empty()) {
            self.later(
                |writer| &writer.maintenance.repair_alarm,
                Some(NEXT_LOOK),
                |core| core.schedule_repair(),
            );
        }
        outcome.map(|_| ())
    }

    /// Repairs what is quarantined, from deaths in memory and the store's backups. With `give_up`, what cannot be repaired leaves
    /// the store.
    pub(crate) fn repair(&self, give_up: bool) -> Result<RepairReport> {
        let writer = self.writer()?;
        let _one_at_a_time = writer.repairing.lock();
        let mut report = RepairReport::default();
        self.rewrite_deaths()?;
        for id in self.damaged() {
            if self.repair_one(id)? {
                report.repaired.push(id);
            }
        }
        if give_up {
            self.give_up(&mut report)?;
            self.let_go()?;
        }
        report.left = self.quarantined();
        if !report.repaired.is_empty() || !report.given_up.is_empty() {
            self.check_whole()?;
            if let Some(core) = self.this.get().and_then(std::sync::Weak::upgrade) {
                core.schedule_maintenance();
            }
        }
        Ok(report)
    }

    /// Segments that are quarantined, and those that get by without what is damaged in them.
    fn damaged(&self) -> Vec<SegmentId> {
        let version = self.version.load();
        let is_bad = |segment: &&Arc<Segment>| segment.damage().is_some() || segment.file().quarantined() > 0;
        let open = version.segments.iter().filter(is_bad).map(|segment| segment.info.id);
        open.chain(version.missing.segments.iter().map(|missing| missing.info.id)).collect()
    }

    /// Fetches what is damaged of a segment, and puts it in its place; `false` if it is not to be had.
    fn repair_one(&self, id: SegmentId) -> Result<bool> {
        let vfs = &*self.environment.vfs;
        let Some(info) = self.manifests.lock().current.segment(id).cloned() else { return Ok(false) };
        let is_open = self.version.load().segments.iter().any(|segment| segment.info.id == id);
        let mut files = vec![(false, self.layout.segment_path(id))];
        if let Some(deaths) = info.deaths.filter(|_| !is_open) {
            files.push((true, self.layout.deaths_path(id, deaths.generation)));
        }
        for (deaths, path) in files {
            let file = DamagedFile { store: self.store_id, info: &info, deaths };
            if !file.is_at(vfs, &path)? && !self.repository()?.bring(&file, vfs, &path)? {
                return Ok(false);
            }
        }
        self.caches().forget(id);
        self.put_back(id)
    }

    /// Opens a segment whose files are whole again, and lets readers see it.
    fn put_back(&self, id: SegmentId) -> Result<bool> {
        let writer = self.writer()?;
        let (_flush_waits, _merge_waits) = (writer.flushing.lock(), writer.merging.lock());
        let manifests = self.manifests.lock();
        self.check_open()?; // It may have been closed while this waited.
        let Some(info) = manifests.current.segment(id).cloned() else { return Ok(false) };
        let version = self.version.load_full();
        let old = version.segments.iter().find(|segment| segment.info.id == id);
        let opened = match old {
            // What died is known, and more of it than the file says.
            Some(_) => {
                let mut opened = self.open_segment(&SegmentRef { deaths: None, ..info.clone() })?;
                opened.info = info;
                opened
            }
            None => self.open_segment(&info)?,
        };
        let opened = Arc::new(opened);
        let mut head = self.head.lock();
        let version = self.version.load_full();
        match old {
            Some(old) => old.deaths.iter().for_each(|(row, death)| {
                opened.deaths.kill(row, death);
            }),
            None => {
                for (id, death) in version.missing.deaths() {
                    opened.kill(id, death)?;
                }
                let Totals { rows, checksum } = count(std::slice::from_ref(&opened))?;
                head.totals.rows += rows;
                head.totals.checksum = head.totals.checksum + checksum;
            }
        }
        let others = version.segments.iter().filter(|segment| segment.info.id != id).cloned();
        let segments = others.chain([opened]).collect();
        self.show(&version, segments, |missing| missing == id);
        Ok(true)
    }

    /// Lets readers see these segments. Under the head's lock.
    fn show(&self, version: &Version, segments: Vec<Arc<Segment>>, back: impl Fn(SegmentId) -> bool) {
        let (memtable, frozen) = (version.memtable.clone(), version.frozen.clone());
        let missing = Arc::new(version.missing.without(back));
        self.version.store(Arc::new(Version { memtable, frozen, segments, missing, floor: version.floor }));
    }

    /// Writes files of deaths anew that are damaged or gone: while the store is open, memory has them.
    fn rewrite_deaths(&self) -> Result<()> {
        let vfs = &*self.environment.vfs;
        let manifests = self.manifests.lock();
        self.check_open()?;
        let (version, checkpoint) = (self.version.load_full(), manifests.current.checkpoint.seqno);
        for segment in &version.segments {
            let info = manifests.current.segment(segment.info.id);
            let Some((info, known)) = info.and_then(|info| Some((info, info.deaths.as_ref()?))) else {
                continue;
            };
            let path = self.layout.deaths_path(info.id, known.generation);
            let file = DamagedFile { store: self.store_id, info, deaths: true };
            if file.is_at(vfs, &path)? {
                continue;
            }
            let deaths: Vec<_> = segment.deaths.iter().filter(|(_, death)| *death <= checkpoint).collect();
            let written = write_deaths(vfs, &path, self.store_id, info.id, known.generation, &deaths)?;
            if written != *known {
                let what = "what died by the manifest is not what died by memory; reopen the store";
                return Err(Error::corrupt(&path, 0, what));
            }
        }
        Ok(())
    }

    /// Lets go what is still quarantined.
    fn give_up(&self, report: &mut RepairReport) -> Result<()> {
        let writer = self.writer()?;
        let (_flush_waits, _merge_waits) = (writer.flushing.lock(), writer.merging.lock());
        let mut manifests = self.manifests.lock();
        self.check_open()?;
        let gone = self.quarantined();
        if gone.is_empty() {
            return Ok(());
        }
        let is_gone = |id| gone.iter().any(|bad| bad.segment == id);
        let version = self.version.load_full();
        for bad in &gone {
            let (mut ids, unknown) = self.ids_in(&version, bad.segment);
            report.lost.append(&mut ids);
            report.lost_unknown += unknown;
        }
        report.lost.sort_unstable();
        let stay: Vec<_> =
            version.segments.iter().filter(|segment| !is_gone(segment.info.id)).cloned().collect();
        self.install_locked(&mut manifests, |next| {
            next.segments.retain(|info| !is_gone(info.id));
            let contents = contents_of(stay.iter().map(Arc::as_ref), next.checkpoint.seqno)?;
            next.contents = Some(contents);
            Ok(())
        })?;
        let mut head = self.head.lock();
        let version = self.version.load_full();
        let mut totals = count(&stay)?;
        for table in version.memtables() {
            table.each_chunk(|chunk| {
                for row in chunk.rows.iter().filter(|row| row.visible_at(head.cut.seqno)) {
                    totals.rows += 1;
                    totals.checksum += row.checksum;
                }
            });
        }
        head.totals = totals;
        self.show(&version, stay, is_gone);
        let retired = version.segments.iter().filter(|segment| is_gone(segment.info.id));
        manifests.retired.extend(retired.map(|segment| (segment.info.id, Arc::downgrade(segment))));
        report.given_up = gone;
        Ok(())
    }

    /// Ids of the rows of a segment that were alive, as far as they can be read, and how many could not be. Of one whose deaths
    /// cannot be read, all that nothing else in the store has.
    fn ids_in(&self, version: &Version, id: SegmentId) -> (Vec<NodeId>, u64) {
        let Some(segment) = self.segment_for_ids(version, id) else {
            let missing = version.missing.segments.iter().find(|missing| missing.info.id == id);
            return (Vec::new(), missing.map_or(0, |missing| missing.live_rows()));
        };
        let (mut ids, mut unknown) = (Vec::new(), 0);
        let rest = version.without_damaged();
        let rest = rest.as_ref().unwrap_or(version);
        for row in (0..segment.rows()).filter(|row| segment.deaths.of(*row) == SeqNo::MAX) {
            match segment.id(row) {
                Ok(id) if self.contains(rest, self.visible(), id).unwrap_or(false) => {}
                Ok(id) => ids.push(id),
                Err(_) => unknown += 1,
            }
        }
        (ids, unknown)
    }

    fn segment_for_ids(&self, version: &Version, id: SegmentId) -> Option<Arc<Segment>> {
        if let Some(open) = version.segments.iter().find(|segment| segment.info.id == id) {
            return Some(open.clone());
        }
        let missing = version.missing.segments.iter().find(|missing| missing.info.id == id)?;
        let opened = self.open_segment(&SegmentRef { deaths: None, ..missing.info.clone() }).ok()?;
        for (id, death) in version.missing.deaths() {
            opened.kill(id, death).ok()?;
        }
        Some(Arc::new(opened))
    }

    /// Ids of nodes that cannot be read any more, and how many there are whose ids cannot be either.
    pub(super) fn lost(&self, version: &Version) -> (Vec<NodeId>, u64) {
        let (mut lost, mut unknown) = (Vec::new(), 0);
        for segment in version.segments.iter().filter(|segment| segment.damage().is_some()) {
            let (mut ids, others) = self.ids_in(version, segment.info.id);
            ids.retain(|id| {
                let row = segment
                    .lookup(*id)
                    .and_then(|row| row.map(|row| self.segment_row(segment, row)).transpose());
                !matches!(row, Ok(Some(_)))
            });
            lost.append(&mut ids);
            unknown += others;
        }
        for missing in &version.missing.segments {
            let (mut ids, others) = self.ids_in(version, missing.info.id);
            lost.append(&mut ids);
            unknown += others;
        }
        lost.sort_unstable();
        (lost, unknown)
    }

    /// Holds all segments against the manifest, once none is missing.
    fn check_whole(&self) -> Result<()> {
        let writer = self.writer()?;
        let (_flush_waits, _merge_waits) = (writer.flushing.lock(), writer.merging.lock());
        let manifests = self.manifests.lock();
        let version = self.version.load_full();
        if !version.missing.is_empty() {
            return Ok(());
        }
        check_contents(&self.layout, &manifests.current, &version.segments, &version.missing)
    }
}
