//! The vectors of a segment's rows: as given, as half floats, or as what their codes stand for.
//!
//! What always holds: whatever is kept of a vector has a checksum of its own beside the block's, that of the row if it is
//! kept as given, else one over the bytes that are kept; a single vector is held against it before it is used.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use codegraph_vector_ann::{Hashes, Kernels, norm};
use codegraph_vector_base::{Crc32c, Error, NodeId, Result, RowChecksum, RowOrdinal};
use codegraph_vector_storage::SegmentFile;
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::Segment;
use super::section::{SectionRef, kind, missing};
use crate::compression::{CodebookId, Keep, scale};
use crate::rows::{RawSample, SectionBytes, u32_at};

/// The sections with what is kept of vectors beside codes.
#[derive(Debug)]
pub(super) enum StoredVectors {
    /// f32.
    Full(SectionRef),
    /// The directions in half floats, and their checksums.
    Half(SectionRef, SectionRef),
    /// Nothing: checksums of the codes, and the sample.
    None(SectionRef, SectionRef),
}

impl StoredVectors {
    pub(super) fn open(file: &Arc<SegmentFile>, rows: usize, dimension: usize) -> Result<Self> {
        let section = |kind, row_bytes: usize| {
            let section = SectionRef::open(file, kind)?;
            if Some(section.bytes()) == rows.checked_mul(row_bytes) {
                return Ok(section);
            }
            let message = "the vectors do not have the size that the manifest says";
            Err(section.corrupt(0, message.to_owned()))
        };
        let has = |kind| file.section(kind).is_some();
        let stored = || section(kind::STORED_CHECKSUMS, size_of::<u32>());
        match (has(kind::VECTORS), has(kind::VECTORS_F16)) {
            (true, false) => Ok(Self::Full(section(kind::VECTORS, dimension * size_of::<f32>())?)),
            (false, true) => {
                Ok(Self::Half(section(kind::VECTORS_F16, dimension * size_of::<f16>())?, stored()?))
            }
            (false, false) => Ok(Self::None(stored()?, SectionRef::open(file, kind::RAW_SAMPLE)?)),
            (true, true) => Err(Error::corrupt(file.path(), 0, "the segment has its vectors twice")),
        }
    }

    pub(super) fn keep(&self) -> Keep {
        match self {
            Self::Full(_) => Keep::Full,
            Self::Half(..) => Keep::F16,
            Self::None(..) => Keep::None,
        }
    }
}

/// The checksum of what is kept of a row's vector: its half floats, or its code and what that was made by.
pub(super) fn stored_checksum(id: NodeId, bytes: &[u8], codebook: Option<CodebookId>) -> u32 {
    let crc = Crc32c::new().update(&id.to_le_bytes()).update(bytes);
    codebook.map_or(crc, |CodebookId(id)| crc.update(&id.to_le_bytes())).value()
}

/// Some rows' vectors as given, of a segment that keeps no others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calibration<'a> {
    /// The rows, ascending.
    pub(crate) ordinals: &'a [RowOrdinal],
    /// Their vectors, row-major.
    pub(crate) vectors: &'a [f32],
}

/// How the vector of a row is kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// As given, bit for bit.
    pub(crate) exact: bool,
    /// What its code was made by.
    pub(crate) codec: Option<String>,
    /// Bytes of what is kept of it, the code only if that is all.
    pub(crate) bytes: u64,
}

impl Kept {
    /// Of a row that was not flushed yet.
    pub(crate) fn in_memory(dimension: usize) -> Self {
        Self { exact: true, codec: None, bytes: (dimension * size_of::<f32>()) as u64 }
    }
}

impl Segment {
    /// How the vector of a row is kept.
    ///
    /// # Errors
    /// `Corrupt` if codebooks or codes are damaged.
    pub(crate) fn kept(&self, ordinal: RowOrdinal) -> Result<Kept> {
        let trained = self.code_reader()?.map(|reader| reader.codec(ordinal).cloned()).transpose()?;
        let bytes = match self.keep() {
            Keep::Full => self.dimension * size_of::<f32>(),
            Keep::F16 => self.dimension * size_of::<f16>(),
            Keep::None => trained.as_ref().map_or(0, |trained| trained.code_bytes()),
        };
        let codec = trained.map(|trained| trained.codec.spec().to_string());
        Ok(Kept { exact: self.is_exact(), codec, bytes: bytes as u64 })
    }

    /// What is kept of the rows' vectors.
    pub(crate) fn keep(&self) -> Keep {
        self.vectors.keep()
    }

    /// Whether the vectors are kept as given, bit for bit.
    pub(crate) fn is_exact(&self) -> bool {
        self.keep() == Keep::Full
    }

