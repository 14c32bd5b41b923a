//! The uncommitted writes of all transactions, which Read Uncommitted sees.
//!
//! What always holds: of a node there is at most one, since who writes it holds its X lock. It is taken
//! out before that lock is freed, so that it never lies over what another has committed since.

use codegraph_vector_base::{NodeId, TxnId};
use parking_lot::RwLock;

use super::overlay::Changes;
use super::write_set::Change;
use crate::id_map::{NodeIdMap, SHARDS, shard_of};

/// See the module. Writers of different nodes seldom meet.
#[derive(Debug, Default)]
pub(crate) struct PendingTable {
    shards: [RwLock<NodeIdMap<(TxnId, Change)>>; SHARDS],
}

impl PendingTable {
    fn shard(&self, id: NodeId) -> &RwLock<NodeIdMap<(TxnId, Change)>> {
        &self.shards[shard_of(id)]
    }

    /// What `txn`, which holds the node's lock, has done to it; `None`: nothing any more.
    pub(crate) fn set(&self, txn: TxnId, id: NodeId, change: Option<Change>) {
        let mut shard = self.shard(id).write();
        match change {
            Some(change) => {
                shard.insert(id, (txn, change));
            }
            None if shard.get(&id).is_some_and(|(writer, _)| *writer == txn) => {
                shard.remove(&id);
            }
            None => {}
        }
    }
}

impl Changes for PendingTable {
    fn get(&self, id: NodeId) -> Option<Change> {
        self.shard(id).read().get(&id).map(|(_, change)| change.clone())
    }

    fn all(&self) -> Vec<(NodeId, Change)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.read().iter().map(|(id, (_, change))| (*id, change.clone())));
        }
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_takes_out_its_own_only() {
        let table = PendingTable::default();
        let (one, other) = (TxnId(1), TxnId(2));
        (0..100).for_each(|id| table.set(one, id, Some(Change::Delete)));
        table.set(other, 7, Some(Change::Delete));
        (0..100).for_each(|id| table.set(one, id, None));
        assert!(matches!(table.all()[..], [(7, Change::Delete)]));
        assert!(table.get(7).is_some() && table.get(8).is_none());
        table.set(other, 7, None);
        assert!(table.all().is_empty());
    }
}
