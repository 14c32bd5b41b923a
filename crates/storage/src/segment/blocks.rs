//! What is known of the blocks of one section: not looked at, good, or bad. Lock-free; a state costs two bits.
//!
//! What always holds: a good block is one whose checksum fitted, and a bad one stays bad until the file is opened
//! anew. The bytes themselves never change, so no ordering between the marks and them is needed.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const WORD_BITS: u64 = u64::BITS as u64;

/// The states of a section's blocks.
#[derive(Debug)]
pub(super) struct BlockStates {
    good: Box<[AtomicU64]>,
    bad: Box<[AtomicU64]>,
    /// Blocks whose bit in `good` is not set: nil is the way past everything else.
    not_good: AtomicU64,
}

impl BlockStates {
    pub(super) fn new(blocks: u64) -> Self {
        let words = || (0..blocks.div_ceil(WORD_BITS)).map(|_| AtomicU64::new(0)).collect();
        Self { good: words(), bad: words(), not_good: AtomicU64::new(blocks) }
    }

    #[inline]
    pub(super) fn all_good(&self) -> bool {
        self.not_good.load(Relaxed) == 0
    }

    #[inline]
    pub(super) fn is_good(&self, block: u64) -> bool {
        is_set(&self.good, block)
    }

    pub(super) fn is_bad(&self, block: u64) -> bool {
        is_set(&self.bad, block)
    }

    pub(super) fn first_not_good(&self, mut blocks: RangeInclusive<u64>) -> Option<u64> {
        blocks.find(|block| !self.is_good(*block))
    }

    pub(super) fn mark_good(&self, block: u64) {
        // Counted by whoever changes the bit, so the count is exact once both are done.
        if !set(&self.good, block) {
            self.not_good.fetch_sub(1, Relaxed);
        }
    }

    /// Whether it was not known yet.
    pub(super) fn mark_bad(&self, block: u64) -> bool {
        let known = set(&self.bad, block);
        let (word, bit) = place(block);
        if self.good[word].fetch_and(!bit, Relaxed) & bit != 0 {
            self.not_good.fetch_add(1, Relaxed);
        }
        !known
    }
}

fn place(block: u64) -> (usize, u64) {
    ((block / WORD_BITS) as usize, 1 << (block % WORD_BITS))
}

fn is_set(words: &[AtomicU64], block: u64) -> bool {
    let (word, bit) = place(block);
    words[word].load(Relaxed) & bit != 0
}

/// Whether it was set before.
fn set(words: &[AtomicU64], block: u64) -> bool {
    let (word, bit) = place(block);
    words[word].fetch_or(bit, Relaxed) & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_counted_exactly() {
        let states = BlockStates::new(130);
        assert_eq!(states.first_not_good(3..=129), Some(3));
        (0..130).for_each(|block| states.mark_good(block));
        states.mark_good(7);
        assert!(states.all_good() && states.first_not_good(0..=129).is_none());
        assert!(states.mark_bad(129));
        assert!(!states.mark_bad(129));
        assert!(!states.all_good() && states.is_bad(129) && !states.is_good(129));
        assert_eq!(states.first_not_good(0..=129), Some(129));
        assert!(BlockStates::new(0).all_good());
    }
}
