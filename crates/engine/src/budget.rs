//! What stores that are open under one limit share: caches, and what their memtables may take together.
//!
//! A store by itself has no budget, and pays nothing for there being one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::cache::CachePools;

/// How badly memory is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// Over the limit: something is to be flushed, and writers need not wait for it.
    High,
    /// So far over it that whoever writes sees to it.
    TooHigh,
}

/// Who gives memory back when there is too little.
type Relief = Box<dyn Fn(Pressure) + Send + Sync>;

/// See the module.
pub(crate) struct Budget {
    pub(crate) caches: Arc<CachePools>,
    memtable_bytes: AtomicU64,
    most_memtable_bytes: u64,
    relief: OnceLock<Relief>,
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.memtable_bytes();
        f.debug_struct("Budget").field("memtable_bytes", &bytes).finish_non_exhaustive()
    }
}

impl Budget {
    /// With nothing spent.
    pub(crate) fn new(caches: CachePools, most_memtable_bytes: u64) -> Self {
        let (caches, memtable_bytes) = (Arc::new(caches), AtomicU64::new(0));
        Self { caches, memtable_bytes, most_memtable_bytes, relief: OnceLock::new() }
    }

    /// Says who gives memory back. Only the first to say so is asked.
    pub(crate) fn relieve_by(&self, relief: Relief) {
        let _ = self.relief.set(relief);
    }

    /// What memtables take, about, in bytes.
    pub(crate) fn memtable_bytes(&self) -> u64 {
        self.memtable_bytes.load(Ordering::Relaxed)
    }

    /// What they may.
    pub(crate) fn most_memtable_bytes(&self) -> u64 {
        self.most_memtable_bytes
    }

    /// A memtable takes more.
    pub(crate) fn spend(&self, bytes: u64) {
        self.memtable_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A memtable is gone.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.memtable_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Before a write, with no lock held: asks for memory if there is too little.
    pub(crate) fn make_room(&self) {
        let (bytes, most) = (self.memtable_bytes(), self.most_memtable_bytes);
        if bytes <= most {
            return;
        }
        if let Some(relief) = self.relief.get() {
            relief(if bytes <= most + most / 4 { Pressure::High } else { Pressure::TooHigh });
        }
    }
}
