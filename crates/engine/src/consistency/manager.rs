//! Transactions by their numbers, for callers that cannot keep a guard: servers, other languages.

use std::sync::Arc;

use codegraph_vector_base::{ErrorKind, NodeId, Result, TxnId};

use super::cell::Cell;
use super::level::IsolationLevel;
use super::lock::{LockMode, LockTarget};
use super::operation::VectorOperation;
use super::registry::TransactionOptions;
use super::statistics::TransactionStatistics;
use super::transaction::Savepoint;
use crate::filter::Filter;
use crate::store::core::Handle;
use crate::store::{CheckpointInfo, CommitReceipt, InDoubt, Match, SearchRequest};

/// The transactions of a store, by number: the same as with a [`Transaction`](crate::Transaction). A transaction that nobody
/// ends is rolled back when it runs out of time.
///
/// ```
/// # fn main() -> codegraph_vector::Result<()> {
/// # use codegraph_vector::{IsolationLevel, PersistentVectorStore, VectorOperation};
/// # let folder = tempfile::tempdir().unwrap();
/// # let store = PersistentVectorStore::new(folder.path().join("s"), folder.path().join("b"), 3)?;
/// let consistency_manager = store.consistency_manager();
/// let txn_id = consistency_manager.begin_transaction(IsolationLevel::Serializable)?;
/// consistency_manager.add_operation(txn_id, VectorOperation::Insert { node_id: 123, vector: vec![0.1, 0.2, 0.3] })?;
/// consistency_manager.prepare_transaction(txn_id)?;
/// consistency_manager.commit_transaction(txn_id)?;
/// # assert_eq!(store.get(123)?.unwrap().embedding, [0.1, 0.2, 0.3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ConsistencyManager {
    core: Arc<Handle>,
}

/// A transaction that is open or prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionInfo {
    /// Its number.
    pub id: TxnId,
    /// Its level.
    pub level: IsolationLevel,
    /// Milliseconds since it was begun.
    pub age_ms: u64,
    /// Milliseconds since its last call.
    pub idle_ms: u64,
}

impl std::fmt::Debug for ConsistencyManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsistencyManager").field("store", &self.core.layout.root()).finish()
    }
}

impl ConsistencyManager {
    pub(crate) fn new(core: &Arc<Handle>) -> Self {
        Self { core: core.clone() }
    }

