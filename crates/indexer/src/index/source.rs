//! Reading one source file, whole and at rest.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::UNIX_EPOCH;

use gix::ObjectId;
use xxhash_rust::xxh3::xxh3_128;

use crate::source::is_gone;

/// How often a file that changes while it is read is read again.
const ATTEMPTS: usize = 3;

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) mark: Mark,
}

/// What tells the states of files of the same size apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// When it was last written to, in µs since the Unix epoch: of a file in a folder.
    Modified(i64),
    /// The id of its bytes: of a file in a commit, which has no time.
    Blob(ObjectId),
}

impl Stamp {
    /// The stamp of a file.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified_us = metadata.modified().map_or(0, |time| match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        });
        Self { size: metadata.len(), mark: Mark::Modified(modified_us) }
    }
}

/// A file as it was at one moment.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: u128,
    pub(crate) stamp: Stamp,
}

impl Source {
    pub(crate) fn of(bytes: Vec<u8>, stamp: Stamp) -> Self {
        Self { hash: xxh3_128(&bytes), bytes, stamp }
    }
}

/// Why a file was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is not there any more, or no file any more.
    Gone,
    /// It has more bytes than may be.
    TooLarge,
    /// Nothing is known of what it holds now: a sentence that says why.
    Unknown(String),
}

/// Called once a file was read and before it is made sure that it has not changed; an error stands for one of the
/// file system. Tests do their mischief here.
pub(crate) type Hook<'a> = &'a (dyn Fn(&Path) -> io::Result<()> + Sync);

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64, hook: Hook<'_>) -> Result<Source, Unread> {
    for _ in 0..ATTEMPTS {
        match attempt(path, limit, hook) {
            Ok(Some(source)) => return Ok(source),
            Ok(None) => {}
            Err(Failure::Unread(unread)) => return Err(unread),
            Err(Failure::Io(error)) if is_gone(&error) => return Err(Unread::Gone),
            Err(Failure::Io(error)) => return Err(Unread::Unknown(format!("cannot be read: {error}"))),
        }
    }
    Err(Unread::Unknown("changed each time that it was read".to_owned()))
}

enum Failure {
    Io(io::Error),
    Unread(Unread),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// `None` if it changed meanwhile.
#[allow(clippy::disallowed_methods)] // The user's own files, not a store's.
fn attempt(path: &Path, limit: u64, hook: Hook<'_>) -> Result<Option<Source>, Failure> {
    let before = fs::symlink_metadata(path)?;
    if !before.is_file() {
        return Err(Failure::Unread(Unread::Gone));
    }
    if before.len() > limit {
        return Err(Failure::Unread(Unread::TooLarge));
    }
    let file = fs::File::open(path)?;
    let mut bytes = Vec::with_capacity(before.len() as usize + 1);
    // One byte more than it had shows that it grew, and no file can grow without end here.
    file.take(before.len() + 1).read_to_end(&mut bytes)?;
    hook(path)?;
    let after = fs::symlink_metadata(path)?;
    let stamp = Stamp::of(&before);
    if stamp != Stamp::of(&after) || !same_file(&before, &after) || bytes.len() as u64 != stamp.size {
        return Ok(None);
    }
    Ok(Some(Source::of(bytes, stamp)))
}

/// When a file last became what it is, in µs since the Unix epoch: written to, renamed, given another time or other
/// permissions. The system keeps it, and no program can set it: it tells of a file that took the place of another one
/// of the same size and time. `i64::MIN` where no system tells.
pub(crate) fn changed_us(metadata: &Metadata) -> i64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        metadata.ctime().saturating_mul(1_000_000).saturating_add(metadata.ctime_nsec() / 1000)
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        i64::MIN
    }
}

/// Whether it is one file, in one state.
#[cfg(unix)]
fn same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |file: &Metadata| (file.dev(), file.ino(), file.ctime(), file.ctime_nsec());
    identity(one) == identity(other)
}

#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}
