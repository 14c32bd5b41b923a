//! Codecs: vectors as short codes, trained on a sample, scored without being decoded.
//!
//! What always holds, for every codec:
//!
//! - [`CodeQuery::dot`] of a code equals, within float error, the product of the query and the decoded vector;
//! - a code is [`Codec::bytes_per_vector`] bytes, whatever the vector; no input gives a NaN;
//! - the same sample, spec and seed train the same codec, on any number of threads;
//! - a codec that was written and read again codes, decodes and scores with the same bits.
//!
//! A codec sees [`Input::Direction`]s, vectors divided by their norm: the norm is kept exactly elsewhere, and all
//! metrics are computed from it and the estimated product. What a new codec needs is one file with the trait in it, a
//! variant of [`CodecSpec`], and a line each in [`train`] and [`read`].

mod binary;
#[cfg(test)]
#[path = "conformance_tests.rs"]
mod conformance;
mod error;
pub(crate) mod estimate;
pub(crate) mod kmeans;
mod measure;
pub(crate) mod nibbles;
mod packed;
pub(crate) mod points;
mod product;
mod report;
mod scalar;
mod scan;
mod spec;
mod train;
pub(crate) mod transform;
pub(crate) mod wire;

pub use error::CodecError;
pub use measure::Measure;
pub use nibbles::{NibbleTables, Scale};
pub use packed::{BLOCK_ROWS, CodeLayout, PackedCodes};
pub use report::CodecReport;
pub use scan::{CodeScan, CodedRows};
pub use spec::{CodecSpec, Scope};
pub use train::TrainControl;

use std::fmt;
use std::sync::Arc;

/// What vectors a codec wants to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Divided by their norm (a vector of norm 0 as it is).
    Direction,
    /// As they are: for codecs that keep every number to nearly all its bits.
    AsGiven,
}

/// Writes vectors, row-major, divided by their norms (finite, as [`norm`](crate::norm()) gives them); one of norm 0 as
/// it is.
///
/// # Panics
/// If there is not one norm for each vector, or `out` has not the length of the vectors.
pub fn directions(vectors: &[f32], norms: &[f32], out: &mut [f32]) {
    assert_eq!(vectors.len(), out.len(), "room for the vectors");
    if norms.is_empty() {
        return assert!(vectors.is_empty(), "one norm a vector");
    }
    let dim = vectors.len() / norms.len();
    assert!(dim > 0 && dim * norms.len() == vectors.len(), "one norm a vector");
    for ((vector, norm), out) in vectors.chunks_exact(dim).zip(norms).zip(out.chunks_exact_mut(dim)) {
        let divisor = if *norm == 0.0 { 1.0 } else { *norm };
        for (out, x) in out.iter_mut().zip(vector) {
            *out = x / divisor;
        }
    }
}

/// A trained codec.
pub trait Codec: fmt::Debug + Send + Sync {
    /// What it was trained as.
    fn spec(&self) -> CodecSpec;

    /// Components of a vector.
    fn dim(&self) -> usize;

    /// Bytes of a code, the side data of a vector included.
    fn bytes_per_vector(&self) -> usize;

    /// How codes are laid out in blocks for scanning.
    fn layout(&self) -> CodeLayout;

    /// What vectors it wants.
    fn input(&self) -> Input {
        Input::Direction
    }

    /// Encodes vectors, row-major, into as many codes, one after the other.
    ///
    /// # Panics
    /// If the lengths are not whole numbers of vectors and codes, as many of one as of the other.
    fn encode(&self, vectors: &[f32], codes: &mut [u8]);

    /// The vectors that codes stand for, row-major. Any bytes are decoded to finite numbers.
    ///
    /// # Panics
    /// As [`Codec::encode`].
    fn decode(&self, codes: &[u8], vectors: &mut [f32]);

    /// A query of [`Codec::dim`] finite components, ready to be held against many codes.
    fn prepare_query<'a>(&'a self, query: &[f32]) -> Box<dyn CodeQuery + 'a>;

    /// All that [`read`] needs to make this codec again, the spec included.
    fn write(&self) -> Vec<u8>;
}

/// A query that was prepared by a codec.
pub trait CodeQuery: Send + Sync {
    /// About the product of the query and the vector that was encoded.
    fn dot(&self, code: &[u8]) -> f32;

    /// What [`CodeQuery::dot`] may be off by, where the codec knows: for a vector that the codec was not fitted to, the
    /// chance that it is off by more is about that of a normal number being beyond `deviations` standard deviations,
    /// on either side.
    fn error(&self, code: &[u8], deviations: f32) -> Option<f32> {
        let _ = (code, deviations);
        None
    }

    /// Tables to look the nibbles of a code up in, where that is what [`CodeQuery::dot`] does.
    fn tables(&self) -> Option<&NibbleTables> {
        None
    }
}

/// Trains a codec on a sample: vectors, row-major, as [`Input::Direction`] or [`Input::AsGiven`], as the spec's
/// [`CodecSpec::input`] says.
///
/// # Errors
/// [`CodecError::Spec`] if the spec does not fit the dimension; [`CodecError::Sample`] if the sample is empty;
/// [`CodecError::Stopped`] if `control` said so.
///
/// # Panics
/// If the sample is not a whole number of vectors.
pub fn train(
    spec: &CodecSpec,
    dim: usize,
    sample: &[f32],
    control: &TrainControl<'_>,
) -> Result<Arc<dyn Codec>, CodecError> {
    spec.check(dim)?;
    assert!(sample.len().is_multiple_of(dim), "not a whole number of vectors");
    if sample.is_empty() {
        return Err(CodecError::Sample("there is nothing to train on".to_owned()));
    }
    match *spec {
        CodecSpec::Scalar { .. } => scalar::train(spec, dim, sample, control),
        CodecSpec::Product { m, nbits, rotate } => product::train(m, nbits, rotate, dim, sample, control),
        CodecSpec::Binary { .. } => binary::train(spec, dim, sample, control),
        CodecSpec::Transform { bytes } => transform::train(bytes, dim, sample, control),
    }
}

/// Reads a codec that [`Codec::write`] wrote. The bytes may be anything.
///
/// # Errors
/// [`CodecError::Malformed`] for what no codec wrote.
pub fn read(bytes: &[u8]) -> Result<Arc<dyn Codec>, CodecError> {
    let (spec, dim, rest) = spec::read_head(bytes)?;
    match spec {
        CodecSpec::Scalar { .. } => scalar::read(&spec, dim, rest),
        CodecSpec::Product { m, nbits, rotate } => product::read(m, nbits, rotate, dim, rest),
        CodecSpec::Binary { .. } => binary::read(&spec, dim, rest),
        CodecSpec::Transform { bytes } => transform::read(bytes, dim, rest),
    }
}

/// Asserts that there are as many vectors as codes.
fn check_lengths(codec: &dyn Codec, vectors: &[f32], codes: &[u8]) {
    let rows = vectors.len() / codec.dim();
    assert!(
        rows * codec.dim() == vectors.len() && rows * codec.bytes_per_vector() == codes.len(),
        "not as many vectors as codes"
    );
}
