//! Cells: k-means in two levels, coarse clusters and cells within each, so that to build many of them takes little.

use crate::codec::kmeans::KMeans;
use crate::codec::points::{Points, half_norms, nearest, set};
use crate::codec::{CodecError, TrainControl};
use crate::kernels::{GROUP, Group, Kernels};
use crate::linear::{in_parallel, products_by_column};
use crate::random::Random;

/// Coarse clusters whose cells a row is held against.
const NEAREST: usize = 6;

/// Iterations at most, and when to stop.
const ITERATIONS: usize = 10;
const LEAST_GAIN: f64 = 0.002;

/// Points of each centroid of the coarse clusters that these are found by.
const COARSE_POINTS: usize = 256;

/// Centroids in two levels.
pub(in crate::index) struct Cells {
    dim: usize,
    /// Row-major.
    coarse: Vec<f32>,
    /// The first cell of each coarse cluster, and the number of cells.
    starts: Vec<usize>,
    centroids: Vec<f32>,
    half_norms: Vec<f32>,
}

/// How many cells serve so many rows.
///
/// More cells are fewer rows to look at, and more centroids to rank. These are about a block of rows each at 100,000 rows,
/// three at a million.
pub(in crate::index) fn count_for(rows: usize) -> usize {
    (5 * rows.isqrt()).min(rows.div_ceil(16)).max(1)
}

impl Cells {
    /// About `count` cells of rotated rows, row-major. Cells that are near each other have numbers near each other.
    pub(in crate::index) fn train(
        sample: &[f32],
        dim: usize,
        count: usize,
        control: &TrainControl<'_>,
    ) -> Result<Self, CodecError> {
        let rows = sample.len() / dim;
        let row = |at: usize| &sample[at * dim..][..dim];
        let coarse_count = count.isqrt().max(1);
        let some = rows.min(COARSE_POINTS * coarse_count);
        let points = Points::new(dim, some, |at| row(at * rows / some));
        let kmeans = KMeans { centroids: coarse_count, iterations: ITERATIONS, least_gain: LEAST_GAIN };
        let coarse = kmeans.train(&points, &mut Random::new(control.seed, 0), control)?.centroids;
        drop(points);
        let coarse = in_a_chain(&coarse, dim);

        let points = Points::new(dim, rows, row);
        let half = half_norms(&coarse, dim);
        const PIECE: usize = 32 * GROUP;
        let assigned = in_parallel(control.threads, rows.div_ceil(PIECE), |at| {
            let len = PIECE.min(rows - at * PIECE);
            nearest(points.groups_from(at * PIECE, len), len, dim, &coarse, &half)
        });
        control.check()?;
        let mut members = vec![Vec::new(); coarse_count];
        for (point, (number, _)) in assigned.concat().into_iter().enumerate() {
            members[number as usize].push(point);
        }
        let quiet = TrainControl { threads: 1, ..*control };
        let parts = in_parallel(control.threads, coarse_count, |at| {
            let points = points.select(&members[at]);
            let centroids = (points.len() * count + rows / 2) / rows;
            if points.len() == 0 {
                return Ok(coarse[at * dim..][..dim].to_vec());
            }
            let kmeans =
                KMeans { centroids: centroids.max(1), iterations: ITERATIONS, least_gain: LEAST_GAIN };
            let found = kmeans.train(&points, &mut Random::new(control.seed, at as u64 + 1), &quiet)?;
            Ok(in_a_chain(&found.centroids, dim))
        });
        let mut starts = vec![0];
        let mut centroids = Vec::with_capacity(count * dim);
        for part in parts {
            centroids.extend(part?);
            starts.push(centroids.len() / dim);
        }
        let half_norms = half_norms(&centroids, dim);
        Ok(Self { dim, coarse, starts, centroids, half_norms })
    }

    /// Cells around these centroids, row-major, in one level.
    pub(super) fn around(centroids: Vec<f32>, dim: usize) -> Self {
        let half_norms = half_norms(&centroids, dim);
        let (coarse, starts) = (vec![0.0; dim], vec![0, half_norms.len()]);
        Self { dim, coarse, starts, centroids, half_norms }
    }

    /// Number of cells.
    pub(in crate::index) fn len(&self) -> usize {
        self.half_norms.len()
    }

    /// The cell of each of some rows: the nearest of those of the nearest coarse clusters.
    pub(in crate::index) fn assign(&self, rotated: &[f32]) -> Vec<u32> {
        let (dim, rows, coarse) = (self.dim, rotated.len() / self.dim, self.coarse.len() / self.dim);
        let mut products = vec![0.0; rows * coarse];
        products_by_column(rotated, &self.coarse, dim, &mut products);
        let half = half_norms(&self.coarse, dim);
        let mut members = vec![Vec::new(); coarse];
        let mut order: Vec<(f32, u32)> = Vec::with_capacity(coarse);
        for row in 0..rows {
            order.clear();
            order.extend((0..coarse).map(|at| (half[at] - products[at * rows + row], at as u32)));
            if NEAREST < coarse {
                order.select_nth_unstable_by(NEAREST, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            }
            for &(_, at) in &order[..NEAREST.min(coarse)] {
                members[at as usize].push(row);
            }
        }
        let mut best = vec![(f32::INFINITY, 0_u32); rows];
        let mut group: Vec<Group> = vec![[0.0; GROUP]; dim];
        for (coarse, members) in members.iter().enumerate() {
            let cells = self.starts[coarse]..self.starts[coarse + 1];
            let centroids = &self.centroids[cells.start * dim..cells.end * dim];
            for members in members.chunks(GROUP) {
                for (lane, &row) in members.iter().enumerate() {
                    set(&mut group, lane, &rotated[row * dim..][..dim]);
                }
                let found = Kernels::best().nearest(&group, centroids, &self.half_norms[cells.clone()]);
                for (lane, &row) in members.iter().enumerate() {
                    let cell = cells.start as u32 + found.index[lane];
                    // The cells of a coarse cluster come in order: the first of equally near ones stays.
                    if found.score[lane] < best[row].0 {
                        best[row] = (found.score[lane], cell);
                    }
                }
            }
        }
        best.into_iter().map(|(_, cell)| cell).collect()
    }
}

/// The same centroids, each followed by the nearest of those that are left.
fn in_a_chain(centroids: &[f32], dim: usize) -> Vec<f32> {
    let kernels = Kernels::best();
    let mut left: Vec<usize> = (0..centroids.len() / dim).collect();
    let mut chain = Vec::with_capacity(centroids.len());
    let mut next = 0;
    while next < left.len() {
        let last = &centroids[left.remove(next) * dim..][..dim];
        chain.extend_from_slice(last);
        let mut least = f32::INFINITY;
        next = 0;
        for (at, &number) in left.iter().enumerate() {
            let distance = kernels.l2_squared(last, &centroids[number * dim..][..dim]);
            if distance < least {
                (least, next) = (distance, at);
            }
        }
    }
    chain
}
