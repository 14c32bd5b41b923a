//! The exact scan: one query against blocks of rows, the best into a `TopK`.
//!
//! Always holds: a row's score has the same bits from `scan_block` (whatever the selection)
//! and from `score_one`; for finite input a score is finite and never NaN, because a sum that
//! over- or underflowed in f32 is computed again in f64.
//!
//! Which rows may be seen is not decided here: `admit` is asked, and only about a row whose
//! score would enter, so that the scan itself runs at the pace of memory.

use crate::kernels::Kernels;
use crate::metric::Metric;
use crate::numeric::{dot_f64, l2_squared_f64, norm, norm_f64};
use crate::topk::TopK;

/// Rows whose values are computed before the best are picked: few, so that the memory does not
/// idle meanwhile.
const CHUNK_ROWS: usize = 64;

/// How far ahead of their use the norms are requested from memory.
const NORMS_AHEAD: usize = CHUNK_ROWS;

/// Below this, a sum of squares or a product of norms may have lost digits to underflow.
const TINY: f64 = 1e-30;

/// Slack of the bar, many times the rounding of f32.
const BAR_SLACK: f64 = 1e-5;

/// How far ahead of their use listed rows are requested from memory.
const LIST_PREFETCH_BYTES: usize = 8192;

/// Consecutive rows of one segment or memtable.
#[derive(Clone, Copy, Debug)]
pub struct RowBlock<'a> {
    /// Row-major: `rows.len()` is a multiple of the query's dimension.
    pub rows: &'a [f32],
    /// [`norm`](crate::norm()) of each row, as stored. Used by [`Metric::Cosine`] only; for
    /// the other metrics it may be empty.
    pub norms: &'a [f32],
}

/// Which rows of a block to score.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// All, in order.
    All,
    /// Those of these ordinals within the block, in any order; one listed twice counts twice.
    Listed(&'a [u32]),
}

/// A query made ready to be scored against many rows.
#[derive(Clone, Debug)]
pub struct ExactScan {
    metric: Metric,
    query: Box<[f32]>,
    query_norm: f64,
    kernels: Kernels,
}

impl ExactScan {
    /// Prepares `query`, whose components should be finite (see
    /// [`check_finite`](crate::check_finite)); others never panic, but find nothing sensible.
    ///
    /// # Panics
    ///
    /// When `query` is empty.
    #[must_use]
    pub fn new(metric: Metric, query: &[f32]) -> Self {
        Self::with_kernels(metric, query, Kernels::best())
    }

    /// As [`ExactScan::new`], with kernels other than the best (for tests and comparisons).
    ///
    /// # Panics
    ///
    /// When `query` is empty.
    #[must_use]
    pub fn with_kernels(metric: Metric, query: &[f32], kernels: Kernels) -> Self {
        assert!(!query.is_empty(), "a query has at least one component");
        Self { metric, query: query.into(), query_norm: norm(query).into(), kernels }
    }

