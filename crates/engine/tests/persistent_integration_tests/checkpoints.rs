//! Checkpoints: where recovery begins, what they say is there, and what is undecided meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use codegraph_vector::{CheckpointInfo, CodeNode, Generation, IsolationLevel, NodeId};
use codegraph_vector_testkit::Rng;

use super::{Model, Place, assert_holds, copy_files, model_of, node, nodes};

/// Merges in the background make a manifest each, and change nothing else of a checkpoint.
fn of_any_generation(info: CheckpointInfo) -> CheckpointInfo {
    CheckpointInfo { generation: Generation(0), ..info }
}

#[test]
fn a_checkpoint_says_what_it_holds_and_recovery_begins_there() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(1);
    let mut model = model_of(&nodes(rng, 0..50, 8));
    store.put_batch(&model.values().cloned().collect::<Vec<_>>()).unwrap();
    store.delete_batch(&[1, 2, 3]).unwrap();
    model.retain(|id, _| ![1, 2, 3].contains(id));
    let first = store.create_checkpoint().unwrap();
    assert_eq!((first.seqno.0, first.rows, first.in_doubt), (2, 47, 0));
    assert_eq!(of_any_generation(store.latest_checkpoint().unwrap()), of_any_generation(first));
    // Nothing has changed: neither has what is there.
    let again = store.create_checkpoint().unwrap();
    assert_eq!((again.seqno, again.rows, again.checksum), (first.seqno, first.rows, first.checksum));
    // A merge moves rows and changes none.
    store.merge().unwrap();
    let merged = store.latest_checkpoint().unwrap();
    assert_eq!((merged.seqno, merged.rows, merged.checksum), (first.seqno, first.rows, first.checksum));
    // Every commit shows in the sum, also one that puts the same again.
    let mut sums = vec![first.checksum];
    for write in 0..3 {
        match write {
            0 => drop(store.put(model[&9].clone()).unwrap()),
            1 => drop(store.update_vector(9, &[0.5; 8]).unwrap()),
            _ => drop(store.delete(9).unwrap()),
        }
        sums.push(store.create_checkpoint().unwrap().checksum);
    }
    model.remove(&9);
    let distinct: std::collections::BTreeSet<_> = sums.iter().collect();
    assert_eq!(distinct.len(), sums.len(), "{sums:?}");
    // What is behind it is all that is replayed.
    let last = node(rng, 100, 8);
    store.put(last.clone()).unwrap();
    model.insert(100, last);
    let killed = Place::new();
    copy_files(&place.store(), &killed.store());
    let recovered = killed.open(8).unwrap();
    assert_eq!(recovered.recovery_report().replayed_commits, 1);
    assert_holds(&recovered, &model);
    assert_holds(&store, &model);
    let manager = recovered.consistency_manager();
    let checkpoint = manager.create_checkpoint().unwrap();
    assert_eq!((checkpoint.rows, checkpoint.seqno), (model.len() as u64, store.stats().unwrap().seqno));
    assert_eq!(of_any_generation(manager.latest_checkpoint().unwrap()), of_any_generation(checkpoint));
}

#[test]
fn writers_go_on_while_checkpoints_are_made_and_each_is_of_whole_transactions() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let writing = AtomicBool::new(true);
    const PAIRS: NodeId = 40;
    thread::scope(|scope| {
        let checkpoints = scope.spawn(|| {
            let (mut made, mut newest) = (0_u64, 0);
            while writing.load(Ordering::SeqCst) || made == 0 {
                let checkpoint = store.create_checkpoint().unwrap();
                assert_eq!(checkpoint.rows % 2, 0, "half a transaction is in {checkpoint:?}");
                assert!(checkpoint.seqno.0 >= newest);
                newest = checkpoint.seqno.0;
                made += 1;
            }
            made
        });
        let rng = &mut Rng::new(2);
        for pair in 0..PAIRS {
            let mut txn = store.begin(IsolationLevel::Serializable).unwrap();
            txn.put(node(rng, 2 * pair, 8)).unwrap();
            txn.put(node(rng, 2 * pair + 1, 8)).unwrap();
            txn.commit().unwrap();
        }
        writing.store(false, Ordering::SeqCst);
        assert!(checkpoints.join().unwrap() > 0);
    });
    let checkpoint = store.create_checkpoint().unwrap();
    assert_eq!(checkpoint.rows, 2 * PAIRS as u64);
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn what_is_prepared_goes_along_and_does_not_pin_the_log() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    store.configure(|settings| settings.max_wal_file_bytes = 16 << 10).unwrap();
    let rng = &mut Rng::new(3);
    let mut model = model_of(&nodes(rng, 0..10, 8));
    store.put_batch(&model.values().cloned().collect::<Vec<_>>()).unwrap();
    let new = CodeNode { id: 500, ..node(rng, 500, 8) };
    let mut txn = store.begin(IsolationLevel::Serializable).unwrap();
    txn.get(3).unwrap();
    txn.put(new.clone()).unwrap();
    txn.delete(4).unwrap();
    let id = txn.prepare().unwrap();
    // Much is logged, flushed and trimmed meanwhile.
    for round in 0..4 {
        let batch = nodes(rng, 1000 + round * 100..1100 + round * 100, 8);
        store.put_batch(&batch).unwrap();
        model.extend(model_of(&batch));
        let checkpoint = store.create_checkpoint().unwrap();
        assert_eq!((checkpoint.in_doubt, checkpoint.rows), (1, model.len() as u64));
    }
    let stats = store.stats().unwrap();
    assert!(stats.wal_files <= 2, "{} log files are kept", stats.wal_files);
    drop((txn, store));
    let store = place.open(8).unwrap();
    assert_eq!(store.in_doubt().unwrap().iter().map(|one| one.transaction).collect::<Vec<_>>(), [id]);
    assert_holds(&store, &model);
    // It still has its locks and its reads.
    let refused = store.delete(3).unwrap_err();
    let cause = refused.conflict().map(|conflict| (conflict.cause, conflict.transaction));
    assert_eq!(cause, Some((codegraph_vector::ConflictCause::Prepared, Some(id))), "{refused}");
    store.commit_prepared(id).unwrap();
    model.remove(&4);
    model.insert(500, new);
    assert_holds(&store, &model);
    assert_eq!(store.create_checkpoint().unwrap().in_doubt, 0);
    store.delete(3).unwrap();
    model.remove(&3);
    assert_holds(&store, &model);
}

#[test]
fn checkpoints_are_made_by_themselves_if_asked_for() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    store.configure(|settings| settings.transactions.checkpoint_interval_ms = 5).unwrap();
    let rng = &mut Rng::new(4);
    let mut model = Model::new();
    for id in 0..3 {
        let node = node(rng, id, 8);
        let seqno = store.put(node.clone()).unwrap().receipt.seqno;
        model.insert(id, node);
        while store.latest_checkpoint().unwrap().seqno < seqno {
            thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(store.latest_checkpoint().unwrap().rows, model.len() as u64);
    }
    assert_holds(&store, &model);
}
