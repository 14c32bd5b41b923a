//! The engine behind the facade: how commits are made, kept, read, flushed, merged and recovered.
//!
//! Read in this order: [`core`] (what there is), [`write`] and [`commit`] (life of a write), [`apply`] (the
//! one way that state changes), [`rows`] and [`search`] (reading), [`flush`], [`merge`], [`install`],
//! [`configure`], [`train`], [`rewrite`] and [`compress`] (codecs), [`open`], [`changes`],
//! [`fork`], [`switch`].

mod apply;
pub(crate) mod changes;
mod checkpoint;
mod close;
mod commit;
mod compress;
mod compression_stats;
mod configure;
pub(crate) mod core;
mod create;
mod damaged;
mod encoding;
mod flush;
mod fork;
mod fresh;
mod indexing;
mod install;
pub(crate) mod maintenance;
mod merge;
mod open;
mod open_segments;
mod pending_row;
mod prepared;
mod read_only;
mod read_point;
mod repair;
mod rewrite;
mod ring;
mod rows;
mod sample;
mod search;
#[cfg(test)]
mod shuttled;
mod snapshot;
mod stats;
mod switch;
mod sync;
mod train;
mod vacant;
mod verify;
mod write;

pub use changes::{Change, ChangePin, ChangeStatistics, Changes, ChangesFrom, Cursor};
pub use checkpoint::CheckpointInfo;
pub use commit::CommitReceipt;
pub(crate) use commit::Enqueued;
pub(crate) use configure::check_name;
pub use fork::{ForkOptions, ForkReport};
pub use indexing::IndexStatistics;
pub(crate) use maintenance::Mode;
pub use maintenance::{JobKind, JobStatistics, MaintenanceStatistics};
pub use merge::MergeReport;
pub use open::RecoveryReport;
pub(crate) use open::{open, open_within};
pub(crate) use pending_row::PendingRow;
pub use prepared::InDoubt;
pub(crate) use prepared::Preparation;
pub(crate) use repair::DamagedFile;
pub use repair::RepairReport;
#[cfg(test)]
pub(crate) use ring::MAX_COMMITS;
pub(crate) use ring::{Effects, PutEffect, Ring, ValidatingGuard};
pub(crate) use rows::{Row, check_memory};
pub use search::{HybridRequest, MAX_LIMIT, Match, ScoreKind, SearchRequest, SearchResults, TextRequest};
pub(crate) use snapshot::no_such_node;
pub use snapshot::{Snapshot, VectorMetadata};
pub use stats::{CacheStatistics, StoreStatistics};
pub(crate) use vacant::make_at;
pub use verify::VerifyReport;
pub(crate) use write::Locking;
pub use write::{PendingWrite, Write, WriteOutcome};
