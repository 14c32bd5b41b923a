//! Reads the log a group at a time, from any group boundary, while others write and trim it.
//!
//! What always holds: at most one group is in memory; nothing behind the limit that the caller gives is looked at, so
//! what is read is what the caller knows to be durable; no lock is taken. Recovery reads groups by the same
//! [`read_group`].

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use codegraph_vector_base::frame::{Check, Seal};
use codegraph_vector_base::vfs::{OpenMode, Vfs, read_exact_at};
use codegraph_vector_base::{Error, ErrorKind, Lsn, Result, StoreId};

use super::chain::{Record, wal_files};
use super::file::WalFile;
use super::group::{self, GroupHeader, parse_records};
use super::wal_path;

/// How often a file is looked for anew that was removed between its being listed and opened.
const ATTEMPTS: usize = 3;

/// What lies at a position.
pub(super) enum Step {
    /// A group, its header sound.
    Group(RawGroup),
    /// A group that ends behind the limit.
    Limit,
    /// No group, or not a whole one: the frame at this position is bad.
    Bad(Lsn),
}

/// The bytes of a group.
pub(super) struct RawGroup {
    pub(super) header: GroupHeader,
    /// Where the bytes behind the header begin.
    pub(super) body_lsn: Lsn,
    pub(super) end: Lsn,
    pub(super) body: Vec<u8>,
}

/// Reads the group at `start`, if it ends at or before `limit`.
pub(super) fn read_group(file: &WalFile, start: Lsn, limit: Lsn, check: Check) -> Result<Step> {
    let bad = Ok(Step::Bad(start));
    let offset = file.header.offset_of(start);
    let Some(bytes) = read_exact_at(&*file.file, offset, group::HEADER_BYTES)? else { return bad };
    let Ok(header) = GroupHeader::parse(&bytes, &file.header.seal, start, check) else { return bad };
    let body_lsn = start.advance(group::HEADER_BYTES as u64);
    let Some(end) = body_lsn.0.checked_add(header.body_bytes).map(Lsn) else { return bad };
    if end > limit {
        return Ok(Step::Limit);
    }
    let body_len = usize::try_from(header.body_bytes).unwrap_or(usize::MAX);
    let Some(body) = read_exact_at(&*file.file, file.header.offset_of(body_lsn), body_len)? else {
        return bad;
    };
    Ok(Step::Group(RawGroup { header, body_lsn, end, body }))
}

/// A whole group, its checksums verified.
#[derive(Debug)]
pub struct LogGroup {
    start: Lsn,
    end: Lsn,
    body: Vec<u8>,
    records: Vec<(Lsn, u16, Range<usize>)>,
}

impl LogGroup {
    fn of(start: Lsn, raw: RawGroup, seal: &Seal) -> Result<Self, Lsn> {
        let RawGroup { header, body_lsn, end, body } = raw;
        let records = parse_records(&header, &body, seal, body_lsn, Check::Verify).map_err(|(lsn, _)| lsn)?;
        let place = |payload: &[u8]| {
            let at = payload.as_ptr() as usize - body.as_ptr() as usize;
            at..at + payload.len()
        };
        let records = records.iter().map(|(lsn, frame)| (*lsn, frame.kind, place(frame.payload))).collect();
        Ok(Self { start, end, records, body })
    }

    /// Where it begins: a position from which the log can be read.
    pub fn start(&self) -> Lsn {
        self.start
    }

    /// Where it ends: another one.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// One of its records, by place; `None` behind the last.
    pub fn record(&self, at: usize) -> Option<Record<'_>> {
        let (lsn, kind, place) = self.records.get(at)?;
        Some(Record { lsn: *lsn, group_end: self.end, kind: *kind, payload: &self.body[place.clone()] })
    }

    /// All of them, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (0..).map_while(|at| self.record(at))
    }
}

/// A reader of the log. Files that are removed while it is in them stay readable to it.
#[derive(Debug)]
pub struct LogReader {
    vfs: Arc<dyn Vfs>,
    folder: PathBuf,
    store: StoreId,
    at: Lsn,
    file: Option<Located>,
    /// Up to where files were looked for.
    limit: Lsn,
}

#[derive(Debug)]
struct Located {
    file: WalFile,
    /// Where the next file takes over, if there was one.
    next: Option<Lsn>,
}

impl LogReader {
    /// Reads from `from`, a group boundary, on.
    pub fn new(vfs: Arc<dyn Vfs>, folder: PathBuf, store: StoreId, from: Lsn) -> Self {
        Self { vfs, folder, store, at: from, file: None, limit: Lsn(0) }
    }

    /// Where the next group begins.
    pub fn position(&self) -> Lsn {
        self.at
    }

    /// The next group that ends at or before `limit`, up to which the log has to be durable; `None` if there is none.
    ///
    /// # Errors
    /// `Gone` if the log was trimmed beyond this position; `Corrupt` if a durable group cannot be read.
    pub fn next(&mut self, limit: Lsn) -> Result<Option<LogGroup>> {
        if self.limit != limit {
            // A file that was made since may go on from the middle of the one that is open.
            self.look_for_next()?;
            self.limit = limit;
        }
        while self.at < limit {
            let is_new = self.file.is_none();
            let located = match self.file.take() {
                Some(located) => located,
                None => self.locate()?,
            };
            if located.next.is_some_and(|next| self.at >= next) {
                continue;
            }
            let bad = match read_group(&located.file, self.at, limit, Check::Verify)? {
                Step::Group(raw) => match LogGroup::of(self.at, raw, &located.file.header.seal) {
                    Ok(group) => {
                        self.at = group.end;
                        self.file = Some(located);
                        return Ok(Some(group));
                    }
                    Err(bad) => bad,
                },
                Step::Limit => {
                    self.file = Some(located);
                    return Ok(None);
                }
                Step::Bad(bad) => bad,
            };
            // An open file may have been left for another, or replaced; one that was just opened was not.
            if is_new {
                let message =
                    format!("the log cannot be read at Lsn {bad}, although it is durable up to {limit}");
                let offset = located.file.header.offset_of(bad);
                return Err(Error::corrupt(&located.file.path, offset, message));
            }
        }
        Ok(None)
    }

    fn look_for_next(&mut self) -> Result<()> {
        if let Some(located) = &mut self.file {
            let files = wal_files(&*self.vfs, &self.folder)?;
            located.next = next_after(&files, located.file.header.first_lsn);
        }
        Ok(())
    }

    /// Opens the file that holds this position.
    fn locate(&self) -> Result<Located> {
        for _ in 0..ATTEMPTS {
            let files = wal_files(&*self.vfs, &self.folder)?;
            let Some(at) = files.partition_point(|first| *first <= self.at).checked_sub(1) else { break };
            let (first, next) = (files[at], next_after(&files, files[at]));
            let path = wal_path(&self.folder, first);
            match WalFile::open(&*self.vfs, path, self.store, first, OpenMode::Read) {
                Ok(file) => return Ok(Located { file, next }),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let message = format!("the log from Lsn {} on is no longer there", self.at);
        Err(Error::new(ErrorKind::Gone, message).at(&self.folder))
    }
}

fn next_after(files: &[Lsn], first: Lsn) -> Option<Lsn> {
    files.get(files.partition_point(|other| *other <= first)).copied()
}
