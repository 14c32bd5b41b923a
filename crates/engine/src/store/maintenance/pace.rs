//! How flushes and merges write: block by block, counted, synced on the way, and at the pace that the gate lets them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use codegraph_vector_base::vfs::{OpenMode, Vfs, VfsFile, VfsLock};
use codegraph_vector_base::{Error, ErrorKind, Mapping, Result};

use super::super::core::Core;
use super::progress::Job;

/// What is written between two looks at the gate.
const BLOCK_BYTES: usize = 1 << 20;
/// What is written between two syncs: less is at the disk when a commit wants to be.
const SYNC_BYTES: u64 = 8 << 20;

/// Who does work on segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The store, of itself: it heeds pauses, windows and rates.
    Background,
    /// Somebody who waits for it.
    ByHand,
}

/// A job, and what it has to heed.
#[derive(Debug)]
pub(crate) struct Pace {
    core: Weak<Core>,
    mode: Mode,
    pub(crate) job: Job,
    /// As the gate counted them when the job began.
    full_disks: u64,
}

impl Pace {
    /// Of a job that begins.
    pub(crate) fn new(core: &Core, mode: Mode, job: Job) -> Arc<Self> {
        let full_disks = core.writer.as_ref().map_or(0, |writer| writer.maintenance.gate.full_disks());
        Arc::new(Self { core: core.this.get().cloned().unwrap_or_default(), mode, job, full_disks })
    }

    /// Lets the job write so many bytes, when it may.
    ///
    /// # Errors
    /// See [`Core::heed`].
    fn pass(&self, bytes: u64) -> Result<()> {
        if self.mode == Mode::Background {
            let gone = || Error::new(ErrorKind::Closed, "the store was closed while it was maintained");
            self.core.upgrade().ok_or_else(gone)?.heed(bytes, self.full_disks)?;
        }
        self.job.wrote(bytes);
        Ok(())
    }

    /// Whether the job is to give up. Stands still for as long as it may not go on.
    pub(crate) fn is_over(&self) -> bool {
        match self.core.upgrade() {
            None => true,
            Some(core) if self.mode == Mode::ByHand => core.is_closing(),
            Some(core) => core.heed(0, self.full_disks).is_err(),
        }
    }
}

/// The file system as a job sees it.
#[derive(Debug)]
pub(crate) struct PacedVfs {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) pace: Arc<Pace>,
}

impl Vfs for PacedVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn VfsFile>> {
        let file = self.vfs.open(path, mode)?;
        if mode == OpenMode::Read {
            return Ok(file);
        }
        Ok(Arc::new(PacedFile { file, pace: self.pace.clone(), unsynced: AtomicU64::new(0) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.vfs.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.vfs.remove_file(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.vfs.hard_link(from, to)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.vfs.remove_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.vfs.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        self.vfs.list(path)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.vfs.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.vfs.sync_dir(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn VfsLock>>> {
        self.vfs.try_lock(path)
    }

    fn boot_id(&self) -> Option<u128> {
        self.vfs.boot_id()
    }
}

#[derive(Debug)]
struct PacedFile {
    file: Arc<dyn VfsFile>,
    pace: Arc<Pace>,
    unsynced: AtomicU64,
}

impl VfsFile for PacedFile {
    fn len(&self) -> Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], mut offset: u64) -> Result<()> {
        for block in bytes.chunks(BLOCK_BYTES) {
            let len = block.len() as u64;
            self.pace.pass(len)?;
            self.file.write_at(block, offset)?;
            offset += len;
            if self.unsynced.fetch_add(len, Ordering::Relaxed) + len >= SYNC_BYTES {
                self.unsynced.store(0, Ordering::Relaxed);
                self.file.sync_data()?;
            }
        }
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        self.file.allocate(offset, len)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> Result<()> {
        self.file.sync_all()
    }

    fn map(&self) -> Result<Mapping> {
        self.file.map()
    }
}
