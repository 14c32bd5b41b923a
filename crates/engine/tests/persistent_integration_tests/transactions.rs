//! Transactions: several reads and writes as one.

use codegraph_vector::{
    CodeNode, ConflictCause, Error, ErrorKind, Filter, IsolationLevel, Result, SearchRequest,
    TransactionOptions, VectorOperation,
};
use codegraph_vector_testkit::Rng;
use std::time::Duration;

use super::{Model, Place, assert_holds, found, model_of, node, nodes};

#[test]
fn the_transaction_lines_of_the_design_work_as_written() -> Result<()> {
    let place = Place::new();
    let store = place.open(3)?;
    let consistency_manager = store.consistency_manager(); // an owned handle
    let txn_id = consistency_manager.begin_transaction(IsolationLevel::Serializable)?;
    consistency_manager
        .add_operation(txn_id, VectorOperation::Insert { node_id: 123, vector: vec![0.1, 0.2, 0.3] })?;
    assert_eq!(store.get(123)?, None);
    consistency_manager.prepare_transaction(txn_id)?;
    assert_eq!(store.get(123)?, None);
    consistency_manager.commit_transaction(txn_id)?;
    drop(store);
    drop(consistency_manager);
    let store = place.open(3)?;
    assert_holds(&store, &model_of(&[CodeNode::new(123, vec![0.1, 0.2, 0.3])]));
    Ok(())
}

#[test]
fn all_of_a_transaction_is_one_commit() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(1);
    let mut model = model_of(&nodes(rng, 0..40, 8));
    store.put_batch(&model.values().cloned().collect::<Vec<_>>()).unwrap();
    let before = store.stats().unwrap().seqno;
    for (round, level) in (0..).zip(IsolationLevel::ALL) {
        let mut txn = store.begin(level).unwrap();
        let (new, replaced) = (node(rng, 100 + round, 8), node(rng, round, 8));
        txn.put(new.clone()).unwrap();
        txn.put(replaced.clone()).unwrap();
        txn.update_vector(10 + round, &[0.25; 8]).unwrap();
        assert!(txn.delete(20 + round).unwrap() && !txn.delete(999).unwrap());
        assert_holds(&store, &model);
        let receipt = txn.commit().unwrap();
        assert!(receipt.durable && receipt.seqno.0 == before.0 + 1 + round as u64);
        model.insert(new.id, new);
        model.insert(replaced.id, replaced);
        model.get_mut(&(10 + round)).unwrap().embedding = vec![0.25; 8];
        model.remove(&(20 + round));
        assert_holds(&store, &model);
    }
    drop(store);
    assert_holds(&place.open(8).unwrap(), &model);
}

#[test]
fn a_transaction_sees_its_own_writes_in_every_kind_of_read() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(2);
    let mut model = model_of(&nodes(rng, 0..60, 8));
    store.put_batch(&model.values().cloned().collect::<Vec<_>>()).unwrap();
    store.flush().unwrap();
    let outside = model.clone();
    let mut txn = store.begin(IsolationLevel::RepeatableRead).unwrap();
    for id in 0..80 {
        match id % 4 {
            0 => {
                let new = node(rng, id, 8);
                txn.put(new.clone()).unwrap();
                model.insert(id, new);
            }
            1 => {
                assert_eq!(txn.delete(id).unwrap(), model.remove(&id).is_some());
            }
            _ => {}
        }
    }
    let rust = Filter::eq("language", "rust");
    let deleted = txn.delete_by_filter(&rust.clone().and(Filter::ids(40..90))).unwrap();
    let before = model.len();
    model.retain(|id, node| *id < 40 || node.language.as_deref() != Some("rust"));
    assert_eq!(deleted as usize, before - model.len());
    for id in 0..90 {
        assert_eq!(txn.get(id).unwrap().as_ref(), model.get(&id));
    }
    for filter in [Filter::everything(), rust, Filter::range("start_line", 100..500)] {
        let matching: Vec<_> = model
            .values()
            .filter(|node| filter.matches(node.id, &node.metadata()))
            .map(|node| node.id)
            .collect();
        assert_eq!(txn.ids(&filter).unwrap(), matching);
        assert_eq!(txn.count(&filter).unwrap(), matching.len() as u64);
        let query = model.values().next().unwrap().embedding.clone();
        let request = SearchRequest::new(query.clone(), 7).with_filter(filter.clone());
        let ids: Vec<_> = txn.search(&request).unwrap().matches.iter().map(|hit| hit.node_id).collect();
        assert_eq!(ids, super::nearest(&model, &query, 7, &filter));
        assert_eq!(found(&store, &request), super::nearest(&outside, &query, 7, &filter));
    }
    assert_holds(&store, &outside);
    txn.commit().unwrap();
    assert_holds(&store, &model);
}

