//! What waits, and who waits for whom.
//!
//! What always holds:
//! - of two tasks that share a key, unless both share it gladly, the one that came first is finished before the other is
//!   taken, whatever their priorities; or they are taken together, in that order, if the second may follow the first into
//!   one commit;
//! - a task that others of a higher priority wait for is taken as if it had that priority;
//! - no circle comes about: a task waits for older ones only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasherDefault;

use codegraph_vector_base::{NodeId, hash64};

use super::operation::Priority;
use crate::id_map::NodeIdHasher;

/// Tasks by age.
pub(super) type TaskId = u64;

/// Something that at most one task at a time may be at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    Node(NodeId),
    /// By hash: two paths with the same one wait for each other without need.
    Path(u64),
}

impl Key {
    pub(super) fn path(path: &str) -> Self {
        Key::Path(hash64(path.as_bytes(), 0))
    }
}

/// What is known of a task before it is there.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) priority: Priority,
    /// It has these to itself.
    pub(super) keys: Vec<Key>,
    /// A key that others may have at the same time who have it as this does.
    pub(super) shared: Option<Key>,
    /// The next at its only key may go into the same commit.
    pub(super) leads: bool,
    /// It may go into the commit of the one before it at its only key.
    pub(super) follows: bool,
    /// Nodes that it is about, one at the least.
    pub(super) weight: usize,
    /// Memory that it takes, about, in bytes.
    pub(super) bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// For older tasks.
    Waiting,
    Ready,
    /// Taken, and not finished.
    Out,
    /// Finished, but not one that it came behind: it stands for that one until then, to those who come behind it.
    Done,
}

#[derive(Debug)]
struct Place<T> {
    /// None while it is out.
    task: Option<T>,
    spec: Spec,
    stage: Stage,
    /// Its own priority, or a higher one of those who wait for it.
    lane: Priority,
    /// Those it had to wait for when it came; some may be finished.
    before: Vec<TaskId>,
    /// Those who wait for it.
    after: Vec<TaskId>,
    /// How many of `before` are not finished.
    blockers: usize,
    /// How many of them are in the batch that is being put together.
    in_batch: usize,
}

/// The last ones at a key.
#[derive(Debug, Default)]
struct Tail {
    alone: Option<TaskId>,
    /// Those who came since and share it.
    shared: BTreeSet<TaskId>,
}

/// How much is taken at once: one task at the least, whatever its size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) weight: usize,
    pub(super) bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Graph<T> {
    places: BTreeMap<TaskId, Place<T>>,
    tails: HashMap<Key, Tail, BuildHasherDefault<NodeIdHasher>>,
    ready: [BTreeSet<TaskId>; Priority::COUNT],
    /// Weight of what is ready.
    ready_weight: usize,
    /// Tasks that are not out, by their own priority.
    queued: [usize; Priority::COUNT],
    next: TaskId,
}

impl<T> Default for Graph<T> {
    fn default() -> Self {
        Self {
            places: BTreeMap::new(),
            tails: HashMap::default(),
            ready: Default::default(),
            ready_weight: 0,
            queued: [0; Priority::COUNT],
            next: 0,
        }
    }
}

impl<T> Graph<T> {
    /// Adds a task behind all that are there.
    pub(super) fn insert(&mut self, spec: Spec, task: T) -> TaskId {
        let id = self.next;
        self.next += 1;
        let mut before: Vec<TaskId> = Vec::new();
        for key in &spec.keys {
            let tail = self.tails.entry(*key).or_default();
            before.extend(tail.shared.iter().copied().chain(tail.alone));
            *tail = Tail { alone: Some(id), shared: BTreeSet::new() };
        }
        if let Some(key) = spec.shared {
            let tail = self.tails.entry(key).or_default();
            before.extend(tail.alone);
            tail.shared.insert(id);
        }
        before.sort_unstable();
        before.dedup();
        before.retain(|other| *other != id); // A key may be there twice.
        for other in &before {
            if let Some(place) = self.places.get_mut(other) {
                place.after.push(id);
            }
        }
        let (lane, blockers) = (spec.priority, before.len());
        before.iter().for_each(|other| self.raise(*other, lane));
        self.queued[lane as usize] += 1;
        let stage = Stage::Waiting;
        let after = Vec::new();
        let place = Place { task: Some(task), spec, stage, lane, before, after, blockers, in_batch: 0 };
        self.places.insert(id, place);
        self.settle(id);
        id
    }

    /// Has a task, and what it waits for, taken as if it had this priority.
    fn raise(&mut self, id: TaskId, lane: Priority) {
        let mut rest = vec![id];
        while let Some(id) = rest.pop() {
            let Some(place) = self.places.get_mut(&id).filter(|place| place.lane > lane) else { continue };
            if place.stage == Stage::Ready {
                self.ready[place.lane as usize].remove(&id);
                self.ready[lane as usize].insert(id);
            }
            place.lane = lane;
            rest.extend_from_slice(&place.before);
        }
    }

    /// Makes a waiting task ready if it has to wait for nobody.
    fn settle(&mut self, id: TaskId) {
        let Some(place) = self.places.get_mut(&id) else { return };
        if place.stage == Stage::Waiting && place.blockers == 0 {
            place.stage = Stage::Ready;
            self.ready[place.lane as usize].insert(id);
            self.ready_weight += place.spec.weight;
        }
    }

