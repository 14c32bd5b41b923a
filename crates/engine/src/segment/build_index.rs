//! Builds the index of a segment that is being written.

use std::ops::Range;

use codegraph_vector_ann::Metric;
use codegraph_vector_ann::codec::{CodecError, TrainControl};
use codegraph_vector_ann::index::{self, IndexError, IndexSource, IndexSpec, Reuse};
use codegraph_vector_base::{Error, ErrorKind, Result};

use super::build::{Plan, RowSource};
use super::index::SegmentIndex;
use crate::compression::direction;

/// Where all choices that are left to chance begin.
const SEED: u64 = u64::from_be_bytes(*b"indexing");

/// How an index is built.
pub(crate) struct IndexPlan<'a> {
    pub(crate) spec: IndexSpec,
    pub(crate) metric: Metric,
    /// Real queries to measure it by, row-major.
    pub(crate) queries: &'a [f32],
    pub(crate) threads: usize,
    /// An index to take over from.
    pub(crate) reuse: Option<IndexToReuse<'a>>,
    /// Asked now and then whether to give up.
    pub(crate) stop: &'a (dyn Fn() -> bool + Sync),
}

/// See [`Reuse`].
pub(crate) struct IndexToReuse<'a> {
    pub(crate) found: SegmentIndex<'a>,
    /// For each row its ordinal in the segment that the index is of; `u32::MAX` if it is not in that.
    pub(crate) ordinals: Vec<u32>,
}

/// The rows of a segment as an index wants them.
struct Rows<'a, S> {
    plan: &'a Plan<'a, S>,
    source: &'a (dyn RowSource<S> + Sync),
    norms: Vec<f32>,
}

impl<S: Copy + Sync> IndexSource for Rows<'_, S> {
    type Error = Error;

    fn rows(&self) -> usize {
        self.plan.rows.len()
    }

    fn directions(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        for (row, out) in self.plan.rows[rows].iter().zip(out.chunks_exact_mut(self.plan.dimension)) {
            self.source.vector(row.source, &mut |vector| {
                out.iter_mut().zip(direction(vector, row.columns.norm)).for_each(|(out, x)| *out = x);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn norms(&self) -> &[f32] {
        &self.norms
    }
}

/// The bytes of the index.
///
/// # Errors
/// `Closed` if `stop` said so; those of the source.
pub(super) fn make<S: Copy + Sync>(
    plan: &Plan<'_, S>,
    index: &IndexPlan<'_>,
    source: &(dyn RowSource<S> + Sync),
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<u8>> {
    let IndexPlan { spec, metric, queries, threads, reuse, .. } = index;
    let rows = Rows { plan, source, norms: plan.rows.iter().map(|row| row.columns.norm).collect() };
    let control = TrainControl { seed: SEED, threads: *threads, progress: &|_| {}, stop };
    let reuse = reuse.as_ref().map(|IndexToReuse { found, ordinals }| {
        let SegmentIndex { index, bytes } = *found;
        Reuse { index, bytes, ordinals }
    });
    let built = index::build(spec, *metric, plan.dimension, &rows, queries, reuse.as_ref(), &control);
    built.map_err(|error| match error {
        IndexError::Source(error) => error,
        IndexError::Training(CodecError::Stopped) => {
            Error::new(ErrorKind::Closed, "the store was closed while an index was built")
        }
        IndexError::Training(error) => Error::invalid(format!("building an index: {error}")),
    })
}
