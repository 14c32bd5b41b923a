//! Writes: from nodes, ids and filters to resolved rows in a commit.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_ann::{Metric, check_finite, norm};
use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, RowChecksum, SeqNo, limits};
#[cfg(any(test, feature = "test-switches"))]
use codegraph_vector_base::{Lsn, TxnId};

use super::commit::{Assigned, CommitReceipt, Enqueued};
use super::core::{Core, Writer};
#[cfg(any(test, feature = "test-switches"))]
use super::prepared::Preparation;
use super::ring::{Effects, PutEffect, Ring};
#[cfg(any(test, feature = "test-switches"))]
use crate::consistency::{IsolationLevel, ReadSet};
use crate::filter::Filter;
use crate::id_map::NodeIdSet;
use crate::memtable::metadata_bytes;
use crate::node::{CodeNode, NodeMetadata, check_path};
use crate::record::{NewRow, Parts, RowHead};
use crate::row_locks::RowGuard;
use crate::version::Version;

/// How long a write waits for a row before it looks again whether it has to commit for others.
const PATIENCE: Duration = Duration::from_millis(20);
/// Races that a predicate write loses before it stops everyone else.
const OPTIMISTIC_ATTEMPTS: usize = 4;

/// A change to a store, atomic as a whole.
#[derive(Clone, Debug)]
pub enum Write<'a> {
    /// Inserts the nodes, or replaces those that are there. No id may repeat.
    Put(&'a [CodeNode]),
    /// Replaces a node's vector and keeps its metadata. `NotFound` if it is missing.
    UpdateVector {
        /// The node.
        id: NodeId,
        /// Its new vector.
        vector: &'a [f32],
    },
    /// Deletes the nodes; those that are missing are no error.
    Delete(&'a [NodeId]),
    /// Deletes the nodes that a filter matches.
    DeleteByFilter(&'a Filter),
    /// Makes exactly these nodes the ones under `path`. Nodes without a path get it; another path is an error.
    ReplacePath {
        /// The path.
        path: &'a str,
        /// What is there from now on.
        nodes: &'a [CodeNode],
    },
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOutcome {
    /// The commit. Where nothing had to change, the last visible one.
    pub receipt: CommitReceipt,
    /// Nodes that are gone by it: deleted, not replaced.
    pub deleted: u64,
}

/// A write that was queued, and is acknowledged when [`PendingWrite::wait`] says so.
/// Dropping it does not take it back: it goes along with the next write that is waited for, flush, or close.
#[must_use = "a write is only known to be durable once its `wait` has returned"]
pub struct PendingWrite {
    core: Arc<Core>,
    deleted: u64,
    state: Queued,
}

pub(crate) enum Queued {
    /// Nothing had to change.
    Nothing(CommitReceipt),
    Commit(Enqueued),
}

impl PendingWrite {
    /// Waits until the write is acknowledged.
    ///
    /// # Errors
    /// `StorageFull`, `ReadOnly`: it did not happen. `OutcomeUnknown`: a sync failed, and it may be
    /// there after a reopen.
    pub fn wait(self) -> Result<WriteOutcome> {
        let receipt = match &self.state {
            Queued::Nothing(receipt) => *receipt,
            Queued::Commit(enqueued) => self.core.wait(enqueued)?,
        };
        Ok(WriteOutcome { receipt, deleted: self.deleted })
    }

    /// The commit that this is, or will be.
    pub fn seqno(&self) -> SeqNo {
        match &self.state {
            Queued::Nothing(receipt) => receipt.seqno,
            Queued::Commit(enqueued) => enqueued.seqno,
        }
    }
}

/// What to do about rows that another write holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locking {
    Wait,
    /// Give up with `Conflict`.
    Try,
}

/// A row to be put, but for what only the row's lock can tell.
struct Prepared<'a> {
    id: NodeId,
    vector: &'a [f32],
    norm: f32,
    metadata: Arc<NodeMetadata>,
    encoded: Vec<u8>,
}

impl Core {
    /// Prepares a write and queues it.
    pub(crate) fn submit(self: &Arc<Self>, write: &Write<'_>, locking: Locking) -> Result<PendingWrite> {
        self.make_room()?;
        let writer = self.writer()?;
        let _shared = writer.gate.read();
        let (deleted, state) = match write {
            Write::Put(nodes) => self.put(writer, nodes, locking)?,
            Write::UpdateVector { id, vector } => self.update_vector(writer, *id, vector, locking)?,
            Write::Delete(ids) => self.delete(writer, ids, locking)?,
            Write::DeleteByFilter(_) | Write::ReplacePath { .. } => {
                drop(_shared);
                self.predicate_write(writer, write, locking)?
            }
        };
        Ok(PendingWrite { core: self.clone(), deleted, state })
    }

    fn put(&self, writer: &Writer, nodes: &[CodeNode], locking: Locking) -> Result<(u64, Queued)> {
        if nodes.is_empty() {
            return Err(Error::invalid("the batch is empty: there is nothing to store"));
        }
        let prepared = self.prepare_all(nodes, None)?;
        let guard = self.take(writer, prepared.iter().map(|row| row.id).collect(), locking)?;
        let enqueued = self.enqueue_rows(prepared, &[], guard, |_| Ok(()))?;
        Ok((0, Queued::Commit(enqueued)))
    }

    fn update_vector(
        &self,
        writer: &Writer,
        id: NodeId,
        vector: &[f32],
        locking: Locking,
    ) -> Result<(u64, Queued)> {
        let norm = self.check_vector(id, vector)?;
        let guard = self.take(writer, vec![id], locking)?;
        let (version, seqno) = self.read_point();
        let missing =
            || Error::new(ErrorKind::NotFound, format!("there is no node {id} to update; put it instead"));
        let row = self.find_row(&version, seqno, id)?.ok_or_else(missing)?;
        let encoded = row.encoded.to_vec();
        let prepared = Prepared { id, vector, norm, metadata: row.metadata()?, encoded };
        let enqueued = self.enqueue_rows(vec![prepared], &[], guard, |_| Ok(()))?;
        Ok((0, Queued::Commit(enqueued)))
    }

    fn delete(&self, writer: &Writer, ids: &[NodeId], locking: Locking) -> Result<(u64, Queued)> {
        let guard = self.take(writer, ids.to_vec(), locking)?;
        let (version, seqno) = self.read_point();
        let mut live = Vec::new();
        for id in guard.ids() {
            if self.contains(&version, seqno, *id)? {
                live.push(*id);
            }
        }
        if live.is_empty() {
            return Ok((0, Queued::Nothing(self.nothing_to_do(writer, seqno))));
        }
        let enqueued = self.enqueue_rows(Vec::new(), &live, guard, |_| Ok(()))?;
        Ok((live.len() as u64, Queued::Commit(enqueued)))
    }

    /// A write that depends on which rows match: it conflicts with commits since its snapshot that
    /// change that, and starts again.
    fn predicate_write(&self, writer: &Writer, write: &Write<'_>, locking: Locking) -> Result<(u64, Queued)> {
        for _ in 0..OPTIMISTIC_ATTEMPTS {
            let _shared = writer.gate.read();
            match self.attempt(writer, write, locking) {
                Err(error) if error.kind() == ErrorKind::Conflict && locking == Locking::Wait => {}
                outcome => return outcome,
            }
        }
        // Alone: whoever was queued is committed first, and nobody can get in between.
        let _alone = writer.gate.write();
        self.drain()?;
        self.attempt(writer, write, locking)
    }

    fn attempt(&self, writer: &Writer, write: &Write<'_>, locking: Locking) -> Result<(u64, Queued)> {
        let (version, seqno) = self.read_point();
        let (prepared, doomed, path, filter) = match write {
            Write::ReplacePath { path, nodes } => {
                check_path(path)?;
                (
                    self.prepare_all(nodes, Some(path))?,
                    self.ids_of_path(&version, seqno, path)?,
                    Some(*path),
                    None,
                )
            }
            Write::DeleteByFilter(filter) => {
                (Vec::new(), self.matching_ids(&version, seqno, filter)?, None, Some(*filter))
            }
            _ => return Err(Error::invalid("this write has no predicate")),
        };
        let staying: NodeIdSet = prepared.iter().map(|row| row.id).collect();
        let doomed: Vec<NodeId> = doomed.into_iter().filter(|id| !staying.contains(id)).collect();
        let touched: Vec<NodeId> = doomed.iter().copied().chain(staying).collect();
        let guard = self.take(writer, touched, locking)?;
        let validate = |assigned: &Assigned| {
            validate_predicate(&assigned.ring, seqno, &guard_ids(&doomed), path, filter)
        };
        if prepared.is_empty() && doomed.is_empty() {
            // Still a claim that nothing matches, which a queued commit may contradict.
            writer.log.with_state(|assigned| validate(assigned))?;
            return Ok((0, Queued::Nothing(self.nothing_to_do(writer, seqno))));
        }
        let enqueued = self.enqueue_rows(prepared, &doomed, guard, validate)?;
        Ok((doomed.len() as u64, Queued::Commit(enqueued)))
    }

    fn take(&self, writer: &Writer, ids: Vec<NodeId>, locking: Locking) -> Result<RowGuard> {
        if let Some(guard) = writer.row_locks.try_lock(ids.clone()) {
            return Ok(guard);
        }
        if locking == Locking::Try {
            let message = "another write holds one of these nodes; try again when it is done";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        loop {
            // The holder may be a queued commit that nobody waits for yet, even one of this thread's.
            writer.log.drain(self);
            if let Some(guard) = writer.row_locks.lock(ids.clone(), PATIENCE) {
                return Ok(guard);
            }
        }
    }

    fn nothing_to_do(&self, writer: &Writer, seqno: SeqNo) -> CommitReceipt {
        let (lsn, synced) = writer.log.appender(|appender| (appender.end(), appender.synced()));
        CommitReceipt { seqno, lsn, durable: synced >= lsn }
    }

    /// Resolves rows under their locks and queues the commit.
    fn enqueue_rows(
        &self,
        rows: Vec<Prepared<'_>>,
        deletes: &[NodeId],
        guard: RowGuard,
        validate: impl FnOnce(&Assigned) -> Result<()>,
    ) -> Result<Enqueued> {
        let (version, seqno) = self.read_point();
        let parts = self.resolve_rows(&version, seqno, &rows, deletes)?;
        self.enqueue(&parts, Arc::new(effects_of(&rows, deletes)), guard, validate)
    }

    /// Prepares a transaction that puts and deletes these nodes, and has read those.
    #[cfg(any(test, feature = "test-switches"))]
    pub(crate) fn prepare_batch(
        self: &Arc<Self>,
        txn: TxnId,
        nodes: &[CodeNode],
        deletes: &[NodeId],
        reads: ReadSet,
    ) -> Result<Lsn> {
        self.make_room()?;
        let writer = self.writer()?;
        let _shared = writer.gate.read();
        let rows = self.prepare_all(nodes, None)?;
        let touched = rows.iter().map(|row| row.id).chain(deletes.iter().copied()).collect();
        let guard = self.take(writer, touched, Locking::Try)?;
        let (version, snapshot) = self.read_point();
        let parts = self.resolve_rows(&version, snapshot, &rows, deletes)?;
        let effects = Effects { transaction: Some(txn), ..effects_of(&rows, deletes) };
        let (parts, effects, level) = (&parts, Arc::new(effects), IsolationLevel::RepeatableRead);
        self.prepare(Preparation { txn, level, snapshot, parts, effects, reads, guard }, |_| Ok(()))
    }

    fn resolve_rows<'a>(
        &self,
        version: &Version,
        seqno: SeqNo,
        rows: &'a [Prepared<'_>],
        deletes: &[NodeId],
    ) -> Result<Parts<'a>> {
        let mut resolved = Vec::with_capacity(rows.len());
        for row in rows {
            let head = RowHead {
                id: row.id,
                created_us: self.created_us(version, seqno, row.id)?.unwrap_or(0),
                norm: row.norm,
                metadata_bytes: row.encoded.len() as u32,
                checksum: RowChecksum::of(row.id, bytemuck::cast_slice(row.vector), &row.encoded),
            };
            resolved.push(NewRow { head, vector: row.vector, metadata: &row.encoded });
        }
        let part_bytes = self.switches.batch_part_bytes.unwrap_or(limits::BATCH_PART_BYTES);
        Parts::new(resolved, deletes, part_bytes, self.settings.load().max_batch_bytes)
    }

    fn prepare_all<'a>(&self, nodes: &'a [CodeNode], path: Option<&str>) -> Result<Vec<Prepared<'a>>> {
        let mut seen = NodeIdSet::with_capacity_and_hasher(nodes.len(), Default::default());
        nodes
            .iter()
            .map(|node| {
                if !seen.insert(node.id) {
                    return Err(Error::invalid(format!("node {} is in this batch twice", node.id)));
                }
                let norm = self.check_vector(node.id, &node.embedding)?;
                let metadata = with_path(node.metadata(), path)
                    .map_err(|error| error.context(format_args!("node {}", node.id)))?;
                let encoded =
                    metadata.encode().map_err(|error| error.context(format_args!("node {}", node.id)))?;
                Ok(Prepared {
                    id: node.id,
                    vector: &node.embedding,
                    norm,
                    metadata: Arc::new(metadata),
                    encoded,
                })
            })
            .collect()
    }

    /// The norm of a vector that may be stored.
    pub(crate) fn check_vector(&self, id: NodeId, vector: &[f32]) -> Result<f32> {
        check_vector(vector, self.dimension, self.metric)
            .map_err(|error| error.context(format_args!("the vector of node {id}")))
    }
}

