//! Making a store again out of a backup.
//!
//! What always holds:
//! - the folder opens as a store only once it is the whole backup: every file is held against its hash on the way, and the
//!   manifest comes last; what was cut short is done again by the same call (`store/vacant.rs`);
//! - opening it recounts its rows, and holds them against what the backup says of them;
//! - it goes on along a timeline of its own, which nobody else takes, so that two restores of a backup never mix.

use std::path::Path;

use codegraph_vector_base::frame::Seal;
use codegraph_vector_base::{Result, SeqNo};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::{self, Manifest};
use codegraph_vector_storage::wal::Appender;

use super::create::BackupProgress;
use super::format::BackupManifest;
use super::repository::{Repository, rfc3339};
use crate::options::{Environment, Settings};
use crate::store::make_at;

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
}

impl RestoreReport {
    /// The time of the last commit, in UTC, as RFC 3339 writes it.
    pub fn commit_time(&self) -> String {
        rfc3339(self.commit_time_us)
    }
}

impl Repository {
    /// Makes the store of a backup at `path`, which must be missing or empty, and leaves it closed.
    pub(crate) fn restore(
        &self,
        id: &str,
        path: &Path,
        environment: &Environment,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<RestoreReport> {
        let backup = self.read(id)?;
        let target = StoreLayout::new(path);
        let what = format!("a restore of backup {}", backup.id);
        let timeline = make_at(&*environment.vfs, &target, &what, || {
            self.fetch_all(&backup, &target, environment, progress)?;
            let timeline = self.begin_timeline(&backup, environment.clock.now_us())?;
            let manifest = manifest_of(&backup.manifest, timeline);
            let seal = Seal { store: manifest.store_id, epoch: manifest.epoch };
            let max_file_bytes = Settings::default().with_pairs(&manifest.settings)?.max_wal_file_bytes;
            let start = manifest.checkpoint.lsn;
            Appender::create_at(environment.vfs.clone(), target.wal_dir(), seal, start, max_file_bytes)?;
            manifest::install(&*environment.vfs, &target, None, &manifest)?;
            Ok(timeline)
        })?;
        Ok(RestoreReport {
            seqno: backup.seqno(),
            commit_time_us: backup.commit_time_us(),
            timeline,
            files: backup.files.len() as u64,
            bytes: backup.bytes,
            backup_id: backup.id,
        })
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
}

/// The first manifest of a restored store: all of the backup's checkpoint, and an empty log behind it. Pins of the change
/// feed are of the old line of history.
fn manifest_of(source: &Manifest, timeline: u64) -> Manifest {
    let mut restored = Manifest {
        timeline,
        proven_lsn: source.checkpoint.lsn,
        proven_seqno: source.checkpoint.seqno,
        epoch: source.epoch.next(),
        ..source.successor()
    };
    let pins: Vec<String> = source.pins().map(|(name, _)| name.to_owned()).collect();
    pins.iter().for_each(|name| restored.set_pin(name, None));
    restored
}
