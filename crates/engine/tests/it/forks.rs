//! Forks: the same contents, and from then on nothing of one store shows in the other, nor hurts it.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use codegraph_vector::vfs::Vfs;
use codegraph_vector::{
    CodeNode, CodecSpec, CompressRequest, Cursor, ErrorKind, ForkOptions, ForkReport, IsolationLevel, Keep,
    NodeId, OpenOptions, PersistentVectorStore, SeqNo, Target, TestSwitches,
};
use codegraph_vector_testkit::{Action, Call, Fault, Op, Rng, SimVfs};

use crate::sample::{
    self, Model, ROOT, assert_holds, assert_refused, contents, delete, environment, node, nodes, open, put,
    reopen,
};

const FORK: &str = "/branches/one";

fn fork(store: &PersistentVectorStore, path: &str) -> (PersistentVectorStore, ForkReport) {
    store.fork_with(path, &ForkOptions::default()).unwrap()
}

fn open_at(sim: &SimVfs, path: &str) -> codegraph_vector::Result<PersistentVectorStore> {
    let options = OpenOptions { must_exist: true, environment: environment(sim), ..OpenOptions::default() };
    PersistentVectorStore::open(path, options)
}

/// Some segments, with deaths in them, and rows that are not flushed.
fn source(sim: &SimVfs, rounds: u64) -> (PersistentVectorStore, Model) {
    let (store, mut model) = (open(sim).unwrap(), Model::new());
    let mut rng = Rng::new(3);
    for round in 0..NodeId::from(rounds) {
        put(&store, &mut model, &nodes(&mut rng, round * 20..round * 20 + 40)).unwrap();
        store.flush().unwrap();
        delete(&store, &mut model, &[round * 20, round * 20 + 7]).unwrap();
    }
    put(&store, &mut model, &nodes(&mut rng, 1000..1010)).unwrap();
    (store, model)
}

/// Removes all files below a folder.
fn remove(sim: &SimVfs, folder: &str) {
    for path in sim.paths().iter().filter(|path| path.starts_with(folder)) {
        sim.remove_file(path).unwrap();
    }
}

#[test]
fn a_fork_has_the_same_contents_and_goes_its_own_way() {
    let sim = SimVfs::new(1);
    let (store, mut model) = source(&sim, 3);
    store.set_property("root", Some("/src")).unwrap();
    store.configure(|settings| settings.merge_fanout = 5).unwrap();
    store.pin_changes("replica", SeqNo(2)).unwrap();
    let (branch, report) = fork(&store, FORK);
    let mut branch_model = model.clone();
    assert_holds(&branch, &branch_model);
    let (stats, header) = (store.stats().unwrap(), store.storage_header());
    assert_eq!(branch.stats().unwrap().content_hash, stats.content_hash);
    assert_ne!(branch.storage_header().store_id, header.store_id);
    let expected = ForkReport {
        store_id: branch.storage_header().store_id,
        source: header.store_id,
        timeline: 1,
        seqno: stats.seqno,
        segments: stats.segments,
        copied: 0,
        copied_bytes: 0,
        rolled_back: Vec::new(),
    };
    assert_eq!(report, expected);
    assert_eq!(branch.storage_header().timeline, 1);
    assert_eq!(branch.property("root").unwrap().as_deref(), Some("/src"));
    assert_eq!(branch.settings(), store.settings());
    assert!(branch.change_pins().unwrap().is_empty(), "what follows the one does not follow the other");
    // Both go on, merge, and are opened again.
    let mut rng = Rng::new(9);
    put(&branch, &mut branch_model, &nodes(&mut rng, 0..30)).unwrap();
    delete(&branch, &mut branch_model, &[1000, 41]).unwrap();
    put(&store, &mut model, &nodes(&mut rng, 2000..2030)).unwrap();
    delete(&store, &mut model, &[1001, 42]).unwrap();
    for _ in 0..2 {
        assert_holds(&store, &model);
        assert_holds(&branch, &branch_model);
        store.merge().unwrap();
        branch.flush().unwrap();
        branch.merge().unwrap();
    }
    drop((store, branch));
    assert_holds(&reopen(&sim).unwrap(), &model);
    let branch = open_at(&sim, FORK).unwrap();
    assert_holds(&branch, &branch_model);
    assert_eq!(branch.settings().merge_fanout, 5);
}

