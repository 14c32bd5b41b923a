//! What an observer of the simulated disk sees, and what it can do to a call.

use std::fmt::Debug;
use std::path::PathBuf;

use super::SimVfs;

/// What a call asks of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// Opens an existing file.
    Open,
    /// Opens an empty file.
    Create,
    /// Reads bytes.
    Read,
    /// Writes bytes.
    Write,
    /// Reserves space.
    Allocate,
    /// Cuts or grows a file.
    SetLen,
    /// Syncs contents.
    SyncData,
    /// Syncs contents and attributes.
    SyncAll,
    /// Syncs the names of a folder.
    SyncDir,
    /// Renames; the call's path is the new name.
    Rename,
    /// Removes a name.
    Remove,
    /// Gives a file another name; the call's path is that name.
    Link,
    /// Makes folders.
    CreateDir,
    /// Lists a folder.
    List,
    /// Looks up a name.
    Exists,
    /// Takes a lock.
    Lock,
    /// Asks for the length of a file.
    Len,
    /// Maps a file.
    Map,
}

impl Op {
    /// Whether the call can change what a crash leaves: the calls worth a fork before each.
    pub fn mutates(self) -> bool {
        !matches!(self, Op::Open | Op::Read | Op::List | Op::Exists | Op::Len | Op::Map)
    }

    /// Whether the call is a sync of a file or folder.
    pub fn is_sync(self) -> bool {
        matches!(self, Op::SyncData | Op::SyncAll | Op::SyncDir)
    }
}

/// A call that is about to reach the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// How many calls came before it.
    pub index: u64,
    /// What it asks.
    pub op: Op,
    /// Of which file: the path as it was handed in, for an open file the one it was opened by.
    pub path: PathBuf,
    /// At which byte, for reads, writes and reservations; the length for `SetLen`.
    pub offset: u64,
    /// How many bytes, for reads, writes and reservations.
    pub len: u64,
}

/// Sees each call before it happens.
pub trait Observer: Send + Sync {
    /// Runs on the calling thread with no lock of the simulation held, so it may fork, crash,
    /// read or call into the store under test. Calls that it makes on `sim` through `Vfs` are
    /// observed too; [`SimVfs::read_all`] and its like are not.
    fn before(&self, sim: &SimVfs, call: &Call) -> Action;
}

impl<F: Fn(&SimVfs, &Call) -> Action + Send + Sync> Observer for F {
    fn before(&self, sim: &SimVfs, call: &Call) -> Action {
        self(sim, call)
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It happens.
    Proceed,
    /// It fails.
    Fail(Fault),
}

/// How a call fails. A fault that does not fit the call makes it fail with the same error,
/// without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO, without effect.
    Eio,
    /// ENOSPC, without effect.
    Enospc,
    /// EXDEV, without effect: the names are on two devices.
    Exdev,
    /// ENOSPC after so many bytes of a write or reservation went in.
    EnospcAfter(usize),
    /// EIO after so many bytes of a write went in.
    TornWrite(usize),
    /// EIO from a sync. A random part of what was unsynced is durable, the rest never will be:
    /// reads still show it, and later syncs succeed without writing it, as on Linux.
    SyncFails,
    /// EIO from a read.
    ReadEio,
}

impl Fault {
    /// How much of `len` bytes goes in, and the error number after that.
    pub(super) fn partial(self, len: usize) -> (usize, i32) {
        match self {
            Fault::EnospcAfter(bytes) => (bytes.min(len), super::ENOSPC),
            Fault::TornWrite(bytes) => (bytes.min(len), super::EIO),
            other => (0, other.errno()),
        }
    }

    pub(super) fn errno(self) -> i32 {
        match self {
            Fault::Enospc | Fault::EnospcAfter(_) => super::ENOSPC,
            Fault::Exdev => super::EXDEV,
            Fault::Eio | Fault::TornWrite(_) | Fault::SyncFails | Fault::ReadEio => super::EIO,
        }
    }
}

/// Lies of a disk, to prove that the tests would notice a store that does not sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lies {
    /// Syncs of files return without doing anything.
    pub ignore_file_sync: bool,
    /// Syncs of folders return without doing anything.
    pub ignore_dir_sync: bool,
}
