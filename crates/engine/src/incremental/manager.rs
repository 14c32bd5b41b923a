//! The door: [`IncrementalUpdateManager`].

use std::sync::Arc;

use codegraph_vector_base::Result;

use super::config::IncrementalConfig;
use super::operation::{IncrementalOperation, Priority};
use super::pipeline::Pipeline;
use super::statistics::IncrementalStatistics;
use super::ticket::Ticket;
use crate::persistent::PersistentVectorStore;

/// Takes changes in from any number of threads, and carries them out, many in one commit. See
/// [`IncrementalConfig`] for how.
///
/// - **Each operation is atomic**, and fails alone: others of its submission, and of its commit, do not.
/// - **Order**: operations on the same node have their effect in the order in which they were submitted, whatever their
///   priorities, and so do the replacement of a path and the operations on nodes that are under it. Between others there is
///   none. (If somebody else moves nodes to a path meanwhile, past the manager, operations on those may come before or after its
///   replacement.)
/// - **A ticket says when**: it is done when all its operations are, and under a `wal_flush_interval` of zero, as it is unless
///   said, what it calls committed is durable. Operations go on whether or not somebody waits for them.
/// - **Room** is bounded by `queue_capacity`; who submits more waits, or is refused and told when to come again.
/// - **What may pass** (a full disk, a transaction that holds a node) is tried again; in the meantime what comes later for
///   the same node waits behind it, and nothing else.
/// - A store whose log fails takes no more writes: all tickets say so, and so does whoever submits.
///
/// Of several puts and updates of a node that are queued at once only the last one is written; their tickets have the same
/// commit.
///
/// ```
/// # fn main() -> codegraph_vector::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// use codegraph_vector::{
///     IncrementalConfig, IncrementalOperation, IncrementalUpdateManager, PersistentVectorStore, Priority,
/// };
///
/// let store = PersistentVectorStore::new(folder.path().join("vectors.db"), folder.path().join("backups"), 2)?;
/// let manager = IncrementalUpdateManager::new(IncrementalConfig::for_store(&store))?;
/// manager.submit_batch(vec![
///     IncrementalOperation::Insert { node_id: 1, vector: vec![0.1, 0.2] },
///     IncrementalOperation::Update { node_id: 2, new_vector: vec![0.3, 0.4] },
/// ])?;
/// let delete = IncrementalOperation::Delete { node_id: 1 };
/// let done = manager.submit_operation_with(delete, Priority::High)?.wait().all()?;
/// assert!(done.receipt.durable && done.deleted == 1);
/// manager.shutdown()?;
/// assert_eq!(store.get(2)?.unwrap().embedding, [0.3, 0.4]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct IncrementalUpdateManager {
    pipeline: Arc<Pipeline>,
    /// Keeps the store open.
    store: PersistentVectorStore,
}

impl IncrementalUpdateManager {
    /// A manager for the store that the configuration names. There may be several; they know nothing of each other's order.
    ///
    /// # Errors
    /// `InvalidInput` names the setting that cannot be; `ReadOnly` if the store was opened so; `Closed`.
    pub fn new(config: IncrementalConfig) -> Result<Self> {
        config.check()?;
        config.apply_durability()?;
        let pipeline = Pipeline::new((*config.store.core).clone(), config.limits());
        Ok(Self { pipeline, store: config.store })
    }

    /// The store.
    pub fn store(&self) -> &PersistentVectorStore {
        &self.store
    }

    /// Submits an operation, of normal priority.
    ///
    /// # Errors
    /// `Overloaded` if there is no room, with [`retry_after`](crate::Error::retry_after); `Closed` after
    /// [`shutdown`](Self::shutdown) or the store's; `ReadOnly` once the store's log has failed. Nothing was taken in then.
    /// What is wrong with the operation itself, its ticket tells.
    pub fn submit_operation(&self, operation: IncrementalOperation) -> Result<Ticket> {
        self.submit_operation_with(operation, Priority::Normal)
    }

    /// The same with a priority.
    ///
    /// # Errors
    /// As [`submit_operation`](Self::submit_operation).
    pub fn submit_operation_with(
        &self,
        operation: IncrementalOperation,
        priority: Priority,
    ) -> Result<Ticket> {
        self.submit_batch_with(vec![operation], priority)
    }

    /// Submits several operations at once, of normal priority, for one ticket. Each is for itself nonetheless.
    ///
    /// # Errors
    /// As [`submit_operation`](Self::submit_operation); `InvalidInput` if there is none.
    pub fn submit_batch(&self, operations: Vec<IncrementalOperation>) -> Result<Ticket> {
        self.submit_batch_with(operations, Priority::Normal)
    }

    /// The same with a priority.
    ///
    /// # Errors
    /// As [`submit_batch`](Self::submit_batch).
    pub fn submit_batch_with(
        &self,
        operations: Vec<IncrementalOperation>,
        priority: Priority,
    ) -> Result<Ticket> {
        self.pipeline.submit(operations, priority)
    }

    /// Waits until everything that was submitted before is done with, and lends a hand. Also while paused.
    ///
    /// # Errors
    /// That the store takes no more writes. What became of single operations, their tickets tell.
    pub fn flush(&self) -> Result<()> {
        self.pipeline.flush()
    }

    /// Begins no more operations until [`resume`](Self::resume), but for a flush or shutdown; goes on taking them in while
    /// there is room. What is at work is brought to its end.
    pub fn pause(&self) {
        self.pipeline.pause(true);
    }

    /// Goes on.
    pub fn resume(&self) {
        self.pipeline.pause(false);
    }

    /// Takes nothing more in, and waits until all that was is done with. To do it again does nothing; dropping the manager
    /// does it, too, but cannot tell of a failure. The store stays open for others.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn shutdown(&self) -> Result<()> {
        self.pipeline.shutdown()
    }

    /// Numbers about it.
    pub fn statistics(&self) -> IncrementalStatistics {
        self.pipeline.statistics()
    }
}

impl Drop for IncrementalUpdateManager {
    fn drop(&mut self) {
        // Tickets were told; there is nobody else to tell.
        let _ = self.shutdown();
    }
}
