//! Opening a store: the manifest, the segments, the log behind the checkpoint.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use codegraph_vector_ann::Metric;
use codegraph_vector_base::frame::Check;
use codegraph_vector_base::vfs::{Vfs, VfsLock};
use codegraph_vector_base::{Error, ErrorKind, Lsn, Result, SeqNo, StoreId};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::{Fallback, Loaded, Manifest, MetricCode, StoreSchema, load_newest};
use codegraph_vector_storage::wal::{self, Appender, Continuation, Log, Scan, ScanRange, SyncNote};
use parking_lot::{Mutex, RwLock};

use super::apply::{Assembler, Totals, advance};
use super::changes::Feed;
use super::checkpoint::{check_contents, contents_of};
use super::commit::Assigned;
use super::core::{Core, Counters, Head, Manifests, NOTHING_NOTED, Writer};
use super::create::{begin_to_use, check_may_create, create};
use super::maintenance::{Background, Maintenance};
use super::open_segments::{LeftOut, open_segments, recover};
use super::prepared::hold;
use super::ring::Validating;
use super::train::Training;
use crate::backup::Archiver;
use crate::budget::Budget;
use crate::cache::Caches;
use crate::compression::QueryReservoir;
use crate::consistency::{Locks, PreparedTransactions, Registry};
use crate::memtable::Memtable;
use crate::options::{OpenOptions, Settings};
use crate::persistent::default_backups;
use crate::segment::Segment;
use crate::version::{Cut, Version};

/// What opening a store found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Commits replayed from the log behind the checkpoint.
    pub replayed_commits: u64,
    /// Bytes of the log that were read for it.
    pub replayed_bytes: u64,
    /// The unsynced end of the log that a crash left and that was not kept.
    pub cut: Option<wal::Cut>,
    /// Newer manifests that were damaged, and that the store fell back behind: file and fault.
    pub fallbacks: Vec<(PathBuf, String)>,
    /// Older manifests that were damaged: file and fault. Nothing is lost by it.
    pub damaged_manifests: Vec<(PathBuf, String)>,
}

/// The number of a metric in the manifest.
pub(super) fn metric_code(metric: Metric) -> MetricCode {
    MetricCode(match metric {
        Metric::Cosine => 1,
        Metric::Dot => 2,
        Metric::Euclidean => 3,
    })
}

fn metric_of(code: MetricCode) -> Result<Metric> {
    let unknown = || {
        let message = "this store compares vectors in a way that this version does not know; upgrade";
        Error::new(ErrorKind::Unsupported, message)
    };
    Metric::ALL.into_iter().find(|metric| metric_code(*metric) == code).ok_or_else(unknown)
}

/// The state that manifest and log give, before anything can be written.
pub(super) struct Recovered {
    pub(super) version: Version,
    pub(super) head: Head,
    pub(super) scan: Scan,
    pub(super) report: RecoveryReport,
}

/// Opens a store, or creates it.
pub(crate) fn open(root: PathBuf, options: &OpenOptions) -> Result<Arc<Core>> {
    open_within(root, options, None)
}

/// The same for a store that shares a budget with others.
pub(crate) fn open_within(
    root: PathBuf,
    options: &OpenOptions,
    budget: Option<&Arc<Budget>>,
) -> Result<Arc<Core>> {
    let vfs = &*options.environment.vfs;
    let layout = StoreLayout::new(root);
    if options.read_only {
        return super::read_only::open(layout, options, budget);
    }
    if !layout.is_store(vfs)? {
        check_may_create(vfs, &layout, options)?;
        layout.create_dirs(vfs)?;
    }
    let lock = take_lock(vfs, &layout)?;
    let loaded = match load_newest(vfs, &layout) {
        Err(error) if error.kind() == ErrorKind::NotFound => create(&layout, options)?,
        loaded => {
            // Whoever gave the newest manifest its name may have been killed, or have failed, before the
            // name was durable.
            vfs.sync_dir(layout.root())?;
            let loaded = loaded?;
            begin_to_use(vfs, &layout)?;
            loaded
        }
    };
    check_schema(&loaded.manifest.schema, &layout, options)?;
    for leftover in layout.leftovers(vfs)? {
        vfs.remove_file(&leftover)?;
    }
    let proven = proven_lsn(vfs, &*lock, &loaded.manifest)?;
    let recovered = recover(vfs, &layout, &loaded, Bounds { proven, limit: Lsn(u64::MAX) }, options)?;
    let core = assemble(layout, options, &loaded, recovered, Some(lock), budget)?;
    core.settle(loaded.manifest, options)?;
    Ok(core)
}

