//! What is read through changes, against a model that has them.

use std::sync::atomic::Ordering::Relaxed;

use codegraph_vector_base::TxnId;
use codegraph_vector_testkit::{Rng, generators};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::super::pending::PendingTable;
use super::super::sample::{self, Model};
use super::*;
use crate::filter::sample::any_filter;
use crate::indexing::IndexPolicy;
use crate::store::core::Handle;
use crate::store::{Locking, Write};

/// Few changes, or so many that most of what is found below is hidden.
fn any_changes() -> impl Strategy<Value = Vec<(NodeId, Option<CodeNode>)>> {
    let changes = |ids: std::ops::Range<NodeId>, count| {
        btree_map(ids, option::weighted(0.7, sample::any_node()), count).prop_map(|changes| {
            let renamed =
                |(id, node): (NodeId, Option<CodeNode>)| (id, node.map(|node| CodeNode { id, ..node }));
            changes.into_iter().map(renamed).collect()
        })
    };
    prop_oneof![4 => changes(0..30, 0..8), 1 => changes(0..200, 60..120)]
}

fn check(
    overlay: &Overlay<'_>,
    model: &Model,
    (requests, filter): (&[SearchRequest], &Filter),
) -> Result<(), TestCaseError> {
    let metric = overlay.core.metric;
    for id in 0..32 {
        let found = overlay.get(id).unwrap();
        let expected = model.0.get(&id);
        prop_assert_eq!(found.clone().into_node(), expected.map(|(_, node)| node.clone()));
        let seqno = match found {
            Found::Committed(found) => found.map(|(seqno, _)| seqno),
            Found::Uncommitted(node) => node.map(|_| SeqNo::MAX),
        };
        prop_assert_eq!(seqno, expected.map(|(seqno, _)| *seqno));
    }
    for request in requests {
        // As a search for those like a node does.
        let like = overlay.get(5).unwrap().into_node().map(|node| request.like(5, node.embedding));
        for request in std::iter::once(request.clone()).chain(like) {
            let results = overlay.search(&request).unwrap();
            let found: Vec<_> = results.matches.iter().map(|found| (found.score, found.node_id)).collect();
            prop_assert_eq!(found, model.nearest(metric, &request));
            prop_assert!(results.exact);
            for found in &results.matches {
                let (seqno, node) = &model.0[&found.node_id];
                let metadata = request.with_metadata.then(|| node.metadata());
                let vector = request.with_vector.then(|| node.embedding.clone());
                let of_match = (found.seqno, &found.metadata, &found.vector, found.exact);
                prop_assert_eq!(of_match, (*seqno, &metadata, &vector, true));
            }
        }
    }
    let matching = model.matching(|node| filter.matches(node.id, &node.metadata()));
    prop_assert_eq!(overlay.count(filter).unwrap(), matching.len() as u64);
    prop_assert_eq!(overlay.ids(filter).unwrap(), matching);
    for path in ["src/a.rs", "README", "none"] {
        let under = model.matching(|node| node.path.as_deref() == Some(path));
        prop_assert_eq!(overlay.ids_of_path(path).unwrap(), under);
    }
    Ok(())
}

proptest! {
    #[test]
    fn reads_are_those_of_the_merged_rows(
        metric in sample::any_metric(),
        before in vec(sample::any_step(), 0..8),
        after in vec(sample::any_step(), 0..4),
        changes in any_changes(),
        requests in vec(sample::any_request(), 1..4),
        filter in any_filter(false),
    ) {
        let core = sample::open(metric, sample::DIMENSION, IndexPolicy::Flat);
        let mut model = Model::default();
        before.iter().for_each(|step| model.step(&core, step));
        let point = core.read_point();
        let mut later = model.clone();
        after.iter().for_each(|step| later.step(&core, step));

        let (mut set, table) = (WriteSet::default(), PendingTable::default());
        for (id, node) in changes {
            let change = node.map_or(Change::Delete, |node| sample::put(&core, node));
            set.set(id, change.clone());
            table.set(TxnId((id % 3) as u64), id, Some(change));
        }
        let all = Changes::all(&set);
        model.change(all.iter().cloned());
        later.change(all.into_iter());
        let asked = (&requests[..], &filter);
        check(&Overlay::at(&core, &point, &set), &model, asked)?;
        check(&Overlay::at(&core, &point, &table), &model, asked)?;
        check(&Overlay::of_now(&core, &set), &later, asked)?;
    }
}

fn ids(results: &SearchResults) -> Vec<NodeId> {
    results.matches.iter().map(|found| found.node_id).collect()
}

