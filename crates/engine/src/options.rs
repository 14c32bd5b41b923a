//! How a store is opened, and what may be changed while it is open.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_ann::Metric;
use codegraph_vector_base::vfs::{RealVfs, Vfs};
use codegraph_vector_base::{Clock, Error, Random, Result, SystemClock, SystemRandom};
pub use codegraph_vector_storage::EmbedderId;

use crate::compression::Compression;
use crate::indexing::IndexPolicy;

mod archive;
mod maintenance;
mod windows;

pub use archive::ArchiveConfig;
pub use maintenance::MaintenanceConfig;
pub use windows::{MaintenanceTimeZone, MaintenanceWindows};

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After its record was synced; one sync serves all commits that wait.
    Sync,
    /// At once; synced within so many milliseconds. Receipts say `durable: false`.
    Interval(u64),
    /// At once; synced by flushes and by closing only. Receipts say `durable: false`.
    None,
}

/// Which block leaves a full cache first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Seldom used and not used lately: scans do not push out what is used often (TinyLFU).
    TinyLfu,
    /// Not used for the longest time.
    Lru,
}

/// The block cache and the open-file cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Bytes of decompressed metadata blocks kept.
    pub budget_bytes: u64,
    /// Which goes first.
    pub policy: EvictionPolicy,
    /// Segment files kept open for reading blocks. Maps do not count: they hold no descriptor.
    pub max_open_files: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { budget_bytes: 32 << 20, policy: EvictionPolicy::TinyLfu, max_open_files: 64 }
    }
}

/// What is done about transactions that wait for each other in a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlockPolicy {
    /// A circle is looked for when a wait begins; its youngest transaction is rolled back.
    Detect,
    /// No circle comes about: an older transaction takes the locks of a younger one over, which is rolled back, and a
    /// younger one waits (Rosenkrantz, Stearns, Lewis 1978).
    WoundWait,
}

/// How long transactions may take, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionConfig {
    /// Milliseconds after which a transaction that nobody uses is rolled back.
    pub idle_timeout_ms: u64,
    /// Milliseconds after which a transaction is rolled back, used or not. A prepared one never is.
    pub total_timeout_ms: u64,
    /// Milliseconds that one waits for a lock.
    pub lock_timeout_ms: u64,
    /// Transactions that may be open, prepared ones not counted; beyond, `begin` waits as for a lock.
    pub max_active: usize,
    /// What is done about deadlocks.
    pub deadlocks: DeadlockPolicy,
    /// Milliseconds after which a checkpoint is made in the background if there were commits since the last; 0 is never.
    pub checkpoint_interval_ms: u64,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        Self {
            idle_timeout_ms: 60_000,
            total_timeout_ms: 600_000,
            lock_timeout_ms: 10_000,
            max_active: 1_024,
            deadlocks: DeadlockPolicy::Detect,
            checkpoint_interval_ms: 0,
        }
    }
}

