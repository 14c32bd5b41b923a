//! What `cgv stats` shows of maintenance.

use std::io;

use codegraph_vector::{JobStatistics, MaintenanceStatistics};
use serde::Serialize;

use crate::output;

/// The names are kept: other programs read them. What is counted since the store was opened is of the process that asks: 0
/// beside a writer.
#[derive(Serialize)]
pub(crate) struct Maintenance {
    paused: bool,
    in_window: bool,
    jobs: Vec<Job>,
    due_merges: u64,
    debt_bytes: u64,
    debt_percent: u64,
    work_bytes: u64,
    seconds_left: Option<f64>,
    flushed_bytes: u64,
    merged_bytes: u64,
    write_amplification: Option<f64>,
    dead_bytes: u64,
    retired_segments: u64,
    retired_bytes: u64,
    failures: u64,
    last_failure: Option<Failed>,
}

#[derive(Serialize)]
struct Job {
    kind: &'static str,
    segments: u64,
    rows: u64,
    rows_done: u64,
    bytes_written: u64,
    bytes_total: u64,
    started_us: u64,
}

#[derive(Serialize)]
struct Failed {
    message: String,
    time_us: u64,
}

impl Maintenance {
    pub(crate) fn of(stats: &MaintenanceStatistics) -> Self {
        let job = |job: &JobStatistics| Job {
            kind: job.kind.name(),
            segments: job.segments,
            rows: job.rows,
            rows_done: job.rows_done,
            bytes_written: job.bytes_written,
            bytes_total: job.bytes_total,
            started_us: job.started_us,
        };
        let failed = |(message, time_us)| Failed { message, time_us };
        Self {
            paused: stats.paused,
            in_window: stats.in_window,
            jobs: stats.jobs.iter().map(job).collect(),
            due_merges: stats.due_merges,
            debt_bytes: stats.debt_bytes,
            debt_percent: stats.debt_percent,
            work_bytes: stats.work_bytes,
            seconds_left: stats.seconds_left,
            flushed_bytes: stats.flushed_bytes,
            merged_bytes: stats.merged_bytes,
            write_amplification: stats.write_amplification,
            dead_bytes: stats.dead_bytes,
            retired_segments: stats.retired_segments,
            retired_bytes: stats.retired_bytes,
            failures: stats.failures,
            last_failure: stats.last_failure.clone().map(failed),
        }
    }

    pub(crate) fn write(&self, line: &mut dyn FnMut(&str, String) -> io::Result<()>) -> io::Result<()> {
        let (work, dead) = (output::bytes(self.work_bytes), output::bytes(self.dead_bytes));
        let merges = output::count(self.due_merges, "merge");
        let when = if self.in_window { "" } else { "; outside of the maintenance windows" };
        line("to be merged", format!("{merges} due, {work} to write; {dead} of dead rows{when}"))
    }
}