/// Up to where the log is known to be durable: by the manifest, and by the note of the writer before, if
/// it was killed and the machine was not. Then what it had synced is there, or something else took it.
fn proven_lsn(vfs: &dyn Vfs, lock: &dyn VfsLock, manifest: &Manifest) -> Result<Lsn> {
    let note = SyncNote::read(lock.file(), manifest.store_id)?;
    let of_this_boot = note.filter(|note| vfs.boot_id().is_some_and(|boot| boot == note.boot_id));
    Ok(of_this_boot.map_or(manifest.proven_lsn, |note| note.synced_lsn.max(manifest.proven_lsn)))
}

/// How far recovery has to read the log, and may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// What is bad before this is damage.
    pub(super) proven: Lsn,
    /// What is behind this is left alone.
    pub(super) limit: Lsn,
}

pub(super) fn take_lock(vfs: &dyn Vfs, layout: &StoreLayout) -> Result<Box<dyn VfsLock>> {
    let lock = vfs.try_lock(&layout.lock_path()).map_err(|error| match error.kind() {
        ErrorKind::ReadOnly => error.context("this store cannot be written here; open it read-only"),
        _ => error,
    })?;
    lock.ok_or_else(|| {
        let message = "this store is open for writing elsewhere; close it there, or open it read-only here";
        Error::new(ErrorKind::Busy, message).at(layout.root())
    })
}

/// Refuses vectors of another kind than the store's.
pub(super) fn check_schema(schema: &StoreSchema, layout: &StoreLayout, options: &OpenOptions) -> Result<()> {
    let refuse = |message: String| Err(Error::invalid(message).at(layout.root()));
    if let Some(dimension) = options.dimension.filter(|dimension| *dimension != schema.dimension as usize) {
        return refuse(format!(
            "this store's vectors have {} dimensions, not {dimension}: use the model that made them, or another store",
            schema.dimension
        ));
    }
    let metric = metric_of(schema.metric)?;
    if let Some(other) = options.metric.filter(|other| *other != metric) {
        return refuse(format!(
            "this store compares by {metric}, not by {other}: leave the metric out, or use another store"
        ));
    }
    match (&schema.embedder, &options.embedder) {
        (Some(known), Some(given)) if known != given => refuse(format!(
            "this store's vectors were made by {} {} ({}), and those of {} {} ({}) must not be mixed in: \
             use that embedder, or index into another store",
            known.name, known.version, known.parameters, given.name, given.version, given.parameters
        )),
        _ => Ok(()),
    }
}

/// Opens the segments, but for those that are left out, and replays the log behind the checkpoint.
pub(super) fn recover_without(
    vfs: &dyn Vfs,
    layout: &StoreLayout,
    loaded: &Loaded,
    bounds: Bounds,
    options: &OpenOptions,
    left_out: &LeftOut,
) -> Result<Recovered> {
    let manifest = &loaded.manifest;
    let dimension = manifest.schema.dimension as usize;
    let (segments, missing) = open_segments(vfs, layout, manifest, left_out)?;
    let (memtable, frozen, missing) = (Arc::new(Memtable::new()), Vec::new(), Arc::new(missing));
    let mut version = Version { memtable, frozen, segments, missing, floor: SeqNo(0) };
    let checkpoint = manifest.checkpoint;
    let cut = Cut { seqno: checkpoint.seqno, lsn: checkpoint.lsn, commit_time_us: checkpoint.commit_time_us };
    let totals = count(&version.segments)?;
    let prepared = PreparedTransactions::from_manifest(&manifest.prepared, dimension)?;
    let mut head = Head { cut, totals, prepared };
    let check = if options.switches().ignore_crc { Check::Trust } else { Check::Verify };
    let Bounds { proven, limit } = bounds;
    let range = ScanRange { from: checkpoint.lsn, proven, limit, check };
    let (scan, replayed_commits) =
        replay(vfs, layout, manifest.store_id, range, &version, &mut head, dimension)?;
    if head.cut.seqno < manifest.proven_seqno {
        let message = format!(
            "the log ends at commit {}, but {} had been durable",
            head.cut.seqno, manifest.proven_seqno
        );
        return Err(Error::corrupt(layout.wal_dir(), 0, message));
    }
    if limit == Lsn(u64::MAX) && manifest.clean_close != Some(scan.end) {
        scan.check_uncut()?;
        check_contents(layout, manifest, &version.segments, &version.missing)?;
    }
    version.floor = head.cut.seqno;
    let report = RecoveryReport {
        replayed_commits,
        replayed_bytes: scan.end.0 - checkpoint.lsn.0,
        cut: scan.cut.clone(),
        fallbacks: told(&loaded.fallbacks),
        damaged_manifests: told(&loaded.damaged),
    };
    Ok(Recovered { version, head, scan, report })
}

