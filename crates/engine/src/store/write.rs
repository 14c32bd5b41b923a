//! Writes: from nodes, ids and filters to resolved rows in a commit.

use std::sync::Arc;

use codegraph_vector_ann::{Metric, check_finite, norm};
use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, RowChecksum, SeqNo, limits};

use super::commit::{CommitReceipt, Enqueued};
use super::core::{Core, Writer};
use super::ring::{Effects, PutEffect, Ring};
use crate::consistency::{LockMode, LockSet, LockWait};
use crate::filter::Filter;
use crate::id_map::NodeIdSet;
use crate::memtable::metadata_bytes;
use crate::node::{CodeNode, NodeMetadata, check_path};
use crate::record::{NewRow, Parts, RowHead};
use crate::version::Version;

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

/// What to do about nodes that another write or transaction has locked.
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

/// Which rows a write is about, where that depends on what there is.
enum Predicate<'a> {
    Filter(&'a Filter),
    /// And what is to be there instead.
    Path(&'a str, &'a [CodeNode]),
}

/// What a predicate write comes to at a snapshot.
struct Plan<'a> {
    seqno: SeqNo,
    prepared: Vec<Prepared<'a>>,
    doomed: Vec<NodeId>,
}

impl Plan<'_> {
    fn touched(&self) -> Vec<NodeId> {
        self.doomed.iter().copied().chain(self.prepared.iter().map(|row| row.id)).collect()
    }
}

