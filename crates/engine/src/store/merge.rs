//! Merge: several segments become one, without the rows that died.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_base::limits::MAX_SEGMENT_ROWS;
use codegraph_vector_base::{Error, Result, RowOrdinal, SeqNo};
use codegraph_vector_storage::manifest::SegmentRef;
use half::f16;
use parking_lot::Mutex;

use super::checkpoint::died_between;
use super::core::{Core, Writer};
use super::flush::{Built, lost};
use super::maintenance::policy::{self, Limits, Outlook, Size};
use super::maintenance::{Job, JobKind, Mode, Pace, PacedVfs, is_failure};
use super::train::REAL_QUERIES;
use crate::cache::Caches;
use crate::compression::{CodebookId, Keep, TrainedCodec};
use crate::options::CacheConfig;
use crate::rows::row_order;
use crate::segment::{
    BuildRow, Calibration, CodeReader, IndexPlan, IndexToReuse, MetadataReader, Plan, RowSource, Segment,
    build,
};
use crate::version::{Cut, Version};

/// Live rows of segments, by segment and row.
struct SegmentSource<'a> {
    segments: &'a [Arc<Segment>],
    /// One for each segment, whose rows come in order.
    metadata: Mutex<Vec<MetadataReader<'a>>>,
    /// One for each segment: what can be copied.
    codes: Vec<Option<CodeReader<'a>>>,
    /// One for each segment that keeps nothing but codes.
    samples: Vec<Option<Calibration<'a>>>,
    /// Whether codes that are all there is of a row are decoded, so that others can be made of that.
    recode: Option<Recode>,
    /// The merge that they are read by.
    pace: &'a Pace,
}

struct Recode {
    /// Codes of this codebook stay.
    stays: Option<CodebookId>,
}

#[derive(Clone, Copy)]
struct SegmentPlace {
    segment: u32,
    row: RowOrdinal,
}

impl RowSource<SegmentPlace> for SegmentSource<'_> {
    fn vector(&self, place: SegmentPlace, read: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        match self.sampled(place).filter(|_| self.is_decoded(place)) {
            Some(vector) => read(vector),
            None => read(&self.segment(place).vector(place.row)?),
        }
    }

    fn keep(&self, place: SegmentPlace) -> Keep {
        if self.is_decoded(place) { Keep::Full } else { self.segment(place).keep() }
    }

    fn half(&self, place: SegmentPlace, read: &mut dyn FnMut(&[f16]) -> Result<()>) -> Result<()> {
        read(self.segment(place).half(place.row)?)
    }

    fn codec(&self, place: SegmentPlace) -> Result<Option<&Arc<TrainedCodec>>> {
        if self.is_decoded(place) { Ok(None) } else { self.made_by(place) }
    }

    fn code(&self, place: SegmentPlace, code: &mut Vec<u8>) -> Result<()> {
        let reader = self.codes[place.segment as usize].as_ref();
        reader.map_or(Ok(()), |reader| reader.read(place.row, code).map(|_| ()))
    }

    fn has_raw(&self, place: SegmentPlace) -> bool {
        self.segment(place).keep() > Keep::None || self.sampled(place).is_some()
    }

    fn raw(&self, place: SegmentPlace, read: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        match self.sampled(place) {
            Some(vector) => read(vector),
            None => self.vector(place, read),
        }
    }

    fn metadata(&self, place: SegmentPlace, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.pace.job.row_is_done();
        read(self.metadata.lock()[place.segment as usize].encoded(place.row)?)
    }
}

