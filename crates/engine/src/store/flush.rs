//! Flush: a memtable becomes a segment, and the checkpoint moves behind it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_base::{Error, ErrorKind, Result, RowOrdinal, SegmentId, SeqNo};
use codegraph_vector_storage::manifest::{Checkpoint, Contents, SegmentRef};
use half::f16;

use super::checkpoint::died_between;
use super::core::{Core, Writer};
use super::maintenance::{Building, Job, JobKind, Mode, Pace, PacedVfs};
use super::rows::{check_memory, columns_of};
use crate::compression::{Keep, TrainedCodec};
use crate::memtable::{Chunk, Memtable};
use crate::rows::row_order;
use crate::segment::{BuildRow, Plan, RowSource, Segment, build};
use crate::version::{Cut, Frozen, Version};

/// A log file of fewer bytes is gone on with after a flush: another one would save little.
const MIN_TRIMMED_BYTES: u64 = 1 << 20;

/// Live rows of a memtable, by chunk and place.
struct MemSource {
    chunks: Vec<Arc<Chunk>>,
    /// The flush that they are written by.
    pace: Arc<Pace>,
}

#[derive(Clone, Copy)]
struct MemPlace {
    chunk: u32,
    at: u32,
}

impl RowSource<MemPlace> for MemSource {
    fn vector(&self, place: MemPlace, read: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        let chunk = &self.chunks[place.chunk as usize];
        let vector = chunk.vector(place.at as usize);
        check_memory(&chunk.rows[place.at as usize], vector)?;
        read(vector)
    }

    fn keep(&self, _: MemPlace) -> Keep {
        Keep::Full
    }

    fn half(&self, _: MemPlace, _: &mut dyn FnMut(&[f16]) -> Result<()>) -> Result<()> {
        Err(no_such("half floats"))
    }

    fn codec(&self, _: MemPlace) -> Result<Option<&Arc<TrainedCodec>>> {
        Ok(None)
    }

    fn code(&self, _: MemPlace, _: &mut Vec<u8>) -> Result<()> {
        Err(no_such("codes"))
    }

    fn has_raw(&self, _: MemPlace) -> bool {
        true
    }

    fn raw(&self, place: MemPlace, read: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        self.vector(place, read)
    }

    fn metadata(&self, place: MemPlace, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.pace.job.row_is_done();
        read(&self.chunks[place.chunk as usize].rows[place.at as usize].encoded)
    }
}

/// A segment that was written, and that no manifest names yet.
pub(super) struct Built<'a> {
    pub(super) info: SegmentRef,
    /// Keeps the file.
    pub(super) _building: Building<'a>,
}

fn no_such(what: &str) -> Error {
    Error::invalid(format!("rows in memory have no {what}"))
}

impl MemSource {
    /// The rows that are live at `seqno`, in the order of a segment.
    fn live_rows(&self, seqno: SeqNo) -> Vec<BuildRow<MemPlace>> {
        let mut rows = Vec::new();
        for (number, chunk) in self.chunks.iter().enumerate() {
            for (at, row) in chunk.rows.iter().enumerate().filter(|(_, row)| row.visible_at(seqno)) {
                let source = MemPlace { chunk: number as u32, at: at as u32 };
                rows.push(BuildRow { id: row.id, columns: columns_of(row, chunk.norms[at]), source });
            }
        }
        let path = |row: &BuildRow<MemPlace>| {
            let row = &self.chunks[row.source.chunk as usize].rows[row.source.at as usize];
            row.metadata.path.as_deref()
        };
        rows.sort_unstable_by(|a, b| row_order((path(a), a.id), (path(b), b.id)));
        rows
    }
}

impl Core {
    /// Flushes everything committed so far. Returns once it is in segments. A log file that only held that is left
    /// behind; it goes when the manifest before this one does.
    pub(crate) fn flush(&self) -> Result<()> {
        self.drain()?;
        self.freeze()?;
        while self.flush_oldest()? {}
        self.writer()?.log.rotate(MIN_TRIMMED_BYTES)?;
        self.clear_away()
    }