/// Settings that may change at run time, by `configure`; they are kept in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When a write is acknowledged.
    pub durability: Durability,
    /// A memtable of this many bytes is flushed into a segment.
    pub memtable_bytes: u64,
    /// A memtable whose oldest row was written so many milliseconds ago is flushed in the background; 0 is never.
    pub memtable_age_ms: u64,
    /// Full memtables that may wait for a flush before writers wait for it too.
    pub max_frozen_memtables: usize,
    /// A log file of this many bytes is followed by another.
    pub max_wal_file_bytes: u64,
    /// Most bytes of the log that are kept for whoever follows the changes, beyond what recovery needs.
    pub max_pinned_log_bytes: u64,
    /// Most bytes of one commit in the log.
    pub max_batch_bytes: u64,
    /// Segments of about the same size that are merged into one.
    pub merge_fanout: usize,
    /// A segment with this share of dead rows is rewritten, in percent, even where the store as a whole has few.
    pub merge_dead_percent: u64,
    /// Whether flushes and merges run by themselves, in the background.
    pub background: bool,
    /// Caches.
    pub cache: CacheConfig,
    /// How vectors in segments are compressed, if they are.
    pub compression: Option<Compression>,
    /// Whether rows of which only codes are kept may be decoded and coded anew. `compress` sets it where it was asked to,
    /// and it is gone when that is done.
    pub compression_lossy: bool,
    /// Threads that a codec is trained with in the background.
    pub compression_threads: usize,
    /// The index that segments get.
    pub index: IndexPolicy,
    /// Threads that an index is built with.
    pub index_threads: usize,
    /// Merges, rewrites and index builds in the background.
    pub maintenance: MaintenanceConfig,
    /// Transactions.
    pub transactions: TransactionConfig,
    /// The archive of the log.
    pub archive: ArchiveConfig,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            memtable_bytes: 64 << 20,
            memtable_age_ms: 0,
            max_frozen_memtables: 2,
            max_wal_file_bytes: 64 << 20,
            max_pinned_log_bytes: 1 << 30,
            max_batch_bytes: 256 << 20,
            merge_fanout: 8,
            merge_dead_percent: 30,
            background: true,
            cache: CacheConfig::default(),
            compression: None,
            compression_lossy: false,
            compression_threads: 1,
            index: IndexPolicy::Auto,
            index_threads: 2,
            maintenance: MaintenanceConfig::default(),
            transactions: TransactionConfig::default(),
            archive: ArchiveConfig::default(),
        }
    }
}

/// Names and texts of settings, as the manifest keeps them.
type Pairs = Vec<(String, String)>;

impl Settings {
    /// Refuses what cannot work, here and now.
    pub(crate) fn check(&self) -> Result<()> {
        self.maintenance.time_zone.check()?;
        self.check_values()
    }

    /// Refuses what cannot work anywhere. A store whose settings are of another machine has to open.
    fn check_values(&self) -> Result<()> {
        let at_least = |name: &str, value: u64, least: u64| {
            if value < least {
                Err(Error::invalid(format!("{name} is {value}, and must be at least {least}")))
            } else {
                Ok(())
            }
        };
        at_least("memtable_bytes", self.memtable_bytes, 4 << 10)?;
        at_least("max_frozen_memtables", self.max_frozen_memtables as u64, 1)?;
        at_least("max_wal_file_bytes", self.max_wal_file_bytes, 4 << 10)?;
        at_least("max_batch_bytes", self.max_batch_bytes, 4 << 10)?;
        at_least("merge_fanout", self.merge_fanout as u64, 2)?;
        at_least("merge_dead_percent", self.merge_dead_percent, 1)?;
        at_least("cache.max_open_files", self.cache.max_open_files, 1)?;
        at_least("compression_threads", self.compression_threads as u64, 1)?;
        at_least("index_threads", self.index_threads as u64, 1)?;
        at_least("transactions.idle_timeout_ms", self.transactions.idle_timeout_ms, 1)?;
        at_least("transactions.total_timeout_ms", self.transactions.total_timeout_ms, 1)?;
        at_least("transactions.max_active", self.transactions.max_active as u64, 1)?;
        self.maintenance.check()?;
        self.archive.check()?;
        self.index.check()
    }

    /// These settings for a store that is to be compressed as `kept` says.
    pub(crate) fn compressed_as(&self, kept: &Self) -> Self {
        let Self { compression, compression_lossy, .. } = kept.clone();
        Self { compression, compression_lossy, ..self.clone() }
    }

    /// Milliseconds between checkpoints that are made without being asked for; 0 is never.
    pub(crate) fn checkpoint_interval_ms(&self) -> u64 {
        if self.background { self.transactions.checkpoint_interval_ms } else { 0 }
    }

    /// The age at which memtables are flushed without being full, if they are.
    pub(crate) fn memtable_age(&self) -> Option<Duration> {
        let is_kept = self.background && self.memtable_age_ms > 0;
        is_kept.then(|| Duration::from_millis(self.memtable_age_ms))
    }

