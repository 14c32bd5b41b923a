//! Uncommitted changes laid over a committed state.
//!
//! What always holds: what is read is what would be read if the changes were committed on top of the state, but that
//! they have no SeqNo yet; where there are none, a read costs what it costs below.

use std::sync::Arc;

use codegraph_vector_ann::{ExactScan, Hit, Metric, TopK};
use codegraph_vector_base::{NodeId, Result, SeqNo};

use super::state::State;
use super::write_set::{Change, WriteSet};
use crate::filter::Filter;
use crate::id_map::NodeIdMap;
use crate::node::{CodeNode, NodeMetadata};
use crate::store::core::Core;
use crate::store::{Match, PendingRow, SearchRequest, SearchResults};
use crate::version::Version;

/// Changes that can be laid over a state.
pub(crate) trait Changes {
    /// What was done to a node.
    fn get(&self, id: NodeId) -> Option<Change>;

    /// All of them, by id, each node once.
    fn all(&self) -> Vec<(NodeId, Change)>;
}

impl Changes for WriteSet {
    fn get(&self, id: NodeId) -> Option<Change> {
        self.get(id).cloned()
    }

    fn all(&self) -> Vec<(NodeId, Change)> {
        self.iter().map(|(id, change)| (id, change.clone())).collect()
    }
}

/// What a read of one node found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// What is committed: the node and the commit that wrote it, or that there is none.
    Committed(Option<(SeqNo, CodeNode)>),
    /// A change that lies over it.
    Uncommitted(Option<CodeNode>),
}

impl Found {
    /// The node.
    pub(crate) fn into_node(self) -> Option<CodeNode> {
        match self {
            Found::Committed(found) => found.map(|(_, node)| node),
            Found::Uncommitted(node) => node,
        }
    }
}

/// Reads of a state with changes over it.
pub(crate) struct Overlay<'a> {
    core: &'a Core,
    /// The state, if it is not that of the moment.
    point: Option<&'a (Arc<Version>, SeqNo)>,
    changes: &'a dyn Changes,
}

impl<'a> Overlay<'a> {
    /// Changes over what is committed when each read begins.
    pub(crate) fn of_now(core: &'a Core, changes: &'a dyn Changes) -> Self {
        Self { core, point: None, changes }
    }

    /// Changes over what was committed at a point.
    pub(crate) fn at(core: &'a Core, point: &'a (Arc<Version>, SeqNo), changes: &'a dyn Changes) -> Self {
        Self { core, point: Some(point), changes }
    }

