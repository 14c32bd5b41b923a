//! The records of the log: a commit as bytes.
//!
//! A commit is a run of *parts* and one *commit* record behind them, always in one group, so that
//! a log that ends between them holds none of it. Parts are about
//! [`BATCH_PART_BYTES`](limits::BATCH_PART_BYTES) long. Records hold resolved ids and rows, never
//! filters, so that replaying one needs nothing but the state before it.
//!
//! | kind | payload |
//! | --- | --- |
//! | 16 rows | `u32` bytes of the heads · heads (wire: a sequence of [`RowHead`]) · zeros to a multiple of 4 · vectors, f32 row-major · encoded metadata, end to end |
//! | 17 deletes | ids, `u128` each |
//! | 18 commit | wire: [`CommitHead`] |

use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, RowChecksum, SeqNo, limits, wire};
use wincode::{SchemaRead, SchemaWrite};

/// Rows that are put.
pub(crate) const KIND_ROWS: u16 = 16;
/// Ids that are deleted.
pub(crate) const KIND_DELETES: u16 = 17;
/// The end of a commit, which makes its parts count.
pub(crate) const KIND_COMMIT: u16 = 18;

/// What precedes a row's vector and metadata.
#[derive(Clone, Copy, Debug, PartialEq, SchemaRead, SchemaWrite)]
pub(crate) struct RowHead {
    pub(crate) id: NodeId,
    /// When the node first appeared, in µs since the epoch; 0 means with this commit.
    pub(crate) created_us: u64,
    pub(crate) norm: f32,
    pub(crate) metadata_bytes: u32,
    pub(crate) checksum: RowChecksum,
}

/// The end of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct CommitHead {
    pub(crate) seqno: SeqNo,
    pub(crate) commit_time_us: u64,
    pub(crate) parts: u32,
    pub(crate) rows: u64,
    pub(crate) deletes: u64,
}

/// A part of a commit, encoded.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) kind: u16,
    pub(crate) payload: Vec<u8>,
}

/// A row on its way into a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) head: RowHead,
    pub(crate) vector: &'a [f32],
    pub(crate) metadata: &'a [u8],
}

/// Collects rows and deletes into parts.
#[derive(Debug, Default)]
pub(crate) struct PartsBuilder {
    parts: Vec<Part>,
    heads: Vec<RowHead>,
    vectors: Vec<f32>,
    metadata: Vec<u8>,
    rows: u64,
    deletes: u64,
    bytes: u64,
}

impl PartsBuilder {
    /// Adds a row.
    pub(crate) fn put(&mut self, row: NewRow<'_>) -> Result<()> {
        self.heads.push(row.head);
        self.vectors.extend_from_slice(row.vector);
        self.metadata.extend_from_slice(row.metadata);
        self.rows += 1;
        let bytes = self.heads.len() * size_of::<RowHead>() + self.vectors.len() * 4 + self.metadata.len();
        if bytes >= limits::BATCH_PART_BYTES { self.end_rows() } else { Ok(()) }
    }

    /// Adds ids to delete.
    pub(crate) fn delete(&mut self, ids: &[NodeId]) {
        for ids in ids.chunks(limits::BATCH_PART_BYTES / size_of::<NodeId>()) {
            let payload: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            self.bytes += payload.len() as u64;
            self.deletes += ids.len() as u64;
            self.parts.push(Part { kind: KIND_DELETES, payload });
        }
    }

    fn end_rows(&mut self) -> Result<()> {
        if self.heads.is_empty() {
            return Ok(());
        }
        let heads = wire::encode(&self.heads)?;
        let padded = (4 + heads.len()).next_multiple_of(4);
        let vectors: &[u8] = bytemuck::cast_slice(&self.vectors);
        let mut payload = Vec::with_capacity(padded + vectors.len() + self.metadata.len());
        payload.extend_from_slice(&(heads.len() as u32).to_le_bytes());
        payload.extend_from_slice(&heads);
        payload.resize(padded, 0);
        payload.extend_from_slice(vectors);
        payload.extend_from_slice(&self.metadata);
        self.bytes += payload.len() as u64;
        self.parts.push(Part { kind: KIND_ROWS, payload });
        self.heads.clear();
        self.vectors.clear();
        self.metadata.clear();
        Ok(())
    }

