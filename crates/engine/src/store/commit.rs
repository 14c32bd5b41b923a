//! From a prepared write to a commit: numbering, group commit, apply, publish.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_base::{Error, Lsn, Result, SeqNo, wire};
use codegraph_vector_storage::wal::{Committed, GroupEnd, LogHooks, SyncNote, SyncPolicy, Ticket};

use super::apply::{Commit, Entry, advance};
use super::core::{Core, Head, NOTHING_NOTED, Writer};
use super::prepared::Held;
use super::ring::{Effects, Ring};
use crate::consistency::{LockSet, PreparedTransaction};
use crate::node::NodeMetadata;
use crate::options::Durability;
use crate::record::{CommitHead, KIND_COMMIT, Parts, parse_parts};
use crate::record_prepared::{CommitPrepared, RollbackPrepared};
use crate::version::Cut;

/// What a write was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitReceipt {
    /// The commit's place in the order of commits.
    pub seqno: SeqNo,
    /// Where its record lies in the log.
    pub lsn: Lsn,
    /// Whether it was on the disk before this was said.
    pub durable: bool,
}

/// The `assigned` watermark and what goes with it, under the log's lock.
#[derive(Debug)]
pub(crate) struct Assigned {
    pub(crate) seqno: SeqNo,
    pub(crate) commit_time_us: u64,
    pub(crate) ring: Ring,
    /// What is prepared and not decided, in the order of the log.
    pub(crate) prepared: Vec<Arc<PreparedTransaction>>,
}

impl Assigned {
    /// Goes on behind what is applied.
    pub(crate) fn after(head: &Head) -> Self {
        let Cut { seqno, commit_time_us, .. } = head.cut;
        Self { seqno, commit_time_us, ring: Ring::after(seqno), prepared: head.prepared.in_log_order() }
    }

    /// SeqNo and time of the next commit.
    pub(super) fn next(&self, now_us: u64) -> (SeqNo, u64) {
        (self.seqno.next(), now_us.max(self.commit_time_us))
    }

    /// Takes the next commit.
    pub(super) fn commit(&mut self, head: &CommitHead, effects: Arc<Effects>) {
        (self.seqno, self.commit_time_us) = (head.seqno, head.commit_time_us);
        self.ring.push(head.seqno, effects);
    }

    /// Takes back what is not in the log: the last records, in their order.
    fn take_back(&mut self, entries: &[Pending], visible: SeqNo) {
        // Times may stay ahead: commit times only have to rise.
        self.seqno = visible;
        self.ring.rewind(visible);
        for entry in entries.iter().rev() {
            match entry {
                Pending::Commit { .. } => {}
                Pending::Prepare { transaction, .. } => {
                    self.prepared.retain(|other| other.head.txn != transaction.head.txn);
                }
                Pending::Decision { transaction, .. } => {
                    let at = self.prepared.partition_point(|other| other.lsn < transaction.lsn);
                    self.prepared.insert(at, transaction.clone());
                }
            }
        }
    }
}

/// A record on its way to the disk, with all that belongs to it.
#[derive(Debug)]
pub(crate) enum Pending {
    /// A commit.
    Commit {
        head: CommitHead,
        /// The kinds of its parts, and where their payloads lie in the group.
        parts: Vec<(u16, Range<usize>)>,
        /// The metadata of the rows that it puts, in order.
        decoded: Vec<Arc<NodeMetadata>>,
        lsn: Lsn,
        /// Held until the commit is visible; dropping it frees its nodes.
        _guard: Option<LockSet>,
    },
    /// A transaction that is to be prepared, with the locks that it holds until it is decided.
    Prepare { transaction: Arc<PreparedTransaction>, held: Held },
    /// The decision about a prepared one: its commit, or none.
    Decision { transaction: Arc<PreparedTransaction>, commit: Option<CommitHead>, lsn: Lsn },
}

impl Pending {
    /// As the log has it, and where.
    fn entry<'a>(&'a self, group: &'a [u8], dimension: usize) -> Result<(Entry<'a>, Lsn)> {
        Ok(match self {
            Pending::Commit { head, parts, decoded, lsn, .. } => {
                let parts = parts.iter().map(|(kind, place)| (*kind, &group[place.clone()]));
                let mut commit = Commit { head: *head, parts: parse_parts(parts, dimension)? };
                commit.take_decoded(decoded);
                (Entry::Commit(commit), *lsn)
            }
            Pending::Prepare { transaction, .. } => (Entry::Prepare(transaction.clone()), transaction.lsn),
            Pending::Decision { transaction, commit, lsn } => {
                let txn = transaction.head.txn;
                let decision = match commit {
                    Some(commit) => Entry::CommitPrepared(CommitPrepared { txn, commit: *commit }),
                    None => Entry::RollbackPrepared(RollbackPrepared { txn }),
                };
                (decision, *lsn)
            }
        })
    }
}

/// A commit that was numbered and queued.
#[derive(Debug)]
pub(crate) struct Enqueued {
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) seqno: SeqNo,
    pub(crate) lsn: Lsn,
}