    /// Before a write: a full memtable is frozen and flushed, in the background if that is allowed
    /// and keeps up.
    pub(crate) fn make_room(self: &Arc<Self>) -> Result<()> {
        self.make_room_within(u64::MAX)
    }

    /// The same for who wants no memtable of more than so many bytes.
    pub(crate) fn make_room_within(self: &Arc<Self>, limit: u64) -> Result<()> {
        self.check_complete()?;
        self.schedule_coding();
        self.slow_down();
        if let Some(budget) = &self.budget {
            budget.make_room();
        }
        let settings = self.settings.load();
        let most = settings.memtable_bytes.min(self.memtable_limit.load(Ordering::Relaxed)).min(limit);
        let full = || self.version.load().memtable.bytes() >= most;
        if !full() {
            return Ok(());
        }
        let behind = self.version.load().frozen.len() >= settings.max_frozen_memtables;
        if !settings.background || behind {
            if behind {
                self.flush_oldest()?;
            }
            if !settings.background && full() {
                self.flush()?;
                return self.merge_where_due(Mode::ByHand);
            }
        }
        if full() {
            self.freeze()?;
        }
        self.schedule_maintenance();
        Ok(())
    }

    /// Has the memtable, however small, flushed: in the background if that is allowed.
    pub(crate) fn seal(self: &Arc<Self>) -> Result<()> {
        if self.settings.load().background {
            self.freeze()?;
            self.schedule_maintenance();
            return Ok(());
        }
        self.flush()?;
        self.merge_where_due(Mode::ByHand)
    }

    /// Lets a new memtable take the next commits, unless the present one is empty.
    fn freeze(&self) -> Result<()> {
        self.writer()?;
        // What died in a segment that could not be opened is told by the log behind the checkpoint alone.
        self.check_complete()?;
        // Taken before the head's lock: whoever holds the manifests may wait for the head.
        let checkpoint = self.manifests.lock().current.checkpoint.lsn;
        let head = self.head.lock();
        let version = self.version.load_full();
        let frozen_to = version.frozen.last().map_or(checkpoint, |frozen| frozen.cut.lsn);
        if version.memtable.rows() == 0 && head.cut.lsn == frozen_to {
            return Ok(());
        }
        let mut frozen = version.frozen.clone();
        let (table, prepared) = (version.memtable.clone(), head.prepared.clone());
        frozen.push(Arc::new(Frozen { table, cut: head.cut, prepared }));
        let memtable = Arc::new(Memtable::new());
        if let Some(budget) = &self.budget {
            memtable.charge_to(budget);
        }
        let (segments, floor) = (version.segments.clone(), version.floor);
        let missing = version.missing.clone();
        self.version.store(Arc::new(Version { memtable, frozen, segments, missing, floor }));
        Ok(())
    }

    /// Flushes the oldest frozen memtable; `false` if there is none.
    pub(super) fn flush_oldest(&self) -> Result<bool> {
        let writer = self.writer()?;
        let _one_at_a_time = writer.flushing.lock();
        self.check_open()?; // It may have been closed while this waited.
        let version = self.version.load_full();
        let Some(frozen) = version.frozen.first() else { return Ok(false) };
        if writer.log.appender(|appender| appender.synced()) < frozen.cut.lsn {
            // A segment must not hold what a power cut can still take out of the log's middle.
            let _ = self.leave_note(writer, writer.log.sync()?);
        }
        let (built, fresh) = self.write_segment(writer, frozen)?;
        let segment = self.install_flush(frozen, built.as_ref().map(|built| &built.info), fresh)?;
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        self.swap_in(frozen, segment)?;
        self.weigh();
        Ok(true)
    }