    /// All parts of a commit of at most `max_bytes`.
    pub(crate) fn finish(mut self, max_bytes: u64) -> Result<Parts> {
        self.end_rows()?;
        if self.bytes > max_bytes {
            let message = format!(
                "this batch takes {} bytes in the log, and max_batch_bytes is {max_bytes}: split it, or raise the limit",
                self.bytes
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(Parts { parts: self.parts, rows: self.rows, deletes: self.deletes })
    }
}

/// The parts of one commit, not yet numbered.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) parts: Vec<Part>,
    rows: u64,
    deletes: u64,
}

impl Parts {
    /// The record that goes behind the parts.
    pub(crate) fn head(&self, seqno: SeqNo, commit_time_us: u64) -> CommitHead {
        let parts = self.parts.len() as u32;
        CommitHead { seqno, commit_time_us, parts, rows: self.rows, deletes: self.deletes }
    }
}

/// A part as read back.
#[derive(Debug)]
pub(crate) enum PartView<'a> {
    /// Rows to put.
    Rows(RowsView<'a>),
    /// Ids to delete.
    Deletes(&'a [u8]),
}

/// The rows of a part, in place.
#[derive(Debug)]
pub(crate) struct RowsView<'a> {
    heads: Vec<RowHead>,
    vectors: &'a [u8],
    metadata: &'a [u8],
    dimension: usize,
}

/// One row of a part. The vector is bytes, since nothing in a log is aligned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowView<'a> {
    pub(crate) head: RowHead,
    pub(crate) vector: &'a [u8],
    pub(crate) metadata: &'a [u8],
}

impl<'a> PartView<'a> {
    /// Reads a part; `None` if the kind is not a part's.
    ///
    /// # Errors
    /// `Corrupt` if the lengths do not add up.
    pub(crate) fn parse(kind: u16, payload: &'a [u8], dimension: usize) -> Result<Option<Self>> {
        match kind {
            KIND_ROWS => Ok(Some(Self::Rows(RowsView::parse(payload, dimension)?))),
            KIND_DELETES if payload.len().is_multiple_of(size_of::<NodeId>()) => Ok(Some(Self::Deletes(payload))),
            KIND_DELETES => Err(malformed("the ids of a delete record are cut off")),
            _ => Ok(None),
        }
    }
}

/// The ids of a delete part.
pub(crate) fn deleted_ids(bytes: &[u8]) -> impl Iterator<Item = NodeId> {
    bytes.as_chunks::<16>().0.iter().map(|id| NodeId::from_le_bytes(*id))
}

impl<'a> RowsView<'a> {
    fn parse(payload: &'a [u8], dimension: usize) -> Result<Self> {
        let (len, rest) = payload.split_first_chunk::<4>().ok_or_else(|| malformed("a row record is cut off"))?;
        let heads_len = u32::from_le_bytes(*len) as usize;
        let padded = heads_len.checked_add(4).map(|len| len.next_multiple_of(4) - 4);
        let (heads, body) = padded
            .and_then(|padded| rest.split_at_checked(padded))
            .ok_or_else(|| malformed("the heads of a row record are cut off"))?;
        let heads: Vec<RowHead> = wire::decode(&heads[..heads_len])?;
        let vectors_len = heads.len().checked_mul(dimension * 4);
        let (vectors, metadata) = vectors_len
            .and_then(|len| body.split_at_checked(len))
            .ok_or_else(|| malformed("the vectors of a row record are cut off"))?;
        let claimed: u64 = heads.iter().map(|head| u64::from(head.metadata_bytes)).sum();
        if claimed != metadata.len() as u64 {
            return Err(malformed("the metadata of a row record does not have the length that its heads say"));
        }
        Ok(Self { heads, vectors, metadata, dimension })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    /// The rows, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RowView<'a>> {
        let mut metadata = self.metadata;
        let vectors = self.vectors.chunks_exact(self.dimension * 4);
        self.heads.iter().zip(vectors).map(move |(head, vector)| {
            let (own, rest) = metadata.split_at(head.metadata_bytes as usize);
            metadata = rest;
            RowView { head: *head, vector, metadata: own }
        })
    }
}

fn malformed(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