#[test]
fn replacing_a_path_in_a_transaction_goes_along_with_all_else() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(3);
    let at = |path: &str, node: CodeNode| CodeNode { path: Some(path.to_owned()), ..node };
    let mut model = Model::new();
    for id in 0..12 {
        let node = at(["a.rs", "b.rs"][id as usize % 2], node(rng, id, 8));
        model.insert(id, node);
    }
    store.put_batch(&model.values().cloned().collect::<Vec<_>>()).unwrap();
    let outside = model.clone();
    let mut txn = store.begin(IsolationLevel::ReadCommitted).unwrap();
    let (moved, kept) = (at("c.rs", node(rng, 2, 8)), at("a.rs", node(rng, 4, 8)));
    txn.put(moved.clone()).unwrap();
    let deleted = txn.replace_path("a.rs", std::slice::from_ref(&kept)).unwrap();
    assert_eq!(deleted, 4, "six had been there: one has moved on, one stays");
    assert_holds(&store, &outside);
    txn.commit().unwrap();
    model.retain(|_, node| node.path.as_deref() != Some("a.rs"));
    model.extend(model_of(&[moved, kept]));
    assert_holds(&store, &model);
}

#[test]
fn a_failed_statement_changes_nothing_and_the_transaction_goes_on() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    let mut txn = store.begin(IsolationLevel::Serializable).unwrap();
    txn.put(CodeNode::new(1, vec![1.0; 4])).unwrap();
    let refused = |outcome: Result<()>, kind| assert_eq!(outcome.unwrap_err().kind(), kind);
    refused(txn.put(CodeNode::new(2, vec![1.0; 3])), ErrorKind::InvalidInput);
    refused(txn.put(CodeNode::new(2, vec![0.0; 4])), ErrorKind::InvalidInput);
    refused(txn.update_vector(7, &[1.0; 4]), ErrorKind::NotFound);
    refused(txn.search(&SearchRequest::new(vec![1.0; 9], 1)).map(drop), ErrorKind::InvalidInput);
    refused(txn.count(&Filter::eq("no such field", 1)).map(drop), ErrorKind::InvalidInput);
    let twice = [CodeNode::new(5, vec![1.0; 4]), CodeNode::new(5, vec![1.0; 4])];
    refused(txn.replace_path("a.rs", &twice).map(drop), ErrorKind::InvalidInput);
    assert_eq!(txn.ids(&Filter::everything()).unwrap(), [1]);
    txn.commit().unwrap();
    assert_holds(&store, &model_of(&[CodeNode::new(1, vec![1.0; 4])]));
}

#[test]
fn what_is_over_says_how_it_ended() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    let manager = store.consistency_manager();
    let insert = |id| VectorOperation::Insert { node_id: id, vector: vec![1.0; 4] };
    let committed = manager.begin_transaction(IsolationLevel::ReadCommitted).unwrap();
    manager.add_operation(committed, insert(1)).unwrap();
    manager.commit_transaction(committed).unwrap();
    let aborted = manager.begin_transaction(IsolationLevel::ReadCommitted).unwrap();
    manager.add_operation(aborted, insert(2)).unwrap();
    manager.abort_transaction(aborted).unwrap();
    let refused = |outcome: Result<()>, kind, piece: &str| {
        let error = outcome.unwrap_err();
        assert!(error.kind() == kind && error.message().contains(piece), "{error}");
    };
    refused(manager.add_operation(committed, insert(3)), ErrorKind::InvalidInput, "has been committed");
    refused(manager.read(aborted, 1).map(drop), ErrorKind::InvalidInput, "has been rolled back");
    refused(manager.prepare_transaction(codegraph_vector::TxnId(7)), ErrorKind::NotFound, "7");
    let prepared = manager.begin_transaction(IsolationLevel::ReadCommitted).unwrap();
    manager.add_operation(prepared, insert(4)).unwrap();
    manager.prepare_transaction(prepared).unwrap();
    refused(manager.add_operation(prepared, insert(5)), ErrorKind::InvalidInput, "prepared");
    manager.commit_transaction(prepared).unwrap();
    let infos = manager.transactions();
    assert!(infos.is_empty(), "{infos:?}");
    assert_eq!(store.count(&Filter::everything()).unwrap(), 2);
}

