//! Where the lines of all targets are kept.
//!
//! Nearly every lock is that of a node which nobody else wants: it is one entry in one of a few maps, made and removed under one
//! mutex. Only a node that two want has a [`Line`]. The store, which all want, always has one.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use codegraph_vector_base::{NodeId, TxnId};

use super::line::{Answer, Blockers, Holder, Line};
use super::mode::{LockMode, LockTarget};
use super::owner::Owner;
use super::sync::Mutex;
use crate::id_map::{NodeIdMap, SHARDS, shard_of};

/// All lines of a store. Its mutexes are taken one at a time; under them only an owner's own.
#[derive(Default)]
pub(super) struct Table {
    store: Mutex<Line>,
    shards: [Mutex<NodeIdMap<Held>>; SHARDS],
}

enum Held {
    /// By one, and nobody waits.
    Alone(Holder),
    Line(Box<Line>),
}

impl Held {
    /// The line of this node, made if there is none yet.
    fn line(&mut self) -> &mut Line {
        if let Held::Alone(holder) = self {
            let holder = Holder { owner: holder.owner.clone(), mode: holder.mode };
            *self = Held::Line(Box::new(Line::with(holder)));
        }
        match self {
            Held::Line(line) => line,
            Held::Alone(_) => unreachable!("it was made a line just now"),
        }
    }
}

impl Table {
    fn shard(&self, id: NodeId) -> &Mutex<NodeIdMap<Held>> {
        &self.shards[shard_of(id)]
    }

    /// Grants a request if nobody blocks it.
    pub(super) fn request(&self, owner: &Arc<Owner>, target: LockTarget, mode: LockMode) -> Answer {
        self.ask(owner, target, mode, Line::request)
    }

    /// The same; a blocked one is queued.
    pub(super) fn request_or_queue(&self, owner: &Arc<Owner>, target: LockTarget, mode: LockMode) -> Answer {
        self.ask(owner, target, mode, Line::request_or_queue)
    }

    fn ask(
        &self,
        owner: &Arc<Owner>,
        target: LockTarget,
        mode: LockMode,
        ask: impl FnOnce(&mut Line, &Arc<Owner>, LockMode) -> Answer,
    ) -> Answer {
        let LockTarget::Node(id) = target else { return ask(&mut self.store.lock(), owner, mode) };
        match self.shard(id).lock().entry(id) {
            Entry::Vacant(place) => {
                place.insert(Held::Alone(Holder { owner: owner.clone(), mode }));
                Answer::New
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Held::Alone(holder) if holder.owner.id == owner.id => {
                    holder.mode = holder.mode.join(mode);
                    Answer::Held
                }
                held => ask(held.line(), owner, mode),
            },
        }
    }

    /// Takes away what `owner` holds of a target.
    pub(super) fn release(&self, owner: TxnId, target: LockTarget) {
        let LockTarget::Node(id) = target else { return self.store.lock().release(owner) };
        if let Entry::Occupied(mut place) = self.shard(id).lock().entry(id) {
            let is_free = match place.get_mut() {
                Held::Alone(holder) => holder.owner.id == owner,
                Held::Line(line) => {
                    line.release(owner);
                    line.is_empty()
                }
            };
            if is_free {
                place.remove();
            }
        }
    }

    /// Takes `owner` out of the queue of a target; `false` if it is not there, because it was granted its request.
    pub(super) fn leave(&self, owner: TxnId, target: LockTarget) -> bool {
        let LockTarget::Node(id) = target else { return self.store.lock().leave(owner) };
        let mut shard = self.shard(id).lock();
        let Entry::Occupied(mut place) = shard.entry(id) else { return false };
        let Held::Line(line) = place.get_mut() else { return false };
        let left = line.leave(owner);
        if line.is_empty() {
            place.remove();
        }
        left
    }

    /// Who blocks `owner`, if it waits for `target`.
    pub(super) fn blockers(&self, owner: TxnId, target: LockTarget) -> Option<Blockers> {
        self.look(target, |line| line.blockers(owner)).flatten()
    }

    /// The number of `owner` in the queue of `target`.
    pub(super) fn number_of(&self, owner: TxnId, target: LockTarget) -> Option<u64> {
        self.look(target, |line| line.number_of(owner)).flatten()
    }

    /// What `owner` holds of a target.
    pub(super) fn mode_of(&self, owner: TxnId, target: LockTarget) -> Option<LockMode> {
        if let LockTarget::Node(id) = target
            && let Some(Held::Alone(holder)) = self.shard(id).lock().get(&id)
        {
            return (holder.owner.id == owner).then_some(holder.mode);
        }
        self.look(target, |line| line.mode_of(owner)).flatten()
    }

    /// Looks at a line, if the target has one.
    fn look<R>(&self, target: LockTarget, f: impl FnOnce(&Line) -> R) -> Option<R> {
        let LockTarget::Node(id) = target else { return Some(f(&self.store.lock())) };
        match self.shard(id).lock().get(&id)? {
            Held::Line(line) => Some(f(line)),
            Held::Alone(_) => None,
        }
    }

    /// How many targets are locked or waited for.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        let nodes: usize = self.shards.iter().map(|shard| shard.lock().len()).sum();
        nodes + usize::from(!self.store.lock().is_empty())
    }

    /// How many locks are held, those on the store included.
    pub(super) fn held(&self) -> u64 {
        let of_one = |held: &Held| match held {
            Held::Alone(_) => 1,
            Held::Line(line) => line.holder_count(),
        };
        let of_shard = |shard: &Mutex<NodeIdMap<Held>>| shard.lock().values().map(of_one).sum::<usize>();
        let nodes: usize = self.shards.iter().map(of_shard).sum();
        (self.store.lock().holder_count() + nodes) as u64
    }
}
