//! Backups: a store's checkpoints kept elsewhere, and made into stores again.
//!
//! Read in this order: [`format`] (what a backup is), [`repository`] (what there is in a target), [`create`], [`archive`] and [`piece`]
//! (the log behind the backups), [`lines`] (lines of history), [`restore`], [`verify`], [`prune`] and [`claims`] (what goes, and who has to
//! wait).
//!
//! Under the target, everything of a store lies under its id:
//!
//! | name | what |
//! | --- | --- |
//! | `<time>-<seqno>.backup` | a backup's manifest, which comes last |
//! | `objects/<BLAKE3>` | segments and deaths, by content |
//! | `wal/<timeline>/begin` | who took that line of history, and where it branched off |
//! | `wal/<timeline>/<lsn>.log` | the log of that line, piece by piece |
//! | `points/<name>` | places in history with a name |
//! | `claims/…` | who is at the objects now |
//! | `catalog.json` | all backups, for those who cannot list |

mod archive;
mod claims;
mod create;
mod envelope;
mod format;
mod lines;
mod live;
mod piece;
mod prune;
mod repair;
mod repository;
mod restore;
mod verify;

use std::path::{Path, PathBuf};

use codegraph_vector_base::{Result, SeqNo, StoreId};

pub use archive::ArchiveStatistics;
pub(crate) use archive::Archiver;
pub use create::{BackupOptions, BackupProgress, BackupReport};
pub use format::{BackupFile, BackupManifest};
pub use lines::NamedPoint;
pub use live::LiveRestoreOptions;
pub use prune::{PruneOptions, PruneReport, Retention};
pub(crate) use repository::Repository;
use restore::Place;
pub use restore::{RestorePoint, RestoreReport, RestoreTarget};
pub use verify::{BackupCheck, BackupCheckReport, RehearsalReport};

