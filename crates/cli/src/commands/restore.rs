//! `cgv restore`: a store out of a backup.

use clap::Args;
use codegraph_vector::OpenOptions;
use serde::Serialize;

use crate::args::Globals;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{location, output};

/// Make the store again from a backup: where --store says, which must be missing or empty
///
/// Every file is held against its hash on the way. If it is cut short, the same call completes it. A store that is there
/// already is not touched: move it away first, or restore beside it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cgv restore                           the newest backup, after the store was lost\n  \
    cgv --backups .cgv.backups --store yesterday restore 20261124T031500.123Z-42")]
pub(crate) struct RestoreArgs {
    /// The backup, as `cgv backup list` names it
    #[arg(value_name = "ID", default_value = "latest")]
    id: String,
}

#[derive(Serialize)]
struct Restored {
    backup_id: String,
    path: String,
    seqno: u64,
    commit_time: String,
    timeline: u64,
    files: u64,
    bytes: u64,
    active_vectors: u64,
}

pub(crate) fn run(globals: &Globals, args: &RestoreArgs) -> Result<(), Failure> {
    let backups = location::backups(globals)?;
    let location = location::locate(globals)?;
    let options = OpenOptions { backups: Some(location::backups_place(globals)?), ..OpenOptions::default() };
    let progress = Progress::new();
    let restored = backups.restore(&args.id, &location.path, options, &mut |done| progress.backup(done));
    progress.end();
    let (store, report) = restored?;
    let document = Restored {
        commit_time: report.commit_time(),
        backup_id: report.backup_id,
        path: location.path.display().to_string(),
        seqno: report.seqno.0,
        timeline: report.timeline,
        files: report.files,
        bytes: report.bytes,
        active_vectors: store.stats()?.active_vectors,
    };
    store.close()?;
    output::print(globals.json, &document, |out| {
        let vectors = output::count(document.active_vectors, "vector");
        let Restored { path, seqno, commit_time, backup_id, .. } = &document;
        writeln!(out, "{path} has {vectors} as of commit {seqno} ({commit_time}), from backup {backup_id}")
    })
}
