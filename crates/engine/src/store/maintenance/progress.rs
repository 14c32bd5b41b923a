//! What work on segments is at, what it has done since the store was opened, and what is left of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::super::core::Core;
use super::policy::Outlook;

/// What a job on segments is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Rows in memory become a segment.
    Flush,
    /// Segments become one, or one is rid of its dead rows.
    Merge,
    /// A segment is encoded as the settings ask for.
    Rewrite,
    /// A segment gets its index.
    Index,
}

impl JobKind {
    /// A stable, lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            JobKind::Flush => "flush",
            JobKind::Merge => "merge",
            JobKind::Rewrite => "rewrite",
            JobKind::Index => "index",
        }
    }
}

/// A job on segments that is at work, or stands still because it may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobStatistics {
    /// What it is for.
    pub kind: JobKind,
    /// Segments that it reads.
    pub segments: u64,
    /// Rows that it writes in all.
    pub rows: u64,
    /// Rows that are written, all but what is common to all of them.
    pub rows_done: u64,
    /// Bytes that it has written.
    pub bytes_written: u64,
    /// Bytes that it is going to have written, about.
    pub bytes_total: u64,
    /// When it began, in µs since the Unix epoch.
    pub started_us: u64,
}

/// See the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MaintenanceStatistics {
    /// Whether `pause_maintenance` was called.
    pub paused: bool,
    /// Whether a maintenance window is open, or there are none.
    pub in_window: bool,
    /// What is at work.
    pub jobs: Vec<JobStatistics>,
    /// Merges that are due, with those that will be due by them.
    pub due_merges: u64,
    /// Bytes of dead rows that are to go, and of segments that are to be merged.
    pub debt_bytes: u64,
    /// The same in percent of the bytes of live rows, of which there may be none.
    pub debt_percent: u64,
    /// Bytes that are to be written until nothing is due, about, if nothing came.
    pub work_bytes: u64,
    /// Seconds that it takes at the rate measured since the store was opened, once there is one.
    pub seconds_left: Option<f64>,
    /// Bytes of segments that flushes have written since the store was opened.
    pub flushed_bytes: u64,
    /// The same of merges, rewrites and index builds.
    pub merged_bytes: u64,
    /// Bytes written to segments for each byte flushed since then; none before the first flush.
    pub write_amplification: Option<f64>,
    /// Bytes that dead rows take in segments, about.
    pub dead_bytes: u64,
    /// Segments that left the store, and are held by snapshots of this process.
    pub retired_segments: u64,
    /// Bytes of their files.
    pub retired_bytes: u64,
    /// Merges, rewrites and index builds that failed since the store was opened.
    pub failures: u64,
    /// Why the last of these failed, and when, in µs since the Unix epoch.
    pub last_failure: Option<(String, u64)>,
}

/// What there is to tell of one job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(super) kind: JobKind,
    segments: u64,
    rows: u64,
    bytes_total: u64,
    started_us: u64,
    started: Duration,
    rows_done: AtomicU64,
    bytes_written: AtomicU64,
}

impl Job {
    pub(crate) fn new(core: &Core, kind: JobKind, segments: usize, rows: u64, bytes_total: u64) -> Self {
        let clock = &core.environment.clock;
        Self {
            kind,
            segments: segments as u64,
            rows,
            bytes_total,
            started_us: clock.now_us(),
            started: clock.monotonic(),
            rows_done: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
        }
    }

    pub(super) fn wrote(&self, bytes: u64) {
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// One more row is written.
    pub(crate) fn row_is_done(&self) {
        self.rows_done.fetch_add(1, Ordering::Relaxed);
    }

    fn statistics(&self) -> JobStatistics {
        JobStatistics {
            kind: self.kind,
            segments: self.segments,
            rows: self.rows,
            rows_done: self.rows_done.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            bytes_total: self.bytes_total,
            started_us: self.started_us,
        }
    }
}

/// The jobs of a store.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    running: Mutex<Vec<Arc<super::pace::Pace>>>,
    flushed_bytes: AtomicU64,
    merged_bytes: AtomicU64,
    /// Time that merges, rewrites and index builds took, in µs.
    merging_us: AtomicU64,
    failures: Mutex<(u64, Option<(String, u64)>)>,
}

/// A job at work; it ends when this is dropped.
pub(crate) struct Running<'a> {
    core: &'a Core,
    progress: &'a Progress,
    pace: Arc<super::pace::Pace>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let job = &self.pace.job;
        self.progress.running.lock().retain(|other| !Arc::ptr_eq(other, &self.pace));
        let written = job.bytes_written.load(Ordering::Relaxed);
        if job.kind == JobKind::Flush {
            self.progress.flushed_bytes.fetch_add(written, Ordering::Relaxed);
            return;
        }
        let took = self.core.environment.clock.monotonic().saturating_sub(job.started);
        self.progress.merged_bytes.fetch_add(written, Ordering::Relaxed);
        self.progress.merging_us.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }
}

impl Progress {
    /// Tells of a job until what is returned is dropped.
    pub(crate) fn begin<'a>(&'a self, core: &'a Core, pace: &Arc<super::pace::Pace>) -> Running<'a> {
        self.running.lock().push(pace.clone());
        Running { core, progress: self, pace: pace.clone() }
    }

    /// A merge, rewrite or index build has failed.
    pub(crate) fn failed(&self, why: String, now_us: u64) {
        let mut failures = self.failures.lock();
        failures.0 += 1;
        failures.1 = Some((why, now_us));
    }
}

impl Core {
    /// See the fields.
    pub(crate) fn maintenance_statistics(&self) -> MaintenanceStatistics {
        let Outlook { merges, work_bytes, debt_bytes, .. } = self.outlook();
        let version = self.version.load();
        let mut statistics = MaintenanceStatistics {
            in_window: self.is_in_window(&self.settings.load().maintenance),
            due_merges: merges,
            debt_bytes,
            debt_percent: self.outlook().debt_percent(),
            work_bytes,
            dead_bytes: self.sizes(&version).1.iter().map(super::policy::Size::dead_bytes).sum(),
            ..MaintenanceStatistics::default()
        };
        let retired: Vec<u64> = {
            let manifests = self.manifests.lock();
            let held = manifests.retired.iter().filter_map(|(_, segment)| segment.upgrade());
            held.map(|segment| segment.info.file.file_bytes).collect()
        };
        (statistics.retired_segments, statistics.retired_bytes) =
            (retired.len() as u64, retired.iter().sum());
        let Some(writer) = &self.writer else { return statistics };
        let progress = &writer.maintenance.progress;
        statistics.paused = writer.maintenance.gate.is_paused();
        statistics.jobs = progress.running.lock().iter().map(|pace| pace.job.statistics()).collect();
        (statistics.failures, statistics.last_failure) = progress.failures.lock().clone();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (flushed, merged) = (count(&progress.flushed_bytes), count(&progress.merged_bytes));
        (statistics.flushed_bytes, statistics.merged_bytes) = (flushed, merged);
        statistics.write_amplification = (flushed > 0).then(|| (flushed + merged) as f64 / flushed as f64);
        let at_work = statistics.jobs.iter().filter(|job| job.kind != JobKind::Flush);
        let left = work_bytes.saturating_sub(at_work.map(|job| job.bytes_written).sum());
        let took_us = count(&progress.merging_us);
        statistics.seconds_left = match (left, merged) {
            (0, _) => Some(0.0),
            (_, 0) => None,
            _ => Some(left as f64 * took_us as f64 / 1e6 / merged as f64),
        };
        statistics
    }
}
