//! Two-phase commit over the log: nothing of it shows before the decision, and no restart loses it.

use std::sync::atomic::{AtomicBool, Ordering};

use codegraph_vector_base::{ConflictCause, NodeId};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Op, Rng, SeededRandom, SimClock, SimVfs};

use super::*;
use crate::filter::Filter;
use crate::node::CodeNode;
use crate::options::{Durability, Environment, OpenOptions, Settings};
use crate::store::core::Handle;
use crate::store::{Locking, Snapshot, Write};

fn open_with(sim: &SimVfs, durability: Durability, read_only: bool) -> Result<Arc<Handle>> {
    open_at(sim, SimClock::default(), durability, read_only)
}

fn open_at(sim: &SimVfs, clock: SimClock, durability: Durability, read_only: bool) -> Result<Arc<Handle>> {
    let environment = Environment {
        vfs: Arc::new(sim.clone()),
        clock: Arc::new(clock),
        random: Arc::new(SeededRandom::new(7)),
    };
    let settings = Some(Settings { background: false, durability, ..Settings::default() });
    let options =
        OpenOptions { dimension: Some(2), settings, environment, read_only, ..OpenOptions::default() };
    crate::store::open("/store".into(), &options).map(Handle::new)
}

fn open(sim: &SimVfs) -> Arc<Handle> {
    open_with(sim, Durability::Sync, false).unwrap()
}

fn node(id: NodeId, x: f32) -> CodeNode {
    CodeNode::new(id, vec![x, 1.0]).with_name(format!("n{id}"))
}

fn write(core: &Arc<Handle>, write: &Write<'_>) -> Result<SeqNo> {
    Ok(core.submit(write, Locking::Try)?.wait()?.receipt.seqno)
}

fn put(core: &Arc<Handle>, id: NodeId, x: f32) -> Result<SeqNo> {
    write(core, &Write::Put(&[node(id, x)]))
}

/// What a transaction that has read these nodes has in mind.
fn reads(core: &Core, ids: &[NodeId]) -> ReadSet {
    let (_, seqno) = core.read_point();
    let mut reads = ReadSet::default();
    let rules = IsolationLevel::RepeatableRead.rules();
    reads.listed(rules, seqno, &Filter::everything(), ids.iter().copied());
    reads
}

/// Prepares a transaction that puts and deletes these nodes, and has read those.
fn prepare(core: &Core, txn: u64, puts: &[CodeNode], deletes: &[NodeId], read: &[NodeId]) -> Result<Lsn> {
    let rows = core.pending_rows(puts, None)?;
    let touched = rows.iter().map(|row| row.id).chain(deletes.iter().copied()).collect();
    let mut guard = core.writer()?.locks.unlisted_owner(TxnId(txn));
    guard.try_acquire_all(touched, LockMode::X)?;
    guard.seal()?;
    let (version, snapshot) = core.read_point();
    let parts = core.resolve_rows(&version, snapshot, &rows.iter().collect::<Vec<_>>(), deletes)?;
    let (txn, level, reads) = (TxnId(txn), IsolationLevel::RepeatableRead, reads(core, read));
    core.prepare(Preparation { txn, level, snapshot, parts: &parts, reads, guard }, |_| Ok(()))
}

fn doubtful(core: &Core) -> Vec<u64> {
    core.in_doubt().unwrap().iter().map(|in_doubt| in_doubt.transaction.0).collect()
}

fn lsn_of(core: &Core) -> Lsn {
    core.head.lock().prepared.undecided().next().unwrap().lsn
}

fn ids(core: &Arc<Handle>) -> Vec<NodeId> {
    Snapshot::open(core).unwrap().ids(&Filter::everything()).unwrap()
}

fn x_of(core: &Arc<Handle>, id: NodeId) -> Option<f32> {
    Snapshot::open(core).unwrap().get(id).unwrap().map(|node| node.embedding[0])
}

/// A store with nodes 1 and 2, and transaction 7 prepared, which puts 1 and 3, deletes 2 and has read 9.
fn prepared(sim: &SimVfs) -> Arc<Handle> {
    let core = open(sim);
    write(&core, &Write::Put(&[node(1, 1.0), node(2, 2.0)])).unwrap();
    prepare(&core, 7, &[node(1, 10.0), node(3, 30.0)], &[2], &[9]).unwrap();
    core
}