use crate::job::Job;
use crate::options::{Environment, OpenOptions};
use crate::persistent::{PersistentVectorStore, default_backups};

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
        self.core.create_backup(self.core.repository()?, options)
    }

    /// The backups of this store.
    ///
    /// # Errors
    /// `Unsupported` if they are in a place that is not built in.
    pub fn all_backups(&self) -> Result<Backups> {
        Ok(Backups {
            repository: self.core.repository()?.clone(),
            environment: self.core.environment.clone(),
        })
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
        target: impl Into<RestoreTarget>,
        path: impl AsRef<Path>,
        options: OpenOptions,
    ) -> Result<(Self, RestoreReport)> {
        let backups = Backups::open(backups, None, options.environment.clone())?;
        backups.restore(target, path, options, &mut |_| ())
    }

    /// Makes this store what it was when a backup was made; `latest` is the newest. See [`restore_to`](Self::restore_to).
    pub fn restore_from_backup(&self, id: &str) -> Job<RestoreReport> {
        self.restore_to(id)
    }

    /// Makes this store what it was: as a backup has it, or at any [moment](RestorePoint) that the archived log leads to. Reads go on,
    /// and see one or the other; what they hold stays. Open transactions are rolled back, and writes wait at the end.
    ///
    /// All of it is fetched, replayed and verified within the store's folder before anything changes; then one switch of manifests makes
    /// it the store. What it replaces is kept, with links to its files, as a store of its own ([`RestoreReport::replaced`]), until
    /// [`discard_replaced`](Self::discard_replaced). The restored state counts as a new commit, on a new
    /// [timeline](crate::StorageHeader::timeline): a SeqNo never means two states, and who follows the changes is told to copy the store
    /// anew. Settings stay as they are; properties are those of the backup.
    ///
    /// Dropping the job does not cancel it.
    pub fn restore_to(&self, target: impl Into<RestoreTarget>) -> Job<RestoreReport> {
        let (store, target) = (self.clone(), target.into());
        Job::run(move || store.restore_with(&target, &LiveRestoreOptions::default()))
    }

    /// The same with options, waiting for it.
    ///
    /// # Errors
    /// As [`Backups::restore`]; `Conflict` if prepared transactions are in doubt; `Busy` while another restore is under way. But for
    /// a switch of manifests that failed with `OutcomeUnknown`, the store is what it was.
    pub fn restore_with(
        &self,
        target: &RestoreTarget,
        options: &LiveRestoreOptions,
    ) -> Result<RestoreReport> {
        self.core.restore_live(target, options)
    }

    /// Removes what restores of this store have replaced; how many states that were.
    ///
    /// # Errors
    /// What the file system says.
    pub fn discard_replaced(&self) -> Result<u64> {
        self.core.discard_replaced()
    }

    /// Makes all that is committed durable, and puts what the archive of the log lacks there; the last commit that it has. The
    /// setting [`archive`](crate::Settings::archive) has that done in the background.
    ///
    /// # Errors
    /// `Conflict` if another store archives on this line of history; what the target says.
    pub fn archive_log(&self) -> Result<SeqNo> {
        self.core.archive_log()
    }

    /// Gives the present moment a name, by which the store can be restored to it ([`RestorePoint::Name`]) until the name is
    /// [deleted](Backups::delete_point). The log up to it is archived when this returns.
    ///
    /// # Errors
    /// `InvalidInput` if the name is taken, or the log is not archived; as [`archive_log`](Self::archive_log).
    pub fn create_restore_point(&self, name: &str) -> Result<NamedPoint> {
        self.core.create_restore_point(name)
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

    /// Restores to `folder`, which must be missing or empty, looks at every byte and row of what came of it, and removes it again.
    /// Nothing is written where the backups are.
    ///
    /// # Errors
    /// `NotFound` if there is no such backup or moment; `InvalidInput` if there is something at `folder`. What is wrong with the
    /// backup or the archive is in the report.
    pub fn rehearse(
        &self,
        target: impl Into<RestoreTarget>,
        folder: impl AsRef<Path>,
    ) -> Result<RehearsalReport> {
        self.repository.rehearse(&target.into(), folder.as_ref(), &self.environment)
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

    /// The last commit in the archive of the line of history that was committed to last; `None` if nothing of it is archived.
    ///
    /// # Errors
    /// What the target says.
    pub fn archived_seqno(&self) -> Result<Option<SeqNo>> {
        self.repository.archived_seqno()
    }

    /// All restore points, by name.
    ///
    /// # Errors
    /// What the target says; `Corrupt`.
    pub fn points(&self) -> Result<Vec<NamedPoint>> {
        self.repository.points()
    }

    /// Forgets a restore point; `false` if there was none of this name.
    ///
    /// # Errors
    /// What the target says.
    pub fn delete_point(&self, name: &str) -> Result<bool> {
        self.repository.delete_point(name)
    }

    /// Makes the store again at `path`, which must be missing or empty, and opens it: as a backup has it, by its id (`latest` is
    /// the newest), or of any [moment](RestorePoint) that the archived log leads to. `progress` is told after each file.
    ///
    /// ```
    /// # fn main() -> codegraph_vector::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// use codegraph_vector::{BackupOptions, CodeNode, OpenOptions, PersistentVectorStore, RestorePoint};
    ///
    /// let store = PersistentVectorStore::new(folder.path().join("s"), folder.path().join("b"), 2)?;
    /// store.configure(|settings| settings.archive.enabled = true)?;
    /// store.create_backup_with(&BackupOptions::default())?;
    /// let good = store.put(CodeNode::new(7, vec![0.5, 1.0]))?;
    /// store.delete(7)?; // A mistake.
    /// store.archive_log()?;
    /// let moment = RestorePoint::SeqNo(good.receipt.seqno);
    /// let path = folder.path().join("again");
    /// let (again, _) =
    ///     PersistentVectorStore::restore(folder.path().join("b"), moment, path, OpenOptions::default())?;
    /// assert!(again.get(7)?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The store has the identity of the one that was backed up, and goes on along a new
    /// [timeline](crate::StorageHeader::timeline). Prepared transactions are in doubt as they were.
    ///
    /// # Errors
    /// `NotFound`, also if the archive does not reach that moment; `InvalidInput` if there is something at `path`; `Corrupt` if an
    /// object is not what was put, or the archive has a gap: nothing is at `path` then.
    pub fn restore(
        &self,
        target: impl Into<RestoreTarget>,
        path: impl AsRef<Path>,
        options: OpenOptions,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<(PersistentVectorStore, RestoreReport)> {
        let report = self.repository.restore(
            &target.into(),
            path.as_ref(),
            &self.environment,
            Place::New,
            progress,
        )?;
        let backups = options.backups.or_else(|| Some(self.repository.place()));
        let store = PersistentVectorStore::open(path, OpenOptions { must_exist: true, backups, ..options })?;
        Ok((store, report))
    }
}

/// For the fuzzer: any bytes as each kind of file that a target has, sealed and, so that a hash keeps nothing out, bare.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn decode_any(bytes: &[u8]) {
    let sealed = format::BackupManifest::seal_bytes(bytes);
    for bytes in [bytes, &sealed] {
        if let Ok(backup) = BackupManifest::decode(bytes) {
            let again = backup.encode().and_then(|bytes| BackupManifest::decode(&bytes));
            assert_eq!(again.ok(), Some(backup), "a manifest does not survive");
        }
    }
    piece::decode_any(bytes);
}

/// For the fuzzer's corpus: one of each kind of file, sealed and bare.
#[cfg(test)]
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let (piece, backup) = (piece::sample(), format::sample().encode().expect("encoded"));
    let bare = |sealed: &[u8]| sealed[envelope::HEAD_BYTES..].to_vec();
    let groups = piece[piece.len() - 30..].to_vec();
    vec![bare(&piece), groups, piece, bare(&backup), backup]
}

/// Where the backups of a store at `path` are unless something else is said.
pub fn backups_of(path: impl AsRef<Path>) -> PathBuf {
    default_backups(path.as_ref())
}
