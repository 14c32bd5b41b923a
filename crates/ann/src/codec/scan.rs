//! The search through codes: one query, or several, against packed codes, the best into a `TopK`.
//!
//! Always holds: a row's score has the same bits from [`CodeScan::score`] and from any scan, whatever the selection and
//! whatever other queries are asked along; no score is NaN. Where a query is tables of nibbles, a scan looks at the heads
//! of all codes through rounded tables (`estimate`), at more of those blocks in which a row may then be among the best,
//! and at the true tables for the rows that are left. Where codes have no tail this loses nothing that would ever be seen; else what the chance
//! in the estimate loses.
//!
//! Which rows may be seen is not decided here: `admit` is asked, as late as by [`ExactScan`](crate::ExactScan).

use crate::kernels::look_up::{LookUps, ROWS, lane_of};
use crate::metric::Metric;
use crate::numeric::norm_f64;
use crate::scan::Rows;
use crate::topk::TopK;
use std::ops::Range;

use super::estimate::{Bound, Estimate};
use super::nibbles::{self, NibbleTables};
use super::packed::{BLOCK_ROWS, CodeLayout, PackedCodes};
use super::{CodeQuery, Codec, Input};

mod walk;

const _: () = assert!(ROWS == BLOCK_ROWS, "kernels and layout agree on what a block is");

/// Below one listed row in so many, each is looked at by itself.
const FEW: usize = 16;

/// Codes, and the norms of what they were made from.
#[derive(Clone, Copy, Debug)]
pub struct CodedRows<'a> {
    /// The codes, of the codec that the scan was made for.
    pub codes: PackedCodes<'a>,
    /// [`norm`](crate::norm()) of each row, as stored. May be empty for [`Metric::Cosine`] through codes of
    /// [`Input::Direction`]: then no row counts as zero.
    pub norms: &'a [f32],
}

impl CodedRows<'_> {
    #[inline]
    fn norm(&self, row: usize) -> f32 {
        self.norms.get(row).copied().unwrap_or(1.0)
    }
}

/// A query made ready to be held against the codes of one codec.
pub struct CodeScan<'c> {
    metric: Metric,
    input: Input,
    layout: CodeLayout,
    query: Box<dyn CodeQuery + 'c>,
    query_norm: f64,
    estimate: Option<Estimate>,
    kernels: LookUps,
}

impl<'c> CodeScan<'c> {
    /// Prepares `query`, whose components should be finite.
    ///
    /// # Panics
    /// If the query has not the codec's dimension.
    #[must_use]
    pub fn new(metric: Metric, query: &[f32], codec: &'c dyn Codec) -> Self {
        Self::with_kernels(metric, query, codec, LookUps::best())
    }

    /// As [`CodeScan::new`], with kernels other than the best (for tests and comparisons).
    ///
    /// # Panics
    /// As [`CodeScan::new`].
    #[must_use]
    pub fn with_kernels(metric: Metric, query: &[f32], codec: &'c dyn Codec, kernels: LookUps) -> Self {
        assert_eq!(query.len(), codec.dim(), "the query's dimension");
        let query_norm = norm_f64(query);
        let input = codec.input();
        let query = if input == Input::Direction && query_norm > 0.0 {
            let direction: Vec<f32> = query.iter().map(|&x| (f64::from(x) / query_norm) as f32).collect();
            codec.prepare_query(&direction)
        } else {
            codec.prepare_query(query)
        };
        let layout = codec.layout();
        let tables = query.tables().filter(|tables| tables.layout == layout);
        let estimate = tables.and_then(Estimate::new);
        Self { metric, input, layout, query, query_norm, estimate, kernels }
    }

    /// The metric of the scores.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Estimated score of one row: the same bits as a scan gives it.
    ///
    /// # Panics
    /// If there is no such row, or as [`CodeScan::scan`].
    #[must_use]
    pub fn score(&self, rows: CodedRows<'_>, row: u32) -> f32 {
        self.check(rows);
        assert!((row as usize) < rows.codes.rows(), "there is no such row");
        let mut code = Vec::new();
        self.score_unchecked(rows, row as usize, &mut code)
    }

    /// Scores the selected rows and pushes the best to `top`.
    ///
    /// `admit` is given a row whose score is not below the threshold of `top`, and returns its key, or `None` when
    /// the row must not be seen. It is called at most once per selected row.
    ///
    /// # Panics
    /// If the codes have another layout than those of the codec, if there is not one norm per row where norms are
    /// needed, or if a listed row does not exist.
    pub fn scan<K: Ord + Copy>(
        &self,
        rows: CodedRows<'_>,
        selection: Rows<'_>,
        mut admit: impl FnMut(u32) -> Option<K>,
        top: &mut TopK<K>,
    ) {
        self.check(rows);
        let count = rows.codes.rows();
        let mut admit = |_: usize, row: u32| admit(row);
        let (scans, tops) = (std::slice::from_ref(self), std::slice::from_mut(top));
        match selection {
            Rows::All => walk::all(scans, rows, None, &mut admit, tops),
            Rows::Listed(listed) => {
                let exist = listed.iter().all(|&row| (row as usize) < count);
                assert!(exist, "a listed row does not exist");
                let ordered = listed.is_sorted_by(|a, b| a < b);
                if ordered && self.estimate.is_some() && listed.len() > count / FEW {
                    walk::all(scans, rows, Some(listed), &mut admit, tops);
                } else {
                    walk::listed(self, rows, listed.iter().copied(), |row| admit(0, row), &mut tops[0]);
                }
            }
        }
    }