#[test]
fn deleting_one_never_hurts_the_other_nor_a_fork_of_the_fork() {
    for gone in [ROOT, FORK, "/branches/two"] {
        let sim = SimVfs::new(1);
        let (store, model) = source(&sim, 3);
        let (one, _) = fork(&store, FORK);
        let mut one_model = model.clone();
        put(&one, &mut one_model, &nodes(&mut Rng::new(5), 500..520)).unwrap();
        let (two, report) = fork(&one, "/branches/two");
        assert_eq!((report.timeline, report.source), (2, one.storage_header().store_id));
        drop((store, one, two));
        remove(&sim, gone);
        for (path, model) in [(ROOT, &model), (FORK, &one_model), ("/branches/two", &one_model)] {
            if path == gone {
                assert!(open_at(&sim, path).is_err());
                continue;
            }
            let store = open_at(&sim, path).unwrap();
            assert_holds(&store, model);
            store.merge().unwrap();
            assert_holds(&store, model);
        }
    }
}

#[test]
fn an_empty_store_and_a_compressed_one_can_be_forked() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    assert_holds(&fork(&store, FORK).0, &Model::new());
    for keep in [Keep::Full, Keep::F16, Keep::None] {
        let sim = SimVfs::new(1);
        let switches = TestSwitches { min_training_rows: Some(2), ..TestSwitches::default() };
        let store =
            PersistentVectorStore::open(ROOT, OpenOptions { switches, ..sample::options(&sim) }).unwrap();
        store.put_batch(&nodes(&mut Rng::new(1), 0..200)).unwrap();
        let request = CompressRequest::new(Target::Codec(CodecSpec::Binary { bits: 2 })).with_keep(keep);
        store.compress(&request, &|_| {}).unwrap();
        let (branch, _) = fork(&store, FORK);
        let wanted = contents(&store).unwrap();
        assert!(contents(&branch).unwrap() == wanted, "{keep:?}");
        assert!(branch.stats().unwrap().compression.unwrap().encoded_rows == 200, "{keep:?}");
        branch.put_batch(&nodes(&mut Rng::new(2), 200..300)).unwrap();
        branch.flush().unwrap();
        branch.merge().unwrap();
        assert!(branch.verify().unwrap().is_clean());
        drop(store);
        assert!(contents(&reopen(&sim).unwrap()).unwrap() == wanted, "{keep:?}");
    }
}

#[test]
fn only_a_missing_or_empty_folder_can_become_a_fork() {
    let sim = SimVfs::new(1);
    let (store, model) = source(&sim, 1);
    let paths = sim.paths();
    let inside = format!("{ROOT}/segments/fork");
    for path in [ROOT, &inside] {
        assert_refused(store.fork(path), ErrorKind::InvalidInput, &["inside of the store"]);
    }
    assert_eq!(sim.paths(), paths);
    sim.write_raw("/other/notes.txt", b"mine");
    assert_refused(store.fork("/other"), ErrorKind::InvalidInput, &["notes.txt"]);
    sim.create_dir_all(Path::new("/empty")).unwrap();
    let branch = store.fork("/empty").unwrap();
    assert_refused(store.fork("/empty"), ErrorKind::InvalidInput, &["a store already"]);
    drop(branch);
    assert_refused(store.fork("/empty"), ErrorKind::InvalidInput, &["a store already"]);
    assert_holds(&open_at(&sim, "/empty").unwrap(), &model);
    let reader = sample::open_read_only(&sim).unwrap();
    assert_refused(reader.fork(FORK), ErrorKind::ReadOnly, &[]);
}

#[test]
fn what_cannot_be_linked_is_copied() {
    let sim = SimVfs::new(1);
    let (store, model) = source(&sim, 2);
    let devices = |fails: bool| {
        sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| match call.op {
            Op::Link if fails => Action::Fail(Fault::Exdev),
            _ => Action::Proceed,
        }));
    };
    devices(true);
    let (branch, report) = fork(&store, FORK);
    devices(false);
    assert_eq!((report.copied, report.segments), (3, 3));
    assert!(report.copied_bytes > 10_000, "{report:?}");
    assert_holds(&branch, &model);
    drop(branch);
    // Nothing of it depends on the other store's files.
    remove(&sim, ROOT);
    assert_holds(&open_at(&sim, FORK).unwrap(), &model);
}

#[test]
fn a_fork_writes_as_much_for_many_rows_as_for_few() {
    let written = |rows: NodeId| {
        let sim = SimVfs::new(1);
        let store = open(&sim).unwrap();
        store.put_batch(&nodes(&mut Rng::new(1), 0..rows)).unwrap();
        store.delete_batch(&[1, 2]).unwrap();
        store.flush().unwrap();
        let calls = sim.watch_changes();
        let _branch = store.fork(FORK).unwrap();
        let calls = calls.take();
        let of = |op: Op| calls.iter().filter(|call| call.op == op).count();
        let below = |call: &&Call| call.path.starts_with(FORK) && call.op == Op::Write;
        let bytes: u64 = calls.iter().filter(below).map(|call| call.len).sum();
        (bytes, of(Op::Link), of(Op::Create), calls.len())
    };
    let (few, many) = (written(10), written(2000));
    assert_eq!(few, many);
    assert_eq!(few.1, 1);
    // The empty log file is most of it.
    assert!(few.0 < 100_000, "{few:?}");
}

