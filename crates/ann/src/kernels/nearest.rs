//! Which of many centroids is nearest: points in the lanes, centroids one after the other.
//!
//! With a point in each lane, the least score and its number are kept lane by lane, so nothing is ever reduced
//! across lanes, and 16 centroids are as quick, each, as 4,096. Products and sums are rounded one by one, in the
//! order of the components, on every instruction set (no fused multiply-add): every machine finds the same
//! centroids, with the same bits, and so makes the same codes.

use super::lanes::Lanes;

/// Points of a [`Group`].
pub(crate) const GROUP: usize = 32;

/// One component of [`GROUP`] points. A slice of these, one a component, holds the points.
pub(crate) type Group = [f32; GROUP];

/// The nearest centroids of a group of points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Nearest {
    /// Number of the nearest centroid of each point, the smallest of equally near ones.
    pub(crate) index: [u32; GROUP],
    /// Half the squared norm of that centroid, less its product with the point. A point's squared distance is twice
    /// this, and the point's squared norm. Infinity where every score overflows (the index is then 0).
    pub(crate) score: Group,
}

/// What more than [`Lanes`] is asked of an instruction set.
///
/// # Safety
///
/// Every function needs the instruction set; `store` needs `LANES` writable floats at its pointer.
pub(super) trait Select: Lanes {
    unsafe fn splat(x: f32) -> Self::Vector;
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Where `a < b` (never for a NaN) `yes`, else `no`.
    unsafe fn if_less(a: Self::Vector, b: Self::Vector, yes: Self::Vector, no: Self::Vector) -> Self::Vector;
    unsafe fn store(to: *mut f32, a: Self::Vector);
}

/// Vectors of points that are held in registers at a time.
const VECTORS: usize = 2;

/// Centroids that are held against them at a time: so the points are loaded once for all of these.
const CENTROIDS: usize = 4;

/// What was found so far for `VECTORS` vectors of points.
struct Best<L: Select> {
    score: [L::Vector; VECTORS],
    number: [L::Vector; VECTORS],
}

/// [`Kernels::nearest`](super::Kernels::nearest).
///
/// # Safety
///
/// Needs the instruction set of `L`, and `centroids.len() == group.len() * half_norms.len()`.
#[inline(always)]
pub(super) unsafe fn nearest<L: Select>(group: &[Group], centroids: &[f32], half_norms: &[f32]) -> Nearest {
    const { assert!(GROUP.is_multiple_of(VECTORS * L::LANES)) };
    let mut found = Nearest { index: [0; GROUP], score: [f32::INFINITY; GROUP] };
    let mut numbers = [0.0; GROUP];
    let mut first = 0;
    while first < GROUP {
        // SAFETY: `first + VECTORS * L::LANES <= GROUP` bounds the stores and what `compare` loads of points; there are
        // `half_norms.len() - at` centroids from number `at` on.
        unsafe {
            let mut best = Best { score: [L::splat(f32::INFINITY); VECTORS], number: [L::zero(); VECTORS] };
            let mut at = 0;
            while at + CENTROIDS <= half_norms.len() {
                compare::<L, CENTROIDS>(group, first, centroids, half_norms, at, &mut best);
                at += CENTROIDS;
            }
            while at < half_norms.len() {
                compare::<L, 1>(group, first, centroids, half_norms, at, &mut best);
                at += 1;
            }
            for vector in 0..VECTORS {
                L::store(found.score.as_mut_ptr().add(first + vector * L::LANES), best.score[vector]);
                L::store(numbers.as_mut_ptr().add(first + vector * L::LANES), best.number[vector]);
            }
        }
        first += VECTORS * L::LANES;
    }
    found.index = numbers.map(|number| number as u32);
    found
}

/// Holds `COUNT` centroids from number `at` on against the points from lane `first` on.
///
/// # Safety
///
/// As [`nearest`]; there are so many centroids, and `VECTORS * L::LANES` such points.
#[inline(always)]
unsafe fn compare<L: Select, const COUNT: usize>(
    group: &[Group],
    first: usize,
    centroids: &[f32],
    half_norms: &[f32],
    at: usize,
    best: &mut Best<L>,
) {
    let dim = group.len();
    // SAFETY: centroid `at + c` begins at `(at + c) * dim` and has a float for each component of the group.
    unsafe {
        let mut scores = [[L::zero(); VECTORS]; COUNT];
        for (c, scores) in scores.iter_mut().enumerate() {
            *scores = [L::splat(*half_norms.get_unchecked(at + c)); VECTORS];
        }
        let from = centroids.as_ptr().add(at * dim);
        for (d, component) in group.iter().enumerate() {
            let mut x = [L::zero(); VECTORS];
            for (vector, x) in x.iter_mut().enumerate() {
                *x = L::load(component.as_ptr().add(first + vector * L::LANES));
            }
            for (c, scores) in scores.iter_mut().enumerate() {
                let centroid = L::splat(*from.add(c * dim + d));
                for (score, x) in scores.iter_mut().zip(x) {
                    *score = L::sub(*score, L::mul(centroid, x));
                }
            }
        }
        for (c, scores) in scores.into_iter().enumerate() {
            let number = L::splat((at + c) as f32);
            for (vector, score) in scores.into_iter().enumerate() {
                best.number[vector] = L::if_less(score, best.score[vector], number, best.number[vector]);
                best.score[vector] = L::if_less(score, best.score[vector], score, best.score[vector]);
            }
        }
    }
}

#[cfg(test)]
#[path = "nearest_tests.rs"]
mod tests;
