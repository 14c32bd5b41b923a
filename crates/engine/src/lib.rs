//! CodeGraph Vector: the persistent vector store for code graphs.
//!
//! A *store* is a folder of nodes (functions, types, modules) with their embeddings and metadata.
//! It is embedded like SQLite. What always holds:
//!
//! - an acknowledged write is on the disk, whole, and survives a power cut at any moment;
//! - nothing is ever read that a power cut could take back;
//! - a batch, and the replacement of a path, happen as a whole or not at all;
//! - damaged bytes are never a wrong answer: an error that names file and offset, or a search that says it is
//!   [`degraded`](SearchResults::degraded).
//!
//! The first two hold under [`Durability::Sync`], the default; the others trade them for speed, and say so in
//! their receipts.
//!
//! Start at [`PersistentVectorStore`].

#[cfg(target_endian = "big")]
compile_error!("the files of a store are little-endian and used in place");

mod backup;
mod budget;
mod cache;
mod compression;
mod consistency;
mod deaths;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod id_map;
mod incremental;
mod indexing;
mod job;
mod memtable;
mod node;
mod options;
mod persistent;
mod persistent_maintenance;
mod pool;
mod quarantine;
mod record;
mod record_prepared;
mod rows;
mod segment;
mod store;
mod store_set;
mod text;
mod version;
pub mod words;

pub use codegraph_vector_ann::{Metric, UnknownMetric};
pub use codegraph_vector_base::{
    Clock, Conflict, ConflictCause, Error, ErrorKind, Generation, Lsn, NodeId, Random, Result, RowChecksum,
    RowChecksumSum, SeqNo, StoreId, TxnId, vfs,
};
pub use codegraph_vector_storage::BadBlock;
pub use codegraph_vector_storage::wal::{Cut, LogStatistics};

pub use backup::{
    ArchiveStatistics, BackupCheck, BackupCheckReport, BackupFile, BackupManifest, BackupOptions,
    BackupProgress, BackupReport, Backups, LiveRestoreOptions, NamedPoint, PruneOptions, PruneReport,
    RehearsalReport, RestorePoint, RestoreReport, RestoreTarget, Retention, backups_of,
};
pub use codegraph_vector_ann::codec::{CodecReport, CodecSpec, Scope};
pub use compression::{
    Candidate, CompressProgress, CompressReport, CompressRequest, Compression, CompressionStatistics, Keep,
    Target,
};
pub use consistency::{
    ConsistencyManager, IsolationLevel, LevelStatistics, LockMode, LockStatistics, LockTarget, Savepoint,
    Transaction, TransactionInfo, TransactionOptions, TransactionStatistics, VectorOperation,
};
pub use filter::Filter;
pub use incremental::{
    IncrementalConfig, IncrementalMode, IncrementalOperation, IncrementalStatistics,
    IncrementalUpdateManager, Priority, Ticket, TicketOutcome, WhenFull,
};
#[cfg(feature = "test-switches")]
pub use incremental::{Moment, Probe};
pub use indexing::IndexPolicy;
pub use job::Job;
pub use node::{
    AttributeValue, CodeNode, NodeMetadata, node_id_from_json, node_id_text, node_id_to_json, parse_node_id,
};
#[cfg(feature = "test-switches")]
pub use options::TestSwitches;
pub use options::{
    ArchiveConfig, CacheConfig, DeadlockPolicy, Durability, EmbedderId, Environment, EvictionPolicy,
    MaintenanceConfig, MaintenanceTimeZone, MaintenanceWindows, OpenOptions, Settings, TransactionConfig,
};
pub use persistent::{PersistentVectorStore, StorageHeader};
pub use quarantine::QuarantinedSegment;
pub use store::{
    CacheStatistics, Change, ChangePin, ChangeStatistics, Changes, ChangesFrom, CheckpointInfo,
    CommitReceipt, Cursor, ForkOptions, ForkReport, HybridRequest, InDoubt, IndexStatistics, JobKind,
    JobStatistics, MAX_LIMIT, MaintenanceStatistics, Match, MergeReport, PendingWrite, RecoveryReport,
    RepairReport, ScoreKind, SearchRequest, SearchResults, Snapshot, StoreStatistics, TextRequest,
    VectorMetadata, VerifyReport, Write, WriteOutcome,
};
pub use store_set::{StoreSet, StoreSetConfig, StoreSetStatistics};
pub use text::QUALIFIED_NAME;
