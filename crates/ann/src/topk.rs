//! The bounded collector of the best rows.
//!
//! Always holds: at most `k` hits; no NaN; what is kept does not depend on the order of the
//! pushes, because hits are ordered by score and then by key.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A row found by a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit<K> {
    /// Higher is better; never NaN, never -0.
    pub score: f32,
    /// What the caller calls the row.
    pub key: K,
}

/// The best `k` of the hits pushed: highest score first, the smaller key first among equals.
///
/// Keys are not made unique: a key pushed twice counts twice.
///
/// ```
/// use codegraph_vector_ann::TopK;
///
/// let mut top = TopK::new(2);
/// for (key, score) in [(7, 0.5), (3, 0.5), (9, 0.1), (4, f32::NAN)] {
///     top.push(score, key);
/// }
/// let keys: Vec<u64> = top.into_sorted().iter().map(|hit| hit.key).collect();
/// assert_eq!(keys, [3, 7]);
/// ```
#[derive(Clone, Debug)]
pub struct TopK<K> {
    k: usize,
    /// The worst hit is on top.
    heap: BinaryHeap<Worst<K>>,
    threshold: f32,
}

impl<K: Ord + Copy> TopK<K> {
    /// An empty collector of at most `k` hits. Memory grows with the hits, not with `k`.
    #[must_use]
    pub fn new(k: usize) -> Self {
        let threshold = if k == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { k, heap: BinaryHeap::with_capacity(k.min(64)), threshold }
    }

    /// How many hits it keeps at most.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// How many hits it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether it holds no hit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// A hit of a lower score cannot enter; one of an equal score may, by its key.
    ///
    /// The worst score held once `k` hits are held, before that minus infinity; infinity when
    /// `k` is 0.
    #[must_use]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Offers a hit; returns whether it was taken. A NaN score never is.
    #[inline]
    pub fn push(&mut self, score: f32, key: K) -> bool {
        if score.is_nan() || score < self.threshold {
            return false;
        }
        // -0 + 0 is +0: equal scores then have equal bits.
        self.insert(Worst(Hit { score: score + 0.0, key }))
    }

    fn insert(&mut self, hit: Worst<K>) -> bool {
        if self.heap.len() < self.k {
            self.heap.push(hit);
        } else {
            match self.heap.peek_mut() {
                Some(mut worst) if hit < *worst => *worst = hit,
                _ => return false,
            }
        }
        if self.heap.len() == self.k
            && let Some(worst) = self.heap.peek()
        {
            self.threshold = worst.0.score;
        }
        true
    }

    /// Takes over the hits of `other`: afterwards `self` holds what it would hold if every
    /// hit that `other` holds had been pushed to it.
    pub fn merge(&mut self, other: Self) {
        for Worst(hit) in other.heap {
            self.push(hit.score, hit.key);
        }
    }

    /// The hits, best first.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Hit<K>> {
        self.heap.into_sorted_vec().into_iter().map(|Worst(hit)| hit).collect()
    }
}

/// A hit ordered by badness: the greatest has the lowest score, then the greatest key.
#[derive(Clone, Copy, Debug)]
struct Worst<K>(Hit<K>);

impl<K: Ord> Ord for Worst<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.score.total_cmp(&self.0.score).then_with(|| self.0.key.cmp(&other.0.key))
    }
}

impl<K: Ord> PartialOrd for Worst<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> PartialEq for Worst<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K: Ord> Eq for Worst<K> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn best_by_sorting(k: usize, offered: &[(f32, u8)]) -> Vec<(f32, u8)> {
        let mut sorted: Vec<_> = offered.iter().copied().filter(|hit| !hit.0.is_nan()).collect();
        sorted.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
        sorted.truncate(k);
        sorted
    }

    fn pairs(top: TopK<u8>) -> Vec<(f32, u8)> {
        top.into_sorted().iter().map(|hit| (hit.score, hit.key)).collect()
    }

    fn scores() -> impl Strategy<Value = f32> {
        let ties = prop::sample::select(vec![
            -1.0,
            -0.0,
            0.0,
            0.5,
            1.0,
            f32::NAN,
            -f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
        ]);
        prop_oneof![ties, any::<f32>()]
    }

    proptest! {
        #[test]
        fn keeps_what_a_sort_would(
            k in 0_usize..12,
            offered in prop::collection::vec((scores(), any::<u8>()), 0..60),
            cut in 0_usize..60,
        ) {
            let expected = best_by_sorting(k, &offered);
            let mut whole = TopK::new(k);
            for &(score, key) in &offered {
                whole.push(score, key);
                prop_assert!(whole.len() <= k);
            }
            if whole.len() == k && k > 0 {
                prop_assert_eq!(whole.threshold(), expected[k - 1].0);
            }
            prop_assert_eq!(pairs(whole), expected.clone());

            let (left, right) = offered.split_at(cut.min(offered.len()));
            let mut merged = TopK::new(k);
            let mut other = TopK::new(k);
            left.iter().for_each(|&(score, key)| { merged.push(score, key); });
            right.iter().rev().for_each(|&(score, key)| { other.push(score, key); });
            merged.merge(other);
            prop_assert_eq!(pairs(merged), expected);
        }
    }

    #[test]
    fn a_huge_k_allocates_little_and_none_takes_nothing() {
        let mut top = TopK::new(usize::MAX);
        assert!(top.push(1.0, 1_u8));
        assert_eq!(top.threshold(), f32::NEG_INFINITY);
        let mut none = TopK::new(0);
        assert!(!none.push(f32::INFINITY, 1_u8));
        assert!(none.is_empty());
    }

    #[test]
    fn minus_zero_is_stored_as_zero() {
        let mut top = TopK::new(1);
        assert!(top.push(-0.0, 2_u8));
        assert!(top.push(0.0, 1));
        assert_eq!(top.into_sorted()[0].key, 1);
        let mut top = TopK::new(1);
        top.push(-0.0, 2_u8);
        assert_eq!(top.into_sorted()[0].score.to_bits(), 0);
    }
}
