//! The end of a transaction: commit, the first phase of two, rollback.
//!
//! A commit is validated against what others have committed since, mostly before it comes to the log, so that it holds
//! nobody up there; then it is one commit of the log like any other. Its locks go along and are free once it is visible.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_base::{Error, NodeId, Result, TxnId};

use super::cell::{Body, Call, Cell, End, Open, View};
use super::lock::LockSet;
use super::manager::TransactionInfo;
use super::operation::VectorOperation;
use super::state::State;
use super::write_set::WriteSet;
use crate::id_map::NodeIdSet;
use crate::node::{CodeNode, NodeMetadata};
use crate::store::core::Core;
use crate::store::{CommitReceipt, Preparation};

impl Cell {
    /// Commits it, prepared or not.
    pub(crate) fn commit(&self, core: &Arc<Core>) -> Result<CommitReceipt> {
        let call = Call { core, cell: self };
        let mut body = self.enter(core)?;
        let open = match &mut *body {
            Body::Ended(end) if !core.is_decided(self.id) => return Err(end.refusal(self.id)),
            Body::Open(open) => open,
            Body::Ended(_) | Body::Prepared => {
                drop(body);
                return core.commit_in_doubt(self.id);
            }
        };
        let outcome = open.timed(call, Open::commit);
        let end = match &outcome {
            Ok(_) => End::Committed,
            Err(error) => End::Failed(error.clone()),
        };
        call.end(&mut body, end);
        outcome
    }

    /// Makes it ready to commit, whatever happens.
    pub(crate) fn prepare(&self, core: &Arc<Core>) -> Result<()> {
        let call = Call { core, cell: self };
        let mut body = self.enter(core)?;
        let Body::Open(open) = &mut *body else { return Err(body.refusal(self.id)) };
        if let Err(error) = open.timed(call, Open::prepare) {
            call.end(&mut body, End::Failed(error.clone()));
            return Err(error);
        }
        core.transactions.took(call, open);
        *body = Body::Prepared;
        core.transactions.prepared();
        Ok(())
    }

    /// Takes it back; returns what restores the state before it from the state that it would have made.
    pub(crate) fn rollback(&self, core: &Arc<Core>) -> Result<Vec<VectorOperation>> {
        let call = Call { core, cell: self };
        let mut body = self.enter(core)?;
        let inverse = match &*body {
            Body::Ended(end) if !core.is_decided(self.id) => return Err(end.refusal(self.id)),
            Body::Open(open) => inverse(core, written(&open.writes)),
            Body::Ended(_) | Body::Prepared => {
                drop(body);
                return core.rollback_in_doubt(self.id);
            }
        };
        call.end(&mut body, End::RolledBack);
        inverse
    }

    /// What there is to tell of it.
    pub(crate) fn info(&self, now: Duration) -> TransactionInfo {
        let since = |then: Duration| now.saturating_sub(then).as_millis() as u64;
        TransactionInfo {
            id: self.id,
            level: self.rules.level,
            age_ms: since(self.begun),
            idle_ms: since(self.last_used()),
        }
    }
}

impl Open {
    /// Counts the time that an end takes.
    fn timed<R>(&mut self, call: Call<'_>, end: impl FnOnce(&mut Self, Call<'_>) -> Result<R>) -> Result<R> {
        let clock = &call.core.environment.clock;
        let begun = clock.monotonic();
        let outcome = end(self, call);
        self.committing += clock.monotonic().saturating_sub(begun);
        outcome
    }

    fn commit(&mut self, call: Call<'_>) -> Result<CommitReceipt> {
        let core = call.core;
        if core.writer.is_none() || self.writes.is_empty() {
            // Who only reads does not validate.
            let read = self.view.as_ref().map(|view| view.1);
            return Ok(core.nothing_to_do(read.unwrap_or_else(|| core.visible())));
        }
        let last = core.visible();
        core.make_room()?;
        let (view, rows, deletes) = (self.view(call), self.writes.puts(), self.deletes(core)?);
        let state = state(core, &view);
        let validated = self.reads.validate(&state)?;
        if rows.is_empty() && deletes.is_empty() {
            // Nothing is left to do, maybe since others did it first: that a filter's nodes were deleted is a claim all the same.
            let writer = core.writer()?;
            writer.log.with_state(|assigned| self.reads.validate_rest(&state, &assigned.ring, validated))?;
            return Ok(core.nothing_to_do(last));
        }
        let locks = sealed(&mut self.locks)?;
        let shared = core.writer()?.gate.read();
        let enqueued = core.enqueue_rows(Some(call.cell.id), &rows, &deletes, locks, |assigned| {
            self.reads.validate_rest(&state, &assigned.ring, validated)
        })?;
        drop(shared);
        core.wait(&enqueued)
    }

    fn prepare(&mut self, call: Call<'_>) -> Result<()> {
        let core = call.core;
        core.make_room()?;
        let (view, rows, deletes) = (self.view(call), self.writes.puts(), self.deletes(core)?);
        let state = state(core, &view);
        let validated = self.reads.validate(&state)?;
        let guard = sealed(&mut self.locks)?;
        let writer = core.writer()?;
        let _shared = writer.gate.read();
        let (version, now) = core.read_point();
        // A restart frees locks of nodes that it does not write: what it found there has to stay all the same.
        let mut reads = self.reads.clone();
        let written: NodeIdSet = rows.iter().map(|row| row.id).chain(deletes.iter().copied()).collect();
        reads.keep(now, guard.nodes().iter().copied().filter(|id| !written.contains(id)));
        let preparation = Preparation {
            txn: call.cell.id,
            level: call.cell.rules.level,
            snapshot: view.1,
            parts: &core.resolve_rows(&version, now, &rows, &deletes)?,
            reads,
            guard,
        };
        core.prepare(preparation, |assigned| self.reads.validate_rest(&state, &assigned.ring, validated))?;
        Ok(())
    }

    /// The deletes of nodes that are there. Their locks are held, so that they stay.
    fn deletes(&self, core: &Core) -> Result<Vec<NodeId>> {
        let (version, seqno) = core.read_point();
        let mut deletes = Vec::new();
        for id in self.writes.deletes() {
            if core.contains(&version, seqno, id)? {
                deletes.push(id);
            }
        }
        Ok(deletes)
    }
}

