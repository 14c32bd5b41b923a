//! Rows that are in no index yet, coded as those of one are, so that a search looks at them as quickly.

use crate::codec::BLOCK_ROWS;
use crate::kernels::look_up::row_of;
use crate::{Metric, TopK};

use super::ivf::{Heads, Sums, Unit};
use super::sketch::Sketcher;
use super::{Body, IndexQuery, VectorIndex, ready};

/// Rows that are scored by their sketches, for each candidate that is wanted, and at least.
const KEPT_PER_CANDIDATE: usize = 4;
const LEAST_KEPT: usize = 64;

/// Codes rows as those of an index are, and searches such codes.
#[derive(Debug)]
pub struct RowCoder {
    metric: Metric,
    sketcher: Sketcher,
    /// None where the index is a graph: then rows are looked at by their sketches alone.
    heads: Option<Heads>,
}

/// Rows that were coded together.
#[derive(Debug)]
pub struct FreshRows {
    /// Packed codes.
    heads: Vec<u8>,
    sketches: Vec<u8>,
    norms: Vec<f32>,
}

impl FreshRows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.norms.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.norms.is_empty()
    }
}

/// A row that may be among the best: its score, its batch, its number there, its key.
type Found<K> = (f32, u32, u32, K);

impl VectorIndex {
    /// What codes rows as those of this index are.
    #[must_use]
    pub fn coder(&self) -> RowCoder {
        let heads = match &self.body {
            Body::Ivf(ivf) => Some(ivf.heads().clone()),
            Body::Hnsw(_) => None,
        };
        RowCoder { metric: self.metric, sketcher: self.sketcher.clone(), heads }
    }
}

impl RowCoder {
    /// Codes rows: directions, row-major, and their norms.
    ///
    /// # Panics
    /// If there is not one norm for each direction.
    #[must_use]
    pub fn code(&self, directions: &[f32], norms: &[f32]) -> FreshRows {
        let axes = self.sketcher.bytes();
        assert_eq!(directions.len(), norms.len() * self.sketcher.dim(), "a norm for each row");
        let mut rotated = vec![0.0; norms.len() * axes];
        self.sketcher.rotate(directions, &mut rotated);
        let mut sketches = vec![0; rotated.len()];
        self.sketcher.sketch(&rotated, &mut sketches);
        let pack = |heads: &Heads| heads.layout().pack(&heads.encode(&rotated, axes));
        let heads = self.heads.as_ref().map(pack).unwrap_or_default();
        FreshRows { heads, sketches, norms: norms.to_vec() }
    }

    /// Looks for the rows nearest to a query of finite components, in batches that this coder made, and pushes those it
    /// finds, with estimated scores, to `top`. `admit` is given the batch's number and the row's number in it, and returns
    /// its key, or `None` when the row must not be seen.
    ///
    /// # Panics
    /// If the query has not the coder's dimension.
    pub fn search<K: Ord + Copy>(
        &self,
        query: &[f32],
        batches: &[&FreshRows],
        mut admit: impl FnMut(usize, u32) -> Option<K>,
        top: &mut TopK<K>,
    ) {
        let query = ready(&self.sketcher, query);
        let kept = top.k().saturating_mul(KEPT_PER_CANDIDATE).max(LEAST_KEPT);
        let mut found = match &self.heads {
            Some(heads) => self.look_up(heads, &query, batches, kept, &mut admit),
            None => every_row(batches, &mut admit),
        };
        // By batch and row, as they lie in memory.
        found.sort_unstable_by_key(|&(_, batch, row, _)| (batch, row));
        let (mut rows, mut dots) = (Vec::new(), Vec::new());
        for found in found.chunk_by(|a, b| a.1 == b.1) {
            let batch = batches[found[0].1 as usize];
            rows.clear();
            rows.extend(found.iter().map(|&(_, _, row, _)| row));
            dots.resize(rows.len(), 0.0);
            query.sketch.dot_listed(&batch.sketches, &rows, &mut dots);
            for (&(_, _, row, key), &dot) in found.iter().zip(&dots) {
                top.push(self.metric.of_directions(dot, query.norm, batch.norms[row as usize]), key);
            }
        }
    }

    /// The best by codes, as many as are kept.
    fn look_up<K: Copy>(
        &self,
        heads: &Heads,
        query: &IndexQuery,
        batches: &[&FreshRows],
        kept: usize,
        admit: &mut impl FnMut(usize, u32) -> Option<K>,
    ) -> Vec<Found<K>> {
        let (mut floats, mut tables) = (Vec::new(), Vec::new());
        let Unit { unit, least } = heads.tables(&query.sketch.rotated, &mut floats, &mut tables);
        let least = least + query.sketch.base;
        let (mut places, mut sums) = (Vec::new(), Sums::default());
        let mut found: Vec<Found<K>> = Vec::new();
        let (mut bar, mut worst) = (0_u16, f32::NEG_INFINITY);
        for (number, batch) in batches.iter().enumerate() {
            places.clear();
            places.extend(0..batch.len().div_ceil(BLOCK_ROWS) as u32);
            heads.look_up(&tables, &batch.heads, &places, |_| bar, &mut sums);
            for (block, (sums, mask)) in sums.sums.iter().zip(&sums.masks).enumerate() {
                let mut lanes = *mask;
                while lanes != 0 {
                    let lane = lanes.trailing_zeros() as usize;
                    lanes &= lanes - 1;
                    let row = block * BLOCK_ROWS + row_of(lane);
                    let Some(&norm) = batch.norms.get(row) else { continue };
                    let score =
                        self.metric.of_directions(least + unit * f32::from(sums[lane]), query.norm, norm);
                    if score >= worst
                        && let Some(key) = admit(number, row as u32)
                    {
                        found.push((score, number as u32, row as u32, key));
                    }
                }
            }
            if found.len() >= 2 * kept {
                shrink(&mut found, kept);
                worst = found.iter().map(|(score, ..)| *score).fold(f32::INFINITY, f32::min);
                // Other scores are not in the order of the products.
                if self.metric == Metric::Cosine {
                    bar = ((worst - least) / unit) as u16;
                }
            }
        }
        shrink(&mut found, kept);
        found
    }
}

fn every_row<K>(batches: &[&FreshRows], admit: &mut impl FnMut(usize, u32) -> Option<K>) -> Vec<Found<K>> {
    let mut found = Vec::new();
    for (number, batch) in batches.iter().enumerate() {
        for row in 0..batch.len() as u32 {
            found.extend(admit(number, row).map(|key| (0.0, number as u32, row, key)));
        }
    }
    found
}

/// Leaves the best; among equal ones those of the smaller batch and row.
fn shrink<K>(found: &mut Vec<Found<K>>, kept: usize) {
    if found.len() > kept {
        let better = |a: &Found<K>, b: &Found<K>| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2)));
        found.select_nth_unstable_by(kept, better);
        found.truncate(kept);
    }
}

#[cfg(test)]
#[path = "fresh_tests.rs"]
mod tests;
