//! The writer's note in the `LOCK` file: how far the log is durable, for readers in other processes.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 16 | boot id of the machine |
//! | 16 | 8 | synced Lsn |
//! | 24 | 4 | epoch |
//! | 28 | 4 | CRC-32C of all before and the store id |
//!
//! Written without a sync after each group: within one boot the page cache tells the truth, and
//! after a reboot everything in the log has been through the disk and the note is not needed.

use codegraph_vector_base::vfs::VfsFile;
use codegraph_vector_base::{Crc32c, Epoch, Lsn, Result, StoreId};

const NOTE_BYTES: usize = 32;

/// How far the log is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncNote {
    /// The boot within which this was written; 0 where the platform does not tell.
    pub boot_id: u128,
    /// Everything before this is durable.
    pub synced_lsn: Lsn,
    /// The epoch that this speaks of.
    pub epoch: Epoch,
}

impl SyncNote {
    /// Writes the note, not synced.
    pub fn write(&self, file: &dyn VfsFile, store: StoreId) -> Result<()> {
        let mut bytes = [0; NOTE_BYTES];
        bytes[0..16].copy_from_slice(&self.boot_id.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.synced_lsn.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.epoch.0.to_le_bytes());
        let crc = checksum(&bytes[..28], store);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        file.write_at(&bytes, 0)
    }

    /// The note in `file`, if there is a whole one. A note caught half-written reads as none.
    pub fn read(file: &dyn VfsFile, store: StoreId) -> Result<Option<Self>> {
        let mut bytes = [0; NOTE_BYTES];
        if file.read_at(&mut bytes, 0)? < NOTE_BYTES {
            return Ok(None);
        }
        let mut boot = [0; 16];
        boot.copy_from_slice(&bytes[0..16]);
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let lsn = u64::from(word(16)) | u64::from(word(20)) << 32;
        let note = Self { boot_id: u128::from_le_bytes(boot), synced_lsn: Lsn(lsn), epoch: Epoch(word(24)) };
        Ok((checksum(&bytes[..28], store) == word(28)).then_some(note))
    }

    /// The boot within which the note in `file` was written, whole or not; `None` if there is nothing.
    pub fn read_boot_id(file: &dyn VfsFile) -> Result<Option<u128>> {
        let mut boot = [0; 16];
        Ok((file.read_at(&mut boot, 0)? == boot.len()).then_some(u128::from_le_bytes(boot)))
    }
}

fn checksum(bytes: &[u8], store: StoreId) -> u32 {
    Crc32c::new().update(bytes).update(&store.0).value()
}
