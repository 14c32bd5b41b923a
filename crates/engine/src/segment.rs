//! A segment as the engine sees it: rows in a file, their deaths in memory.
//!
//! What always holds: the file never changes; an id is in it at most once; a death is set once.
//! The sections of the file and their order are those of [`build::build`]. How rows' vectors are kept is told by the
//! sections that there are: see [`vectors`] and [`codes`].

mod build;
mod build_index;
mod build_vectors;
mod codes;
mod index;
mod section;
mod text;
mod vectors;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_base::{Error, NodeId, Result, RowChecksum, RowOrdinal, SeqNo, StoreId};
use codegraph_vector_storage::manifest::{Contents, SegmentRef};
use codegraph_vector_storage::{SectionKind, SegmentFile, StoreLayout, read_deaths};

use crate::cache::Caches;
use crate::compression::Keep;
use crate::deaths::Deaths;
use crate::filter::Filter;
use crate::quarantine::Damage;
use crate::rows::{
    Candidates, Columns, IdFilter, IdIndex, Ids, PayloadBlock, PayloadIndex, PayloadReader, RowColumns,
};
use codes::StoredCodes;
use index::StoredIndex;
use section::{SectionRef, kind};
use text::StoredText;
use vectors::StoredVectors;

pub(crate) use build::{BuildRow, Plan, RowSource, build};
pub(crate) use build_index::{IndexPlan, IndexToReuse};
pub(crate) use codes::{CodeGroup, CodeReader};
pub(crate) use index::SegmentIndex;
pub(crate) use text::{Text, make_text};
pub(crate) use vectors::{Calibration, Kept};

/// The paths of a segment's rows: runs of rows, in order.
#[derive(Debug)]
pub(crate) struct Paths {
    runs: Vec<(Range<RowOrdinal>, Arc<str>)>,
}

impl Paths {
    /// The path of a row, if it has one.
    pub(crate) fn of(&self, row: RowOrdinal) -> Option<Arc<str>> {
        let run = self.runs.partition_point(|(rows, _)| rows.end <= row);
        self.runs.get(run).filter(|(rows, _)| rows.contains(&row)).map(|(_, path)| path.clone())
    }
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) info: SegmentRef,
    pub(crate) deaths: Deaths,
    file: Arc<SegmentFile>,
    ids: Ids<SectionRef>,
    index: IdIndex<SectionRef>,
    filter: IdFilter<SectionRef>,
    columns: Columns<SectionRef>,
    vectors: StoredVectors,
    codes: StoredCodes,
    vector_index: StoredIndex,
    payload: PayloadReader<SectionRef>,
    payload_index: PayloadIndex<SectionRef>,
    text: StoredText,
    dimension: usize,
    damage: OnceLock<Damage>,
}

impl Segment {
    /// Opens the segment that the manifest knows as `info`, with its deaths as of the checkpoint.
    ///
    /// # Errors
    /// `Corrupt`, naming file and place; `NotFound` if the file is gone; `Unsupported` for a newer format.
    pub(crate) fn open(
        vfs: &dyn Vfs,
        layout: &StoreLayout,
        store: StoreId,
        info: &SegmentRef,
        dimension: usize,
    ) -> Result<Self> {
        let path = layout.segment_path(info.id);
        let file = Arc::new(SegmentFile::open(vfs, &path, info.origin, info.id, &info.file)?);
        let rows = info.rows as usize;
        let section = |kind| SectionRef::open(&file, kind);
        let vectors = StoredVectors::open(&file, rows, dimension)?;
        let segment = Self {
            info: info.clone(),
            deaths: Deaths::none(rows),
            ids: Ids::open(section(kind::IDS)?, rows)?,
            index: IdIndex::open(section(kind::ID_INDEX)?, rows)?,
            filter: IdFilter::open(section(kind::ID_FILTER)?)?,
            columns: Columns::open(section(kind::ROW_METADATA)?, rows)?,
            codes: StoredCodes::open(&file, vectors.keep())?,
            vectors,
            vector_index: StoredIndex::open(&file),
            payload: PayloadReader::open(section(kind::PAYLOAD)?, rows)?,
            payload_index: PayloadIndex::open(section(kind::PAYLOAD_INDEX)?, rows)?,
            text: StoredText::default(),
            file,
            dimension,
            damage: OnceLock::new(),
        };
        if segment.columns.checksum_sum()? != info.checksum_sum {
            return Err(Error::corrupt(
                &path,
                0,
                "the row checksums do not add up to what the manifest says",
            ));
        }
        if let Some(deaths) = &info.deaths {
            let path = layout.deaths_path(info.id, deaths.generation);
            for (ordinal, seqno) in read_deaths(vfs, &path, store, info.id, info.rows, deaths)? {
                segment.deaths.kill(ordinal, seqno);
            }
        }
        Ok(segment)
    }

    /// Rows in the file, dead ones included.
    pub(crate) fn rows(&self) -> u32 {
        self.info.rows
    }