#[test]
fn what_an_index_finds_is_hidden_and_what_is_not_in_it_is_found() {
    const DIMENSION: usize = 16;
    let mut rng = Rng::new(11);
    for index in [IndexPolicy::Ivf, IndexPolicy::hnsw()] {
        let core = sample::open(Metric::Cosine, DIMENSION, index);
        let nodes: Vec<CodeNode> =
            (0..900).map(|id| CodeNode::new(id, generators::vector(&mut rng, DIMENSION))).collect();
        core.submit(&Write::Put(&nodes), Locking::Wait).unwrap().wait().unwrap();
        core.flush().unwrap();
        core.merge_all().unwrap();
        let mut set = WriteSet::default();
        for (number, node) in nodes.iter().enumerate() {
            // Every third is gone or somewhere else, and there are new ones.
            match number % 6 {
                0 => set.set(node.id, Change::Delete),
                3 => {
                    let node = CodeNode::new(node.id, generators::vector(&mut rng, DIMENSION));
                    set.set(node.id, sample::put(&core, node));
                }
                5 => {
                    let node = CodeNode::new(node.id + 10_000, generators::vector(&mut rng, DIMENSION));
                    set.set(node.id, sample::put(&core, CodeNode { id: node.id, ..node }));
                }
                _ => {}
            }
        }
        let overlay = Overlay::of_now(&core, &set);
        let (mut found, mut asked) = (0, 0);
        for _ in 0..50 {
            let request = SearchRequest::new(generators::vector(&mut rng, DIMENSION), 10).with_effort(1.0);
            let results = overlay.search(&request).unwrap();
            assert!(!results.exact);
            assert_eq!(results.matches.len(), 10);
            let exact = overlay.search(&request.with_exact(true)).unwrap();
            for hit in &results.matches {
                let changed = set.get(hit.node_id);
                assert!(changed.is_none_or(|change| change.row().is_some()), "{} is gone", hit.node_id);
                assert_eq!(hit.seqno == SeqNo::MAX, changed.is_some());
            }
            asked += 10;
            found += ids(&exact).iter().filter(|id| ids(&results).contains(id)).count();
        }
        assert!(found * 100 >= asked * 95, "{index}: {found} of {asked}");
    }
}

#[test]
fn a_search_looks_deeper_until_it_is_past_what_is_hidden() {
    let core = sample::open(Metric::Dot, sample::DIMENSION, IndexPolicy::Flat);
    let nodes: Vec<CodeNode> = (1..300).map(|id| CodeNode::new(id, vec![id as f32; 3])).collect();
    core.submit(&Write::Put(&nodes), Locking::Wait).unwrap().wait().unwrap();
    let mut set = WriteSet::default();
    (100..300).for_each(|id| set.set(id, Change::Delete));
    let request = SearchRequest::new([1.0, 0.0, 0.0], 3);
    let searches = |count| core.counters.searches.swap(0, Relaxed) == count;
    let found = |request: &SearchRequest| {
        searches(0);
        ids(&Overlay::of_now(&core, &set).search(request).unwrap())
    };
    assert_eq!(found(&request), [99, 98, 97]);
    assert!(searches(4), "6, 24, 96, then all 203 of them");
    assert_eq!(found(&request.clone().with_min_score(98.0)), [99, 98]);
    assert_eq!(found(&request.clone().with_min_score(295.0)), [0; 0]);
    assert!(searches(1), "what is deeper is too far away");
    assert_eq!(found(&request.with_filter(!Filter::ids(10..290))), [9, 8, 7]);
}

#[test]
fn nothing_over_a_state_reads_as_the_state() {
    let core: Arc<Handle> = sample::open(Metric::Dot, sample::DIMENSION, IndexPolicy::Flat);
    let nodes: Vec<CodeNode> = (1..9).map(|id| CodeNode::new(id, vec![id as f32; 3])).collect();
    core.submit(&Write::Put(&nodes), Locking::Wait).unwrap().wait().unwrap();
    let set = WriteSet::default();
    let request = SearchRequest::new([1.0, 0.0, 0.0], 3);
    let (version, seqno) = core.read_point();
    let overlay = Overlay::of_now(&core, &set);
    assert_eq!(overlay.search(&request).unwrap(), core.search(&version, seqno, &request).unwrap());
    assert_eq!(ids(&overlay.search(&request).unwrap()), [8, 7, 6]);
    for (limit, word) in [(0, "limit is 0"), (crate::MAX_LIMIT + 1, "limit is 10001")] {
        let mut set = WriteSet::default();
        set.set(1, Change::Delete);
        for overlay in [&overlay, &Overlay::of_now(&core, &set)] {
            let error = overlay.search(&SearchRequest::new([1.0, 0.0, 0.0], limit)).unwrap_err();
            assert!(error.message().contains(word), "{error}");
        }
    }
    core.close().unwrap();
    assert!(overlay.get(1).is_err() && overlay.count(&Filter::everything()).is_err());
}
