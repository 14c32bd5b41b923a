//! Two-phase commit: preparing a transaction, deciding it, and listing what is in doubt.

use std::collections::BTreeMap;
use std::sync::Arc;

use codegraph_vector_base::{
    Conflict, ConflictCause, Error, ErrorKind, Lsn, Result, SeqNo, TxnId, limits, wire,
};
use codegraph_vector_storage::wal::Ticket;

use super::commit::{Assigned, CommitReceipt, Enqueued, Pending};
use super::core::Core;
use super::ring::{Effects, Validating, ValidatingGuard};
use crate::consistency::{
    IsolationLevel, LockMode, LockSet, Locks, PreparedTransaction, PreparedTransactions, ReadSet, State,
};
use crate::record::Parts;
use crate::record_prepared::{
    CommitPrepared, Decision, KIND_COMMIT_PREPARED, KIND_PREPARE, KIND_ROLLBACK_PREPARED, RollbackPrepared,
};

/// A prepared transaction that waits for its decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InDoubt {
    /// Its id, by which it is decided.
    pub transaction: TxnId,
    /// The level that it ran at.
    pub isolation_level: IsolationLevel,
    /// When it was prepared, in µs since the Unix epoch.
    pub prepared_us: u64,
    /// Nodes that it stores.
    pub rows: u64,
    /// Nodes that it deletes.
    pub deletes: u64,
    /// Bytes that it takes in the log, and in each manifest until it is decided.
    pub bytes: u64,
}

impl From<&PreparedTransaction> for InDoubt {
    fn from(transaction: &PreparedTransaction) -> Self {
        Self {
            transaction: transaction.head.txn,
            isolation_level: transaction.level,
            prepared_us: transaction.head.prepared_us,
            rows: transaction.head.rows,
            deletes: transaction.head.deletes,
            bytes: transaction.bytes(),
        }
    }
}

/// A transaction that is to be prepared.
pub(crate) struct Preparation<'a> {
    pub(crate) txn: TxnId,
    pub(crate) level: IsolationLevel,
    /// What it has read is of this commit.
    pub(crate) snapshot: SeqNo,
    pub(crate) parts: &'a Parts<'a>,
    pub(crate) reads: ReadSet,
    pub(crate) guard: LockSet,
}

/// What a prepared transaction holds until it is decided.
#[derive(Debug)]
pub(crate) struct Held {
    /// The locks of the nodes that it writes.
    _locks: LockSet,
    /// Commits leave their vectors to be held against what it has searched for.
    _validating: ValidatingGuard,
}

/// Takes again what prepared transactions held, before anyone else can.
///
/// # Errors
/// `Corrupt` if two of them write the same node.
pub(super) fn hold(
    locks: &Arc<Locks>,
    validating: &Validating,
    prepared: &PreparedTransactions,
) -> Result<BTreeMap<TxnId, Held>> {
    let hold = |transaction: &Arc<PreparedTransaction>| {
        let txn = transaction.head.txn;
        let twice = |_| {
            let message = format!("prepared transaction {txn} writes a node that another one writes, too");
            Error::new(ErrorKind::Corrupt, message)
        };
        let mut set = locks.unlisted_owner(txn);
        let nodes = transaction.effects.ids().collect();
        set.try_acquire_all(nodes, LockMode::X).and_then(|()| set.seal()).map_err(twice)?;
        Ok((txn, Held { _locks: set, _validating: validating.enter() }))
    };
    prepared.undecided().map(hold).collect()
}

/// What somebody decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Commit,
    Rollback,
}

