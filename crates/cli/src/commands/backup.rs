//! `cgv backup`: copies of the store elsewhere.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use codegraph_vector::{
    BackupCheck, BackupCheckReport, BackupManifest, BackupOptions, Error, ErrorKind, NamedPoint,
    PruneOptions, PruneReport, Result, Retention,
};
use serde::Serialize;

use crate::args::Globals;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{files, location, output};

const DAY_US: u64 = 24 * 3600 * 1_000_000;

/// Make, list, check and remove backups of the store
///
/// They lie beside the store, or where --backups says; `cgv restore` makes a store of one. What an earlier backup has is
/// not copied again, and writers go on meanwhile.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cgv backup create                     a backup of what is committed now\n  \
    cgv backup list\n  \
    cgv backup archive on                 any commit can be restored from now on\n  \
    cgv backup prune --last 7 --weekly 4  the seven newest, and one of each of four weeks")]
pub(crate) struct BackupArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a backup of everything that is committed
    Create {
        /// What to call it; it is kept until it is deleted by its id
        #[arg(long)]
        name: Option<String>,
    },
    /// List all backups, oldest first
    List,
    /// Give the present moment a name, for `cgv restore --to-name`; needs the archive
    Point {
        /// The name: 1 to 64 of a-z, 0-9, '.', '_' and '-'
        #[arg(value_name = "NAME")]
        name: String,
        /// Forget it instead
        #[arg(long)]
        delete: bool,
    },
    /// Archive the log, so that any commit can be restored; without a word, say how far it is archived
    Archive {
        /// Archive it from now on, or no more, or what is committed right now
        #[arg(value_name = "WHAT")]
        what: Option<Archiving>,
    },
    /// Check that a backup can be restored; exits with 1 if it cannot
    Verify {
        /// The backup
        #[arg(value_name = "ID", default_value = "latest")]
        id: String,
        /// Look at names and sizes only, and not at every byte
        #[arg(long)]
        quick: bool,
        /// Rehearse a restore beside the store, and look at every row of it
        #[arg(long, conflicts_with = "quick")]
        restore: bool,
    },
    /// Remove backups that no rule keeps, and what none of the others needs
    Prune(PruneArgs),
    /// Remove one backup, and what none of the others needs
    Delete {
        /// The backup
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// What is kept: whatever any of these asks for, the newest, and those with a name.
#[derive(Args, Debug)]
struct PruneArgs {
    /// Keep so many of the newest
    #[arg(long, value_name = "N", default_value_t = 0)]
    last: usize,
    /// Keep those of the last N days
    #[arg(long, value_name = "N")]
    days: Option<u32>,
    /// Keep the newest of each of N days that have one
    #[arg(long, value_name = "N", default_value_t = 0)]
    daily: usize,
    /// Keep the newest of each of N weeks that have one
    #[arg(long, value_name = "N", default_value_t = 0)]
    weekly: usize,
    /// Keep the newest of each of N months that have one
    #[arg(long, value_name = "N", default_value_t = 0)]
    monthly: usize,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on although a backup seems to be under way: one that was killed
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Archiving {
    /// From now on, by whoever has the store open to write
    On,
    /// No more
    Off,
    /// What is committed
    Now,
}

#[derive(Serialize)]
struct Archived {
    enabled: bool,
    /// The last commit that is in the archive, where that is known.
    seqno: Option<u64>,
    gap: Option<String>,
}

#[derive(Serialize)]
struct Points {
    points: Vec<NamedPoint>,
}

#[derive(Serialize)]
struct Created {
    backup_id: String,
    seqno: u64,
    created_at: String,
    bytes: u64,
    new_bytes: u64,
    path: String,
}

#[derive(Serialize)]
struct Listed {
    backups: Vec<Shown>,
    points: Vec<NamedPoint>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Sound {
        backup_id: String,
        name: Option<String>,
        seqno: u64,
        commit_time: String,
        created_at: String,
        timeline: u64,
        bytes: u64,
        new_bytes: u64,
    },
    Damaged {
        backup_id: String,
        error: String,
    },
}

#[derive(Serialize)]
struct Checked {
    backup_id: String,
    sound: bool,
    objects: u64,
    bytes: u64,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Rehearsed {
    backup_id: String,
    sound: bool,
    seqno: Option<u64>,
    active_vectors: Option<u64>,
    content_hash: Option<String>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Pruned {
    kept: Vec<String>,
    deleted: Vec<String>,
    objects: u64,
    bytes: u64,
    /// Pieces of the archived log.
    pieces: u64,
    dry_run: bool,
}

pub(crate) fn run(globals: &Globals, args: &BackupArgs) -> Result<(), Failure> {
    match &args.what {
        What::Create { name } => create(globals, name.clone()),
        What::List => list(globals),
        What::Point { name, delete } => point(globals, name, *delete),
        What::Archive { what } => archive(globals, *what),
        What::Verify { id, restore: true, .. } => rehearse(globals, id),
        What::Verify { id, quick, .. } => {
            let check = if *quick { BackupCheck::Quick } else { BackupCheck::Full };
            verify(globals, location::backups(globals)?.verify(id, check)?)
        }
        What::Prune(args) => prune(globals, args),
        What::Delete { id } => pruned(globals, location::backups(globals)?.delete(id)?, false),
    }
}

fn create(globals: &Globals, name: Option<String>) -> Result<(), Failure> {
    let store = location::open_writing(globals)?;
    let progress = Arc::new(Progress::new());
    let shown = progress.clone();
    let options = BackupOptions {
        name,
        progress: Some(Arc::new(move |done| shown.backup(done))),
        ..BackupOptions::default()
    };
    let report = store.create_backup_with(&options);
    progress.end();
    let report = report?;
    store.close()?;
    let document = Created {
        created_at: report.created_at(),
        backup_id: report.backup_id,
        seqno: report.seqno.0,
        bytes: report.bytes,
        new_bytes: report.new_bytes,
        path: report.path.display().to_string(),
    };
    output::print(globals.json, &document, |out| {
        let (bytes, new) = (output::bytes(document.bytes), output::bytes(document.new_bytes));
        writeln!(
            out,
            "backup {} as of commit {}: {bytes}, {new} of them new",
            document.backup_id, document.seqno
        )
    })
}

fn point(globals: &Globals, name: &str, delete: bool) -> Result<(), Failure> {
    if delete {
        let backups = location::backups(globals)?;
        if !backups.delete_point(name)? {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no restore point {name}")).into());
        }
        let document = Points { points: backups.points()? };
        return output::print(globals.json, &document, |out| writeln!(out, "{name} is forgotten"));
    }
    let store = location::open_writing(globals)?;
    let point = store.create_restore_point(name)?;
    store.close()?;
    output::print(globals.json, &point, |out| {
        writeln!(out, "{} is commit {} on line {}", point.name, point.seqno, point.timeline)
    })
}

fn archive(globals: &Globals, what: Option<Archiving>) -> Result<(), Failure> {
    let Some(what) = what else {
        let enabled = location::open_reading(globals)?.settings().archive.enabled;
        let seqno = location::backups(globals)?.archived_seqno()?.map(|seqno| seqno.0);
        return archived(globals, &Archived { enabled, seqno, gap: None });
    };
    let store = location::open_writing(globals)?;
    match what {
        Archiving::On => store.configure(|settings| settings.archive.enabled = true)?,
        Archiving::Off => store.configure(|settings| settings.archive.enabled = false)?,
        Archiving::Now => {}
    }
    let enabled = store.settings().archive.enabled;
    let seqno = match what {
        Archiving::Off => None,
        Archiving::On | Archiving::Now => Some(store.archive_log()?.0),
    };
    let document = Archived { enabled, seqno, gap: store.stats()?.archive.gap };
    store.close()?;
    archived(globals, &document)
}

fn archived(globals: &Globals, document: &Archived) -> Result<(), Failure> {
    output::print(globals.json, document, |out| {
        let state = if document.enabled { "is archived" } else { "is not archived" };
        match document.seqno {
            Some(seqno) => writeln!(out, "the log {state}; the archive has all up to commit {seqno}"),
            None => writeln!(out, "the log {state}"),
        }?;
        document.gap.iter().try_for_each(|gap| writeln!(out, "gap: {gap}; make a backup"))
    })
}

fn list(globals: &Globals) -> Result<(), Failure> {
    let all = location::backups(globals)?;
    let document = Listed { backups: all.list()?.into_iter().map(shown).collect(), points: all.points()? };
    output::print(globals.json, &document, |out| {
        if document.backups.is_empty() {
            return writeln!(out, "no backups; cgv backup create makes one");
        }
        document.backups.iter().try_for_each(|backup| backup.write(out))?;
        let line = |point: &NamedPoint| writeln!(out, "point {}: commit {}", point.name, point.seqno);
        document.points.iter().try_for_each(line)
    })
}

fn shown((backup_id, backup): (String, Result<BackupManifest>)) -> Shown {
    match backup {
        Ok(backup) => Shown::Sound {
            backup_id,
            seqno: backup.seqno().0,
            commit_time: backup.commit_time(),
            created_at: backup.created_at(),
            timeline: backup.manifest.timeline,
            bytes: backup.bytes,
            new_bytes: backup.new_bytes,
            name: backup.name,
        },
        Err(error) => Shown::Damaged { backup_id, error: Error::to_string(&error) },
    }
}

impl Shown {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Shown::Sound { backup_id, name, seqno, bytes, new_bytes, .. } => {
                let name = name.as_ref().map(|name| format!(" {name:?}")).unwrap_or_default();
                let (bytes, new) = (output::bytes(*bytes), output::bytes(*new_bytes));
                writeln!(out, "{backup_id}{name}: commit {seqno}, {bytes}, {new} new")
            }
            Shown::Damaged { backup_id, error } => writeln!(out, "{backup_id}: {error}"),
        }
    }
}

fn verify(globals: &Globals, report: BackupCheckReport) -> Result<(), Failure> {
    let sound = report.is_sound();
    let BackupCheckReport { backup_id, objects, bytes, problems } = report;
    let document = Checked { backup_id, sound, objects, bytes, problems };
    output::print(globals.json, &document, |out| {
        document.problems.iter().try_for_each(|problem| writeln!(out, "bad: {problem}"))?;
        let (objects, read) = (output::count(document.objects, "object"), output::bytes(document.bytes));
        let verdict = if sound { "ok" } else { "damaged" };
        writeln!(out, "{verdict}: backup {}, {objects}, {read} read", document.backup_id)
    })?;
    if sound { Ok(()) } else { Err(Failure::Told) }
}

fn rehearse(globals: &Globals, id: &str) -> Result<(), Failure> {
    let backups = location::backups(globals)?;
    let path = location::locate(globals)?.path;
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = files::scratch(Some(beside))?;
    let report = backups.rehearse(id, folder.path().join("store"))?;
    let sound = report.is_sound();
    let restored = report.restored.map(|(seqno, vectors, _)| (seqno.0, vectors));
    let document = Rehearsed {
        backup_id: report.backup_id,
        sound,
        seqno: restored.map(|(seqno, _)| seqno),
        active_vectors: restored.map(|(_, vectors)| vectors),
        content_hash: report.restored.map(|(.., sum)| format!("{:032x}", sum.0)),
        problems: report.problems,
    };
    output::print(globals.json, &document, |out| {
        document.problems.iter().try_for_each(|problem| writeln!(out, "bad: {problem}"))?;
        match document.active_vectors {
            Some(vectors) if sound => {
                let vectors = output::count(vectors, "vector");
                writeln!(out, "ok: backup {} was restored, {vectors}, and removed again", document.backup_id)
            }
            _ => writeln!(out, "damaged: it cannot be restored"),
        }
    })?;
    if sound { Ok(()) } else { Err(Failure::Told) }
}

fn prune(globals: &Globals, args: &PruneArgs) -> Result<(), Failure> {
    let retention = Retention {
        last: args.last,
        max_age_us: args.days.map(|days| u64::from(days) * DAY_US),
        daily: args.daily,
        weekly: args.weekly,
        monthly: args.monthly,
    };
    if retention == Retention::default() {
        let message = "say what to keep: --last, --days, --daily, --weekly or --monthly".to_owned();
        return Err(Failure::Usage(message));
    }
    let options = PruneOptions { dry_run: args.dry_run, force: args.force };
    pruned(globals, location::backups(globals)?.prune(&retention, options)?, args.dry_run)
}

fn pruned(globals: &Globals, report: PruneReport, dry_run: bool) -> Result<(), Failure> {
    let PruneReport { kept, deleted, objects, bytes, pieces } = report;
    let document = Pruned { kept, deleted, objects, bytes, pieces, dry_run };
    output::print(globals.json, &document, |out| {
        let would = if dry_run { "would be " } else { "" };
        document.deleted.iter().try_for_each(|id| writeln!(out, "{id} {would}removed"))?;
        let (kept, gone) = (document.kept.len() as u64, document.deleted.len() as u64);
        let (kept, gone) = (output::count(kept, "backup"), output::count(gone, "backup"));
        let (objects, bytes) = (output::count(document.objects, "object"), output::bytes(document.bytes));
        writeln!(out, "{gone} and {objects} ({bytes}) {would}removed, {kept} kept")
    })
}
