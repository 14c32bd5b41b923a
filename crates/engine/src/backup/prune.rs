//! Which backups are kept, and which objects nobody needs any more.
//!
//! Manifests go first, then the objects that none of those which are left names; so what is cut short leaves whole backups, and
//! objects for the next prune. Whoever makes a backup meanwhile counts on objects that may be about to go: see `claims.rs`.

use std::collections::HashSet;

use codegraph_vector_base::{Error, ErrorKind, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::claims::{Claim, Who};
use super::format::BackupManifest;
use super::repository::Repository;
use crate::options::Environment;

/// Which backups to keep: those that any of these asks for. The newest, those with a name, and those that lead to a restore
/// point are kept whatever it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// So many of the newest.
    pub last: usize,
    /// Those that are not older, in µs.
    pub max_age_us: Option<u64>,
    /// The newest of each of so many days (UTC) that have one.
    pub daily: usize,
    /// The same of weeks, which begin on Monday.
    pub weekly: usize,
    /// The same of months.
    pub monthly: usize,
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Backups that stay, oldest first.
    pub kept: Vec<String>,
    /// Backups that go.
    pub deleted: Vec<String>,
    /// Objects that go.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Pieces of the archived log that go: nothing that stays leads to them.
    pub pieces: u64,
}

/// How backups are pruned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneOptions {
    /// Nothing is removed, only told.
    pub dry_run: bool,
    /// Backups under way are taken for killed.
    pub force: bool,
}

impl Repository {
    /// Removes backups that need not be kept, and objects that no backup names.
    ///
    /// # Errors
    /// `InvalidInput` if the retention keeps nothing; `Busy` while a backup is made; `Corrupt` if a manifest cannot be read: what
    /// it names is not known then.
    pub(crate) fn prune(
        &self,
        environment: &Environment,
        retention: &Retention,
        options: PruneOptions,
    ) -> Result<PruneReport> {
        if *retention == Retention::default() {
            return Err(Error::invalid(
                "this keeps no backup; say how many, how long, or one of each day, week or month",
            ));
        }
        let now_us = environment.clock.now_us();
        self.remove(environment, options, |all| {
            let mut keeps = kept(all, retention, now_us);
            let needed = self.needed_bases(all)?;
            for (backup, keeps) in all.iter().zip(&mut keeps) {
                *keeps |= needed.contains(&backup.id);
            }
            Ok(keeps)
        })
    }

    /// Removes one backup, with a name or not, and the objects that no other names.
    ///
    /// # Errors
    /// `NotFound`; as [`prune`](Self::prune).
    pub(crate) fn delete(&self, environment: &Environment, id: &str) -> Result<PruneReport> {
        let wanted = self.ids()?.into_iter().find(|known| known == id);
        let wanted =
            wanted.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no backup {id}")))?;
        self.remove(environment, PruneOptions::default(), |all| {
            Ok(all.iter().map(|backup| backup.id != wanted).collect())
        })
    }

    fn remove(
        &self,
        environment: &Environment,
        options: PruneOptions,
        keeps: impl FnOnce(&[BackupManifest]) -> Result<Vec<bool>>,
    ) -> Result<PruneReport> {
        let claim = (!options.dry_run).then(|| Claim::take(self, environment, Who::Prune, !options.force));
        let _claim = claim.transpose()?;
        let begun_us = environment.clock.now_us();
        let all = self.all()?.into_iter().map(|(_, backup)| backup).collect::<Result<Vec<_>>>()?;
        let keeps = keeps(&all)?;
        let of = |stays: bool| {
            all.iter().zip(&keeps).filter(move |(_, keeps)| **keeps == stays).map(|(backup, _)| backup)
        };
        let mut report = PruneReport {
            kept: of(true).map(|backup| backup.id.clone()).collect(),
            deleted: of(false).map(|backup| backup.id.clone()).collect(),
            ..PruneReport::default()
        };
        let named: HashSet<String> =
            of(true).flat_map(|backup| &backup.files).map(|file| self.object_name(&file.hash)).collect();
        let stays: Vec<BackupManifest> = of(true).cloned().collect();
        let pieces = self.pieces_to_remove(&stays)?;
        report.pieces = pieces.len() as u64;
        let objects = self.target.list(&self.name("objects/"))?.objects;
        let unnamed: Vec<_> = objects.iter().filter(|object| !named.contains(&object.name)).collect();
        (report.objects, report.bytes) =
            (unnamed.len() as u64, unnamed.iter().map(|object| object.bytes).sum());
        if options.dry_run {
            return Ok(report);
        }
        if !options.force {
            // Nobody else is at it.
            ["objects/", ""].iter().try_for_each(|folder| self.target.sweep(&self.name(folder)))?;
        }
        report.deleted.iter().try_for_each(|id| self.target.delete(&self.backup_name(id)))?;
        pieces.iter().try_for_each(|name| self.target.delete(name))?;
        for object in unnamed {
            if environment.clock.now_us().saturating_sub(begun_us) > Who::Prune.counts_for_us() / 2 {
                let message = "this took too long, as backups have to wait for it; run it again for the rest";
                return Err(Error::new(ErrorKind::Busy, message));
            }
            self.target.delete(&object.name)?;
        }
        self.write_catalog()?;
        Ok(report)
    }
}

impl Repository {
    /// Pieces of the log from which no backup that stays leads on.
    fn pieces_to_remove(&self, stays: &[BackupManifest]) -> Result<Vec<String>> {
        let mut pieces = Vec::new();
        for line in self.lines()? {
            let floor = self.bases(line, stays)?.iter().map(|base| base.manifest.checkpoint.lsn).min();
            pieces.extend(self.unneeded_pieces(line, floor)?);
        }
        Ok(pieces)
    }
}

/// Of each backup, oldest first, whether it stays.
fn kept(all: &[BackupManifest], retention: &Retention, now_us: u64) -> Vec<bool> {
    let mut keeps: Vec<bool> = all
        .iter()
        .enumerate()
        .map(|(at, backup)| {
            let age = now_us.saturating_sub(backup.created_us);
            at + retention.last.max(1) >= all.len()
                || backup.name.is_some()
                || retention.max_age_us.is_some_and(|most| age <= most)
        })
        .collect();
    type Period = fn(Timestamp) -> String;
    let periods: [(usize, Period); 3] = [
        (retention.daily, |time| time.strftime("%Y-%m-%d").to_string()),
        (retention.weekly, |time| {
            let week = time.to_zoned(TimeZone::UTC).date().iso_week_date();
            format!("{}-{}", week.year(), week.week())
        }),
        (retention.monthly, |time| time.strftime("%Y-%m").to_string()),
    ];
    for (count, period) in periods {
        let (mut periods, mut last) = (0, None);
        for (backup, keeps) in all.iter().zip(&mut keeps).rev() {
            let now = Timestamp::from_microsecond(backup.created_us as i64).map(period).ok();
            if periods < count && now != last {
                periods += 1;
                *keeps = true;
            }
            last = now;
        }
    }
    keeps
}

#[cfg(test)]
#[path = "prune_tests.rs"]
mod tests;
