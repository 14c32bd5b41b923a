//! The write-ahead log: one sequence of records, cut into groups that a sync each made durable.
//!
//! The engine hands records to a [`Log`], which groups what waits, writes and syncs it
//! ([`Appender`]); [`scan`] reads it back and [`resume`] goes on after a crash. A [`LogReader`] reads it while it is written. What a record means
//! is the engine's business.

mod appender;
mod chain;
mod file;
mod group;
mod log;
mod note;
mod read;
mod rebuild;
mod recover;
#[cfg(test)]
mod shuttled;
mod sync;
mod ticket;

use std::path::{Path, PathBuf};

use codegraph_vector_base::Lsn;

pub use appender::Appender;
pub use chain::{Cut, Record, Scan, ScanRange, scan, wal_files};
pub use group::{GROUP_KIND, Group};
pub use log::{GroupEnd, Log, LogHooks, LogStatistics, SyncPolicy};
pub use note::SyncNote;
pub use read::{LogGroup, LogReader};
pub use rebuild::LogRebuilder;
pub use recover::{Continuation, resume, retain};
pub use ticket::{Committed, Ticket};

const SUFFIX: &str = ".wal";
const DIGITS: usize = 20;

/// The path of the log file that begins at `first_lsn`.
pub fn wal_path(folder: &Path, first_lsn: Lsn) -> PathBuf {
    folder.join(format!("{first_lsn:0DIGITS$}{SUFFIX}"))
}

/// The first Lsn that a log file's name tells; `None` for any other name.
pub fn parse_wal_name(name: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(SUFFIX)?;
    let canonical = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    canonical.then(|| digits.parse().ok().map(Lsn)).flatten()
}

#[cfg(test)]
#[path = "wal_tests.rs"]
mod tests;
