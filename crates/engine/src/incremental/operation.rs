//! What may be submitted, and how urgent it is.

use codegraph_vector_base::NodeId;

use super::graph::{Key, Spec};
use crate::node::CodeNode;

/// A change that the manager carries out, whole or not at all.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // A box for each node would cost those who have nodes more than it saves others.
pub enum IncrementalOperation {
    /// A node of a vector alone. One that is there already is replaced, its metadata too; under
    /// [`IncrementalMode::Strict`](super::IncrementalMode::Strict) that is `AlreadyExists`.
    Insert {
        /// The node.
        node_id: NodeId,
        /// Its vector.
        vector: Vec<f32>,
    },
    /// Another vector for a node, whose metadata stays. One that is missing is inserted; under
    /// [`IncrementalMode::Strict`](super::IncrementalMode::Strict) that is `NotFound`.
    Update {
        /// The node.
        node_id: NodeId,
        /// Its new vector.
        new_vector: Vec<f32>,
    },
    /// Deletes a node. One that is missing is no error, and counts as none deleted; under
    /// [`IncrementalMode::Strict`](super::IncrementalMode::Strict) it is `NotFound`.
    Delete {
        /// The node.
        node_id: NodeId,
    },
    /// A node with its metadata. One that is there is replaced, in both modes.
    Put(CodeNode),
    /// Makes exactly these nodes the ones under `path`, in both modes. Nodes without a path get it; another path is an
    /// error.
    ReplacePath {
        /// The path.
        path: String,
        /// What is there from now on.
        nodes: Vec<CodeNode>,
    },
}

/// What is taken first. Order is kept nonetheless between operations on the same node: what stands before an urgent one
/// becomes as urgent. The less urgent is not held up for ever: one batch in four begins with
/// [`Normal`](Priority::Normal), one in eight with [`Low`](Priority::Low).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// For what somebody looks at: the file that is open in an editor.
    High,
    /// For all else.
    #[default]
    Normal,
    /// For work in bulk: a folder that is indexed anew.
    Low,
}

impl Priority {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// Memory of an operation besides its vectors, about, in bytes.
const OVERHEAD_BYTES: usize = 128;

impl IncrementalOperation {
    /// The nodes that it names, in the order in which they come.
    pub fn node_ids(&self) -> impl Iterator<Item = NodeId> {
        let (one, nodes) = match self {
            Self::Insert { node_id, .. } | Self::Update { node_id, .. } | Self::Delete { node_id } => {
                (Some(*node_id), &[][..])
            }
            Self::Put(node) => (Some(node.id), &[][..]),
            Self::ReplacePath { nodes, .. } => (None, &nodes[..]),
        };
        one.into_iter().chain(nodes.iter().map(|node| node.id))
    }

    /// What it counts in a queue: as many as it names nodes, and one at the least.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::ReplacePath { nodes, .. } => nodes.len().max(1),
            _ => 1,
        }
    }

    /// As the queue sees it. A path that it replaces has to be looked up besides.
    pub(super) fn spec(&self, priority: Priority) -> Spec {
        let mut keys: Vec<Key> = self.node_ids().map(Key::Node).collect();
        let (mut shared, mut vectors, mut metadata) = (None, 0, 0);
        let mut add = |node: &CodeNode| {
            vectors += node.embedding.len();
            metadata += metadata_bytes(node);
        };
        match self {
            Self::Insert { vector, .. } | Self::Update { new_vector: vector, .. } => vectors = vector.len(),
            Self::Delete { .. } => {}
            Self::Put(node) => {
                add(node);
                shared = node.path.as_deref().map(Key::path);
            }
            Self::ReplacePath { path, nodes } => {
                nodes.iter().for_each(add);
                keys.push(Key::path(path));
            }
        }
        let alone = !matches!(self, Self::ReplacePath { .. });
        Spec {
            priority,
            keys,
            shared,
            // What follows a delete is a new node, with a time of creation of its own.
            leads: alone && !matches!(self, Self::Delete { .. }),
            follows: alone,
            weight: self.weight(),
            bytes: vectors * size_of::<f32>() + metadata + OVERHEAD_BYTES * self.weight(),
        }
    }
}

/// Bytes of the texts of a node, about.
fn metadata_bytes(node: &CodeNode) -> usize {
    let texts = [&node.path, &node.name, &node.content_hash, &node.terms];
    texts.into_iter().flatten().map(String::len).sum::<usize>() + node.attributes.len() * OVERHEAD_BYTES
}
