//! One file of the log: its header block and how it appears.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | magic `CGVWAL\r\n` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | epoch |
//! | 16 | 8 | required feature flags |
//! | 24 | 8 | optional feature flags |
//! | 32 | 16 | store id |
//! | 48 | 8 | first Lsn |
//! | 56 | 8 | bytes of frames that were synced before the file got its name |
//! | 64 | 4,028 | zeros |
//! | 4,092 | 4 | CRC-32C of all before |
//!
//! Frames follow. The offset of a frame is 4,096 + its Lsn − first Lsn. A file gets its name only
//! when everything before its first Lsn is durable, so its mere existence is a proof of that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector_base::frame::Seal;
use codegraph_vector_base::vfs::{self, OpenMode, Vfs, VfsFile};
use codegraph_vector_base::{Epoch, Error, ErrorKind, Lsn, Result, StoreId, crc32c};

/// Bytes before the first frame.
pub(crate) const HEADER_BYTES: usize = 4096;

const MAGIC: &[u8; 8] = b"CGVWAL\r\n";
const VERSION: u32 = 1;
const CRC_AT: usize = HEADER_BYTES - 4;

/// No log gets this long; positions beyond it are damage, and sums of smaller ones do not overflow.
const MAX_LSN: u64 = 1 << 62;

/// What a log file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) seal: Seal,
    pub(crate) first_lsn: Lsn,
    pub(crate) initial_bytes: u64,
}

impl Header {
    /// Everything before this was durable when the file got its name.
    pub(crate) fn proven_lsn(&self) -> Lsn {
        self.first_lsn.advance(self.initial_bytes)
    }

    /// Where a frame lies in the file.
    pub(crate) fn offset_of(&self, lsn: Lsn) -> u64 {
        (HEADER_BYTES as u64).saturating_add(lsn.0.saturating_sub(self.first_lsn.0))
    }

    fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; HEADER_BYTES];
        block[0..8].copy_from_slice(MAGIC);
        block[8..12].copy_from_slice(&VERSION.to_le_bytes());
        block[12..16].copy_from_slice(&self.seal.epoch.0.to_le_bytes());
        block[32..48].copy_from_slice(&self.seal.store.0);
        block[48..56].copy_from_slice(&self.first_lsn.0.to_le_bytes());
        block[56..64].copy_from_slice(&self.initial_bytes.to_le_bytes());
        let crc = crc32c(&block[..CRC_AT]);
        block[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        block
    }

    fn decode(block: &[u8], path: &Path) -> Result<Self> {
        let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if block[0..8] != *MAGIC || crc32c(&block[..CRC_AT]) != word(CRC_AT) {
            return Err(Error::corrupt(path, 0, "the header of this log file is damaged"));
        }
        if word(8) != VERSION || long(16) != 0 {
            let message =
                "this log file has a newer format; open it with a newer version of CodeGraph Vector";
            return Err(Error::new(ErrorKind::Unsupported, message).at(path));
        }
        if long(48) > MAX_LSN || long(56) > MAX_LSN {
            return Err(Error::corrupt(path, 48, "this log file names a position that no log reaches"));
        }
        let mut store = [0; 16];
        store.copy_from_slice(&block[32..48]);
        Ok(Self {
            seal: Seal { store: StoreId(store), epoch: Epoch(word(12)) },
            first_lsn: Lsn(long(48)),
            initial_bytes: long(56),
        })
    }
}

/// A log file with its header read.
#[derive(Clone, Debug)]
pub(crate) struct WalFile {
    pub(crate) header: Header,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn VfsFile>,
}

impl WalFile {
    /// Opens the file that begins at `first_lsn` and checks that it is this store's.
    pub(crate) fn open(
        vfs: &dyn Vfs,
        path: PathBuf,
        store: StoreId,
        first_lsn: Lsn,
        mode: OpenMode,
    ) -> Result<Self> {
        let file = vfs.open(&path, mode)?;
        let short = || Error::corrupt(&path, 0, "this log file is shorter than its header");
        let block = vfs::read_exact_at(&*file, 0, HEADER_BYTES)?.ok_or_else(short)?;
        let header = Header::decode(&block, &path)?;
        if header.seal.store != store || header.first_lsn != first_lsn {
            return Err(Error::corrupt(&path, 32, "this log file belongs to another store or position"));
        }
        Ok(Self { header, path, file })
    }

    /// Lets a new file appear, complete and durable, with `frames` in it and `blank` zeros behind.
    pub(crate) fn create(
        vfs: &dyn Vfs,
        path: PathBuf,
        seal: Seal,
        first_lsn: Lsn,
        frames: &[u8],
        blank: u64,
    ) -> Result<Self> {
        let header = Header { seal, first_lsn, initial_bytes: frames.len() as u64 };
        vfs::publish(vfs, &path, |file| {
            let frames_end = (HEADER_BYTES + frames.len()) as u64;
            file.allocate(0, frames_end + blank)?;
            file.write_at(&header.encode(), 0)?;
            file.write_at(frames, HEADER_BYTES as u64)?;
            write_zeros(file, frames_end, blank)
        })?;
        let file = vfs.open(&path, OpenMode::ReadWrite)?;
        Ok(Self { header, path, file })
    }

    /// Bytes of frames that the file has room for, written or not.
    pub(crate) fn body_bytes(&self) -> Result<u64> {
        Ok(self.file.len()?.saturating_sub(HEADER_BYTES as u64))
    }
}

/// Writes real zeros, so that a later write there changes no metadata of the file system.
pub(crate) fn write_zeros(file: &dyn VfsFile, mut offset: u64, mut len: u64) -> Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while len > 0 {
        let step = len.min(ZEROS.len() as u64);
        file.write_at(&ZEROS[..step as usize], offset)?;
        offset += step;
        len -= step;
    }
    Ok(())
}
