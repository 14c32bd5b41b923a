//! Making a store again, as it was at some moment: out of a backup, and of the archived log behind it.
//!
//! What always holds:
//! - the folder opens as a store only once all of it is there: every file is held against its hash on the way, the log against its
//!   own order, and the manifest comes last; what was cut short is done again by the same call (`store/vacant.rs`);
//! - opening it replays that log as any other, and holds the rows against what the backup says of them;
//! - it goes on along a timeline of its own, which nobody else takes, so that two restores of a backup never mix.

use std::path::{Path, PathBuf};

use codegraph_vector_base::frame::Seal;
use codegraph_vector_base::{Error, ErrorKind, Result, SegmentId, SeqNo};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::{self, Manifest};
use codegraph_vector_storage::wal::LogRebuilder;

use super::create::BackupProgress;
use super::format::BackupManifest;
use super::lines::Beginning;
use super::repository::{LATEST, Repository, rfc3339};
use crate::options::{Environment, Settings};
use crate::record_prepared::{commit_head, is_part};
use crate::store::make_at;

/// Segments that one line of history may have ids for.
const SEGMENTS_A_LINE: u64 = 1 << 32;

/// A moment in the history of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestorePoint {
    /// As a backup has it.
    Backup,
    /// Right after this commit.
    SeqNo(SeqNo),
    /// After the last commit at or before this time, in µs since the Unix epoch.
    Time(u64),
    /// What somebody has given this name: a restore point, or a backup.
    Name(String),
    /// After the last commit that is in the archive.
    Latest,
}

/// What to restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreTarget {
    /// The backup to begin with, whose line of history is followed; `latest` is the newest. Without, the last one that is old
    /// enough, on the line of history that was committed to last, or on those that it came from.
    pub backup: Option<String>,
    /// How far from there.
    pub to: RestorePoint,
}

impl RestoreTarget {
    /// A backup as it is.
    pub fn backup(id: impl Into<String>) -> Self {
        Self { backup: Some(id.into()), to: RestorePoint::Backup }
    }
}

impl From<&str> for RestoreTarget {
    fn from(id: &str) -> Self {
        Self::backup(id)
    }
}

impl From<&String> for RestoreTarget {
    fn from(id: &String) -> Self {
        Self::backup(id)
    }
}

impl From<RestorePoint> for RestoreTarget {
    fn from(to: RestorePoint) -> Self {
        Self { backup: None, to }
    }
}

/// A store that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// The backup that it is of.
    pub backup_id: String,
    /// The last commit in it.
    pub seqno: SeqNo,
    /// That commit's time, in µs since the Unix epoch.
    pub commit_time_us: u64,
    /// Its line of history from now on.
    pub timeline: u64,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Commits of the archived log behind the backup.
    pub replayed_commits: u64,
    /// The commit that the store is at now. Of a store in use that was restored it is a new one: none means two states.
    pub now_seqno: SeqNo,
    /// Where what the store was before is kept, as a store of its own, if it was in use.
    pub replaced: Option<PathBuf>,
    /// The first backup of the new line of history, or why there is none, if the store was in use.
    pub backup: Option<Result<String, String>>,
}

impl RestoreReport {
    /// The time of the last commit, in UTC, as RFC 3339 writes it.
    pub fn commit_time(&self) -> String {
        rfc3339(self.commit_time_us)
    }
}

/// How far the log is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Nothing,
    SeqNo(SeqNo),
    Time(u64),
    End,
}

/// Where a store is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Where none is; its log goes on from the backup.
    New,
    /// Within the one that is to become it, whose log goes on.
    InUse,
    /// Where it is looked at and removed: it takes no line of history.
    Rehearsal,
}

/// What a restore goes by.
pub(super) struct Plan {
    pub(super) base: BackupManifest,
    /// The line whose log leads on.
    line: u64,
    until: Until,
}

/// How far it came.
struct Reached {
    seqno: SeqNo,
    commit_time_us: u64,
    commits: u64,
}

