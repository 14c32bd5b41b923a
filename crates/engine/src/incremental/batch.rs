//! A batch on its way into the log: prepared, locked, resolved, queued, and waited for.
//!
//! What always holds: an operation is in one commit as a whole; one that cannot be done fails alone; of two on the same node
//! the second is never done if the first is put off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use codegraph_vector_base::{Conflict, ConflictCause, Error, ErrorKind, NodeId, Result};
use rayon::prelude::*;

use super::config::Moment;
use super::graph::TaskId;
use super::pipeline::{Pipeline, Task};
use super::prepare::Prepared;
use super::resolve::{Resolver, Step};
use crate::consistency::{LockMode, LockSet, Predicate, ReadSet, State};
use crate::id_map::NodeIdSet;
use crate::store::{CommitReceipt, Enqueued, WriteOutcome};

/// Races for a path that a batch loses before it is put off.
const ATTEMPTS: usize = 4;

/// A task at work.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: TaskId,
    pub(super) task: Task,
    /// None while it is not known.
    pub(super) fate: Option<Fate>,
    /// The nodes that go if it replaces a path.
    doomed: Vec<NodeId>,
}

/// What became of a task.
#[derive(Debug)]
pub(super) enum Fate {
    Done(Result<WriteOutcome>),
    /// Something was in the way that may pass.
    Later(Error),
}

/// A batch that was numbered, or changed nothing.
struct Placed {
    commit: Result<Enqueued, CommitReceipt>,
    /// Of each open item how many nodes are gone by it.
    outcomes: Vec<Result<u64>>,
}

impl Item {
    pub(super) fn new((id, task): (TaskId, Task)) -> Self {
        Self { id, task, fate: None, doomed: Vec::new() }
    }

    fn is_open(&self) -> bool {
        self.fate.is_none()
    }

    /// All nodes that it writes, as far as is known.
    fn ids(&self) -> impl Iterator<Item = NodeId> {
        let prepared = self.task.prepared.iter().flat_map(Prepared::ids);
        let given = self.task.operation.iter().flat_map(|operation| operation.node_ids());
        prepared.chain(given).chain(self.doomed.iter().copied())
    }
}

fn open(items: &mut [Item]) -> impl Iterator<Item = &mut Item> {
    items.iter_mut().filter(|item| item.is_open())
}

/// Puts off what writes one of these nodes.
fn put_off(items: &mut [Item], error: &Error, concerned: impl Fn(NodeId) -> bool) {
    for item in open(items) {
        if item.ids().any(&concerned) {
            item.fate = Some(Fate::Later(error.clone()));
        }
    }
}

