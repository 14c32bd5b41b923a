//! Writes groups at the end of the log: space ahead of the writes, syncs, rotation.
//!
//! What always holds: bytes before `synced` are durable; a file gets its name only when all before
//! its first Lsn is durable; after a failure the log either is as if the group had never been
//! written, or takes no more writes.

use std::path::PathBuf;
use std::sync::Arc;

use codegraph_vector_base::frame::Seal;
use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_base::{Epoch, Error, ErrorKind, Lsn, Result};

use super::file::{HEADER_BYTES, WalFile, write_zeros};
use super::wal_path;

/// Zeros written ahead at first; each later step is twice the one before.
pub(crate) const FIRST_BLANK_BYTES: u64 = 64 << 10;
const MAX_BLANK_BYTES: u64 = 4 << 20;
/// A group from here on reserves its space rather than having zeros written in front of it.
const LARGE_GROUP_BYTES: u64 = 256 << 10;

/// How a write to the log failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing of the group is in the log, now or after a crash.
    Clean(Error),
    /// The group may or may not be in the log; no more may be written.
    Fatal(Error),
}

impl Failure {
    /// What failed, where it makes no difference how.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Clean(error) | Self::Fatal(error) => error,
        }
    }
}

/// The open end of the log.
#[derive(Debug)]
pub struct Appender {
    vfs: Arc<dyn Vfs>,
    folder: PathBuf,
    current: WalFile,
    /// Where the next group goes.
    end: Lsn,
    /// Everything before this is durable.
    synced: Lsn,
    /// Bytes of frames for which there is space in the file, zeroed or reserved.
    capacity: u64,
    next_blank: u64,
    max_file_bytes: u64,
    /// Set by the first fatal failure, which is the last: nothing is written behind it.
    broken: Option<Error>,
}

impl Appender {
    /// Starts the log of a new store in `folder`.
    pub fn create(vfs: Arc<dyn Vfs>, folder: PathBuf, seal: Seal, max_file_bytes: u64) -> Result<Self> {
        Self::create_at(vfs, folder, seal, Lsn(0), max_file_bytes)
    }

    /// The same of a store whose state at `start` is in its segments.
    pub fn create_at(
        vfs: Arc<dyn Vfs>,
        folder: PathBuf,
        seal: Seal,
        start: Lsn,
        max_file_bytes: u64,
    ) -> Result<Self> {
        let path = wal_path(&folder, start);
        let current = WalFile::create(&*vfs, path, seal, start, &[], FIRST_BLANK_BYTES)?;
        Self::resume(vfs, folder, current, start, start, max_file_bytes)
    }

    /// Goes on at `end` in `current`; everything before `synced` is durable.
    pub(crate) fn resume(
        vfs: Arc<dyn Vfs>,
        folder: PathBuf,
        current: WalFile,
        end: Lsn,
        synced: Lsn,
        max_file_bytes: u64,
    ) -> Result<Self> {
        let capacity = current.body_bytes()?;
        Ok(Self {
            vfs,
            folder,
            current,
            end,
            synced,
            capacity,
            next_blank: FIRST_BLANK_BYTES,
            max_file_bytes,
            broken: None,
        })
    }

    /// What the frames of the open file are sealed with.
    pub fn seal(&self) -> Seal {
        self.current.header.seal
    }

    /// The epoch of the open file.
    pub fn epoch(&self) -> Epoch {
        self.seal().epoch
    }

    /// Where the next group goes.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Everything before this is durable.
    pub fn synced(&self) -> Lsn {
        self.synced
    }

    /// From the next group on, a file of this many bytes is followed by another.
    pub(crate) fn set_max_file_bytes(&mut self, max_file_bytes: u64) {
        self.max_file_bytes = max_file_bytes;
    }

    /// Writes a sealed group at the end, unsynced.
    pub(crate) fn append(&mut self, group: &[u8]) -> Result<(), Failure> {
        self.unless_broken(|appender| appender.write(group))
    }

