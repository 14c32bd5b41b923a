//! How like rows are, by their sketches.
//!
//! The product of two directions is estimated as that of query and row is, with both rounded to the same steps:
//! `|mean|² + mean · y + mean · y' + y · y'`, *y* being what a sketch stands for. From it and the norms:
//!
//! - cosine: the product;
//! - Euclidean: the negative squared distance;
//! - dot: the product of the rows with one component more, which makes them all as long as the longest (Bachrach et al.,
//!   "Speeding Up the Xbox Recommender System", 2014): nearest to a query, which has nothing there, are then those of
//!   the greatest product, and every row is nearest to itself.
//!
//! Norms are divided by the greatest: only the order matters.

use crate::kernels::sketch::SketchDots;
use crate::{Metric, linear};

use super::super::sketch::{Sketcher, zero_of};

/// Rows, by the number in which they are linked.
pub(super) struct Likeness {
    metric: Metric,
    bytes: usize,
    sketches: Vec<u8>,
    /// The product of each row with the mean.
    biases: Vec<f32>,
    /// Nothing for cosine, which does without.
    lengths: Vec<Length>,
    /// What a step of a sum of products is worth.
    unit: f32,
    /// The square of the mean's norm.
    mean: f32,
}

/// How long a row is, the longest being 1.
#[derive(Clone, Copy)]
struct Length {
    norm: f32,
    /// The component that makes it as long as the longest.
    height: f32,
}

/// A row that others are held against.
#[derive(Default)]
pub(super) struct Held {
    row: u32,
    signed: Vec<i8>,
    /// The sum for a sketch of the mean.
    zero: i32,
    sums: Vec<i32>,
}

impl Likeness {
    /// Of rows in that order, their sketches and norms being by ordinal.
    pub(super) fn new(
        metric: Metric,
        sketcher: &Sketcher,
        order: &[u32],
        sketches: &[u8],
        norms: &[f32],
        threads: usize,
    ) -> Self {
        const PIECE: usize = 4096;
        let bytes = sketcher.bytes();
        let (mean, slope) = sketcher.mean_along();
        let pieces: Vec<&[u32]> = order.chunks(PIECE).collect();
        let pieces = linear::in_parallel(threads, pieces.len(), |at| {
            let mut some = Vec::with_capacity(pieces[at].len() * bytes);
            let biases = pieces[at].iter().map(|&ordinal| {
                let sketch = &sketches[ordinal as usize * bytes..][..bytes];
                some.extend_from_slice(sketch);
                sketch.iter().zip(&slope).map(|(x, slope)| f32::from(signed(*x)) * slope).sum()
            });
            let biases: Vec<f32> = biases.collect();
            (some, biases)
        });
        let (mut all, mut biases) =
            (Vec::with_capacity(order.len() * bytes), Vec::with_capacity(order.len()));
        for (some, some_biases) in pieces {
            all.extend(some);
            biases.extend(some_biases);
        }
        let lengths = if metric == Metric::Cosine { Vec::new() } else { lengths(order, norms) };
        let unit = sketcher.step() * sketcher.step();
        Self { metric, bytes, sketches: all, biases, lengths, unit, mean }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.biases.len()
    }

    fn sketch(&self, row: u32) -> &[u8] {
        &self.sketches[row as usize * self.bytes..][..self.bytes]
    }

    /// Whether two rows are the same, as far as is known here.
    pub(super) fn are_same(&self, a: u32, b: u32) -> bool {
        self.sketch(a) == self.sketch(b)
            && (self.lengths.is_empty() || self.lengths[a as usize].norm == self.lengths[b as usize].norm)
    }

    /// Makes it `row` that others are held against.
    pub(super) fn hold(&self, row: u32, held: &mut Held) {
        held.row = row;
        held.signed.clear();
        held.signed.extend(self.sketch(row).iter().map(|x| signed(*x)));
        held.zero = zero_of(&held.signed);
    }

    /// How like the row that is held those rows are: higher is nearer, never NaN.
    pub(super) fn scores(&self, held: &mut Held, rows: &[u32], scores: &mut [f32]) {
        held.sums.resize(rows.len(), 0);
        SketchDots::best().dot_listed(&held.signed, &self.sketches, rows, &mut held.sums);
        let own = self.mean + self.biases[held.row as usize];
        for ((score, row), sum) in scores.iter_mut().zip(rows).zip(&held.sums) {
            *score = own + self.biases[*row as usize] + self.unit * (sum - held.zero) as f32;
        }
        if self.metric == Metric::Cosine {
            return;
        }
        let a = self.lengths[held.row as usize];
        for (score, row) in scores.iter_mut().zip(rows) {
            let b = self.lengths[*row as usize];
            let product = a.norm * b.norm * *score;
            *score = match self.metric {
                Metric::Cosine | Metric::Dot => product + a.height * b.height,
                Metric::Euclidean => 2.0 * product - a.norm * a.norm - b.norm * b.norm,
            };
        }
    }
}

fn lengths(order: &[u32], norms: &[f32]) -> Vec<Length> {
    let finite = |norm: f32| f64::from(norm.clamp(0.0, f32::MAX));
    let longest = norms.iter().fold(0.0, |most, norm| finite(*norm).max(most));
    let length = |ordinal: &u32| {
        let norm = if longest > 0.0 { finite(norms[*ordinal as usize]) / longest } else { 0.0 };
        Length { norm: norm as f32, height: (1.0 - norm * norm).max(0.0).sqrt() as f32 }
    };
    order.iter().map(length).collect()
}

/// A byte of a sketch as a number on either side of 0.
#[inline]
fn signed(x: u8) -> i8 {
    (x ^ 0x80).cast_signed()
}
