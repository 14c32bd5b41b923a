//! Where the vectors of an index that is being built come from, and what can go wrong.

use std::fmt;
use std::ops::Range;

use crate::codec::CodecError;

/// Rows that an index is built of. Read by several threads at once, each range more than once, mostly in order.
pub trait IndexSource: Sync {
    /// Why rows cannot be read.
    type Error: Send;

    /// Number of rows, at most 2^32 - 1.
    fn rows(&self) -> usize;

    /// Writes the directions of consecutive rows, row-major: vectors divided by their norm, one of norm 0 as it is.
    ///
    /// # Errors
    /// Whatever keeps rows from being read; it ends the build.
    fn directions(&self, rows: Range<usize>, out: &mut [f32]) -> Result<(), Self::Error>;

    /// The norms of all rows.
    fn norms(&self) -> &[f32];
}

/// Why there is no index.
#[derive(Debug)]
pub enum IndexError<E> {
    /// The rows could not be read.
    Source(E),
    /// What is trained for it could not be.
    Training(CodecError),
}

impl<E> From<CodecError> for IndexError<E> {
    fn from(error: CodecError) -> Self {
        Self::Training(error)
    }
}

impl<E: fmt::Display> fmt::Display for IndexError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Training(error) => error.fmt(f),
        }
    }
}