/// The norm of a vector that can be stored or searched for in a store of this dimension and metric.
pub(crate) fn check_vector(vector: &[f32], dimension: usize, metric: Metric) -> Result<f32> {
    if vector.len() != dimension {
        let message =
            format!("it has {} dimensions, and this store's vectors have {dimension}", vector.len());
        return Err(Error::invalid(message));
    }
    if let Err(at) = check_finite(vector) {
        return Err(Error::invalid(format!("the number at {at} is {}, not finite", vector[at])));
    }
    let norm = norm(vector);
    if !norm.is_finite() {
        return Err(Error::invalid("its length overflows; scale it down"));
    }
    if norm == 0.0 && metric == Metric::Cosine {
        return Err(Error::invalid("it is zero, which has no direction for the cosine metric"));
    }
    Ok(norm)
}

fn effects_of(rows: &[Prepared<'_>], deletes: &[NodeId]) -> Effects {
    let put = |row: &Prepared<'_>| PutEffect {
        id: row.id,
        metadata: row.metadata.clone(),
        norm: row.norm,
        vector: None,
    };
    let puts = rows.iter().map(put).collect();
    let of_rows = rows.iter().map(|row| metadata_bytes(row.encoded.len()));
    let bytes = of_rows.sum::<u64>() + size_of_val(deletes) as u64;
    Effects { puts, deletes: deletes.to_vec(), bytes, ..Effects::default() }
}

