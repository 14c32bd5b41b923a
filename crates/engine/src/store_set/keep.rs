//! Opening stores when they are touched, and closing those that were not used for the longest time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use codegraph_vector_base::{Error, ErrorKind, Result};
use codegraph_vector_storage::StoreLayout;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::backups_of;
use super::config::{Limits, StoreSetConfig, StoreSetStatistics};
use super::slots::{Found, Slots, Turn};
use crate::backup::BackupsAt;
use crate::budget::Budget;
use crate::cache::CachePools;
use crate::options::OpenOptions;
use crate::persistent::PersistentVectorStore;
use crate::pool;
use crate::store::core::{Core, Handle};
use crate::store::open_within;

/// Stores that are closed at once in the background, at most.
const MAX_CLOSERS: usize = 4;

/// How a store that is not open is come by.
pub(super) enum How {
    /// It is there.
    Existing,
    /// It is not, and is made so.
    New(Box<OpenOptions>),
}

/// A set of stores.
pub(super) struct Kept {
    /// For what must not keep the set.
    pub(super) this: Weak<Kept>,
    pub(super) root: PathBuf,
    pub(super) config: StoreSetConfig,
    pub(super) limits: Limits,
    pub(super) budget: Arc<Budget>,
    pub(super) slots: Mutex<Slots>,
    /// Told when a slot is no longer busy.
    changed: Condvar,
    /// Jobs that close stores.
    closers: AtomicUsize,
    pub(super) relieving: Mutex<()>,
    pub(super) relief_scheduled: AtomicBool,
    pub(super) counters: Counters,
}

#[derive(Default)]
pub(super) struct Counters {
    opened: AtomicU64,
    failed: AtomicU64,
    evicted: AtomicU64,
    pub(super) relieved: AtomicU64,
    last_error: Mutex<Option<Error>>,
}

impl Counters {
    /// Keeps the failure of work that nobody waits for.
    pub(super) fn note(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            *self.last_error.lock() = Some(error);
        }
    }
}

/// What lets a slot be free again if opening or closing panics.
pub(super) struct Busy<'a> {
    kept: &'a Kept,
    path: &'a Path,
    end: fn(&mut Slots, &Path),
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        (self.end)(&mut self.kept.slots.lock(), self.path);
        self.kept.changed.notify_all();
    }
}

impl Kept {
    pub(super) fn new(root: PathBuf, config: StoreSetConfig) -> Result<Arc<Self>> {
        let limits = config.limits()?;
        pool::limit_threads(config.threads);
        let budget = Arc::new(Budget::new(CachePools::new(&limits.cache), limits.memtable_bytes));
        let kept = Arc::new_cyclic(|this: &Weak<Self>| Self {
            this: this.clone(),
            root,
            config,
            limits,
            budget,
            slots: Mutex::default(),
            changed: Condvar::new(),
            closers: AtomicUsize::new(0),
            relieving: Mutex::new(()),
            relief_scheduled: AtomicBool::new(false),
            counters: Counters::default(),
        });
        let this = kept.this.clone();
        kept.budget.relieve_by(Box::new(move |pressure| {
            if let Some(kept) = this.upgrade() {
                kept.relieve(pressure);
            }
        }));
        Ok(kept)
    }

    /// A handle on the store in that folder, opened if it is not.
    pub(super) fn touch(&self, path: PathBuf, how: How) -> Result<PersistentVectorStore> {
        let mut slots = self.slots.lock();
        loop {
            match slots.find(&path, |core, turn| self.handle(&path, core, turn)) {
                Found::Store(handle) => {
                    // Let go before anything else is: who drops the last handle takes the lock.
                    drop(slots);
                    if !handle.was_closed() {
                        return match how {
                            How::Existing => Ok(self.facade(handle)),
                            How::New(_) => Err(exists(&path)),
                        };
                    }
                    // By its users, by the way of a handle: it is none of the set's any more.
                    self.close(&path)?;
                    drop(handle);
                    slots = self.slots.lock();
                }
                Found::Busy => self.changed.wait(&mut slots),
                Found::Nothing => {
                    if self.make_room(&mut slots) {
                        break;
                    }
                }
            }
        }
        slots.begin_opening(&path);
        let crowded = self.is_crowded(&slots);
        drop(slots);
        if crowded {
            self.close_some();
        }
        self.open(&path, &how)
    }

    /// Makes room for one more store, in part; `true` if there is, or none can be made.
    fn make_room(&self, slots: &mut MutexGuard<'_, Slots>) -> bool {
        if slots.open() < self.limits.stores {
            return true;
        }
        // Rather one that is at rest; but one that is always at work must not stay for ever.
        let victim =
            slots.begin_evicting(|core| !core.is_at_work()).or_else(|| slots.begin_evicting(|_| true));
        match victim {
            Some((path, core)) => {
                MutexGuard::unlocked(slots, || self.evict(&path, core));
                false
            }
            None if slots.closing() > 0 => {
                self.changed.wait(slots);
                false
            }
            None => true,
        }
    }

    /// Opens a store whose slot is busy for it.
    fn open(&self, path: &Path, how: &How) -> Result<PersistentVectorStore> {
        let busy = Busy { kept: self, path, end: Slots::not_opened };
        let opened = self.open_core(path, how).inspect_err(|_| {
            self.counters.failed.fetch_add(1, Ordering::Relaxed);
        })?;
        let backups = backups_of(path, &self.config.options);
        opened.repair_from(BackupsAt::of(&opened, &backups));
        std::mem::forget(busy);
        self.counters.opened.fetch_add(1, Ordering::Relaxed);
        let handle = self.slots.lock().opened(path, opened, |core, turn| self.handle(path, core, turn));
        self.changed.notify_all();
        Ok(self.facade(handle))
    }