#[test]
fn transactions_in_doubt_are_rolled_back_in_the_fork_alone() {
    let sim = SimVfs::new(1);
    let (store, model) = source(&sim, 1);
    let mut transaction = store.begin(IsolationLevel::Serializable).unwrap();
    transaction.put(node(&mut Rng::new(1), 1005)).unwrap();
    let prepared = transaction.prepare().unwrap();
    let (branch, report) = fork(&store, FORK);
    assert_eq!(report.rolled_back.iter().map(|found| found.transaction).collect::<Vec<_>>(), [prepared]);
    assert_eq!(report.rolled_back, store.in_doubt().unwrap());
    assert!(branch.in_doubt().unwrap().is_empty());
    assert_refused(branch.commit_prepared(prepared), ErrorKind::NotFound, &[]);
    branch.delete(1005).unwrap(); // It holds no locks.
    store.commit_prepared(prepared).unwrap();
    assert_eq!(contents(&branch).unwrap().len(), model.len() - 1);
    assert_ne!(store.get(1005).unwrap().as_ref(), model.get(&1005));
}

#[test]
fn a_fork_has_changes_of_its_own_timeline() {
    let sim = SimVfs::new(1);
    let (store, _) = source(&sim, 1);
    let seen = store.stats().unwrap().seqno;
    let branch = store.fork(FORK).unwrap();
    for store in [&store, &branch] {
        store.put(node(&mut Rng::new(1), 1)).unwrap();
    }
    let first = |store: &PersistentVectorStore| store.changes(seen).unwrap().next().unwrap().unwrap().cursor;
    let next = SeqNo(seen.0 + 1);
    assert_eq!(first(&store), Cursor { timeline: 0, seqno: next });
    assert_eq!(first(&branch), Cursor { timeline: 1, seqno: next });
    assert_refused(branch.changes(first(&store)), ErrorKind::Gone, &["timeline"]);
    assert_refused(store.changes(first(&branch)), ErrorKind::Gone, &["timeline"]);
    assert_refused(branch.changes(Cursor::start()), ErrorKind::Gone, &["oldest is"]);
}

#[test]
fn a_full_disk_leaves_no_fork_and_hurts_nobody() {
    let sim = SimVfs::new(1);
    let (store, model) = source(&sim, 2);
    store.flush().unwrap();
    let used = sim.used();
    for room in [0, 4096, 8192, 16 << 10, 48 << 10] {
        sim.set_capacity(Some(used + room));
        assert_refused(store.fork(FORK), ErrorKind::StorageFull, &[]);
        assert_refused(open_at(&sim, FORK), ErrorKind::NotFound, &[]);
        sim.set_capacity(None);
        assert_holds(&store, &model);
    }
    assert_holds(&store.fork(FORK).unwrap(), &model);
}

#[test]
fn forks_are_made_while_others_write_flush_and_merge() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions { dimension: Some(sample::DIMENSION), ..OpenOptions::default() };
    let store = PersistentVectorStore::open(folder.path().join("s"), options).unwrap();
    store.configure(|settings| settings.merge_fanout = 2).unwrap();
    let (rounds, forks) = (40, 8);
    // Each commit writes the same number to both nodes.
    let write = |rng: &mut Rng, round: u32| {
        let pair = [1, 2].map(|id| CodeNode { start_line: Some(round + 1), end_line: None, ..node(rng, id) });
        store.put_batch(&pair).unwrap();
    };
    write(&mut Rng::new(0), 0);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut rng = Rng::new(1);
            for round in 1..rounds {
                write(&mut rng, round);
                store.put_batch(&nodes(&mut rng, 10..30)).unwrap();
                store.flush().unwrap();
                if round % 5 == 0 {
                    store.merge().unwrap();
                }
            }
        });
        for number in 0..forks {
            let before = store.stats().unwrap().seqno;
            let branch = store.fork(folder.path().join(format!("fork-{number}"))).unwrap();
            let pair = [1, 2].map(|id| branch.get(id).unwrap().unwrap().start_line);
            assert_eq!(pair[0], pair[1], "a commit is there in part");
            assert!(branch.stats().unwrap().seqno >= before);
            assert!(branch.verify().unwrap().is_clean());
        }
        writer.join().unwrap();
    });
    assert!(store.verify().unwrap().is_clean());
}