    /// Makes everything written durable. A failure is final: what the disk holds is unknown from
    /// then on, and a later sync that succeeds would prove nothing (fsyncgate).
    pub(crate) fn sync(&mut self) -> Result<(), Failure> {
        self.unless_broken(Self::sync_current)
    }

    /// Goes on in another file if the open one has so many bytes.
    pub(crate) fn rotate(&mut self, least_bytes: u64) -> Result<(), Failure> {
        self.unless_broken(|appender| appender.rotate_if_of(least_bytes))
    }

    fn unless_broken(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        if let Some(error) = &self.broken {
            return Err(Failure::Fatal(error.clone()));
        }
        let outcome = work(self);
        if let Err(Failure::Fatal(error)) = &outcome {
            self.broken = Some(error.clone());
        }
        outcome
    }

    fn write(&mut self, group: &[u8]) -> Result<(), Failure> {
        self.rotate_if_of(self.max_file_bytes)?;
        let written = self.end.0 - self.current.header.first_lsn.0;
        let needed = written + group.len() as u64;
        if needed > self.capacity {
            self.grow(needed, group.len() as u64).map_err(Failure::Clean)?;
        }
        let offset = self.current.header.offset_of(self.end);
        match self.current.file.write_at(group, offset) {
            Ok(()) => {
                self.end = self.end.advance(group.len() as u64);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                Err(self.wipe(offset, group.len() as u64, error))
            }
            Err(error) => Err(Failure::Fatal(error)),
        }
    }

    fn sync_current(&mut self) -> Result<(), Failure> {
        if self.synced < self.end {
            self.current.file.sync_data().map_err(Failure::Fatal)?;
            self.synced = self.end;
        }
        Ok(())
    }

    fn rotate_if_of(&mut self, least_bytes: u64) -> Result<(), Failure> {
        let written = self.end.0 - self.current.header.first_lsn.0;
        if written < least_bytes {
            return Ok(());
        }
        self.sync_current()?; // The new file's existence will prove that all before it is durable.
        let path = wal_path(&self.folder, self.end);
        let created =
            WalFile::create(&*self.vfs, path.clone(), self.seal(), self.end, &[], FIRST_BLANK_BYTES);
        self.current = created.map_err(|error| match self.vfs.exists(&path) {
            Ok(false) => Failure::Clean(error),
            // The name is there, perhaps not durably: frames that went on in the old file behind
            // its place would be void.
            _ => Failure::Fatal(error),
        })?;
        self.capacity = FIRST_BLANK_BYTES;
        self.next_blank = FIRST_BLANK_BYTES;
        Ok(())
    }

    /// Makes room up to `needed` bytes of frames.
    fn grow(&mut self, needed: u64, group_len: u64) -> Result<()> {
        let file = &*self.current.file;
        let from = HEADER_BYTES as u64 + self.capacity;
        if group_len >= LARGE_GROUP_BYTES {
            file.allocate(from, needed - self.capacity)?;
            self.capacity = needed;
            return Ok(());
        }
        let step = self.next_blank.max(needed - self.capacity);
        // Reserved first, so that a full disk shows before a byte of the group is written.
        file.allocate(from, step)?;
        write_zeros(file, from, step)?;
        self.capacity += step;
        self.next_blank = (self.next_blank * 2).min(MAX_BLANK_BYTES);
        Ok(())
    }

    /// Takes back what a write may have left behind, durably, so that the failed group cannot come
    /// back after a crash.
    fn wipe(&mut self, offset: u64, len: u64, cause: Error) -> Failure {
        let file = &*self.current.file;
        let wiped = file.len().and_then(|file_len| {
            let end = (offset + len).min(file_len).max(offset);
            write_zeros(file, offset, end - offset)?;
            file.sync_data()
        });
        match wiped {
            Ok(()) => {
                self.synced = self.end;
                Failure::Clean(cause)
            }
            Err(_) => Failure::Fatal(cause),
        }
    }
}
