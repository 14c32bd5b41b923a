//! Compression as the engine sees it: what a store is asked to keep, and trained codecs with their codebooks.
//!
//! What always holds: a codebook's id is a hash of its bytes, so two segments with the same id hold the same codec;
//! codes are never re-encoded, only copied with their codebook or made from vectors.

mod auto;
mod queries;
mod request;
mod statistics;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Weak};

use codegraph_vector_ann::codec::{self, Codec, CodecReport, CodecSpec, Input};
use codegraph_vector_base::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

pub(crate) use auto::candidates;
pub(crate) use queries::QueryReservoir;
pub use request::{Candidate, CompressProgress, CompressReport, CompressRequest, Target};
pub use statistics::CompressionStatistics;

/// What is kept of a vector beside its code. Ordered by how much that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keep {
    /// Nothing: the vector is what its code decodes to.
    None,
    /// Half floats, for reranking.
    F16,
    /// The vector, bit for bit.
    #[default]
    Full,
}

impl Keep {
    /// `full`, `f16` or `none`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::F16 => "f16",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Keep {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = [Self::None, Self::F16, Self::Full].into_iter().find(|keep| keep.name() == text);
        found.ok_or_else(|| Error::invalid(format!("keep is {text:?}, and must be full, f16 or none")))
    }
}

/// How the vectors of a store are compressed. As a text: `transform:bytes=48;keep=f16`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Compression {
    /// The codec.
    pub spec: CodecSpec,
    /// What is kept beside the codes.
    pub keep: Keep,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};keep={}", self.spec, self.keep)
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid(format!("{text:?} is no compression"));
        let (spec, keep) = text.split_once(";keep=").ok_or_else(bad)?;
        let spec = spec.parse().map_err(|error: codec::CodecError| Error::invalid(error.to_string()))?;
        Ok(Self { spec, keep: keep.parse()? })
    }
}

/// A hash of a codebook's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CodebookId(pub(crate) u128);

/// A codec that can be used, and what it was found to be worth.
#[derive(Clone, Debug)]
pub(crate) struct TrainedCodec {
    pub(crate) id: CodebookId,
    pub(crate) codec: Arc<dyn Codec>,
    /// What [`codec::read`] makes the codec from again.
    pub(crate) codebook: Arc<[u8]>,
    pub(crate) report: CodecReport,
}

/// Codecs in use, by the hash of their codebook: segments with the same codebook share one.
static IN_USE: LazyLock<Mutex<HashMap<CodebookId, Weak<TrainedCodec>>>> = LazyLock::new(Mutex::default);

impl TrainedCodec {
    /// A codec that was just trained and measured.
    pub(crate) fn new(codec: Arc<dyn Codec>, report: CodecReport) -> Arc<Self> {
        let codebook: Arc<[u8]> = codec.write().into();
        Arc::new(Self { id: CodebookId(xxh3_128(&codebook)), codec, codebook, report })
    }

    /// The codec whose codebook has that id and these bytes, which may be anything.
    ///
    /// # Errors
    /// `Corrupt` if the id is not theirs, they are no codebook, or one of vectors of another dimension.
    pub(crate) fn read(
        id: CodebookId,
        report: CodecReport,
        bytes: &[u8],
        dimension: usize,
    ) -> Result<Arc<Self>> {
        let same = |known: &Arc<Self>| *known.codebook == *bytes && known.report == report;
        let known = IN_USE.lock().get(&id).and_then(Weak::upgrade).filter(same);
        let trained = match known {
            Some(known) => known,
            None => Arc::new(Self::decode(id, report, bytes)?),
        };
        if trained.codec.dim() != dimension {
            let message = format!("a codebook for {} dimensions, not {dimension}", trained.codec.dim());
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let mut in_use = IN_USE.lock();
        in_use.retain(|_, known| known.strong_count() > 0);
        in_use.entry(id).or_insert_with(|| Arc::downgrade(&trained));
        Ok(trained)
    }

    fn decode(id: CodebookId, report: CodecReport, bytes: &[u8]) -> Result<Self> {
        if CodebookId(xxh3_128(bytes)) != id {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "a codebook does not have the hash that it is known by",
            ));
        }
        let codec = codec::read(bytes).map_err(|error| Error::new(ErrorKind::Corrupt, error.to_string()))?;
        Ok(Self { id, codec, codebook: bytes.into(), report })
    }

    /// Bytes of a code.
    pub(crate) fn code_bytes(&self) -> usize {
        self.codec.bytes_per_vector()
    }

    /// Appends a vector of that norm to `input`, as the codec wants it.
    pub(crate) fn push_input(&self, vector: &[f32], norm: f32, input: &mut Vec<f32>) {
        match self.codec.input() {
            Input::Direction => input.extend(direction(vector, norm)),
            Input::AsGiven => input.extend_from_slice(vector),
        }
    }

    /// The vectors of those norms that codes stand for.
    ///
    /// # Panics
    /// If there are not as many of one as of the other.
    pub(crate) fn restore(&self, codes: &[u8], norms: &[f32], vectors: &mut [f32]) {
        self.codec.decode(codes, vectors);
        if self.codec.input() == Input::Direction {
            for (vector, norm) in vectors.chunks_exact_mut(self.codec.dim()).zip(norms) {
                scale(vector, *norm);
            }
        }
    }
}

/// A vector divided by its norm; one of norm 0 as it is.
pub(crate) fn direction(vector: &[f32], norm: f32) -> impl Iterator<Item = f32> {
    let norm = if norm > 0.0 { norm } else { 1.0 };
    vector.iter().map(move |x| x / norm)
}

/// Makes a direction a vector of that norm; one of norm 0 is zero. What would overflow is the greatest number.
pub(crate) fn scale(direction: &mut [f32], norm: f32) {
    direction.iter_mut().for_each(|x| *x = (*x * norm).clamp(f32::MIN, f32::MAX));
}

/// How the vectors of one segment are written.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    pub(crate) keep: Keep,
    /// What codes are made by, of vectors that have none yet; without one, none are made.
    pub(crate) codec: Option<Arc<TrainedCodec>>,
}

impl Encoding {
    /// Vectors as given, and nothing else.
    pub(crate) const RAW: Self = Self { keep: Keep::Full, codec: None };
}