impl Core {
    /// Prepares a write and queues it.
    pub(crate) fn submit(self: &Arc<Self>, write: &Write<'_>, locking: Locking) -> Result<PendingWrite> {
        self.make_room()?;
        let writer = self.writer()?;
        let (deleted, state) = match write {
            Write::Put(nodes) => self.put(writer, nodes, locking)?,
            Write::UpdateVector { id, vector } => self.update_vector(writer, *id, vector, locking)?,
            Write::Delete(ids) => self.delete(writer, ids, locking)?,
            Write::DeleteByFilter(filter) => {
                self.predicate_write(writer, &Predicate::Filter(filter), locking)?
            }
            Write::ReplacePath { path, nodes } => {
                check_path(path)?;
                self.predicate_write(writer, &Predicate::Path(path, nodes), locking)?
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
        let _shared = writer.gate.read();
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
        let _shared = writer.gate.read();
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
        let _shared = writer.gate.read();
        let (version, seqno) = self.read_point();
        let mut live = Vec::new();
        for id in guard.nodes() {
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
    fn predicate_write(
        &self,
        writer: &Writer,
        predicate: &Predicate<'_>,
        locking: Locking,
    ) -> Result<(u64, Queued)> {
        for _ in 0..OPTIMISTIC_ATTEMPTS {
            let plan = self.plan(predicate)?;
            let guard = self.take(writer, plan.touched(), locking)?;
            let _shared = writer.gate.read();
            match self.carry_out(writer, predicate, plan, guard) {
                Err(error) if error.kind() == ErrorKind::Conflict && locking == Locking::Wait => {}
                outcome => return outcome,
            }
        }
        let mut guard = self.take(writer, Vec::new(), locking)?;
        loop {
            // Alone: whoever was queued is committed first, and nobody can get in between. Those who have locks may be
            // waiting at the gate, so locks are waited for outside.
            let alone = writer.gate.write();
            self.drain()?;
            let plan = self.plan(predicate)?;
            let touched = plan.touched();
            if guard.try_acquire_all(touched.clone(), LockMode::X).is_ok() {
                return self.carry_out(writer, predicate, plan, guard);
            }
            drop(alone);
            drop(guard);
            guard = self.take(writer, touched, locking)?;
        }
    }

    fn plan<'a>(&self, predicate: &Predicate<'a>) -> Result<Plan<'a>> {
        let (version, seqno) = self.read_point();
        let (prepared, matching) = match predicate {
            Predicate::Path(path, nodes) => {
                (self.prepare_all(nodes, Some(path))?, self.ids_of_path(&version, seqno, path)?)
            }
            Predicate::Filter(filter) => (Vec::new(), self.matching_ids(&version, seqno, filter)?),
        };
        let staying: NodeIdSet = prepared.iter().map(|row| row.id).collect();
        let doomed = matching.into_iter().filter(|id| !staying.contains(id)).collect();
        Ok(Plan { seqno, prepared, doomed })
    }

    fn carry_out(
        &self,
        writer: &Writer,
        predicate: &Predicate<'_>,
        plan: Plan<'_>,
        guard: LockSet,
    ) -> Result<(u64, Queued)> {
        let Plan { seqno, prepared, doomed } = plan;
        let doomed_ids: NodeIdSet = doomed.iter().copied().collect();
        let validate = |ring: &Ring| validate_predicate(ring, seqno, &doomed_ids, predicate);
        if prepared.is_empty() && doomed.is_empty() {
            // Still a claim that nothing matches, which a queued commit may contradict.
            writer.log.with_state(|assigned| validate(&assigned.ring))?;
            return Ok((0, Queued::Nothing(self.nothing_to_do(writer, seqno))));
        }
        let enqueued = self.enqueue_rows(prepared, &doomed, guard, validate)?;
        Ok((doomed.len() as u64, Queued::Commit(enqueued)))
    }

    /// Locks nodes to write them.
    fn take(&self, writer: &Writer, ids: Vec<NodeId>, locking: Locking) -> Result<LockSet> {
        let id = writer.next_txn_id();
        let wait = LockWait {
            deadline: None,
            clock: &*self.environment.clock,
            policy: self.settings.load().transactions.deadlocks,
            meanwhile: &|| writer.log.drain(self),
        };
        loop {
            let mut locks = writer.locks.unlisted_owner(id);
            let taken = match locking {
                Locking::Wait => locks.acquire_all(ids.clone(), LockMode::X, &wait),
                Locking::Try => locks.try_acquire_all(ids.clone(), LockMode::X),
            };
            match (taken.and_then(|()| locks.seal()), locking) {
                (Ok(()), _) => return Ok(locks),
                (Err(conflict), Locking::Try) => return Err(conflict.into()),
                // It has to give way to a transaction. Nothing was done yet, so it frees what it has and asks again, as old
                // as it was.
                (Err(_), Locking::Wait) => {}
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
        guard: LockSet,
        validate: impl FnOnce(&Ring) -> Result<()>,
    ) -> Result<Enqueued> {
        let (version, seqno) = self.read_point();
        let parts = self.resolve_rows(&version, seqno, &rows, deletes)?;
        let put = |row: &Prepared<'_>| PutEffect {
            id: row.id,
            metadata: row.metadata.clone(),
            norm: row.norm,
            vector: None,
        };
        let puts = rows.iter().map(put).collect();
        let of_rows = rows.iter().map(|row| metadata_bytes(row.encoded.len()));
        let bytes = of_rows.sum::<u64>() + size_of_val(deletes) as u64;
        let effects = Effects { puts, deletes: deletes.to_vec(), bytes, ..Effects::default() };
        self.enqueue(&parts, Arc::new(effects), guard, validate)
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

/// Refuses a predicate write if a commit after its snapshot changed which rows match, or one of
/// the rows that it resolved.
fn validate_predicate(
    ring: &Ring,
    seqno: SeqNo,
    doomed: &NodeIdSet,
    predicate: &Predicate<'_>,
) -> Result<()> {
    let conflicts = |effects: &Effects| {
        let matches = |put: &PutEffect| match predicate {
            Predicate::Path(path, _) => put.metadata.path.as_deref() == Some(path),
            Predicate::Filter(filter) => filter.matches(put.id, &put.metadata),
        };
        let put = |put: &PutEffect| doomed.contains(&put.id) || matches(put);
        effects.puts.iter().any(put) || effects.deletes.iter().any(|id| doomed.contains(id))
    };
    if ring.any_after(seqno, conflicts) {
        let message = "a concurrent commit changed which nodes this write applies to; try again";
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    Ok(())
}