    fn open_core(&self, path: &Path, how: &How) -> Result<Arc<Core>> {
        match how {
            How::Existing => {
                let options = OpenOptions { must_exist: true, ..self.config.options.clone() };
                open_within(path.to_owned(), &options, Some(&self.budget))
            }
            How::New(options) => {
                if StoreLayout::new(path).is_store(&*options.environment.vfs)? {
                    return Err(exists(path));
                }
                open_within(path.to_owned(), options, Some(&self.budget))
            }
        }
    }

    fn handle(&self, path: &Path, core: Arc<Core>, turn: Turn) -> Arc<Handle> {
        let (this, path) = (self.this.clone(), path.to_owned());
        Handle::kept(
            core,
            Box::new(move |core| match this.upgrade() {
                Some(kept) => kept.released(&path, turn, core),
                // The set is gone. Nobody is left to hear of a failure; the next open recovers from the log.
                None => {
                    let _ = core.close();
                }
            }),
        )
    }

    fn facade(&self, handle: Arc<Handle>) -> PersistentVectorStore {
        let backups = backups_of(handle.layout.root(), &self.config.options).into();
        PersistentVectorStore { core: handle, backups }
    }

    /// Nobody uses the store any more.
    fn released(&self, path: &Path, turn: Turn, core: &Core) {
        let mut slots = self.slots.lock();
        let rubbish = slots.released(path, turn).then(|| core.rest());
        let crowded = self.is_crowded(&slots);
        drop(slots);
        drop(rubbish);
        // Who waits for room may have it now.
        self.changed.notify_all();
        if crowded {
            self.close_some();
        }
    }

    /// Has the pool close what is more than may well be open.
    fn close_some(&self) {
        if !self.add_closer() {
            return;
        }
        let this = self.this.clone();
        pool::spawn(move || {
            let Some(kept) = this.upgrade() else { return };
            loop {
                while kept.close_one() {}
                kept.closers.fetch_sub(1, Ordering::AcqRel);
                // Whoever came while this one was about to end had no closer of its own.
                if !kept.is_crowded(&kept.slots.lock()) || !kept.add_closer() {
                    return;
                }
            }
        });
    }

    /// One more of those that close stores, unless there are enough.
    fn add_closer(&self) -> bool {
        let most = MAX_CLOSERS.min(self.config.threads);
        let one_more = |closers| (closers < most).then_some(closers + 1);
        self.closers.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok()
    }

    fn close_one(&self) -> bool {
        let mut slots = self.slots.lock();
        if !self.is_crowded(&slots) {
            return false;
        }
        let Some((path, core)) = slots.begin_evicting(|core| !core.is_at_work()) else { return false };
        drop(slots);
        self.evict(&path, core);
        true
    }

    /// Whether there are stores to close ahead of need.
    fn is_crowded(&self, slots: &Slots) -> bool {
        slots.open() - slots.closing() > self.limits.easy_stores && slots.has_idle(|core| !core.is_at_work())
    }

    /// Closes a store whose slot is busy for it, to make room.
    pub(super) fn evict(&self, path: &Path, core: Arc<Core>) {
        let _busy = Busy { kept: self, path, end: Slots::closed };
        self.counters.evicted.fetch_add(1, Ordering::Relaxed);
        self.counters.note(core.close());
        // Its memory goes before its room is free.
        drop(core);
    }

    /// Closes a store, for all its users.
    pub(super) fn close(&self, path: &Path) -> Result<()> {
        let (core, _busy) = self.take_out(path);
        core.map_or(Ok(()), |core| core.close())
    }

    /// Takes a store out of the set, if it is open, for who closes it. Open or not, nobody opens it before the other that is
    /// returned is dropped.
    pub(super) fn take_out<'a>(&'a self, path: &'a Path) -> (Option<Arc<Core>>, Busy<'a>) {
        let mut slots = self.slots.lock();
        while slots.is_busy(path) {
            self.changed.wait(&mut slots);
        }
        let core = slots.take_out(path);
        (core, Busy { kept: self, path, end: Slots::closed })
    }

    pub(super) fn close_all(&self) -> Result<()> {
        let paths = self.slots.lock().paths();
        let mut outcome = Ok(());
        for path in &paths {
            // The first failure is told, and the others are closed all the same.
            outcome = outcome.and(self.close(path));
        }
        outcome
    }

    pub(super) fn statistics(&self) -> StoreSetStatistics {
        let (open, in_use) = {
            let slots = self.slots.lock();
            (slots.open(), slots.in_use())
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { opened, failed, evicted, relieved, last_error } = &self.counters;
        StoreSetStatistics {
            max_open: self.limits.stores,
            open,
            in_use,
            opened: count(opened),
            failed: count(failed),
            evicted: count(evicted),
            relieved: count(relieved),
            memtable_bytes: self.budget.memtable_bytes(),
            max_memtable_bytes: self.budget.most_memtable_bytes(),
            cache_bytes: self.budget.caches.block_bytes(),
            open_files: StoreSetStatistics::files_of(open) + self.budget.caches.open_files(),
            threads: pool::threads(),
            last_error: last_error.lock().as_ref().map(Error::to_string),
        }
    }
}

fn exists(path: &Path) -> Error {
    Error::new(ErrorKind::AlreadyExists, "there is a store already").at(path)
}
