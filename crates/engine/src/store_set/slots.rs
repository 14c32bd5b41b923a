//! Which stores of a set are open, who uses them, and which was not used for the longest time. No I/O, no locks.
//!
//! What always holds: `open` counts the slots; a store is in `idle` iff it is open and has no user; what is done outside of the
//! set's lock is done to a slot that is busy, which nobody else touches.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::store::core::{Core, Handle};

/// Rises with each handle that is given out and each that comes back: it tells them apart and orders them.
pub(super) type Turn = u64;

/// A store that is open, or on the way there or back.
enum Slot {
    /// Somebody is opening or closing it.
    Busy,
    Open {
        core: Arc<Core>,
        /// What its users share; none while nobody uses it.
        handle: Option<Weak<Handle>>,
        /// Of that handle, or since when nobody uses it.
        turn: Turn,
    },
}

/// See the module.
#[derive(Default)]
pub(super) struct Slots {
    slots: HashMap<PathBuf, Slot>,
    /// Open stores that nobody uses, by when that began.
    idle: BTreeMap<Turn, PathBuf>,
    turn: Turn,
    /// Slots that are busy because they are being closed.
    closing: usize,
}

/// What became of looking for a store.
pub(super) enum Found {
    /// It is open.
    Store(Arc<Handle>),
    /// Somebody is at it.
    Busy,
    /// It is not open.
    Nothing,
}

impl Slots {
    /// Stores that are open, or on the way there or back.
    pub(super) fn open(&self) -> usize {
        self.slots.len()
    }

    /// Those of them that are on the way back.
    pub(super) fn closing(&self) -> usize {
        self.closing
    }

    /// Those of them that somebody uses.
    pub(super) fn in_use(&self) -> usize {
        self.slots.values().filter(|slot| matches!(slot, Slot::Open { handle: Some(_), .. })).count()
    }

    /// All that have a slot.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.slots.keys().cloned().collect()
    }

    /// All that are open.
    pub(super) fn cores(&self) -> impl Iterator<Item = (&Path, &Arc<Core>)> {
        self.slots.iter().filter_map(|(path, slot)| match slot {
            Slot::Open { core, .. } => Some((path.as_path(), core)),
            Slot::Busy => None,
        })
    }

    fn next_turn(&mut self) -> Turn {
        self.turn += 1;
        self.turn
    }

    /// A handle on the store, the one that its users share if there is one; `make` makes one.
    pub(super) fn find(&mut self, path: &Path, make: impl FnOnce(Arc<Core>, Turn) -> Arc<Handle>) -> Found {
        let next = self.next_turn();
        match self.slots.get_mut(path) {
            None => Found::Nothing,
            Some(Slot::Busy) => Found::Busy,
            Some(Slot::Open { core, handle, turn }) => {
                if let Some(shared) = handle.as_ref().and_then(Weak::upgrade) {
                    return Found::Store(shared);
                }
                // The last one may be on its way back still: it is another's turn by then.
                self.idle.remove(turn);
                let made = make(core.clone(), next);
                (*handle, *turn) = (Some(Arc::downgrade(&made)), next);
                Found::Store(made)
            }
        }
    }

    /// Begins to open a store that has no slot.
    pub(super) fn begin_opening(&mut self, path: &Path) {
        self.slots.insert(path.to_owned(), Slot::Busy);
    }

    /// The store that is being opened is.
    pub(super) fn opened(
        &mut self,
        path: &Path,
        core: Arc<Core>,
        make: impl FnOnce(Arc<Core>, Turn) -> Arc<Handle>,
    ) -> Arc<Handle> {
        let turn = self.next_turn();
        let made = make(core.clone(), turn);
        let handle = Some(Arc::downgrade(&made));
        self.slots.insert(path.to_owned(), Slot::Open { core, handle, turn });
        made
    }

    /// The store that is being opened could not be.
    pub(super) fn not_opened(&mut self, path: &Path) {
        self.slots.remove(path);
    }

    /// Whoever used the store at that turn does no more; whether nobody uses it now.
    pub(super) fn released(&mut self, path: &Path, of: Turn) -> bool {
        let next = self.next_turn();
        if let Some(Slot::Open { handle, turn, .. }) = self.slots.get_mut(path)
            && *turn == of
            && handle.is_some()
        {
            (*handle, *turn) = (None, next);
            self.idle.insert(next, path.to_owned());
            return true;
        }
        false
    }

    /// Begins to close the store that was not used for the longest time and that `may` be closed.
    pub(super) fn begin_evicting(&mut self, may: impl Fn(&Core) -> bool) -> Option<(PathBuf, Arc<Core>)> {
        let path = self.first_idle(may)?.to_owned();
        let core = self.begin_closing(&path)?;
        Some((path, core))
    }

    /// Whether there is one.
    pub(super) fn has_idle(&self, may: impl Fn(&Core) -> bool) -> bool {
        self.first_idle(may).is_some()
    }

    fn first_idle(&self, may: impl Fn(&Core) -> bool) -> Option<&Path> {
        let fits = |path: &Path| match self.slots.get(path) {
            Some(Slot::Open { core, .. }) => may(core),
            _ => false,
        };
        self.idle.values().map(PathBuf::as_path).find(|path| fits(path))
    }

    /// Begins to close a store; none if it is not open.
    pub(super) fn begin_closing(&mut self, path: &Path) -> Option<Arc<Core>> {
        let slot = self.slots.get_mut(path)?;
        match std::mem::replace(slot, Slot::Busy) {
            Slot::Busy => None,
            Slot::Open { core, turn, .. } => {
                self.idle.remove(&turn);
                self.closing += 1;
                Some(core)
            }
        }
    }

    /// Makes the slot of a store that nobody is at busy, as if it was being closed; the store, if it is open.
    pub(super) fn take_out(&mut self, path: &Path) -> Option<Arc<Core>> {
        let core = self.begin_closing(path);
        if core.is_none() {
            self.slots.insert(path.to_owned(), Slot::Busy);
            self.closing += 1;
        }
        core
    }

    /// The store that is being closed is.
    pub(super) fn closed(&mut self, path: &Path) {
        self.slots.remove(path);
        self.closing -= 1;
    }

    /// Whether somebody is at the store.
    pub(super) fn is_busy(&self, path: &Path) -> bool {
        matches!(self.slots.get(path), Some(Slot::Busy))
    }

    /// Whether it is open and nobody uses it.
    pub(super) fn is_idle(&self, path: &Path) -> bool {
        matches!(self.slots.get(path), Some(Slot::Open { handle: None, .. }))
    }
}
