//! How a manager works.

use std::time::Duration;

use codegraph_vector_base::{Error, ErrorKind, NodeId, Result};

use crate::options::Durability;
use crate::persistent::PersistentVectorStore;

/// Most threads that a manager may ask for.
const MAX_WORKERS: usize = 256;
/// Most attempts and longest waits: more is a mistake in the unit.
const MAX_RETRIES: u32 = 1_000;
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What inserts of existing nodes, and updates and deletes of missing ones, come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncrementalMode {
    /// An insert of an existing node replaces it, an update of a missing one inserts it, a delete of a missing one deletes
    /// none.
    #[default]
    Upsert,
    /// Each of these is an error of that operation alone: `AlreadyExists`, `NotFound`, `NotFound`.
    Strict,
}

/// What a full queue does to who submits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Has it wait for room, in turn; an operation of high priority goes first.
    Block {
        /// For so long at most; then it is `Overloaded`, as under [`WhenFull::Refuse`]. `None`: as long as it takes.
        at_most: Option<Duration>,
    },
    /// Refuses with `Overloaded`; [`Error::retry_after`] says when to try again.
    Refuse,
}

/// How an [`IncrementalUpdateManager`](super::IncrementalUpdateManager) works, and on which store. Start from
/// [`for_store`](IncrementalConfig::for_store) and change fields.
#[derive(Clone, Debug)]
pub struct IncrementalConfig {
    /// The store. The manager keeps it open.
    pub store: PersistentVectorStore,
    /// Most operations in one commit; the replacement of a path counts as many as it has nodes. (1,024)
    pub max_batch_size: usize,
    /// How long an operation waits for company behind a batch that is at the disk, before another batch is begun beside
    /// it. While nothing is at the disk nothing waits. (2 ms)
    pub batch_timeout: Duration,
    /// Bytes of a memtable from which on it is sealed and flushed into a segment; at most the store's `memtable_bytes`,
    /// which is the default.
    pub max_segment_size: u64,
    /// A memtable with rows of this manager is sealed when they are this old, however few there are. (10 minutes)
    pub max_segment_age: Duration,
    /// Threads of the process-wide pool that carry operations out, at most; they go when there is nothing to do. Whoever
    /// waits for a ticket lends a hand besides. With 0 there are none: nothing happens but in calls that wait, which do all
    /// the work themselves, in an order that depends on nothing else. (2)
    pub worker_threads: usize,
    /// Nodes in a batch from which on they are prepared (checked, measured, encoded, hashed) by all cores. (128)
    pub parallel_threshold: usize,
    /// Zero: what a ticket calls done is durable, whatever the store's settings say. Else tickets are done when the
    /// operation is in the log, which is synced within this time; the store's `durability` is set to
    /// [`Durability::Interval`] of it for that, for everybody who writes. (0)
    pub wal_flush_interval: Duration,
    /// Operations that may be there and not be done with; the replacement of a path counts as many as it has nodes. What is
    /// larger than that by itself gets in when there is nothing else. (16,384)
    pub queue_capacity: usize,
    /// What a full queue does. (Blocks)
    pub when_full: WhenFull,
    /// What inserts of existing nodes, and updates and deletes of missing ones, come to. (Upsert)
    pub mode: IncrementalMode,
    /// How often an operation is tried again that fails by something that may pass: a full disk, a transaction that holds
    /// the node. (20)
    pub retries: u32,
    /// The pause before it is tried again the first time. It doubles each time, up to a second. (2 ms)
    pub retry_backoff: Duration,
    /// Called by tests at certain moments.
    #[cfg(feature = "test-switches")]
    pub probe: Option<Probe>,
}

/// Where a worker is when a [`Probe`] is called.
#[cfg_attr(not(feature = "test-switches"), expect(unreachable_pub, reason = "only tests see it"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It is about to prepare an operation that names this node first.
    Prepare(Option<NodeId>),
    /// It is about to resolve and queue a batch of so many operations.
    Commit(usize),
    /// A batch of so many operations is in the log's queue.
    Queued(usize),
}

/// What a test has called on the threads that carry operations out. It may wait, and it may panic.
#[cfg(feature = "test-switches")]
#[derive(Clone)]
pub struct Probe(std::sync::Arc<dyn Fn(Moment) + Send + Sync>);

#[cfg(feature = "test-switches")]
impl Probe {
    /// Calls `look` at each moment.
    pub fn new(look: impl Fn(Moment) + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(look))
    }
}

#[cfg(feature = "test-switches")]
impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Probe")
    }
}

impl IncrementalConfig {
    /// The defaults, for this store.
    pub fn for_store(store: &PersistentVectorStore) -> Self {
        Self {
            store: store.clone(),
            max_batch_size: 1_024,
            batch_timeout: Duration::from_millis(2),
            max_segment_size: store.settings().memtable_bytes,
            max_segment_age: Duration::from_secs(10 * 60),
            worker_threads: 2,
            parallel_threshold: 128,
            wal_flush_interval: Duration::ZERO,
            queue_capacity: 16_384,
            when_full: WhenFull::Block { at_most: None },
            mode: IncrementalMode::Upsert,
            retries: 20,
            retry_backoff: Duration::from_millis(2),
            #[cfg(feature = "test-switches")]
            probe: None,
        }
    }

