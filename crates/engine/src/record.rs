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
//!
//! What two-phase commit adds is in `record_prepared.rs`.

use std::ops::Range;
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

/// A row on its way into a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) head: RowHead,
    pub(crate) vector: &'a [f32],
    /// Encoded.
    pub(crate) metadata: &'a [u8],
}

/// What one commit writes, cut into parts, not yet numbered. Rows stay where they are until they are
/// copied into the log's buffer.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    rows: Vec<NewRow<'a>>,
    cuts: Vec<RowsCut>,
    deletes: Vec<Vec<u8>>,
    deleted: u64,
}

/// The rows of one part.
#[derive(Debug)]
struct RowsCut {
    rows: Range<usize>,
    /// Length and heads, encoded, up to the vectors.
    front: Vec<u8>,
}

impl<'a> Parts<'a> {
    /// Cuts a write into parts of about `part_bytes`.
    ///
    /// # Errors
    /// `TooLarge` if all of it takes more than `max_bytes`.
    pub(crate) fn new(
        rows: Vec<NewRow<'a>>,
        deletes: &[NodeId],
        part_bytes: usize,
        max_bytes: u64,
    ) -> Result<Self> {
        let (mut cuts, mut start, mut bytes) = (Vec::new(), 0, 0);
        for (at, row) in rows.iter().enumerate() {
            bytes += row.bytes();
            if bytes >= part_bytes || at + 1 == rows.len() {
                cuts.push(RowsCut::new(&rows, start..at + 1)?);
                (start, bytes) = (at + 1, 0);
            }
        }
        let ids_of_a_part = (part_bytes / size_of::<NodeId>()).max(1);
        let encode = |ids: &[NodeId]| ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let parts = Self {
            cuts,
            deletes: deletes.chunks(ids_of_a_part).map(encode).collect(),
            deleted: deletes.len() as u64,
            rows,
        };
        let bytes: usize =
            parts.payloads().map(|(_, pieces)| pieces.iter().map(|piece| piece.len()).sum::<usize>()).sum();
        if bytes as u64 > max_bytes {
            let message = format!(
                "this batch takes {bytes} bytes in the log, and max_batch_bytes is {max_bytes}: split it, or raise the limit"
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(parts)
    }

    /// The kinds and payloads of the records, in order, each in the pieces that it is put together from.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = (u16, Vec<&[u8]>)> {
        let deletes = self.deletes.iter().map(|ids| (KIND_DELETES, vec![&ids[..]]));
        let rows = self.cuts.iter().map(|cut| (KIND_ROWS, cut.pieces(&self.rows[cut.rows.clone()])));
        deletes.chain(rows)
    }

    /// The record that goes behind the parts.
    pub(crate) fn head(&self, seqno: SeqNo, commit_time_us: u64) -> CommitHead {
        let parts = (self.cuts.len() + self.deletes.len()) as u32;
        CommitHead { seqno, commit_time_us, parts, rows: self.rows.len() as u64, deletes: self.deleted }
    }
}

impl NewRow<'_> {
    fn bytes(&self) -> usize {
        size_of::<RowHead>() + self.vector.len() * 4 + self.metadata.len()
    }
}

impl RowsCut {
    fn new(all: &[NewRow<'_>], rows: Range<usize>) -> Result<Self> {
        let heads: Vec<RowHead> = all[rows.clone()].iter().map(|row| row.head).collect();
        let encoded = wire::encode(&heads)?;
        let mut front = Vec::with_capacity(encoded.len() + 8);
        front.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
        front.extend_from_slice(&encoded);
        front.resize(front.len().next_multiple_of(4), 0);
        Ok(Self { rows, front })
    }

    fn pieces<'a>(&'a self, rows: &[NewRow<'a>]) -> Vec<&'a [u8]> {
        let vectors = rows.iter().map(|row| bytemuck::cast_slice(row.vector));
        let metadata = rows.iter().map(|row| row.metadata);
        std::iter::once(&self.front[..]).chain(vectors).chain(metadata).collect()
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
    /// The vector's components.
    pub(crate) fn floats(&self) -> impl Iterator<Item = f32> {
        self.vector.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value))
    }

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

/// Reads the parts of a commit.
///
/// # Errors
/// As [`PartView::parse`]; `Unsupported` for a record that is no part.
pub(crate) fn parse_parts<'a>(
    parts: impl Iterator<Item = (u16, &'a [u8])>,
    dimension: usize,
) -> Result<Vec<PartView<'a>>> {
    let parse =
        |(kind, payload)| PartView::parse(kind, payload, dimension)?.ok_or_else(|| unknown_kind(kind));
    parts.map(parse).collect()
}

/// A newer version wrote the log.
pub(crate) fn unknown_kind(kind: u16) -> Error {
    let message = format!("the log holds a record of kind {kind}, which this version does not know here");
    Error::new(ErrorKind::Unsupported, message)
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
        Ok(Self { heads, vectors, metadata, decoded: &[], dimension })
    }

    /// Takes the metadata of the rows, decoded already, off the front of `decoded`.
    pub(crate) fn take_decoded(&mut self, decoded: &mut &'a [Arc<NodeMetadata>]) {
        if let Some((own, rest)) = decoded.split_at_checked(self.heads.len()) {
            (self.decoded, *decoded) = (own, rest);
        }
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
