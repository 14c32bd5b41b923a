//! The last commits, for validating writes that depend on what others did meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;

use codegraph_vector_base::{NodeId, SeqNo, TxnId};

use crate::node::NodeMetadata;

/// Commits kept.
const MAX_COMMITS: usize = 4096;
/// Memory of all kept commits together, about, in bytes: many rows have little to say, few have much.
const MAX_BYTES: u64 = 8 << 20;

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
        while self.commits.len() > MAX_COMMITS || (self.bytes > MAX_BYTES && self.commits.len() > 1) {
            if let Some((seqno, effects)) = self.commits.pop_front() {
                self.bytes -= effects.bytes;
                self.forgotten = seqno;
            }
        }
    }

    /// Takes back everything after `seqno`, which never happened.
    pub(crate) fn rewind(&mut self, seqno: SeqNo) {
        while let Some((_, effects)) = self.commits.pop_back_if(|(last, _)| *last > seqno) {
            self.bytes -= effects.bytes;
        }
    }

    /// Whether a commit after `seqno` fits `conflicts`. Commits that were forgotten count as fitting:
    /// the caller starts again from a newer snapshot.
    pub(crate) fn any_after(&self, seqno: SeqNo, conflicts: impl Fn(&Effects) -> bool) -> bool {
        seqno < self.forgotten
            || self
                .commits
                .iter()
                .rev()
                .take_while(|(at, _)| *at > seqno)
                .any(|(_, effects)| conflicts(effects))
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
        let wrote = |id: NodeId| move |effects: &Effects| effects.deletes.contains(&id);
        assert!(ring.any_after(SeqNo(10), wrote(1)));
        assert!(!ring.any_after(SeqNo(11), wrote(1)));
        assert!(ring.any_after(SeqNo(11), wrote(2)));
        assert!(ring.any_after(SeqNo(9), wrote(9)), "before the ring, anything may have happened");
        ring.rewind(SeqNo(11));
        assert!(!ring.any_after(SeqNo(11), wrote(2)));
    }

    #[test]
    fn stays_within_its_bounds() {
        let mut ring = Ring::after(SeqNo(0));
        (1..=3).for_each(|seqno| ring.push(SeqNo(seqno), effects(1, MAX_BYTES / 2)));
        assert_eq!((ring.commits.len(), ring.bytes, ring.forgotten), (2, MAX_BYTES, SeqNo(1)));
    }
}