    /// The file.
    pub(crate) fn file(&self) -> &SegmentFile {
        &self.file
    }

    /// What was found to be wrong with it, if anything was.
    pub(crate) fn damage(&self) -> Option<&Damage> {
        self.damage.get()
    }

    /// Whether a section only speeds up what is found without it, too, where it is damaged.
    pub(crate) fn gets_by_without(&self, section: SectionKind) -> bool {
        let has_vectors = self.keep() > Keep::None;
        section == kind::INDEX || has_vectors && (section == kind::CODES || section == kind::CODEBOOKS)
    }

    /// Takes down what is wrong with it, unless something is already.
    pub(crate) fn quarantine(&self, damage: Damage) -> bool {
        self.damage.set(damage).is_ok()
    }

    /// Where `id` is, dead or alive.
    pub(crate) fn lookup(&self, id: NodeId) -> Result<Option<RowOrdinal>> {
        if !self.filter.may_contain(id)? {
            return Ok(None);
        }
        let found = self.index.lookup(&self.ids, id)?;
        match found {
            Some(ordinal) if ordinal >= self.rows() => {
                Err(Error::corrupt(self.file.path(), 0, format!("the id index names row {ordinal}")))
            }
            found => Ok(found),
        }
    }

    /// Where the row of `id` is that a reader at `seqno` sees.
    pub(crate) fn find(&self, id: NodeId, seqno: SeqNo) -> Result<Option<RowOrdinal>> {
        match self.lookup(id)? {
            Some(ordinal) if self.visible_at(ordinal, seqno)? => Ok(Some(ordinal)),
            _ => Ok(None),
        }
    }

    /// Marks the live row of `id` dead from `seqno` on; its checksum, or `None` if there is none.
    pub(crate) fn kill(&self, id: NodeId, seqno: SeqNo) -> Result<Option<RowChecksum>> {
        let Some(ordinal) = self.lookup(id)? else { return Ok(None) };
        let checksum = self.columns.checksum(ordinal)?;
        Ok(self.deaths.kill(ordinal, seqno).then_some(checksum))
    }

    /// Whether a reader at `seqno` sees the row.
    pub(crate) fn visible_at(&self, ordinal: RowOrdinal, seqno: SeqNo) -> Result<bool> {
        Ok(seqno < self.deaths.of(ordinal)
            && (self.columns.max_seqno() <= seqno || self.columns.seqno(ordinal)? <= seqno))
    }

    /// Whether every row is visible at `seqno`.
    pub(crate) fn all_visible_at(&self, seqno: SeqNo) -> bool {
        self.deaths.count() == 0 && self.columns.max_seqno() <= seqno
    }

    /// The id of a row.
    pub(crate) fn id(&self, ordinal: RowOrdinal) -> Result<NodeId> {
        self.ids.get(ordinal)
    }

    /// The row with the `place`-th smallest id.
    pub(crate) fn by_id(&self, place: u32) -> Result<RowOrdinal> {
        self.index.ordinal(place as usize)
    }

    /// The norm of a row.
    pub(crate) fn norm(&self, ordinal: RowOrdinal) -> Result<f32> {
        self.columns.norm(ordinal)
    }

    /// The commit that wrote a row.
    pub(crate) fn seqno(&self, ordinal: RowOrdinal) -> Result<SeqNo> {
        self.columns.seqno(ordinal)
    }

    /// SeqNo, times, norm and checksum of a row.
    pub(crate) fn columns(&self, ordinal: RowOrdinal) -> Result<RowColumns> {
        self.columns.get(ordinal)
    }

    /// Adds a row to what a checkpoint holds.
    pub(crate) fn add_to(&self, contents: &mut Contents, ordinal: RowOrdinal) -> Result<()> {
        let seqno = self.columns.seqno(ordinal)?;
        contents.add(self.id(ordinal)?, seqno, self.columns.checksum(ordinal)?);
        Ok(())
    }

    /// The rows that are alive after the commit `seqno`.
    pub(crate) fn contents_at(&self, seqno: SeqNo) -> Result<Contents> {
        let mut contents = Contents::default();
        let alive = (0..self.rows()).filter(|row| self.deaths.of(*row) > seqno);
        for row in alive {
            self.add_to(&mut contents, row)?;
        }
        Ok(contents)
    }

