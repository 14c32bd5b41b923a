//! Which sections a segment has, and one of them as bytes to read in place.

use std::ops::Range;
use std::sync::Arc;

use codegraph_vector_base::{Error, Result};
use codegraph_vector_storage::{Section, SectionKind, SegmentFile};

use crate::rows::SectionBytes;

/// The kinds of sections. A number is never given to anything else.
pub(crate) mod kind {
    use codegraph_vector_storage::SectionKind;

    pub(crate) const IDS: SectionKind = SectionKind(1);
    pub(crate) const ID_INDEX: SectionKind = SectionKind(2);
    pub(crate) const ID_FILTER: SectionKind = SectionKind(3);
    pub(crate) const ROW_METADATA: SectionKind = SectionKind(4);
    pub(crate) const VECTORS: SectionKind = SectionKind(5);
    pub(crate) const PAYLOAD: SectionKind = SectionKind(6);
    pub(crate) const PAYLOAD_INDEX: SectionKind = SectionKind(7);
    pub(crate) const CODES: SectionKind = SectionKind(8);
    pub(crate) const CODEBOOKS: SectionKind = SectionKind(9);
    pub(crate) const INDEX: SectionKind = SectionKind(10);
    pub(crate) const TEXT: SectionKind = SectionKind(11);
    pub(crate) const VECTORS_F16: SectionKind = SectionKind(12);
    pub(crate) const STORED_CHECKSUMS: SectionKind = SectionKind(13);
    pub(crate) const RAW_SAMPLE: SectionKind = SectionKind(14);
}

/// A section that keeps its file open.
#[derive(Clone, Debug)]
pub(crate) struct SectionRef {
    file: Arc<SegmentFile>,
    /// Its number in the file.
    position: usize,
}

pub(super) fn missing(file: &SegmentFile, kind: SectionKind) -> Error {
    Error::corrupt(file.path(), 0, format!("the segment has no section {kind}"))
}

impl SectionRef {
    /// The section of that kind.
    pub(super) fn open(file: &Arc<SegmentFile>, kind: SectionKind) -> Result<Self> {
        let position = file.position(kind).ok_or_else(|| missing(file, kind))?;
        Ok(Self { file: file.clone(), position })
    }

    #[inline]
    fn section(&self) -> Section<'_> {
        self.file.section_at(self.position)
    }

    /// Bytes in it.
    pub(super) fn bytes(&self) -> usize {
        self.section().len()
    }

    /// Where it begins in the file.
    pub(super) fn file_offset(&self) -> u64 {
        self.section().file_offset()
    }

    /// Bytes of it, verified at first touch.
    #[inline]
    pub(super) fn get_range(&self, range: Range<usize>) -> Result<&[u8]> {
        self.section().bytes(range)
    }
}

impl SectionBytes for SectionRef {
    fn len(&self) -> usize {
        self.bytes()
    }

    fn get(&self, range: Range<usize>) -> Result<&[u8]> {
        self.get_range(range)
    }

    fn corrupt(&self, offset: usize, message: String) -> Error {
        Error::corrupt(self.file.path(), self.file_offset() + offset as u64, message)
    }
}