    /// Refuses what cannot work, naming it.
    pub(super) fn check(&self) -> Result<()> {
        let core = &self.store.core;
        core.writer()?;
        let within = |name: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::invalid(format!("{name} is {value}, and must be {least} to {most}")))
        };
        let unbounded = u64::MAX;
        within("max_batch_size", self.max_batch_size as u64, 1, unbounded)?;
        within("queue_capacity", self.queue_capacity as u64, 1, unbounded)?;
        within("worker_threads", self.worker_threads as u64, 0, MAX_WORKERS as u64)?;
        within("parallel_threshold", self.parallel_threshold as u64, 1, unbounded)?;
        within("retries", self.retries.into(), 0, MAX_RETRIES.into())?;
        let memtable_bytes = self.store.settings().memtable_bytes;
        if !(4 << 10..=memtable_bytes).contains(&self.max_segment_size) {
            return Err(Error::invalid(format!(
                "max_segment_size is {}, and must be 4096 to the store's memtable_bytes, {memtable_bytes}",
                self.max_segment_size
            )));
        }
        if self.max_batch_size > self.queue_capacity {
            return Err(Error::invalid(format!(
                "max_batch_size is {}, and can be no more than queue_capacity, {}",
                self.max_batch_size, self.queue_capacity
            )));
        }
        let ms = Duration::from_millis(1);
        let durations = [
            ("batch_timeout", self.batch_timeout, Duration::ZERO),
            ("max_segment_age", self.max_segment_age, ms),
            ("retry_backoff", self.retry_backoff, Duration::ZERO),
        ];
        for (name, value, least) in durations {
            // Ages may be as long as anybody likes: for ever is a way to switch that off.
            let most = if name == "max_segment_age" { Duration::MAX } else { MAX_WAIT };
            if value < least || value > most {
                return Err(Error::invalid(format!(
                    "{name} is {value:?}, and must be {least:?} to {most:?}"
                )));
            }
        }
        if !self.wal_flush_interval.is_zero() && !(ms..=MAX_WAIT).contains(&self.wal_flush_interval) {
            return Err(Error::invalid(format!(
                "wal_flush_interval is {:?}, and must be 0 or {ms:?} to {MAX_WAIT:?}",
                self.wal_flush_interval
            )));
        }
        Ok(())
    }

    /// Has the store sync its log as `wal_flush_interval` says.
    pub(super) fn apply_durability(&self) -> Result<()> {
        let ms = self.wal_flush_interval.as_millis() as u64;
        let wanted = Durability::Interval(ms);
        if ms == 0 || self.store.settings().durability == wanted {
            return Ok(());
        }
        self.store.configure(|settings| settings.durability = wanted)
    }

    /// What the work goes by. It does not keep the store open.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_batch_size: self.max_batch_size,
            batch_timeout: self.batch_timeout,
            max_segment_size: self.max_segment_size,
            max_segment_age: self.max_segment_age,
            worker_threads: self.worker_threads,
            parallel_threshold: self.parallel_threshold,
            acknowledge_unsynced: !self.wal_flush_interval.is_zero(),
            queue_capacity: self.queue_capacity,
            when_full: self.when_full,
            mode: self.mode,
            retries: self.retries,
            retry_backoff: self.retry_backoff,
            #[cfg(feature = "test-switches")]
            probe: self.probe.clone(),
        }
    }
}

/// The settings of [`IncrementalConfig`] that matter once the manager is there, by the same names.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) max_batch_size: usize,
    pub(super) batch_timeout: Duration,
    pub(super) max_segment_size: u64,
    pub(super) max_segment_age: Duration,
    pub(super) worker_threads: usize,
    pub(super) parallel_threshold: usize,
    pub(super) acknowledge_unsynced: bool,
    pub(super) queue_capacity: usize,
    pub(super) when_full: WhenFull,
    pub(super) mode: IncrementalMode,
    pub(super) retries: u32,
    pub(super) retry_backoff: Duration,
    #[cfg(feature = "test-switches")]
    probe: Option<Probe>,
}

impl Limits {
    /// Tells a test where the work is.
    pub(super) fn look(&self, _moment: Moment) {
        #[cfg(feature = "test-switches")]
        if let Some(probe) = &self.probe {
            (probe.0)(_moment);
        }
    }
}

/// What a full queue says to one who may try again after `delay`.
pub(super) fn overloaded(queued: usize, capacity: usize, delay: Duration) -> Error {
    let message = format!("the queue of updates is full: {queued} of {capacity}; try again in {delay:?}");
    Error::new(ErrorKind::Overloaded, message).with_retry_after(delay)
}
