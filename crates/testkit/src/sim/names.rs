//! Folders, and the journal of name changes that no sync has covered yet.
//!
//! The journal is one list over all folders, so that a rename between two of them is one entry.
//! An entry survives a crash only if all earlier ones on its names do: that keeps the order on
//! each name, and lets names that have nothing to do with each other survive independently.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::Ino;
use crate::Rng;

pub(super) type Names = BTreeMap<Arc<str>, Ino>;

/// A folder without its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Folder {
    /// What lookups see.
    pub(super) live: Arc<Names>,
    /// What a power cut leaves if nothing of the journal reached the disk.
    pub(super) durable: Arc<Names>,
}

/// A name in a folder.
pub(super) type Slot = (Ino, Arc<str>);

#[derive(Clone, Debug)]
pub(super) enum Change {
    Link { at: Slot, ino: Ino },
    Unlink { at: Slot },
    Rename { from: Slot, to: Slot, ino: Ino },
}

/// A change of names that no sync has covered yet.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Place in the order of all changes to the file system.
    pub(super) seq: u64,
    pub(super) change: Change,
}

impl Change {
    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        let (one, other) = match self {
            Change::Link { at, .. } | Change::Unlink { at } => (at, None),
            Change::Rename { from, to, .. } => (from, Some(to)),
        };
        std::iter::once(one).chain(other)
    }

    /// The file or folder that gets a name by it.
    pub(super) fn linked(&self) -> Option<Ino> {
        match self {
            Change::Link { ino, .. } | Change::Rename { ino, .. } => Some(*ino),
            Change::Unlink { .. } => None,
        }
    }

    /// Calls `put` with each name and what it means from now on.
    pub(super) fn apply(&self, mut put: impl FnMut(&Slot, Option<Ino>)) {
        match self {
            Change::Link { at, ino } => put(at, Some(*ino)),
            Change::Unlink { at } => put(at, None),
            Change::Rename { from, to, ino } => {
                put(from, None);
                put(to, Some(*ino));
            }
        }
    }
}

/// Gives a name a meaning, or takes it away.
pub(super) fn put(names: &mut Arc<Names>, name: &Arc<str>, ino: Option<Ino>) {
    let names = Arc::make_mut(names);
    match ino {
        Some(ino) => names.insert(name.clone(), ino),
        None => names.remove(name),
    };
}

/// Takes the entries that touch a name that `wanted` says, and the earlier ones that they build on.
pub(super) fn take(journal: &mut Vec<Entry>, wanted: impl Fn(&Slot) -> bool) -> Vec<Entry> {
    let mut needed: Vec<Slot> = Vec::new();
    let mut take = vec![false; journal.len()];
    for (take, entry) in take.iter_mut().zip(&*journal).rev() {
        *take = entry.change.slots().any(|slot| wanted(slot) || needed.contains(slot));
        if *take {
            needed.extend(entry.change.slots().cloned());
        }
    }
    let mut take = take.into_iter();
    journal.extract_if(.., |_| take.next() == Some(true)).collect()
}

/// A random choice of entries of which each one comes with the earlier ones on its names.
pub(super) fn subset<'a>(entries: &'a [Entry], rng: &mut Rng) -> Vec<&'a Entry> {
    let likely = *rng.pick(&[0.2, 0.5, 0.8]);
    let mut lost: Vec<&Slot> = Vec::new();
    let mut chosen = Vec::new();
    for entry in entries {
        if entry.change.slots().any(|slot| lost.contains(&slot)) || !rng.chance(likely) {
            lost.extend(entry.change.slots());
        } else {
            chosen.push(entry);
        }
    }
    chosen
}