impl Repository {
    /// Makes the store of a moment at `path`, which must be missing or empty, and leaves it closed.
    pub(super) fn restore(
        &self,
        wanted: &RestoreTarget,
        path: &Path,
        environment: &Environment,
        place: Place,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<RestoreReport> {
        let plan = self.plan(wanted)?;
        let base = &plan.base;
        let target = StoreLayout::new(path);
        let what = format!("a restore of backup {}", base.id);
        let (timeline, reached) = make_at(&*environment.vfs, &target, &what, || {
            self.fetch_all(base, &target, environment, progress)?;
            let mut manifest = manifest_of(&base.manifest);
            let seal = Seal { store: manifest.store_id, epoch: manifest.epoch };
            let max_file_bytes = Settings::default().with_pairs(&manifest.settings)?.max_wal_file_bytes;
            let (vfs, start) = (environment.vfs.clone(), manifest.checkpoint.lsn);
            let mut log = LogRebuilder::create(vfs, target.wal_dir(), seal, start, max_file_bytes)?;
            let reached = self.follow(&plan, &mut log)?;
            (manifest.proven_lsn, manifest.proven_seqno) = (log.finish()?, reached.seqno);
            // Last, so that what fails takes no line.
            let beginning = Beginning {
                parent: plan.line,
                backup_id: base.id.clone(),
                seqno: reached.seqno.0,
                lsn: (place == Place::New).then_some(start.0),
                begun_at: rfc3339(environment.clock.now_us()),
            };
            manifest.timeline = match place {
                Place::New | Place::InUse => self.begin_line(&beginning)?,
                Place::Rehearsal => beginning.parent + 1,
            };
            let first_of_line = SegmentId(manifest.timeline.saturating_mul(SEGMENTS_A_LINE));
            manifest.next_segment_id = manifest.next_segment_id.max(first_of_line);
            manifest::install(&*environment.vfs, &target, None, &manifest)?;
            Ok((manifest.timeline, reached))
        })?;
        Ok(RestoreReport {
            seqno: reached.seqno,
            commit_time_us: reached.commit_time_us,
            timeline,
            files: base.files.len() as u64,
            bytes: base.bytes,
            replayed_commits: reached.commits,
            now_seqno: reached.seqno,
            replaced: None,
            backup: None,
            backup_id: plan.base.id,
        })
    }

    /// Which backup to begin with, and what to follow from there.
    ///
    /// # Errors
    /// `NotFound` if nothing leads to that moment; `InvalidInput` if the backup that was named is of a later one.
    pub(super) fn plan(&self, wanted: &RestoreTarget) -> Result<Plan> {
        let until = match &wanted.to {
            RestorePoint::Backup => Until::Nothing,
            RestorePoint::SeqNo(seqno) => Until::SeqNo(*seqno),
            RestorePoint::Time(us) => Until::Time(*us),
            RestorePoint::Latest => Until::End,
            RestorePoint::Name(name) => return self.plan_of_name(name),
        };
        let id = wanted.backup.as_deref().or((until == Until::Nothing).then_some(LATEST));
        if let Some(id) = id {
            let base = self.read(id)?;
            if !is_before(&base, until) {
                let message = format!(
                    "backup {} is of a later moment: of commit {}, of {}",
                    base.id,
                    base.seqno(),
                    base.commit_time()
                );
                return Err(Error::invalid(message));
            }
            return Ok(Plan { line: base.manifest.timeline, base, until });
        }
        let all = self.readable()?;
        let newest = self.newest_line(&all)?;
        let (base, line) = self.base_of(newest, &all, |base| is_before(base, until))?;
        Ok(Plan { base, line, until })
    }

    fn plan_of_name(&self, name: &str) -> Result<Plan> {
        let all = self.readable()?;
        if let Some(point) = self.points()?.into_iter().find(|point| point.name == name) {
            let until = Until::SeqNo(SeqNo(point.seqno));
            let (base, line) = self.base_of(point.timeline, &all, |base| is_before(base, until))?;
            return Ok(Plan { base, line, until });
        }
        match all.into_iter().rfind(|backup| backup.name.as_deref() == Some(name)) {
            Some(base) => Ok(Plan { line: base.manifest.timeline, base, until: Until::Nothing }),
            None => {
                let message = format!("neither a restore point nor a backup is called {name}");
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }

    fn fetch_all(
        &self,
        backup: &BackupManifest,
        target: &StoreLayout,
        environment: &Environment,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<()> {
        let mut done = BackupProgress { files: (0, backup.files.len() as u64), bytes: (0, backup.bytes) };
        for file in &backup.files {
            self.fetch(file, &*environment.vfs, &file.path(target))?;
            done.files.0 += 1;
            done.bytes.0 += file.bytes;
            progress(done);
        }
        Ok(())
    }

    /// Writes the archived log behind a backup, as far as the plan goes.
    ///
    /// # Errors
    /// `Corrupt` if a piece is missing or damaged; `NotFound` if the archive ends before.
    fn follow(&self, plan: &Plan, log: &mut LogRebuilder) -> Result<Reached> {
        let base = &plan.base;
        let mut reached = Reached { seqno: base.seqno(), commit_time_us: base.commit_time_us(), commits: 0 };
        let goes_on = |reached: &Reached| match plan.until {
            Until::Nothing => false,
            Until::SeqNo(last) => reached.seqno < last,
            Until::Time(_) | Until::End => true,
        };
        if !goes_on(&reached) {
            return Ok(reached);
        }
        let pieces = self.pieces(plan.line)?;
        let first = pieces.partition_point(|first| *first <= log.end()).saturating_sub(1);
        for first in &pieces[first.min(pieces.len())..] {
            let piece = self.piece(plan.line, *first)?;
            if piece.head.end <= log.end() {
                continue;
            }
            for group in piece.groups() {
                let group = group?;
                if group.start < log.end() {
                    continue; // Of before the backup.
                }
                if group.start > log.end() {
                    let message = format!(
                        "the archive of line {} has a gap: nothing from Lsn {} to {}; the last commit before it is {}",
                        plan.line,
                        log.end(),
                        group.start,
                        reached.seqno
                    );
                    return Err(Error::new(ErrorKind::Corrupt, message));
                }
                let kept = reached.take(&group.records, plan.until)?;
                if kept > 0 {
                    log.append(group.start, group.records[..kept].iter().copied())?;
                }
                if kept < group.records.len() || !goes_on(&reached) {
                    return Ok(reached);
                }
            }
            if log.end() != piece.head.end {
                return Err(Error::new(ErrorKind::Corrupt, "a piece of the log ends where it does not say"));
            }
        }
        match plan.until {
            Until::SeqNo(last) => {
                let message = format!(
                    "the archive of line {} ends at commit {}, before {last}",
                    plan.line, reached.seqno
                );
                Err(Error::new(ErrorKind::NotFound, message))
            }
            Until::Nothing | Until::Time(_) | Until::End => Ok(reached),
        }
    }
}

impl Reached {
    /// Goes through the records of the next group; how many of them lie before the end.
    fn take(&mut self, records: &[(u16, &[u8])], until: Until) -> Result<usize> {
        let mut kept = 0;
        for (at, (kind, payload)) in records.iter().enumerate() {
            if let Some(commit) = commit_head(*kind, payload)? {
                let is_behind = match until {
                    Until::SeqNo(last) => commit.seqno > last,
                    Until::Time(us) => commit.commit_time_us > us,
                    Until::Nothing | Until::End => false,
                };
                if is_behind {
                    return Ok(kept);
                }
                if commit.seqno != self.seqno.next() {
                    let message = format!("commit {} follows {} in the archive", commit.seqno, self.seqno);
                    return Err(Error::new(ErrorKind::Corrupt, message));
                }
                (self.seqno, self.commit_time_us) = (commit.seqno, commit.commit_time_us);
                self.commits += 1;
            }
            // Parts go with what they are parts of.
            if !is_part(*kind) {
                kept = at + 1;
            }
        }
        Ok(records.len())
    }
}

fn is_before(base: &BackupManifest, until: Until) -> bool {
    match until {
        Until::Nothing | Until::End => true,
        Until::SeqNo(last) => base.seqno() <= last,
        Until::Time(us) => base.commit_time_us() <= us,
    }
}

/// The first manifest of a restored store: all of the backup's checkpoint. Pins of the change feed are of the old line of
/// history.
fn manifest_of(source: &Manifest) -> Manifest {
    let mut restored = Manifest { epoch: source.epoch.next(), ..source.successor() };
    restored.clear_pins();
    restored
}
