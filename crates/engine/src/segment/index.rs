//! The index of a segment, searched where it lies.
//!
//! What always holds: it is read and checked when it is first asked for, so that a damaged one keeps nobody from the rows
//! beside it; a search that finds it damaged does without.

use std::sync::{Arc, OnceLock};

use codegraph_vector_ann::index::{IndexKind, RowCoder, VectorIndex};
use codegraph_vector_base::{ErrorKind, Result};
use codegraph_vector_storage::SegmentFile;

use super::Segment;
use super::section::{SectionRef, kind};
use crate::rows::SectionBytes;

/// The section with the index, if there is one.
#[derive(Debug)]
pub(super) struct StoredIndex {
    section: Option<SectionRef>,
    opened: OnceLock<VectorIndex>,
    coder: OnceLock<Arc<RowCoder>>,
}

/// An index and its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentIndex<'a> {
    pub(crate) index: &'a VectorIndex,
    pub(crate) bytes: &'a [u8],
}

impl StoredIndex {
    pub(super) fn open(file: &Arc<SegmentFile>) -> Self {
        Self {
            section: SectionRef::open(file, kind::INDEX).ok(),
            opened: OnceLock::new(),
            coder: OnceLock::new(),
        }
    }
}

impl Segment {
    /// The kind of the index, if there is one; of one whose head is damaged, none. Reads no more than that.
    pub(crate) fn index_kind(&self) -> Option<IndexKind> {
        let section = self.vector_index.section.as_ref()?;
        let head = section.get_range(0..section.bytes().min(IndexKind::HEAD_BYTES)).ok()?;
        IndexKind::of(head)
    }

    /// Bytes of the index.
    pub(crate) fn index_bytes(&self) -> u64 {
        self.vector_index.section.as_ref().map_or(0, |section| section.bytes() as u64)
    }

    /// The index, if there is one. The first call reads and checks all of it.
    ///
    /// # Errors
    /// `Corrupt`, naming file and place, if it is damaged.
    pub(crate) fn index(&self) -> Result<Option<SegmentIndex<'_>>> {
        let Some(section) = &self.vector_index.section else { return Ok(None) };
        let bytes = section.get_range(0..section.bytes())?;
        let index = match self.vector_index.opened.get() {
            Some(index) => index,
            None => {
                let damaged = |error: String| section.corrupt(0, error);
                let index = VectorIndex::open(bytes).map_err(|error| damaged(error.to_string()))?;
                if (index.rows(), index.dim()) != (self.rows() as usize, self.dimension) {
                    return Err(damaged("the index is of other rows".to_owned()));
                }
                self.vector_index.opened.get_or_init(|| index)
            }
        };
        Ok(Some(SegmentIndex { index, bytes }))
    }

    /// What codes other rows as those of the index are, if there is one that can be used.
    ///
    /// # Errors
    /// What is not damage.
    pub(crate) fn coder(&self) -> Result<Option<Arc<RowCoder>>> {
        let found = self.usable_index()?;
        Ok(found.map(|found| self.vector_index.coder.get_or_init(|| Arc::new(found.index.coder())).clone()))
    }

    /// The index to search by: none where it is damaged, as the rows are there to go by.
    ///
    /// # Errors
    /// What is not damage.
    pub(crate) fn usable_index(&self) -> Result<Option<SegmentIndex<'_>>> {
        match self.index() {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
            found => found,
        }
    }
}
