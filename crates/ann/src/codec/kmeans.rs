//! k-means: Lloyd's iterations (1982) from seeds chosen as in k-means++ (Arthur, Vassilvitskii 2007).
//!
//! What always holds: the result depends on points, number of centroids and seed, not on the number of threads;
//! centroids are finite, however few or equal the points are; the objective never rises but by rounding.
//!
//! Points are assigned by [`Kernels::nearest`](crate::Kernels), a matrix product that keeps the least of each column
//! instead of the products: measured against nalgebra's product and a search through what it writes, that is 10 times
//! as quick for the 2 to 16 components of a product codec's piece, and 3 times for 128 to 768.

use super::points::{Points, half_norms, nearest};
use super::{CodecError, TrainControl};
use crate::kernels::{GROUP, Group};
use crate::linear::in_parallel;
use crate::random::Random;

/// How to look for clusters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KMeans {
    /// Centroids to find.
    pub(crate) centroids: usize,
    /// Lloyd iterations at most.
    pub(crate) iterations: usize,
    /// An iteration that takes less than this share off the objective is the last.
    pub(crate) least_gain: f64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Clusters {
    /// Row-major; in no particular order.
    pub(crate) centroids: Vec<f32>,
    /// Sum of the squared distances of points from their nearest centroids, before each iteration.
    pub(crate) objectives: Vec<f64>,
}

/// For each point the number of its centroid, and the squared distance.
type Assignment = Vec<(u32, f32)>;

impl KMeans {
    /// Clusters of points, of which there is at least one.
    ///
    /// # Errors
    /// [`CodecError::Stopped`] if `control` said so.
    pub(crate) fn train(
        &self,
        points: &Points,
        random: &mut Random,
        control: &TrainControl<'_>,
    ) -> Result<Clusters, CodecError> {
        let seeds = seeds(points, self.centroids, random, control)?;
        self.improve(points, seeds, control)
    }

    /// Clusters of points, from centroids that are about right.
    ///
    /// # Errors
    /// [`CodecError::Stopped`] if `control` said so.
    pub(crate) fn improve(
        &self,
        points: &Points,
        mut centroids: Vec<f32>,
        control: &TrainControl<'_>,
    ) -> Result<Clusters, CodecError> {
        let mut objectives: Vec<f64> = Vec::new();
        for _ in 0..self.iterations {
            control.check()?;
            let assignment = assign(points, &centroids, control.threads);
            let objective = assignment.iter().map(|(_, error)| f64::from(*error)).sum();
            let gained_little =
                objectives.last().is_some_and(|before| before - objective <= self.least_gain * before);
            objectives.push(objective);
            if gained_little {
                break;
            }
            let counts = means(points, &assignment, &mut centroids, control.threads);
            repair(points, &assignment, &counts, &mut centroids);
        }
        Ok(Clusters { centroids, objectives })
    }
}

/// The first centroids: points, each chosen with a chance in proportion to its squared distance from those before it.
fn seeds(
    points: &Points,
    centroids: usize,
    random: &mut Random,
    control: &TrainControl<'_>,
) -> Result<Vec<f32>, CodecError> {
    /// Points for each centroid that seeds are chosen from: with more of them the seeds are hardly better.
    const CHOICE: usize = 8;
    let few = points.select(&random.choose(centroids * CHOICE, points.len()));
    let mut seeds = Vec::with_capacity(centroids * few.dim());
    let mut distances = vec![[f32::INFINITY; GROUP]; few.groups().len()];
    let mut next = random.below(few.len());
    for number in 0..centroids {
        if number % 64 == 0 {
            control.check()?;
        }
        seeds.extend(few.point(next));
        let sums = draw_near(&few, &seeds[number * few.dim()..], &mut distances);
        // Where all points are seeds already they are taken once more, in turn.
        next = draw(&sums, &distances, random).unwrap_or((number + 1) % few.len());
    }
    Ok(seeds)
}

/// Lowers the squared distances from the nearest seed, now that there is one more; their sum for each group.
fn draw_near(points: &Points, seed: &[f32], distances: &mut [Group]) -> Vec<f64> {
    let mut left = points.len();
    let groups = points.groups().zip(distances);
    let sums = groups.map(|(group, distances)| {
        let mut squares = [0.0_f32; GROUP];
        for (component, c) in group.iter().zip(seed) {
            for (square, x) in squares.iter_mut().zip(component) {
                *square += (x - c) * (x - c);
            }
        }
        for (distance, square) in distances.iter_mut().zip(squares) {
            *distance = distance.min(square);
        }
        // Lanes behind the last point are no points.
        let filled = left.min(GROUP);
        distances[filled..].fill(0.0);
        left -= filled;
        f64::from(distances.iter().sum::<f32>())
    });
    sums.collect()
}