impl<'a> SegmentSource<'a> {
    fn new(segments: &'a [Arc<Segment>], caches: &'a Caches, pace: &'a Pace) -> Result<Self> {
        let metadata = segments.iter().map(|segment| segment.metadata_reader(caches)).collect();
        let reader = |segment: &'a Arc<Segment>| match segment.code_reader() {
            // Its vectors are encoded anew.
            Err(_) if segment.keep() > Keep::None => Ok(None),
            reader => reader,
        };
        let codes = segments.iter().map(reader).collect::<Result<_>>()?;
        let samples = segments.iter().map(|segment| segment.calibration()).collect::<Result<_>>()?;
        Ok(Self { segments, metadata: Mutex::new(metadata), codes, samples, recode: None, pace })
    }

    /// What a row's code was made by, if there is one to be copied.
    fn made_by(&self, place: SegmentPlace) -> Result<Option<&Arc<TrainedCodec>>> {
        let reader = self.codes[place.segment as usize].as_ref();
        reader.map(|reader| reader.codec(place.row)).transpose()
    }

    /// Whether a row is only a code, and is decoded.
    fn is_decoded(&self, place: SegmentPlace) -> bool {
        let Some(Recode { stays }) = &self.recode else { return false };
        let of_codebook = |id| matches!(self.made_by(place), Ok(Some(trained)) if trained.id == id);
        self.segment(place).keep() == Keep::None && !stays.is_some_and(of_codebook)
    }

    fn segment(&self, place: SegmentPlace) -> &'a Segment {
        &self.segments[place.segment as usize]
    }

    /// The vector of a row that is in its segment's sample.
    fn sampled(&self, place: SegmentPlace) -> Option<&'a [f32]> {
        let Calibration { ordinals, vectors } = self.samples[place.segment as usize]?;
        let at = ordinals.binary_search(&place.row).ok()?;
        vectors.chunks_exact(vectors.len() / ordinals.len()).nth(at)
    }

    /// The rows live at `seqno`, in the order of a segment. Each source is in that order already,
    /// so this is a merge of sorted runs, which the stable sort does in linear time.
    fn live_rows(&self, seqno: SeqNo) -> Result<Vec<BuildRow<SegmentPlace>>> {
        let mut rows = Vec::new();
        for (number, segment) in self.segments.iter().enumerate() {
            let paths = segment.paths()?;
            for row in 0..segment.rows() {
                let path = paths.of(row);
                if seqno < segment.deaths.of(row) {
                    let source = SegmentPlace { segment: number as u32, row };
                    rows.push((
                        path,
                        BuildRow { id: segment.id(row)?, columns: segment.columns(row)?, source },
                    ));
                }
            }
        }
        rows.sort_by(|(a, x), (b, y)| row_order((a.as_deref(), x.id), (b.as_deref(), y.id)));
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

/// What a merge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Segments that were merged: none if there was nothing to gain.
    pub merged: usize,
    /// Segments that there are now.
    pub segments: usize,
    /// Rows that were written.
    pub rows: u64,
    /// Dead rows that are gone.
    pub dropped_rows: u64,
    /// Bytes of the files that were merged.
    pub bytes_before: u64,
    /// Bytes of the file that came of it.
    pub bytes_after: u64,
}

/// One merge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merged {
    pub(super) sources: usize,
    rows: u64,
    dropped_rows: u64,
    bytes_before: u64,
    bytes_after: u64,
}

/// Several segments, or one with dead rows.
fn is_worth_merging(segments: &[Arc<Segment>]) -> bool {
    segments.len() > 1 || segments.iter().any(|segment| segment.deaths.count() > 0)
}

impl Core {
    /// Merges all segments into one, or as few as may be of different keeps, without dead rows. Returns how many were
    /// merged.
    pub(crate) fn merge_all(&self) -> Result<usize> {
        let mut merged = 0;
        // Once each: rows that die meanwhile are for another time.
        for class in 0..3 {
            let done = self.merge_if(Mode::ByHand, JobKind::Merge, |version| {
                let of_class = self.mergeable(&version.segments).into_iter().nth(class);
                of_class.filter(|segments| is_worth_merging(segments))
            })?;
            merged += done.map_or(0, |done| done.sources);
        }
        self.let_go()?;
        self.build_indexes(Mode::ByHand)?;
        Ok(merged)
    }

