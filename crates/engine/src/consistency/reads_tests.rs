//! What of a read is kept, and that a PREPARE record gives it back.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::IsolationLevel;
use super::*;
use crate::filter::sample::any_filter;
use crate::node::CodeNode;
use crate::store::{Match, ScoreKind};

const AT: SeqNo = SeqNo(7);

fn rules(level: IsolationLevel) -> &'static Rules {
    level.rules()
}

fn results(hits: &[(NodeId, f32, SeqNo)], exact: bool) -> SearchResults {
    let found = |(node_id, score, seqno): &(NodeId, f32, SeqNo)| Match {
        node_id: *node_id,
        score: *score,
        seqno: *seqno,
        metadata: None,
        vector: None,
        exact: true,
    };
    let matches = hits.iter().map(found).collect();
    SearchResults { matches, score_kind: ScoreKind::Dot, seqno: AT, exact, degraded: false }
}

fn near(reads: &ReadSet) -> (&Near, Option<&NodeIdSet>) {
    match &reads.watched[..] {
        [Watched { predicate: Predicate::Near(near), matched, .. }] => (near, matched.as_ref()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_level_keeps_what_its_rules_say() {
    let request = SearchRequest::new([1.0, 0.0], 2);
    let found = results(&[(3, 0.5, SeqNo(1)), (4, 0.25, SeqNo::MAX)], true);
    let filter = Filter::eq("language", "rust");
    for level in IsolationLevel::ALL {
        let (rules, mut reads) = (rules(level), ReadSet::default());
        reads.got(rules, AT, 1, &Found::Committed(None));
        reads.got(rules, AT, 2, &Found::Uncommitted(Some(CodeNode::default())));
        reads.searched(rules, AT, &request, &found);
        reads.counted(rules, AT, &filter);
        reads.listed(rules, AT, &Filter::path("a"), [9].into_iter());
        let rows: &[NodeId] = if rules.tracks_rows { &[1, 3, 9] } else { &[] };
        assert_eq!(sorted(&reads.rows), rows, "{level}");
        assert_eq!(reads.watched.len(), if rules.tracks_predicates { 3 } else { 0 }, "{level}");
        assert_eq!(reads.from(), if rules.tracks_rows { AT } else { SeqNo::MAX }, "{level}");
    }
}

#[test]
fn a_search_reaches_as_far_as_its_last_hit() {
    let rules = rules(IsolationLevel::Serializable);
    let request = SearchRequest::new([1.0, 0.0], 2);
    let hits = [(3, 0.5, SeqNo(1)), (4, 0.25, SeqNo::MAX)];
    let reach = |request: &SearchRequest, hits: &[_], exact| {
        let mut reads = ReadSet::default();
        reads.searched(rules, AT, request, &results(hits, exact));
        let (near, matched) = near(&reads);
        (near.least, matched.is_some())
    };
    assert_eq!(reach(&request, &hits, true), (Some(0.25), true));
    assert_eq!(reach(&request, &hits, false), (Some(0.25), false), "an index may have missed some");
    assert_eq!(reach(&request, &hits[..1], true), (None, true), "any more would be found");
    assert_eq!(reach(&request.clone().with_min_score(0.1), &hits[..1], true), (Some(0.1), true));
    assert_eq!(reach(&request.with_min_score(0.1), &hits, true), (Some(0.25), true));
}

#[test]
fn equal_predicates_are_kept_once() {
    let rules = rules(IsolationLevel::Serializable);
    let (request, mut reads) = (SearchRequest::new([1.0, 0.0], 1), ReadSet::default());
    reads.searched(rules, AT, &request, &results(&[(3, 0.5, SeqNo(1))], true));
    reads.searched(rules, AT, &request, &results(&[(3, 0.25, SeqNo(1))], true));
    assert_eq!((near(&reads).0.least, near(&reads).1.is_some()), (Some(0.25), true));
    reads.searched(rules, AT, &request, &results(&[(3, 0.5, SeqNo(1))], false));
    assert_eq!((near(&reads).0.least, near(&reads).1.is_some()), (Some(0.25), false));
    reads.searched(rules, AT, &request, &results(&[], true));
    assert_eq!((near(&reads).0.least, near(&reads).1.is_some()), (None, false));
    let among = request.clone().with_filter(Filter::path("a"));
    reads.searched(rules, AT, &among, &results(&[], true));
    reads.searched(rules, AT, &SearchRequest::new([0.0, 1.0], 1), &results(&[], true));
    assert_eq!(reads.watched.len(), 3, "others are others");

    let mut reads = ReadSet::default();
    let path = || Predicate::Path("a".to_owned());
    reads.watch(SeqNo(9), path(), Some([1, 2].into_iter().collect()));
    reads.watch(SeqNo(8), path(), Some([2, 3].into_iter().collect()));
    reads.watch(SeqNo(7), Predicate::Path("b".to_owned()), None);
    let matched = Some([1, 2, 3].into_iter().collect());
    assert_eq!(reads.watched[0], Watched { predicate: path(), from: SeqNo(8), matched });
    assert_eq!((reads.watched.len(), reads.from()), (2, SeqNo(7)));
}

#[test]
fn predicates_say_what_they_are_about() {
    let filter = Filter::eq("language", "rust");
    assert_eq!(Predicate::Path("a/b".to_owned()).to_string(), "the nodes under path \"a/b\"");
    let near = Near::new(vec![1.0], Some(filter), None);
    let expected = r#"a search for the nearest nodes that match {"language":"rust"}"#;
    assert_eq!(Predicate::Near(near).to_string(), expected);
    let long = Predicate::Matching(Filter::eq("name", "ü".repeat(1000))).to_string();
    assert!(long.ends_with('…') && long.chars().count() < 250, "{long}");
}

fn any_ids() -> impl Strategy<Value = NodeIdSet> {
    vec(any::<u128>(), 0..5).prop_map(|ids| ids.into_iter().collect())
}

fn any_predicate() -> impl Strategy<Value = Predicate> {
    let number = prop_oneof![Just(-0.0f32), -1e30f32..1e30];
    let near = (vec(number.clone(), 1..4), option::of(any_filter(false)), option::of(number));
    prop_oneof![
        ".{0,9}".prop_map(Predicate::Path),
        any_filter(false).prop_map(Predicate::Matching),
        near.prop_map(|(vector, filter, least)| Predicate::Near(Near::new(vector, filter, least))),
    ]
}

fn any_reads() -> impl Strategy<Value = ReadSet> {
    let watched = (any_predicate(), any::<u64>(), option::of(any_ids()))
        .prop_map(|(predicate, from, matched)| Watched { predicate, from: SeqNo(from), matched });
    (any_ids(), any::<u64>(), vec(watched, 0..4)).prop_map(|(rows, from, watched)| ReadSet {
        rows,
        rows_from: SeqNo(from),
        watched,
    })
}

proptest! {
    #[test]
    fn bytes_give_the_read_set_back(reads in any_reads()) {
        let bytes = reads.encode().unwrap();
        let read = ReadSet::decode(&bytes).unwrap();
        prop_assert_eq!(&read, &reads);
        prop_assert_eq!(read.encode().unwrap(), bytes);
    }

    #[test]
    fn damaged_bytes_are_refused_or_read(
        reads in any_reads(),
        places in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = reads.encode().unwrap();
        for (at, byte) in places {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Err(error) = ReadSet::decode(bytes) {
                prop_assert_eq!(error.kind(), ErrorKind::Corrupt);
            }
        }
    }
}

#[test]
fn what_no_transaction_can_have_read_is_corrupt() {
    let read = |predicate| {
        let watched = vec![WatchedBytes { predicate, from: AT, matched: None }];
        let bytes = wire::encode(&ReadSetBytes { rows: vec![], rows_from: AT, watched }).unwrap();
        ReadSet::decode(&bytes).map_err(|error| error.kind())
    };
    assert!(read(PredicateBytes::Matching("{}".to_owned())).is_ok());
    for text in ["{", "[]", r#"{"nothing":1}"#] {
        assert_eq!(read(PredicateBytes::Matching(text.to_owned())), Err(ErrorKind::Corrupt), "{text}");
    }
    let no_vector = PredicateBytes::Near { vector: vec![], filter: None, least: None };
    assert_eq!(read(no_vector), Err(ErrorKind::Corrupt));
}
