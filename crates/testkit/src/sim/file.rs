//! Open files and locks of the simulation.

use std::io;
use std::path::Path;
use std::sync::Arc;

use codegraph_vector_base::vfs::{VfsFile, VfsLock};
use codegraph_vector_base::{AlignedBytes, Error, Mapping, Result};

use super::fault::{Fault, Op};
use super::file_node::Change;
use super::state::{Ino, State};
use super::{EBADF, EFBIG, EIO, Errno, SimVfs};

#[derive(Debug)]
pub(super) struct SimFile {
    sim: SimVfs,
    ino: Ino,
    path: Arc<Path>,
    writable: bool,
}

impl SimFile {
    /// A handle of `ino`. The caller holds the lock of `state`, which is that of `sim`.
    pub(super) fn new(sim: &SimVfs, state: &mut State, ino: Ino, path: &Path, writable: bool) -> Self {
        *state.handles.entry(ino).or_default() += 1;
        Self { sim: sim.clone(), ino, path: path.into(), writable }
    }

    fn call(&self, op: Op, offset: u64, len: usize) -> Option<Fault> {
        self.sim.call(op, &self.path, offset, len as u64)
    }

    fn done<T>(&self, action: &'static str, result: Result<T, Errno>) -> Result<T> {
        result.map_err(|errno| Error::io(action, &self.path, io::Error::from_raw_os_error(errno)))
    }

    /// Panics if the file was mapped: the store's rule is that such a file never changes.
    fn check_change(&self, state: &State) -> Result<(), Errno> {
        if !self.writable {
            return Err(EBADF);
        }
        state.check_writable()?;
        assert!(!state.mapped.contains(&self.ino), "{} was written while mapped", self.path.display());
        Ok(())
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), Errno> {
        let fault = self.call(Op::Write, offset, bytes.len());
        let mut state = self.sim.lock();
        self.check_change(&state)?;
        let (len, errno) = split(fault, bytes.len());
        state.write(self.ino, offset, &bytes[..len])?;
        errno.map_or(Ok(()), Err)
    }

    fn reserve(&self, offset: u64, len: u64) -> Result<(), Errno> {
        let fault = self.call(Op::Allocate, offset, len as usize);
        let mut state = self.sim.lock();
        self.check_change(&state)?;
        let (len, errno) = split(fault, usize::try_from(len).map_err(|_| EFBIG)?);
        state.allocate(self.ino, offset, len)?;
        errno.map_or(Ok(()), Err)
    }

    fn resize(&self, len: u64) -> Result<(), Errno> {
        let fault = self.call(Op::SetLen, len, 0);
        let mut state = self.sim.lock();
        self.check_change(&state)?;
        fault.map_or(Ok(()), |fault| Err(fault.errno()))?;
        if len > super::content::MAX_LEN {
            return Err(EFBIG);
        }
        state.change_file(self.ino, Change::SetLen(len))
    }

    fn sync(&self, op: Op) -> Result<(), Errno> {
        let fault = self.call(op, 0, 0);
        let mut state = self.sim.lock();
        match fault {
            None if state.lies.ignore_file_sync => Ok(()),
            None => {
                state.file_mut(self.ino)?.sync();
                Ok(())
            }
            Some(Fault::SyncFails) => {
                let mut rng = state.rng.split();
                state.file_mut(self.ino)?.sync_failed(&mut rng);
                Err(EIO)
            }
            Some(fault) => Err(fault.errno()),
        }
    }
}

/// How many of `len` bytes go in, and the error that follows them.
fn split(fault: Option<Fault>, len: usize) -> (usize, Option<Errno>) {
    fault.map_or((len, None), |fault| {
        let (len, errno) = fault.partial(len);
        (len, Some(errno))
    })
}

impl VfsFile for SimFile {
    fn len(&self) -> Result<u64> {
        let result = match self.call(Op::Len, 0, 0) {
            None => self.sim.lock().file(self.ino).map(|file| file.cache.len()),
            Some(fault) => Err(fault.errno()),
        };
        self.done("stat", result)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let result = match self.call(Op::Read, offset, buf.len()) {
            // Copied outside the lock: readers do not wait for one another.
            None => self.sim.lock().file(self.ino).map(|file| file.cache.clone()),
            Some(fault) => Err(fault.errno()),
        };
        let content = self.done("read", result).map_err(|error| error.at_offset(offset))?;
        Ok(content.read(buf, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.done("write", self.write(bytes, offset))
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        self.done("reserve space in", self.reserve(offset, len))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.done("resize", self.resize(len))
    }

    fn sync_data(&self) -> Result<()> {
        self.done("sync", self.sync(Op::SyncData))
    }

    fn sync_all(&self) -> Result<()> {
        self.done("sync", self.sync(Op::SyncAll))
    }

    fn map(&self) -> Result<Mapping> {
        let result = match self.call(Op::Map, 0, 0) {
            None => {
                let mut state = self.sim.lock();
                state.mapped.insert(self.ino);
                state.file(self.ino).map(|file| file.cache.clone())
            }
            Some(fault) => Err(fault.errno()),
        };
        Ok(Mapping::Owned(AlignedBytes::copy_of(&self.done("map", result)?.to_vec())))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.sim.lock().release(self.ino);
    }
}

#[derive(Debug)]
pub(super) struct SimLock {
    file: SimFile,
}

impl SimLock {
    /// Takes the lock, or says `None`. The caller holds the lock of `state`, which is that of `sim`.
    pub(super) fn take(sim: &SimVfs, state: &mut State, ino: Ino, path: &Path) -> Option<Self> {
        state.locks.insert(ino).then(|| Self { file: SimFile::new(sim, state, ino, path, true) })
    }
}

impl VfsLock for SimLock {
    fn file(&self) -> &dyn VfsFile {
        &self.file
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.file.sim.lock().locks.remove(&self.file.ino);
    }
}