    /// Takes what may go now, oldest first, from these lanes one after the other.
    pub(super) fn take(&mut self, most: Most, lanes: [Priority; Priority::COUNT]) -> Vec<(TaskId, T)> {
        let (mut taken, mut weight, mut bytes) = (Vec::new(), 0, 0);
        // Those who wait for nobody outside of this batch. They are ready as long as it is open.
        let mut joining: Vec<TaskId> = Vec::new();
        'lanes: for lane in lanes {
            while let Some(id) = self.ready[lane as usize].first().copied() {
                let Some(place) = self.places.get_mut(&id) else { break };
                (weight, bytes) = (weight + place.spec.weight, bytes + place.spec.bytes);
                if !taken.is_empty() && (weight > most.weight || bytes > most.bytes) {
                    break 'lanes;
                }
                self.ready[lane as usize].remove(&id);
                self.ready_weight -= place.spec.weight;
                self.queued[place.spec.priority as usize] -= 1;
                place.stage = Stage::Out;
                let (leads, after) = (place.spec.leads, std::mem::take(&mut place.after));
                taken.extend(place.task.take().map(|task| (id, task)));
                for other in after.iter().filter(|_| leads) {
                    let Some(next) = self.places.get_mut(other).filter(|next| next.spec.follows) else {
                        continue;
                    };
                    if next.stage != Stage::Waiting {
                        continue; // It is put off for a while, with what it waits for.
                    }
                    next.in_batch += 1;
                    joining.push(*other);
                    if next.in_batch == next.blockers {
                        next.stage = Stage::Ready;
                        self.ready[next.lane as usize].insert(*other);
                        self.ready_weight += next.spec.weight;
                    }
                }
                if let Some(place) = self.places.get_mut(&id) {
                    place.after = after;
                }
            }
        }
        for id in joining {
            let Some(place) = self.places.get_mut(&id) else { continue };
            place.in_batch = 0;
            if place.stage == Stage::Ready {
                place.stage = Stage::Waiting;
                self.ready[place.lane as usize].remove(&id);
                self.ready_weight -= place.spec.weight;
            }
        }
        // A follower of a higher priority may have been taken from a lane before its leader's.
        taken.sort_unstable_by_key(|(id, _)| *id);
        taken
    }

    /// A task that was taken did not come about, and waits once more, in its old place.
    pub(super) fn put_back(&mut self, id: TaskId, task: T) {
        if let Some(place) = self.places.get_mut(&id) {
            (place.task, place.stage) = (Some(task), Stage::Waiting);
            self.queued[place.spec.priority as usize] += 1;
            self.settle(id);
        }
    }

    /// A task that was taken is done with; returns its weight.
    pub(super) fn finish(&mut self, id: TaskId) -> usize {
        let Some(place) = self.places.get_mut(&id) else { return 0 };
        place.stage = Stage::Done;
        let weight = place.spec.weight;
        let mut rest = vec![id];
        while let Some(id) = rest.pop() {
            if self.places.get(&id).is_none_or(|place| place.blockers > 0 || place.stage != Stage::Done) {
                continue;
            }
            let Some(place) = self.places.remove(&id) else { continue };
            self.leave(id, &place.spec);
            for other in place.after {
                if let Some(next) = self.places.get_mut(&other) {
                    next.blockers -= 1;
                    self.settle(other);
                    rest.push(other);
                }
            }
        }
        weight
    }

    fn leave(&mut self, id: TaskId, spec: &Spec) {
        for key in spec.keys.iter().chain(&spec.shared) {
            if let Some(tail) = self.tails.get_mut(key) {
                tail.alone = tail.alone.filter(|last| *last != id);
                tail.shared.remove(&id);
                if tail.alone.is_none() && tail.shared.is_empty() {
                    self.tails.remove(key);
                }
            }
        }
    }

    /// Everything that was not taken, oldest first; it is out then.
    pub(super) fn take_all(&mut self) -> Vec<(TaskId, T)> {
        self.ready = Default::default();
        (self.ready_weight, self.queued) = (0, [0; Priority::COUNT]);
        let waits = |place: &Place<T>| matches!(place.stage, Stage::Waiting | Stage::Ready);
        let all = self.places.iter_mut().filter(|(_, place)| waits(place));
        let take = |(id, place): (&TaskId, &mut Place<T>)| {
            place.stage = Stage::Out;
            place.task.take().map(|task| (*id, task))
        };
        all.filter_map(take).collect()
    }

    /// The nodes of unfinished tasks that may put something under this path, of those that others do not wait for to be
    /// replaced already.
    pub(super) fn nodes_under(&self, path: Key) -> impl Iterator<Item = Key> {
        let tail = self.tails.get(&path);
        let tasks = tail.into_iter().flat_map(|tail| tail.shared.iter().copied().chain(tail.alone));
        let keys = tasks.filter_map(|id| self.places.get(&id)).flat_map(|place| &place.spec.keys);
        keys.copied().filter(|key| matches!(key, Key::Node(_)))
    }

    /// The next one's id.
    pub(super) fn next_id(&self) -> TaskId {
        self.next
    }

    /// The oldest that is not finished.
    pub(super) fn oldest(&self) -> Option<TaskId> {
        self.places.first_key_value().map(|(id, _)| *id)
    }

    /// The oldest that may be taken.
    pub(super) fn oldest_ready(&self) -> Option<&T> {
        let id = self.ready.iter().filter_map(|lane| lane.first()).min()?;
        self.places.get(id)?.task.as_ref()
    }

    /// Weight of what may be taken.
    pub(super) fn ready_weight(&self) -> usize {
        self.ready_weight
    }

    /// Tasks that were not taken, by their priority.
    pub(super) fn queued(&self) -> [usize; Priority::COUNT] {
        self.queued
    }
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
