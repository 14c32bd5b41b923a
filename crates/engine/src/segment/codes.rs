//! The codes of a segment's rows, in groups of the same codebook, used in place.
//!
//! What always holds: codebooks and groups are decoded and checked when they are first asked for, so that damaged ones
//! keep nobody from the vectors beside them; each row is in one group.

use std::sync::{Arc, OnceLock};

use codegraph_vector_ann::codec::PackedCodes;
use codegraph_vector_base::{Result, RowOrdinal};
use codegraph_vector_storage::SegmentFile;

use super::Segment;
use super::section::{SectionRef, kind, missing};
use crate::compression::{Keep, TrainedCodec};
use crate::rows::{CodebookPlace, GroupPlace, SectionBytes, read_codebooks, read_groups};

/// The sections with codes and codebooks, if there are any.
#[derive(Debug)]
pub(super) struct StoredCodes {
    sections: Option<(SectionRef, SectionRef)>,
    groups: OnceLock<Vec<(Arc<TrainedCodec>, GroupPlace)>>,
}

impl StoredCodes {
    pub(super) fn open(file: &Arc<SegmentFile>, keep: Keep) -> Result<Self> {
        let sections = match (file.section(kind::CODES), file.section(kind::CODEBOOKS)) {
            (None, None) if keep > Keep::None => None,
            _ => Some((SectionRef::open(file, kind::CODES)?, SectionRef::open(file, kind::CODEBOOKS)?)),
        };
        Ok(Self { sections, groups: OnceLock::new() })
    }
}

/// Rows whose codes have the same codebook.
#[derive(Clone, Debug)]
pub(crate) struct CodeGroup<'a> {
    pub(crate) trained: Arc<TrainedCodec>,
    /// The rows, ascending; `None` if the group is of all rows.
    pub(crate) ordinals: Option<&'a [RowOrdinal]>,
    /// One code a row.
    pub(crate) codes: PackedCodes<'a>,
}

impl CodeGroup<'_> {
    /// The place of a row in the group.
    pub(crate) fn place(&self, ordinal: RowOrdinal) -> Option<usize> {
        match self.ordinals {
            None => Some(ordinal as usize),
            Some(ordinals) => ordinals.binary_search(&ordinal).ok(),
        }
    }
}

impl Segment {
    /// Whether rows have codes.
    pub(crate) fn is_coded(&self) -> bool {
        self.codes.sections.is_some()
    }

    /// The groups of codes, each row in one of them; none if the segment has no codes. The first call reads and checks all
    /// codebooks and codes.
    ///
    /// # Errors
    /// `Corrupt`, naming file and place, if codebooks or codes are damaged.
    pub(crate) fn groups(&self) -> Result<Vec<CodeGroup<'_>>> {
        let Some((codes, codebooks)) = &self.codes.sections else { return Ok(Vec::new()) };
        let groups = match self.codes.groups.get() {
            Some(groups) => groups,
            None => {
                let groups = self.read_groups(codes, codebooks)?;
                self.codes.groups.get_or_init(|| groups)
            }
        };
        groups.iter().map(|(trained, place)| group(codes, trained, place)).collect()
    }

    fn read_groups(
        &self,
        codes: &SectionRef,
        codebooks: &SectionRef,
    ) -> Result<Vec<(Arc<TrainedCodec>, GroupPlace)>> {
        let read = |place: CodebookPlace| {
            let bytes = codebooks.get_range(place.bytes.clone())?;
            TrainedCodec::read(place.id, place.report, bytes, self.dimension)
                .map_err(|error| codebooks.corrupt(place.bytes.start, error.message().to_owned()))
        };
        let trained: Vec<_> = read_codebooks(codebooks)?.into_iter().map(read).collect::<Result<_>>()?;
        let pair = |place: GroupPlace| match trained.get(place.codebook as usize) {
            Some(trained) => Ok((trained.clone(), place)),
            None => Err(codes.corrupt(0, format!("a group of codes of codebook {}", place.codebook))),
        };
        read_groups(codes, self.rows() as usize)?.into_iter().map(pair).collect()
    }

    /// Codes of rows, to be asked for row by row; `None` if the segment has none.
    ///
    /// # Errors
    /// As [`Segment::groups`].
    pub(crate) fn code_reader(&self) -> Result<Option<CodeReader<'_>>> {
        let groups = self.groups()?;
        Ok((!groups.is_empty()).then_some(CodeReader { segment: self, groups }))
    }

    /// The codes of a segment whose rows have nothing else.
    pub(super) fn only_codes(&self) -> Result<CodeReader<'_>> {
        self.code_reader()?.ok_or_else(|| missing(&self.file, kind::CODES))
    }
}

fn group<'a>(
    section: &'a SectionRef,
    trained: &Arc<TrainedCodec>,
    place: &GroupPlace,
) -> Result<CodeGroup<'a>> {
    let damaged = |what: &str| section.corrupt(place.codes.start, what.to_owned());
    let ordinals = place.ordinals.clone().map(|range| section.get_range(range)).transpose()?;
    let ordinals = ordinals.map(bytemuck::try_cast_slice).transpose();
    let bytes = section.get_range(place.codes.clone())?;
    let codes = PackedCodes::new(trained.codec.layout(), place.rows as usize, bytes);
    Ok(CodeGroup {
        trained: trained.clone(),
        ordinals: ordinals.map_err(|_| damaged("the ordinals of codes are not aligned"))?,
        codes: codes.ok_or_else(|| damaged("codes are not as long as their codebook says"))?,
    })
}

/// Reads codes row by row.
#[derive(Debug)]
pub(crate) struct CodeReader<'a> {
    segment: &'a Segment,
    groups: Vec<CodeGroup<'a>>,
}

impl<'a> CodeReader<'a> {
    /// The groups.
    pub(super) fn groups(&self) -> &[CodeGroup<'a>] {
        &self.groups
    }

    fn find(&self, ordinal: RowOrdinal) -> Result<(&CodeGroup<'a>, usize)> {
        let found = self.groups.iter().find_map(|group| Some((group, group.place(ordinal)?)));
        let found = found.filter(|(group, place)| *place < group.codes.rows());
        found.ok_or_else(|| missing(&self.segment.file, kind::CODES))
    }

    /// What a row's code was made by.
    ///
    /// # Errors
    /// `Corrupt` if there is no such row.
    pub(crate) fn codec(&self, ordinal: RowOrdinal) -> Result<&Arc<TrainedCodec>> {
        self.find(ordinal).map(|(group, _)| &group.trained)
    }

    /// Puts the code of a row in place of what is in `code`, held against its checksum if it has one.
    ///
    /// # Errors
    /// `Corrupt` if there is no such row or it is damaged.
    pub(crate) fn read(&self, ordinal: RowOrdinal, code: &mut Vec<u8>) -> Result<&Arc<TrainedCodec>> {
        let (group, place) = self.find(ordinal)?;
        code.clear();
        code.resize(group.trained.code_bytes(), 0);
        group.codes.code(place, code);
        if self.segment.keep() == Keep::None {
            self.segment.check_stored(ordinal, code, Some(group.trained.id))?;
        }
        Ok(&group.trained)
    }
}