fn told(manifests: &[Fallback]) -> Vec<(PathBuf, String)> {
    manifests.iter().map(|bad| (bad.path.clone(), bad.error.to_string())).collect()
}

/// Applies the commits of a stretch of the log; returns how many there were.
pub(super) fn replay(
    vfs: &dyn Vfs,
    layout: &StoreLayout,
    store: StoreId,
    range: ScanRange,
    version: &Version,
    head: &mut Head,
    dimension: usize,
) -> Result<(Scan, u64)> {
    let mut assembler = Assembler::default();
    let mut commits = 0;
    let scan = wal::scan(vfs, &layout.wal_dir(), store, range, &mut |record| {
        assembler.feed(&record, dimension, |entry| {
            let Head { cut, totals, prepared } = head;
            if let Some(seqno) = entry.seqno().filter(|seqno| *seqno != cut.seqno.next()) {
                let message = format!("commit {seqno} follows {} in the log", cut.seqno);
                return Err(Error::corrupt(layout.wal_dir(), 0, message));
            }
            cut.lsn = record.group_end;
            if let Some(commit) = advance(version, totals, prepared, entry, record.lsn)? {
                (cut.seqno, cut.commit_time_us) = (commit.seqno, commit.commit_time_us);
                commits += 1;
            }
            Ok(())
        })
    })?;
    head.cut.lsn = scan.end;
    Ok((scan, commits))
}

/// Counts the live rows of segments.
pub(super) fn count(segments: &[Arc<Segment>]) -> Result<Totals> {
    let mut totals = Totals::default();
    for segment in segments {
        totals.rows += segment.live_rows();
        totals.checksum = totals.checksum + segment.info.checksum_sum;
        for (ordinal, _) in segment.deaths.iter() {
            totals.checksum -= segment.columns(ordinal)?.checksum;
        }
    }
    Ok(totals)
}

