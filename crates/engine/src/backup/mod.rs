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
mod repair;
mod repository;
mod restore;
mod verify;

use std::path::{Path, PathBuf};

use codegraph_vector_base::{Result, StoreId};

pub use create::{BackupOptions, BackupProgress, BackupReport};
pub use format::{BackupFile, BackupManifest};
pub use prune::{PruneOptions, PruneReport, Retention};
pub(crate) use repair::BackupsAt;
pub use restore::RestoreReport;
pub use verify::{BackupCheck, BackupCheckReport};

use crate::job::Job;
use crate::options::{Environment, OpenOptions};
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

    /// The backups of this store.
    ///
    /// # Errors
    /// `Unsupported` if they are in a place that is not built in.
    pub fn all_backups(&self) -> Result<Backups> {
        Ok(Backups { repository: self.repository()?, environment: self.core.environment.clone() })
    }

    /// Whether a backup can be restored; `latest` is the newest.
    ///
    /// # Errors
    /// As [`Backups::verify`].
    pub fn verify_backup(&self, id: &str, check: BackupCheck) -> Result<BackupCheckReport> {
        self.all_backups()?.verify(id, check)
    }

    /// All backups of this store, oldest first.
    ///
    /// # Errors
    /// As [`Backups::list`].
    pub fn list_backups(&self) -> Result<Vec<(String, Result<BackupManifest>)>> {
        self.all_backups()?.list()
    }

    /// Removes backups that need not be kept, and objects that no backup names.
    ///
    /// # Errors
    /// As [`Backups::prune`].
    pub fn prune_backups(&self, retention: &Retention, options: PruneOptions) -> Result<PruneReport> {
        self.all_backups()?.prune(retention, options)
    }

    /// Makes a store again from a backup, at `path`, which must be missing or empty, and opens it; see [`Backups::restore`].
    ///
    /// # Errors
    /// As [`Backups::open`] and [`Backups::restore`].
    pub fn restore(
        backups: impl AsRef<Path>,
        id: &str,
        path: impl AsRef<Path>,
        options: OpenOptions,
    ) -> Result<(Self, RestoreReport)> {
        let backups = Backups::open(backups, None, options.environment.clone())?;
        backups.restore(id, path, options, &mut |_| ())
    }

    fn repository(&self) -> Result<Repository> {
        Repository::open(&self.backups, self.core.store_id, &self.core.environment)
    }
}

/// The backups of one store, whether or not it is still there.
#[derive(Clone, Debug)]
pub struct Backups {
    repository: Repository,
    environment: Environment,
}

impl Backups {
    /// Those in a place, a folder or URL: of the store with that id, or of the only one that has some there.
    ///
    /// # Errors
    /// `NotFound` if there are none; `InvalidInput` if several stores have some, and none was named; `Unsupported` for a place
    /// that is not built in.
    pub fn open(place: impl AsRef<Path>, store: Option<StoreId>, environment: Environment) -> Result<Self> {
        let repository = match store {
            Some(store) => Repository::open(place.as_ref(), store, &environment)?,
            None => Repository::of_only_store(place.as_ref(), &environment)?,
        };
        Ok(Self { repository, environment })
    }

    /// All of them, oldest first. One that cannot be read is an error in its place, with its id.
    ///
    /// # Errors
    /// What the target says.
    pub fn list(&self) -> Result<Vec<(String, Result<BackupManifest>)>> {
        self.repository.all()
    }

    /// Whether one can be restored; `latest` is the newest.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id; what keeps it from being looked at. What is wrong with it is in the report.
    pub fn verify(&self, id: &str, check: BackupCheck) -> Result<BackupCheckReport> {
        self.repository.verify(id, check)
    }

    /// Removes those that need not be kept, and objects that none names.
    ///
    /// # Errors
    /// `InvalidInput` if nothing says what to keep; `Busy` while a backup is made; `Corrupt` if the manifest of one cannot be read.
    pub fn prune(&self, retention: &Retention, options: PruneOptions) -> Result<PruneReport> {
        self.repository.prune(&self.environment, retention, options)
    }

    /// Removes one, whatever its name, and the objects that no other names.
    ///
    /// # Errors
    /// `NotFound`; as [`prune`](Self::prune).
    pub fn delete(&self, id: &str) -> Result<PruneReport> {
        self.repository.delete(&self.environment, id)
    }

    /// Makes the store again at `path`, which must be missing or empty, and opens it; `latest` is the newest backup. `progress` is
    /// told after each file.
    ///
    /// The store has the identity of the one that was backed up, and goes on along a new
    /// [timeline](crate::StorageHeader::timeline). Prepared transactions are in doubt as they were.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` if there is something at `path`; `Corrupt` if an object is not what was put: nothing is at `path` then.
    pub fn restore(
        &self,
        id: &str,
        path: impl AsRef<Path>,
        options: OpenOptions,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<(PersistentVectorStore, RestoreReport)> {
        let report = self.repository.restore(id, path.as_ref(), &self.environment, progress)?;
        let store = PersistentVectorStore::open(path, OpenOptions { must_exist: true, ..options })?;
        Ok((store, report))
    }
}

/// Where the backups of a store at `path` are unless something else is said.
pub fn backups_of(path: impl AsRef<Path>) -> PathBuf {
    default_backups(path.as_ref())
}