impl Core {
    /// Makes a transaction durable, but not visible, if `validate` finds no conflict in the recent commits and nothing that
    /// is prepared is in the way. From then on nobody else can keep it from committing. Whatever the settings say of
    /// durability, it is on the disk when this returns.
    ///
    /// # Errors
    /// `Conflict`; `TooLarge` if all that is prepared would be more than a manifest holds; those of a commit.
    pub(crate) fn prepare(
        &self,
        preparation: Preparation<'_>,
        validate: impl FnOnce(&Assigned) -> Result<()>,
    ) -> Result<Lsn> {
        self.check_complete()?;
        let Preparation { txn, level, snapshot, parts, reads, guard } = preparation;
        let now_us = self.environment.clock.now_us();
        let who = (txn, level, snapshot);
        let mut transaction = PreparedTransaction::new(who, now_us, parts, reads, self.dimension)?;
        let head = wire::encode(&transaction.head)?;
        let writer = self.writer()?;
        let held = Held { _locks: guard, _validating: writer.validating.enter() };
        let (ticket, lsn) = writer.log.enqueue(|assigned, group| {
            validate(assigned)?;
            self.respect_prepared(&assigned.prepared, &transaction.effects, Some(&transaction.reads))?;
            check_room(&assigned.prepared, &transaction)?;
            for (kind, payload) in transaction.records() {
                group.append(kind, &[payload]);
            }
            let lsn = group.append(KIND_PREPARE, &[&head]);
            transaction.lsn = lsn;
            let transaction = Arc::new(transaction);
            assigned.prepared.push(transaction.clone());
            Ok((Pending::Prepare { transaction, held }, lsn))
        })?;
        self.wait_durably(&ticket, lsn)?;
        Ok(lsn)
    }

    /// Refuses what would keep a prepared transaction from committing: effects that change what it has read, or, of who is to be
    /// prepared as well, having read what it changes. Under the log's lock.
    ///
    /// # Errors
    /// `Conflict`, naming that transaction; `Corrupt` if a row that it has to look at is damaged.
    pub(super) fn respect_prepared(
        &self,
        prepared: &[Arc<PreparedTransaction>],
        effects: &Effects,
        reads: Option<&ReadSet>,
    ) -> Result<()> {
        if prepared.is_empty() {
            return Ok(());
        }
        // Who writes a node has its lock, so the last version of it is visible.
        let (version, seqno) = self.read_point();
        let state = State { core: self, version: &version, seqno };
        for other in prepared {
            let by_effects = other.reads.conflict(effects, SeqNo::MAX, &state)?;
            let by_reads = || match reads {
                Some(reads) => reads.conflict(&other.effects, SeqNo::MAX, &state),
                None => Ok(None),
            };
            if let Some(found) = by_effects.map_or_else(by_reads, |found| Ok(Some(found)))? {
                let (cause, transaction) = (ConflictCause::Prepared, Some(other.head.txn));
                return Err(Conflict { cause, transaction, ..found }.into());
            }
        }
        Ok(())
    }

    /// Commits a prepared transaction. If that was done before, its receipt is given again.
    ///
    /// # Errors
    /// `NotFound` if there is no such transaction, or it was decided long ago; `InvalidInput` if it was rolled back; those
    /// of a commit but for `Conflict`.
    pub(crate) fn commit_prepared(self: &Arc<Self>, txn: TxnId) -> Result<CommitReceipt> {
        if self.head.lock().prepared.contains(txn) {
            self.make_room()?;
        }
        let decision = self.decide(txn, Verdict::Commit)?;
        decision.commit.map(|seqno| CommitReceipt { seqno, lsn: decision.lsn, durable: true }).ok_or_else(
            || Error::invalid(format!("transaction {txn} was rolled back; it cannot be committed any more")),
        )
    }

    /// Rolls a prepared transaction back. If that was done before, nothing happens.
    ///
    /// # Errors
    /// `NotFound` if there is no such transaction, or it was decided long ago; `InvalidInput` if it was committed; those of a
    /// commit but for `Conflict`.
    pub(crate) fn rollback_prepared(&self, txn: TxnId) -> Result<()> {
        let decision = self.decide(txn, Verdict::Rollback)?;
        decision.commit.map_or(Ok(()), |seqno| {
            let message =
                format!("transaction {txn} was committed as {seqno}; it cannot be rolled back any more");
            Err(Error::invalid(message))
        })
    }

