//! Many stores under one limit: [`StoreSet`].
//!
//! What always holds:
//! - a store is open at most once here, however many touch it at once, and whoever touches one that is being closed waits
//!   until it is, and then opens it again;
//! - a store that somebody uses is not closed: a handle, snapshot, transaction or whatever else holds one pins it;
//! - what was acknowledged is in the store when it is opened again: closing is [`PersistentVectorStore::close`];
//! - no lock is held while a store is opened, closed or flushed, so that nobody waits for another's store but who has to
//!   open one where there is no room.
//!
//! `slots` is what there is, `keep` what is done.

mod config;
mod keep;
mod relief;
mod remove;
mod slots;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector_base::{Error, ErrorKind, Result};
use codegraph_vector_storage::StoreLayout;

pub use config::{StoreSetConfig, StoreSetStatistics};

use crate::options::OpenOptions;
use crate::persistent::{PersistentVectorStore, default_backups};
use keep::{How, Kept};

/// Longest name of a store in a set, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// The end of the names of folders with backups, which no store may have.
const BACKUPS_SUFFIX: &str = ".backups";

/// A folder of stores, each in a folder of its own, that are opened when they are used: as many as there are, under one limit
/// for memory, open files and threads. Those that nobody uses are closed when there are too many, the least recently used
/// first. Cloning gives another handle on the same set.
///
/// ```
/// # fn main() -> codegraph_vector::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// use codegraph_vector::{CodeNode, SearchRequest, StoreSet, StoreSetConfig};
///
/// let set = StoreSet::new(folder.path(), StoreSetConfig { max_open_stores: 100, ..StoreSetConfig::default() })?;
/// set.create("crate-serde", |options| options.dimension = Some(3))?;
/// set.store("crate-serde")?.put(CodeNode::new(7, vec![0.1, 0.2, 0.3]))?;
/// let found = set.store("crate-serde")?.search(&SearchRequest::new([0.1, 0.2, 0.3], 10))?;
/// assert_eq!(found.matches[0].node_id, 7);
/// assert_eq!(set.list()?, ["crate-serde"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StoreSet {
    kept: Arc<Kept>,
}

impl std::fmt::Debug for StoreSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSet").field("root", &self.kept.root).finish_non_exhaustive()
    }
}

impl StoreSet {
    /// A set of the stores in the folder `root`, which is made when the first store is. Nothing is opened yet.
    ///
    /// # Errors
    /// `InvalidInput` names the limit that cannot be.
    pub fn new(root: impl Into<PathBuf>, config: StoreSetConfig) -> Result<Self> {
        Ok(Self { kept: Kept::new(root.into(), config)? })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.kept.root
    }

    /// The store of that name, opened if it is not. It stays open while the handle, or whatever was made from it, is there; a
    /// handle costs little to get, so keep none longer than a piece of work takes.
    ///
    /// Waits while the store is being opened or closed by somebody else, and, to open one where as many are open as may be, until
    /// one is closed that nobody uses. If all are in use, one more is opened.
    ///
    /// # Errors
    /// `NotFound` if there is none; `InvalidInput` for what cannot be a name; those of
    /// [`PersistentVectorStore::open`], which are told and not remembered: the next call tries again.
    pub fn store(&self, name: &str) -> Result<PersistentVectorStore> {
        self.kept.touch(self.path(name)?, How::Existing)
    }

    /// The same of a store anywhere, by its folder. A folder has to be told in the same way each time.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    pub fn store_at(&self, folder: impl Into<PathBuf>) -> Result<PersistentVectorStore> {
        self.kept.touch(folder.into(), How::Existing)
    }

    /// Makes a store of that name, by the set's options as `change` leaves them; it needs a dimension. What those options say of
    /// the environment is the set's.
    ///
    /// # Errors
    /// `AlreadyExists` if there is one; `InvalidInput` for what cannot be a name; those of [`PersistentVectorStore::open`].
    pub fn create(&self, name: &str, change: impl FnOnce(&mut OpenOptions)) -> Result<PersistentVectorStore> {
        let path = self.path(name)?;
        let mut options = self.kept.config.options.clone();
        change(&mut options);
        options.environment = self.kept.config.options.environment.clone();
        self.kept.touch(path, How::New(Box::new(options)))
    }

    /// Names of the stores in the folder, open or not, in order.
    ///
    /// # Errors
    /// What the file system says, but that there is no folder.
    pub fn list(&self) -> Result<Vec<String>> {
        let vfs = &*self.kept.config.options.environment.vfs;
        let mut names = match vfs.list(self.root()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            listed => listed?,
        };
        let mut failed = None;
        names.retain(|name| {
            check_name(name).is_ok()
                && StoreLayout::new(self.root().join(name)).is_store(vfs).unwrap_or_else(|error| {
                    // A file is none, and one that is being removed is none any more.
                    if vfs.list(&self.root().join(name)).is_ok() {
                        failed = Some(error);
                    }
                    false
                })
        });
        failed.map_or(Ok(names), Err)
    }

    /// Closes the store of that name for all who use it, if it is open. The next touch opens it again.
    ///
    /// # Errors
    /// `InvalidInput` for what cannot be a name; those of [`PersistentVectorStore::close`]: it is closed all the same.
    pub fn close(&self, name: &str) -> Result<()> {
        self.kept.close(&self.path(name)?)
    }

    /// The same for all that are open; it waits for those that are being closed in the background. When the last handle of the set
    /// goes, those that nobody uses are closed as well, but perhaps by such work, a moment later; the others are closed by who uses
    /// them last.
    ///
    /// # Errors
    /// The first that closing one of them gave. All are closed all the same.
    pub fn close_all(&self) -> Result<()> {
        self.kept.close_all()
    }

    /// Closes the store of that name for all who use it, and removes it with everything in its folder; not its backups. At any
    /// moment, and after a crash, it is there as a whole or not at all.
    ///
    /// # Errors
    /// `NotFound` if there is none; `InvalidInput` for what cannot be a name; what the file system says: the store may be gone
    /// all the same, which [`list`](Self::list) tells.
    pub fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.kept.remove(name)
    }

    /// Numbers about the set.
    pub fn statistics(&self) -> StoreSetStatistics {
        self.kept.statistics()
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.root().join(name))
    }
}

/// Where the backups of a store of a set go: beside it, or where the options say, under its own name.
fn backups_of(path: &Path, options: &OpenOptions) -> PathBuf {
    match (&options.backups, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => default_backups(path),
    }
}

/// Refuses what is no name of a folder in the set's own, on any file system.
fn check_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if begins_well
        && name.len() <= MAX_NAME_BYTES
        && name.bytes().all(allowed)
        && !name.ends_with('.')
        && !name.ends_with(BACKUPS_SUFFIX)
    {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAME_BYTES).collect();
    Err(Error::invalid(format!(
        "a store cannot be called {shown:?}: a name has 1 to {MAX_NAME_BYTES} of the characters a-z, A-Z, 0-9, '.', '_' and '-', \
         begins with none of '.' and '-', and ends neither with '.' nor with {BACKUPS_SUFFIX:?}"
    )))
}

#[cfg(test)]
mod tests;
