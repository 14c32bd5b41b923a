//! Backups: a store's checkpoints kept elsewhere, and made into stores again.
//!
//! Read in this order: [`format`] (what a backup is), [`repository`] (what there is in a target), [`create`], [`restore`], [`verify`],
//! [`prune`] and [`claims`] (what goes, and who has to wait).
//!
//! Under the target, everything of a store lies under its id:
//!
//! | name | what |
//! | --- | --- |
//! | `<time>-<seqno>.backup` | a backup's manifest, which comes last |
//! | `objects/<BLAKE3>` | segments and deaths, by content |
//! | `wal/<timeline>/begin` | who took that line of history, and where it branched off |
//! | `claims/…` | who is at the objects now |
//! | `catalog.json` | all backups, for those who cannot list |

mod claims;
mod create;
mod format;
mod prune;
mod repository;
mod restore;
mod verify;

use std::path::{Path, PathBuf};

use codegraph_vector_base::Result;

pub use create::{BackupOptions, BackupProgress, BackupReport};
pub use format::{BackupFile, BackupManifest};
pub use prune::{PruneOptions, PruneReport, Retention};
pub use restore::RestoreReport;
pub use verify::{BackupCheck, BackupCheckReport};

use crate::job::Job;
use crate::options::OpenOptions;
use crate::persistent::{PersistentVectorStore, default_backups};
use repository::Repository;

impl PersistentVectorStore {
    /// Makes a backup of everything that is committed, and gives the path of its manifest. Writes go on meanwhile. What
    /// an earlier backup has is not put again.
    ///
    /// ```
    /// # fn main() -> codegraph_vector::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// use codegraph_vector::{BackupOptions, CodeNode, OpenOptions, PersistentVectorStore};
    ///
    /// let store = PersistentVectorStore::new(folder.path().join("s"), folder.path().join("b"), 2)?;
    /// store.put(CodeNode::new(7, vec![0.5, 1.0]))?;
    /// let backup = store.create_backup_with(&BackupOptions::default())?;
    /// store.delete(7)?;
    /// let path = folder.path().join("again");
    /// let (again, _) = PersistentVectorStore::restore(
    ///     folder.path().join("b"), &backup.backup_id, path, OpenOptions::default(),
    /// )?;
    /// assert!(again.get(7)?.is_some() && store.get(7)?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_backup(&self) -> Job<PathBuf> {
        let store = self.clone();
        Job::run(move || Ok(store.create_backup_with(&BackupOptions::default())?.path))
    }

    /// The same with options, waiting for it.
    ///
    /// # Errors
    /// `Busy` while backups are pruned; those of a flush; what the target says.
    pub fn create_backup_with(&self, options: &BackupOptions) -> Result<BackupReport> {
        self.core.create_backup(&self.repository()?, options)
    }

    /// All backups of this store, oldest first. One that cannot be read is an error in its place, with its id.
    ///
    /// # Errors
    /// What the target says.
    pub fn list_backups(&self) -> Result<Vec<(String, Result<BackupManifest>)>> {
        self.repository()?.all()
    }

    /// Whether a backup can be restored; `latest` is the newest.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id; what keeps it from being looked at. What is wrong with it is in the report.
    pub fn verify_backup(&self, id: &str, check: BackupCheck) -> Result<BackupCheckReport> {
        self.repository()?.verify(id, check)
    }

    /// Removes backups that need not be kept, and objects that no backup names.
    ///
    /// # Errors
    /// `InvalidInput` if nothing says what to keep; `Busy` while a backup is made; `Corrupt` if the manifest of one cannot be read.
    pub fn prune_backups(&self, retention: &Retention, options: PruneOptions) -> Result<PruneReport> {
        self.repository()?.prune(&self.core.environment, retention, options)
    }

    /// Removes one backup, whatever its name, and the objects that no other names.
    ///
    /// # Errors
    /// `NotFound`; as [`prune_backups`](Self::prune_backups).
    pub fn delete_backup(&self, id: &str) -> Result<PruneReport> {
        self.repository()?.delete(&self.core.environment, id)
    }

    /// Makes a store again from a backup in `backups`, which holds those of one store, at `path`, which must be missing or empty,
    /// and opens it. `latest` is the newest backup.
    ///
    /// The store has the identity of the one that was backed up, and goes on along a new
    /// [timeline](crate::StorageHeader::timeline). Prepared transactions are in doubt as they were.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` if there is something at `path`; `Corrupt` if an object is not what was put: nothing is at `path` then.
    pub fn restore(
        backups: impl AsRef<Path>,
        id: &str,
        path: impl AsRef<Path>,
        options: OpenOptions,
    ) -> Result<(Self, RestoreReport)> {
        Self::restore_with(backups, id, path, options, &mut |_| ())
    }

    /// The same, telling how far it is.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn restore_with(
        backups: impl AsRef<Path>,
        id: &str,
        path: impl AsRef<Path>,
        options: OpenOptions,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<(Self, RestoreReport)> {
        let repository = Repository::of_only_store(backups.as_ref(), &options.environment)?;
        let report = repository.restore(id, path.as_ref(), &options.environment, progress)?;
        let store = Self::open(path, OpenOptions { must_exist: true, ..options })?;
        Ok((store, report))
    }

    fn repository(&self) -> Result<Repository> {
        Repository::open(&self.backups, self.core.store_id, &self.core.environment)
    }
}

/// Where the backups of a store at `path` are unless something else is said.
pub fn backups_of(path: impl AsRef<Path>) -> PathBuf {
    default_backups(path.as_ref())
}