/// A point, chosen with a chance in proportion to its distance; `None` if all are 0.
fn draw(sums: &[f64], distances: &[Group], random: &mut Random) -> Option<usize> {
    let total: f64 = sums.iter().sum();
    let mut left = random.unit() * total;
    let mut last = None;
    for (group, (sum, distances)) in sums.iter().zip(distances).enumerate() {
        if left >= *sum {
            left -= sum;
        } else {
            for (lane, distance) in distances.iter().enumerate().filter(|(_, distance)| **distance > 0.0) {
                last = Some(group * GROUP + lane);
                left -= f64::from(*distance);
                if left < 0.0 {
                    return last;
                }
            }
        }
    }
    // The last sums may be used up by rounding.
    let at = |(group, distances): (usize, &Group)| {
        distances.iter().rposition(|distance| *distance > 0.0).map(|lane| group * GROUP + lane)
    };
    last.or_else(|| distances.iter().enumerate().rev().find_map(at))
}

/// Points that are dealt with at once.
const PIECE: usize = 64 * GROUP;

fn assign(points: &Points, centroids: &[f32], threads: usize) -> Assignment {
    let half_norms = half_norms(centroids, points.dim());
    let parts = in_parallel(threads, points.len().div_ceil(PIECE), |at| {
        let len = PIECE.min(points.len() - at * PIECE);
        nearest(points.groups_from(at * PIECE, len), len, points.dim(), centroids, &half_norms)
    });
    parts.concat()
}

/// Makes centroids the means of their points, those that have any; the numbers of these points.
fn means(points: &Points, assignment: &Assignment, centroids: &mut [f32], threads: usize) -> Vec<u32> {
    let dim = points.dim();
    let count = centroids.len() / dim;
    let share = count.div_ceil(threads.max(1));
    // A thread looks at all points and adds up those of its centroids: so a sum has one order on any number of threads.
    let parts = in_parallel(threads, count.div_ceil(share), |at| {
        let first = at * share;
        let held = share.min(count - first);
        let (mut sums, mut counts) = (vec![0.0_f64; held * dim], vec![0_u32; held]);
        for (point, (number, _)) in assignment.iter().enumerate() {
            let number = (*number as usize).wrapping_sub(first);
            if number < held {
                counts[number] += 1;
                let sums = &mut sums[number * dim..][..dim];
                sums.iter_mut().zip(points.point(point)).for_each(|(sum, x)| *sum += f64::from(x));
            }
        }
        (sums, counts)
    });
    let mut all_counts = Vec::with_capacity(count);
    for ((sums, counts), centroids) in parts.into_iter().zip(centroids.chunks_mut(share * dim)) {
        let each = sums.chunks_exact(dim).zip(&counts).zip(centroids.chunks_exact_mut(dim));
        for ((sums, count), centroid) in each.filter(|((_, count), _)| **count > 0) {
            for (x, sum) in centroid.iter_mut().zip(sums) {
                *x = (sum / f64::from(*count)) as f32;
            }
        }
        all_counts.extend(counts);
    }
    all_counts
}

/// Gives each centroid without points the farthest point of the cluster of greatest error, a cluster for each.
fn repair(points: &Points, assignment: &Assignment, counts: &[u32], centroids: &mut [f32]) {
    let mut empty = (0..counts.len()).filter(|at| counts[*at] == 0).peekable();
    if empty.peek().is_none() {
        return;
    }
    // By cluster: its error, and its farthest point with the distance.
    let mut clusters = vec![(0.0_f64, 0.0_f32, 0_usize); counts.len()];
    for (point, (number, distance)) in assignment.iter().enumerate() {
        let (error, most, farthest) = &mut clusters[*number as usize];
        *error += f64::from(*distance);
        if distance > most {
            (*most, *farthest) = (*distance, point);
        }
    }
    clusters.retain(|(error, ..)| *error > 0.0);
    clusters.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (empty, (_, _, farthest)) in empty.zip(clusters) {
        let centroid = &mut centroids[empty * points.dim()..][..points.dim()];
        centroid.iter_mut().zip(points.point(farthest)).for_each(|(x, given)| *x = given);
    }
}

#[cfg(test)]
#[path = "kmeans_tests.rs"]
mod tests;
