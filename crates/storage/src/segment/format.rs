//! The bytes around the sections, and the checks that make a table believable.
//!
//! Trailer, the last 48 bytes of the file:
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | offset of the block checksums |
//! | 8 | 8 | offset of the section table, which ends at the trailer |
//! | 16 | 8 | bytes of the file |
//! | 24 | 4 | CRC-32C of header, block checksums and section table, one after the other |
//! | 28 | 4 | zero |
//! | 32 | 8 | magic |
//! | 40 | 4 | zero |
//! | 44 | 4 | CRC-32C of the 44 bytes above |

use std::fmt;
use std::path::Path;

use codegraph_vector_base::limits::SECTION_ALIGNMENT;
use codegraph_vector_base::{Crc32c, Error, Generation, Result, SegmentId, StoreId, crc32c, wire};
use wincode::{SchemaRead, SchemaWrite};

use crate::envelope::{ENVELOPE_BYTES, Envelope, FileKind, u32_at, u64_at};

/// Bytes of a section that share a checksum.
pub const BLOCK_BYTES: usize = 64 << 10;

/// A required feature: vectors of this segment may not be what was given. A reader that does not know of such would
/// miss a section and call that damage.
pub const LOSSY_VECTORS: u64 = 1;

pub(super) const KIND: FileKind =
    FileKind { magic: *b"CGVSEG\r\n", name: "segment", version: 1, features: LOSSY_VECTORS };
pub(super) const TRAILER_BYTES: usize = 48;
pub(super) const CRC_BYTES: usize = 4;
const TRAILER_MAGIC: [u8; 8] = *b"CGVSEGE\n";
const TABLE_AT: usize = 8;
const FILE_BYTES_AT: usize = 16;
const TABLE_CRC_AT: usize = 24;
const MAGIC_AT: usize = 32;
const TRAILER_CRC_AT: usize = 44;
const _: () = assert!(TRAILER_CRC_AT + CRC_BYTES == TRAILER_BYTES);
const _: () = assert!(ENVELOPE_BYTES.is_multiple_of(SECTION_ALIGNMENT));
const _: () = assert!(BLOCK_BYTES.is_multiple_of(SECTION_ALIGNMENT));

/// What a section holds: a number that only the engine understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, SchemaRead, SchemaWrite)]
pub struct SectionKind(pub u16);

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a manifest says of a segment file; together they pin every byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct SegmentFileRef {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// The checksum of header, block checksums and section table.
    pub table_crc: u32,
}

/// Where a section lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(super) struct SectionEntry {
    pub(super) kind: SectionKind,
    pub(super) reserved: u16,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) crcs_offset: u64,
}

impl SectionEntry {
    pub(super) fn blocks(&self) -> u64 {
        self.len.div_ceil(BLOCK_BYTES as u64)
    }

    /// File offset and length of a block.
    pub(super) fn block(&self, index: u64) -> (u64, usize) {
        let start = index * BLOCK_BYTES as u64;
        let len = (self.len - start).min(BLOCK_BYTES as u64);
        (self.offset + start, len as usize)
    }
}

/// The end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) crcs_offset: u64,
    pub(super) table_offset: u64,
    pub(super) file_bytes: u64,
    pub(super) table_crc: u32,
}

