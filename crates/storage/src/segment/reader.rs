//! Opening and reading a segment.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use codegraph_vector_base::vfs::{OpenMode, Vfs, VfsFile};
use codegraph_vector_base::{Error, Mapping, Result, SegmentId, StoreId, crc32c};

use super::blocks::BlockStates;
use super::format::{
    BLOCK_BYTES, CRC_BYTES, SectionEntry, SectionKind, SegmentFileRef, TRAILER_BYTES, Trailer, check_header,
    decode_table,
};
use crate::envelope::{ENVELOPE_BYTES, u32_at};

/// An open segment: a map of the file, no file descriptor, and two bits a block.
#[derive(Debug)]
pub struct SegmentFile {
    path: PathBuf,
    id: SegmentId,
    expected: SegmentFileRef,
    map: Mapping,
    sections: Vec<SectionState>,
    quarantined: AtomicU64,
}

#[derive(Debug)]
struct SectionState {
    entry: SectionEntry,
    blocks: BlockStates,
}

/// One section of an open segment.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    file: &'a SegmentFile,
    state: &'a SectionState,
}

impl SegmentFile {
    /// Opens the segment that a manifest knows as `expected`. Touches header, tables and trailer, no section.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt`, naming the place, if it is not that file or damaged; `Unsupported` for a newer format.
    pub fn open(
        vfs: &dyn Vfs,
        path: &Path,
        store: StoreId,
        id: SegmentId,
        expected: &SegmentFileRef,
    ) -> Result<Self> {
        let file = vfs.open(path, OpenMode::Read)?;
        check_len(file.len()?, expected, path)?;
        let map = file.map()?;
        check_len(map.len() as u64, expected, path)?;
        check_header(&map, store, id, path)?;
        let trailer_at = map.len().saturating_sub(TRAILER_BYTES);
        let trailer = Trailer::decode(&map[trailer_at..], expected, path)?;
        // The trailer's offsets are between header and trailer, so they fit the map.
        let tables = &map[trailer.crcs_offset as usize..trailer_at];
        let entries = decode_table(&map[..ENVELOPE_BYTES], tables, &trailer, path)?;
        let state = |entry: SectionEntry| SectionState { entry, blocks: BlockStates::new(entry.blocks()) };
        let sections = entries.into_iter().map(state).collect();
        let (path, expected, quarantined) = (path.to_owned(), *expected, AtomicU64::new(0));
        Ok(Self { path, id, expected, map, sections, quarantined })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The segment's id.
    pub fn id(&self) -> SegmentId {
        self.id
    }

    /// What the manifest says of this file.
    pub fn file_ref(&self) -> SegmentFileRef {
        self.expected
    }

    /// A section; `None` if the segment has none of that kind.
    pub fn section(&self, kind: SectionKind) -> Option<Section<'_>> {
        self.sections().find(|section| section.kind() == kind)
    }

    /// The number of a section in file order, for [`section_at`](Self::section_at); `None` if the segment has none of that
    /// kind.
    pub fn position(&self, kind: SectionKind) -> Option<usize> {
        self.sections().position(|section| section.kind() == kind)
    }

    /// The section of that number, without a search for it: what is asked for row by row counts.
    ///
    /// # Panics
    /// If there are not as many.
    #[inline]
    pub fn section_at(&self, position: usize) -> Section<'_> {
        Section { file: self, state: &self.sections[position] }
    }

    /// All sections, in file order.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        self.sections.iter().map(|state| Section { file: self, state })
    }

    /// Blocks found bad since the file was opened.
    pub fn quarantined(&self) -> u64 {
        self.quarantined.load(Relaxed)
    }
}

impl<'a> Section<'a> {
    /// What it holds.
    pub fn kind(self) -> SectionKind {
        self.state.entry.kind
    }

    /// Bytes of the section.
    pub fn len(self) -> usize {
        self.state.entry.len as usize
    }

    /// Whether it holds nothing.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Where in the file the section begins.
    pub fn file_offset(self) -> u64 {
        self.state.entry.offset
    }