    /// The norms of all rows.
    pub(crate) fn norms(&self) -> Result<Cow<'_, [f32]>> {
        self.columns.norms()
    }

    /// The block with the encoded metadata of a row.
    pub(crate) fn metadata_block(&self, ordinal: RowOrdinal, caches: &Caches) -> Result<Arc<PayloadBlock>> {
        let block = self.payload.locate(ordinal)?;
        caches.block(self.info.id, block, |file| {
            let section = self
                .file
                .section(kind::PAYLOAD)
                .ok_or_else(|| section::missing(&self.file, kind::PAYLOAD))?;
            let compressed = section.read_raw(file, self.payload.block_range(block)?)?;
            self.payload.decode_block(block, &compressed)
        })
    }

    /// The encoded metadata of a row, held against its checksum.
    pub(crate) fn encoded_metadata(&self, ordinal: RowOrdinal, caches: &Caches) -> Result<Box<[u8]>> {
        let block = self.metadata_block(ordinal, caches)?;
        self.checked_metadata(&block, ordinal).map(Into::into)
    }

    /// The encoded metadata of rows that are asked for one after the other.
    pub(crate) fn metadata_reader<'a>(&'a self, caches: &'a Caches) -> MetadataReader<'a> {
        MetadataReader { segment: self, caches, block: None }
    }

    /// The encoded metadata of a row of this block, held against its checksum.
    fn checked_metadata<'a>(&self, block: &'a PayloadBlock, ordinal: RowOrdinal) -> Result<&'a [u8]> {
        let encoded = block.row(ordinal).unwrap_or_default();
        let expected = self.columns.checksum(ordinal)?.metadata;
        if RowChecksum::of_metadata(self.id(ordinal)?, encoded) != expected {
            return Err(Error::corrupt(
                self.file.path(),
                0,
                format!("the metadata of row {ordinal} is damaged"),
            ));
        }
        Ok(encoded)
    }

    /// Rows of one path.
    pub(crate) fn rows_of_path(&self, path: &str) -> Result<Range<RowOrdinal>> {
        self.payload_index.rows_of_path(path)
    }

    /// The paths of the rows, to be asked row by row.
    pub(crate) fn paths(&self) -> Result<Paths> {
        let mut runs = Vec::new();
        self.payload_index.each_path("", |path, rows| {
            runs.push((rows, Arc::from(path)));
            Ok(())
        })?;
        Ok(Paths { runs })
    }

    /// Rows that may match a filter.
    pub(crate) fn candidates(&self, filter: &Filter) -> Result<Candidates> {
        self.payload_index.evaluate(filter, &|id| self.lookup(id))
    }

    /// Live rows after all deaths so far.
    pub(crate) fn live_rows(&self) -> u64 {
        u64::from(self.rows()) - self.deaths.count()
    }

    /// Bytes of ids, id index, filter and row metadata: what a row costs beside vector and payload.
    pub(crate) fn metadata_bytes(&self) -> u64 {
        self.section_bytes(&[
            kind::IDS,
            kind::ID_INDEX,
            kind::ID_FILTER,
            kind::ROW_METADATA,
            kind::STORED_CHECKSUMS,
        ])
    }

    /// Bytes of all sections of a kind.
    fn section_bytes(&self, kinds: &[SectionKind]) -> u64 {
        let sections = kinds.iter().filter_map(|kind| self.file.section(*kind));
        sections.map(|section| section.len() as u64).sum()
    }

    /// Bytes of vectors, as floats or half floats.
    pub(crate) fn vector_bytes(&self) -> u64 {
        self.section_bytes(&[kind::VECTORS, kind::VECTORS_F16])
    }

    /// Bytes of codes.
    pub(crate) fn code_bytes(&self) -> u64 {
        self.section_bytes(&[kind::CODES])
    }

    /// Bytes of codebooks, and of the sample by which they are measured.
    pub(crate) fn codebook_bytes(&self) -> u64 {
        self.section_bytes(&[kind::CODEBOOKS, kind::RAW_SAMPLE])
    }

    /// Checks what block checksums cannot tell: every row against its own checksum, the id index
    /// against the ids, and the sum against the manifest.
    pub(crate) fn verify_rows(&self, caches: &Caches) -> Result<()> {
        self.index.verify(&self.ids)?;
        self.groups()?;
        self.index()?;
        self.calibration()?;
        self.verify_text()?;
        let mut metadata = self.metadata_reader(caches);
        for ordinal in 0..self.rows() {
            self.vector(ordinal)?;
            metadata.encoded(ordinal)?;
        }
        Ok(())
    }
}

/// Keeps the block that it read last, so that going through rows in order decompresses each block once.
pub(crate) struct MetadataReader<'a> {
    segment: &'a Segment,
    caches: &'a Caches,
    block: Option<Arc<PayloadBlock>>,
}

impl MetadataReader<'_> {
    /// The encoded metadata of a row, held against its checksum.
    pub(crate) fn encoded(&mut self, ordinal: RowOrdinal) -> Result<&[u8]> {
        let block = match self.block.take().filter(|block| block.rows().contains(&ordinal)) {
            Some(block) => block,
            None => self.segment.metadata_block(ordinal, self.caches)?,
        };
        self.segment.checked_metadata(self.block.insert(block), ordinal)
    }
}

#[cfg(test)]
#[path = "segment/golden_tests.rs"]
mod golden_tests;
#[cfg(test)]
mod sample;
#[cfg(test)]
#[path = "segment/segment_tests.rs"]
mod tests;
