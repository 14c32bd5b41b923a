//! The last commits, for validating writes that depend on what others did meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use codegraph_vector_base::{NodeId, SeqNo, TxnId};

use crate::node::NodeMetadata;

/// Commits kept.
pub(crate) const MAX_COMMITS: usize = 16 << 10;
/// Memory of all kept commits together, about, in bytes: many rows have little to say, few have much.
const MAX_BYTES: u64 = 8 << 20;
/// The same while commits tell their vectors: a search is validated against rows that may have to come from the disk, while
/// others go on committing.
const MAX_BYTES_WITH_VECTORS: u64 = 32 << 20;

/// What a commit wrote.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// The transaction that it was, if it was one.
    pub(crate) transaction: Option<TxnId>,
    pub(crate) puts: Vec<PutEffect>,
    pub(crate) deletes: Vec<NodeId>,
    /// Memory that all this takes, about.
    pub(crate) bytes: u64,
}

impl Effects {
    /// Whether it was made while there was somebody to validate searches.
    fn tells_vectors(&self) -> bool {
        self.puts.iter().any(|put| put.vector.is_some())
    }

    /// The nodes that it put or deleted.
    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.puts.iter().map(|put| put.id).chain(self.deletes.iter().copied())
    }
}

/// A node that a commit put.
#[derive(Debug)]
pub(crate) struct PutEffect {
    pub(crate) id: NodeId,
    pub(crate) metadata: Arc<NodeMetadata>,
    pub(crate) norm: f32,
    /// Kept only while there are transactions that validate nearest-neighbour searches.
    pub(crate) vector: Option<Box<[f32]>>,
}

/// Numbered commits, oldest first, synced or not.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    commits: VecDeque<(SeqNo, Arc<Effects>)>,
    bytes: u64,
    /// The newest commit that was dropped to keep the bounds.
    forgotten: SeqNo,
    rewinds: u64,
}

impl Ring {
    /// Starts behind `seqno`.
    pub(crate) fn after(seqno: SeqNo) -> Self {
        Self { forgotten: seqno, ..Self::default() }
    }

    /// Adds the commit that got `seqno`.
    pub(crate) fn push(&mut self, seqno: SeqNo, effects: Arc<Effects>) {
        self.bytes += effects.bytes;
        self.commits.push_back((seqno, effects));
        let with_vectors = self.commits.back().is_some_and(|(_, last)| last.tells_vectors());
        let most = if with_vectors { MAX_BYTES_WITH_VECTORS } else { MAX_BYTES };
        while self.commits.len() > MAX_COMMITS || (self.bytes > most && self.commits.len() > 1) {
            if let Some((seqno, effects)) = self.commits.pop_front() {
                self.bytes -= effects.bytes;
                self.forgotten = seqno;
            }
        }
    }

    /// Takes back everything after `seqno`, which never happened.
    pub(crate) fn rewind(&mut self, seqno: SeqNo) {
        self.rewinds += 1;
        while let Some((_, effects)) = self.commits.pop_back_if(|(last, _)| *last > seqno) {
            self.bytes -= effects.bytes;
        }
    }

    /// Forgets everything up to `seqno`, none of which is taken back any more; for when nobody is left who would ask for it.
    /// What is to be dropped is returned, since it may be much.
    pub(crate) fn forget(&mut self, seqno: SeqNo) -> impl Sized + use<> {
        let from = self.commits.partition_point(|(at, _)| *at <= seqno);
        let kept = self.commits.split_off(from);
        let forgotten = std::mem::replace(&mut self.commits, kept);
        if let Some((last, _)) = forgotten.back() {
            self.forgotten = *last;
        }
        self.bytes -= forgotten.iter().map(|(_, effects)| effects.bytes).sum::<u64>();
        forgotten
    }

    /// How often commits were taken back, whose SeqNos others have got since.
    pub(crate) fn rewinds(&self) -> u64 {
        self.rewinds
    }