    /// Reads what is committed. Changes are to be looked at before that: those of others that are no longer there are then
    /// part of the state of the moment, or rolled back.
    fn below<R>(&self, read: impl FnOnce(State<'_>) -> R) -> R {
        let now;
        let (version, seqno) = match self.point {
            Some(point) => point,
            None => {
                now = self.core.read_point();
                &now
            }
        };
        read(State { core: self.core, version, seqno: *seqno })
    }

    /// A node.
    ///
    /// # Errors
    /// `Corrupt` if what is stored of it is damaged; `Closed`.
    pub(crate) fn get(&self, id: NodeId) -> Result<Found> {
        self.core.check_open()?;
        if let Some(change) = self.changes.get(id) {
            return Ok(Found::Uncommitted(change.row().map(PendingRow::node)));
        }
        let Some(row) = self.below(|state| state.row(id))? else { return Ok(Found::Committed(None)) };
        let metadata = NodeMetadata::decode(&row.encoded)?;
        Ok(Found::Committed(Some((row.columns.seqno, CodeNode::from_parts(id, row.vector, metadata)))))
    }

    /// The nearest nodes. Those that are not committed are always scored by their vectors.
    ///
    /// # Errors
    /// As [`Snapshot::search`](crate::Snapshot::search).
    pub(crate) fn search(&self, request: &SearchRequest) -> Result<SearchResults> {
        let changes = self.changes.all();
        if changes.is_empty() {
            return self.below(|state| state.core.search(state.version, state.seqno, request));
        }
        let hidden = changes.iter().map(|(id, _)| *id).collect();
        let below =
            self.below(|state| state.core.search_without(state.version, state.seqno, request, &hidden))?;
        Ok(merge(self.core.metric, request, below, &changes))
    }

    /// Ids of the nodes that match a filter, in order.
    ///
    /// # Errors
    /// `InvalidInput` for a filter that cannot be; `Corrupt` if a block it needs is damaged; `Closed`.
    pub(crate) fn ids(&self, filter: &Filter) -> Result<Vec<NodeId>> {
        self.matching(filter).map(in_order)
    }

    /// Number of nodes that match a filter.
    ///
    /// # Errors
    /// As [`ids`](Self::ids).
    pub(crate) fn count(&self, filter: &Filter) -> Result<u64> {
        Ok(self.matching(filter)?.len() as u64)
    }

    /// Ids of the nodes under a path, in order.
    ///
    /// # Errors
    /// As [`ids`](Self::ids).
    pub(crate) fn ids_of_path(&self, path: &str) -> Result<Vec<NodeId>> {
        let under = |row: &PendingRow<'static>| row.metadata.path.as_deref() == Some(path);
        let ids = self.among(|state| state.core.ids_of_path(state.version, state.seqno, path), under);
        ids.map(in_order)
    }

    fn matching(&self, filter: &Filter) -> Result<Vec<NodeId>> {
        let matches = |row: &PendingRow<'static>| filter.matches(row.id, &row.metadata);
        self.among(|state| state.core.matching_ids(state.version, state.seqno, filter), matches)
    }

    /// Ids that are found below and not changed, and those of changed rows that fit.
    fn among(
        &self,
        find: impl FnOnce(State<'_>) -> Result<Vec<NodeId>>,
        fits: impl Fn(&PendingRow<'static>) -> bool,
    ) -> Result<Vec<NodeId>> {
        self.core.check_open()?;
        let changes = self.changes.all();
        let mut ids = self.below(find)?;
        if !changes.is_empty() {
            ids.retain(|id| row_of(&changes, *id).is_none());
            ids.extend(rows(&changes).filter(|row| fits(row)).map(|row| row.id));
        }
        Ok(ids)
    }
}

fn in_order(mut ids: Vec<NodeId>) -> Vec<NodeId> {
    ids.sort_unstable();
    ids
}

/// What a change leaves of a node, if there is a change.
fn row_of(changes: &[(NodeId, Change)], id: NodeId) -> Option<Option<&PendingRow<'static>>> {
    let at = changes.binary_search_by_key(&id, |(id, _)| *id).ok()?;
    Some(changes[at].1.row())
}

fn rows(changes: &[(NodeId, Change)]) -> impl Iterator<Item = &PendingRow<'static>> {
    changes.iter().filter_map(|(_, change)| change.row())
}

/// The best of what was found below and what changes put.
fn merge(
    metric: Metric,
    request: &SearchRequest,
    below: SearchResults,
    changes: &[(NodeId, Change)],
) -> SearchResults {
    let scan = ExactScan::new(metric, &request.vector);
    let mut top = TopK::new(request.limit);
    for row in rows(changes) {
        let score = scan.score_one(&row.vector, row.norm);
        let far = request.min_score.is_some_and(|least| score < least);
        let fits = || request.filter.as_ref().is_none_or(|filter| filter.matches(row.id, &row.metadata));
        if score >= top.threshold() && !far && fits() {
            top.push(score, row.id);
        }
    }
    below.matches.iter().for_each(|found| {
        top.push(found.score, found.node_id);
    });
    let mut committed: NodeIdMap<Match> =
        below.matches.into_iter().map(|found| (found.node_id, found)).collect();
    let matches = top.into_sorted().into_iter().filter_map(|Hit { score, key }| {
        committed.remove(&key).or_else(|| Some(uncommitted(request, score, row_of(changes, key)??)))
    });
    SearchResults { matches: matches.collect(), ..below }
}

fn uncommitted(request: &SearchRequest, score: f32, row: &PendingRow<'static>) -> Match {
    Match {
        node_id: row.id,
        score,
        seqno: SeqNo::MAX,
        metadata: request.with_metadata.then(|| (*row.metadata).clone()),
        vector: request.with_vector.then(|| row.vector.to_vec()),
        exact: true,
    }
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