    /// Asks for a compression, with no more loss than it has.
    pub(crate) fn compress(&mut self, compression: Option<Compression>) {
        (self.compression, self.compression_lossy) = (compression, false);
    }

    /// Refuses a compression that vectors of `dimension` components cannot have.
    pub(crate) fn check_dimension(&self, dimension: usize) -> Result<()> {
        let Some(Compression { spec, .. }) = &self.compression else { return Ok(()) };
        spec.check(dimension).map_err(|error| Error::invalid(format!("compression by {spec}: {error}")))
    }

    pub(crate) fn to_pairs(&self) -> Pairs {
        let durability = match self.durability {
            Durability::Sync => "sync".to_owned(),
            Durability::Interval(ms) => format!("interval:{ms}"),
            Durability::None => "none".to_owned(),
        };
        let policy = match self.cache.policy {
            EvictionPolicy::TinyLfu => "tiny_lfu",
            EvictionPolicy::Lru => "lru",
        };
        let deadlocks = match self.transactions.deadlocks {
            DeadlockPolicy::Detect => "detect",
            DeadlockPolicy::WoundWait => "wound_wait",
        };
        [
            ("durability", durability),
            ("memtable_bytes", self.memtable_bytes.to_string()),
            ("memtable_age_ms", self.memtable_age_ms.to_string()),
            ("max_frozen_memtables", self.max_frozen_memtables.to_string()),
            ("max_wal_file_bytes", self.max_wal_file_bytes.to_string()),
            ("max_pinned_log_bytes", self.max_pinned_log_bytes.to_string()),
            ("max_batch_bytes", self.max_batch_bytes.to_string()),
            ("merge_fanout", self.merge_fanout.to_string()),
            ("merge_dead_percent", self.merge_dead_percent.to_string()),
            ("background", self.background.to_string()),
            ("cache.budget_bytes", self.cache.budget_bytes.to_string()),
            ("cache.policy", policy.to_owned()),
            ("cache.max_open_files", self.cache.max_open_files.to_string()),
            ("compression", self.compression.as_ref().map_or("none".to_owned(), Compression::to_string)),
            ("compression_lossy", self.compression_lossy.to_string()),
            ("transactions.idle_timeout_ms", self.transactions.idle_timeout_ms.to_string()),
            ("transactions.total_timeout_ms", self.transactions.total_timeout_ms.to_string()),
            ("transactions.lock_timeout_ms", self.transactions.lock_timeout_ms.to_string()),
            ("transactions.max_active", self.transactions.max_active.to_string()),
            ("transactions.deadlocks", deadlocks.to_owned()),
            ("transactions.checkpoint_interval_ms", self.transactions.checkpoint_interval_ms.to_string()),
            ("index", self.index.to_string()),
            ("index_threads", self.index_threads.to_string()),
            ("compression_threads", self.compression_threads.to_string()),
        ]
        .into_iter()
        .chain(self.maintenance.to_pairs())
        .chain(self.archive.to_pairs())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// The settings that `pairs` say, over `self`. A name that this version does not know is left
    /// alone: a newer version may have set it.
    pub(crate) fn with_pairs(mut self, pairs: &Pairs) -> Result<Self> {
        for (name, value) in pairs {
            let bad = || Error::invalid(format!("the setting {name} cannot be {value:?}"));
            let number = || value.parse::<u64>().map_err(|_| bad());
            match name.as_str() {
                "durability" => self.durability = parse_durability(value).ok_or_else(bad)?,
                "memtable_bytes" => self.memtable_bytes = number()?,
                "memtable_age_ms" => self.memtable_age_ms = number()?,
                "max_frozen_memtables" => self.max_frozen_memtables = number()? as usize,
                "max_wal_file_bytes" => self.max_wal_file_bytes = number()?,
                "max_pinned_log_bytes" => self.max_pinned_log_bytes = number()?,
                "max_batch_bytes" => self.max_batch_bytes = number()?,
                "merge_fanout" => self.merge_fanout = number()? as usize,
                "merge_dead_percent" => self.merge_dead_percent = number()?,
                "background" => self.background = value.parse().map_err(|_| bad())?,
                "cache.budget_bytes" => self.cache.budget_bytes = number()?,
                "cache.policy" if value == "lru" => self.cache.policy = EvictionPolicy::Lru,
                "cache.policy" if value == "tiny_lfu" => self.cache.policy = EvictionPolicy::TinyLfu,
                "cache.policy" => return Err(bad()),
                "cache.max_open_files" => self.cache.max_open_files = number()?,
                "compression" if value == "none" => self.compression = None,
                "compression" => self.compression = Some(value.parse().map_err(|_| bad())?),
                "compression_lossy" => self.compression_lossy = value.parse().map_err(|_| bad())?,
                "compression_threads" => self.compression_threads = number()? as usize,
                "transactions.idle_timeout_ms" => self.transactions.idle_timeout_ms = number()?,
                "transactions.total_timeout_ms" => self.transactions.total_timeout_ms = number()?,
                "transactions.lock_timeout_ms" => self.transactions.lock_timeout_ms = number()?,
                "transactions.max_active" => self.transactions.max_active = number()? as usize,
                "transactions.deadlocks" if value == "detect" => {
                    self.transactions.deadlocks = DeadlockPolicy::Detect;
                }
                "transactions.deadlocks" if value == "wound_wait" => {
                    self.transactions.deadlocks = DeadlockPolicy::WoundWait;
                }
                "transactions.deadlocks" => return Err(bad()),
                "transactions.checkpoint_interval_ms" => {
                    self.transactions.checkpoint_interval_ms = number()?;
                }
                "index" => self.index = value.parse().map_err(|_| bad())?,
                "index_threads" => self.index_threads = number()? as usize,
                name => {
                    if let Some(name) = name.strip_prefix("maintenance.") {
                        self.maintenance.set(name, value).ok_or_else(bad)?;
                    } else if let Some(name) = name.strip_prefix("archive.") {
                        self.archive.set(name, value).ok_or_else(bad)?;
                    }
                }
            }
        }
        self.check_values()?;
        Ok(self)
    }
}

fn parse_durability(text: &str) -> Option<Durability> {
    match text {
        "sync" => Some(Durability::Sync),
        "none" => Some(Durability::None),
        _ => text.strip_prefix("interval:")?.parse().ok().map(Durability::Interval),
    }
}

/// The outside world as a store sees it. A simulation brings its own.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Files.
    pub vfs: Arc<dyn Vfs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for store ids.
    pub random: Arc<dyn Random>,
}