fn state<'a>(core: &'a Core, view: &'a View) -> State<'a> {
    State { core, version: &view.0, seqno: view.1 }
}

/// The locks, on their way to the log: nobody takes them over any more.
fn sealed(locks: &mut Option<LockSet>) -> Result<LockSet> {
    let none = || Error::invalid("a store that was opened read-only prepares no transactions");
    let locks = locks.take().ok_or_else(none)?;
    locks.seal()?;
    Ok(locks)
}

/// A node that was written, and the metadata of the row that was put, if one was.
type Written<'a> = (NodeId, Option<&'a NodeMetadata>);

fn written(writes: &WriteSet) -> impl Iterator<Item = Written<'_>> {
    writes.iter().map(|(id, change)| (id, change.row().map(|row| &*row.metadata)))
}

impl Core {
    /// Commits a prepared transaction, whichever process has prepared it.
    pub(crate) fn commit_in_doubt(self: &Arc<Self>, transaction: TxnId) -> Result<CommitReceipt> {
        let receipt = self.commit_prepared(transaction)?;
        self.end_here(transaction, End::Committed);
        Ok(receipt)
    }

    /// The same back; with what restores the state before it from the state that it would have made.
    pub(crate) fn rollback_in_doubt(self: &Arc<Self>, transaction: TxnId) -> Result<Vec<VectorOperation>> {
        // Its locks keep the nodes as they are until the decision.
        let inverse = match self.prepared_effects(transaction) {
            Some(effects) => {
                let puts = effects.puts.iter().map(|put| (put.id, Some(&*put.metadata)));
                inverse(self, puts.chain(effects.deletes.iter().map(|id| (*id, None))))
            }
            None => Ok(Vec::new()),
        };
        self.rollback_prepared(transaction)?;
        self.end_here(transaction, End::RolledBack);
        inverse
    }

    /// Whether a prepared transaction has been decided, so that deciding it again says how.
    pub(crate) fn is_decided(&self, transaction: TxnId) -> bool {
        self.head.lock().prepared.decision(transaction).is_some()
    }

    /// Ends what is left of a transaction in this process, if it was prepared here.
    fn end_here(self: &Arc<Self>, transaction: TxnId, end: End) {
        if let Ok(cell) = self.transactions.find(transaction) {
            cell.settle(self, end);
        }
    }
}

/// What restores the nodes that were written as they are without it.
fn inverse<'a>(core: &Core, written: impl Iterator<Item = Written<'a>>) -> Result<Vec<VectorOperation>> {
    let (version, seqno) = core.read_point();
    let before = State { core, version: &version, seqno };
    let mut operations = Vec::new();
    for (node_id, put) in written {
        let Some(row) = before.row(node_id)? else {
            operations.extend(put.map(|_| VectorOperation::Delete { node_id }));
            continue;
        };
        let metadata = NodeMetadata::decode(&row.encoded)?;
        operations.push(if put == Some(&metadata) {
            VectorOperation::Update { node_id, new_vector: row.vector }
        } else {
            VectorOperation::Put(CodeNode::from_parts(node_id, row.vector, metadata))
        });
    }
    Ok(operations)
}