    /// Merges at most `max` segments: those of which most is gained.
    pub(crate) fn merge_segments(&self, max: usize) -> Result<MergeReport> {
        if max == 0 {
            return Err(Error::invalid("at least one segment has to be merged, for its dead rows"));
        }
        let merged = self.merge_if(Mode::ByHand, JobKind::Merge, |version| {
            let (segments, sizes) = self.sizes(version);
            let choice = policy::choose_at_most(&sizes, &self.limits(), max)?;
            Some(choice.sources.iter().map(|at| segments[*at].clone()).collect())
        })?;
        self.let_go()?;
        let segments = self.version.load().segments.len();
        Ok(merged.map_or(MergeReport { segments, ..MergeReport::default() }, |merged| {
            let Merged { sources, rows, dropped_rows, bytes_before, bytes_after } = merged;
            MergeReport { merged: sources, segments, rows, dropped_rows, bytes_before, bytes_after }
        }))
    }

    /// Merges until nothing is due.
    pub(crate) fn merge_where_due(&self, mode: Mode) -> Result<()> {
        while self.merge_if(mode, JobKind::Merge, |version| self.due(version))?.is_some() {
            self.let_go()?;
        }
        Ok(())
    }

    /// Whether a merge would find something to do.
    pub(super) fn is_merge_due(&self) -> bool {
        self.due(&self.version.load()).is_some()
    }

    fn due(&self, version: &Version) -> Option<Vec<Arc<Segment>>> {
        let (segments, sizes) = self.sizes(version);
        let choice = policy::choose(&sizes, &self.limits())?;
        Some(choice.sources.iter().map(|at| segments[*at].clone()).collect())
    }

    /// The segments of a version, and what the policy knows of them.
    pub(super) fn sizes(&self, version: &Version) -> (Vec<Arc<Segment>>, Vec<Size>) {
        let classes = self.mergeable(&version.segments).into_iter().zip(0_u8..);
        let of_class = |(segments, class): (Vec<Arc<Segment>>, u8)| {
            let size = move |segment: Arc<Segment>| {
                let (bytes, rows) = (segment.info.file.file_bytes, u64::from(segment.rows()));
                let dead = segment.deaths.count();
                (segment, Size { bytes, rows, dead, class })
            };
            segments.into_iter().map(size)
        };
        classes.flat_map(of_class).unzip()
    }

    fn limits(&self) -> Limits {
        let settings = self.settings.load();
        Limits {
            fanout: settings.merge_fanout,
            dead_percent: settings.merge_dead_percent,
            store_dead_percent: settings.maintenance.store_dead_percent,
            max_bytes: NonZero::new(settings.maintenance.max_segment_bytes).map_or(u64::MAX, NonZero::get),
            max_rows: MAX_SEGMENT_ROWS as u64,
        }
    }

    /// What is due now, all in all; and what is to be written anew for its codes or its index.
    pub(super) fn outlook(&self) -> Outlook {
        let (version, settings) = (self.version.load(), self.settings());
        let (segments, sizes) = self.sizes(&version);
        let mut outlook = policy::outlook(&sizes, &self.limits());
        let waits = |segment: &Segment| self.waits(segment, &settings) || self.is_index_other(segment);
        let waiting = segments.iter().zip(&sizes).filter(|(segment, _)| waits(segment));
        outlook.work_bytes += waiting.map(|(_, size)| size.live_bytes()).sum::<u64>();
        outlook
    }

    /// Merges the segments that `choose` names; one alone is written anew. `None` if it names none.
    pub(super) fn merge_if(
        &self,
        mode: Mode,
        kind: JobKind,
        mut choose: impl FnMut(&Version) -> Option<Vec<Arc<Segment>>>,
    ) -> Result<Option<Merged>> {
        let writer = self.writer()?;
        let _one_at_a_time = {
            let _work_in_the_background_gives_way =
                (mode == Mode::ByHand).then(|| writer.maintenance.gate.by_hand());
            writer.merging.lock()
        };
        self.check_open()?; // It may have been closed while this waited.
        loop {
            let (version, base) = self.read_point();
            let Some(sources) = choose(&version) else { return Ok(None) };
            let done = self.merge(writer, mode, kind, &sources, base);
            if let Err(error) = &done
                && is_failure(error)
            {
                writer.maintenance.progress.failed(error.to_string(), self.environment.clock.now_us());
                // What was written and is not named takes room that others may need. If it cannot be removed, it is the next time.
                let _ = self.clear_away();
                if self.note_damage(&version, error) {
                    continue; // What is damaged is not chosen any more.
                }
            }
            return done.map(Some);
        }
    }