    /// Bytes of the section, in place. The section begins on a 64-byte boundary. Blocks not looked at yet are checked
    /// first; once all are good the cost is one load.
    ///
    /// # Errors
    /// `Corrupt`, naming the first bad block; also for a range beyond the end, which only damage leads to.
    #[inline]
    pub fn bytes(self, range: Range<usize>) -> Result<&'a [u8]> {
        let Some(bytes) = self.unchecked().get(range.clone()) else {
            return Err(self.beyond(range));
        };
        if !self.state.blocks.all_good() && !bytes.is_empty() {
            self.check(range)?;
        }
        Ok(bytes)
    }

    /// The whole section, in place.
    ///
    /// # Errors
    /// As [`Section::bytes`].
    pub fn bytes_all(self) -> Result<&'a [u8]> {
        self.bytes(0..self.len())
    }

    /// Bytes of the section by a read of `file`, which the caller opened by the segment's path. Unlike the map, it
    /// leaves no pages behind in this process, and a failing disk is an error. Blocks are NOT checked: this is for
    /// data that carries its own checksum.
    ///
    /// # Errors
    /// `Corrupt` for a range beyond the end; what the file system says.
    pub fn read_raw(self, file: &dyn VfsFile, range: Range<usize>) -> Result<Vec<u8>> {
        if range.start > range.end || range.end > self.len() {
            return Err(self.beyond(range));
        }
        let mut bytes = vec![0; range.len()];
        let at = self.file_offset() + range.start as u64;
        match file.read_at(&mut bytes, at)? {
            got if got == bytes.len() => Ok(bytes),
            got => Err(Error::corrupt(&self.file.path, at + got as u64, "the segment ends within a section")),
        }
    }

    /// The bytes as they are. The table was checked against the file's length.
    #[inline]
    fn unchecked(self) -> &'a [u8] {
        &self.file.map[self.state.entry.offset as usize..][..self.len()]
    }

    fn beyond(self, range: Range<usize>) -> Error {
        let what = format!(
            "bytes {}..{} of section {} were asked for, which has {}",
            range.start,
            range.end,
            self.kind(),
            self.len()
        );
        Error::corrupt(&self.file.path, self.file_offset(), what)
    }

    /// Checks the blocks of a range that is not empty.
    fn check(self, range: Range<usize>) -> Result<()> {
        let last = ((range.end - 1) / BLOCK_BYTES) as u64;
        let mut block = (range.start / BLOCK_BYTES) as u64;
        while let Some(unknown) = self.state.blocks.first_not_good(block..=last) {
            self.check_block(unknown)?;
            block = unknown + 1;
        }
        Ok(())
    }

    #[cold]
    fn check_block(self, block: u64) -> Result<()> {
        let (offset, len) = self.state.entry.block(block);
        if !self.state.blocks.is_bad(block) {
            if crc32c(&self.file.map[offset as usize..][..len]) == self.block_crc(block) {
                self.state.blocks.mark_good(block);
                return Ok(());
            }
            self.quarantine(block);
        }
        let what = format!("block {block} of section {} is damaged: its checksum does not fit", self.kind());
        Err(Error::corrupt(&self.file.path, offset, what))
    }

    /// Each later touch of the block is an error.
    pub(super) fn quarantine(self, block: u64) {
        if self.state.blocks.mark_bad(block) {
            self.file.quarantined.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn entry(self) -> &'a SectionEntry {
        &self.state.entry
    }

    pub(super) fn path(self) -> &'a Path {
        &self.file.path
    }

    /// The checksum that a block must have; the tables were checked when the file was opened.
    pub(super) fn block_crc(self, block: u64) -> u32 {
        let at = self.state.entry.crcs_offset as usize + block as usize * CRC_BYTES;
        u32_at(&self.file.map, at)
    }
}

/// Whether the file is as long as the manifest says.
pub(super) fn check_len(len: u64, expected: &SegmentFileRef, path: &Path) -> Result<()> {
    if len == expected.file_bytes {
        return Ok(());
    }
    let what = format!("the segment has {len} bytes, not {} as the manifest says", expected.file_bytes);
    Err(Error::corrupt(path, len.min(expected.file_bytes), what))
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
