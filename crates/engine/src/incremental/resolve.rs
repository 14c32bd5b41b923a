//! From prepared operations to one commit: what they come to, one after the other, on what is stored.
//!
//! What always holds: operations on the same node have their effect in their order, and the commit has but the last one.

use std::borrow::Cow;
use std::sync::Arc;

use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, SeqNo};
use rayon::prelude::*;

use super::config::IncrementalMode;
use super::prepare::Prepared;
use crate::id_map::{NodeIdMap, NodeIdSet};
use crate::node::NodeMetadata;
use crate::store::core::Core;
use crate::store::{PendingRow, check_memory};
use crate::version::Version;

/// The metadata of a row, decoded and encoded.
type Stored = (Arc<NodeMetadata>, Vec<u8>);

/// A prepared operation, and the nodes that go by it for standing under a path that is replaced.
pub(super) struct Step<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) doomed: Vec<NodeId>,
}

/// What a batch comes to.
pub(super) struct Resolved<'a> {
    rows: Vec<Cow<'a, PendingRow<'a>>>,
    /// The places among `rows` of those that stay.
    last: Vec<usize>,
    pub(super) deletes: Vec<NodeId>,
    /// Of each operation how many nodes are gone by it, or why it cannot be.
    pub(super) outcomes: Vec<Result<u64>>,
}

impl<'a> Resolved<'a> {
    /// The rows that the commit puts.
    pub(super) fn rows(&self) -> Vec<&PendingRow<'a>> {
        self.last.iter().map(|at| &*self.rows[*at]).collect()
    }
}

/// What becomes of a node.
#[derive(Clone, Copy)]
enum Now {
    AsStored,
    /// The row at this place.
    Put(usize),
    Gone,
}

/// A committed state, and what operations make of it.
pub(super) struct Resolver<'s> {
    pub(super) core: &'s Core,
    pub(super) version: &'s Version,
    pub(super) seqno: SeqNo,
    pub(super) mode: IncrementalMode,
    /// So many updates are looked up by all cores.
    pub(super) parallel_threshold: usize,
}