impl Pipeline {
    /// Carries a batch out; each item has its fate afterwards.
    pub(super) fn carry_out(&self, items: &mut [Item]) {
        let mut is_queued = false;
        let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt(items, &mut is_queued)));
        let error = match attempt {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => self.panicked(is_queued),
        };
        let of_one = matches!(error.kind(), ErrorKind::Internal | ErrorKind::TooLarge | ErrorKind::Corrupt);
        if !of_one || is_queued || open(items).count() < 2 {
            open(items).for_each(|item| item.fate = Some(fate(&error)));
            return;
        }
        // One of them is to blame: each is on its own, and those who would follow one that is put off are, too.
        let mut waiting = NodeIdSet::default();
        for item in open(items) {
            if item.ids().any(|id| waiting.contains(&id)) {
                item.fate = Some(Fate::Later(error.clone()));
                continue;
            }
            self.carry_out(std::slice::from_mut(item));
            if let Some(Fate::Later(_)) = item.fate {
                waiting.extend(item.ids());
            }
        }
    }

    /// What a batch is told whose worker panicked.
    fn panicked(&self, is_queued: bool) -> Error {
        self.counters.panics.fetch_add(1, Ordering::Relaxed);
        if is_queued {
            let message = "a worker panicked behind the commit, which may or may not have come about";
            return Error::new(ErrorKind::OutcomeUnknown, message);
        }
        Error::new(ErrorKind::Internal, "a worker panicked over this; nothing of it was written")
    }

    fn attempt(&self, items: &mut [Item], is_queued: &mut bool) -> Result<()> {
        self.prepare(items);
        if open(items).next().is_none() {
            return Ok(());
        }
        self.core.make_room_within(self.config.max_segment_size)?;
        self.config.look(Moment::Commit(open(items).count()));
        for _ in 0..ATTEMPTS {
            let Some(guard) = self.lock(items)? else { return Ok(()) };
            match self.place(items, guard) {
                Ok(placed) => return self.conclude(items, placed, is_queued),
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    // A transaction in doubt may have read what is written here, and stays in the way.
                    let node = error.conflict().and_then(|conflict| conflict.node);
                    if let Some(node) = node {
                        put_off(items, &error, |id| id == node);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(Conflict::new(ConflictCause::Predicate).into())
    }

    /// Prepares what is not prepared yet. What panics or cannot be done fails alone.
    fn prepare(&self, items: &mut [Item]) {
        let prepare = |item: &mut Item| {
            let Some(operation) = item.task.operation.take() else { return };
            let first = operation.node_ids().next();
            let prepared = catch_unwind(AssertUnwindSafe(|| {
                self.config.look(Moment::Prepare(first));
                Prepared::of(&self.core, operation)
            }));
            match prepared.unwrap_or_else(|_| Err(self.panicked(false))) {
                Ok(prepared) => item.task.prepared = Some(prepared),
                Err(error) => item.fate = Some(Fate::Done(Err(error))),
            }
        };
        let weight: usize = items.iter().map(|item| item.task.weight).sum();
        if weight < self.config.parallel_threshold || items.len() < 2 {
            items.iter_mut().for_each(prepare);
        } else {
            items.par_iter_mut().for_each(prepare);
        }
    }

    /// Locks the nodes that the batch writes. What others have locked is put off; `None` if that is all of it.
    fn lock(&self, items: &mut [Item]) -> Result<Option<LockSet>> {
        let (core, writer) = (&self.core, self.core.writer()?);
        let mut drained = false;
        loop {
            let (version, seqno) = core.read_point();
            let mut ids = Vec::new();
            for item in open(items) {
                if let Some(Prepared::Replace { path, .. }) = &item.task.prepared {
                    item.doomed = core.ids_of_path(&version, seqno, path)?;
                }
                ids.extend(item.ids());
            }
            if ids.is_empty() && open(items).next().is_none() {
                return Ok(None);
            }
            let mut guard = writer.locks.unlisted_owner(writer.next_txn_id());
            let Err(conflict) = guard.try_acquire_all(ids, LockMode::X).and_then(|()| guard.seal()) else {
                return Ok(Some(guard));
            };
            drop(guard);
            if !std::mem::replace(&mut drained, true) {
                // It may be a commit in the log's queue that nobody waits for.
                core.drain()?;
                continue;
            }
            let node = conflict.node;
            put_off(items, &conflict.into(), |id| node.is_none_or(|node| node == id));
            // The replacement of a path where nothing is by nothing has no node, but needs the store's lock.
            if node.is_none() {
                return Err(Conflict::new(ConflictCause::LockTimeout).into());
            }
        }
    }

    /// Resolves what is open, under its locks, and queues the commit.
    ///
    /// # Errors
    /// `Conflict` if others have changed what is under a path meanwhile, or a transaction in doubt is in the way.
    fn place(&self, items: &mut [Item], guard: LockSet) -> Result<Placed> {
        let (core, writer) = (&self.core, self.core.writer()?);
        let _shared = writer.gate.read();
        let (version, seqno) = core.read_point();
        let mut reads = ReadSet::default();
        let locked: NodeIdSet = guard.nodes().iter().copied().collect();
        let mut steps = Vec::new();
        for item in items.iter().filter(|item| item.is_open()) {
            let Some(prepared) = &item.task.prepared else { continue };
            let mut doomed = Vec::new();
            if let Prepared::Replace { path, rows } = prepared {
                let staying: NodeIdSet = rows.iter().map(|row| row.id).collect();
                doomed = core.ids_of_path(&version, seqno, path)?;
                doomed.retain(|id| !staying.contains(id));
                if doomed.iter().any(|id| !locked.contains(id)) {
                    return Err(Conflict::new(ConflictCause::Predicate).into());
                }
                let matched = Some(doomed.iter().copied().collect());
                reads.watch(seqno, Predicate::Path(path.clone()), matched);
            }
            steps.push(Step { prepared, doomed });
        }
        self.check_apart(&steps)?;
        let Self { config, .. } = self;
        let (mode, parallel_threshold) = (config.mode, config.parallel_threshold);
        let resolver = Resolver { core, version: &version, seqno, mode, parallel_threshold };
        let resolved = resolver.resolve(&steps)?;
        let state = State { core, version: &version, seqno };
        let rows = resolved.rows();
        let commit = if rows.is_empty() && resolved.deletes.is_empty() {
            writer.log.with_state(|assigned| reads.validate_rest(&state, &assigned.ring, None))?;
            Err(core.nothing_to_do(seqno))
        } else {
            Ok(core.enqueue_rows(None, &rows, &resolved.deletes, guard, |assigned| {
                reads.validate_rest(&state, &assigned.ring, None)
            })?)
        };
        Ok(Placed { commit, outcomes: resolved.outcomes })
    }

    /// Refuses a batch in which a node is written that another of its operations deletes with a path: others have just
    /// moved it there.
    fn check_apart(&self, steps: &[Step<'_>]) -> Result<()> {
        let doomed: NodeIdSet = steps.iter().flat_map(|step| step.doomed.iter().copied()).collect();
        match steps.iter().flat_map(|step| step.prepared.ids()).find(|id| doomed.contains(id)) {
            Some(id) => Err(Conflict::new(ConflictCause::Predicate).on_node(id).into()),
            None => Ok(()),
        }
    }

    /// Waits until the commit is acknowledged, and durable if it has to be.
    fn conclude(&self, items: &mut [Item], placed: Placed, is_queued: &mut bool) -> Result<()> {
        let receipt = match placed.commit {
            Ok(enqueued) => {
                *is_queued = true;
                self.config.look(Moment::Queued(placed.outcomes.len()));
                self.core.wait(&enqueued)?
            }
            Err(receipt) => receipt,
        };
        let receipt = self.make_durable(receipt)?;
        for (item, outcome) in open(items).zip(placed.outcomes) {
            let outcome = outcome.map(|deleted| WriteOutcome { receipt, deleted });
            item.fate = Some(Fate::Done(outcome));
        }
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn make_durable(&self, receipt: CommitReceipt) -> Result<CommitReceipt> {
        if receipt.durable || self.config.acknowledge_unsynced {
            return Ok(receipt);
        }
        self.core.sync_beyond(receipt.lsn)?;
        Ok(CommitReceipt { durable: true, ..receipt })
    }
}

fn fate(error: &Error) -> Fate {
    match error.kind() {
        ErrorKind::Conflict | ErrorKind::StorageFull | ErrorKind::Busy => Fate::Later(error.clone()),
        _ => Fate::Done(Err(error.clone())),
    }
}
