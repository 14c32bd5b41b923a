//! Reads the log: which files, in which order, up to where.
//!
//! Files follow each other by first Lsn; each ends, whatever else it holds, where the next one
//! begins. A group counts only as a whole. The first bad one ends the log, unless something
//! proves that it had been durable: then it is corruption, not the end.

use std::path::{Path, PathBuf};

use codegraph_vector_base::frame::{ALIGNMENT, Check};
use codegraph_vector_base::vfs::{OpenMode, Vfs};
use codegraph_vector_base::{Error, Lsn, Result, StoreId};

use super::appender::FIRST_BLANK_BYTES;
use super::file::WalFile;
use super::group::{self, GroupHeader, parse_records};
use super::read::{RawGroup, Step, read_group};
use super::{parse_wal_name, wal_path};

/// One record of the log.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where its frame begins.
    pub lsn: Lsn,
    /// Where its group ends: a position from which the log can be read.
    pub group_end: Lsn,
    /// What the payload is; above [`super::GROUP_KIND`].
    pub kind: u16,
    /// The record.
    pub payload: &'a [u8],
}

/// The unsynced end that a crash left behind and that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// The first byte that does not count.
    pub offset: u64,
    /// The position of that byte.
    pub lsn: Lsn,
    /// Bytes from there to the last one that is not zero.
    pub bytes: u64,
}

/// What to read.
#[derive(Clone, Copy, Debug)]
pub struct ScanRange {
    /// A group boundary to start at.
    pub from: Lsn,
    /// The log is known to be durable up to here: what is bad before it is corrupt.
    pub proven: Lsn,
    /// Groups that end behind this are left alone.
    pub limit: Lsn,
    /// Whether checksums count; see [`Check`].
    pub check: Check,
}

/// What a pass over the log found.
#[derive(Debug)]
pub struct Scan {
    /// The end of the last whole group.
    pub end: Lsn,
    /// Everything before this is known to be durable.
    pub proven: Lsn,
    /// What was cut off behind the end, if anything was there.
    pub cut: Option<Cut>,
    /// Groups read.
    pub groups: u64,
    /// Records read.
    pub records: u64,
    /// The last file read.
    pub(crate) last: WalFile,
}

impl Scan {
    /// Whether the last file lacks some of the zeros that it got before its name: a power cut cannot take
    /// them, so whoever did may have taken groups with them.
    ///
    /// # Errors
    /// `Corrupt` if so; what the file system says.
    pub fn check_uncut(&self) -> Result<()> {
        let (file, header) = (&self.last.file, &self.last.header);
        let len = file.len()?;
        if len < header.offset_of(header.proven_lsn()).saturating_add(FIRST_BLANK_BYTES) {
            let message = "this log file was cut short, and durable commits may have been in what is missing";
            return Err(Error::corrupt(&self.last.path, len, message));
        }
        Ok(())
    }
}

/// First Lsns of the log's files, oldest first.
pub fn wal_files(vfs: &dyn Vfs, folder: &Path) -> Result<Vec<Lsn>> {
    let names = vfs.list(folder)?;
    Ok(names.iter().filter_map(|name| parse_wal_name(name)).collect())
}

/// Reads the log from `range.from`, handing each record of each whole group to `each`.
///
/// # Errors
/// `Corrupt` if bytes that had been durable are bad or missing; whatever `each` returns.
pub fn scan(
    vfs: &dyn Vfs,
    folder: &Path,
    store: StoreId,
    range: ScanRange,
    each: &mut dyn FnMut(Record<'_>) -> Result<()>,
) -> Result<Scan> {
    let all = wal_files(vfs, folder)?;
    let Some(start) = all.partition_point(|first| *first <= range.from).checked_sub(1) else {
        let missing = wal_path(folder, range.from);
        return Err(Error::corrupt(missing, 0, format!("the log from Lsn {} on is missing", range.from)));
    };
    let files = &all[start..];
    // What lies before the start was durable when the start was chosen.
    let proven = range.proven.max(range.from);
    let mut pass = Pass { range, end: range.from, proven, groups: 0, records: 0, each };
    for (at, first) in files.iter().enumerate() {
        let file = WalFile::open(vfs, wal_path(folder, *first), store, *first, OpenMode::Read)?;
        let next = files.get(at + 1).copied();
        pass.proven = pass.proven.max(file.header.proven_lsn());
        let stop = pass.read_file(&file, next)?;
        let cut = match (stop, next) {
            (Stop::NextFile, _) => continue,
            (Stop::Limit, _) => None,
            (Stop::Bad(lsn), Some(next)) => return Err(pass.corrupt(&file, lsn, next)),
            (Stop::Bad(lsn), None) => pass.judge(&file, lsn)?,
        };
        let Pass { end, proven, groups, records, .. } = pass;
        return Ok(Scan { end, proven, cut, groups, records, last: file });
    }
    // Not reached: the last file has no next one. Said as an error, since a reader never panics.
    Err(Error::corrupt(folder, 0, "the log has no last file"))
}

enum Stop {
    NextFile,
    Limit,
    /// The frame at this position is none.
    Bad(Lsn),
}

struct Pass<'a> {
    range: ScanRange,
    end: Lsn,
    proven: Lsn,
    groups: u64,
    records: u64,
    each: &'a mut dyn FnMut(Record<'_>) -> Result<()>,
}