impl Resolver<'_> {
    /// Resolves operations whose nodes are locked.
    ///
    /// # Errors
    /// `Corrupt` if what has to be looked up to know what to delete is damaged.
    pub(super) fn resolve<'a>(&self, steps: &[Step<'a>]) -> Result<Resolved<'a>> {
        let stored = self.look_up(steps);
        let mut nodes: NodeIdMap<Now> = NodeIdMap::default();
        let mut rows: Vec<Cow<'a, PendingRow<'a>>> = Vec::with_capacity(steps.len());
        let mut deletes = Vec::new();
        let mut outcomes = Vec::with_capacity(steps.len());
        for step in steps {
            let outcome = match step.prepared {
                Prepared::Put { row, fresh } => self.put(row, *fresh, &mut nodes, &mut rows),
                Prepared::Update { id, vector, norm } => {
                    let now = nodes.get(id).copied().unwrap_or(Now::AsStored);
                    self.update(*id, now, &stored, &rows).map(|(metadata, encoded)| {
                        nodes.insert(*id, Now::Put(rows.len()));
                        let row = PendingRow::new(*id, Cow::Borrowed(vector), *norm, metadata, encoded);
                        rows.push(Cow::Owned(row));
                        0
                    })
                }
                Prepared::Delete { id } => self.delete(*id, &mut nodes),
                Prepared::Replace { rows: new, .. } => {
                    for row in new {
                        nodes.insert(row.id, Now::Put(rows.len()));
                        rows.push(Cow::Borrowed(row));
                    }
                    deletes.extend_from_slice(&step.doomed);
                    Ok(step.doomed.len() as u64)
                }
            };
            outcomes.push(outcome);
        }
        let mut last = Vec::with_capacity(rows.len());
        for (id, now) in &nodes {
            match now {
                Now::Put(at) => last.push(*at),
                Now::Gone if self.core.contains(self.version, self.seqno, *id)? => deletes.push(*id),
                Now::Gone | Now::AsStored => {}
            }
        }
        // In the order in which they came: equal batches are equal bytes.
        last.sort_unstable();
        deletes.sort_unstable();
        Ok(Resolved { rows, last, deletes, outcomes })
    }

    fn put<'a>(
        &self,
        row: &'a PendingRow<'static>,
        fresh: bool,
        nodes: &mut NodeIdMap<Now>,
        rows: &mut Vec<Cow<'a, PendingRow<'a>>>,
    ) -> Result<u64> {
        if fresh && self.mode == IncrementalMode::Strict && self.is_there(row.id, nodes)? {
            let message = format!("node {} is there already; update or put it instead", row.id);
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        nodes.insert(row.id, Now::Put(rows.len()));
        rows.push(Cow::Borrowed(row));
        Ok(0)
    }

    fn delete(&self, id: NodeId, nodes: &mut NodeIdMap<Now>) -> Result<u64> {
        match (self.is_there(id, nodes)?, self.mode) {
            (true, _) => {
                nodes.insert(id, Now::Gone);
                Ok(1)
            }
            (false, IncrementalMode::Upsert) => Ok(0),
            (false, IncrementalMode::Strict) => Err(missing(id, "delete")),
        }
    }

    /// The metadata that a node has or, if it is to be inserted, gets.
    fn update(
        &self,
        id: NodeId,
        now: Now,
        stored: &NodeIdMap<Result<Option<Stored>>>,
        rows: &[Cow<'_, PendingRow<'_>>],
    ) -> Result<Stored> {
        let found = match now {
            Now::Put(at) => Some((rows[at].metadata.clone(), rows[at].encoded.clone())),
            Now::AsStored => stored.get(&id).cloned().transpose()?.flatten(),
            Now::Gone => None,
        };
        match (found, self.mode) {
            (Some(found), _) => Ok(found),
            (None, IncrementalMode::Upsert) => {
                let metadata = NodeMetadata::default();
                let encoded = metadata.encode()?;
                Ok((Arc::new(metadata), encoded))
            }
            (None, IncrementalMode::Strict) => Err(missing(id, "update")),
        }
    }

    fn is_there(&self, id: NodeId, nodes: &NodeIdMap<Now>) -> Result<bool> {
        match nodes.get(&id) {
            Some(Now::Put(_)) => Ok(true),
            Some(Now::Gone) => Ok(false),
            Some(Now::AsStored) | None => self.core.contains(self.version, self.seqno, id),
        }
    }

    /// The metadata of the nodes that are updated.
    fn look_up(&self, steps: &[Step<'_>]) -> NodeIdMap<Result<Option<Stored>>> {
        let updated = |step: &Step<'_>| match step.prepared {
            Prepared::Update { id, .. } => Some(*id),
            _ => None,
        };
        let ids: Vec<NodeId> = steps.iter().filter_map(updated).collect::<NodeIdSet>().into_iter().collect();
        let look = |id: NodeId| (id, self.metadata(id));
        if ids.len() < self.parallel_threshold {
            return ids.into_iter().map(look).collect();
        }
        ids.into_par_iter().map(look).collect::<Vec<_>>().into_iter().collect()
    }

    fn metadata(&self, id: NodeId) -> Result<Option<Stored>> {
        let Self { core, version, seqno, .. } = self;
        for table in version.memtables() {
            let found = table.get(id, *seqno, |row, vector, _| {
                check_memory(row, vector).map(|()| (row.metadata.clone(), row.encoded.to_vec()))
            });
            if let Some(found) = found {
                return found.map(Some);
            }
        }
        for segment in version.segments.iter().rev() {
            if let Some(ordinal) = segment.find(id, *seqno)? {
                let encoded = segment.encoded_metadata(ordinal, &core.caches())?;
                return Ok(Some((Arc::new(NodeMetadata::decode(&encoded)?), encoded.into_vec())));
            }
        }
        version.check_complete().map(|()| None)
    }
}

fn missing(id: NodeId, what: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no node {id} to {what}"))
}
