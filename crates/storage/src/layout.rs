//! Where things lie in a store's folder, and what their names say.
//!
//! What always holds: a name is parsed only if it is exactly what this module would have built, so
//! that a stray file is never taken for one of the store's. Names of numbers are as wide as their
//! largest value (segments: ten digits, more only if ten do not do), so that they sort.
//!
//! | path | what |
//! | --- | --- |
//! | `LOCK` | held by the writing process |
//! | `FORKING` | this is a fork that nobody has opened, finished or not |
//! | `MANIFEST-<generation, 20 digits>` | the live set of files |
//! | `wal/<first Lsn, 20 digits>.wal` | the log |
//! | `segments/<id, 10 digits>.seg` | rows |
//! | `segments/<id>.<generation, 20 digits>.dead` | deaths among a segment's rows |
//! | any of them with `.tmp` | not finished; leftover of a crash |

use std::path::{Path, PathBuf};

use codegraph_vector_base::vfs::{TEMPORARY_SUFFIX, Vfs};
use codegraph_vector_base::{ErrorKind, Generation, Lsn, Result, SegmentId};

use crate::wal;

const LOCK_NAME: &str = "LOCK";
const FORK_MARK_NAME: &str = "FORKING";
const MANIFEST_PREFIX: &str = "MANIFEST-";
const WAL_FOLDER: &str = "wal";
const SEGMENTS_FOLDER: &str = "segments";
const SEGMENT_SUFFIX: &str = ".seg";
const DEATHS_SUFFIX: &str = ".dead";
const SEGMENT_DIGITS: usize = 10;
const LONG_DIGITS: usize = 20;

/// The names and paths of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreLayout {
    root: PathBuf,
}

impl StoreLayout {
    /// Of the store in the folder `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The writer's lock.
    pub fn lock_path(&self) -> PathBuf {
        self.root.join(LOCK_NAME)
    }

    /// What says that this is a fork which nobody has opened, finished or not.
    pub fn fork_mark_path(&self) -> PathBuf {
        self.root.join(FORK_MARK_NAME)
    }

    /// Whether a name is that of this mark.
    pub fn is_fork_mark(name: &str) -> bool {
        name == FORK_MARK_NAME
    }

    /// A manifest.
    pub fn manifest_path(&self, generation: Generation) -> PathBuf {
        self.root.join(format!("{MANIFEST_PREFIX}{generation:0LONG_DIGITS$}"))
    }

    /// The folder of the log.
    pub fn wal_dir(&self) -> PathBuf {
        self.root.join(WAL_FOLDER)
    }

    /// The log file that begins at `first`.
    pub fn wal_path(&self, first: Lsn) -> PathBuf {
        wal::wal_path(&self.wal_dir(), first)
    }

    /// The folder of segments and their deaths.
    pub fn segments_dir(&self) -> PathBuf {
        self.root.join(SEGMENTS_FOLDER)
    }

    /// A segment.
    pub fn segment_path(&self, id: SegmentId) -> PathBuf {
        self.segments_dir().join(format!("{id:0SEGMENT_DIGITS$}{SEGMENT_SUFFIX}"))
    }

    /// The deaths of a segment, as of `generation`.
    pub fn deaths_path(&self, id: SegmentId, generation: Generation) -> PathBuf {
        let name = format!("{id:0SEGMENT_DIGITS$}.{generation:0LONG_DIGITS$}{DEATHS_SUFFIX}");
        self.segments_dir().join(name)
    }

    /// The generation of a manifest's file name.
    pub fn parse_manifest_name(name: &str) -> Option<Generation> {
        parse_number(name.strip_prefix(MANIFEST_PREFIX)?, LONG_DIGITS).map(Generation)
    }

    /// The first Lsn of a log file's name.
    pub fn parse_wal_name(name: &str) -> Option<Lsn> {
        wal::parse_wal_name(name)
    }

    /// The id of a segment's file name.
    pub fn parse_segment_name(name: &str) -> Option<SegmentId> {
        parse_number(name.strip_suffix(SEGMENT_SUFFIX)?, SEGMENT_DIGITS).map(SegmentId)
    }

    /// The segment and generation of a death file's name.
    pub fn parse_deaths_name(name: &str) -> Option<(SegmentId, Generation)> {
        let (id, generation) = name.strip_suffix(DEATHS_SUFFIX)?.split_once('.')?;
        let id = parse_number(id, SEGMENT_DIGITS).map(SegmentId)?;
        Some((id, Generation(parse_number(generation, LONG_DIGITS)?)))
    }

    /// Makes the store's folders, durably; fine if they exist.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create_dirs(&self, vfs: &dyn Vfs) -> Result<()> {
        let mut missing = Vec::new();
        for folder in self.root.ancestors() {
            if folder.as_os_str().is_empty() || vfs.exists(folder)? {
                break;
            }
            missing.push(folder);
        }
        vfs.create_dir_all(&self.wal_dir())?;
        vfs.create_dir_all(&self.segments_dir())?;
        vfs.sync_dir(&self.root)?;
        // Each new folder's name lies in its parent, the store's own even if we came second.
        if missing.is_empty() {
            missing.push(&self.root);
        }
        missing.iter().filter_map(|folder| folder.parent()).try_for_each(|parent| vfs.sync_dir(parent))
    }

    /// Whether a store, sound or not, is here: some manifest has its name in the folder.
    ///
    /// # Errors
    /// What the file system says, but that there is no folder.
    pub fn is_store(&self, vfs: &dyn Vfs) -> Result<bool> {
        let names = list_or_none(vfs, &self.root)?;
        Ok(names.iter().any(|name| Self::parse_manifest_name(name).is_some()))
    }

    /// Unfinished files in the store's folders. They may be removed while nobody writes: at open, under the lock.
    ///
    /// # Errors
    /// What the file system says, but that there is no folder.
    pub fn leftovers(&self, vfs: &dyn Vfs) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for folder in [self.root.clone(), self.wal_dir(), self.segments_dir()] {
            let names = list_or_none(vfs, &folder)?;
            found.extend(names.iter().filter(|name| is_leftover(name)).map(|name| folder.join(name)));
        }
        Ok(found)
    }
}

/// Names in a folder; none if it is not there.
pub(crate) fn list_or_none(vfs: &dyn Vfs, folder: &Path) -> Result<Vec<String>> {
    match vfs.list(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

/// A temporary name of one of ours: what a user put there stays.
fn is_leftover(name: &str) -> bool {
    name.strip_suffix(TEMPORARY_SUFFIX).is_some_and(|name| {
        StoreLayout::parse_manifest_name(name).is_some()
            || StoreLayout::parse_wal_name(name).is_some()
            || StoreLayout::parse_segment_name(name).is_some()
            || StoreLayout::parse_deaths_name(name).is_some()
            || StoreLayout::is_fork_mark(name)
    })
}

/// A number as `{:0digits$}` writes it, and no other way.
fn parse_number(text: &str, digits: usize) -> Option<u64> {
    let padded = text.len() == digits || (text.len() > digits && !text.starts_with('0'));
    let decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    (padded && decimal).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