#[test]
fn transact_tries_again_until_it_is_through_or_it_makes_no_sense() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    let value = |value: f32| CodeNode::new(1, vec![value, 1.0, 1.0, 1.0]);
    store.put(value(0.0)).unwrap();
    // Another writes the node in between, three times.
    let mut attempts = 0;
    let seen = store
        .transact(IsolationLevel::RepeatableRead, |txn| {
            let seen = txn.get(1)?.unwrap().embedding[0];
            attempts += 1;
            if attempts <= 3 {
                store.put(value(attempts as f32))?;
            }
            txn.put(value(seen + 100.0))?;
            Ok(seen)
        })
        .unwrap();
    assert_eq!((attempts, seen), (4, 3.0));
    assert_eq!(store.get(1).unwrap().unwrap().embedding[0], 103.0);
    let statistics = store.consistency_manager().statistics();
    assert_eq!((statistics.aborted(ConflictCause::Write), statistics.committed()), (3, 1));
    // Any other error is the caller's, at once, and nothing is written.
    let mut attempts = 0;
    let outcome: Result<()> = store.transact(IsolationLevel::RepeatableRead, |txn| {
        attempts += 1;
        txn.put(value(-1.0))?;
        Err(Error::invalid("no"))
    });
    assert_eq!((attempts, outcome.unwrap_err().message()), (1, "no"));
    assert_eq!(store.get(1).unwrap().unwrap().embedding[0], 103.0);
    assert_eq!(store.consistency_manager().statistics().active, 0);
}

#[test]
fn an_idle_transaction_is_rolled_back_and_told_so() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    let options = TransactionOptions {
        idle_timeout: Some(Duration::from_millis(300)),
        ..TransactionOptions::new(IsolationLevel::ReadCommitted)
    };
    let mut txn = store.begin_with(options).unwrap();
    txn.put(CodeNode::new(1, vec![1.0; 4])).unwrap();
    std::thread::sleep(Duration::from_millis(400));
    let error = txn.get(1).unwrap_err();
    assert_eq!(error.conflict().map(|conflict| conflict.cause), Some(ConflictCause::Expired), "{error}");
    let error = txn.commit().unwrap_err();
    assert_eq!(error.conflict().map(|conflict| conflict.cause), Some(ConflictCause::Expired), "{error}");
    // Its lock is free.
    store.put(CodeNode::new(1, vec![2.0; 4])).unwrap();
    let statistics = store.consistency_manager().statistics();
    assert_eq!((statistics.active, statistics.aborted(ConflictCause::Expired)), (0, 1));
}

#[test]
fn there_are_no_more_transactions_than_there_may_be() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    store
        .configure(|settings| {
            (settings.transactions.max_active, settings.transactions.lock_timeout_ms) = (2, 5);
        })
        .unwrap();
    let held = [(); 2].map(|()| store.begin(IsolationLevel::ReadCommitted).unwrap());
    let error = store.begin(IsolationLevel::ReadCommitted).unwrap_err();
    let cause = error.conflict().map(|conflict| conflict.cause);
    assert_eq!(cause, Some(ConflictCause::TooManyTransactions), "{error}");
    // Who waits is let in when one ends.
    store.configure(|settings| settings.transactions.lock_timeout_ms = 60_000).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.begin(IsolationLevel::ReadCommitted).map(drop));
        drop(held);
        waiting.join().unwrap().unwrap();
    });
}
