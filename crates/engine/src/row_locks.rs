//! Exclusive locks on nodes, held from the preparation of a write until its commit is visible.
//!
//! They make read-modify-write of a row atomic: who holds the lock sees the row's last commit, and
//! no other commit of that row can come between. Locks of one write are taken in id order, so that
//! two writes never wait for each other in a circle.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_base::NodeId;
use parking_lot::{Condvar, Mutex};

use crate::id_map::NodeIdSet;

const SHARDS: usize = 16;

/// All row locks of a store.
#[derive(Debug, Default)]
pub(crate) struct RowLocks {
    shards: [Shard; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    held: Mutex<NodeIdSet>,
    freed: Condvar,
}

/// Held locks; dropping frees them.
#[derive(Debug)]
pub(crate) struct RowGuard {
    locks: Arc<RowLocks>,
    /// Sorted, without repeats.
    ids: Vec<NodeId>,
}

impl RowLocks {
    fn shard(&self, id: NodeId) -> &Shard {
        // Fibonacci hashing: neighbouring ids spread over the shards.
        let mixed = ((id ^ (id >> 64)) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.shards[(mixed >> 60) as usize % SHARDS]
    }

    /// Locks all of `ids`, waiting for each that others hold; `None`, holding nothing, if one of
    /// them is not free within `patience`.
    pub(crate) fn lock(self: &Arc<Self>, ids: Vec<NodeId>, patience: Duration) -> Option<RowGuard> {
        let mut guard = RowGuard { locks: self.clone(), ids: Vec::with_capacity(ids.len()) };
        for id in in_order(ids) {
            let shard = self.shard(id);
            let mut held = shard.held.lock();
            while !held.insert(id) {
                if shard.freed.wait_for(&mut held, patience).timed_out() && held.contains(&id) {
                    drop(held);
                    return None;
                }
            }
            guard.ids.push(id);
        }
        Some(guard)
    }

    /// Locks all of `ids` if none of them is held.
    pub(crate) fn try_lock(self: &Arc<Self>, ids: Vec<NodeId>) -> Option<RowGuard> {
        let mut guard = RowGuard { locks: self.clone(), ids: Vec::with_capacity(ids.len()) };
        for id in in_order(ids) {
            if !self.shard(id).held.lock().insert(id) {
                return None; // Dropping the guard frees those that were taken.
            }
            guard.ids.push(id);
        }
        Some(guard)
    }
}

fn in_order(mut ids: Vec<NodeId>) -> Vec<NodeId> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl RowGuard {
    /// The locked ids, sorted.
    pub(crate) fn ids(&self) -> &[NodeId] {
        &self.ids
    }
}

impl Drop for RowGuard {
    fn drop(&mut self) {
        for id in &self.ids {
            let shard = self.locks.shard(*id);
            shard.held.lock().remove(id);
            shard.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_held_row_is_refused_until_its_guard_is_dropped() {
        let locks = Arc::new(RowLocks::default());
        let guard = locks.lock(vec![3, 1, 3], PATIENCE).unwrap();
        assert_eq!(guard.ids(), [1, 3]);
        assert!(locks.try_lock(vec![2, 3]).is_none());
        assert!(locks.try_lock(vec![2]).is_some(), "a refused attempt keeps nothing");
        assert!(locks.lock(vec![2, 3], Duration::from_millis(1)).is_none());
        assert!(locks.try_lock(vec![2]).is_some(), "nor does one that ran out of patience");
        drop(guard);
        assert!(locks.try_lock(vec![1, 2, 3]).is_some());
    }

    #[test]
    fn writers_of_overlapping_rows_all_get_through() {
        let locks = Arc::new(RowLocks::default());
        let total = Arc::new(Mutex::new([0u32; 4]));
        std::thread::scope(|scope| {
            for thread in 0..4u128 {
                let (locks, total) = (locks.clone(), total.clone());
                scope.spawn(move || {
                    for step in 0..500u128 {
                        let ids = vec![(thread + step) % 4, step % 4];
                        let guard = locks.lock(ids, PATIENCE).unwrap();
                        guard.ids().iter().for_each(|id| total.lock()[*id as usize] += 1);
                    }
                });
            }
        });
        assert!(total.lock().iter().all(|count| *count > 0));
        assert!(locks.try_lock(vec![0, 1, 2, 3]).is_some());
    }
}
