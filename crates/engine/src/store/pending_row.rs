//! Rows on their way into a commit: checked and encoded, but for what only the row's lock can tell.

use std::borrow::Cow;
use std::sync::Arc;

use codegraph_vector_ann::{Metric, check_finite, norm};
use codegraph_vector_base::{Error, NodeId, Result, RowChecksum, SeqNo, TxnId, limits};

use super::core::{Core, Writer};
use super::ring::{Effects, PutEffect};
use crate::id_map::NodeIdSet;
use crate::memtable::metadata_bytes;
use crate::node::{CodeNode, NodeMetadata};
use crate::record::{NewRow, Parts, RowHead};
use crate::version::Version;

/// A row to be put. Its vector is the caller's, or its own if it has to wait for the commit.
#[derive(Clone, Debug)]
pub(crate) struct PendingRow<'v> {
    pub(crate) id: NodeId,
    pub(crate) vector: Cow<'v, [f32]>,
    pub(crate) norm: f32,
    pub(crate) metadata: Arc<NodeMetadata>,
    pub(crate) encoded: Vec<u8>,
    checksum: RowChecksum,
}

impl<'v> PendingRow<'v> {
    /// A row of what was checked and encoded.
    pub(crate) fn new(
        id: NodeId,
        vector: Cow<'v, [f32]>,
        norm: f32,
        metadata: Arc<NodeMetadata>,
        encoded: Vec<u8>,
    ) -> Self {
        let checksum = RowChecksum::of(id, bytemuck::cast_slice(&vector), &encoded);
        Self { id, vector, norm, metadata, encoded, checksum }
    }

    /// Memory that it takes, about, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        size_of_val(&*self.vector) as u64 + metadata_bytes(self.encoded.len())
    }

    /// The same with a vector of its own.
    pub(crate) fn into_owned(self) -> PendingRow<'static> {
        let Self { id, vector, norm, metadata, encoded, checksum } = self;
        PendingRow { id, vector: Cow::Owned(vector.into_owned()), norm, metadata, encoded, checksum }
    }

    /// What it does, as others see it once it is committed.
    fn effect(&self, with_vector: bool) -> PutEffect {
        let vector = with_vector.then(|| Box::from(&*self.vector));
        PutEffect { id: self.id, metadata: self.metadata.clone(), norm: self.norm, vector }
    }

    /// The node as it was given.
    pub(crate) fn node(&self) -> CodeNode {
        CodeNode::from_parts(self.id, self.vector.to_vec(), (*self.metadata).clone())
    }
}

impl Core {
    /// A row of a vector and metadata that may be stored; with a path given, under that one.
    ///
    /// # Errors
    /// `InvalidInput` and `TooLarge`, naming the node and what is wrong with it.
    pub(crate) fn pending_row<'v>(
        &self,
        id: NodeId,
        vector: Cow<'v, [f32]>,
        metadata: NodeMetadata,
        path: Option<&str>,
    ) -> Result<PendingRow<'v>> {
        let norm = self.check_vector(id, &vector)?;
        let of_node = |error: Error| error.context(format_args!("node {id}"));
        let metadata = with_path(metadata, path).map_err(of_node)?;
        let encoded = metadata.encode().map_err(of_node)?;
        Ok(PendingRow::new(id, vector, norm, Arc::new(metadata), encoded))
    }

    /// The rows of several nodes.
    ///
    /// # Errors
    /// As [`pending_row`](Self::pending_row); `InvalidInput` if a node is there twice.
    pub(crate) fn pending_rows<'v>(
        &self,
        nodes: &'v [CodeNode],
        path: Option<&str>,
    ) -> Result<Vec<PendingRow<'v>>> {
        let mut seen = NodeIdSet::with_capacity_and_hasher(nodes.len(), Default::default());
        let row = |node: &'v CodeNode| {
            if !seen.insert(node.id) {
                return Err(Error::invalid(format!("node {} is in this batch twice", node.id)));
            }
            self.pending_row(node.id, Cow::Borrowed(&node.embedding), node.metadata(), path)
        };
        nodes.iter().map(row).collect()
    }

    /// What a commit of these rows and deletes is in the log. Their locks are held, and `seqno` sees what was committed
    /// under them before.
    ///
    /// # Errors
    /// `TooLarge` over `max_batch_bytes`; `Corrupt` if a block of an index that it needs is damaged.
    pub(crate) fn resolve_rows<'a>(
        &self,
        version: &Version,
        seqno: SeqNo,
        rows: &[&'a PendingRow<'_>],
        deletes: &[NodeId],
    ) -> Result<Parts<'a>> {
        let mut resolved = Vec::with_capacity(rows.len());
        for row in rows {
            let head = RowHead {
                id: row.id,
                created_us: self.columns(version, seqno, row.id)?.map_or(0, |columns| columns.created_us),
                norm: row.norm,
                metadata_bytes: row.encoded.len() as u32,
                checksum: row.checksum,
            };
            resolved.push(NewRow { head, vector: &row.vector, metadata: &row.encoded });
        }
        let part_bytes = self.switches.batch_part_bytes.unwrap_or(limits::BATCH_PART_BYTES);
        Parts::new(resolved, deletes, part_bytes, self.settings.load().max_batch_bytes)
    }

    /// The norm of a vector that may be stored.
    pub(crate) fn check_vector(&self, id: NodeId, vector: &[f32]) -> Result<f32> {
        check_vector(vector, self.dimension, self.metric)
            .map_err(|error| error.context(format_args!("the vector of node {id}")))
    }
}

impl Writer {
    /// What a commit of these rows and deletes does to what others have read.
    pub(crate) fn effects(
        &self,
        transaction: Option<TxnId>,
        rows: &[&PendingRow<'_>],
        deletes: &[NodeId],
    ) -> Effects {
        let with_vectors = self.validating.any();
        let puts: Vec<PutEffect> = rows.iter().map(|row| row.effect(with_vectors)).collect();
        let of_row = |row: &&PendingRow<'_>| match with_vectors {
            true => row.bytes(),
            false => metadata_bytes(row.encoded.len()),
        };
        let bytes = rows.iter().map(of_row).sum::<u64>() + size_of_val(deletes) as u64;
        Effects { transaction, puts, deletes: deletes.to_vec(), bytes }
    }
}

/// The norm of a vector that can be stored or searched for in a store of this dimension and metric.
pub(crate) fn check_vector(vector: &[f32], dimension: usize, metric: Metric) -> Result<f32> {
    if vector.len() != dimension {
        let message =
            format!("it has {} dimensions, and this store's vectors have {dimension}", vector.len());
        return Err(Error::invalid(message));
    }
    if let Err(at) = check_finite(vector) {
        return Err(Error::invalid(format!("the number at {at} is {}, not finite", vector[at])));
    }
    let norm = norm(vector);
    if !norm.is_finite() {
        return Err(Error::invalid("its length overflows; scale it down"));
    }
    if norm == 0.0 && metric == Metric::Cosine {
        return Err(Error::invalid("it is zero, which has no direction for the cosine metric"));
    }
    Ok(norm)
}

fn with_path(mut metadata: NodeMetadata, path: Option<&str>) -> Result<NodeMetadata> {
    match (path, &metadata.path) {
        (None, _) => {}
        (Some(path), None) => metadata.path = Some(path.to_owned()),
        (Some(path), Some(own)) if own == path => {}
        (Some(path), Some(own)) => {
            return Err(Error::invalid(format!("it has the path {own:?}, and {path:?} is being replaced")));
        }
    }
    Ok(metadata)
}