    fn merge(
        &self,
        writer: &Writer,
        mode: Mode,
        kind: JobKind,
        sources: &[Arc<Segment>],
        base: SeqNo,
    ) -> Result<Merged> {
        // Rows that died by commits which a power cut may still take must not be dropped.
        if writer.log.appender(|appender| appender.synced()) < writer.log.appender(|appender| appender.end())
        {
            let _ = self.leave_note(writer, writer.log.sync()?);
        }
        let live_rows = sources.iter().map(|source| source.live_rows()).sum();
        let all_rows: u64 = sources.iter().map(|source| u64::from(source.rows())).sum();
        let bytes_before: u64 = sources.iter().map(|source| source.info.file.file_bytes).sum();
        let bytes_total =
            (u128::from(bytes_before) * u128::from(live_rows) / u128::from(all_rows.max(1))) as u64;
        let pace = Pace::new(self, mode, Job::new(self, kind, sources.len(), live_rows, bytes_total));
        let _running = writer.maintenance.progress.begin(self, &pace);
        let built = self.write_merged(writer, sources, base, &pace)?;
        let info = built.as_ref().map(|built| &built.info);
        self.install_merge(sources, info, base)?;
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        self.weigh();
        let rows = info.map_or(0, |info| u64::from(info.rows));
        Ok(Merged {
            sources: sources.len(),
            rows,
            dropped_rows: all_rows - rows,
            bytes_before,
            bytes_after: info.map_or(0, |info| info.file.file_bytes),
        })
    }

    /// Lets the files of merged segments go: the manifest before the present one may name them as well.
    pub(super) fn let_go(&self) -> Result<()> {
        let mut manifests = self.manifests.lock();
        self.check_open()?;
        let is_known = |id| manifests.current.segments.iter().any(|known| known.id == id);
        let of_before = manifests.previous.iter().flat_map(|previous| &previous.segments);
        if of_before.map(|segment| segment.id).any(|id| !is_known(id)) {
            self.install_locked(&mut manifests, |_| Ok(()))?;
        }
        drop(manifests);
        self.clear_away()
    }

