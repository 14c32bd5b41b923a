//! What a set of stores may take, and what it takes.

use codegraph_vector_base::{Error, Result};

use crate::options::{CacheConfig, EvictionPolicy, OpenOptions};
use crate::pool;

/// What an open store takes beside its memtables and its share of the caches, about, in bytes (measured by `bench many`).
const STORE_BYTES: u64 = 64 << 10;
/// Files that an open store holds at most for long: its lock and its log, and one that it reads or writes just now.
const STORE_FILES: u64 = 3;
/// This part of the memory is for decompressed blocks, and as much for open stores as such; the rest is for memtables.
const CACHE_PART: u64 = 4;
/// This part of the files is for reading blocks.
const CACHED_FILES_PART: u64 = 4;
/// As soon as this part of the room is all that is left, stores that nobody uses are closed in the background, so that
/// who opens one need not wait for it.
const SPARE_PART: usize = 8;

/// The limits of a [`StoreSet`](crate::StoreSet), and how its stores are opened.
#[derive(Clone, Debug)]
pub struct StoreSetConfig {
    /// Stores open at once. More are open only while more are in use.
    pub max_open_stores: usize,
    /// Memory of all stores together, about, in bytes: half for what is not flushed yet, a quarter for decompressed
    /// blocks, a quarter for the open stores as such (some 64 KiB each). Mapped files do not count.
    pub memory_bytes: u64,
    /// Files held open, in all stores together: up to two for each that is open, and up to a quarter of the limit for reading
    /// blocks; the rest is for what is at work, an opening, flush or merge taking up to four for as long as it lasts. Under
    /// limits of a few dozen that can be more than the rest. Maps do not count: they hold no descriptor.
    pub max_open_files: u64,
    /// Threads in the background. They are the process's: stores open beside the set share them, and of two sets the
    /// later one's limit counts.
    pub threads: usize,
    /// How stores are opened. Their `cache` settings do not count, as the set has one cache for all; `backups` is the folder in
    /// which each has a folder of its name; `must_exist` goes without saying.
    pub options: OpenOptions,
}

impl Default for StoreSetConfig {
    fn default() -> Self {
        Self {
            max_open_stores: 1_024,
            memory_bytes: 256 << 20,
            max_open_files: 480,
            threads: pool::usual_threads(),
            options: OpenOptions::default(),
        }
    }
}

/// The limits as they are kept to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Stores open at once, by all limits.
    pub(super) stores: usize,
    /// Stores up to which none is closed ahead of need.
    pub(super) easy_stores: usize,
    pub(super) memtable_bytes: u64,
    pub(super) cache: CacheConfig,
}

impl StoreSetConfig {
    /// Refuses what cannot work.
    pub(super) fn limits(&self) -> Result<Limits> {
        let at_least = |name: &str, value: u64, least: u64| {
            if value < least {
                return Err(Error::invalid(format!("{name} is {value}, and must be at least {least}")));
            }
            Ok(())
        };
        at_least("max_open_stores", self.max_open_stores as u64, 1)?;
        at_least("memory_bytes", self.memory_bytes, 1 << 20)?;
        at_least("max_open_files", self.max_open_files, 2 * STORE_FILES)?;
        at_least("threads", self.threads as u64, 1)?;
        let cached_files = (self.max_open_files / CACHED_FILES_PART).max(1);
        let by_files = (self.max_open_files - cached_files) / STORE_FILES;
        let by_memory = self.memory_bytes / CACHE_PART / STORE_BYTES;
        let stores = self.max_open_stores.min(by_files.min(by_memory) as usize).max(1);
        let cache = CacheConfig {
            budget_bytes: self.memory_bytes / CACHE_PART,
            policy: EvictionPolicy::TinyLfu,
            max_open_files: cached_files,
        };
        let easy_stores = stores - stores / SPARE_PART;
        Ok(Limits { stores, easy_stores, memtable_bytes: self.memory_bytes / 2, cache })
    }
}

/// See the fields. Counts are since the set was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSetStatistics {
    /// Stores that may be open at once: the least that the limits allow.
    pub max_open: usize,
    /// Stores open now, those that are just being opened or closed included.
    pub open: usize,
    /// Those of them that somebody uses.
    pub in_use: usize,
    /// Openings.
    pub opened: u64,
    /// Openings that failed.
    pub failed: u64,
    /// Stores that were closed to make room for others.
    pub evicted: u64,
    /// Stores flushed because memtables took too much together.
    pub relieved: u64,
    /// What memtables take, about, in bytes.
    pub memtable_bytes: u64,
    /// What they may take before something is flushed, in bytes.
    pub max_memtable_bytes: u64,
    /// Bytes of decompressed blocks in the cache.
    pub cache_bytes: u64,
    /// Files held open: locks, logs, and those kept for reading blocks.
    pub open_files: u64,
    /// Threads in the background, of the whole process.
    pub threads: usize,
    /// Why closing or flushing a store in the background failed the last time that it did. What was acknowledged is in its
    /// log all the same.
    pub last_error: Option<String>,
}

impl StoreSetStatistics {
    /// Files that this many open stores hold for good.
    pub(super) fn files_of(stores: usize) -> u64 {
        stores as u64 * (STORE_FILES - 1)
    }
}
