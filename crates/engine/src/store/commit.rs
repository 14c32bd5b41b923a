//! From a prepared write to a commit: numbering, group commit, apply, publish.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_base::{Error, Lsn, Result, SeqNo, wire};
use codegraph_vector_storage::wal::{Committed, GroupEnd, LogHooks, SyncNote, SyncPolicy, Ticket};

use super::apply::{Commit, apply, views};
use super::core::{Core, Writer};
use super::ring::{Effects, Ring};
use crate::consistency::LockSet;
use crate::node::NodeMetadata;
use crate::options::Durability;
use crate::record::{CommitHead, KIND_COMMIT, Parts};
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
}

impl Assigned {
    /// Goes on behind what is applied.
    pub(crate) fn after(cut: Cut) -> Self {
        Self { seqno: cut.seqno, commit_time_us: cut.commit_time_us, ring: Ring::after(cut.seqno) }
    }
}

/// A commit on its way to the disk.
#[derive(Debug)]
pub(crate) struct Pending {
    head: CommitHead,
    /// The kinds of its parts, and where their payloads lie in the group.
    parts: Vec<(u16, Range<usize>)>,
    /// The metadata of the rows that it puts, in order.
    decoded: Vec<Arc<NodeMetadata>>,
    /// Held until the commit is visible; dropping it frees its nodes.
    _guard: Option<LockSet>,
}

/// A commit that was numbered and queued.
#[derive(Debug)]
pub(crate) struct Enqueued {
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) seqno: SeqNo,
    pub(crate) lsn: Lsn,
}

impl Core {
    /// Numbers a write and queues it, if `validate` finds no conflict in the recent commits.
    pub(crate) fn enqueue(
        &self,
        parts: &Parts<'_>,
        effects: Arc<Effects>,
        guard: LockSet,
        validate: impl FnOnce(&Ring) -> Result<()>,
    ) -> Result<Enqueued> {
        let now_us = self.environment.clock.now_us();
        let guard = (!self.switches.free_locks_early).then_some(guard);
        let (ticket, (seqno, lsn)) = self.writer()?.log.enqueue(|assigned, group| {
            validate(&assigned.ring)?;
            let seqno = assigned.seqno.next();
            let commit_time_us = now_us.max(assigned.commit_time_us);
            let head = parts.head(seqno, commit_time_us);
            let encoded = wire::encode(&head)?;
            let decoded = effects.puts.iter().map(|put| put.metadata.clone()).collect();
            let mut placed = Vec::new();
            for (kind, pieces) in parts.payloads() {
                placed.push((kind, group.append_placed(kind, &pieces)));
            }
            let lsn = group.append(KIND_COMMIT, &[&encoded]);
            (assigned.seqno, assigned.commit_time_us) = (seqno, commit_time_us);
            assigned.ring.push(seqno, effects);
            Ok((Pending { head, parts: placed, decoded, _guard: guard }, (seqno, lsn)))
        })?;
        Ok(Enqueued { ticket, seqno, lsn })
    }

    /// Waits until a queued commit is acknowledged.
    pub(crate) fn wait(&self, enqueued: &Enqueued) -> Result<CommitReceipt> {
        // What was committed stays so, even if the store was closed since.
        let committed = match enqueued.ticket.outcome() {
            Some(outcome) => outcome?,
            None => match &self.writer {
                Some(writer) => writer.log.wait(&enqueued.ticket, self)?,
                None => return Err(Error::invalid("a store that was opened read-only queues no writes")),
            },
        };
        Ok(enqueued.receipt(committed))
    }

    /// Commits everything that is queued.
    pub(crate) fn drain(&self) -> Result<()> {
        self.writer()?.log.drain(self);
        Ok(())
    }

    /// Leaves a note of how far the log is durable, for readers in other processes. Once there was
    /// one since the machine started, one that cannot be written only makes them lag; without, they
    /// would believe all that they see.
    pub(crate) fn leave_note(&self, writer: &Writer, synced_lsn: Lsn) -> Result<()> {
        let note = SyncNote { boot_id: writer.boot_id, synced_lsn, epoch: writer.epoch };
        let lock = writer.lock.lock();
        // Whoever synced last may not be the last to come here, and a note never goes back.
        match lock.as_ref().filter(|_| synced_lsn.0 >= writer.noted.load(Ordering::Relaxed)) {
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
        let mut head = self.head.lock();
        let version = self.version.load_full();
        for pending in &entries {
            let parts = pending.parts.iter().map(|(kind, place)| (*kind, &group[place.clone()]));
            let mut commit = Commit { head: pending.head, parts: views(parts, self.dimension)? };
            commit.take_decoded(&pending.decoded);
            apply(&version, &mut head.totals, &commit)?;
        }
        if let Some(last) = entries.last() {
            let CommitHead { seqno, commit_time_us, .. } = last.head;
            head.cut = Cut { seqno, lsn: end.lsn, commit_time_us };
            self.visible.store(seqno.0, Ordering::Release);
        }
        drop(head);
        let _ = self.leave_note(writer, end.synced);
        if end.synced < end.lsn {
            self.schedule_sync(writer);
        }
        Ok(()) // Dropping the entries frees their locks, now that they are visible.
    }

    fn failed(&self, assigned: &mut Assigned, entries: Vec<Pending>) {
        // Times may stay ahead: commit times only have to rise.
        assigned.seqno = self.visible();
        assigned.ring.rewind(assigned.seqno);
        drop(entries);
    }
}