impl Pass<'_> {
    /// Reads whole groups of one file; `next` is where the file after it begins.
    fn read_file(&mut self, file: &WalFile, next: Option<Lsn>) -> Result<Stop> {
        let seal = file.header.seal;
        let check = self.range.check;
        loop {
            let start = self.end;
            match next {
                Some(next) if start == next => return Ok(Stop::NextFile),
                Some(next) if start > next => return Ok(Stop::Bad(next)),
                _ if start >= self.range.limit => return Ok(Stop::Limit),
                _ => {}
            }
            let group = match read_group(file, start, self.range.limit, check)? {
                Step::Group(group) => group,
                Step::Limit => return Ok(Stop::Limit),
                Step::Bad(lsn) => return Ok(Stop::Bad(lsn)),
            };
            let RawGroup { header, body_lsn, end: group_end, body } = group;
            let records = match parse_records(&header, &body, &seal, body_lsn, check) {
                Ok(records) => records,
                Err((lsn, _)) => return Ok(Stop::Bad(lsn)),
            };
            for (lsn, frame) in &records {
                (self.each)(Record { lsn: *lsn, group_end, kind: frame.kind, payload: frame.payload })?;
            }
            self.end = group_end;
            self.proven = self.proven.max(header.synced_lsn);
            self.groups += 1;
            self.records += records.len() as u64;
        }
    }

    fn corrupt(&self, file: &WalFile, bad: Lsn, proven: Lsn) -> Error {
        let offset = file.header.offset_of(bad.max(file.header.first_lsn));
        let message =
            format!("the log is damaged at Lsn {bad}, although it had been durable up to Lsn {proven}");
        Error::corrupt(&file.path, offset, message)
    }

    /// Decides whether the bad frame at `bad` in the last file is where the log ends.
    fn judge(&self, file: &WalFile, bad: Lsn) -> Result<Option<Cut>> {
        let rest = Rest::read(file, self.end, self.range.check)?;
        let proven = self.proven.max(rest.proven);
        if self.end < proven {
            return Err(self.corrupt(file, bad, proven.min(self.range.limit)));
        }
        let offset = file.header.offset_of(self.end);
        Ok((rest.used_bytes > 0).then(|| Cut {
            path: file.path.clone(),
            offset,
            lsn: self.end,
            bytes: rest.used_bytes,
        }))
    }
}

/// What lies behind the last whole group.
struct Rest {
    /// The highest synced Lsn of any valid group header there.
    proven: Lsn,
    /// Bytes up to the last that is not zero.
    used_bytes: u64,
}

impl Rest {
    fn read(file: &WalFile, from: Lsn, check: Check) -> Result<Self> {
        const CHUNK: usize = 1 << 20;
        let start = file.header.offset_of(from);
        let mut rest = Rest { proven: Lsn(0), used_bytes: 0 };
        let mut buffer = vec![0; (file.file.len()?.saturating_sub(start) as usize).min(CHUNK)];
        let mut at = 0;
        loop {
            let got = file.file.read_at(&mut buffer, start + at)?;
            let bytes = &buffer[..got];
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                rest.used_bytes = at + last as u64 + 1;
                rest.look_for_headers(bytes, file, from.advance(at), check);
            }
            if got < CHUNK {
                return Ok(rest);
            }
            // Chunks overlap, so that no header is missed across their border.
            at += (CHUNK - group::HEADER_BYTES) as u64;
        }
    }

    fn look_for_headers(&mut self, bytes: &[u8], file: &WalFile, lsn: Lsn, check: Check) {
        let mut at = 0;
        while at + group::HEADER_BYTES <= bytes.len() {
            let here = &bytes[at..at + group::HEADER_BYTES];
            if here[8] == group::GROUP_KIND as u8
                && let Ok(header) = GroupHeader::parse(here, &file.header.seal, lsn.advance(at as u64), check)
            {
                self.proven = self.proven.max(header.synced_lsn);
            }
            at += ALIGNMENT;
        }
    }
}
