//! The only door to files.
//!
//! The doc comments here are the durability contract that the store is written against; one
//! conformance suite (`testkit`) runs it against the real implementation and the simulated one:
//!
//! - bytes written are seen by later reads at once, and survive a power cut only after a later
//!   successful [`VfsFile::sync_data`] or [`VfsFile::sync_all`];
//! - unsynced writes may reach the disk in any order, in part, or torn at any byte;
//! - a name created, linked, renamed or removed survives only after [`Vfs::sync_dir`] of its folder;
//!   a rename is atomic: at any moment, and after a crash, the target is the old file or the new;
//! - after a failed sync nothing is known about what was unsynced, and a later sync that succeeds
//!   proves nothing about it.

mod real;

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

pub use real::RealVfs;

use crate::{ErrorKind, Mapping, Result};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    ReadWrite,
    /// An empty file to read and write; whatever had that name is emptied.
    Create,
}

/// A file system. Paths are absolute or relative to the working directory.
pub trait Vfs: Send + Sync + Debug {
    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound` unless the mode creates; `ReadOnly` where writing is not allowed.
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn VfsFile>>;

    /// Atomically gives `from` the name `to`, in place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Gives the file `from` the name `to` as well. Both names are then the same file: neither is written through any more.
    ///
    /// # Errors
    /// `Unsupported` where these two cannot be names of one file (on two devices, no links here, too many of them), so
    /// that it has to be copied; `NotFound`; any other if `to` is there already.
    fn hard_link(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a name. Open files and maps of it stay usable.
    fn remove_file(&self, path: &Path) -> Result<()>;

    /// Removes a folder that nothing is in.
    ///
    /// # Errors
    /// `NotFound`; any other if something is in it, or it is none.
    fn remove_dir(&self, path: &Path) -> Result<()>;

    /// Makes a folder and those above it; fine if they exist.
    fn create_dir_all(&self, path: &Path) -> Result<()>;

    /// Names in a folder, sorted.
    ///
    /// # Errors
    /// `NotFound` if the folder is missing.
    fn list(&self, path: &Path) -> Result<Vec<String>>;

    /// Whether anything has this name.
    fn exists(&self, path: &Path) -> Result<bool>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> Result<()>;

    /// Takes the exclusive lock that is `path`, creating the file if need be, without waiting.
    /// `None` if another holder, in this process or another, has it. Freed by dropping, and by
    /// the end of the process.
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn VfsLock>>>;

    /// Changes with each start of the machine: what a file of an earlier start holds has been
    /// through the disk. `None` where the platform does not tell.
    fn boot_id(&self) -> Option<u128>;
}

/// An open file.
pub trait VfsFile: Send + Sync + Debug {
    /// Bytes in the file.
    fn len(&self) -> Result<u64>;

    /// Whether the file is empty.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads at `offset` into `buf`, as much as there is; fewer bytes than asked for only at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize>;

    /// Writes all of `bytes` at `offset`, growing the file as needed. On an error any part may
    /// have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Reserves disk space for `offset..offset + len` and grows the file to it, so that writes
    /// there cannot run out of space. Bytes not yet written read as zero.
    ///
    /// # Errors
    /// `StorageFull`; the file may have grown in part.
    fn allocate(&self, offset: u64, len: u64) -> Result<()>;

    /// Cuts or grows the file to `len` bytes. Never used on a file that may be mapped.
    fn set_len(&self, len: u64) -> Result<()>;

    /// Makes the contents durable, and the length as far as it is needed to read them.
    fn sync_data(&self) -> Result<()>;

    /// Makes contents and attributes durable.
    fn sync_all(&self) -> Result<()>;

    /// A read-only view of the whole file, which must be immutable from now on.
    fn map(&self) -> Result<Mapping>;
}

/// A held lock, which is also a small file that its holder may write a note into.
pub trait VfsLock: Send + Sync + Debug {
    /// The lock's file.
    fn file(&self) -> &dyn VfsFile;
}

/// Reads exactly `len` bytes at `offset`; `None` if the file ends earlier. Allocates only what
/// the file holds.
pub fn read_exact_at(file: &dyn VfsFile, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
    let end = file.len()?;
    if offset.checked_add(len as u64).is_none_or(|wanted| wanted > end) {
        return Ok(None);
    }
    let mut bytes = vec![0; len];
    let got = file.read_at(&mut bytes, offset)?;
    Ok((got == len).then_some(bytes))
}

/// Reads a whole file.
pub fn read_file(vfs: &dyn Vfs, path: &Path) -> Result<Vec<u8>> {
    let file = vfs.open(path, OpenMode::Read)?;
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    let got = file.read_at(&mut bytes, 0)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// The name under which a file is written before it is renamed to `path`.
pub fn temporary(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    name.into()
}

/// The end of every temporary name; such a file is leftover of a crash and may be removed.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// Lets `path` appear complete and durable: `fill` writes a temporary file, which is synced and
/// renamed, and the folder is synced.
pub fn publish(vfs: &dyn Vfs, path: &Path, fill: impl FnOnce(&dyn VfsFile) -> Result<()>) -> Result<()> {
    let temporary = temporary(path);
    let file = vfs.open(&temporary, OpenMode::Create)?;
    let written = fill(&*file).and_then(|()| file.sync_all());
    if let Err(error) = written {
        drop(file);
        // The failure itself is what matters; the leftover is swept at the next open.
        let _ = vfs.remove_file(&temporary);
        return Err(error);
    }
    vfs.rename(&temporary, path)?;
    vfs.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Removes a folder with all that is in it, or a file, if it is there. Somebody else may be at it as well.
///
/// # Errors
/// What the file system says.
pub fn remove_tree(vfs: &dyn Vfs, path: &Path) -> Result<()> {
    let unless_gone = |outcome: Result<()>| match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    };
    if !vfs.exists(path)? {
        return Ok(());
    }
    match vfs.list(path) {
        Ok(names) => {
            names.iter().try_for_each(|name| remove_tree(vfs, &path.join(name)))?;
            unless_gone(vfs.remove_dir(path))
        }
        // A file, or gone.
        Err(_) => unless_gone(vfs.remove_file(path)),
    }
}
