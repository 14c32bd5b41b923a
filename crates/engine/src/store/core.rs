//! The open store: what its parts share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use arc_swap::{ArcSwap, ArcSwapOption};
use codegraph_vector_ann::Metric;
use codegraph_vector_base::vfs::VfsLock;
use codegraph_vector_base::{Epoch, Error, ErrorKind, Result, SegmentId, SeqNo, StoreId, TxnId};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::Manifest;
use codegraph_vector_storage::wal::Log;
use parking_lot::{Mutex, RwLock};

use super::apply::Totals;
use super::changes::Feed;
use super::commit::{Assigned, Pending};
use super::maintenance::{Background, Maintenance};
use super::open::RecoveryReport;
use super::prepared::Held;
use super::read_point::{Floor, read_point};
use super::ring::Validating;
use super::train::Training;
use crate::backup::{Archiver, Repository};
use crate::budget::Budget;
use crate::cache::Caches;
use crate::compression::{QueryReservoir, TrainedCodec};
use crate::consistency::{Locks, PreparedTransactions, Registry};
use crate::options::{Environment, Settings, TestSwitches};
use crate::segment::Segment;
use crate::version::{Cut, Version};

/// An open store. Shared by its handles and its background jobs.
pub(crate) struct Core {
    /// For jobs that must not keep the store open.
    pub(crate) this: OnceLock<Weak<Core>>,
    pub(crate) environment: Environment,
    pub(crate) layout: StoreLayout,
    /// Where backups go: a path or URL.
    pub(crate) backups: PathBuf,
    /// What is there, once it was asked for.
    pub(crate) repository: OnceLock<Repository>,
    pub(crate) store_id: StoreId,
    pub(crate) dimension: usize,
    pub(crate) metric: Metric,
    pub(crate) settings: ArcSwap<Settings>,
    /// What new codes are made by: none before there are enough rows to train on.
    pub(crate) codec: ArcSwapOption<TrainedCodec>,
    /// Bytes at which a memtable is flushed even if the settings allow more.
    pub(crate) memtable_limit: AtomicU64,
    pub(crate) switches: TestSwitches,
    pub(crate) caches: ArcSwap<Caches>,
    /// What it shares with other stores, if it is one of a set.
    pub(crate) budget: Option<Arc<Budget>>,
    pub(crate) version: ArcSwap<Version>,
    /// Every commit up to this one is applied, and durable under `Durability::Sync`.
    pub(crate) visible: AtomicU64,
    /// What `apply` keeps up; its lock is what makes it the only one.
    pub(crate) head: Mutex<Head>,
    pub(crate) writer: Option<Writer>,
    /// What who follows the changes goes by.
    pub(crate) feed: Feed,
    /// The newest generation and the one before.
    pub(crate) manifests: Mutex<Manifests>,
    pub(crate) recovery: Mutex<RecoveryReport>,
    pub(crate) counters: Counters,
    /// Some of the queries that were asked since the store was opened.
    pub(crate) queries: QueryReservoir,
    /// Transactions that are open, or were prepared in this process.
    pub(crate) transactions: Registry,
    pub(crate) closed: AtomicBool,
    /// Whether it is an error if a segment cannot be opened.
    pub(crate) refuses_damaged: bool,
}

/// Where `apply` stands.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) cut: Cut,
    pub(crate) totals: Totals,
    pub(crate) prepared: PreparedTransactions,
}

/// No position in a log.
pub(crate) const NOTHING_NOTED: u64 = u64::MAX;

/// What only the writing process has.
pub(crate) struct Writer {
    pub(crate) log: Log<Assigned, Pending>,
    /// Held until the store is closed.
    pub(crate) lock: Mutex<Option<Box<dyn VfsLock>>>,
    pub(crate) boot_id: u128,
    pub(crate) epoch: Epoch,
    /// What the note in the lock file says, under `lock`; [`NOTHING_NOTED`] before the first.
    pub(crate) noted: AtomicU64,
    pub(crate) locks: Arc<Locks>,
    /// What prepared transactions hold until they are decided.
    pub(crate) prepared: Mutex<BTreeMap<TxnId, Held>>,
    /// The next id of a transaction or write.
    pub(crate) next_txn: AtomicU64,
    /// Writes hold it shared while they enqueue; a predicate write that lost too many races holds it alone. Nobody waits
    /// for a lock of `locks` with it.
    pub(crate) gate: RwLock<()>,
    /// Whether commits have to tell their vectors.
    pub(crate) validating: Validating,
    /// One change of the settings at a time.
    pub(crate) configuring: Mutex<()>,
    /// One flush at a time.
    pub(crate) flushing: Mutex<()>,
    /// One merge at a time.
    pub(crate) merging: Mutex<()>,
    /// One repair at a time.
    pub(crate) repairing: Mutex<()>,
    pub(crate) next_segment: AtomicU64,
    pub(crate) flush_job: Background,
    pub(crate) merge_job: Background,
    pub(crate) compress_job: Background,
    pub(crate) index_job: Background,
    pub(crate) coding_job: Background,
    pub(crate) checkpoint_job: Background,
    pub(crate) repair_job: Background,
    pub(crate) maintenance: Maintenance,
    pub(crate) training: Training,
    pub(crate) archiver: Archiver,
    /// One restore at a time.
    pub(crate) restoring: Mutex<()>,
    pub(crate) sync_scheduled: AtomicBool,
}

