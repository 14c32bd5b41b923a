//! Small stores, random rows and a model to hold reads against, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use codegraph_vector_ann::{ExactScan, Metric, norm};
use codegraph_vector_base::{NodeId, SeqNo};
use codegraph_vector_testkit::{SeededRandom, SimClock, SimVfs};
use proptest::collection::{btree_map, btree_set};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::write_set::Change;
use crate::filter::sample::{any_filter, any_metadata};
use crate::indexing::IndexPolicy;
use crate::node::CodeNode;
use crate::options::{Environment, OpenOptions, Settings};
use crate::store::core::{Core, Handle};
use crate::store::{Locking, SearchRequest, Write};

/// Few and small, so that scores meet.
pub(super) const DIMENSION: usize = 3;
/// Ids of rows are below this.
const IDS: NodeId = 30;

pub(super) fn open(metric: Metric, dimension: usize, index: IndexPolicy) -> Arc<Handle> {
    let environment = Environment {
        vfs: Arc::new(SimVfs::new(3)),
        clock: Arc::new(SimClock::default()),
        random: Arc::new(SeededRandom::new(7)),
    };
    let settings = Some(Settings { background: false, index, ..Settings::default() });
    let (dimension, metric) = (Some(dimension), Some(metric));
    let options = OpenOptions { dimension, metric, settings, environment, ..OpenOptions::default() };
    Handle::new(crate::store::open("/store".into(), &options).unwrap())
}

pub(super) fn any_metric() -> impl Strategy<Value = Metric> {
    select(vec![Metric::Cosine, Metric::Dot, Metric::Euclidean])
}

pub(super) fn any_id() -> impl Strategy<Value = NodeId> {
    0..IDS
}

pub(super) fn any_vector() -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec(-2..=2_i8, DIMENSION).prop_map(|numbers| {
        let vector: Vec<f32> = numbers.into_iter().map(f32::from).collect();
        if vector.iter().all(|x| *x == 0.0) { vec![1.0; DIMENSION] } else { vector }
    })
}

pub(super) fn any_node() -> impl Strategy<Value = CodeNode> {
    let parts = (any_id(), any_vector(), any_metadata());
    parts.prop_map(|(id, vector, metadata)| CodeNode::from_parts(id, vector, metadata))
}

pub(super) fn any_request() -> impl Strategy<Value = SearchRequest> {
    let limit = prop_oneof![4 => 1..6_usize, 1 => Just(100)];
    let filter = option::of(any_filter(false));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (any_vector(), limit, filter, option::of(-3.0..3.0_f32), flags).prop_map(
        |(vector, limit, filter, min_score, (with_metadata, with_vector, exact))| SearchRequest {
            filter,
            min_score,
            with_metadata,
            with_vector,
            exact,
            ..SearchRequest::new(vector, limit)
        },
    )
}

/// What a step does to a store.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Put(BTreeMap<NodeId, CodeNode>),
    Delete(Vec<NodeId>),
    Flush,
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let ids = btree_set(any_id(), 1..4).prop_map(|ids| ids.into_iter().collect());
    prop_oneof![
        4 => btree_map(any_id(), any_node(), 1..8).prop_map(|nodes| {
            Step::Put(nodes.into_iter().map(|(id, node)| (id, CodeNode { id, ..node })).collect())
        }),
        2 => Strategy::prop_map(ids, Step::Delete),
        1 => Just(Step::Flush),
    ]
}

/// A store as it should be: each node, and the commit that wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model(pub(super) BTreeMap<NodeId, (SeqNo, CodeNode)>);

impl Model {
    /// Takes a step here and in the store.
    pub(super) fn step(&mut self, core: &Arc<Core>, step: &Step) {
        let commit =
            |write: &Write<'_>| core.submit(write, Locking::Wait).unwrap().wait().unwrap().receipt.seqno;
        match step {
            Step::Put(nodes) => {
                let all: Vec<CodeNode> = nodes.values().cloned().collect();
                let seqno = commit(&Write::Put(&all));
                self.0.extend(all.into_iter().map(|node| (node.id, (seqno, node))));
            }
            Step::Delete(ids) => {
                commit(&Write::Delete(ids));
                ids.iter().for_each(|id| drop(self.0.remove(id)));
            }
            Step::Flush => core.flush().unwrap(),
        }
    }

    /// Lays changes over it.
    pub(super) fn change(&mut self, changes: impl Iterator<Item = (NodeId, Change)>) {
        for (id, change) in changes {
            match change.row() {
                Some(row) => self.0.insert(id, (SeqNo::MAX, row.node())),
                None => self.0.remove(&id),
            };
        }
    }

    pub(super) fn matching(&self, fits: impl Fn(&CodeNode) -> bool) -> Vec<NodeId> {
        self.0.values().filter(|(_, node)| fits(node)).map(|(_, node)| node.id).collect()
    }

    /// Scores and ids of what an exact search should find.
    pub(super) fn nearest(&self, metric: Metric, request: &SearchRequest) -> Vec<(f32, NodeId)> {
        let filter = |node: &CodeNode| {
            request.filter.as_ref().is_none_or(|filter| filter.matches(node.id, &node.metadata()))
        };
        let ids = self.matching(filter).into_iter();
        let mut found: Vec<_> =
            ids.map(|id| (score(metric, &request.vector, &self.0[&id].1.embedding), id)).collect();
        found.retain(|(score, _)| request.min_score.is_none_or(|least| *score >= least));
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.truncate(request.limit);
        found
    }
}

pub(super) fn score(metric: Metric, query: &[f32], vector: &[f32]) -> f32 {
    ExactScan::new(metric, query).score_one(vector, norm(vector)) + 0.0
}

/// The change that stores a node.
pub(super) fn put(core: &Core, node: CodeNode) -> Change {
    let (id, vector, metadata) = node.into_parts();
    Change::Put(Arc::new(core.pending_row(id, vector.into(), metadata, None).unwrap()))
}
