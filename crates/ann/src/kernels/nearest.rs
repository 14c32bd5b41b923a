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

/// [`Kernels::nearest`](super::Kernels::nearest), `VECTORS` vectors of points at a time.
///
/// # Safety
///
/// Needs the instruction set of `L`, and `centroids.len() == group.len() * half_norms.len()`.
#[inline(always)]
pub(super) unsafe fn nearest<L: Select, const VECTORS: usize>(
    group: &[Group],
    centroids: &[f32],
    half_norms: &[f32],
) -> Nearest {
    const { assert!(GROUP.is_multiple_of(VECTORS * L::LANES)) };
    let mut found = Nearest { index: [0; GROUP], score: [f32::INFINITY; GROUP] };
    let mut numbers = [0.0; GROUP];
    let mut first = 0;
    while first < GROUP {
        // SAFETY: `first + VECTORS * L::LANES <= GROUP` bounds every load and store; `centroid` is moved on once for
        // each component of each centroid, of which there are as many as floats in `centroids`.
        unsafe {
            let mut least = [L::splat(f32::INFINITY); VECTORS];
            let mut number = [L::zero(); VECTORS];
            let mut centroid = centroids.as_ptr();
            for (at, half_norm) in half_norms.iter().enumerate() {
                let mut score = [L::splat(*half_norm); VECTORS];
                for component in group {
                    let c = L::splat(*centroid);
                    centroid = centroid.add(1);
                    for (vector, score) in score.iter_mut().enumerate() {
                        let x = L::load(component.as_ptr().add(first + vector * L::LANES));
                        *score = L::sub(*score, L::mul(c, x));
                    }
                }
                let at = L::splat(at as f32);
                for vector in 0..VECTORS {
                    number[vector] = L::if_less(score[vector], least[vector], at, number[vector]);
                    least[vector] = L::if_less(score[vector], least[vector], score[vector], least[vector]);
                }
            }
            for vector in 0..VECTORS {
                L::store(found.score.as_mut_ptr().add(first + vector * L::LANES), least[vector]);
                L::store(numbers.as_mut_ptr().add(first + vector * L::LANES), number[vector]);
            }
        }
        first += VECTORS * L::LANES;
    }
    found.index = numbers.map(|number| number as u32);
    found
}

#[cfg(test)]
#[path = "nearest_tests.rs"]
mod tests;
