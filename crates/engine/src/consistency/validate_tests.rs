//! Validation against reading again, and against what its rules say of each row.

use codegraph_vector_ann::Metric;
use codegraph_vector_base::{Error, TxnId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::IsolationLevel;
use super::super::overlay::Overlay;
use super::super::sample::{self, Model, Step};
use super::super::write_set::WriteSet;
use super::*;
use crate::filter::Filter;
use crate::filter::sample::any_filter;
use crate::indexing::IndexPolicy;
use crate::node::CodeNode;
use crate::store::core::{Core, Handle};
use crate::store::{Locking, MAX_COMMITS, SearchRequest, Write};
use crate::version::Version;

type Point = (Arc<Version>, SeqNo);

#[derive(Clone, Debug)]
enum Read {
    Get(NodeId),
    Search(SearchRequest),
    Ids(Filter),
    Count(Filter),
    Path(&'static str),
}

fn any_read() -> impl Strategy<Value = Read> {
    prop_oneof![
        2 => sample::any_id().prop_map(Read::Get),
        4 => sample::any_request().prop_map(Read::Search),
        1 => any_filter(false).prop_map(Read::Ids),
        1 => any_filter(false).prop_map(Read::Count),
        1 => prop::sample::select(vec!["src/a.rs", "README", "none"]).prop_map(Read::Path),
    ]
}

impl Read {
    /// Reads, and notes it; returns what was found, for comparing.
    fn run(&self, core: &Core, point: &Point, reads: &mut ReadSet) -> String {
        let (rules, at, set) = (IsolationLevel::Serializable.rules(), point.1, WriteSet::default());
        let overlay = Overlay::at(core, point, &set);
        match self {
            Read::Get(id) => {
                let found = overlay.get(*id).unwrap();
                reads.got(rules, at, *id, &found);
                format!("{found:?}")
            }
            Read::Search(request) => {
                let results = overlay.search(request).unwrap();
                reads.searched(rules, at, request, &results);
                format!("{:?}", results.matches)
            }
            Read::Ids(filter) => {
                let ids = overlay.ids(filter).unwrap();
                reads.listed(rules, at, filter, ids.iter().copied());
                format!("{ids:?}")
            }
            Read::Count(filter) => {
                reads.counted(rules, at, filter);
                format!("{:?}", overlay.count(filter).unwrap())
            }
            Read::Path(path) => {
                let ids = overlay.ids_of_path(path).unwrap();
                let matched = ids.iter().copied().collect();
                reads.watch(at, Predicate::Path((*path).to_owned()), Some(matched));
                format!("{ids:?}")
            }
        }
    }

    /// Whether a commit that touched `id`, and left it as it is in `new`, is related to this read of `old`, by the words of
    /// the rules.
    fn is_touched(&self, metric: Metric, id: NodeId, old: &Model, new: &Model) -> bool {
        let either = |fits: &dyn Fn(&CodeNode) -> bool| {
            [old, new].iter().any(|model| model.0.get(&id).is_some_and(|(_, node)| fits(node)))
        };
        match self {
            Read::Get(read) => *read == id,
            Read::Ids(filter) | Read::Count(filter) => {
                either(&|node| filter.matches(node.id, &node.metadata()))
            }
            Read::Path(path) => either(&|node| node.path.as_deref() == Some(path)),
            Read::Search(request) => {
                let found = old.nearest(metric, request);
                let least = match found.last() {
                    Some((score, _)) if found.len() == request.limit => Some(*score),
                    _ => request.min_score,
                };
                let comes_near = new.0.get(&id).is_some_and(|(_, node)| {
                    let fits = |filter: &Filter| filter.matches(id, &node.metadata());
                    request.filter.as_ref().is_none_or(fits)
                        && least.is_none_or(|least| {
                            sample::score(metric, &request.vector, &node.embedding) >= least
                        })
                });
                found.iter().any(|(_, hit)| *hit == id) || comes_near
            }
        }
    }
}

/// The nodes that a step touches; to delete one that is not there does nothing.
fn touched(step: &Step, model: &Model) -> Vec<NodeId> {
    match step {
        Step::Put(nodes) => nodes.keys().copied().collect(),
        Step::Delete(ids) => ids.iter().copied().filter(|id| model.0.contains_key(id)).collect(),
        Step::Flush => Vec::new(),
    }
}

fn validate(core: &Core, point: &Point, reads: &ReadSet, outside: bool) -> Result<()> {
    let state = State { core, version: &point.0, seqno: point.1 };
    let done = if outside { reads.validate(&state)? } else { None };
    core.writer().unwrap().log.with_state(|assigned| reads.validate_rest(&state, &assigned.ring, done))
}

proptest! {
    #[test]
    fn finds_what_changed_and_nothing_else(
        metric in sample::any_metric(),
        before in vec(sample::any_step(), 0..8),
        read in any_read(),
        after in vec(sample::any_step(), 1..5),
        (keeps_vectors, outside) in (any::<bool>(), any::<bool>()),
    ) {
        let core = sample::open(metric, sample::DIMENSION, IndexPolicy::Flat);
        let mut model = Model::default();
        before.iter().for_each(|step| model.step(&core, step));
        let _kept = keeps_vectors.then(|| core.writer().unwrap().validating.enter());
        let (point, mut reads) = (core.read_point(), ReadSet::default());
        let found = read.run(&core, &point, &mut reads);

        let (old, mut related) = (model.clone(), false);
        for step in &after {
            let ids = touched(step, &model);
            model.step(&core, step);
            related |= ids.iter().any(|id| read.is_touched(metric, *id, &old, &model));
        }
        let again = read.run(&core, &core.read_point(), &mut ReadSet::default());
        let outcome = validate(&core, &point, &reads, outside);
        prop_assert!(again == found || outcome.is_err(), "missed: {found} became {again}");
        match &outcome {
            Err(error) => {
                let cause = error.conflict().expect("a conflict").cause;
                prop_assert!(matches!(cause, ConflictCause::Read | ConflictCause::Predicate));
            }
            Ok(()) => prop_assert!(!related),
        }
        // Without a vector of its own, a row that is gone by now counts as near.
        if keeps_vectors || !after.iter().any(|step| matches!(step, Step::Flush)) {
            prop_assert_eq!(outcome.is_err(), related, "{:?}", outcome);
        }
        // A prepared transaction is known by its bytes alone.
        let decoded = ReadSet::decode(&reads.encode().unwrap()).unwrap();
        prop_assert_eq!(validate(&core, &point, &decoded, outside).is_err(), outcome.is_err());
        // Whoever reads now is not disturbed by what was before.
        let (now, mut reads) = (core.read_point(), ReadSet::default());
        read.run(&core, &now, &mut reads);
        prop_assert!(validate(&core, &now, &reads, outside).is_ok());
    }
}

fn store() -> Arc<Handle> {
    let core = sample::open(Metric::Dot, sample::DIMENSION, IndexPolicy::Flat);
    put(&core, 1, 1.0);
    put(&core, 2, 2.0);
    core
}

fn node(id: NodeId, value: f32) -> CodeNode {
    CodeNode::new(id, vec![value, 0.0, 0.0])
}

fn put(core: &Arc<Handle>, id: NodeId, value: f32) {
    core.submit(&Write::Put(&[node(id, value)]), Locking::Wait).unwrap().wait().unwrap();
}

fn conflict(error: &Error) -> (ConflictCause, Option<NodeId>, Option<TxnId>) {
    let conflict = error.conflict().expect("a conflict");
    (conflict.cause, conflict.node, conflict.transaction)
}

#[test]
fn a_conflict_says_what_got_in_the_way() {
    let core = store();
    let point = core.read_point();
    let state = State { core: &core, version: &point.0, seqno: point.1 };
    let row = core.pending_row(7, vec![3.0, 0.0, 0.0].into(), Default::default(), None).unwrap();
    let effects = core.writer().unwrap().effects(Some(TxnId(5)), &[&row], &[2]);
    let next = point.1.next();

    let mut reads = ReadSet::default();
    Read::Get(2).run(&core, &point, &mut reads);
    let found = reads.conflict(&effects, next, &state).unwrap().unwrap();
    assert_eq!(conflict(&found.into()), (ConflictCause::Read, Some(2), Some(TxnId(5))));
    assert_eq!(reads.conflict(&effects, point.1, &state).unwrap(), None, "that was before");

    let mut reads = ReadSet::default();
    let request = SearchRequest::new([1.0, 0.0, 0.0], 1).with_filter(Filter::missing("path"));
    Read::Search(request.clone()).run(&core, &point, &mut reads);
    let found = reads.conflict(&Effects { deletes: vec![], ..effects }, next, &state).unwrap().unwrap();
    assert_eq!(
        found.predicate.as_deref(),
        Some(r#"a search for the nearest nodes that match {"path":null}"#)
    );
    assert_eq!(conflict(&found.into()), (ConflictCause::Predicate, Some(7), Some(TxnId(5))));
}

#[test]
fn a_vector_that_is_not_kept_is_looked_up_and_counts_as_near_if_it_cannot_be() {
    let core = store();
    let (point, mut reads) = (core.read_point(), ReadSet::default());
    Read::Search(SearchRequest::new([1.0, 0.0, 0.0], 1)).run(&core, &point, &mut reads);
    let state = State { core: &core, version: &point.0, seqno: point.1 };
    let put_of = |value| {
        let row = core.pending_row(7, vec![value, 0.0, 0.0].into(), Default::default(), None).unwrap();
        core.writer().unwrap().effects(None, &[&row], &[])
    };
    let (near, far) = (put_of(3.0), put_of(1.5));
    assert!(near.puts[0].vector.is_none() && near.bytes < 200);
    // Neither is there to be looked up.
    for effects in [&near, &far] {
        assert!(reads.conflict(effects, SeqNo::MAX, &state).unwrap().is_some());
    }
    put(&core, 7, 1.5);
    assert!(reads.conflict(&far, point.1.next(), &state).unwrap().is_none());
    put(&core, 7, 3.0);
    assert!(reads.conflict(&near, point.1.next().next(), &state).unwrap().is_some());
    let _kept = core.writer().unwrap().validating.enter();
    let (near, far) = (put_of(2.0), put_of(1.5));
    assert!(
        near.puts[0].vector.is_some() && near.bytes >= far.puts[0].vector.as_ref().unwrap().len() as u64 * 4
    );
    assert!(reads.conflict(&near, SeqNo::MAX, &state).unwrap().is_some(), "ties are near");
    assert!(reads.conflict(&far, SeqNo::MAX, &state).unwrap().is_none());
}

#[test]
fn rows_that_an_index_missed_are_looked_up() {
    let core = store();
    let (point, mut reads) = (core.read_point(), ReadSet::default());
    let overlay = WriteSet::default();
    let request = SearchRequest::new([1.0, 0.0, 0.0], 1);
    let mut results = Overlay::at(&core, &point, &overlay).search(&request).unwrap();
    assert_eq!(results.matches[0].node_id, 2);
    // As if node 2 had not been found.
    (results.exact, results.matches[0].node_id, results.matches[0].score) = (false, 1, 1.0);
    reads.searched(IsolationLevel::Serializable.rules(), point.1, &request, &results);
    put(&core, 2, 0.5);
    let error = validate(&core, &point, &reads, true).unwrap_err();
    assert_eq!(conflict(&error), (ConflictCause::Predicate, Some(2), None));
}

#[test]
fn what_comes_between_the_two_halves_is_not_missed() {
    let core = store();
    let (point, mut reads) = (core.read_point(), ReadSet::default());
    Read::Get(2).run(&core, &point, &mut reads);
    let state = State { core: &core, version: &point.0, seqno: point.1 };
    (10..20).for_each(|id| put(&core, id, 1.0));
    let done = reads.validate(&state).unwrap();
    let rest = |done| {
        let log = &core.writer().unwrap().log;
        log.with_state(|assigned| reads.validate_rest(&state, &assigned.ring, done))
    };
    rest(done).unwrap();
    put(&core, 2, 5.0);
    for done in [done, None] {
        assert_eq!(conflict(&rest(done).unwrap_err()), (ConflictCause::Read, Some(2), None));
    }
}

#[test]
fn a_seqno_that_was_taken_back_and_given_again_is_looked_at_again() {
    let core = store();
    let (point, mut reads) = (core.read_point(), ReadSet::default());
    Read::Get(2).run(&core, &point, &mut reads);
    let state = State { core: &core, version: &point.0, seqno: point.1 };
    put(&core, 10, 1.0);
    let done = reads.validate(&state).unwrap();
    let effects = |id| Arc::new(Effects { deletes: vec![id], ..Effects::default() });
    core.writer().unwrap().log.with_state(|assigned| {
        assigned.ring.rewind(point.1);
        assigned.ring.push(point.1.next(), effects(2));
        let error = reads.validate_rest(&state, &assigned.ring, done).unwrap_err();
        assert_eq!(conflict(&error).1, Some(2));
    });
    assert_eq!(conflict(&reads.validate(&state).unwrap_err()).1, Some(2));
}

#[test]
fn before_the_ring_anything_may_have_happened() {
    let core = store();
    let (point, mut reads) = (core.read_point(), ReadSet::default());
    let state = State { core: &core, version: &point.0, seqno: point.1 };
    let ring = Ring::after(point.1.next());
    reads.validate_rest(&state, &ring, None).unwrap();
    assert_eq!(reads.validate(&state).unwrap(), None, "nothing was read");
    Read::Get(9).run(&core, &point, &mut reads);
    let error = reads.validate_rest(&state, &ring, None).unwrap_err();
    assert_eq!(conflict(&error), (ConflictCause::SnapshotTooOld, None, None));
    (0..=MAX_COMMITS).for_each(|_| put(&core, 1, 1.0));
    let error = reads.validate(&state).unwrap_err();
    assert_eq!(conflict(&error), (ConflictCause::SnapshotTooOld, None, None));
}

#[test]
fn a_long_list_of_commits_is_validated_piece_by_piece() {
    let core = store();
    let (point, mut reads) = (core.read_point(), ReadSet::default());
    Read::Get(9).run(&core, &point, &mut reads);
    let state = State { core: &core, version: &point.0, seqno: point.1 };
    (0..COMMITS_AT_ONCE * 3).for_each(|_| put(&core, 1, 1.0));
    let done = reads.validate(&state).unwrap().unwrap();
    assert_eq!(done.seqno, core.visible());
    put(&core, 9, 1.0);
    assert_eq!(conflict(&reads.validate(&state).unwrap_err()).1, Some(9));
}
