//! Builds an index: trains on a sample, reads all rows once, puts them in order, measures what effort finds.

use crate::Metric;
use crate::codec::TrainControl;

use super::{IndexError, IndexSource, IndexSpec};

/// The bytes of an index of these rows. `queries` are real ones, row-major, by which it is measured beside held-out rows;
/// there may be none.
///
/// # Errors
/// [`IndexError::Source`] if rows cannot be read; [`IndexError::Training`] if there are none, or `control` said to stop.
pub fn build<S: IndexSource>(
    spec: &IndexSpec,
    metric: Metric,
    dim: usize,
    source: &S,
    queries: &[f32],
    control: &TrainControl<'_>,
) -> Result<Vec<u8>, IndexError<S::Error>> {
    unimplemented!()
}