fn with_path(mut metadata: NodeMetadata, path: Option<&str>) -> Result<NodeMetadata> {
    match (path, &metadata.path) {
        (None, _) => {}
        (Some(path), None) => metadata.path = Some(path.to_owned()),
        (Some(path), Some(own)) if own == path => {}
        (Some(path), Some(own)) => {
            return Err(Error::invalid(format!("it has the path {own:?}, and {path:?} is being replaced")));
        }
    }
    Ok(metadata)
}

fn guard_ids(ids: &[NodeId]) -> NodeIdSet {
    ids.iter().copied().collect()
}

/// Refuses a predicate write if a commit after its snapshot changed which rows match, or one of
/// the rows that it resolved.
fn validate_predicate(
    ring: &Ring,
    seqno: SeqNo,
    doomed: &NodeIdSet,
    path: Option<&str>,
    filter: Option<&Filter>,
) -> Result<()> {
    let conflicts = |effects: &Effects| {
        let put = |put: &PutEffect| {
            doomed.contains(&put.id)
                || path.is_some_and(|path| put.metadata.path.as_deref() == Some(path))
                || filter.is_some_and(|filter| filter.matches(put.id, &put.metadata))
        };
        effects.puts.iter().any(put) || effects.deletes.iter().any(|id| doomed.contains(id))
    };
    if ring.any_after(seqno, conflicts) {
        let message = "a concurrent commit changed which nodes this write applies to; try again";
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    Ok(())
}
