//! Circles of owners that wait for each other.

use std::collections::HashMap;
use std::sync::Arc;

use codegraph_vector_base::TxnId;

use super::line::{Blockers, OwnerMap};
use super::mode::LockTarget;
use super::owner::Owner;
use super::table::Table;

/// An owner that was reached, and through whom.
struct Reached {
    owner: Arc<Owner>,
    from: usize,
}

/// A shortest circle that goes through `start`, which waits: each waits for the next, and the last for the first. Owners that
/// are doomed are about to let go, and count no more.
pub(super) fn circle(table: &Table, start: &Arc<Owner>) -> Option<Vec<Arc<Owner>>> {
    let mut search = Search::from(start);
    let mut next = 0;
    while let Some(waiter) = search.reached.get(next).map(|reached| reached.owner.clone()) {
        for blocker in search.blockers(table, &waiter) {
            if blocker.id == start.id {
                return Some(search.way_to(next));
            }
            search.reach(blocker, next);
        }
        next += 1;
    }
    None
}

struct Search {
    reached: Vec<Reached>,
    seen: OwnerMap<()>,
    /// Targets of which every holder was reached, and everyone in the queue before this number.
    exhausted: HashMap<LockTarget, u64>,
}

impl Search {
    fn from(start: &Arc<Owner>) -> Self {
        let mut search =
            Self { reached: Vec::new(), seen: OwnerMap::default(), exhausted: HashMap::default() };
        search.reach(start.clone(), 0);
        search
    }

    fn reach(&mut self, owner: Arc<Owner>, from: usize) {
        if self.seen.insert(owner.id, ()).is_none() {
            self.reached.push(Reached { owner, from });
        }
    }

    /// Those whom `waiter` waits for, but for some that were all reached before. Without this, a queue of writers, of whom each
    /// waits for all before it, would take the square of its length.
    fn blockers(&mut self, table: &Table, waiter: &Owner) -> Vec<Arc<Owner>> {
        let Some(target) = waiter.waits_for() else { return Vec::new() };
        if let Some(exhausted) = self.exhausted.get(&target)
            && table.number_of(waiter.id, target).is_none_or(|number| number <= *exhausted)
        {
            return Vec::new();
        }
        let Some(Blockers { owners, all_before }) = table.blockers(waiter.id, target) else {
            return Vec::new();
        };
        if let Some(number) = all_before {
            self.exhausted.insert(target, number);
        }
        owners
    }

    /// From the start to the owner reached as number `at`.
    fn way_to(&self, mut at: usize) -> Vec<Arc<Owner>> {
        let mut way = vec![self.reached[at].owner.clone()];
        while at != 0 {
            at = self.reached[at].from;
            way.push(self.reached[at].owner.clone());
        }
        way.reverse();
        way
    }
}

/// The youngest of a circle.
pub(super) fn youngest(circle: &[Arc<Owner>]) -> Option<&Arc<Owner>> {
    circle.iter().max_by_key(|owner| owner.id)
}

/// A circle as errors tell it.
pub(super) fn names(circle: &[Arc<Owner>]) -> Vec<TxnId> {
    circle.iter().map(|owner| owner.id).collect()
}