impl Default for Environment {
    fn default() -> Self {
        Self { vfs: Arc::new(RealVfs), clock: Arc::new(SystemClock::new()), random: Arc::new(SystemRandom) }
    }
}

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Dimension of the vectors: needed to create a store; checked against an existing one if given.
    pub dimension: Option<usize>,
    /// How vectors are compared (cosine unless said): recorded at creation, checked later if given.
    pub metric: Option<Metric>,
    /// What made the vectors: recorded at the first time it is given, checked later if given.
    pub embedder: Option<EmbedderId>,
    /// Refuses to create a store where there is none.
    pub must_exist: bool,
    /// Opens for reading only, beside whoever writes: takes no lock, writes nothing.
    pub read_only: bool,
    /// Refuses to open a store one of whose segments is so damaged that it cannot be opened. Unless said, what there is
    /// else is served: searches say that they are [`degraded`](crate::SearchResults::degraded), and nothing is written until
    /// the segment is repaired or given up.
    pub refuse_damaged: bool,
    /// Settings for this opening; `None` takes those kept in the store. How an existing store is compressed is its
    /// own: `compression` and `compression_lossy` are taken for a new one only.
    pub settings: Option<Settings>,
    /// Where backups go.
    pub backups: Option<PathBuf>,
    /// The outside world.
    pub environment: Environment,
    /// Parts switched off to prove that their loss is noticed.
    #[cfg(feature = "test-switches")]
    pub switches: TestSwitches,
}

