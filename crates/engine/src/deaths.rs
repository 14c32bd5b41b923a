//! When rows of a segment died: (ordinal, SeqNo), not a bare bitmap, so that older readers stay right.
//!
//! Blocks of deaths are allocated at the first death in them: a segment without deaths costs a
//! pointer for every [`BLOCK_ROWS`] rows.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use codegraph_vector_base::{RowOrdinal, SeqNo};

/// Rows whose deaths lie together.
const BLOCK_ROWS: usize = 512;

type Block = Box<[AtomicU64; BLOCK_ROWS]>;

/// The deaths of one segment. Written by `apply` alone; read by everyone without a lock.
#[derive(Debug)]
pub(crate) struct Deaths {
    blocks: Box<[OnceLock<Block>]>,
    count: AtomicU64,
    latest: AtomicU64,
}

impl Deaths {
    /// None yet, of `rows` rows.
    pub(crate) fn none(rows: usize) -> Self {
        let blocks = (0..rows.div_ceil(BLOCK_ROWS)).map(|_| OnceLock::new()).collect();
        Self { blocks, count: AtomicU64::new(0), latest: AtomicU64::new(0) }
    }

    /// Marks a row dead from `seqno` on; `false` if it was dead already.
    pub(crate) fn kill(&self, ordinal: RowOrdinal, seqno: SeqNo) -> bool {
        let (block, at) = (ordinal as usize / BLOCK_ROWS, ordinal as usize % BLOCK_ROWS);
        let alive = || Box::new([const { AtomicU64::new(SeqNo::MAX.0) }; BLOCK_ROWS]);
        let death = &self.blocks[block].get_or_init(alive)[at];
        if death.load(Ordering::Relaxed) != SeqNo::MAX.0 {
            return false;
        }
        death.store(seqno.0, Ordering::Release);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.latest.fetch_max(seqno.0, Ordering::Relaxed);
        true
    }

    /// When a row died; [`SeqNo::MAX`] while it lives.
    pub(crate) fn of(&self, ordinal: RowOrdinal) -> SeqNo {
        let (block, at) = (ordinal as usize / BLOCK_ROWS, ordinal as usize % BLOCK_ROWS);
        match self.blocks[block].get() {
            Some(block) => SeqNo(block[at].load(Ordering::Acquire)),
            None => SeqNo::MAX,
        }
    }

    /// Rows that died, ever.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The last death, 0 if none.
    pub(crate) fn latest(&self) -> SeqNo {
        SeqNo(self.latest.load(Ordering::Relaxed))
    }

    /// All deaths in order of the ordinal.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RowOrdinal, SeqNo)> {
        let blocks = self.blocks.iter().enumerate().filter_map(|(at, block)| Some((at, block.get()?)));
        blocks.flat_map(|(block, deaths)| {
            deaths.iter().enumerate().filter_map(move |(at, death)| {
                let seqno = SeqNo(death.load(Ordering::Acquire));
                (seqno != SeqNo::MAX).then_some(((block * BLOCK_ROWS + at) as RowOrdinal, seqno))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_dies_once_and_keeps_its_moment() {
        let deaths = Deaths::none(1000);
        assert_eq!((deaths.of(999), deaths.count(), deaths.latest()), (SeqNo::MAX, 0, SeqNo(0)));
        assert!(deaths.kill(999, SeqNo(7)) && deaths.kill(3, SeqNo(5)));
        assert!(!deaths.kill(999, SeqNo(9)));
        assert_eq!((deaths.of(999), deaths.of(3), deaths.of(4)), (SeqNo(7), SeqNo(5), SeqNo::MAX));
        assert_eq!(deaths.iter().collect::<Vec<_>>(), [(3, SeqNo(5)), (999, SeqNo(7))]);
        assert_eq!((deaths.count(), deaths.latest()), (2, SeqNo(7)));
    }
}