#[test]
fn a_prepared_transaction_is_invisible_holds_its_nodes_and_is_listed() {
    let core = prepared(&SimVfs::new(1));
    assert_eq!((ids(&core), x_of(&core, 1)), (vec![1, 2], Some(1.0)));
    let [in_doubt] = core.in_doubt().unwrap()[..] else { panic!("one transaction is in doubt") };
    assert_eq!((in_doubt.transaction, in_doubt.rows, in_doubt.deletes), (TxnId(7), 2, 1));
    assert!(in_doubt.bytes > 0 && in_doubt.isolation_level == IsolationLevel::RepeatableRead);
    assert_eq!(core.stats().unwrap().in_doubt, 1);
    for id in [1, 2, 3] {
        assert_eq!(put(&core, id, 0.0).unwrap_err().kind(), ErrorKind::Conflict, "node {id} is locked");
    }
    let conflict = put(&core, 9, 0.0).unwrap_err().conflict().cloned().unwrap();
    assert_eq!(
        (conflict.cause, conflict.node, conflict.transaction),
        (ConflictCause::Prepared, Some(9), Some(TxnId(7)))
    );
    put(&core, 8, 0.0).unwrap();
    assert_eq!(ids(&core), [1, 2, 8]);
}

#[test]
fn a_decision_counts_once_and_says_the_same_again() {
    let sim = SimVfs::new(1);
    let core = prepared(&sim);
    let receipt = core.commit_prepared(TxnId(7)).unwrap();
    assert_eq!((receipt.seqno, receipt.durable), (SeqNo(2), true));
    prepare(&core, 8, &[node(1, 20.0)], &[3], &[]).unwrap();
    core.rollback_prepared(TxnId(8)).unwrap();
    let check = |core: &Arc<Handle>| {
        assert_eq!(core.commit_prepared(TxnId(7)).unwrap(), receipt);
        core.rollback_prepared(TxnId(8)).unwrap();
        let committed = core.rollback_prepared(TxnId(7)).unwrap_err();
        assert!(committed.kind() == ErrorKind::InvalidInput && committed.message().contains("committed"));
        assert_eq!(core.commit_prepared(TxnId(8)).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(core.commit_prepared(TxnId(9)).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(core.rollback_prepared(TxnId(9)).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!((ids(core), x_of(core, 1), doubtful(core)), (vec![1, 3], Some(10.0), vec![]));
    };
    check(&core);
    check(&open(&sim.kill()));
    core.flush().unwrap();
    let killed = sim.kill();
    check(&open(&killed));
    put(&open(&killed.kill()), 1, 5.0).unwrap();
}

#[test]
fn what_is_in_doubt_survives_restarts_in_the_log_and_in_checkpoints() {
    for flushed in [false, true] {
        let sim = SimVfs::new(1);
        let core = prepared(&sim);
        if flushed {
            put(&core, 8, 0.0).unwrap();
            core.flush().unwrap();
            let checkpoint = core.latest_checkpoint().unwrap();
            assert!(checkpoint.lsn > lsn_of(&core) && checkpoint.in_doubt == 1);
        }
        let closed = {
            let next = sim.kill();
            open(&next).close().unwrap();
            next
        };
        for sim in [sim.kill(), sim.crash(&mut Rng::new(2), CrashStyle::LoseUnsynced), closed] {
            let reader = open_with(&sim, Durability::Sync, true).unwrap();
            assert_eq!(doubtful(&reader), [7]);
            let core = open(&sim);
            assert_eq!((doubtful(&core), x_of(&core, 1)), (vec![7], Some(1.0)));
            for id in [1, 2, 3, 9] {
                assert_eq!(put(&core, id, 0.0).unwrap_err().kind(), ErrorKind::Conflict, "node {id}");
            }
            assert!(core.writer().unwrap().next_txn.load(Ordering::Relaxed) > 7);
            let again = open(&sim.kill());
            let seqno = again.commit_prepared(TxnId(7)).unwrap().seqno;
            assert_eq!(seqno, if flushed { SeqNo(3) } else { SeqNo(2) });
            assert_eq!((x_of(&again, 1), x_of(&again, 2), x_of(&again, 3)), (Some(10.0), None, Some(30.0)));
            put(&again, 9, 0.0).unwrap();
            put(&again, 2, 0.0).unwrap();
            assert!(again.verify().unwrap().is_clean());
        }
    }
}

#[test]
fn a_row_that_was_there_keeps_its_creation_and_a_new_one_gets_the_time_of_the_decision() {
    let sim = SimVfs::new(1);
    let core = prepared(&sim);
    let created = |core: &Arc<Handle>, id| {
        let metadata = Snapshot::open(core).unwrap().vector_metadata(id).unwrap().unwrap();
        (metadata.created_us, metadata.updated_us)
    };
    let (first, _) = created(&core, 1);
    put(&core, 8, 0.0).unwrap();
    let later = SimClock::new(1 << 60);
    let core = open_at(&sim.kill(), later, Durability::Sync, false).unwrap();
    core.commit_prepared(TxnId(7)).unwrap();
    let (kept, updated) = created(&core, 1);
    assert_eq!(kept, first);
    assert!(updated >= 1 << 60);
    assert_eq!(created(&core, 3), (updated, updated));
}

#[test]
fn what_would_stand_in_each_others_way_is_not_prepared() {
    let core = prepared(&SimVfs::new(1));
    let refused = |nodes: &[CodeNode], read: &[NodeId]| {
        let error = prepare(&core, 8, nodes, &[], read).unwrap_err();
        error.conflict().map(|conflict| conflict.cause)
    };
    assert_eq!(
        refused(&[node(9, 0.0)], &[]),
        Some(ConflictCause::Prepared),
        "it writes what the other has read"
    );
    assert_eq!(
        refused(&[node(8, 0.0)], &[3]),
        Some(ConflictCause::Prepared),
        "it has read what the other writes"
    );
    assert_eq!(refused(&[node(8, 0.0)], &[2]), Some(ConflictCause::Prepared), "or deletes");
    prepare(&core, 8, &[node(8, 0.0)], &[], &[9]).unwrap();
    prepare(&core, 6, &[node(6, 0.0)], &[], &[]).unwrap();
    assert_eq!(doubtful(&core), [6, 7, 8]);
    core.commit_prepared(TxnId(8)).unwrap();
    core.commit_prepared(TxnId(7)).unwrap();
    core.rollback_prepared(TxnId(6)).unwrap();
    assert_eq!(ids(&core), [1, 3, 8]);
    put(&core, 6, 0.0).unwrap();
}

#[test]
fn a_record_that_finds_no_room_leaves_everything_as_it_was() {
    let sim = SimVfs::new(1);
    let core = open(&sim);
    put(&core, 1, 1.0).unwrap();
    let full = || {
        let failed = AtomicBool::new(false);
        sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| match call.op {
            Op::Write if !failed.swap(true, Ordering::SeqCst) => Action::Fail(Fault::Enospc),
            _ => Action::Proceed,
        }));
    };
    full();
    let error = prepare(&core, 7, &[node(1, 9.0)], &[], &[4]).unwrap_err();
    assert_eq!((error.kind(), doubtful(&core)), (ErrorKind::StorageFull, vec![]));
    sim.clear_observer();
    put(&core, 1, 2.0).unwrap();
    put(&core, 4, 2.0).unwrap();
    prepare(&core, 7, &[node(1, 9.0)], &[], &[4]).unwrap();
    for verdict in [Verdict::Commit, Verdict::Rollback] {
        full();
        assert_eq!(core.decide(TxnId(7), verdict).unwrap_err().kind(), ErrorKind::StorageFull);
        sim.clear_observer();
        assert_eq!((doubtful(&core), x_of(&core, 1)), (vec![7], Some(2.0)));
        for id in [1, 4] {
            assert_eq!(
                put(&core, id, 0.0).unwrap_err().kind(),
                ErrorKind::Conflict,
                "{id} after {verdict:?}"
            );
        }
    }
    assert_eq!(core.commit_prepared(TxnId(7)).unwrap().seqno, SeqNo(4));
    assert_eq!(x_of(&core, 1), Some(9.0));
}

#[test]
fn both_phases_are_durable_whatever_the_settings_say() {
    let sim = SimVfs::new(1);
    let core = open_with(&sim, Durability::None, false).unwrap();
    let cut = || sim.crash(&mut Rng::new(3), CrashStyle::LoseUnsynced);
    assert!(
        !core.submit(&Write::Put(&[node(1, 1.0)]), Locking::Try).unwrap().wait().unwrap().receipt.durable
    );
    prepare(&core, 7, &[node(2, 2.0)], &[], &[]).unwrap();
    assert_eq!(doubtful(&open(&cut())), [7]);
    assert!(core.commit_prepared(TxnId(7)).unwrap().durable);
    let after = open(&cut());
    assert_eq!((doubtful(&after), ids(&after)), (vec![], vec![1, 2]));
}

#[test]
fn a_decision_that_another_thread_makes_at_the_same_time_is_the_same() {
    let core = prepared(&SimVfs::new(1));
    let receipts = std::thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(|| core.commit_prepared(TxnId(7)).unwrap()));
        threads.map(|thread| thread.join().unwrap())
    });
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0] && receipt.seqno == SeqNo(2)));
    assert_eq!(core.visible(), SeqNo(2));
}

#[test]
fn no_more_is_prepared_than_a_manifest_holds() {
    let core = open(&SimVfs::new(1));
    let large = |id: NodeId| node(id, 1.0).with_attribute("text", "x".repeat(900 << 10));
    let batch = |first: NodeId| (first..first + 40).map(large).collect::<Vec<_>>();
    prepare(&core, 1, &batch(100), &[], &[]).unwrap();
    let error = prepare(&core, 2, &batch(200), &[], &[]).unwrap_err();
    assert!(error.kind() == ErrorKind::TooLarge && error.message().contains("prepared"), "{error}");
    core.rollback_prepared(TxnId(1)).unwrap();
    prepare(&core, 2, &batch(200), &[], &[]).unwrap();
    core.flush().unwrap();
}