    /// Decides a transaction, unless that was done before; what was decided, on the disk.
    fn decide(&self, txn: TxnId, verdict: Verdict) -> Result<Decision> {
        loop {
            let known = self.head.lock().prepared.decision(txn);
            if let Some(decision) = known {
                self.sync_beyond(decision.lsn)?;
                return Ok(decision);
            }
            if let Some(Enqueued { ticket, seqno, lsn }) = self.enqueue_decision(txn, verdict)? {
                self.wait_durably(&ticket, lsn)?;
                return Ok(Decision { txn, commit: (verdict == Verdict::Commit).then_some(seqno), lsn });
            }
            // Somebody else is about to decide it; or there is none.
            self.drain()?;
            let head = self.head.lock();
            // If it is in doubt after all, the other decision did not get into the log.
            if head.prepared.decision(txn).is_none() && !head.prepared.contains(txn) {
                let message = format!("no transaction {txn} is prepared here, nor was one lately");
                return Err(Error::new(ErrorKind::NotFound, message));
            }
        }
    }

    /// Queues a decision; `None` if the transaction is not in doubt, as far as is queued.
    fn enqueue_decision(&self, txn: TxnId, verdict: Verdict) -> Result<Option<Enqueued>> {
        let now_us = self.environment.clock.now_us();
        let mut is_known = true;
        self.check_complete()?;
        let queued = self.writer()?.log.enqueue(|assigned, group| {
            let found = assigned.prepared.iter().position(|prepared| prepared.head.txn == txn);
            let at = found.ok_or_else(|| {
                is_known = false;
                Error::new(ErrorKind::NotFound, "not in doubt")
            })?;
            let (seqno, commit_time_us) = assigned.next(now_us);
            let commit = assigned.prepared[at].commit_head(seqno, commit_time_us);
            let commit = (verdict == Verdict::Commit).then_some(commit);
            let (kind, encoded) = match commit {
                Some(commit) => (KIND_COMMIT_PREPARED, wire::encode(&CommitPrepared { txn, commit })?),
                None => (KIND_ROLLBACK_PREPARED, wire::encode(&RollbackPrepared { txn })?),
            };
            let lsn = group.append(kind, &[&encoded]);
            let transaction = assigned.prepared.remove(at);
            commit.iter().for_each(|commit| assigned.commit(commit, transaction.effects.clone()));
            Ok((Pending::Decision { transaction, commit, lsn }, (seqno, lsn)))
        });
        match queued {
            Ok((ticket, (seqno, lsn))) => Ok(Some(Enqueued { ticket, seqno, lsn })),
            Err(_) if !is_known => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until a record is in the log and applied, and syncs the log if that was not done.
    fn wait_durably(&self, ticket: &Arc<Ticket>, lsn: Lsn) -> Result<()> {
        if self.wait_for(ticket)?.durable { Ok(()) } else { self.sync_beyond(lsn) }
    }

    /// Makes the record at a position durable.
    pub(crate) fn sync_beyond(&self, lsn: Lsn) -> Result<()> {
        let writer = self.writer()?;
        if writer.log.appender(|appender| appender.synced()) <= lsn {
            let _ = self.leave_note(writer, writer.log.sync()?);
        }
        Ok(())
    }

    /// What a transaction writes that is prepared and not decided.
    pub(crate) fn prepared_effects(&self, txn: TxnId) -> Option<Arc<Effects>> {
        self.head.lock().prepared.get(txn).map(|transaction| transaction.effects.clone())
    }

    /// What is prepared and not decided, by id. In a read-only store, as of its last refresh.
    pub(crate) fn in_doubt(&self) -> Result<Vec<InDoubt>> {
        self.check_open()?;
        let head = self.head.lock();
        Ok(head.prepared.undecided().map(|transaction| InDoubt::from(&**transaction)).collect())
    }
}

/// Refuses what no manifest could hold beside the others.
fn check_room(others: &[Arc<PreparedTransaction>], transaction: &PreparedTransaction) -> Result<()> {
    let taken: u64 = others.iter().map(|other| other.bytes()).sum();
    let bytes = transaction.bytes();
    if taken + bytes <= limits::MAX_PREPARED_BYTES {
        return Ok(());
    }
    let message = format!(
        "this transaction takes {bytes} bytes, and those that are prepared already {taken}, of {} for all together: decide \
         some of them, or split it",
        limits::MAX_PREPARED_BYTES
    );
    Err(Error::new(ErrorKind::TooLarge, message))
}

#[cfg(test)]
#[path = "prepared_tests.rs"]
mod tests;
