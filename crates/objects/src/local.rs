//! A folder: each object is a file, which gets its name when it is whole and durable.
//!
//! Files are written under a name of their own that ends in `.tmp`, synced, and then linked (created) or renamed (replaced) to
//! the object's name; a link to a name that is taken fails, so of many creators one wins. Where the file system has no links, who
//! creates holds the lock of the target from the look until the rename. What a crash leaves unfinished is never listed, and is
//! cleared away by [`ObjectTarget::sweep`].

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector_base::vfs::{OpenMode, TEMPORARY_SUFFIX, Vfs, VfsFile};
use codegraph_vector_base::{Error, ErrorKind, Random, Result};

use crate::{Listing, ObjectInfo, ObjectTarget, Put, Source, Written, check_name};

/// Bytes that are read, written and compared at a time.
const COPY_BYTES: usize = 1 << 20;
const LOCK_NAME: &str = "LOCK";

/// Objects in a folder, which is made when something is put.
#[derive(Debug)]
pub struct LocalTarget {
    root: PathBuf,
    url: String,
    vfs: Arc<dyn Vfs>,
    random: Arc<dyn Random>,
}

impl LocalTarget {
    /// In that folder.
    pub fn new(root: impl Into<PathBuf>, vfs: Arc<dyn Vfs>, random: Arc<dyn Random>) -> Self {
        let root = root.into();
        let url = root.display().to_string();
        Self { root, url, vfs, random }
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.root.join(name))
    }

    /// Makes the folders above a file, durably.
    fn make_folders(&self, folder: &Path) -> Result<()> {
        let mut missing = Vec::new();
        for above in folder.ancestors() {
            if above.as_os_str().is_empty() || self.vfs.exists(above)? {
                break;
            }
            missing.push(above);
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.vfs.create_dir_all(folder)?;
        let parents = missing.iter().filter_map(|folder| folder.parent());
        parents
            .filter(|parent| !parent.as_os_str().is_empty())
            .try_for_each(|parent| self.vfs.sync_dir(parent))
    }

    /// A name beside `path` that nobody else has.
    fn temporary(&self, path: &Path) -> Result<PathBuf> {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes)?;
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{:016x}{TEMPORARY_SUFFIX}", u64::from_le_bytes(bytes)));
        Ok(name.into())
    }

    /// Gives a finished file its name, if nobody has it; whether it did.
    fn claim(&self, temporary: &Path, path: &Path) -> Result<bool> {
        match self.vfs.hard_link(temporary, path) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => {
                // It failed because of the name if somebody has it now.
                return if self.vfs.exists(path)? { Ok(false) } else { Err(error) };
            }
        }
        let lock = self.root.join(LOCK_NAME);
        let Some(_alone) = self.vfs.try_lock(&lock)? else {
            return Err(Error::new(ErrorKind::Busy, "somebody else puts something here").at(lock));
        };
        if self.vfs.exists(path)? {
            return Ok(false);
        }
        self.vfs.rename(temporary, path)?;
        Ok(true)
    }

    /// Whether an object has this content.
    fn is_same(&self, path: &Path, source: &dyn Source) -> Result<bool> {
        let file = self.vfs.open(path, OpenMode::Read)?;
        if file.len()? != source.len()? {
            return Ok(false);
        }
        let (mut ours, mut theirs) = (vec![0; COPY_BYTES], vec![0; COPY_BYTES]);
        let mut at = 0;
        loop {
            let got = source.read_at(&mut ours, at)?;
            if file.read_at(&mut theirs[..got], at)? != got || ours[..got] != theirs[..got] {
                return Ok(false);
            }
            at += got as u64;
            if got < COPY_BYTES {
                return Ok(true);
            }
        }
    }

    fn put_under(&self, temporary: &Path, path: &Path, source: &dyn Source, how: Put) -> Result<Written> {
        let file = self.vfs.open(temporary, OpenMode::Create)?;
        copy(source, &*file)?;
        file.sync_all()?;
        drop(file);
        match how {
            Put::Replace => self.vfs.rename(temporary, path)?,
            Put::Create | Put::Content => {
                let created = self.claim(temporary, path)?;
                if self.vfs.exists(temporary)? {
                    self.vfs.remove_file(temporary)?;
                }
                if !created && !self.is_same(path, source)? {
                    return Ok(Written::Existed);
                }
            }
        }
        // Also of a name that somebody else gave: who did may not have come this far.
        self.vfs.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Written::Created)
    }

    /// The folder of that name, and what is called something in it.
    fn names(&self, folder: &str) -> Result<(PathBuf, Vec<String>)> {
        let name = folder.strip_suffix('/').unwrap_or(folder);
        if !name.is_empty() {
            check_name(name)?;
        }
        let path = self.root.join(name);
        match self.vfs.list(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok((path, Vec::new())),
            names => names.map(|names| (path, names)),
        }
    }
}

impl ObjectTarget for LocalTarget {
    fn put(&self, name: &str, source: &dyn Source, how: Put) -> Result<Written> {
        let path = self.path(name)?;
        self.make_folders(path.parent().unwrap_or(&self.root))?;
        let temporary = self.temporary(&path)?;
        let put = self.put_under(&temporary, &path, source, how);
        if put.is_err() {
            // The failure itself is what matters; what cannot be removed now is swept later.
            let _ = self.vfs.remove_file(&temporary);
        }
        put
    }

    fn get(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let path = self.path(name)?;
        let file = self.vfs.open(&path, OpenMode::Read)?;
        let end = range.end.min(file.len()?);
        let wanted = usize::try_from(end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; wanted];
        let got = file.read_at(&mut bytes, range.start)?;
        bytes.truncate(got);
        Ok(bytes)
    }

    fn info(&self, name: &str) -> Result<Option<ObjectInfo>> {
        match self.vfs.open(&self.path(name)?, OpenMode::Read) {
            Ok(file) => Ok(Some(ObjectInfo { name: name.to_owned(), bytes: file.len()? })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, folder: &str) -> Result<Listing> {
        let (path, names) = self.names(folder)?;
        let mut listing = Listing::default();
        // Files that are not ours are not listed, and so are never removed.
        for file in names.iter().filter(|file| check_name(file).is_ok() && *file != LOCK_NAME) {
            let (path, name) = (path.join(file), format!("{folder}{file}"));
            // What can be listed is a folder.
            match self.vfs.list(&path) {
                Ok(_) => listing.folders.push(format!("{name}/")),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    listing.objects.extend(self.info(&name)?); // Unless it was removed since.
                }
                Err(error) => return Err(error),
            }
        }
        listing.objects.sort_unstable();
        listing.folders.sort_unstable();
        Ok(listing)
    }

    fn sweep(&self, folder: &str) -> Result<()> {
        let (path, names) = self.names(folder)?;
        let unfinished = names.iter().filter(|name| name.ends_with(TEMPORARY_SUFFIX));
        unfinished.map(|name| path.join(name)).try_for_each(|path| self.vfs.remove_file(&path))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        match self.vfs.remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            // In the order of the calls: what named an object must not come back after a crash when the object does not.
            Ok(()) => self.vfs.sync_dir(path.parent().unwrap_or(&self.root)),
            failed => failed,
        }
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn is_writable(&self) -> bool {
        true
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

fn copy(from: &dyn Source, to: &dyn VfsFile) -> Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    loop {
        let got = from.read_at(&mut buffer, at)?;
        to.write_at(&buffer[..got], at)?;
        at += got as u64;
        if got < buffer.len() {
            return Ok(());
        }
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
