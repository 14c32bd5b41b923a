//! `apply`: the only way that the state of a store changes.
//!
//! Commits that were just synced, recovery, and read-only opens all come through here with the
//! same bytes. An id has at most one live row, so a put or delete kills exactly that one.

use std::sync::Arc;

use codegraph_vector_base::{Error, ErrorKind, Lsn, NodeId, Result, RowChecksumSum, SeqNo, wire};
use codegraph_vector_storage::wal::Record;

use crate::consistency::{PreparedTransaction, PreparedTransactions};
use crate::memtable::{Memtable, PutRow};
use crate::node::NodeMetadata;
use crate::record::{
    CommitHead, KIND_COMMIT, KIND_DELETES, KIND_ROWS, PartView, RowView, RowsView, deleted_ids, parse_parts,
    unknown_kind,
};
use crate::record_prepared::{
    CommitPrepared, Decision, KIND_COMMIT_PREPARED, KIND_PREPARE, KIND_READS, KIND_ROLLBACK_PREPARED,
    RollbackPrepared,
};
use crate::version::Version;

/// What the store holds, in numbers that `apply` keeps up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Live rows.
    pub(crate) rows: u64,
    /// Sum of their checksums: the content hash of the store.
    pub(crate) checksum: RowChecksumSum,
}

/// A commit whose parts are there.
pub(crate) struct Commit<'a> {
    pub(crate) head: CommitHead,
    pub(crate) parts: Vec<PartView<'a>>,
}

impl<'a> Commit<'a> {
    /// Gives the rows their metadata, decoded already, in order.
    pub(crate) fn take_decoded(&mut self, mut decoded: &'a [Arc<NodeMetadata>]) {
        for part in &mut self.parts {
            if let PartView::Rows(rows) = part {
                rows.take_decoded(&mut decoded);
            }
        }
    }

    /// Checks that the parts are all there.
    pub(super) fn check(&self) -> Result<()> {
        let (mut rows, mut deletes) = (0, 0);
        for part in &self.parts {
            match part {
                PartView::Rows(view) => rows += view.len() as u64,
                PartView::Deletes(ids) => deletes += (ids.len() / size_of::<NodeId>()) as u64,
            }
        }
        let counted = (self.parts.len() as u64, rows, deletes);
        if counted == (u64::from(self.head.parts), self.head.rows, self.head.deletes) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Corrupt, format!("commit {} lacks a part", self.head.seqno)))
    }
}

/// Applies a commit to the head of `version`.
///
/// # Errors
/// `Corrupt` if a record is malformed or the block of an index that it needs is damaged.
pub(crate) fn apply(version: &Version, totals: &mut Totals, commit: &Commit<'_>) -> Result<()> {
    commit.check()?;
    for part in &commit.parts {
        match part {
            PartView::Deletes(ids) => {
                for id in deleted_ids(ids) {
                    kill(version, totals, id, commit.head.seqno)?;
                }
            }
            PartView::Rows(rows) => put(version, totals, rows, &commit.head)?,
        }
    }
    Ok(())
}

fn put(version: &Version, totals: &mut Totals, rows: &RowsView<'_>, head: &CommitHead) -> Result<()> {
    let mut decoded = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        decoded.push(row.decoded()?);
        kill(version, totals, row.head.id, head.seqno)?;
        totals.rows += 1;
        totals.checksum += row.head.checksum;
    }
    insert(&version.memtable, rows.iter().zip(decoded), head);
    Ok(())
}

fn insert<'a>(
    table: &Memtable,
    rows: impl Iterator<Item = (RowView<'a>, Arc<NodeMetadata>)>,
    head: &CommitHead,
) {
    table.put(rows.map(|(row, metadata)| PutRow {
        id: row.head.id,
        seqno: head.seqno,
        created_us: if row.head.created_us == 0 { head.commit_time_us } else { row.head.created_us },
        updated_us: head.commit_time_us,
        norm: row.head.norm,
        checksum: row.head.checksum,
        vector: row.vector,
        metadata,
        encoded: row.metadata,
    }));
}

