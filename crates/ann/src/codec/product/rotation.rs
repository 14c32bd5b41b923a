//! The rotation that is learned before the pieces are (Ge, He, Ke, Sun 2013, the non-parametric solution, begun from
//! the parametric one).
//!
//! At first the principal components are dealt out so that the product of their variances is about the same for each
//! piece. Then, in turn, the pieces are clustered as the rotation has them, and the rotation is made the one that
//! takes the vectors nearest to what they are coded as (Procrustes' problem, solved by singular values).

use nalgebra::DMatrix;

use super::training::Rows;
use super::{BLOCK, Shape};
use crate::codec::kmeans::KMeans;
use crate::codec::points::{Points, half_norms, nearest};
use crate::codec::{CodecError, TrainControl};
use crate::kernels::GROUP;
use crate::linear::{covariance, eigen, in_parallel, mean, products_by_column, weighted_sums};
use crate::random::Random;

/// Turns of clustering and rotating.
const ROUNDS: usize = 8;

/// Lloyd iterations of the first turn, and of each later one, which goes on from the centroids of the one before.
const FIRST_ITERATIONS: usize = 10;
const ITERATIONS: usize = 4;

/// Vectors for each centroid that a rotation is learned from, and how many there may be in any case.
const SAMPLES: usize = 64;
const LEAST_SAMPLES: usize = 1 << 14;

/// A rotation, one row a component of the rotated vector; rows that only pad it are zeros at first.
///
/// # Errors
/// [`CodecError::Stopped`] if `control` said so.
pub(super) fn learn(
    shape: Shape,
    rows: &Rows<'_>,
    control: &TrainControl<'_>,
) -> Result<Vec<f32>, CodecError> {
    let most = (SAMPLES * shape.centroids()).max(LEAST_SAMPLES);
    let chosen = Random::new(control.seed, u64::MAX).choose(most, rows.len());
    let sample: Vec<f32> = chosen.iter().flat_map(|at| rows.row(*at)).copied().collect();
    let inner = TrainControl { threads: (control.threads / shape.m).max(1), ..*control };
    let mut rotation = deal_out(shape, &sample, control.threads);
    let mut centroids: Vec<Vec<f32>> = Vec::new();
    for round in 0..ROUNDS {
        control.check()?;
        let pieces = rotated_pieces(shape, &sample, &rotation, control.threads);
        let coded = in_parallel(control.threads, shape.m, |at| {
            let iterations = if round == 0 { FIRST_ITERATIONS } else { ITERATIONS };
            let kmeans = KMeans { centroids: shape.centroids(), iterations, least_gain: 0.0 };
            let points = &pieces[at];
            let clusters = match centroids.get(at) {
                Some(before) => kmeans.improve(points, before.clone(), &inner)?,
                None => kmeans.train(points, &mut Random::new(control.seed, !(at as u64)), &inner)?,
            };
            let half_norms = half_norms(&clusters.centroids, points.dim());
            let groups = points.groups_from(0, points.len());
            let numbers = nearest(groups, points.len(), points.dim(), &clusters.centroids, &half_norms);
            Ok((clusters.centroids, numbers.into_iter().map(|(number, _)| number).collect()))
        });
        let (found, numbers): (Vec<_>, Vec<_>) =
            coded.into_iter().collect::<Result<Vec<_>, CodecError>>()?.into_iter().unzip();
        centroids = found;
        let products = products_with_coded(shape, &sample, &centroids, &numbers, control.threads);
        if let Some(better) = nearest_rotation(shape, &products) {
            rotation = better;
        }
        (control.progress)(0.7 * (round + 1) as f32 / ROUNDS as f32);
    }
    Ok(rotation)
}