impl Trailer {
    pub(super) fn encode(&self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        bytes[..8].copy_from_slice(&self.crcs_offset.to_le_bytes());
        bytes[TABLE_AT..][..8].copy_from_slice(&self.table_offset.to_le_bytes());
        bytes[FILE_BYTES_AT..][..8].copy_from_slice(&self.file_bytes.to_le_bytes());
        bytes[TABLE_CRC_AT..][..4].copy_from_slice(&self.table_crc.to_le_bytes());
        bytes[MAGIC_AT..][..8].copy_from_slice(&TRAILER_MAGIC);
        let crc = crc32c(&bytes[..TRAILER_CRC_AT]);
        bytes[TRAILER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The trailer of a file that the manifest knows as `expected`, and that has that length.
    pub(super) fn decode(bytes: &[u8], expected: &SegmentFileRef, path: &Path) -> Result<Self> {
        let at = expected.file_bytes.saturating_sub(TRAILER_BYTES as u64);
        let corrupt = |what: &str| Err(Error::corrupt(path, at, what));
        if bytes.len() != TRAILER_BYTES || crc32c(&bytes[..TRAILER_CRC_AT]) != u32_at(bytes, TRAILER_CRC_AT) {
            return corrupt("the segment trailer's checksum does not fit");
        }
        let trailer = Self {
            crcs_offset: u64_at(bytes, 0),
            table_offset: u64_at(bytes, TABLE_AT),
            file_bytes: u64_at(bytes, FILE_BYTES_AT),
            table_crc: u32_at(bytes, TABLE_CRC_AT),
        };
        let ordered = ENVELOPE_BYTES as u64 <= trailer.crcs_offset
            && trailer.crcs_offset <= trailer.table_offset
            && trailer.table_offset <= at;
        if bytes[MAGIC_AT..][..8] != TRAILER_MAGIC || trailer.file_bytes != expected.file_bytes || !ordered {
            return corrupt("the segment trailer contradicts the file");
        }
        if trailer.table_crc != expected.table_crc {
            return corrupt("this is not the segment that the manifest means: its table checksum differs");
        }
        Ok(trailer)
    }
}

/// Whose header this must be.
///
/// # Errors
/// `Corrupt`, `Unsupported`.
pub(super) fn check_header(bytes: &[u8], store: StoreId, id: SegmentId, path: &Path) -> Result<()> {
    Envelope::decode(&KIND, bytes, path)?.check_identity(store, id, Generation(0), path)
}

/// Checksum of header, block checksums and section table.
pub(super) fn table_crc(header: &[u8], crcs: &[u8], table: &[u8]) -> u32 {
    Crc32c::new().update(header).update(crcs).update(table).value()
}

/// The section table. `tables` is all between the sections and the trailer, block checksums first.
///
/// # Errors
/// `Corrupt` unless the checksum fits and every section, and its checksums, lie where the one before ends.
pub(super) fn decode_table(
    header: &[u8],
    tables: &[u8],
    trailer: &Trailer,
    path: &Path,
) -> Result<Vec<SectionEntry>> {
    let corrupt = |at: u64, what: &str| Err(Error::corrupt(path, at, what));
    let split = usize::try_from(trailer.table_offset - trailer.crcs_offset).unwrap_or(usize::MAX);
    let Some((crcs, table)) = tables.split_at_checked(split) else {
        return corrupt(trailer.crcs_offset, "the segment's tables are cut short");
    };
    if table_crc(header, crcs, table) != trailer.table_crc {
        return corrupt(trailer.crcs_offset, "the checksum of the segment's tables does not fit");
    }
    let entries: Vec<SectionEntry> =
        wire::decode(table).map_err(|error| error.at(path).at_offset(trailer.table_offset))?;
    let (mut next, mut next_crcs) = (ENVELOPE_BYTES as u64, trailer.crcs_offset);
    for (index, entry) in entries.iter().enumerate() {
        let end = entry.offset.checked_add(entry.len).filter(|end| *end <= trailer.crcs_offset);
        let repeated = entries[..index].iter().any(|earlier| earlier.kind == entry.kind);
        let (Some(end), false) = (end, repeated || entry.reserved != 0) else {
            return corrupt(trailer.table_offset, "the section table is impossible");
        };
        if entry.offset != next || entry.crcs_offset != next_crcs {
            return corrupt(trailer.table_offset, "sections do not follow each other");
        }
        next = end.next_multiple_of(SECTION_ALIGNMENT as u64);
        next_crcs += entry.blocks() * CRC_BYTES as u64;
    }
    if next != trailer.crcs_offset || next_crcs != trailer.table_offset {
        return corrupt(trailer.table_offset, "the section table does not fill the file");
    }
    Ok(entries)
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
