//! From what a crash left to a log that can be written again.

use std::path::Path;
use std::sync::Arc;

use codegraph_vector_base::frame::Seal;
use codegraph_vector_base::vfs::{OpenMode, Vfs};
use codegraph_vector_base::{Epoch, Error, Lsn, Result};

use super::appender::{Appender, FIRST_BLANK_BYTES};
use super::chain::{Scan, ScanRange, scan};
use super::file::WalFile;
use super::group::Group;
use super::wal_path;

/// How the log goes on after a scan.
#[derive(Clone, Copy, Debug)]
pub struct Continuation {
    /// Where the manifest says that the store was closed cleanly, if it does.
    pub clean_close: Option<Lsn>,
    /// The new epoch is above this one too.
    pub epoch: Epoch,
    /// Bytes after which a file is followed by another.
    pub max_file_bytes: u64,
    /// Whether the unproven tail is rewritten. Always, but for the test that proves its need.
    pub rewrite_tail: bool,
}

/// Continues the log whose whole rest `scan` has read.
///
/// Unless the store was closed cleanly, the tail behind the last proven position is copied into
/// a new file under a new epoch and synced, for two reasons: what a killed process wrote without
/// a sync, or what a failed sync marked clean, is read from the page cache now and may still be
/// lost; and frames behind a hole must never count again.
pub fn resume(vfs: Arc<dyn Vfs>, folder: &Path, scanned: Scan, how: Continuation) -> Result<Appender> {
    let clean = how.clean_close == Some(scanned.end) && scanned.cut.is_none();
    let Scan { end, proven, last, .. } = scanned;
    if clean || !how.rewrite_tail {
        if last.header.first_lsn == end {
            // Whoever opened the store after it was closed cleanly, and made this file, may have been killed before
            // its name was durable: what is written into it would go with the name.
            vfs.sync_dir(folder)?;
        }
        let mode = OpenMode::ReadWrite;
        let current = WalFile::open(&*vfs, last.path, last.header.seal.store, last.header.first_lsn, mode)?;
        return Appender::resume(vfs, folder.to_owned(), current, end, end, how.max_file_bytes);
    }
    let old = last.header.seal;
    let epoch = old.epoch.max(how.epoch);
    if epoch == Epoch::LAST {
        let message = "this log names an epoch that no log reaches, and no later one could follow";
        return Err(Error::corrupt(wal_path(folder, last.header.first_lsn), 12, message));
    }
    let seal = Seal { store: old.store, epoch: epoch.next() };
    // The last file may be one that a killed process had just named: a file behind it must not be
    // durable before it is.
    vfs.sync_dir(folder)?;
    let frames = reframe(&*vfs, folder, old, seal, proven, end)?;
    let current = WalFile::create(&*vfs, wal_path(folder, proven), seal, proven, &frames, FIRST_BLANK_BYTES)?;
    Appender::resume(vfs, folder.to_owned(), current, end, end, how.max_file_bytes)
}

/// The groups from `from` to `end`, at the same positions, under another seal.
fn reframe(vfs: &dyn Vfs, folder: &Path, old: Seal, seal: Seal, from: Lsn, end: Lsn) -> Result<Vec<u8>> {
    let mut frames = Vec::with_capacity((end.0 - from.0) as usize);
    let mut group = Group::new(seal, from);
    let check = codegraph_vector_base::frame::Check::Verify;
    let range = ScanRange { from, proven: from, limit: end, check };
    let again = scan(vfs, folder, old.store, range, &mut |record| {
        group.append(record.kind, &[record.payload]);
        if group.end() == record.group_end {
            let start = group.start();
            frames.extend_from_slice(group.seal(start));
            group.reset(seal, record.group_end);
        }
        Ok(())
    })?;
    if again.end != end || frames.len() as u64 != end.0 - from.0 {
        let message = format!("the tail of the log, Lsn {from} to {end}, cannot be read a second time");
        return Err(Error::corrupt(wal_path(folder, again.last.header.first_lsn), 0, message));
    }
    Ok(frames)
}

/// Removes files that hold nothing from `floor` on; returns how many. The last file always stays.
pub fn retain(vfs: &dyn Vfs, folder: &Path, floor: Lsn) -> Result<usize> {
    let files = super::chain::wal_files(vfs, folder)?;
    let mut removed = 0;
    for pair in files.windows(2) {
        if pair[1] > floor {
            break;
        }
        vfs.remove_file(&wal_path(folder, pair[0]))?;
        removed += 1;
    }
    Ok(removed)
}
