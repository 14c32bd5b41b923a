//! Isolation: what one transaction notices of another, level by level.

use codegraph_vector::{CodeNode, ConflictCause, Filter, IsolationLevel, NodeId, SearchRequest, Transaction};
use codegraph_vector_testkit::Rng;

use super::{Place, assert_holds, model_of, node, nodes};

use IsolationLevel::{ReadCommitted, ReadUncommitted, RepeatableRead, Serializable};

fn nearest(txn: &mut Transaction, query: &[f32]) -> NodeId {
    txn.search(&SearchRequest::new(query, 1)).unwrap().matches[0].node_id
}

#[test]
fn each_level_reads_what_it_says() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(1);
    let base = nodes(rng, 0..50, 8);
    store.put_batch(&base).unwrap();
    store.flush().unwrap();
    let mut readers = IsolationLevel::ALL.map(|level| store.begin(level).unwrap());
    for reader in &mut readers {
        assert_eq!(reader.get(7).unwrap().as_ref(), Some(&base[7]));
    }
    let new = node(rng, 100, 8);
    let mut writer = store.begin(Serializable).unwrap();
    writer.put(new.clone()).unwrap();
    writer.delete(7).unwrap();
    let mut check = |sees: fn(IsolationLevel) -> bool| {
        for reader in &mut readers {
            let (level, new_seen) = (reader.level(), sees(reader.level()));
            assert_eq!(reader.get(100).unwrap().is_some(), new_seen, "{level}");
            assert_eq!(reader.get(7).unwrap().is_none(), new_seen, "{level}");
            assert_eq!(nearest(reader, &new.embedding) == 100, new_seen, "{level}");
            assert_eq!(nearest(reader, &base[7].embedding) != 7, new_seen, "{level}");
            assert_eq!(reader.count(&Filter::ids([7])).unwrap() == 0, new_seen, "{level}");
            assert_eq!(reader.ids(&Filter::ids([7, 100])).unwrap(), [if new_seen { 100 } else { 7 }]);
        }
    };
    check(|level| level == ReadUncommitted);
    writer.commit().unwrap();
    check(|level| level <= ReadCommitted);
    for reader in readers {
        reader.commit().unwrap();
    }
}

#[test]
fn a_snapshot_is_of_the_first_statement_and_outlives_flushes_and_merges() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(2);
    let base = nodes(rng, 0..30, 8);
    store.put_batch(&base).unwrap();
    let mut txn = store.begin(RepeatableRead).unwrap();
    // Nothing was read yet: this is part of what it will see.
    let early = node(rng, 200, 8);
    store.put(early.clone()).unwrap();
    assert_eq!(txn.get(200).unwrap(), Some(early.clone()));
    for round in 0..3 {
        store.put_batch(&nodes(rng, 0..30, 8)).unwrap();
        store.delete(round).unwrap();
        store.flush().unwrap();
        store.merge().unwrap();
        for expected in base.iter().chain([&early]) {
            assert_eq!(txn.get(expected.id).unwrap().as_ref(), Some(expected));
        }
        assert_eq!(txn.count(&Filter::everything()).unwrap(), 31);
    }
    // Who only reads is never refused.
    txn.commit().unwrap();
}

#[test]
fn only_serializable_notices_what_it_did_not_find() {
    for level in [RepeatableRead, Serializable] {
        let place = Place::new();
        let store = place.open(8).unwrap();
        let rng = &mut Rng::new(3);
        store.put_batch(&nodes(rng, 0..20, 8)).unwrap();
        let near = node(rng, 500, 8);
        let searches: [fn(&mut Transaction, &[f32]); 4] = [
            |txn, near| drop(txn.search(&SearchRequest::new(near, 3)).unwrap()),
            |txn, near| {
                let request = SearchRequest::new(near, 3).with_filter(Filter::eq("kind", "phantom"));
                assert!(txn.search(&request).unwrap().matches.is_empty());
            },
            |txn, _| assert_eq!(txn.count(&Filter::eq("kind", "phantom")).unwrap(), 0),
            |txn, _| assert!(txn.ids(&Filter::eq("kind", "phantom")).unwrap().is_empty()),
        ];
        for (at, search) in (0..).zip(searches) {
            let mut txn = store.begin(level).unwrap();
            search(&mut txn, &near.embedding);
            store.put(CodeNode { id: 500 + at, ..near.clone() }.with_kind("phantom")).unwrap();
            txn.put(node(rng, 900, 8)).unwrap();
            let outcome = txn.commit();
            store.delete(500 + at).unwrap();
            if level == RepeatableRead {
                outcome.unwrap();
                continue;
            }
            let error = outcome.unwrap_err();
            let conflict = error.conflict().expect("a conflict");
            assert_eq!((conflict.cause, conflict.node), (ConflictCause::Predicate, Some(500 + at)));
            assert!(conflict.predicate.is_some() && error.message().contains("try again"), "{error}");
        }
    }
}

