//! What a transaction has written and not committed yet.
//!
//! What always holds: of each node there is the last change alone, and since the last savepoint, what it was before.

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
pub(crate) struct Savepoint(usize);

/// The writes of a transaction.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    changes: BTreeMap<NodeId, Entry>,
    /// What nodes were before they were changed after a savepoint, in that order.
    undo: Vec<(NodeId, Option<Entry>)>,
    /// The last savepoint.
    savepoint: Option<Savepoint>,
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    change: Change,
    /// Where `undo` says what it was before, if it does.
    undone_at: Option<usize>,
}

impl WriteSet {
    /// Changes a node.
    pub(crate) fn set(&mut self, id: NodeId, change: Change) {
        self.bytes += change.bytes();
        let before = self.changes.insert(id, Entry { change, undone_at: None });
        if let Some(before) = &before {
            self.bytes -= before.change.bytes();
        }
        let Some(Savepoint(last)) = self.savepoint else { return };
        let known = before.as_ref().and_then(|before| before.undone_at).filter(|at| *at >= last);
        let undone_at = known.unwrap_or_else(|| {
            self.undo.push((id, before));
            self.undo.len() - 1
        });
        if let Some(entry) = self.changes.get_mut(&id) {
            entry.undone_at = Some(undone_at);
        }
    }

    /// From here on, it can go back to what it is now.
    pub(crate) fn savepoint(&mut self) -> Savepoint {
        let savepoint = Savepoint(self.undo.len());
        self.savepoint = Some(savepoint);
        savepoint
    }

    /// Goes back to what it was at `savepoint`, which stays. Returns the nodes that changed back, each with what is
    /// written of it now.
    pub(crate) fn rollback_to(&mut self, savepoint: Savepoint) -> BTreeMap<NodeId, Option<Change>> {
        let mut changed = BTreeMap::new();
        // The first entry of a node is what it was at the savepoint; the last one goes first.
        for (id, before) in self.undo.drain(savepoint.0.min(self.undo.len())..).rev() {
            changed.insert(id, before.as_ref().map(|entry| entry.change.clone()));
            let (more, undone) = match before {
                Some(before) => (before.change.bytes(), self.changes.insert(id, before)),
                None => (0, self.changes.remove(&id)),
            };
            self.bytes = self.bytes + more - undone.map_or(0, |undone| undone.change.bytes());
        }
        self.savepoint = Some(savepoint);
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

    /// Number of nodes that are changed.
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing is.
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
