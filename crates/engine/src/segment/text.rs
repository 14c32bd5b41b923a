//! A segment's text: the section, or, where there is none that can be used, what its metadata says.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use codegraph_vector_base::{Error, ErrorKind, Result, RowOrdinal, SeqNo};

use super::Segment;
use super::section::{SectionRef, kind};
use crate::cache::Caches;
use crate::node::NodeMetadata;
use crate::rows::{SectionBytes, TextIndex, TextIndexBuilder};
use crate::text;

/// Where the bytes of an index of texts are.
#[derive(Clone, Debug)]
pub(crate) enum TextBytes {
    /// In a segment.
    Section(SectionRef),
    /// Made of rows that are in no section *text*.
    Made(Vec<u8>),
}

impl SectionBytes for TextBytes {
    fn len(&self) -> usize {
        match self {
            Self::Section(section) => section.len(),
            Self::Made(bytes) => bytes.len(),
        }
    }

    fn get(&self, range: Range<usize>) -> Result<&[u8]> {
        match self {
            Self::Section(section) => section.get(range),
            Self::Made(bytes) => SectionBytes::get(bytes, range),
        }
    }

    fn corrupt(&self, offset: usize, message: String) -> Error {
        match self {
            Self::Section(section) => section.corrupt(offset, message),
            Self::Made(bytes) => bytes.corrupt(offset, message),
        }
    }
}

/// The index of some rows' texts.
pub(crate) type Text = Arc<TextIndex<TextBytes>>;

/// A segment's text, once it was asked for.
#[derive(Debug, Default)]
pub(super) struct StoredText(OnceLock<Text>);

/// Makes the index of rows that `each` hands to what it is given, in order.
pub(crate) fn make_text(each: impl FnOnce(&mut TextIndexBuilder) -> Result<()>) -> Result<Text> {
    let mut builder = TextIndexBuilder::default();
    each(&mut builder)?;
    let rows = builder.rows();
    let mut bytes = Vec::new();
    builder.finish(&mut |part| {
        bytes.extend_from_slice(part);
        Ok(())
    })?;
    TextIndex::open(TextBytes::Made(bytes), rows).map(Arc::new)
}

impl Segment {
    /// The index of its rows' texts. That of a segment from before there were any, or of another version of the terms,
    /// is made of the metadata at the first use, and kept in memory; a merge writes it.
    ///
    /// # Errors
    /// `Corrupt` if the section is damaged, or the metadata it is made of.
    pub(crate) fn text(&self, caches: &Caches) -> Result<Text> {
        if let Some(text) = self.text.0.get() {
            return Ok(text.clone());
        }
        let text = match self.text_section()?.filter(|text| text.version() == text::VERSION) {
            Some(text) => Arc::new(text),
            None => make_text(|builder| {
                let mut metadata = self.metadata_reader(caches);
                let mut row = |row| builder.push(&NodeMetadata::decode(metadata.encoded(row)?)?);
                (0..self.rows()).try_for_each(&mut row)
            })?,
        };
        Ok(self.text.0.get_or_init(|| text).clone())
    }

    /// The section, if there is one that this version can read.
    fn text_section(&self) -> Result<Option<TextIndex<TextBytes>>> {
        if self.file.section(kind::TEXT).is_none() {
            return Ok(None);
        }
        let section = TextBytes::Section(SectionRef::open(&self.file, kind::TEXT)?);
        match TextIndex::open(section, self.rows() as usize) {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Checks what block checksums cannot tell of the section.
    pub(super) fn verify_text(&self) -> Result<()> {
        self.text_section()?.map_or(Ok(()), |text| text.verify())
    }

    /// Calls `visit` with each row that a reader at `seqno` does not see.
    pub(crate) fn each_hidden(
        &self,
        seqno: SeqNo,
        visit: &mut dyn FnMut(RowOrdinal) -> Result<()>,
    ) -> Result<()> {
        if self.columns.max_seqno() <= seqno {
            return self
                .deaths
                .iter()
                .filter(|(_, death)| *death <= seqno)
                .try_for_each(|(row, _)| visit(row));
        }
        for row in 0..self.rows() {
            if !self.visible_at(row, seqno)? {
                visit(row)?;
            }
        }
        Ok(())
    }

    /// Bytes of the section.
    pub(crate) fn text_bytes(&self) -> u64 {
        self.section_bytes(&[kind::TEXT])
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
pub(super) mod tests;
