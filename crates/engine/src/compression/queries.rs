//! A few of the queries that were asked of a store, to measure codecs by.
//!
//! What always holds: each query that was offered is in it with the same chance (Vitter 1985, algorithm R), but for those
//! that came while another was being put in; nobody waits to put one in.

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

/// Queries kept.
const CAPACITY: usize = 256;

/// The queries, in memory only.
#[derive(Debug, Default)]
pub(crate) struct QueryReservoir(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    offered: u64,
    queries: Vec<Box<[f32]>>,
}

impl QueryReservoir {
    /// Offers a query.
    pub(crate) fn push(&self, query: &[f32]) {
        let Some(mut kept) = self.0.try_lock() else { return };
        kept.offered += 1;
        if kept.queries.len() < CAPACITY {
            kept.queries.push(query.into());
            return;
        }
        // Whose place it takes, if one's: as good as chance, and the same in every run.
        let place = xxh3_64(&kept.offered.to_le_bytes()) % kept.offered;
        if let Some(old) = kept.queries.get_mut(place as usize) {
            old.copy_from_slice(query);
        }
    }

    /// Up to `most` of the queries that are in it now, row-major.
    pub(crate) fn some(&self, most: usize) -> Vec<f32> {
        self.0.lock().queries.iter().take(most).flat_map(|query| query.iter().copied()).collect()
    }

    /// The queries that are in it now.
    pub(crate) fn snapshot(&self) -> Vec<Box<[f32]>> {
        self.0.lock().queries.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_has_the_same_chance() {
        let (mut least, mut most) = (usize::MAX, 0);
        for start in 0..4 {
            let reservoir = QueryReservoir::default();
            (0..8192).for_each(|n| reservoir.push(&[(start * 8192 + n) as f32]));
            let kept = reservoir.snapshot();
            assert_eq!(kept.len(), CAPACITY);
            for eighth in 0..8 {
                let from = (start * 8192 + eighth * 1024) as f32;
                let count = kept.iter().filter(|query| (from..from + 1024.0).contains(&query[0])).count();
                (least, most) = (least.min(count), most.max(count));
            }
        }
        // 32 expected; this is five standard deviations each way.
        assert!(least > 5 && most < 60, "{least} to {most}");
    }

    #[test]
    fn few_are_all_kept() {
        let reservoir = QueryReservoir::default();
        reservoir.push(&[1.0, 2.0]);
        reservoir.push(&[3.0, 4.0]);
        assert_eq!(reservoir.snapshot(), [vec![1.0, 2.0].into_boxed_slice(), vec![3.0, 4.0].into()]);
    }
}
