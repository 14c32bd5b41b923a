//! `apply`: the only way that the state of a store changes.
//!
//! Commits that were just synced, recovery, and read-only opens all come through here with the
//! same bytes. An id has at most one live row, so a put or delete kills exactly that one.

use std::sync::Arc;

use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, RowChecksumSum, SeqNo, wire};

use crate::memtable::{Memtable, PutRow};
use crate::node::NodeMetadata;
use crate::record::{CommitHead, KIND_COMMIT, PartView, RowView, RowsView, deleted_ids};
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
    fn check(&self) -> Result<()> {
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
    if let Some(checksum) = died {
        totals.rows -= 1;
        totals.checksum -= checksum;
    }
    Ok(())
}

/// Puts the records of a log back together into commits.
#[derive(Default)]
pub(crate) struct Assembler {
    parts: Vec<(u16, Vec<u8>)>,
}

impl Assembler {
    /// Takes the next record; runs `commit` if it ends one.
    pub(crate) fn feed(
        &mut self,
        kind: u16,
        payload: &[u8],
        dimension: usize,
        commit: impl FnOnce(Commit<'_>) -> Result<()>,
    ) -> Result<()> {
        if kind != KIND_COMMIT {
            self.parts.push((kind, payload.to_vec()));
            return Ok(());
        }
        let head: CommitHead = wire::decode(payload)?;
        let parts = std::mem::take(&mut self.parts);
        commit(Commit {
            head,
            parts: views(parts.iter().map(|(kind, bytes)| (*kind, &bytes[..])), dimension)?,
        })
    }
}

/// Reads the parts of a commit.
pub(crate) fn views<'a>(
    parts: impl Iterator<Item = (u16, &'a [u8])>,
    dimension: usize,
) -> Result<Vec<PartView<'a>>> {
    parts
        .map(|(kind, payload)| {
            let unknown = || {
                let message =
                    format!("the log holds a record of kind {kind}, which this version does not know");
                Error::new(ErrorKind::Unsupported, message)
            };
            PartView::parse(kind, payload, dimension)?.ok_or_else(unknown)
        })
        .collect()
}
