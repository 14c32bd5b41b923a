//! Transactions: several reads and writes of a store as one, at a chosen isolation level.
//!
//! What always holds:
//! - nothing uncommitted reaches the log, a memtable or an index: a transaction's writes wait in its write set until it
//!   commits, as one commit of the engine's one log;
//! - who writes a node holds its X lock from that call on until the commit is visible, or the transaction is gone;
//! - what a level promises follows from one table, [`level`]; a level differs from another in nothing else.
//!
//! Read in this order: [`level`] (what is promised), [`write_set`] and [`overlay`] (a transaction sees its own writes),
//! [`reads`] and [`validate`] (what must not have changed), [`transaction`] (the guard), [`manager`] (the same by id).

mod cell;
mod finish;
mod level;
mod lock;
mod manager;
mod operation;
mod overlay;
mod pending;
mod prepared;
mod reads;
mod registry;
#[cfg(test)]
mod sample;
mod state;
mod statements;
mod statistics;
mod transaction;
mod validate;
mod write_set;

pub use level::IsolationLevel;
pub use lock::{LockMode, LockStatistics, LockTarget};
pub(crate) use lock::{LockSet, LockWait, Locks};
pub use manager::{ConsistencyManager, TransactionInfo};
pub use operation::VectorOperation;
pub(crate) use pending::PendingTable;
pub(crate) use prepared::{PreparedTransaction, PreparedTransactions};
pub(crate) use reads::{Predicate, ReadSet};
pub(crate) use registry::Registry;
pub use registry::TransactionOptions;
pub(crate) use state::State;
pub use statistics::{LevelStatistics, TransactionStatistics};
pub(crate) use transaction::transact;
pub use transaction::{Savepoint, Transaction};