#[test]
fn what_is_far_away_or_does_not_match_disturbs_no_search() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    let at = |id, x: f32, y: f32| CodeNode::new(id, vec![x, y, 0.0, 0.0]);
    store.put_batch(&[at(1, 1.0, 0.0), at(2, 1.0, 0.1), at(3, 0.0, 1.0)]).unwrap();
    let mut txn = store.begin(Serializable).unwrap();
    let found = txn.search(&SearchRequest::new([1.0, 0.0, 0.0, 0.0], 2)).unwrap();
    assert_eq!(found.matches.iter().map(|hit| hit.node_id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(txn.count(&Filter::eq("language", "rust")).unwrap(), 0);
    // Farther than the second hit, and of another language.
    store.put(at(4, 0.5, 1.0).with_language("go")).unwrap();
    store.put(at(3, -1.0, 1.0)).unwrap();
    store.delete(3).unwrap();
    txn.put(at(9, 1.0, 1.0)).unwrap();
    txn.commit().unwrap();
    let expected = [at(1, 1.0, 0.0), at(2, 1.0, 0.1), at(4, 0.5, 1.0).with_language("go"), at(9, 1.0, 1.0)];
    assert_holds(&store, &model_of(&expected));
}

#[test]
fn a_node_that_came_and_went_was_written_by_another_all_the_same() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    let phantom = CodeNode::new(1, vec![1.0; 4]).with_kind("phantom");
    // What the transaction has counted is older than the delete that it writes over: a read skew, which Repeatable Read
    // prevents, though it validates no searches.
    let mut txn = store.begin(RepeatableRead).unwrap();
    assert_eq!(txn.count(&Filter::eq("kind", "phantom")).unwrap(), 0);
    store.put(phantom.clone()).unwrap();
    let mut other = store.begin(RepeatableRead).unwrap();
    other.delete(1).unwrap();
    other.put(CodeNode { id: 2, ..phantom.clone() }).unwrap();
    other.commit().unwrap();
    txn.put(phantom.clone()).unwrap();
    let error = txn.commit().unwrap_err();
    assert_eq!(error.conflict().map(|conflict| conflict.node), Some(Some(1)), "{error}");
    assert_holds(&store, &model_of(&[CodeNode { id: 2, ..phantom }]));
}

#[test]
fn rows_are_deleted_by_a_filter_once() {
    // Both find the same rows, and the second waits for the first. Afterwards there is nothing left for it to do, so what it
    // says it has deleted is not true.
    for level in IsolationLevel::ALL {
        let place = Place::new();
        let store = place.open(4).unwrap();
        store.put_batch(&[1, 2, 3].map(|id| CodeNode::new(id, vec![1.0; 4]).with_kind("old"))).unwrap();
        let old = Filter::eq("kind", "old");
        let [mut first, mut second] = [(); 2].map(|()| store.begin(level).unwrap());
        assert_eq!(first.delete_by_filter(&old).unwrap(), 3);
        let outcome = std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let deleted = second.delete_by_filter(&old)?;
                second.commit().map(|_| deleted)
            });
            while store.consistency_manager().statistics().locks.waiting == 0 {
                std::thread::yield_now();
            }
            first.commit().unwrap();
            second.join().unwrap()
        });
        let error = outcome.unwrap_err();
        assert!(error.conflict().is_some(), "{level}: {error}");
        assert_eq!(store.count(&Filter::everything()).unwrap(), 0);
    }
}
