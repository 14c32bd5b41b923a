//! What a transaction has read.

use codegraph_vector_base::{Conflict, ConflictCause, Error, ErrorKind, NodeId, Result};

use crate::id_map::NodeIdSet;
use crate::store::Effects;

/// What a transaction has read, and what must therefore not change until it commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReadSet {
    pub(crate) rows: NodeIdSet,
}

impl ReadSet {
    /// As bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let mut ids: Vec<NodeId> = self.rows.iter().copied().collect();
        ids.sort_unstable();
        Ok(ids.iter().flat_map(|id| id.to_le_bytes()).collect())
    }

    /// Out of bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let (ids, rest) = bytes.as_chunks::<16>();
        if !rest.is_empty() {
            return Err(Error::new(ErrorKind::Corrupt, "a read set is cut off"));
        }
        Ok(Self { rows: ids.iter().map(|id| NodeId::from_le_bytes(*id)).collect() })
    }

    /// What of it a commit changes.
    pub(crate) fn conflict(&self, effects: &Effects) -> Option<Conflict> {
        let touched = effects.puts.iter().map(|put| put.id).chain(effects.deletes.iter().copied());
        let mut read = touched.filter(|id| self.rows.contains(id));
        read.next().map(|id| Conflict::new(ConflictCause::Read).on_node(id))
    }
}