    /// As [`CodeScan::scan`] of all rows, for several queries at once: `scans[i]` into `tops[i]`. Codes that were
    /// brought into the processor's cache serve them all.
    ///
    /// `admit` is given the query's number and the row.
    ///
    /// # Panics
    /// As [`CodeScan::scan`], and if there are not as many tops as scans.
    pub fn scan_batch<K: Ord + Copy>(
        scans: &[CodeScan<'_>],
        rows: CodedRows<'_>,
        mut admit: impl FnMut(usize, u32) -> Option<K>,
        tops: &mut [TopK<K>],
    ) {
        assert_eq!(scans.len(), tops.len(), "one top per scan");
        for scan in scans {
            scan.check(rows);
        }
        walk::all(scans, rows, None, &mut admit, tops);
    }

    fn check(&self, rows: CodedRows<'_>) {
        assert_eq!(rows.codes.layout(), self.layout, "codes of another layout");
        assert!(u32::try_from(rows.codes.rows()).is_ok(), "there are fewer than 2^32 rows");
        let needless = rows.norms.is_empty() && !self.needs_norms();
        assert!(needless || rows.norms.len() == rows.codes.rows(), "one norm per row");
    }

    fn needs_norms(&self) -> bool {
        self.metric != Metric::Cosine || self.input == Input::AsGiven
    }

    fn score_unchecked(&self, rows: CodedRows<'_>, row: usize, code: &mut Vec<u8>) -> f32 {
        let dot = if let Some((_, tables)) = self.tables() {
            let (head, tail) = tables.tables.split_at(2 * self.layout.head);
            let sum = nibbles::sum(head, rows.codes.head(row)) + nibbles::sum(tail, rows.codes.tail(row));
            tables.offset + scale_of(tables, rows, row) * sum
        } else if self.layout.head + self.layout.side == 0 {
            self.query.dot(rows.codes.headless(row))
        } else {
            code.resize(self.layout.code_bytes(), 0);
            rows.codes.code(row, code);
            self.query.dot(code)
        };
        self.score_of(dot, rows.norm(row))
    }

    /// The tables, where they serve to estimate.
    fn tables(&self) -> Option<(&Estimate, &NibbleTables)> {
        self.estimate.as_ref().zip(self.query.tables())
    }

    /// The score of a row of that norm, for an estimated product. It never falls when the product rises.
    fn score_of(&self, dot: f32, norm: f32) -> f32 {
        match self.input {
            Input::Direction => self.metric.of_directions(dot, self.query_norm, norm),
            Input::AsGiven => self.metric.of_product(f64::from(dot), self.query_norm, norm),
        }
    }

    /// [`Metric::least_dot`], or minus infinity where that is not worked out.
    fn least_dot(&self, threshold: f32, norms: (f32, f32)) -> f64 {
        match self.input {
            Input::AsGiven => f64::NEG_INFINITY,
            Input::Direction => self.metric.least_dot(threshold, self.query_norm, norms),
        }
    }

    /// The sum of bytes below which no row of a block can come to a score of `threshold`.
    fn bar(&self, ready: &walk::Ready<'_>, bound: Bound, threshold: f32, facts: &walk::Facts) -> u16 {
        const SLACK: f64 = 1e-5;
        let least = self.least_dot(threshold, facts.norms);
        let scales = facts.sides.map(|side| match self.layout.side {
            0 => 1.0,
            _ => f64::from(ready.tables.scale.least) + f64::from(ready.tables.scale.step) * f64::from(side),
        });
        let (small, big) = (scales[0].min(scales[1]), scales[0].max(scales[1]));
        if small <= 0.0 || least == f64::NEG_INFINITY {
            return 0;
        }
        let offset = f64::from(ready.tables.offset);
        let above = least - offset - SLACK * (least.abs() + offset.abs());
        let sum = above / if above > 0.0 { big } else { small };
        let rest = f64::from(bound.rest);
        let lenient = sum - rest - SLACK * (sum.abs() + rest.abs() + f64::from(ready.estimate.most));
        (lenient / f64::from(bound.slope) - 1.0) as u16
    }
}

fn scale_of(tables: &NibbleTables, rows: CodedRows<'_>, row: usize) -> f32 {
    let mut side = [0; 2];
    let mut count = 0;
    for (place, byte) in side.iter_mut().zip(rows.codes.side(row)) {
        *place = *byte;
        count += 1;
    }
    tables.scale_of(&side[..count])
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
