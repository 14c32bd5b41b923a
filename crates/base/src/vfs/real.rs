//! The operating system's file system.

#![allow(clippy::disallowed_methods)] // This is the door that everyone else is sent to.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{OpenMode, Vfs, VfsFile, VfsLock};
use crate::{Error, ErrorKind, Mapping, Result};

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealVfs;

#[derive(Debug)]
struct RealFile {
    file: File,
    path: PathBuf,
}

#[derive(Debug)]
struct RealLock(RealFile);

impl Vfs for RealVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn VfsFile>> {
        let mut options = OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::ReadWrite => options.read(true).write(true),
            OpenMode::Create => options.read(true).write(true).create(true).truncate(true),
        };
        let file = options.open(path).map_err(|cause| Error::io("open", path, cause))?;
        Ok(Arc::new(RealFile { file, path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|cause| Error::io("rename to", to, cause))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        let copy_instead = |cause: &io::Error| {
            use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
            // File systems without links say that they are not permitted, and so does Linux of files of others.
            matches!(cause.kind(), CrossesDevices | PermissionDenied | TooManyLinks | Unsupported)
        };
        fs::hard_link(from, to).map_err(|cause| {
            let kind = copy_instead(&cause).then_some(ErrorKind::Unsupported);
            let named = if cause.kind() == io::ErrorKind::NotFound { from } else { to };
            let error = Error::io("link", named, cause);
            kind.map_or(error.clone(), |kind| error.as_kind(kind))
        })
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|cause| Error::io("remove", path, cause))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        fs::remove_dir(path).map_err(|cause| Error::io("remove folder", path, cause))
    }

    fn create_dir_all(&self, path: &Path) -> Result<()> {
        fs::create_dir_all(path).map_err(|cause| Error::io("create folder", path, cause))
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        let fail = |cause| Error::io("list folder", path, cause);
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(fail)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry.map_err(fail)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        path.try_exists().map_err(|cause| Error::io("look up", path, cause))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        // The folder of a bare file name is the working directory.
        let folder = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let fail = |cause| Error::io("sync folder", folder, cause);
        File::open(folder).map_err(fail)?.sync_all().map_err(fail)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn VfsLock>>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(|cause| Error::io("open lock", path, cause))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(RealLock(RealFile { file, path: path.to_owned() })))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(Error::io("lock", path, cause)),
        }
    }

    fn boot_id(&self) -> Option<u128> {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        u128::from_str_radix(&digits, 16).ok()
    }
}

impl RealFile {
    fn fail(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |cause| Error::io(action, &self.path, cause)
    }
}

impl VfsFile for RealFile {
    fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(self.fail("stat"))?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => {
                    return Err(Error::io("read", &self.path, cause).at_offset(offset + done as u64));
                }
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(self.fail("write"))
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{FallocateFlags, fallocate};
            match fallocate(&self.file, FallocateFlags::empty(), offset, len) {
                Ok(()) => return Ok(()),
                // A file system without reservation gets the portable way below.
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
                Err(cause) => return Err(Error::io("reserve space in", &self.path, cause.into())),
            }
        }
        if self.len()? < offset + len {
            self.set_len(offset + len)?;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(self.fail("resize"))
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data().map_err(self.fail("sync"))
    }

    fn sync_all(&self) -> Result<()> {
        self.file.sync_all().map_err(self.fail("sync"))
    }

    fn map(&self) -> Result<Mapping> {
        // Out of address space or map entries: not the caller's input, and not corruption.
        Mapping::of_file(&self.file)
            .map_err(|cause| Error::io("map", &self.path, cause).as_kind(ErrorKind::Io))
    }
}

impl Drop for RealLock {
    fn drop(&mut self) {
        // Said rather than left to the closing of the file: a process that another thread is just starting has a copy of
        // the descriptor until its `exec`, and would keep the lock so long. If it fails, closing gives it up all the same.
        let _ = self.0.file.unlock();
    }
}

impl VfsLock for RealLock {
    fn file(&self) -> &dyn VfsFile {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_given_up_is_free_although_a_copy_of_its_descriptor_lives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("LOCK");
        let file = File::create(&path).unwrap();
        file.try_lock().unwrap();
        // What a fork does: the same open file under another descriptor.
        let copy = file.try_clone().unwrap();
        drop(RealLock(RealFile { file, path: path.clone() }));
        assert!(RealVfs.try_lock(&path).unwrap().is_some());
        drop(copy);
    }
}
