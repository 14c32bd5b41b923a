//! The records of the log: a commit as bytes.
//!
//! A commit is a run of *parts* and one *commit* record behind them, always in one group, so that
//! a log that ends between them holds none of it. Parts are about
//! [`BATCH_PART_BYTES`](codegraph_vector_base::limits::BATCH_PART_BYTES) long. Records hold resolved ids and rows, never
//! filters, so that replaying one needs nothing but the state before it.
//!
//! | kind | payload |
//! | --- | --- |
//! | 16 rows | `u32` bytes of the heads · heads (wire: a sequence of [`RowHead`]) · zeros to a multiple of 4 · vectors, f32 row-major · encoded metadata, end to end |
//! | 17 deletes | ids, `u128` each |
//! | 18 commit | wire: [`CommitHead`] |

use std::borrow::Cow;
use std::sync::Arc;

use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, RowChecksum, SeqNo, wire};
use wincode::{SchemaRead, SchemaWrite};

use crate::node::NodeMetadata;

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

/// A part of a commit, in the pieces that its payload is put together from.
#[derive(Debug)]
pub(crate) enum Part {
    Rows(RowsPart),
    Deletes(Vec<u8>),
}

/// See [`Part`]. The rows are kept decoded as well, so that `apply` need not decode them again.
#[derive(Debug)]
pub(crate) struct RowsPart {
    /// Length and heads, encoded, up to the vectors.
    front: Vec<u8>,
    heads: Vec<RowHead>,
    vectors: Vec<f32>,
    metadata: Vec<u8>,
    decoded: Vec<Arc<NodeMetadata>>,
}

impl Part {
    /// The kind of its record.
    pub(crate) fn kind(&self) -> u16 {
        match self {
            Part::Rows(_) => KIND_ROWS,
            Part::Deletes(_) => KIND_DELETES,
        }
    }

    /// The payload of its record, piece by piece.
    pub(crate) fn pieces(&self) -> [&[u8]; 3] {
        match self {
            Part::Rows(rows) => [&rows.front, bytemuck::cast_slice(&rows.vectors), &rows.metadata],
            Part::Deletes(ids) => [ids, &[], &[]],
        }
    }

    /// What reading the record would give.
    pub(crate) fn view(&self, dimension: usize) -> PartView<'_> {
        match self {
            Part::Rows(rows) => PartView::Rows(RowsView {
                heads: Cow::Borrowed(&rows.heads),
                vectors: bytemuck::cast_slice(&rows.vectors),
                metadata: &rows.metadata,
                decoded: &rows.decoded,
                dimension,
            }),
            Part::Deletes(ids) => PartView::Deletes(ids),
        }
    }
}

/// A row on its way into a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) head: RowHead,
    pub(crate) vector: &'a [f32],
    /// Encoded.
    pub(crate) metadata: &'a [u8],
    pub(crate) decoded: &'a Arc<NodeMetadata>,
}

/// Collects rows and deletes into parts.
#[derive(Debug)]
pub(crate) struct PartsBuilder {
    part_bytes: usize,
    /// Rows still to come, if it was said: space is made for them at once.
    expected: usize,
    parts: Vec<Part>,
    heads: Vec<RowHead>,
    vectors: Vec<f32>,
    metadata: Vec<u8>,
    decoded: Vec<Arc<NodeMetadata>>,
    rows: u64,
    deletes: u64,
    bytes: u64,
}

impl PartsBuilder {
    /// Makes parts of about `part_bytes` out of `expected` rows.
    pub(crate) fn new(part_bytes: usize, expected: usize) -> Self {
        Self {
            part_bytes,
            expected,
            parts: Vec::new(),
            heads: Vec::new(),
            vectors: Vec::new(),
            metadata: Vec::new(),
            decoded: Vec::new(),
            rows: 0,
            deletes: 0,
            bytes: 0,
        }
    }

