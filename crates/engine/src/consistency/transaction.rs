//! The guard form of a transaction.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_base::{ErrorKind, NodeId, Result, TxnId};

use super::cell::{Cell, End};
use super::level::IsolationLevel;
use super::lock::{LockMode, LockTarget};
use super::operation::VectorOperation;
use super::registry::TransactionOptions;
use crate::filter::Filter;
use crate::node::CodeNode;
use crate::store::core::{Core, Handle};
use crate::store::{CommitReceipt, SearchRequest, SearchResults};

/// How often [`transact`](crate::PersistentVectorStore::transact) tries.
const ATTEMPTS: u32 = 32;
/// It waits up to so long before it tries again, and twice as long each time, up to the second.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A transaction. Dropping it rolls it back, unless it was prepared: then it is in doubt until somebody decides.
///
/// Calls may come from any thread, one at a time. They block, for locks and for the disk; async code runs them where it
/// runs what blocks.
///
/// ```
/// # fn main() -> codegraph_vector::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// use codegraph_vector::{CodeNode, IsolationLevel, PersistentVectorStore};
///
/// # let store = PersistentVectorStore::new(folder.path().join("s"), folder.path().join("b"), 2)?;
/// let mut transaction = store.begin(IsolationLevel::Serializable)?;
/// transaction.put(CodeNode::new(1, vec![0.6, 0.8]))?;
/// assert!(store.get(1)?.is_none(), "nobody else sees it yet");
/// assert!(transaction.get(1)?.is_some());
/// let receipt = transaction.commit()?;
/// assert!(receipt.durable && store.get(1)?.is_some());
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a transaction rolls it back"]
pub struct Transaction {
    core: Arc<Handle>,
    cell: Arc<Cell>,
}

/// A place in a transaction to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint {
    pub(super) transaction: TxnId,
    pub(super) number: u64,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("id", &self.id()).field("level", &self.level()).finish()
    }
}

impl Transaction {
    pub(crate) fn begin(core: &Arc<Handle>, options: TransactionOptions) -> Result<Self> {
        Ok(Self { core: core.clone(), cell: core.transactions.begin(core, options)? })
    }

    /// Its number.
    pub fn id(&self) -> TxnId {
        self.cell.id
    }

    /// Its level.
    pub fn level(&self) -> IsolationLevel {
        self.cell.rules.level
    }

    /// A node as this transaction sees it, its own writes included.
    ///
    /// # Errors
    /// `Conflict` if it was rolled back because of others; as [`Snapshot::get`](crate::Snapshot::get).
    pub fn get(&mut self, id: NodeId) -> Result<Option<CodeNode>> {
        self.cell.run(&self.core, |open, call| open.get(call, id))
    }

    /// The nearest nodes as this transaction sees them; its own writes are scored as they are.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`Snapshot::search`](crate::Snapshot::search).
    pub fn search(&mut self, request: &SearchRequest) -> Result<SearchResults> {
        self.cell.run(&self.core, |open, call| open.search(call, request))
    }

    /// The nodes most like another one; see [`Snapshot::search_like`](crate::Snapshot::search_like).
    ///
    /// # Errors
    /// As [`search`](Self::search); `NotFound` if there is no such node.
    pub fn search_like(&mut self, id: NodeId, request: &SearchRequest) -> Result<SearchResults> {
        self.cell.run(&self.core, |open, call| open.search_like(call, id, request))
    }

    /// Number of nodes that match.
    ///
    /// # Errors
    /// As [`get`](Self::get); `InvalidInput` for a filter that cannot be.
    pub fn count(&mut self, filter: &Filter) -> Result<u64> {
        self.cell.run(&self.core, |open, call| open.count(call, filter))
    }