    fn find(&self, transaction: TxnId) -> Result<Arc<Cell>> {
        self.core.transactions.find(transaction)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// `Conflict` if there are as many as there may be, and none ends in time.
    pub fn begin_transaction(&self, level: IsolationLevel) -> Result<TxnId> {
        self.begin_with(TransactionOptions::new(level))
    }

    /// The same with time-outs of its own.
    ///
    /// # Errors
    /// As [`begin_transaction`](Self::begin_transaction).
    pub fn begin_with(&self, options: TransactionOptions) -> Result<TxnId> {
        Ok(self.core.transactions.begin(&self.core, options)?.id)
    }

    /// Writes, in a transaction.
    ///
    /// # Errors
    /// As [`Transaction::put`](crate::Transaction::put) and [`update_vector`](crate::Transaction::update_vector); `NotFound`
    /// if there is no such transaction; what ended it, if it has ended.
    pub fn add_operation(&self, transaction: TxnId, operation: VectorOperation) -> Result<()> {
        self.find(transaction)?.run(&self.core, |open, call| open.apply(call, operation))
    }

    /// A node's vector, as the transaction sees it.
    ///
    /// # Errors
    /// As [`Transaction::get`](crate::Transaction::get).
    pub fn read(&self, transaction: TxnId, node_id: NodeId) -> Result<Option<Vec<f32>>> {
        let node = self.find(transaction)?.run(&self.core, |open, call| open.get(call, node_id))?;
        Ok(node.map(|node| node.embedding))
    }

    /// The nearest nodes, as the transaction sees them.
    ///
    /// # Errors
    /// As [`Transaction::search`](crate::Transaction::search).
    pub fn search(&self, transaction: TxnId, request: &SearchRequest) -> Result<Vec<Match>> {
        let found = self.find(transaction)?.run(&self.core, |open, call| open.search(call, request))?;
        Ok(found.matches)
    }

    /// Ids of the nodes that match, in order, as the transaction sees them.
    ///
    /// # Errors
    /// As [`Transaction::ids`](crate::Transaction::ids).
    pub fn ids(&self, transaction: TxnId, filter: &Filter) -> Result<Vec<NodeId>> {
        self.find(transaction)?.run(&self.core, |open, call| open.ids(call, filter))
    }

    /// Locks a node, or the store, until the transaction has ended.
    ///
    /// # Errors
    /// As [`Transaction::lock`](crate::Transaction::lock).
    pub fn acquire_lock(&self, transaction: TxnId, target: LockTarget, mode: LockMode) -> Result<()> {
        self.find(transaction)?.run(&self.core, |open, call| open.lock(call, target, mode))
    }

    /// Marks the present state of a transaction's writes.
    ///
    /// # Errors
    /// If there is no such open transaction.
    pub fn savepoint(&self, transaction: TxnId) -> Result<Savepoint> {
        self.find(transaction)?.run(&self.core, |open, call| Ok(open.savepoint(call)))
    }

    /// Takes back what a transaction has written since.
    ///
    /// # Errors
    /// As [`Transaction::rollback_to`](crate::Transaction::rollback_to).
    pub fn rollback_to(&self, savepoint: &Savepoint) -> Result<()> {
        self.find(savepoint.transaction)?.run(&self.core, |open, call| open.rollback_to(call, *savepoint))
    }

    /// The first phase of two; see [`Transaction::prepare`](crate::Transaction::prepare).
    ///
    /// # Errors
    /// As there.
    pub fn prepare_transaction(&self, transaction: TxnId) -> Result<()> {
        self.find(transaction)?.prepare(&self.core)
    }

    /// Commits a transaction, prepared or not, also one that an earlier run of this program, or another, had prepared.
    ///
    /// # Errors
    /// As [`Transaction::commit`](crate::Transaction::commit).
    pub fn commit_transaction(&self, transaction: TxnId) -> Result<CommitReceipt> {
        match self.find(transaction) {
            Ok(cell) => cell.commit(&self.core),
            // One that an earlier process has prepared, if it is known at all, or one that was decided before.
            Err(error) if error.kind() == ErrorKind::NotFound || self.core.is_decided(transaction) => {
                self.core.commit_in_doubt(transaction)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a transaction back; returns the operations that restore what was before it from what it would have made.
    ///
    /// # Errors
    /// As [`Transaction::rollback`](crate::Transaction::rollback).
    pub fn abort_transaction(&self, transaction: TxnId) -> Result<Vec<VectorOperation>> {
        match self.find(transaction) {
            Ok(cell) => cell.rollback(&self.core),
            Err(error) if error.kind() == ErrorKind::NotFound || self.core.is_decided(transaction) => {
                self.core.rollback_in_doubt(transaction)
            }
            Err(error) => Err(error),
        }
    }

    /// The transactions that are open or prepared in this process, oldest first.
    pub fn transactions(&self) -> Vec<TransactionInfo> {
        let now = self.core.environment.clock.monotonic();
        self.core.transactions.cells().iter().map(|cell| cell.info(now)).collect()
    }

    /// Prepared transactions that await a decision, those of earlier runs included.
    ///
    /// # Errors
    /// `Closed`.
    pub fn in_doubt(&self) -> Result<Vec<InDoubt>> {
        self.core.in_doubt()
    }

    /// Makes a durable start for recovery of all that is committed; writers go on meanwhile.
    ///
    /// # Errors
    /// Those of a flush.
    pub fn create_checkpoint(&self) -> Result<CheckpointInfo> {
        self.core.create_checkpoint()
    }

    /// Where recovery would start.
    ///
    /// # Errors
    /// `Closed`.
    pub fn latest_checkpoint(&self) -> Result<CheckpointInfo> {
        self.core.latest_checkpoint()
    }

    /// Numbers about transactions.
    pub fn statistics(&self) -> TransactionStatistics {
        self.core.transactions.statistics(&self.core)
    }
}
