//! What a transaction has written and not committed yet.
//!
//! What always holds: of each node there is the last change alone, and what it was at each savepoint that is still there,
//! as far as it was changed since.

use std::collections::BTreeMap;
use std::sync::Arc;

use codegraph_vector_base::NodeId;

use crate::store::PendingRow;

/// What a transaction does to a node.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Stores it, or replaces it.
    Put(Arc<PendingRow<'static>>),
    /// Deletes it, if it is there.
    Delete,
}

impl Change {
    /// The row that it leaves.
    pub(crate) fn row(&self) -> Option<&PendingRow<'static>> {
        match self {
            Change::Put(row) => Some(row),
            Change::Delete => None,
        }
    }

    fn bytes(&self) -> u64 {
        self.row().map_or(size_of::<NodeId>() as u64, PendingRow::bytes)
    }
}

/// A moment in a transaction that its writes can go back to. It is void once they went back to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Savepoint {
    /// They are counted from 1.
    number: u64,
    /// Entries of the undo list before it.
    at: usize,
}

/// The writes of a transaction.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    changes: BTreeMap<NodeId, Entry>,
    /// What nodes were before they were first changed after a savepoint, in that order.
    undo: Vec<(NodeId, Option<Entry>)>,
    /// Those that there are, oldest first.
    savepoints: Vec<Savepoint>,
    /// Savepoints that there have been.
    numbered: u64,
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    change: Change,
    /// The last savepoint that what it was then is noted for; 0: none.
    noted: u64,
}

impl WriteSet {
    /// Changes a node.
    pub(crate) fn set(&mut self, id: NodeId, change: Change) {
        self.bytes += change.bytes();
        let last = self.savepoints.last().map_or(0, |last| last.number);
        let before = self.changes.insert(id, Entry { change, noted: last });
        self.bytes -= before.as_ref().map_or(0, |before| before.change.bytes());
        if last > 0 && before.as_ref().is_none_or(|before| before.noted < last) {
            self.undo.push((id, before));
        }
    }

    /// From here on, it can go back to what it is now.
    pub(crate) fn savepoint(&mut self) -> Savepoint {
        self.numbered += 1;
        let savepoint = Savepoint { number: self.numbered, at: self.undo.len() };
        self.savepoints.push(savepoint);
        savepoint
    }

    /// Forgets a savepoint, so that nothing is kept for it alone.
    pub(crate) fn release(&mut self, savepoint: Savepoint) {
        let Some(place) = self.savepoints.iter().position(|known| *known == savepoint) else { return };
        self.savepoints.remove(place);
        let Some(outer) = self.savepoints.last().map(|outer| outer.number) else {
            return self.undo.clear();
        };
        if place == self.savepoints.len() {
            // What is noted for the one before it, too, is needed once.
            for (id, before) in self.undo.split_off(savepoint.at) {
                if let Some(entry) = self.changes.get_mut(&id) {
                    entry.noted = outer;
                }
                if before.as_ref().is_none_or(|before| before.noted < outer) {
                    self.undo.push((id, before));
                }
            }
        }
    }

    /// Goes back to what it was at `savepoint`, which stays. Returns the nodes that changed back, each with what is
    /// written of it now.
    pub(crate) fn rollback_to(&mut self, savepoint: Savepoint) -> BTreeMap<NodeId, Option<Change>> {
        self.savepoints.retain(|known| known.number <= savepoint.number);
        let mut changed = BTreeMap::new();
        // The first entry of a node is what it was at the savepoint; the last one goes first.
        for (id, before) in self.undo.drain(savepoint.at.min(self.undo.len())..).rev() {
            changed.insert(id, before.as_ref().map(|entry| entry.change.clone()));
            let (more, undone) = match before {
                Some(before) => (before.change.bytes(), self.changes.insert(id, before)),
                None => (0, self.changes.remove(&id)),
            };
            self.bytes = self.bytes + more - undone.map_or(0, |undone| undone.change.bytes());
        }
        changed
    }

    /// What was done to a node.
    pub(crate) fn get(&self, id: NodeId) -> Option<&Change> {
        self.changes.get(&id).map(|entry| &entry.change)
    }

    /// All changes, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Change)> {
        self.changes.iter().map(|(id, entry)| (*id, &entry.change))
    }

    /// Whether nothing is changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Memory of what is to be committed, about, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The rows that a commit puts, by id.
    pub(crate) fn puts(&self) -> Vec<&PendingRow<'static>> {
        self.iter().filter_map(|(_, change)| change.row()).collect()
    }

    /// The nodes that a commit deletes, by id; some of them may not be there.
    pub(crate) fn deletes(&self) -> Vec<NodeId> {
        self.iter().filter(|(_, change)| change.row().is_none()).map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
#[path = "write_set_tests.rs"]
mod tests;
