//! Writes a log anew from records that were kept elsewhere, each where it was.
//!
//! What always holds: a record gets the Lsn that it had, so that whatever names it by that still does; the log counts only
//! once a manifest names it, so a rebuilding that was cut short leaves nothing that is a log.

use std::path::PathBuf;
use std::sync::Arc;

use codegraph_vector_base::frame::Seal;
use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_base::{Error, ErrorKind, Lsn, Result};

use super::appender::{Appender, Failure};
use super::group::Group;

/// A log in the making.
#[derive(Debug)]
pub struct LogRebuilder {
    appender: Appender,
    group: Group,
}

impl LogRebuilder {
    /// Begins a log in `folder`, whose first group is at `start`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(
        vfs: Arc<dyn Vfs>,
        folder: PathBuf,
        seal: Seal,
        start: Lsn,
        max_file_bytes: u64,
    ) -> Result<Self> {
        let appender = Appender::create_at(vfs, folder, seal, start, max_file_bytes)?;
        Ok(Self { appender, group: Group::new(seal, start) })
    }

    /// Where the next group goes.
    pub fn end(&self) -> Lsn {
        self.appender.end()
    }

    /// Writes a group: each record's kind and payload.
    ///
    /// # Errors
    /// `InvalidInput` if it does not belong where the log ends; what the file system says.
    pub fn append<'r>(&mut self, start: Lsn, records: impl Iterator<Item = (u16, &'r [u8])>) -> Result<()> {
        if start != self.end() {
            let message = format!("a group of Lsn {start} cannot follow at Lsn {}", self.end());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        self.group.reset(self.appender.seal(), start);
        for (kind, payload) in records {
            self.group.append(kind, &[payload]);
        }
        let synced = self.appender.synced();
        self.appender.append(self.group.seal(synced)).map_err(Failure::into_error)
    }

    /// Makes it durable; where it ends.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(mut self) -> Result<Lsn> {
        self.appender.sync().map_err(Failure::into_error)?;
        Ok(self.appender.end())
    }
}
