//! How the vectors of a new segment are written: what the settings ask for, the codec there is, and what is known of the
//! rows that go into it.
//!
//! What always holds: a row never keeps less than the settings ask for because of a merge, and never pretends to more
//! than it was kept by.

use std::sync::Arc;

use codegraph_vector_base::{Error, Result};

use super::core::Core;
use crate::compression::{Compression, Encoding, Keep, TrainedCodec};
use crate::segment::Segment;

/// A codebook takes at most one in so many of the bytes that the vectors of its segment take as floats.
const CODEBOOK_SHARE: usize = 20;

impl Core {
    /// The codec that the settings ask for, if it is there.
    fn policy(&self) -> Option<(Compression, Arc<TrainedCodec>)> {
        let settings = self.settings();
        Some((settings.compression.clone()?, self.codec_for(&settings)?))
    }

    /// How a segment of so many rows is written whose vectors are all at hand. It is raw without a codec, and if it is
    /// so small that the codebook would be too much beside the vectors; a merge makes it a part of something larger.
    pub(crate) fn encoding(&self, rows: usize) -> Encoding {
        match self.policy() {
            Some((Compression { keep, .. }, trained)) if self.is_worth(&trained, rows) => {
                Encoding { keep, codec: Some(trained) }
            }
            _ => Encoding::RAW,
        }
    }

    fn is_worth(&self, trained: &TrainedCodec, rows: usize) -> bool {
        let raw_bytes = rows * self.dimension * size_of::<f32>();
        match self.switches.min_training_rows {
            Some(least) => rows as u64 >= least,
            None => trained.codebook.len() * CODEBOOK_SHARE <= raw_bytes,
        }
    }

    /// How a segment of so many rows is written of which there were codes only, when those are decoded: half floats hold
    /// what a code tells.
    pub(super) fn recoded_encoding(&self, rows: usize) -> Encoding {
        let Encoding { keep, codec } = self.encoding(rows);
        Encoding { keep: keep.min(Keep::F16), codec }
    }

    /// How a segment of so many rows of these segments is written.
    ///
    /// # Errors
    /// `InvalidInput` if some rows are but codes, some are not, and there is no codec to make codes of those.
    pub(super) fn merged_encoding(&self, sources: &[Arc<Segment>], rows: usize) -> Result<Encoding> {
        let least = sources.iter().map(|source| source.keep()).min().unwrap_or_default();
        let wanted = self.encoding(rows);
        if least > Keep::None {
            return Ok(Encoding { keep: wanted.keep.min(least), codec: wanted.codec });
        }
        let codec = self.policy().map(|(_, trained)| trained);
        if codec.is_none() && sources.iter().any(|source| source.keep() > Keep::None) {
            return Err(Error::invalid("vectors and codes cannot be merged without a codec"));
        }
        Ok(Encoding { keep: Keep::None, codec })
    }

    /// Segments that may be merged with each other, in the order given: those that keep at least what the settings ask for;
    /// and of those that keep less, any that keep the same. What is damaged is left alone.
    pub(super) fn mergeable(&self, segments: &[Arc<Segment>]) -> [Vec<Arc<Segment>>; 3] {
        let sound = || segments.iter().filter(|segment| segment.damage().is_none());
        let rows = sound().map(|segment| segment.live_rows() as usize).sum();
        let wanted = self.encoding(rows).keep;
        let class = |segment: &Arc<Segment>| segment.keep().min(wanted);
        let of_class = |keep| sound().filter(|segment| class(segment) == keep).cloned().collect();
        [Keep::Full, Keep::F16, Keep::None].map(of_class)
    }
}

#[cfg(test)]
#[path = "encoding_tests.rs"]
mod tests;