fn kill(version: &Version, totals: &mut Totals, id: NodeId, seqno: SeqNo) -> Result<()> {
    let mut died = version.memtables().find_map(|table| table.kill(id, seqno));
    for segment in version.segments.iter().rev() {
        if died.is_some() {
            break;
        }
        died = segment.kill(id, seqno)?;
    }
    if died.is_none() {
        version.missing.died(id, seqno);
    }
    if let Some(checksum) = died {
        totals.rows -= 1;
        totals.checksum -= checksum;
    }
    Ok(())
}

/// One step of a store: what a run of records in the log stands for.
pub(crate) enum Entry<'a> {
    /// A commit.
    Commit(Commit<'a>),
    /// A transaction was prepared. Nothing of it is visible.
    Prepare(Arc<PreparedTransaction>),
    /// It was decided that one is committed.
    CommitPrepared(CommitPrepared),
    /// It was decided that one is rolled back.
    RollbackPrepared(RollbackPrepared),
}

impl Entry<'_> {
    /// The commit that it is, if it is one.
    pub(crate) fn seqno(&self) -> Option<SeqNo> {
        match self {
            Entry::Commit(commit) => Some(commit.head.seqno),
            Entry::CommitPrepared(decision) => Some(decision.commit.seqno),
            Entry::Prepare(_) | Entry::RollbackPrepared(_) => None,
        }
    }
}

/// Takes the next step, whose last record lies at `lsn`; the commit that it was, if it was one.
///
/// # Errors
/// As [`apply`]; `Corrupt` if a transaction is prepared twice, or decided without being prepared.
pub(crate) fn advance(
    version: &Version,
    totals: &mut Totals,
    prepared: &mut PreparedTransactions,
    entry: Entry<'_>,
    lsn: Lsn,
) -> Result<Option<CommitHead>> {
    match entry {
        Entry::Commit(commit) => {
            apply(version, totals, &commit)?;
            Ok(Some(commit.head))
        }
        Entry::Prepare(transaction) => prepared.prepare(transaction).map(|()| None),
        Entry::CommitPrepared(CommitPrepared { txn, commit: head }) => {
            let transaction = prepared.decide(Decision { txn, commit: Some(head.seqno), lsn })?;
            let decoded: Vec<_> = transaction.effects.puts.iter().map(|put| put.metadata.clone()).collect();
            let mut commit = Commit { head, parts: transaction.writes()? };
            commit.take_decoded(&decoded);
            apply(version, totals, &commit)?;
            Ok(Some(head))
        }
        Entry::RollbackPrepared(RollbackPrepared { txn }) => {
            prepared.decide(Decision { txn, commit: None, lsn })?;
            Ok(None)
        }
    }
}

/// Puts the records of a log back together into what they stand for.
#[derive(Default)]
pub(crate) struct Assembler {
    parts: Vec<(u16, Vec<u8>)>,
}

impl Assembler {
    /// Takes the next record; runs `then` if it ends something.
    pub(crate) fn feed(
        &mut self,
        record: &Record<'_>,
        dimension: usize,
        then: impl FnOnce(Entry<'_>) -> Result<()>,
    ) -> Result<()> {
        let payload = record.payload;
        match record.kind {
            KIND_ROWS | KIND_DELETES | KIND_READS => {
                self.parts.push((record.kind, payload.to_vec()));
                Ok(())
            }
            KIND_COMMIT => {
                let parts = std::mem::take(&mut self.parts);
                let parts = parse_parts(parts.iter().map(|(kind, bytes)| (*kind, &bytes[..])), dimension)?;
                then(Entry::Commit(Commit { head: wire::decode(payload)?, parts }))
            }
            KIND_PREPARE => {
                let (head, parts) = (wire::decode(payload)?, std::mem::take(&mut self.parts));
                let transaction = PreparedTransaction::from_records(head, record.lsn, parts, dimension)?;
                then(Entry::Prepare(Arc::new(transaction)))
            }
            KIND_COMMIT_PREPARED => then(Entry::CommitPrepared(wire::decode(payload)?)),
            KIND_ROLLBACK_PREPARED => then(Entry::RollbackPrepared(wire::decode(payload)?)),
            kind => Err(unknown_kind(kind)),
        }
    }
}
