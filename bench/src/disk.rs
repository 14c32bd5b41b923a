//! What the disk can do: bare writes and syncs, and a file system whose syncs take longer.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codegraph_vector::Result;
use codegraph_vector::vfs::{OpenMode, RealVfs, Vfs, VfsFile, VfsLock};
use codegraph_vector_base::Mapping;

/// A file of zeros, written and synced, so that writes into it change no metadata.
pub(crate) fn zeroed(path: &Path, bytes: usize) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    file.write_all_at(&vec![0; bytes], 0)?;
    file.sync_all()?;
    Ok(file)
}

/// Microseconds of one write and `fdatasync`.
pub(crate) fn write_and_sync(file: &File, bytes: &[u8], offset: u64) -> io::Result<f64> {
    let start = Instant::now();
    file.write_all_at(bytes, offset)?;
    file.sync_data()?;
    Ok(start.elapsed().as_secs_f64() * 1e6)
}

/// Seconds to write and sync `bytes` into a new file, in steps as a program would.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<f64> {
    let start = Instant::now();
    let file = File::create(path)?;
    for (at, step) in bytes.chunks(1 << 20).enumerate() {
        file.write_all_at(step, (at << 20) as u64)?;
    }
    file.sync_all()?;
    let took = start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(took)
}

/// The real file system, but each sync of data takes `delay` longer.
#[derive(Debug)]
pub(crate) struct SlowSync {
    pub(crate) delay: Duration,
}

#[derive(Debug)]
struct SlowFile {
    file: Arc<dyn VfsFile>,
    delay: Duration,
}

impl Vfs for SlowSync {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(SlowFile { file: RealVfs.open(path, mode)?, delay: self.delay }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        RealVfs.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        RealVfs.hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        RealVfs.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        RealVfs.remove_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> Result<()> {
        RealVfs.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        RealVfs.list(path)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        RealVfs.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        RealVfs.sync_dir(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn VfsLock>>> {
        RealVfs.try_lock(path)
    }

    fn boot_id(&self) -> Option<u128> {
        RealVfs.boot_id()
    }
}

impl VfsFile for SlowFile {
    fn len(&self) -> Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        self.file.allocate(offset, len)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<()> {
        std::thread::sleep(self.delay);
        self.file.sync_data()
    }

    fn sync_all(&self) -> Result<()> {
        std::thread::sleep(self.delay);
        self.file.sync_all()
    }

    fn map(&self) -> Result<Mapping> {
        self.file.map()
    }
}
