//! What a transaction by id is told to do.

use codegraph_vector_base::NodeId;

use crate::node::CodeNode;

/// A change of one node.
#[derive(Clone, Debug, PartialEq)]
pub enum VectorOperation {
    /// Stores a node that has nothing but a vector, or replaces the one that is there, its metadata included.
    Insert {
        /// The node.
        node_id: NodeId,
        /// As many finite numbers as the store has dimensions.
        vector: Vec<f32>,
    },
    /// Stores a node with its metadata, or replaces the one that is there.
    Put(CodeNode),
    /// Replaces a node's vector and keeps its metadata. `NotFound` if it is missing.
    Update {
        /// The node.
        node_id: NodeId,
        /// Its new vector.
        new_vector: Vec<f32>,
    },
    /// Deletes a node. A missing one is no error.
    Delete {
        /// The node.
        node_id: NodeId,
    },
}

impl VectorOperation {
    /// The node that it changes.
    pub fn node_id(&self) -> NodeId {
        match self {
            VectorOperation::Put(node) => node.id,
            VectorOperation::Insert { node_id, .. }
            | VectorOperation::Update { node_id, .. }
            | VectorOperation::Delete { node_id } => *node_id,
        }
    }
}
