//! Rolling back: by not having happened, to a savepoint, and the operations that restore what was.

use codegraph_vector::{CodeNode, IsolationLevel, PersistentVectorStore, VectorOperation};
use codegraph_vector_testkit::Rng;

use super::{Model, Place, assert_holds, model_of, node, nodes};

fn apply(store: &PersistentVectorStore, operations: Vec<VectorOperation>) {
    store
        .transact(IsolationLevel::ReadCommitted, |txn| {
            operations.iter().try_for_each(|operation| txn.apply(operation.clone()))
        })
        .unwrap();
}

/// Some of every kind of write, by number.
fn write(store: &PersistentVectorStore, rng: &mut Rng) -> (codegraph_vector::TxnId, Model) {
    let manager = store.consistency_manager();
    let mut model = model_of(&nodes(rng, 0..20, 8));
    store.put_batch(&model.values().cloned().collect::<Vec<_>>()).unwrap();
    store.delete_batch(&[100, 101, 102]).unwrap();
    let before = model.clone();
    let txn = manager.begin_transaction(IsolationLevel::Serializable).unwrap();
    let mut add = |operation: VectorOperation| {
        match operation.clone() {
            VectorOperation::Put(node) => drop(model.insert(node.id, node)),
            VectorOperation::Insert { node_id, vector } => {
                model.insert(node_id, CodeNode::new(node_id, vector));
            }
            VectorOperation::Update { node_id, new_vector } => {
                model.get_mut(&node_id).unwrap().embedding = new_vector;
            }
            VectorOperation::Delete { node_id } => drop(model.remove(&node_id)),
        }
        manager.add_operation(txn, operation).unwrap();
    };
    add(VectorOperation::Put(node(rng, 3, 8)));
    add(VectorOperation::Put(node(rng, 100, 8)));
    add(VectorOperation::Insert { node_id: 101, vector: vec![0.5; 8] });
    add(VectorOperation::Insert { node_id: 4, vector: vec![0.5; 8] });
    add(VectorOperation::Update { node_id: 5, new_vector: vec![0.25; 8] });
    add(VectorOperation::Delete { node_id: 6 });
    // Several changes of one node: what counts is what was before the first.
    add(VectorOperation::Delete { node_id: 7 });
    add(VectorOperation::Put(node(rng, 7, 8)));
    add(VectorOperation::Put(node(rng, 102, 8)));
    add(VectorOperation::Delete { node_id: 102 });
    // An inverse that was applied to the state that the transaction would have made brings this back.
    assert_ne!(model, before);
    (txn, before)
}

/// What the transaction of [`write`] would have made, made.
fn after(store: &PersistentVectorStore, seed: u64) -> Model {
    let (txn, _) = write(store, &mut Rng::new(seed));
    store.consistency_manager().commit_transaction(txn).unwrap();
    let nodes = store.snapshot().unwrap();
    nodes.iter().unwrap().map(|node| node.map(|node| (node.id, node)).unwrap()).collect()
}

#[test]
fn an_abort_leaves_nothing_and_tells_how_to_undo_what_would_have_been() {
    for (prepared, restarted) in [(false, false), (true, false), (true, true)] {
        let place = Place::new();
        let store = place.open(8).unwrap();
        let manager = store.consistency_manager();
        let (txn, before) = write(&store, &mut Rng::new(1));
        if prepared {
            manager.prepare_transaction(txn).unwrap();
        }
        let inverse = if restarted {
            // After a restart, only the log knows it.
            drop((store, manager));
            let store = place.open(8).unwrap();
            assert_eq!(store.in_doubt().unwrap()[0].transaction, txn);
            let inverse = store.consistency_manager().abort_transaction(txn).unwrap();
            assert_holds(&store, &before);
            inverse
        } else {
            let inverse = manager.abort_transaction(txn).unwrap();
            assert_holds(&store, &before);
            inverse
        };
        // In a store where the same was committed, they restore what was.
        let other = Place::new();
        let committed = other.open(8).unwrap();
        assert_ne!(after(&committed, 1), before);
        apply(&committed, inverse);
        assert_holds(&committed, &before);
    }
}

