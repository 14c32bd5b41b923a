//! What of an operation depends on nothing but itself: checking, measuring, encoding and hashing its rows.

use std::borrow::Cow;

use codegraph_vector_base::{NodeId, Result};

use super::operation::IncrementalOperation;
use crate::node::{CodeNode, NodeMetadata, check_path};
use crate::store::PendingRow;
use crate::store::core::Core;

/// An operation that may be carried out, as far as it can be told without looking at the store.
#[derive(Debug)]
pub(super) enum Prepared {
    Put {
        row: PendingRow<'static>,
        /// Whether it must not be there yet, under the strict mode.
        fresh: bool,
    },
    Update {
        id: NodeId,
        vector: Vec<f32>,
        norm: f32,
    },
    Delete {
        id: NodeId,
    },
    Replace {
        path: String,
        rows: Vec<PendingRow<'static>>,
    },
}

impl Prepared {
    /// Checks and encodes an operation.
    ///
    /// # Errors
    /// `InvalidInput` and `TooLarge`, naming the node and what is wrong with it.
    pub(super) fn of(core: &Core, operation: IncrementalOperation) -> Result<Self> {
        let row = |id, vector, metadata| core.pending_row(id, Cow::Owned(vector), metadata, None);
        Ok(match operation {
            IncrementalOperation::Insert { node_id, vector } => {
                Self::Put { row: row(node_id, vector, NodeMetadata::default())?, fresh: true }
            }
            IncrementalOperation::Update { node_id: id, new_vector: vector } => {
                let norm = core.check_vector(id, &vector)?;
                Self::Update { id, vector, norm }
            }
            IncrementalOperation::Delete { node_id: id } => Self::Delete { id },
            IncrementalOperation::Put(node) => {
                let (id, vector, metadata) = node.into_parts();
                Self::Put { row: row(id, vector, metadata)?, fresh: false }
            }
            IncrementalOperation::ReplacePath { path, nodes } => {
                check_path(&path)?;
                let rows = replacement(core, &path, &nodes)?;
                Self::Replace { path, rows }
            }
        })
    }

    /// The nodes that it names.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> {
        let (one, rows) = match self {
            Self::Put { row, .. } => (Some(row.id), &[][..]),
            Self::Update { id, .. } | Self::Delete { id } => (Some(*id), &[][..]),
            Self::Replace { rows, .. } => (None, &rows[..]),
        };
        one.into_iter().chain(rows.iter().map(|row| row.id))
    }
}

fn replacement(core: &Core, path: &str, nodes: &[CodeNode]) -> Result<Vec<PendingRow<'static>>> {
    let rows = core.pending_rows(nodes, Some(path))?;
    Ok(rows.into_iter().map(PendingRow::into_owned).collect())
}