    /// The commits after `seqno`, oldest first; `None` if some of them are no longer known.
    pub(crate) fn since(&self, seqno: SeqNo) -> Option<impl Iterator<Item = (SeqNo, &Arc<Effects>)>> {
        (seqno >= self.forgotten).then(|| {
            let from = self.commits.partition_point(|(at, _)| *at <= seqno);
            self.commits.range(from..).map(|(at, effects)| (*at, effects))
        })
    }
}

/// Counts the transactions, open or in doubt, that will validate nearest-neighbour searches: while there are any, commits
/// leave their vectors in the ring.
#[derive(Clone, Debug, Default)]
pub(crate) struct Validating(Arc<AtomicUsize>);

/// One of them. It is to be entered before its snapshot is taken; dropping it leaves.
#[derive(Debug)]
pub(crate) struct ValidatingGuard(Arc<AtomicUsize>);

impl Validating {
    /// Enters a transaction.
    pub(crate) fn enter(&self) -> ValidatingGuard {
        self.0.fetch_add(1, Ordering::AcqRel);
        ValidatingGuard(self.0.clone())
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

impl Drop for ValidatingGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(id: NodeId, bytes: u64) -> Arc<Effects> {
        Arc::new(Effects { deletes: vec![id], bytes, ..Effects::default() })
    }

    #[test]
    fn finds_later_commits_only() {
        let mut ring = Ring::after(SeqNo(10));
        ring.push(SeqNo(11), effects(1, 1));
        ring.push(SeqNo(12), effects(2, 1));
        let since = |ring: &Ring, seqno| -> Option<Vec<NodeId>> {
            let commits = ring.since(SeqNo(seqno))?;
            Some(commits.flat_map(|(_, effects)| effects.ids().collect::<Vec<_>>()).collect())
        };
        assert_eq!(since(&ring, 10), Some(vec![1, 2]));
        assert_eq!(since(&ring, 11), Some(vec![2]));
        assert_eq!(since(&ring, 12), Some(vec![]));
        assert_eq!(since(&ring, 9), None, "before the ring, anything may have happened");
        ring.rewind(SeqNo(11));
        assert_eq!((since(&ring, 11), ring.rewinds()), (Some(vec![]), 1));
    }

    #[test]
    fn forgets_what_nobody_asks_for_any_more() {
        let mut ring = Ring::after(SeqNo(10));
        (11..=13).for_each(|seqno| ring.push(SeqNo(seqno), effects(1, 5)));
        drop(ring.forget(SeqNo(12)));
        assert!(ring.since(SeqNo(11)).is_none() && ring.since(SeqNo(12)).is_some());
        assert_eq!((ring.commits.len(), ring.bytes, ring.forgotten), (1, 5, SeqNo(12)));
        ring.rewind(SeqNo(12));
        drop(ring.forget(SeqNo(12)));
        assert_eq!((ring.commits.len(), ring.bytes, ring.forgotten), (0, 0, SeqNo(12)));
    }

    #[test]
    fn counts_who_validates() {
        let validating = Validating::default();
        let (one, other) = (validating.enter(), validating.clone().enter());
        drop(one);
        assert!(validating.any());
        drop(other);
        assert!(!validating.any());
    }

    #[test]
    fn stays_within_its_bounds() {
        let mut ring = Ring::after(SeqNo(0));
        (1..=3).for_each(|seqno| ring.push(SeqNo(seqno), effects(1, MAX_BYTES / 2)));
        assert_eq!((ring.commits.len(), ring.bytes, ring.forgotten), (2, MAX_BYTES, SeqNo(1)));
        let metadata = Arc::default();
        let put = PutEffect { id: 1, metadata, norm: 1.0, vector: Some(Box::new([1.0])) };
        ring.push(
            SeqNo(4),
            Arc::new(Effects { puts: vec![put], bytes: 2 * MAX_BYTES, ..Effects::default() }),
        );
        assert_eq!((ring.commits.len(), ring.bytes), (3, 3 * MAX_BYTES), "with vectors there may be more");
        ring.push(SeqNo(5), effects(1, 1));
        assert_eq!((ring.commits.len(), ring.bytes, ring.forgotten), (1, 1, SeqNo(4)));
    }
}