#[test]
fn a_savepoint_takes_back_what_came_after_it() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(2);
    let base = nodes(rng, 0..10, 8);
    store.put_batch(&base).unwrap();
    let mut txn = store.begin(IsolationLevel::RepeatableRead).unwrap();
    let first = node(rng, 1, 8);
    txn.put(first.clone()).unwrap();
    let outer = txn.savepoint().unwrap();
    txn.delete(1).unwrap();
    txn.delete(2).unwrap();
    let inner = txn.savepoint().unwrap();
    txn.put(node(rng, 2, 8)).unwrap();
    txn.put(node(rng, 50, 8)).unwrap();
    txn.rollback_to(&inner).unwrap();
    assert_eq!((txn.get(1).unwrap(), txn.get(2).unwrap(), txn.get(50).unwrap()), (None, None, None));
    txn.rollback_to(&outer).unwrap();
    assert_eq!((txn.get(1).unwrap(), txn.get(2).unwrap()), (Some(first.clone()), Some(base[2].clone())));
    // What was within what was undone is gone; the other can be gone back to again.
    assert!(txn.rollback_to(&inner).is_err());
    txn.delete(3).unwrap();
    txn.rollback_to(&outer).unwrap();
    txn.delete(4).unwrap();
    let mut other = store.begin(IsolationLevel::RepeatableRead).unwrap();
    assert!(other.rollback_to(&outer).is_err(), "it is another's");
    drop(other);
    txn.commit().unwrap();
    let mut model = model_of(&base);
    model.insert(1, first);
    model.remove(&4);
    assert_holds(&store, &model);
}

#[test]
fn dropping_rolls_back_and_frees() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(3);
    let base = nodes(rng, 0..10, 8);
    store.put_batch(&base).unwrap();
    for level in IsolationLevel::ALL {
        let mut txn = store.begin(level).unwrap();
        txn.put(node(rng, 1, 8)).unwrap();
        txn.delete(2).unwrap();
        drop(txn);
        assert_holds(&store, &model_of(&base));
        let statistics = store.consistency_manager().statistics();
        assert_eq!((statistics.active, statistics.locks.held), (0, 0));
        assert_eq!(statistics.levels[level as usize].rolled_back, 1);
    }
    // A panic drops it, too.
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let outcome: codegraph_vector::Result<()> = store.transact(IsolationLevel::Serializable, |txn| {
            txn.delete(5)?;
            panic!("halfway");
        });
        outcome.unwrap();
    }));
    assert!(caught.is_err());
    assert_holds(&store, &model_of(&base));
    assert_eq!(store.consistency_manager().statistics().locks.held, 0);
}

#[test]
fn closing_rolls_back_what_is_open_and_keeps_what_is_prepared() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(4);
    let mut base = nodes(rng, 0..4, 8);
    store.put_batch(&base).unwrap();
    let mut open = store.begin(IsolationLevel::Serializable).unwrap();
    open.delete(1).unwrap();
    let mut prepared = store.begin(IsolationLevel::Serializable).unwrap();
    let id = prepared.id();
    let new = node(rng, 9, 8);
    prepared.put(new.clone()).unwrap();
    prepared.prepare().unwrap();
    store.close().unwrap();
    assert!(open.get(1).is_err());
    drop((open, prepared, store));
    let store = place.open(8).unwrap();
    assert_holds(&store, &model_of(&base));
    assert_eq!(store.consistency_manager().statistics().in_doubt, 1);
    let receipt = store.commit_prepared(id).unwrap();
    assert_eq!(store.commit_prepared(id).unwrap(), receipt, "to decide again changes nothing");
    assert!(store.rollback_prepared(id).is_err(), "and a decision is final");
    base.push(new);
    assert_holds(&store, &model_of(&base));
}
