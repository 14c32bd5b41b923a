//! Compression as the engine sees it: what a store is asked to keep, and trained codecs with their codebooks.
//!
//! What always holds: a codebook's id is a hash of its bytes, so two segments with the same id hold the same codec;
//! codes are never re-encoded, only copied with their codebook or made from vectors.

mod queries;
mod request;
mod statistics;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use codegraph_vector_ann::codec::{self, Codec, CodecReport, CodecSpec};
use codegraph_vector_base::{Error, Result};
use xxhash_rust::xxh3::xxh3_128;

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

impl TrainedCodec {
    /// A codec that was just trained and measured.
    pub(crate) fn new(codec: Arc<dyn Codec>, report: CodecReport) -> Arc<Self> {
        let codebook: Arc<[u8]> = codec.write().into();
        Arc::new(Self { id: CodebookId(xxh3_128(&codebook)), codec, codebook, report })
    }
}
