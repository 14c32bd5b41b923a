//! `cgv restore`: a store as it was.

use clap::Args;
use codegraph_vector::{
    LiveRestoreOptions, OpenOptions, PersistentVectorStore, RestorePoint, RestoreReport, RestoreTarget, SeqNo,
};
use serde::Serialize;
use std::sync::Arc;

use crate::args::Globals;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{location, moments, output};

/// Make the store what it was: as a backup has it, or at any moment that its archived log leads to
///
/// A store that is there becomes what it was by one switch, when all of it was fetched and verified; readers go on, and what it
/// was before is kept within it. One that was lost is made anew where --store says. Every byte is held against its hash.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cgv restore                           the newest backup\n  \
    cgv restore --to-time 10:41           as of today 10:41, before the mistake\n  \
    cgv restore --to-latest               all that was archived, after the store was lost\n  \
    cgv --backups .cgv.backups --store yesterday restore 20261124T031500.123Z-42")]
pub(crate) struct RestoreArgs {
    /// The backup, as `cgv backup list` names it; the newest that fits unless said
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Right after this commit
    #[arg(long, value_name = "N", group = "moment")]
    to_seqno: Option<u64>,
    /// After the last commit at or before this time: RFC 3339; without a zone it is local, without a day today's
    #[arg(long, value_name = "T", group = "moment", value_parser = moments::parse)]
    to_time: Option<u64>,
    /// At a restore point, as `cgv backup point` named it, or a backup of that name
    #[arg(long, value_name = "NAME", group = "moment", conflicts_with = "id")]
    to_name: Option<String>,
    /// After the last commit that was archived
    #[arg(long, group = "moment")]
    to_latest: bool,
    /// Keep nothing of what is replaced but what backups and archive have: for a store that is damaged
    #[arg(long)]
    discard: bool,
    /// Restore nothing; remove what earlier restores have replaced
    #[arg(long, conflicts_with_all = ["id", "moment", "discard"])]
    forget_replaced: bool,
}

impl RestoreArgs {
    fn target(&self) -> RestoreTarget {
        let to = match (self.to_seqno, self.to_time, &self.to_name, self.to_latest) {
            (Some(seqno), ..) => RestorePoint::SeqNo(SeqNo(seqno)),
            (_, Some(us), ..) => RestorePoint::Time(us),
            (_, _, Some(name), _) => RestorePoint::Name(name.clone()),
            (.., true) => RestorePoint::Latest,
            _ => RestorePoint::Backup,
        };
        RestoreTarget { backup: self.id.clone(), to }
    }
}

#[derive(Serialize)]
struct Restored {
    backup_id: String,
    path: String,
    /// The last commit of the restored state, and its time.
    seqno: u64,
    commit_time: String,
    /// The commit that the store is at now.
    now_seqno: u64,
    timeline: u64,
    files: u64,
    bytes: u64,
    replayed_commits: u64,
    active_vectors: u64,
    /// Where what was replaced is kept.
    replaced: Option<String>,
    /// Why the new line of history has no backup yet, if so.
    backup_error: Option<String>,
}

#[derive(Serialize)]
struct Forgotten {
    removed: u64,
}

pub(crate) fn run(globals: &Globals, args: &RestoreArgs) -> Result<(), Failure> {
    if args.forget_replaced {
        let store = location::open_writing(globals)?;
        let document = Forgotten { removed: store.discard_replaced()? };
        store.close()?;
        return output::print(globals.json, &document, |out| {
            writeln!(out, "{} removed", output::count(document.removed, "replaced state"))
        });
    }
    let location = location::locate(globals)?;
    let is_there = location::holds_manifest(&location.path);
    let (store, report) = if is_there { in_place(globals, args)? } else { anew(globals, args)? };
    let document = Restored {
        commit_time: report.commit_time(),
        backup_id: report.backup_id,
        path: location.path.display().to_string(),
        seqno: report.seqno.0,
        now_seqno: report.now_seqno.0,
        timeline: report.timeline,
        files: report.files,
        bytes: report.bytes,
        replayed_commits: report.replayed_commits,
        active_vectors: store.stats()?.active_vectors,
        replaced: report.replaced.map(|path| path.display().to_string()),
        backup_error: report.backup.and_then(Result::err),
    };
    store.close()?;
    output::print(globals.json, &document, |out| {
        let vectors = output::count(document.active_vectors, "vector");
        let Restored { path, seqno, commit_time, backup_id, .. } = &document;
        writeln!(out, "{path} has {vectors} as of commit {seqno} ({commit_time}), from backup {backup_id}")?;
        if document.replayed_commits > 0 {
            let commits = output::count(document.replayed_commits, "commit");
            writeln!(out, "  and {commits} of the archived log behind it")?;
        }
        if let Some(replaced) = &document.replaced {
            writeln!(out, "what it was is kept in {replaced}; cgv restore --forget-replaced removes it")?;
        }
        document
            .backup_error
            .iter()
            .try_for_each(|error| writeln!(out, "it has no backup of its own yet: {error}"))
    })
}

/// A store that is there.
fn in_place(
    globals: &Globals,
    args: &RestoreArgs,
) -> Result<(PersistentVectorStore, RestoreReport), Failure> {
    let store = location::open_writing(globals)?;
    let progress = Arc::new(Progress::new());
    let shown = progress.clone();
    let options = LiveRestoreOptions {
        keep_replaced: !args.discard,
        progress: Some(Arc::new(move |done| shown.backup(done))),
    };
    let restored = store.restore_with(&args.target(), &options);
    progress.end();
    Ok((store, restored?))
}

/// One that is not.
fn anew(globals: &Globals, args: &RestoreArgs) -> Result<(PersistentVectorStore, RestoreReport), Failure> {
    let backups = location::backups(globals)?;
    let path = location::locate(globals)?.path;
    let options = OpenOptions { backups: Some(location::backups_place(globals)?), ..OpenOptions::default() };
    let progress = Progress::new();
    let restored = backups.restore(args.target(), path, options, &mut |done| progress.backup(done));
    progress.end();
    Ok(restored?)
}