    fn write_merged<'a>(
        &self,
        writer: &'a Writer,
        sources: &[Arc<Segment>],
        base: SeqNo,
        pace: &Arc<Pace>,
    ) -> Result<Option<Built<'a>>> {
        // A merge reads each block once: in the store's cache it would take room from what is read often.
        let config = CacheConfig { budget_bytes: 0, ..self.settings().cache };
        let caches = Caches::new(self.environment.vfs.clone(), self.layout.clone(), &config);
        let mut source = SegmentSource::new(sources, &caches, pace)?;
        let rows = source.live_rows(base)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let is_recoded = matches!(sources, [one] if self.is_recoded(one, &self.settings()));
        let encoding = if is_recoded {
            let encoding = self.recoded_encoding(rows.len());
            let of_codes = encoding.codec.as_ref().filter(|_| encoding.keep == Keep::None);
            source.recode = Some(Recode { stays: of_codes.map(|trained| trained.id) });
            encoding
        } else {
            self.merged_encoding(sources, rows.len())?
        };
        let (settings, queries) = (self.settings(), self.queries.some(REAL_QUERIES));
        let stop = || pace.is_over();
        let spec = self.index_spec(rows.len(), encoding.keep);
        let index = spec.map(|spec| IndexPlan {
            spec,
            metric: self.metric,
            queries: &queries,
            threads: settings.index_threads,
            reuse: index_to_reuse(sources, &rows),
            stop: &stop,
        });
        let building = self.new_segment(writer);
        let vfs = PacedVfs { vfs: self.environment.vfs.clone(), pace: pace.clone() };
        let plan = Plan {
            vfs: &vfs,
            layout: &self.layout,
            store: self.store_id,
            id: building.id,
            base_seqno: base,
            dimension: self.dimension,
            encoding,
            index,
            rows: &rows,
        };
        let info = build(&plan, &source)?;
        Ok(Some(Built { info, _building: building }))
    }

    /// Switches from the sources to what was made of them.
    fn install_merge(&self, sources: &[Arc<Segment>], built: Option<&SegmentRef>, base: SeqNo) -> Result<()> {
        let merged = built.map(|info| self.open_segment(info)).transpose()?.map(Arc::new);
        let is_source = |id| sources.iter().any(|source| source.info.id == id);
        let mut manifests = self.manifests.lock();
        self.install_locked(&mut manifests, |next| {
            next.segments.retain(|known| !is_source(known.id));
            // Replay begins behind the checkpoint, so deaths up to it have to be in a file.
            let cut = Cut { seqno: next.checkpoint.seqno, ..Cut::default() };
            // What died after the checkpoint is still part of it, and what died before the base is gone from it now.
            for source in sources {
                let died = died_between(source, cut.seqno, base)?;
                next.contents = next.contents.map(|contents| contents.without(died));
            }
            if let (Some(info), Some(segment)) = (built, &merged) {
                carry_over(sources, segment, base, cut.seqno)?;
                let mut info = info.clone();
                self.write_deaths(segment, &mut info, cut, next.generation)?;
                next.segments.push(info);
            }
            Ok(())
        })?;
        // Most of what died meanwhile is carried over while writes go on.
        let visible = self.visible();
        if let Some(segment) = &merged {
            carry_over(sources, segment, base, visible)?;
        }
        let _apply_waits = self.head.lock();
        if let Some(segment) = &merged {
            carry_over(sources, segment, visible, SeqNo::MAX)?;
        }
        let version = self.version.load_full();
        let stay = version.segments.iter().filter(|segment| !is_source(segment.info.id));
        let segments = stay.cloned().chain(merged).collect();
        let (memtable, frozen) = (version.memtable.clone(), version.frozen.clone());
        let (missing, floor) = (version.missing.clone(), version.floor.max(base));
        self.version.store(Arc::new(Version { memtable, frozen, segments, missing, floor }));
        let retired = sources.iter().map(|source| (source.info.id, Arc::downgrade(source)));
        manifests.retired.extend(retired);
        Ok(())
    }
}

/// The index of the source that most rows come from, if it has one.
fn index_to_reuse<'a>(
    sources: &'a [Arc<Segment>],
    rows: &[BuildRow<SegmentPlace>],
) -> Option<IndexToReuse<'a>> {
    let (largest, segment) = sources.iter().enumerate().max_by_key(|(_, segment)| segment.live_rows())?;
    let found = segment.usable_index().ok()??;
    let ordinal = |row: &BuildRow<SegmentPlace>| match row.source {
        SegmentPlace { segment, row } if segment as usize == largest => row,
        _ => u32::MAX,
    };
    Some(IndexToReuse { found, ordinals: rows.iter().map(ordinal).collect() })
}

/// Gives the merged segment the deaths that came to its rows after `base`, by id, up to `last`.
fn carry_over(sources: &[Arc<Segment>], merged: &Segment, base: SeqNo, last: SeqNo) -> Result<()> {
    for source in sources.iter().filter(|source| source.deaths.latest() > base) {
        for (row, death) in source.deaths.iter().filter(|(_, death)| *death > base && *death <= last) {
            let ordinal = merged.lookup(source.id(row)?)?.ok_or_else(|| lost(merged.info.id))?;
            merged.deaths.kill(ordinal, death);
        }
    }
    Ok(())
}