impl Core {
    /// Numbers a write and queues it, if `validate` finds no conflict in the recent commits and nothing that is prepared
    /// is in the way.
    pub(crate) fn enqueue(
        &self,
        parts: &Parts<'_>,
        effects: Arc<Effects>,
        guard: LockSet,
        validate: impl FnOnce(&Assigned) -> Result<()>,
    ) -> Result<Enqueued> {
        self.check_complete()?;
        let now_us = self.environment.clock.now_us();
        let guard = (!self.switches.free_locks_early).then_some(guard);
        let (ticket, (seqno, lsn)) = self.writer()?.log.enqueue(|assigned, group| {
            validate(assigned)?;
            self.respect_prepared(&assigned.prepared, &effects, None)?;
            let (seqno, commit_time_us) = assigned.next(now_us);
            let head = parts.head(seqno, commit_time_us);
            let encoded = wire::encode(&head)?;
            let decoded = effects.puts.iter().map(|put| put.metadata.clone()).collect();
            let mut placed = Vec::new();
            for (kind, pieces) in parts.payloads() {
                placed.push((kind, group.append_placed(kind, &pieces)));
            }
            let lsn = group.append(KIND_COMMIT, &[&encoded]);
            assigned.commit(&head, effects);
            Ok((Pending::Commit { head, parts: placed, decoded, lsn, _guard: guard }, (seqno, lsn)))
        })?;
        Ok(Enqueued { ticket, seqno, lsn })
    }

    /// Waits until a queued commit is acknowledged.
    pub(crate) fn wait(&self, enqueued: &Enqueued) -> Result<CommitReceipt> {
        self.wait_for(&enqueued.ticket).map(|committed| enqueued.receipt(committed))
    }

    /// The same of any record.
    pub(super) fn wait_for(&self, ticket: &Arc<Ticket>) -> Result<Committed> {
        // What was committed stays so, even if the store was closed since.
        match (ticket.outcome(), &self.writer) {
            (Some(outcome), _) => outcome,
            (None, Some(writer)) => {
                writer.log.wait(ticket, self).inspect_err(|error| self.note_full_disk(error))
            }
            (None, None) => Err(Error::invalid("a store that was opened read-only queues no writes")),
        }
    }

    /// Commits everything that is queued.
    pub(crate) fn drain(&self) -> Result<()> {
        self.writer()?.log.drain(self);
        Ok(())
    }

    /// Tells how far the log is durable: who follows the changes, and, by a note, readers in other processes. Once there was
    /// one since the machine started, one that cannot be written only makes them lag; without, they
    /// would believe all that they see.
    pub(crate) fn leave_note(&self, writer: &Writer, synced_lsn: Lsn) -> Result<()> {
        self.feed.synced(synced_lsn);
        let note = SyncNote { boot_id: writer.boot_id, synced_lsn, epoch: writer.epoch };
        let lock = writer.lock.lock();
        // Whoever synced last may not be the last to come here, and a note never goes back. Without syncs there is nothing
        // new to say.
        let noted = writer.noted.load(Ordering::Relaxed);
        match lock.as_ref().filter(|_| noted == NOTHING_NOTED || synced_lsn.0 > noted) {
            Some(lock) => note.write(lock.file(), self.store_id)?,
            None => return Ok(()),
        }
        writer.noted.store(synced_lsn.0, Ordering::Relaxed);
        Ok(())
    }
}

impl Enqueued {
    /// What the caller is told.
    pub(crate) fn receipt(&self, committed: Committed) -> CommitReceipt {
        CommitReceipt { seqno: self.seqno, lsn: self.lsn, durable: committed.durable }
    }
}

impl LogHooks<Assigned, Pending> for Core {
    fn sync_policy(&self) -> SyncPolicy {
        match self.settings.load().durability {
            Durability::Sync => SyncPolicy::Sync,
            Durability::Interval(_) | Durability::None => SyncPolicy::WriteOnly,
        }
    }

    fn committed(&self, entries: Vec<Pending>, group: &[u8], end: GroupEnd) -> Result<()> {
        let writer = self.writer()?;
        let mut locked = self.head.lock();
        let version = self.version.load_full();
        let Head { cut, totals, prepared } = &mut *locked;
        // Nothing shows of a group that could not be applied in full.
        let mut next = Cut { lsn: end.lsn, ..*cut };
        for pending in &entries {
            let (entry, lsn) = pending.entry(group, self.dimension)?;
            if let Some(commit) = advance(&version, totals, prepared, entry, lsn)? {
                (next.seqno, next.commit_time_us) = (commit.seqno, commit.commit_time_us);
            }
        }
        if !entries.is_empty() {
            *cut = next;
            self.visible.store(next.seqno.0, Ordering::Release);
            self.feed.applied(&next);
        }
        drop(locked);
        let _ = self.leave_note(writer, end.synced);
        if end.synced < end.lsn {
            self.schedule_sync(writer);
        }
        // Locks are freed from here on, now that what they were for is visible.
        entries.into_iter().for_each(|entry| writer.settle_locks(entry));
        Ok(())
    }

    fn failed(&self, assigned: &mut Assigned, entries: Vec<Pending>) {
        assigned.take_back(&entries, self.visible());
        drop(entries);
    }
}

impl Writer {
    /// After a record was applied: a prepared transaction keeps its locks until it is decided.
    fn settle_locks(&self, entry: Pending) {
        match entry {
            Pending::Commit { .. } => {}
            Pending::Prepare { transaction, held } => {
                self.prepared.lock().insert(transaction.head.txn, held);
            }
            Pending::Decision { transaction, .. } => {
                let held = self.prepared.lock().remove(&transaction.head.txn);
                drop(held);
            }
        }
    }
}