/// All pieces of rotated vectors.
pub(super) fn rotated_pieces(shape: Shape, rows: &[f32], rotation: &[f32], threads: usize) -> Vec<Points> {
    const { assert!(BLOCK.is_multiple_of(GROUP)) };
    let dim = shape.dim;
    let blocks: Vec<&[f32]> = rows.chunks(BLOCK * dim).collect();
    let rotated = in_parallel(threads, blocks.len(), |at| {
        let mut products = vec![0.0; shape.padded() * (blocks[at].len() / dim)];
        products_by_column(blocks[at], rotation, dim, &mut products);
        products
    });
    let piece = |at| {
        let components = shape.components(at, shape.padded());
        let blocks = rotated.iter().map(|block| {
            let rows = block.len() / shape.padded();
            &block[components.start * rows..components.end * rows]
        });
        Points::of_components(shape.piece(), rows.len() / dim, blocks)
    };
    in_parallel(threads, shape.m, piece)
}

/// The principal components, each given to the piece with the least product of variances that has room.
fn deal_out(shape: Shape, sample: &[f32], threads: usize) -> Vec<f32> {
    /// Variances below this share of the greatest are taken to be as great.
    const LEAST: f64 = 1e-6;
    let dim = shape.dim;
    let (variances, components) = eigen(&covariance(sample, &mean(sample, dim), threads), dim);
    let least = (variances[0] * LEAST).max(f64::MIN_POSITIVE);
    let mut rotation = vec![0.0; shape.padded() * dim];
    let mut pieces = vec![(0.0_f64, 0_usize); shape.m];
    for (variance, component) in variances.iter().zip(components.chunks_exact(dim)) {
        let room = pieces.iter_mut().enumerate().filter(|(_, (_, held))| *held < shape.piece());
        // There is room for all components: pieces hold at least as many.
        if let Some((at, (product, held))) = room.min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0)) {
            rotation[(at * shape.piece() + *held) * dim..][..dim].copy_from_slice(component);
            // Above 0, as no variance is below the least.
            *product += (variance.max(least) / least).ln();
            *held += 1;
        }
    }
    rotation
}

/// Sums of the products of each component of what vectors are coded as, and each component of the vectors.
fn products_with_coded(
    shape: Shape,
    sample: &[f32],
    centroids: &[Vec<f32>],
    numbers: &[Vec<u32>],
    threads: usize,
) -> Vec<f64> {
    /// Vectors whose products are summed in f32 before they are added up in f64.
    const PIECE: usize = 2048;
    let (dim, padded) = (shape.dim, shape.padded());
    let parts: Vec<&[f32]> = sample.chunks(PIECE * dim).collect();
    let products = in_parallel(threads, parts.len(), |part| {
        let rows = parts[part].len() / dim;
        let mut coded = Vec::with_capacity(rows * padded);
        for row in part * PIECE..part * PIECE + rows {
            for (centroids, numbers) in centroids.iter().zip(numbers) {
                coded.extend_from_slice(&centroids[numbers[row] as usize * shape.piece()..][..shape.piece()]);
            }
        }
        let mut products = vec![0.0; padded * dim];
        weighted_sums(&coded, parts[part], dim, &mut products);
        products
    });
    let mut sums = vec![0.0_f64; padded * dim];
    for products in products {
        sums.iter_mut().zip(products).for_each(|(sum, x)| *sum += f64::from(x));
    }
    sums
}

/// The matrix with orthonormal columns that is nearest to `products`; `None` if it cannot be found.
fn nearest_rotation(shape: Shape, products: &[f64]) -> Option<Vec<f32>> {
    /// Far more than any matrix was seen to take; a bound is needed for it to end in any case.
    const ITERATIONS: usize = 10_000;
    let matrix = DMatrix::from_row_slice(shape.padded(), shape.dim, products);
    let svd = matrix.try_svd(true, true, f64::EPSILON, ITERATIONS)?;
    // Column-major of the transposed: row-major of the matrix.
    let rotation = (svd.u? * svd.v_t?).transpose();
    let rotation: Vec<f32> = rotation.iter().map(|x| *x as f32).collect();
    rotation.iter().all(|x| x.is_finite()).then_some(rotation)
}
