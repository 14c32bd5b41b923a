//! Writes: from nodes, ids and filters to resolved rows in a commit.

use std::sync::Arc;

use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, SeqNo, TxnId};

use super::commit::{Assigned, CommitReceipt, Enqueued};
use super::core::{Core, Writer};
use super::pending_row::PendingRow;
use crate::consistency::{LockMode, LockSet, LockWait, Predicate, ReadSet, State};
use crate::filter::Filter;
use crate::id_map::NodeIdSet;
use crate::node::{CodeNode, check_path};
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

/// What a predicate write comes to at a snapshot.
struct Plan<'a> {
    version: Arc<Version>,
    seqno: SeqNo,
    rows: Vec<PendingRow<'a>>,
    doomed: Vec<NodeId>,
    predicate: Predicate,
}

impl Plan<'_> {
    fn touched(&self) -> Vec<NodeId> {
        self.doomed.iter().copied().chain(self.rows.iter().map(|row| row.id)).collect()
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
            Write::DeleteByFilter(_) | Write::ReplacePath { .. } => {
                self.predicate_write(writer, write, locking)?
            }
        };
        Ok(PendingWrite { core: self.clone(), deleted, state })
    }

    fn put(&self, writer: &Writer, nodes: &[CodeNode], locking: Locking) -> Result<(u64, Queued)> {
        if nodes.is_empty() {
            return Err(Error::invalid("the batch is empty: there is nothing to store"));
        }
        let rows = self.pending_rows(nodes, None)?;
        let guard = self.take(writer, rows.iter().map(|row| row.id).collect(), locking)?;
        let _shared = writer.gate.read();
        let enqueued = self.enqueue_rows(None, &all(&rows), &[], guard, |_| Ok(()))?;
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
        let row = PendingRow::new(id, vector.into(), norm, row.metadata()?, encoded);
        let enqueued = self.enqueue_rows(None, &[&row], &[], guard, |_| Ok(()))?;
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
            return Ok((0, Queued::Nothing(self.nothing_to_do(seqno))));
        }
        let enqueued = self.enqueue_rows(None, &[], &live, guard, |_| Ok(()))?;
        Ok((live.len() as u64, Queued::Commit(enqueued)))
    }

    /// A write that depends on which rows match: it conflicts with commits since its snapshot that
    /// change that, and starts again.
    fn predicate_write(&self, writer: &Writer, write: &Write<'_>, locking: Locking) -> Result<(u64, Queued)> {
        for _ in 0..OPTIMISTIC_ATTEMPTS {
            let plan = self.plan(write)?;
            let guard = self.take(writer, plan.touched(), locking)?;
            let _shared = writer.gate.read();
            match self.carry_out(writer, plan, guard) {
                Err(error) if error.kind() == ErrorKind::Conflict && locking == Locking::Wait => {}
                outcome => return outcome,
            }
        }
        let mut guard = self.take(writer, Vec::new(), locking)?;
        loop {
            // Alone: whoever was queued is committed first, and nobody can get in between. Locks are waited for
            // outside: those who have them may wait at the gate.
            let alone = writer.gate.write();
            self.drain()?;
            let plan = self.plan(write)?;
            let touched = plan.touched();
            if guard.try_acquire_all(touched.clone(), LockMode::X).is_ok() {
                return self.carry_out(writer, plan, guard);
            }
            drop(alone);
            drop(guard);
            guard = self.take(writer, touched, locking)?;
        }
    }

    /// What a predicate write comes to as things are.
    fn plan<'a>(&self, write: &Write<'a>) -> Result<Plan<'a>> {
        let (version, seqno) = self.read_point();
        let (rows, matching, predicate) = match write {
            Write::ReplacePath { path, nodes } => {
                check_path(path)?;
                let matching = self.ids_of_path(&version, seqno, path)?;
                (self.pending_rows(nodes, Some(path))?, matching, Predicate::Path((*path).to_owned()))
            }
            Write::DeleteByFilter(filter) => {
                let matching = self.matching_ids(&version, seqno, filter)?;
                (Vec::new(), matching, Predicate::Matching((*filter).clone()))
            }
            _ => return Err(Error::invalid("this write has no predicate")),
        };
        let staying: NodeIdSet = rows.iter().map(|row| row.id).collect();
        let doomed = matching.into_iter().filter(|id| !staying.contains(id)).collect();
        Ok(Plan { version, seqno, rows, doomed, predicate })
    }

    fn carry_out(&self, writer: &Writer, plan: Plan<'_>, guard: LockSet) -> Result<(u64, Queued)> {
        let Plan { version, seqno, rows, doomed, predicate } = plan;
        let mut reads = ReadSet::default();
        reads.watch(seqno, predicate, Some(doomed.iter().copied().collect()));
        let state = State { core: self, version: &version, seqno };
        let validate = |assigned: &Assigned| reads.validate_rest(&state, &assigned.ring, None);
        if rows.is_empty() && doomed.is_empty() {
            // Still a claim that nothing matches, which a queued commit may contradict.
            writer.log.with_state(|assigned| validate(assigned))?;
            return Ok((0, Queued::Nothing(self.nothing_to_do(seqno))));
        }
        let enqueued = self.enqueue_rows(None, &all(&rows), &doomed, guard, validate)?;
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

    /// What a write is told that changes nothing.
    pub(crate) fn nothing_to_do(&self, seqno: SeqNo) -> CommitReceipt {
        let Some(writer) = &self.writer else {
            return CommitReceipt { seqno, lsn: self.head.lock().cut.lsn, durable: true };
        };
        let (lsn, synced) = writer.log.appender(|appender| (appender.end(), appender.synced()));
        CommitReceipt { seqno, lsn, durable: synced >= lsn }
    }

    /// Resolves rows under their locks and queues the commit.
    ///
    /// # Errors
    /// Those of `validate`; `TooLarge`; `ReadOnly` and `Closed`.
    pub(crate) fn enqueue_rows(
        &self,
        transaction: Option<TxnId>,
        rows: &[&PendingRow<'_>],
        deletes: &[NodeId],
        guard: LockSet,
        validate: impl FnOnce(&Assigned) -> Result<()>,
    ) -> Result<Enqueued> {
        let (version, seqno) = self.read_point();
        let parts = self.resolve_rows(&version, seqno, rows, deletes)?;
        let effects = self.writer()?.effects(transaction, rows, deletes);
        self.enqueue(&parts, Arc::new(effects), guard, validate)
    }
}

fn all<'a, 'v>(rows: &'a [PendingRow<'v>]) -> Vec<&'a PendingRow<'v>> {
    rows.iter().collect()
}
