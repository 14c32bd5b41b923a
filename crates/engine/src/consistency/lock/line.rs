//! Who holds a target and who waits for it, in order.
//!
//! A request is blocked by the holders whose locks it does not go with, and, unless it comes from a holder, by those
//! before it in the queue whose requests it does not go with. It is granted as soon as nobody blocks it. So a request can pass
//! waiters that it does not delay and no others, and nobody waits for ever behind those who come later.
//!
//! A holder who asks for more stands before those who hold nothing: they could not be granted before it is gone anyway. It
//! is not blocked by waiters: it is in their way already.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use codegraph_vector_base::TxnId;

use super::mode::{LockMode, Tally};
use super::owner::Owner;
use crate::id_map::NodeIdHasher;

/// A map by owner.
pub(super) type OwnerMap<V> = HashMap<TxnId, V, BuildHasherDefault<NodeIdHasher>>;

/// A lock that somebody has.
pub(super) struct Holder {
    pub(super) owner: Arc<Owner>,
    pub(super) mode: LockMode,
}

/// A lock that somebody wants.
struct Waiter {
    owner: Arc<Owner>,
    /// What it will hold then: of a holder, the join of what it has and what it asked for.
    mode: LockMode,
    /// What it holds already.
    held: Option<LockMode>,
    /// The greater, the later it came; 0 of a holder.
    number: u64,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Granted to one who held nothing.
    New,
    /// Its owner has it, and held the target before.
    Held,
    Blocked,
}

/// A target's holders and queue.
#[derive(Default)]
pub(super) struct Line {
    holders: OwnerMap<Holder>,
    held: Tally,
    queue: VecDeque<Waiter>,
    waiting: Tally,
    last_number: u64,
}

/// Who blocks a waiter.
pub(super) struct Blockers {
    pub(super) owners: Vec<Arc<Owner>>,
    /// If those are all holders and all who stand before it: its number.
    pub(super) all_before: Option<u64>,
}

impl Line {
    /// A target with one holder and no queue.
    pub(super) fn with(holder: Holder) -> Self {
        let mut line = Self::default();
        line.hold(&holder.owner, holder.mode, None);
        line
    }

    pub(super) fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.queue.is_empty()
    }

    pub(super) fn holders(&self) -> impl Iterator<Item = &Holder> {
        self.holders.values()
    }

    pub(super) fn holder_count(&self) -> usize {
        self.holders.len()
    }

    /// What `owner` holds.
    pub(super) fn mode_of(&self, owner: TxnId) -> Option<LockMode> {
        self.holders.get(&owner).map(|holder| holder.mode)
    }

    /// Grants the request if nobody blocks it.
    pub(super) fn request(&mut self, owner: &Arc<Owner>, mode: LockMode) -> Answer {
        let held = self.mode_of(owner.id);
        let wanted = held.map_or(mode, |held| held.join(mode));
        if held == Some(wanted) {
            return Answer::Held;
        }
        if !admits(self.held, self.waiting, wanted, held) {
            return Answer::Blocked;
        }
        self.hold(owner, wanted, held);
        held.map_or(Answer::New, |_| Answer::Held)
    }

    /// The same; a blocked one is queued.
    pub(super) fn request_or_queue(&mut self, owner: &Arc<Owner>, mode: LockMode) -> Answer {
        let answer = self.request(owner, mode);
        if answer == Answer::Blocked {
            let held = self.mode_of(owner.id);
            let mode = held.map_or(mode, |held| held.join(mode));
            let (at, number) = match held {
                Some(_) => (self.queue.iter().take_while(|waiter| waiter.held.is_some()).count(), 0),
                None => {
                    self.last_number += 1;
                    (self.queue.len(), self.last_number)
                }
            };
            self.waiting.add(mode);
            self.queue.insert(at, Waiter { owner: owner.clone(), mode, held, number });
        }
        answer
    }

    /// Takes `owner` out of the queue; `false` if it is not there, because it was granted its request.
    pub(super) fn leave(&mut self, owner: TxnId) -> bool {
        let Some(at) = self.place_of(owner) else { return false };
        if let Some(waiter) = self.queue.remove(at) {
            self.waiting.remove(waiter.mode);
        }
        self.admit();
        true
    }

    /// Takes away what `owner` holds.
    pub(super) fn release(&mut self, owner: TxnId) {
        if let Some(holder) = self.holders.remove(&owner) {
            self.held.remove(holder.mode);
            self.admit();
        }
    }

    /// Who blocks `owner`, if it waits here.
    pub(super) fn blockers(&self, owner: TxnId) -> Option<Blockers> {
        let at = self.place_of(owner)?;
        let Waiter { mode, held, number, .. } = self.queue[at];
        let is_blocker = |id: TxnId, other: LockMode| id != owner && !mode.is_compatible(other);
        let holders = self.holders().filter(|other| is_blocker(other.owner.id, other.mode));
        let mut owners: Vec<_> = holders.map(|other| other.owner.clone()).collect();
        if held.is_none() {
            let before = self.queue.iter().take(at).filter(|other| is_blocker(other.owner.id, other.mode));
            owners.extend(before.map(|other| other.owner.clone()));
        }
        let all_before = (held.is_none() && mode == LockMode::X).then_some(number);
        Some(Blockers { owners, all_before })
    }

    /// The number of `owner` in the queue.
    pub(super) fn number_of(&self, owner: TxnId) -> Option<u64> {
        self.place_of(owner).map(|at| self.queue[at].number)
    }

    fn place_of(&self, owner: TxnId) -> Option<usize> {
        self.queue.iter().position(|waiter| waiter.owner.id == owner)
    }

    /// Grants what can be granted now, and wakes those who get it. Once through is enough: a grant makes nothing possible
    /// that was not.
    fn admit(&mut self) {
        let mut before = Tally::default();
        for waiter in std::mem::take(&mut self.queue) {
            if admits(self.held, before, waiter.mode, waiter.held) {
                self.waiting.remove(waiter.mode);
                self.hold(&waiter.owner, waiter.mode, waiter.held);
                waiter.owner.grant();
            } else {
                before.add(waiter.mode);
                self.queue.push_back(waiter);
            }
        }
    }

    fn hold(&mut self, owner: &Arc<Owner>, mode: LockMode, before: Option<LockMode>) {
        if let Some(before) = before {
            self.held.remove(before);
        }
        self.held.add(mode);
        match self.holders.entry(owner.id) {
            Entry::Occupied(mut holder) => holder.get_mut().mode = mode,
            Entry::Vacant(place) => {
                place.insert(Holder { owner: owner.clone(), mode });
            }
        }
    }
}

/// Whether a request for `wanted` by one who holds `own` can be granted beside `held` locks and the requests that stand `before`.
fn admits(mut held: Tally, before: Tally, wanted: LockMode, own: Option<LockMode>) -> bool {
    match own {
        Some(own) => {
            held.remove(own);
            held.admits(wanted)
        }
        None => held.admits(wanted) && before.admits(wanted),
    }
}
