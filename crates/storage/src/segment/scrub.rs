//! Looking at every byte of a segment again, by reads: a disk that fails is a finding here, not the end of the process.

use std::fmt;
use std::path::{Path, PathBuf};

use codegraph_vector_base::limits::SECTION_ALIGNMENT;
use codegraph_vector_base::vfs::{OpenMode, Vfs, VfsFile, read_exact_at};
use codegraph_vector_base::{Error, ErrorKind, Result, SegmentId, StoreId, crc32c};

use super::format::{
    BLOCK_BYTES, CRC_BYTES, SectionEntry, SectionKind, SegmentFileRef, TRAILER_BYTES, Trailer, check_header,
    decode_table,
};
use super::reader::{Section, SegmentFile, check_len};
use crate::envelope::{ENVELOPE_BYTES, u32_at};

/// Bytes of a file that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBlock {
    /// The file.
    pub path: PathBuf,
    /// Where the block begins in it.
    pub offset: u64,
    /// Bytes of the block.
    pub len: u64,
    /// The section that it is of, if any.
    pub section: Option<SectionKind>,
    /// What is wrong, in a sentence.
    pub what: String,
}

impl fmt::Display for BadBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}, {} bytes: {}", self.path.display(), self.offset, self.len, self.what)
    }
}

impl SegmentFile {
    /// Reads every block of every section again from `file`, which the caller opened by the segment's path, whatever
    /// is known of it. Bad ones are quarantined.
    pub fn scrub(&self, file: &dyn VfsFile) -> Vec<BadBlock> {
        self.sections().flat_map(|section| section.bad_blocks(file)).collect()
    }
}

impl Section<'_> {
    /// Reads every block of the section again from `file`, as [`SegmentFile::scrub`].
    pub fn bad_blocks(self, file: &dyn VfsFile) -> Vec<BadBlock> {
        let mut bad = Vec::new();
        let crc_of = |block| self.block_crc(block);
        check_blocks(file, self.path(), self.entry(), crc_of, |block, found| {
            self.quarantine(block);
            bad.push(found);
        });
        bad
    }
}

/// Reads a whole segment file and lists what is wrong with it: header, sections, padding, tables, trailer. Damage to
/// header, tables or length hides the sections, so it is then all that is listed.
///
/// # Errors
/// `NotFound`, or what else keeps the file from being opened; `Unsupported` for a newer format.
pub fn verify_segment(
    vfs: &dyn Vfs,
    path: &Path,
    store: StoreId,
    id: SegmentId,
    expected: &SegmentFileRef,
) -> Result<Vec<BadBlock>> {
    let file = vfs.open(path, OpenMode::Read)?;
    let (entries, tables) = match read_tables(&*file, path, store, id, expected) {
        Ok(read) => read,
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Io) => {
            let len = expected.file_bytes.saturating_sub(error.offset().unwrap_or(0));
            return Ok(vec![finding(path, error.offset().unwrap_or(0), len, None, &error)]);
        }
        Err(error) => return Err(error),
    };
    let mut bad = Vec::new();
    for entry in &entries {
        let first = entries.first().map_or(0, |first| first.crcs_offset);
        let crcs = (entry.crcs_offset - first) as usize;
        let crc_of = |block: u64| u32_at(&tables, crcs + block as usize * CRC_BYTES);
        check_blocks(&*file, path, entry, crc_of, |_, found| bad.push(found));
        bad.extend(check_padding(&*file, path, entry));
    }
    Ok(bad)
}

/// The section table, and all bytes between sections and trailer.
fn read_tables(
    file: &dyn VfsFile,
    path: &Path,
    store: StoreId,
    id: SegmentId,
    expected: &SegmentFileRef,
) -> Result<(Vec<SectionEntry>, Vec<u8>)> {
    check_len(file.len()?, expected, path)?;
    let read = |offset: u64, len: usize| {
        let short = || Error::corrupt(path, offset, "the segment is cut short");
        read_exact_at(file, offset, len)?.ok_or_else(short)
    };
    let header = read(0, ENVELOPE_BYTES)?;
    check_header(&header, store, id, path)?;
    let trailer_at = expected.file_bytes.saturating_sub(TRAILER_BYTES as u64);
    let trailer = Trailer::decode(&read(trailer_at, TRAILER_BYTES)?, expected, path)?;
    // Not more than the file's length, which fits memory's addresses wherever the file can be mapped.
    let tables_len = usize::try_from(trailer_at - trailer.crcs_offset).unwrap_or(usize::MAX);
    let tables = read(trailer.crcs_offset, tables_len)?;
    Ok((decode_table(&header, &tables, &trailer, path)?, tables))
}

/// Reads every block of a section and reports those that do not have their checksum.
fn check_blocks(
    file: &dyn VfsFile,
    path: &Path,
    entry: &SectionEntry,
    crc_of: impl Fn(u64) -> u32,
    mut report: impl FnMut(u64, BadBlock),
) {
    let mut buffer = vec![0; BLOCK_BYTES.min(entry.len as usize)];
    for block in 0..entry.blocks() {
        let (offset, len) = entry.block(block);
        let bytes = &mut buffer[..len];
        let found = match file.read_at(bytes, offset) {
            Ok(got) if got == len && crc32c(bytes) == crc_of(block) => continue,
            Ok(got) if got == len => {
                Error::corrupt(path, offset, format!("the checksum of block {block} does not fit"))
            }
            Ok(_) => Error::corrupt(path, offset, format!("the file ends within block {block}")),
            Err(error) => error,
        };
        report(block, finding(path, offset, len as u64, Some(entry.kind), &found));
    }
}

/// The zeros after a section.
fn check_padding(file: &dyn VfsFile, path: &Path, entry: &SectionEntry) -> Option<BadBlock> {
    let end = entry.offset + entry.len;
    let len = (end.next_multiple_of(SECTION_ALIGNMENT as u64) - end) as usize;
    let mut bytes = [0; SECTION_ALIGNMENT];
    let found = match file.read_at(&mut bytes[..len], end) {
        Ok(got) if got == len && bytes.iter().all(|byte| *byte == 0) => return None,
        Ok(_) => Error::corrupt(path, end, "the padding after the section is not zero"),
        Err(error) => error,
    };
    Some(finding(path, end, len as u64, Some(entry.kind), &found))
}

fn finding(path: &Path, offset: u64, len: u64, section: Option<SectionKind>, error: &Error) -> BadBlock {
    let what = match error.kind() {
        ErrorKind::Corrupt => error.message().to_owned(),
        _ => error.to_string(),
    };
    BadBlock { path: path.to_owned(), offset, len, section, what }
}