    /// Ids of the nodes that match, in order.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn ids(&mut self, filter: &Filter) -> Result<Vec<NodeId>> {
        self.cell.run(&self.core, |open, call| open.ids(call, filter))
    }

    /// Stores a node, or replaces it.
    ///
    /// # Errors
    /// `InvalidInput` for a node that cannot be stored; `Conflict` if another transaction holds it and does not end in
    /// time (then the transaction goes on, without this write), has written it first, or waits for this one.
    pub fn put(&mut self, node: CodeNode) -> Result<()> {
        self.cell.run(&self.core, |open, call| open.put(call, node))
    }

    /// Replaces a node's vector and keeps its metadata.
    ///
    /// # Errors
    /// As [`put`](Self::put); `NotFound` if it is missing.
    pub fn update_vector(&mut self, id: NodeId, vector: &[f32]) -> Result<()> {
        self.cell.run(&self.core, |open, call| open.update_vector(call, id, vector.to_vec()))
    }

    /// Deletes a node; tells whether there was one.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&mut self, id: NodeId) -> Result<bool> {
        self.cell.run(&self.core, |open, call| open.delete(call, id))
    }

    /// Deletes the nodes that match; tells how many. At every level the commit is refused if another commit changed
    /// meanwhile which nodes match.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete_by_filter(&mut self, filter: &Filter) -> Result<u64> {
        self.cell.run(&self.core, |open, call| open.delete_by_filter(call, filter))
    }

    /// Makes exactly `nodes` the ones under `path`; tells how many were deleted. At every level the commit is refused if
    /// another commit changed meanwhile which nodes are under it.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn replace_path(&mut self, path: &str, nodes: &[CodeNode]) -> Result<u64> {
        self.cell.run(&self.core, |open, call| open.replace_path(call, path, nodes))
    }

    /// Does what an operation says.
    ///
    /// # Errors
    /// As [`put`](Self::put) and [`update_vector`](Self::update_vector).
    pub fn apply(&mut self, operation: VectorOperation) -> Result<()> {
        self.cell.run(&self.core, |open, call| open.apply(call, operation))
    }

    /// Locks a node, or the store; the lock is held until the transaction has ended.
    ///
    /// # Errors
    /// `Conflict` as [`put`](Self::put); `ReadOnly` in a store that was opened for reading.
    pub fn lock(&mut self, target: LockTarget, mode: LockMode) -> Result<()> {
        self.cell.run(&self.core, |open, call| open.lock(call, target, mode))
    }

    /// Marks the present state of its writes.
    ///
    /// # Errors
    /// If the transaction has ended.
    pub fn savepoint(&mut self) -> Result<Savepoint> {
        self.cell.run(&self.core, |open, call| Ok(open.savepoint(call)))
    }

    /// Takes back what it has written since. Locks stay.
    ///
    /// # Errors
    /// `InvalidInput` for a savepoint that is not this transaction's, or was undone by going back to an earlier one.
    pub fn rollback_to(&mut self, savepoint: &Savepoint) -> Result<()> {
        self.cell.run(&self.core, |open, call| open.rollback_to(call, *savepoint))
    }

    /// Makes sure that the commit cannot fail for a conflict any more, and that nothing is lost of it, whatever happens: the
    /// first phase of two. From here on it can only be committed or rolled back, by this guard or by its number, also
    /// after a restart; see [`in_doubt`](crate::PersistentVectorStore::in_doubt). After a restart it holds the locks of nodes, and
    /// none of the store as a whole.
    ///
    /// # Errors
    /// `Conflict` if it cannot commit, `TooLarge` if there is more in doubt than there may be: it is rolled back then.
    pub fn prepare(&mut self) -> Result<TxnId> {
        self.cell.prepare(&self.core)?;
        Ok(self.id())
    }

    /// Commits all that it has written, as one.
    ///
    /// # Errors
    /// `Conflict` if the level forbids it: nothing was written. `OutcomeUnknown`: a sync failed, and it may be there after a
    /// reopen.
    pub fn commit(self) -> Result<CommitReceipt> {
        self.cell.commit(&self.core)
    }

    /// Takes all back; returns the operations that restore what was before it from what it would have made.
    ///
    /// # Errors
    /// If it has ended already, or what was before it cannot be read. It is rolled back nonetheless.
    pub fn rollback(self) -> Result<Vec<VectorOperation>> {
        self.cell.rollback(&self.core)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.cell.abandon(&self.core, End::RolledBack);
    }
}

/// Runs `work` in a transaction and commits it; again, after a pause, if it met a conflict.
pub(crate) fn transact<R>(
    core: &Arc<Handle>,
    options: TransactionOptions,
    mut work: impl FnMut(&mut Transaction) -> Result<R>,
) -> Result<R> {
    let mut attempt = 0;
    loop {
        let outcome = Transaction::begin(core, options).and_then(|mut transaction| {
            let done = work(&mut transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        attempt += 1;
        match outcome {
            Err(error) if error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => {
                std::thread::sleep(pause(core, attempt)?);
            }
            outcome => return outcome,
        }
    }
}

/// Between half and all of a time that doubles with each attempt, so that those who met do not meet again.
fn pause(core: &Core, attempt: u32) -> Result<Duration> {
    let most = FIRST_PAUSE.saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE);
    let mut jitter = [0; 1];
    core.environment.random.fill(&mut jitter)?;
    Ok(most / 2 + most * u32::from(jitter[0]) / (2 * u32::from(u8::MAX)))
}
