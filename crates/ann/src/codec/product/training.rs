//! Training: k-means of each piece.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::rotation::{learn, rotated_pieces};
use super::{GREATEST, Product, Shape};
use crate::codec::kmeans::KMeans;
use crate::codec::points::{Points, half_norms, nearest};
use crate::codec::{Codec, CodecError, TrainControl};
use crate::linear::in_parallel;
use crate::random::Random;

/// Vectors for each centroid that are trained on at most, and iterations: as many as in faiss, which does not gain by more.
const SAMPLES: usize = 256;
const ITERATIONS: usize = 25;

/// An iteration that gains less than this share is the last.
const LEAST_GAIN: f64 = 1e-4;

/// Trains on a sample of directions, row-major.
///
/// # Errors
/// As [`crate::codec::train`].
pub(in crate::codec) fn train(
    m: usize,
    nbits: u8,
    rotate: bool,
    dim: usize,
    sample: &[f32],
    control: &TrainControl<'_>,
) -> Result<Arc<dyn Codec>, CodecError> {
    let shape = Shape { dim, m, nbits, rotate };
    if sample.iter().any(|x| x.is_nan() || x.abs() > GREATEST) {
        return Err(CodecError::Sample(
            "the sample has a component that is no part of a direction".to_owned(),
        ));
    }
    let chosen = Random::new(control.seed, 0).choose(SAMPLES << nbits, sample.len() / dim);
    let rows = Rows { dim, sample, chosen };
    let (rotation, share_done) =
        if rotate { (Some(learn(shape, &rows, control)?), 0.7) } else { (None, 0.0) };
    let done = AtomicUsize::new(0);
    // Threads go to pieces first: what is left of them, where there are few pieces, works within one.
    let inner = TrainControl { threads: (control.threads / m).max(1), ..*control };
    let rotated =
        rotation.as_ref().map(|rotation| rotated_pieces(shape, &rows.all(), rotation, control.threads));
    let pieces = in_parallel(control.threads, m, |at| {
        let cut;
        let points = match &rotated {
            Some(pieces) => &pieces[at],
            None => {
                cut = rows.piece(shape, at);
                &cut
            }
        };
        let kmeans = KMeans { centroids: shape.centroids(), iterations: ITERATIONS, least_gain: LEAST_GAIN };
        let clusters = kmeans.train(points, &mut Random::new(control.seed, at as u64 + 1), &inner)?;
        let piece = Piece::new(points, clusters.centroids);
        let done = (done.fetch_add(1, Ordering::Relaxed) + 1) as f32 / m as f32;
        (control.progress)(share_done + (1.0 - share_done) * done);
        Ok(piece)
    });
    let pieces = pieces.into_iter().collect::<Result<Vec<_>, CodecError>>()?;
    Ok(Arc::new(assemble(shape, &pieces, rotation)))
}

/// The pieces, the most telling first.
fn assemble(shape: Shape, pieces: &[Piece], rotation: Option<Vec<f32>>) -> Product {
    let mut order: Vec<u32> = (0..shape.m as u32).collect();
    order.sort_by(|&a, &b| {
        pieces[b as usize].variance.total_cmp(&pieces[a as usize].variance).then(a.cmp(&b))
    });
    let in_order = || order.iter().map(|at| &pieces[*at as usize]);
    let centroids = in_order().flat_map(|piece| &piece.centroids).copied().collect();
    let mut shares = Vec::new();
    if shape.nbits == 4 {
        shares.extend(in_order().map(|piece| std::array::from_fn(|value| piece.shares[value])));
        // An odd last nibble is always 0.
        shares
            .resize(2 * shape.code_bytes(), std::array::from_fn(|value| if value == 0 { 1.0 } else { 0.0 }));
    }
    Product::new(shape, order, centroids, rotation, shares)
}

/// What was learned of a piece.
struct Piece {
    centroids: Vec<f32>,
    /// Of the points, how many share each centroid.
    shares: Vec<f32>,
    /// Of the centroids, by these shares.
    variance: f64,
}

impl Piece {
    fn new(points: &Points, centroids: Vec<f32>) -> Self {
        let dim = points.dim();
        let half_norms = half_norms(&centroids, dim);
        let mut counts = vec![0_u32; half_norms.len()];
        let groups = points.groups_from(0, points.len());
        for (number, _) in nearest(groups, points.len(), dim, &centroids, &half_norms) {
            counts[number as usize] += 1;
        }
        let shares: Vec<f64> = counts.iter().map(|count| f64::from(*count) / points.len() as f64).collect();
        let variance = (0..dim).map(|component| {
            let of_component =
                || centroids.iter().skip(component).step_by(dim).map(|x| f64::from(*x)).zip(&shares);
            let mean: f64 = of_component().map(|(x, share)| x * share).sum();
            of_component().map(|(x, share)| (x - mean) * (x - mean) * share).sum::<f64>()
        });
        let variance = variance.sum();
        Self { shares: shares.iter().map(|share| *share as f32).collect(), centroids, variance }
    }
}

/// The vectors that are trained on.
pub(super) struct Rows<'a> {
    dim: usize,
    sample: &'a [f32],
    chosen: Vec<usize>,
}

impl Rows<'_> {
    pub(super) fn len(&self) -> usize {
        self.chosen.len()
    }

    pub(super) fn row(&self, at: usize) -> &[f32] {
        &self.sample[self.chosen[at] * self.dim..][..self.dim]
    }

    /// All of them, row-major.
    fn all(&self) -> Cow<'_, [f32]> {
        if self.chosen.len() * self.dim == self.sample.len() {
            return Cow::Borrowed(self.sample);
        }
        Cow::Owned((0..self.len()).flat_map(|at| self.row(at)).copied().collect())
    }

    /// One piece of all of them.
    fn piece(&self, shape: Shape, at: usize) -> Points {
        let components = shape.components(at, self.dim);
        Points::new(shape.piece(), self.len(), |row| &self.row(row)[components.clone()])
    }
}