    /// Writes the rows that are alive, if there are any; and what they are.
    fn write_segment<'a>(
        &self,
        writer: &'a Writer,
        frozen: &Frozen,
    ) -> Result<(Option<Built<'a>>, Contents)> {
        let (rows, bytes) = (frozen.table.rows() as u64, frozen.table.bytes());
        let pace = Pace::new(self, Mode::ByHand, Job::new(self, JobKind::Flush, 0, rows, bytes));
        let _running = writer.maintenance.progress.begin(self, &pace);
        let source = MemSource { chunks: frozen.table.chunks(), pace: pace.clone() };
        let rows = source.live_rows(frozen.cut.seqno);
        let mut contents = Contents::default();
        rows.iter().for_each(|row| contents.add(row.id, row.columns.seqno, row.columns.checksum));
        if rows.is_empty() {
            return Ok((None, contents));
        }
        let building = self.new_segment(writer);
        let vfs = PacedVfs { vfs: self.environment.vfs.clone(), pace };
        let plan = Plan {
            vfs: &vfs,
            layout: &self.layout,
            store: self.store_id,
            id: building.id,
            base_seqno: frozen.cut.seqno,
            dimension: self.dimension,
            encoding: self.encoding(rows.len()),
            // Whoever writes does not wait for an index; the segment gets one in the background.
            index: None,
            rows: &rows,
        };
        let info = build(&plan, &source)?;
        Ok((Some(Built { info, _building: building }), contents))
    }

    /// Installs the manifest that names the new segment, the deaths in older ones up to the cut,
    /// and the checkpoint behind it.
    fn install_flush(
        &self,
        frozen: &Frozen,
        built: Option<&SegmentRef>,
        fresh: Contents,
    ) -> Result<Option<Arc<Segment>>> {
        let opened = built.map(|info| self.open_segment(info)).transpose()?;
        let mut manifests = self.manifests.lock();
        let version = self.version.load_full();
        self.install_locked(&mut manifests, |next| {
            let (before, mut died) = (next.checkpoint.seqno, Contents::default());
            for known in &mut next.segments {
                let segment = version.segments.iter().find(|segment| segment.info.id == known.id);
                let segment = segment.ok_or_else(|| lost(known.id))?;
                self.write_deaths(segment, known, frozen.cut, next.generation)?;
                died = died.with(died_between(segment, before, frozen.cut.seqno)?);
            }
            next.contents = next.contents.map(|contents| contents.with(fresh).without(died));
            next.segments.extend(built.cloned());
            let Cut { seqno, lsn, commit_time_us } = frozen.cut;
            next.checkpoint = Checkpoint { seqno, lsn, commit_time_us };
            next.prepared = frozen.prepared.to_manifest()?;
            Ok(())
        })?;
        Ok(opened.map(Arc::new))
    }

    pub(super) fn open_segment(&self, info: &SegmentRef) -> Result<Segment> {
        Segment::open(&*self.environment.vfs, &self.layout, self.store_id, info, self.dimension)
    }

    /// Lets readers see the segment in place of the memtable.
    fn swap_in(&self, frozen: &Frozen, segment: Option<Arc<Segment>>) -> Result<()> {
        let _apply_waits = self.head.lock();
        if let Some(segment) = &segment {
            // Deaths that came after the cut are carried over, by id.
            for (id, death) in frozen.table.deaths_after(frozen.cut.seqno) {
                let ordinal = segment.lookup(id)?.ok_or_else(|| lost(segment.info.id))?;
                segment.deaths.kill(ordinal as RowOrdinal, death);
            }
        }
        let version = self.version.load_full();
        let next = Version {
            memtable: version.memtable.clone(),
            frozen: version.frozen.iter().skip(1).cloned().collect(),
            segments: version.segments.iter().cloned().chain(segment).collect(),
            missing: version.missing.clone(),
            floor: version.floor.max(frozen.cut.seqno),
        };
        self.version.store(Arc::new(next));
        Ok(())
    }
}

pub(super) fn lost(id: SegmentId) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("segment {id} does not hold what it was made from; reopen the store"),
    )
}