    /// Adds a row.
    pub(crate) fn put(&mut self, row: NewRow<'_>) -> Result<()> {
        if self.heads.is_empty() {
            let rows = self.expected.min(self.part_bytes.div_ceil(row.vector.len() * 4));
            self.vectors.reserve(rows * row.vector.len());
            self.heads.reserve(rows);
            self.decoded.reserve(rows);
        }
        self.heads.push(row.head);
        self.vectors.extend_from_slice(row.vector);
        self.metadata.extend_from_slice(row.metadata);
        self.decoded.push(row.decoded.clone());
        self.rows += 1;
        self.expected = self.expected.saturating_sub(1);
        let bytes = self.heads.len() * size_of::<RowHead>() + self.vectors.len() * 4 + self.metadata.len();
        if bytes >= self.part_bytes { self.end_rows() } else { Ok(()) }
    }

    /// Adds ids to delete.
    pub(crate) fn delete(&mut self, ids: &[NodeId]) {
        for ids in ids.chunks((self.part_bytes / size_of::<NodeId>()).max(1)) {
            let payload: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            self.bytes += payload.len() as u64;
            self.deletes += ids.len() as u64;
            self.parts.push(Part::Deletes(payload));
        }
    }

    fn end_rows(&mut self) -> Result<()> {
        if self.heads.is_empty() {
            return Ok(());
        }
        let encoded = wire::encode(&self.heads)?;
        let mut front = Vec::with_capacity(encoded.len() + 8);
        front.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
        front.extend_from_slice(&encoded);
        front.resize(front.len().next_multiple_of(4), 0);
        let part = Part::Rows(RowsPart {
            front,
            heads: std::mem::take(&mut self.heads),
            vectors: std::mem::take(&mut self.vectors),
            metadata: std::mem::take(&mut self.metadata),
            decoded: std::mem::take(&mut self.decoded),
        });
        self.bytes += part.pieces().iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.parts.push(part);
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
    heads: Cow<'a, [RowHead]>,
    vectors: &'a [u8],
    metadata: &'a [u8],
    /// The metadata of each row, if it is at hand.
    decoded: &'a [Arc<NodeMetadata>],
    dimension: usize,
}

/// One row of a part. The vector is bytes, since nothing in a log is aligned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowView<'a> {
    pub(crate) head: RowHead,
    pub(crate) vector: &'a [u8],
    pub(crate) metadata: &'a [u8],
    decoded: Option<&'a Arc<NodeMetadata>>,
}

impl RowView<'_> {
    /// The metadata, decoded.
    ///
    /// # Errors
    /// `Corrupt` if it cannot be.
    pub(crate) fn decoded(&self) -> Result<Arc<NodeMetadata>> {
        match self.decoded {
            Some(decoded) => Ok(decoded.clone()),
            None => NodeMetadata::decode(self.metadata).map(Arc::new),
        }
    }
}

impl<'a> PartView<'a> {
    /// Reads a part; `None` if the kind is not a part's.
    ///
    /// # Errors
    /// `Corrupt` if the lengths do not add up.
    pub(crate) fn parse(kind: u16, payload: &'a [u8], dimension: usize) -> Result<Option<Self>> {
        match kind {
            KIND_ROWS => Ok(Some(Self::Rows(RowsView::parse(payload, dimension)?))),
            KIND_DELETES if payload.len().is_multiple_of(size_of::<NodeId>()) => {
                Ok(Some(Self::Deletes(payload)))
            }
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
        let (len, rest) =
            payload.split_first_chunk::<4>().ok_or_else(|| malformed("a row record is cut off"))?;
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
            return Err(malformed(
                "the metadata of a row record does not have the length that its heads say",
            ));
        }
        Ok(Self { heads: Cow::Owned(heads), vectors, metadata, decoded: &[], dimension })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    /// The rows, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RowView<'a>> {
        let mut metadata = self.metadata;
        let (vectors, decoded) = (self.vectors.chunks_exact(self.dimension * 4), self.decoded);
        self.heads.iter().zip(vectors).enumerate().map(move |(at, (head, vector))| {
            let (own, rest) = metadata.split_at(head.metadata_bytes as usize);
            metadata = rest;
            RowView { head: *head, vector, metadata: own, decoded: decoded.get(at) }
        })
    }
}

fn malformed(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