    /// The metric of the scores.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// How many components the query has, and each row must have.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.query.len()
    }

    /// The score of one row, with the very bits that [`ExactScan::scan_block`] gives it.
    ///
    /// `row_norm` is the stored [`norm`](crate::norm()) of the row; any value will do unless
    /// the metric is cosine.
    ///
    /// # Panics
    ///
    /// When `row` has not the query's dimension.
    #[must_use]
    pub fn score_one(&self, row: &[f32], row_norm: f32) -> f32 {
        let raw = match self.metric {
            Metric::Cosine | Metric::Dot => self.kernels.dot(&self.query, row),
            Metric::Euclidean => self.kernels.l2_squared(&self.query, row),
        };
        self.score(raw, row, row_norm)
    }

    /// Scores the selected rows of `block` and pushes the best to `top`.
    ///
    /// `admit` is given the ordinal (within the block) of a row whose score is not below the
    /// threshold of `top`, and returns its key, or `None` when the row must not be seen (dead,
    /// of a later commit, filtered out). It is called at most once per selected row.
    ///
    /// # Panics
    ///
    /// When `block.rows` is no whole number of rows, when the metric is cosine and
    /// `block.norms` is not one per row, or when an ordinal of the list is not in the block.
    pub fn scan_block<K: Ord + Copy>(
        &self,
        block: RowBlock<'_>,
        rows: Rows<'_>,
        admit: impl FnMut(u32) -> Option<K>,
        top: &mut TopK<K>,
    ) {
        let count = self.check_block(block);
        if top.k() == 0 {
            return;
        }
        match rows {
            Rows::All => self.scan_all(block, admit, top),
            Rows::Listed(ordinals) => {
                let inside = ordinals.iter().all(|&ordinal| (ordinal as usize) < count);
                assert!(inside, "an ordinal is not in the block");
                self.scan_listed(block, ordinals, admit, top);
            }
        }
    }

    fn check_block(&self, block: RowBlock<'_>) -> usize {
        let count = block.rows.len() / self.dim();
        assert_eq!(count * self.dim(), block.rows.len(), "not a whole number of rows");
        assert!(u32::try_from(count).is_ok(), "a block has fewer than 2^32 rows");
        if self.metric == Metric::Cosine {
            assert_eq!(block.norms.len(), count, "cosine needs one norm per row");
        }
        count
    }

    fn scan_all<K: Ord + Copy>(
        &self,
        block: RowBlock<'_>,
        mut admit: impl FnMut(u32) -> Option<K>,
        top: &mut TopK<K>,
    ) {
        let dim = self.dim();
        let mut buffer = [0.0_f32; CHUNK_ROWS];
        for (chunk, rows) in block.rows.chunks(CHUNK_ROWS * dim).enumerate() {
            let first = chunk * CHUNK_ROWS;
            let raws = &mut buffer[..rows.len() / dim];
            if let Some(later) = block.norms.get(first + NORMS_AHEAD..) {
                self.kernels.prefetch(&later[..later.len().min(CHUNK_ROWS)]);
            }
            match self.metric {
                Metric::Cosine | Metric::Dot => {
                    self.kernels.dot_rows(&self.query, rows, dim, raws);
                }
                Metric::Euclidean => self.kernels.l2_rows(&self.query, rows, dim, raws),
            }
            let bar = self.bar(top.threshold());
            for (i, (&raw, row)) in raws.iter().zip(rows.chunks_exact(dim)).enumerate() {
                let row_norm = self.norm_of(block, first + i);
                if self.is_below(bar, raw, row_norm) {
                    continue;
                }
                let score = self.score(raw, row, row_norm);
                offer(score, (first + i) as u32, &mut admit, top);
            }
        }
    }

    /// The threshold on the scale of the kernels' values, a little too low: a row that stays below
    /// it needs no score, and so no division or root.
    fn bar(&self, threshold: f32) -> f32 {
        let lenient = f64::from(threshold) - BAR_SLACK * (1.0 + f64::from(threshold).abs());
        match self.metric {
            Metric::Cosine => (lenient * self.query_norm) as f32,
            Metric::Dot => lenient as f32,
            Metric::Euclidean => (lenient * lenient) as f32,
        }
    }

    /// Whether a row is certainly below the bar. False where f32 overflows or underflows, and where
    /// anything is not a number: those rows get their score from f64.
    #[inline]
    fn is_below(&self, bar: f32, raw: f32, row_norm: f32) -> bool {
        match self.metric {
            Metric::Cosine => {
                let limit = bar * row_norm;
                raw < limit && raw.is_finite() && (TINY as f32..f32::INFINITY).contains(&limit.abs())
            }
            Metric::Dot => raw < bar && raw.is_finite(),
            Metric::Euclidean => raw > bar && raw.is_finite(),
        }
    }

    fn scan_listed<K: Ord + Copy>(
        &self,
        block: RowBlock<'_>,
        ordinals: &[u32],
        mut admit: impl FnMut(u32) -> Option<K>,
        top: &mut TopK<K>,
    ) {
        let dim = self.dim();
        let row = |ordinal: u32| &block.rows[ordinal as usize * dim..][..dim];
        let ahead = (LIST_PREFETCH_BYTES / (dim * size_of::<f32>())).clamp(1, 16);
        for (i, &ordinal) in ordinals.iter().enumerate() {
            if let Some(&later) = ordinals.get(i + ahead) {
                self.kernels.prefetch(row(later));
            }
            let score = self.score_one(row(ordinal), self.norm_of(block, ordinal as usize));
            offer(score, ordinal, &mut admit, top);
        }
    }

    #[inline]
    fn norm_of(&self, block: RowBlock<'_>, ordinal: usize) -> f32 {
        if self.metric == Metric::Cosine { block.norms[ordinal] } else { 0.0 }
    }

    /// The score from the kernel's value, or from f64 arithmetic where f32 does not suffice.
    /// Adding 0 turns -0 into 0, as a `TopK` would.
    #[inline]
    fn score(&self, raw: f32, row: &[f32], row_norm: f32) -> f32 {
        match self.metric {
            Metric::Cosine => {
                let scale = self.query_norm * f64::from(row_norm);
                if raw.is_finite() && (TINY..f64::INFINITY).contains(&scale) {
                    return (f64::from(raw) / scale).clamp(-1.0, 1.0) as f32 + 0.0;
                }
            }
            Metric::Dot => {
                if raw.is_finite() {
                    return raw + 0.0;
                }
            }
            Metric::Euclidean => {
                if raw >= TINY as f32 && raw.is_finite() {
                    return -raw.sqrt();
                }
            }
        }
        self.score_in_f64(row)
    }

    #[cold]
    fn score_in_f64(&self, row: &[f32]) -> f32 {
        let score = match self.metric {
            Metric::Cosine => {
                let scale = norm_f64(&self.query) * norm_f64(row);
                if scale == 0.0 {
                    return 0.0;
                }
                (dot_f64(&self.query, row) / scale).clamp(-1.0, 1.0)
            }
            Metric::Dot => dot_f64(&self.query, row),
            Metric::Euclidean => 0.0 - l2_squared_f64(&self.query, row).sqrt(),
        };
        // A score beyond f32 is the greatest f32, which JSON can say and infinity is not.
        score.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32 + 0.0
    }
}

#[inline]
fn offer<K: Ord + Copy>(
    score: f32,
    ordinal: u32,
    admit: &mut impl FnMut(u32) -> Option<K>,
    top: &mut TopK<K>,
) {
    if score >= top.threshold()
        && let Some(key) = admit(ordinal)
    {
        top.push(score, key);
    }
}

#[cfg(test)]
mod tests;