    /// One vector, held against its checksum, so that no score is ever computed from a damaged one. Unless the segment
    /// is exact, it is about what was given.
    ///
    /// # Errors
    /// `Corrupt`, naming file and place, if it is damaged.
    pub(crate) fn vector(&self, ordinal: RowOrdinal) -> Result<Cow<'_, [f32]>> {
        match &self.vectors {
            StoredVectors::Full(section) => {
                let vector = floats(section, self.span(ordinal..ordinal + 1, size_of::<f32>()))?;
                let expected = self.columns.checksum(ordinal)?.vector;
                let seed = RowChecksum::vector_seed(self.id(ordinal)?);
                if Hashes::best().hash64(bytemuck::cast_slice(vector), seed) != expected {
                    let at = self.span(ordinal..ordinal + 1, size_of::<f32>()).start;
                    return Err(section.corrupt(at, format!("the vector of row {ordinal} is damaged")));
                }
                Ok(Cow::Borrowed(vector))
            }
            StoredVectors::Half(..) => {
                let mut vector = self.half(ordinal)?.to_f32_vec();
                scale(&mut vector, self.columns.norm(ordinal)?);
                Ok(Cow::Owned(vector))
            }
            StoredVectors::None(..) => {
                let (reader, mut code) = (self.only_codes()?, Vec::new());
                let trained = reader.read(ordinal, &mut code)?;
                let mut vector = vec![0.0; self.dimension];
                trained.restore(&code, &[self.columns.norm(ordinal)?], &mut vector);
                Ok(Cow::Owned(vector))
            }
        }
    }

    /// Holds the norm that a row was scored by against its vector, where that is kept as given. Its block was looked at once; what
    /// has turned in memory since is found here.
    ///
    /// # Errors
    /// `Corrupt` if it is another; as [`Segment::vectors`].
    pub(crate) fn check_norm(&self, ordinal: RowOrdinal) -> Result<()> {
        if !self.is_exact() {
            return Ok(());
        }
        let vector = self.vectors(ordinal..ordinal + 1)?;
        if norm(&vector).to_bits() == self.columns.norm(ordinal)?.to_bits() {
            return Ok(());
        }
        Err(Error::corrupt(self.file.path(), 0, format!("the norm of row {ordinal} is damaged")))
    }

    /// Asks for what is kept of a row's vector, to have it at hand soon. A hint: what is damaged is told when it is read.
    pub(crate) fn prefetch_vector(&self, ordinal: RowOrdinal) {
        let (section, number_bytes) = match &self.vectors {
            StoredVectors::Full(section) => (section, size_of::<f32>()),
            StoredVectors::Half(section, _) => (section, size_of::<f16>()),
            StoredVectors::None(..) => return,
        };
        if let Ok(vector) = section.get_range(self.span(ordinal..ordinal + 1, number_bytes)) {
            Kernels::best().prefetch(vector);
        }
    }

    /// The same of all else that ranking a row by its vector takes: its checksum, its norm and its id lie in three places.
    pub(crate) fn prefetch_columns(&self, ordinal: RowOrdinal) {
        let kernels = Kernels::best();
        if let Ok([norm, checksum]) = self.columns.norm_and_checksum(ordinal) {
            kernels.prefetch(norm);
            kernels.prefetch(checksum);
        }
        if let Ok(id) = self.ids.bytes(ordinal) {
            kernels.prefetch(id);
        }
        let at = ordinal as usize * size_of::<u32>();
        if let StoredVectors::Half(_, checksums) = &self.vectors
            && let Ok(checksum) = checksums.get_range(at..at + size_of::<u32>())
        {
            kernels.prefetch(checksum);
        }
    }

    /// Asks for the bytes of a row's SeqNo.
    pub(crate) fn prefetch_seqno(&self, ordinal: RowOrdinal) {
        if let Ok(seqno) = self.columns.seqno_bytes(ordinal) {
            Kernels::best().prefetch(seqno);
        }
    }

    /// The direction of a row in half floats, of a segment that keeps those, held against its checksum.
    ///
    /// # Errors
    /// As [`Segment::vector`].
    pub(crate) fn half(&self, ordinal: RowOrdinal) -> Result<&[f16]> {
        let StoredVectors::Half(section, _) = &self.vectors else {
            return Err(missing(&self.file, kind::VECTORS_F16));
        };
        let direction = halves(section, self.span(ordinal..ordinal + 1, size_of::<f16>()))?;
        self.check_stored(ordinal, bytemuck::cast_slice(direction), None)?;
        Ok(direction)
    }

    /// Vectors of consecutive rows, row-major: in place if they are kept as given, else as [`Segment::vector`] has them. Only
    /// blocks are checked, not rows.
    ///
    /// # Errors
    /// `Corrupt` if a block is damaged.
    pub(crate) fn vectors(&self, rows: Range<RowOrdinal>) -> Result<Cow<'_, [f32]>> {
        let mut vectors = match &self.vectors {
            StoredVectors::Full(section) => {
                return floats(section, self.span(rows, size_of::<f32>())).map(Cow::Borrowed);
            }
            StoredVectors::Half(section, _) => {
                halves(section, self.span(rows.clone(), size_of::<f16>()))?.to_f32_vec()
            }
            StoredVectors::None(..) => return self.decoded(rows).map(Cow::Owned),
        };
        let norms = self.norms()?;
        for (vector, norm) in vectors.chunks_exact_mut(self.dimension).zip(&norms[rows.start as usize..]) {
            scale(vector, *norm);
        }
        Ok(Cow::Owned(vectors))
    }

    /// What the codes of consecutive rows stand for, row-major.
    fn decoded(&self, rows: Range<RowOrdinal>) -> Result<Vec<f32>> {
        let (reader, norms) = (self.only_codes()?, self.norms()?);
        let mut vectors = vec![0.0; rows.len() * self.dimension];
        for group in reader.groups() {
            let all: Vec<RowOrdinal>;
            let (first, ordinals) = match group.ordinals {
                None => {
                    all = rows.clone().collect();
                    (rows.start as usize, &all[..])
                }
                Some(ordinals) => {
                    let first = ordinals.partition_point(|ordinal| *ordinal < rows.start);
                    let end = ordinals.partition_point(|ordinal| *ordinal < rows.end);
                    (first, &ordinals[first..end])
                }
            };
            let mut codes = vec![0; ordinals.len() * group.trained.code_bytes()];
            for (place, code) in codes.chunks_exact_mut(group.trained.code_bytes()).enumerate() {
                group.codes.code(first + place, code);
            }
            let of_group: Vec<f32> = ordinals.iter().map(|ordinal| norms[*ordinal as usize]).collect();
            let mut restored = vec![0.0; ordinals.len() * self.dimension];
            group.trained.restore(&codes, &of_group, &mut restored);
            for (ordinal, vector) in ordinals.iter().zip(restored.chunks_exact(self.dimension)) {
                let at = (ordinal - rows.start) as usize * self.dimension;
                vectors[at..at + self.dimension].copy_from_slice(vector);
            }
        }
        Ok(vectors)
    }

    /// Some rows' vectors as given; `None` if the segment keeps more than codes of each.
    ///
    /// # Errors
    /// `Corrupt` if the sample is damaged.
    pub(crate) fn calibration(&self) -> Result<Option<Calibration<'_>>> {
        let StoredVectors::None(_, section) = &self.vectors else { return Ok(None) };
        let sample = RawSample::open(section, self.rows() as usize, self.dimension)?;
        Ok(Some(Calibration { ordinals: sample.ordinals(section)?, vectors: sample.vectors(section)? }))
    }

    /// Holds what is kept of a row against its checksum.
    pub(super) fn check_stored(
        &self,
        ordinal: RowOrdinal,
        bytes: &[u8],
        codebook: Option<CodebookId>,
    ) -> Result<()> {
        let (StoredVectors::Half(_, section) | StoredVectors::None(section, _)) = &self.vectors else {
            return Err(missing(&self.file, kind::STORED_CHECKSUMS));
        };
        let at = ordinal as usize * size_of::<u32>();
        let expected = u32_at(section, at)?;
        if stored_checksum(self.id(ordinal)?, bytes, codebook) != expected {
            return Err(section.corrupt(at, format!("what is kept of row {ordinal}'s vector is damaged")));
        }
        Ok(())
    }

    fn span(&self, rows: Range<RowOrdinal>, number_bytes: usize) -> Range<usize> {
        let row_bytes = self.dimension * number_bytes;
        rows.start as usize * row_bytes..rows.end as usize * row_bytes
    }
}

fn floats(section: &SectionRef, range: Range<usize>) -> Result<&[f32]> {
    let start = range.start;
    bytemuck::try_cast_slice(section.get_range(range)?)
        .map_err(|_| section.corrupt(start, "the vectors are not aligned".to_owned()))
}

fn halves(section: &SectionRef, range: Range<usize>) -> Result<&[f16]> {
    let start = range.start;
    bytemuck::try_cast_slice(section.get_range(range)?)
        .map_err(|_| section.corrupt(start, "the vectors are not aligned".to_owned()))
}