impl Writer {
    /// An id for a transaction or write, greater than all before.
    pub(crate) fn next_txn_id(&self) -> TxnId {
        TxnId(self.next_txn.fetch_add(1, Ordering::Relaxed))
    }
}

/// The two newest generations, whose files must stay.
#[derive(Debug)]
pub(crate) struct Manifests {
    pub(crate) current: Manifest,
    pub(crate) previous: Option<Manifest>,
    /// Segments that left the version but may still be read through a snapshot.
    pub(crate) retired: Vec<(SegmentId, Weak<Segment>)>,
}

/// Counts since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) flushes: AtomicU64,
    pub(crate) merges: AtomicU64,
    /// Merges of one segment that was not as the settings ask for.
    pub(crate) rewrites: AtomicU64,
    pub(crate) searches: AtomicU64,
}

impl Floor for Version {
    fn floor(&self) -> SeqNo {
        self.floor
    }
}

impl Core {
    /// The settings of this moment.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// The caches of this moment.
    pub(crate) fn caches(&self) -> Arc<Caches> {
        self.caches.load_full()
    }

    /// The last commit that readers see.
    pub(crate) fn visible(&self) -> SeqNo {
        SeqNo(self.visible.load(Ordering::Acquire))
    }

    /// A version and a SeqNo that fit each other: the version holds exactly what was committed up
    /// to that SeqNo, and maybe more.
    pub(crate) fn read_point(&self) -> (Arc<Version>, SeqNo) {
        read_point(&self.version, &self.visible)
    }

    /// The writing half.
    ///
    /// # Errors
    /// `ReadOnly` in a store that was opened for reading; `Closed` after `close`.
    pub(crate) fn writer(&self) -> Result<&Writer> {
        self.check_open()?;
        self.writer.as_ref().ok_or_else(|| {
            let message = "this store was opened read-only; open it for writing to change it";
            Error::new(ErrorKind::ReadOnly, message).at(self.layout.root())
        })
    }

    /// The backups of this store.
    ///
    /// # Errors
    /// `Unsupported` if they are in a place that is not built in.
    pub(crate) fn repository(&self) -> Result<&Repository> {
        if let Some(known) = self.repository.get() {
            return Ok(known);
        }
        let opened = Repository::open(&self.backups, self.store_id, &self.environment)?;
        Ok(self.repository.get_or_init(|| opened))
    }

    /// Whether the store was closed, is being closed, or takes no more writes.
    pub(crate) fn is_closing(&self) -> bool {
        let stopped = |writer: &Writer| writer.log.failure().is_some();
        self.closed.load(Ordering::Acquire) || self.writer.as_ref().is_none_or(stopped)
    }

    /// Refuses work on a closed store.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "this store was closed").at(self.layout.root()));
        }
        Ok(())
    }
}

/// What users hold of an open store: its handles and snapshots. The last one closes it, even while work
/// in the background still holds the [`Core`].
pub(crate) struct Handle {
    core: Arc<Core>,
    keeper: Option<Keeper>,
}

/// What becomes of a store when nobody uses it any more, in place of closing it.
pub(crate) type Keeper = Box<dyn Fn(&Arc<Core>) + Send + Sync>;

impl Handle {
    /// The first handle on a store.
    pub(crate) fn new(core: Arc<Core>) -> Arc<Self> {
        Arc::new(Self { core, keeper: None })
    }

    /// A handle on a store that goes back to its keeper.
    pub(crate) fn kept(core: Arc<Core>, keeper: Keeper) -> Arc<Self> {
        Arc::new(Self { core, keeper: Some(keeper) })
    }
}

impl std::ops::Deref for Handle {
    type Target = Arc<Core>;

    fn deref(&self) -> &Self::Target {
        &self.core
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        match &self.keeper {
            Some(keeper) => keeper(&self.core),
            // As below.
            None => {
                let _ = self.core.close();
            }
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure; the next open recovers from the log.
        let _ = self.close();
    }
}