/// Parts of the engine's safety that a test switches off to prove that the crash simulation
/// notices. In whatever ships all of them are off.
#[cfg_attr(not(feature = "test-switches"), expect(unreachable_pub, reason = "only tests may set them"))]
#[derive(Clone, Copy, Debug, Default)]
pub struct TestSwitches {
    /// Checksums of the log are not looked at.
    pub ignore_crc: bool,
    /// Row locks are freed when a commit is enqueued, not when it is visible.
    pub free_locks_early: bool,
    /// A log's unproven tail is served without having been rewritten.
    pub keep_tail: bool,
    /// Batches go into the log in parts of about so many bytes, so that small ones have several.
    pub batch_part_bytes: Option<usize>,
    /// Rows that a codec is trained on, and that a segment has to be encoded, at the least: in place of as many as it
    /// takes for both to be of use.
    pub min_training_rows: Option<u64>,
    /// Rows from which on a segment gets an index.
    pub min_index_rows: Option<u64>,
    /// Commits are not held against what others have committed since.
    pub skip_validation: bool,
}

impl OpenOptions {
    /// What is switched off by a test.
    #[cfg(feature = "test-switches")]
    pub(crate) fn switches(&self) -> TestSwitches {
        self.switches
    }

    /// Nothing is.
    #[cfg(not(feature = "test-switches"))]
    pub(crate) fn switches(&self) -> TestSwitches {
        TestSwitches::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_their_text_form() {
        let settings = Settings {
            durability: Durability::Interval(20),
            background: false,
            cache: CacheConfig { policy: EvictionPolicy::Lru, ..CacheConfig::default() },
            compression: Some("transform:bytes=48;keep=f16".parse().unwrap()),
            compression_lossy: true,
            compression_threads: 3,
            index: IndexPolicy::Hnsw { m: 8, ef_construction: 77 },
            index_threads: 5,
            memtable_age_ms: 6,
            maintenance: MaintenanceConfig {
                max_bytes_per_s: 7,
                windows: "mon-fri 22:00-06:00,sun 00:00-24:00".parse().unwrap(),
                time_zone: "Mars/Olympus_Mons".parse().unwrap(),
                max_debt_percent: 8,
                max_segment_bytes: 9,
                store_dead_percent: 10,
            },
            transactions: TransactionConfig {
                idle_timeout_ms: 1,
                total_timeout_ms: 2,
                lock_timeout_ms: 3,
                max_active: 4,
                deadlocks: DeadlockPolicy::WoundWait,
                checkpoint_interval_ms: 5,
            },
            ..Settings::default()
        };
        assert_eq!(Settings::default().with_pairs(&settings.to_pairs()).unwrap(), settings);
    }

    #[test]
    fn a_bad_setting_is_named() {
        for (name, value) in [
            ("merge_fanout", "1"),
            ("memtable_age_ms", "-1"),
            ("maintenance.windows", "2 to 5"),
            ("maintenance.store_dead_percent", "0"),
        ] {
            let error = Settings::default().with_pairs(&vec![(name.into(), value.into())]).unwrap_err();
            assert!(error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn a_time_zone_that_is_unknown_here_is_refused_but_does_not_keep_a_store_shut() {
        let mut settings = Settings::default();
        settings.maintenance.time_zone = "Mars/Olympus_Mons".parse().unwrap();
        assert!(settings.check().unwrap_err().message().contains("Mars/Olympus_Mons"));
        assert_eq!(Settings::default().with_pairs(&settings.to_pairs()).unwrap(), settings);
    }
}