/// Puts an open store together; with a lock, one that can be written.
pub(super) fn assemble(
    layout: StoreLayout,
    options: &OpenOptions,
    loaded: &Loaded,
    recovered: Recovered,
    lock: Option<Box<dyn VfsLock>>,
    budget: Option<&Arc<Budget>>,
) -> Result<Arc<Core>> {
    let environment = options.environment.clone();
    let manifest = &loaded.manifest;
    let kept = Settings::default().with_pairs(&manifest.settings)?;
    let settings = match &options.settings {
        Some(settings) => {
            settings.check()?;
            settings.compressed_as(&kept)
        }
        None => kept,
    };
    let Recovered { version, head, scan, report } = recovered;
    let cut = head.cut;
    let writer = lock.map(|lock| -> Result<Writer> {
        let how = Continuation {
            clean_close: manifest.clean_close,
            epoch: manifest.epoch,
            max_file_bytes: settings.max_wal_file_bytes,
            rewrite_tail: !options.switches().keep_tail,
        };
        let appender = wal::resume(environment.vfs.clone(), &layout.wal_dir(), scan, how)?;
        let (locks, validating): (Arc<Locks>, _) = (Arc::default(), Validating::default());
        Ok(Writer {
            epoch: appender.epoch(),
            noted: AtomicU64::new(NOTHING_NOTED),
            log: Log::new(appender, Assigned::after(&head), environment.clock.clone()),
            lock: Mutex::new(Some(lock)),
            boot_id: environment.vfs.boot_id().unwrap_or(0),
            prepared: Mutex::new(hold(&locks, &validating, &head.prepared)?),
            next_txn: AtomicU64::new(first_txn(environment.clock.now_us(), &head.prepared)),
            locks,
            gate: RwLock::new(()),
            validating,
            configuring: Mutex::new(()),
            flushing: Mutex::new(()),
            merging: Mutex::new(()),
            repairing: Mutex::new(()),
            next_segment: AtomicU64::new(manifest.next_segment_id.0),
            flush_job: Background::default(),
            merge_job: Background::default(),
            compress_job: Background::default(),
            index_job: Background::default(),
            coding_job: Background::default(),
            checkpoint_job: Background::default(),
            repair_job: Background::default(),
            maintenance: Maintenance::default(),
            training: Training::default(),
            archiver: Archiver::default(),
            restoring: Mutex::new(()),
            sync_scheduled: AtomicBool::new(false),
        })
    });
    let vfs = environment.vfs.clone();
    let caches = match budget {
        Some(budget) => Caches::sharing(vfs, layout.clone(), budget.caches.clone()),
        None => Caches::new(vfs, layout.clone(), &settings.cache),
    };
    if let Some(budget) = budget {
        version.memtable.charge_to(budget);
    }
    let manifests =
        Manifests { current: manifest.clone(), previous: loaded.previous.clone(), retired: Vec::new() };
    let core = Arc::new(Core {
        this: OnceLock::new(),
        store_id: manifest.store_id,
        dimension: manifest.schema.dimension as usize,
        metric: metric_of(manifest.schema.metric)?,
        caches: ArcSwap::from_pointee(caches),
        budget: budget.cloned(),
        settings: ArcSwap::from_pointee(settings),
        codec: ArcSwapOption::empty(),
        memtable_limit: AtomicU64::new(u64::MAX),
        switches: options.switches(),
        version: ArcSwap::from_pointee(version),
        visible: AtomicU64::new(cut.seqno.0),
        head: Mutex::new(head),
        writer: writer.transpose()?,
        feed: Feed::at(&cut),
        manifests: Mutex::new(manifests),
        recovery: Mutex::new(report),
        counters: Counters::default(),
        queries: QueryReservoir::default(),
        transactions: Registry::default(),
        closed: AtomicBool::new(false),
        refuses_damaged: options.refuse_damaged,
        environment,
        backups: options.backups.clone().unwrap_or_else(|| default_backups(layout.root())),
        repository: OnceLock::new(),
        layout,
    });
    // Set once, here; a failure would mean that it was set already.
    let _ = core.this.set(Arc::downgrade(&core));
    if let Some(writer) = &core.writer {
        let core = Arc::downgrade(&core);
        writer.locks.on_wound(Box::new(move |id| {
            if let Some(core) = core.upgrade() {
                core.transactions.reap_one(&core, id);
            }
        }));
    }
    Ok(core)
}

/// The first id of a transaction: no id is given twice, also if the clock goes back.
fn first_txn(now_us: u64, prepared: &PreparedTransactions) -> u64 {
    prepared.last_id().map_or(now_us, |last| now_us.max(last.0 + 1))
}

impl Core {
    /// After a writing open: leaves the note, finds the codec in use, records an embedder that was not known before, and clears away
    /// what a crash, or a merge before the last close, left. Removing large files takes a while,
    /// so that is done in the background where there is one.
    fn settle(self: &Arc<Self>, manifest: Manifest, options: &OpenOptions) -> Result<()> {
        let writer = self.writer()?;
        let synced = writer.log.appender(Appender::synced);
        self.leave_note(writer, synced)?;
        self.look_up_codec();
        let embedder = options.embedder.as_ref().filter(|_| manifest.schema.embedder.is_none());
        // A manifest of the first format version, which older versions go by, must not stay: they know nothing of what the log
        // may hold from now on.
        let is_whole = self.version.load().missing.is_empty();
        if is_whole && (manifest.contents.is_none() || embedder.is_some()) {
            let segments = self.version.load_full();
            self.install(|next| {
                if next.contents.is_none() {
                    let segments = segments.segments.iter().map(Arc::as_ref);
                    next.contents = Some(contents_of(segments, next.checkpoint.seqno)?);
                }
                next.schema.embedder = embedder.cloned().or_else(|| next.schema.embedder.clone());
                Ok(())
            })?;
        }
        self.schedule_archive()?;
        if !self.quarantined().is_empty() {
            self.schedule_repair();
        }
        self.schedule_checkpoints();
        self.schedule_sealing();
        if self.settings.load().background {
            self.schedule_maintenance();
            return Ok(());
        }
        self.clear_away()
    }
}
