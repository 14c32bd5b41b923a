//! The change feed: what it shows leads another store to the same contents, in whatever pieces it is read, and whatever
//! happens to the log meanwhile; who cannot be served is told.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use codegraph_vector::{
    Change, Changes, ChangesFrom, CodeNode, Cursor, Durability, ErrorKind, IsolationLevel, NodeId,
    PersistentVectorStore, Result, SeqNo, Settings, TxnId,
};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Op, Rng, SimVfs, generators};

use crate::sample::{
    DIMENSION, assert_refused, contents, node, nodes, open, open_read_only, options, reopen,
};

/// Log files of a few commits each.
pub(crate) fn small_files(sim: &SimVfs) -> PersistentVectorStore {
    let store = open(sim).unwrap();
    store.configure(|settings| settings.max_wal_file_bytes = 4 << 10).unwrap();
    store
}

pub(crate) fn all(changes: Changes) -> Vec<Change> {
    changes.collect::<Result<_>>().unwrap()
}

pub(crate) fn seqnos(changes: &[Change]) -> Vec<u64> {
    changes.iter().map(|change| change.cursor.seqno.0).collect()
}

/// Carries a change out in another store, as one commit.
pub(crate) fn carry_out(copy: &PersistentVectorStore, change: &Change) {
    let mut transaction = copy.begin(IsolationLevel::ReadCommitted).unwrap();
    change.deletes.iter().for_each(|id| assert!(transaction.delete(*id).unwrap(), "{id} was there"));
    change.puts.iter().for_each(|node| transaction.put(node.clone()).unwrap());
    transaction.commit().unwrap();
}

pub(crate) fn hash(store: &PersistentVectorStore) -> u128 {
    store.stats().unwrap().content_hash.0
}

#[test]
fn a_feed_tells_what_was_committed_and_ends_where_the_store_is() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    assert_eq!(all(store.changes(Cursor::start()).unwrap()), []);
    let mut rng = Rng::new(1);
    let given = nodes(&mut rng, [5, 3, 9]);
    store.put_batch(&given).unwrap();
    store.delete_batch(&[3, 77]).unwrap();
    let mut changes = store.changes(Cursor::start()).unwrap();
    let first = changes.next().unwrap().unwrap();
    assert_eq!((first.cursor, &first.puts, &first.deletes[..]), (changes.cursor(), &given, &[][..]));
    let second = changes.next().unwrap().unwrap();
    assert_eq!(
        (second.cursor.to_string().as_str(), &second.deletes[..]),
        ("0:2", &[3][..]),
        "77 was not there"
    );
    assert!(second.commit_time_us >= first.commit_time_us && second.puts.is_empty());
    assert!(changes.next().is_none());
    store.update_vector(9, &[0.25; DIMENSION]).unwrap();
    let third = changes.next().expect("it goes on").unwrap();
    assert_eq!(third.puts[0].embedding, [0.25; DIMENSION]);
    assert_eq!(third.puts[0].path, given[2].path, "metadata comes along");
    // Behind each commit, and by its number.
    for behind in 0..=3 {
        let cursor = Cursor { timeline: 0, seqno: SeqNo(behind) };
        let expected: Vec<u64> = (behind + 1..=3).collect();
        for from in [ChangesFrom::from(cursor), SeqNo(behind).into()] {
            assert_eq!(seqnos(&all(store.changes(from).unwrap())), expected);
        }
    }
    assert_refused(store.changes(SeqNo(4)), ErrorKind::InvalidInput, &["commit 4 is ahead"]);
    let elsewhere = Cursor { timeline: 1, seqno: SeqNo(1) };
    assert_refused(store.changes(elsewhere), ErrorKind::Gone, &["timeline 1", "timeline 0"]);
}

#[test]
fn vectors_come_bit_for_bit() {
    let store = open(&SimVfs::new(1)).unwrap();
    let odd = [-0.0, f32::MIN_POSITIVE, 1e-45, f32::MAX / 4.0, 1.0 / 3.0, -1.5, 0.1, 7e30];
    store.put(CodeNode::new(1, odd.to_vec())).unwrap();
    let found = all(store.changes(Cursor::start()).unwrap());
    let bits = |vector: &[f32]| vector.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&found[0].puts[0].embedding), bits(&odd));
}

/// A random history: writes of all kinds, transactions of one and two phases, flushes, merges, restarts. `each` sees the
/// store after every step.
pub(crate) fn live(seed: u64, steps: usize, each: &mut dyn FnMut(&PersistentVectorStore, &mut Rng)) {
    let mut rng = Rng::new(seed);
    let mut sim = SimVfs::new(seed);
    let mut store = small_files(&sim);
    // So that whatever was ever seen can be gone on with.
    store.pin_changes("test", Cursor::start()).unwrap();
    let mut in_doubt: Vec<TxnId> = Vec::new();
    for step in 0..steps {
        // Transactions in doubt have locks, so they have ids of their own.
        let ids: Vec<NodeId> = (0..rng.between(1, 6)).map(|_| rng.below(30) as NodeId).collect();
        match rng.below(12) {
            0..=3 => {
                let mut given = nodes(&mut rng, ids);
                given.sort_by_key(|node| node.id);
                given.dedup_by_key(|node| node.id);
                store.put_batch(&given).unwrap();
            }
            4 => {
                store.delete_batch(&ids).unwrap();
            }
            5 => match store.update_vector(ids[0], &generators::vector(&mut rng, DIMENSION)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                outcome => assert!(outcome.is_ok(), "{outcome:?}"),
            },
            6 => {
                let path = format!("src/{}.rs", rng.below(3));
                let mut given = [node(&mut rng, ids[0]), node(&mut rng, ids[0] + 30)];
                given.iter_mut().for_each(|node| node.path = Some(path.clone()));
                store.replace_path(&path, &given).unwrap();
            }
            7 => {
                let mut transaction = store.begin(IsolationLevel::Serializable).unwrap();
                for id in ids {
                    transaction.delete(id).unwrap();
                    transaction.put(node(&mut rng, id + 40)).unwrap();
                }
                transaction.commit().unwrap();
            }
            8 => {
                let mut transaction = store.begin(IsolationLevel::ReadCommitted).unwrap();
                transaction.put(node(&mut rng, 1000 + step as NodeId)).unwrap();
                in_doubt.push(transaction.prepare().unwrap());
            }
            9 if !in_doubt.is_empty() => {
                let decided = in_doubt.remove(rng.below(in_doubt.len()));
                if rng.chance(0.7) {
                    store.commit_prepared(decided).unwrap();
                } else {
                    store.rollback_prepared(decided).unwrap();
                }
            }
            10 => {
                store.merge().unwrap();
            }
            11 if rng.chance(0.5) => {
                let next =
                    if rng.chance(0.5) { sim.kill() } else { sim.crash(&mut rng, CrashStyle::LoseUnsynced) };
                sim.set_read_only(true);
                sim = next;
                store = reopen(&sim).unwrap();
                store.configure(|settings| settings.background = false).unwrap();
            }
            _ => store.flush().unwrap(),
        }
        each(&store, &mut rng);
    }
}

#[test]
fn replaying_a_history_leads_to_the_same_contents_at_every_step() {
    let mut followed = 0;
    for seed in 0..12 {
        let copy = open(&SimVfs::new(seed + 100)).unwrap();
        let mut cursor = Cursor::start();
        live(seed, 60, &mut |store, rng| {
            // Sometimes it lags.
            if rng.chance(0.4) {
                return;
            }
            // Its cursor is all that it has, as text.
            cursor = cursor.to_string().parse().unwrap();
            for change in store.changes(cursor).unwrap() {
                let change = change.unwrap();
                assert_eq!(change.cursor.seqno, cursor.seqno.next());
                carry_out(&copy, &change);
                cursor = change.cursor;
                followed += 1;
            }
            assert_eq!(cursor.seqno, store.stats().unwrap().seqno);
            assert_eq!(hash(&copy), hash(store), "seed {seed}, at {cursor}");
        });
        assert!(copy.verify().unwrap().is_clean());
    }
    assert!(followed > 200, "{followed}");
}

#[test]
fn who_comes_too_late_is_told_what_there_is() {
    let sim = SimVfs::new(1);
    let store = small_files(&sim);
    let mut rng = Rng::new(1);
    for id in 0..60 {
        store.put(node(&mut rng, id)).unwrap();
        if id % 10 == 9 {
            store.flush().unwrap();
        }
    }
    let oldest = store.stats().unwrap().changes.oldest.unwrap();
    assert!(oldest > SeqNo(30), "{oldest}");
    let outcome = store.changes(Cursor::start());
    assert_refused(
        outcome,
        ErrorKind::Gone,
        &["commit 1,", &format!("oldest is {oldest}"), "copy the store"],
    );
    assert_refused(store.changes(SeqNo(oldest.0 - 2)), ErrorKind::Gone, &[]);
    let rest = all(store.changes(SeqNo(oldest.0 - 1)).unwrap());
    assert_eq!(seqnos(&rest), (oldest.0..=60).collect::<Vec<_>>());
    // Nothing of the log is left but its end.
    store.configure(|settings| settings.max_wal_file_bytes = 64 << 20).unwrap();
    assert_eq!(all(store.changes(SeqNo(60)).unwrap()), []);
}

#[test]
fn a_stream_keeps_the_log_from_being_trimmed_under_it() {
    let sim = SimVfs::new(1);
    let store = small_files(&sim);
    let mut rng = Rng::new(1);
    let mut stream = store.changes(Cursor::start()).unwrap();
    let mut write = |ids: std::ops::Range<NodeId>| {
        for id in ids {
            store.put(node(&mut rng, id)).unwrap();
            if id % 7 == 6 {
                store.flush().unwrap();
            }
        }
    };
    write(0..40);
    let stats = store.stats().unwrap().changes;
    assert_eq!((stats.oldest, stats.streams), (Some(SeqNo(1)), 1));
    for expected in 1..=20 {
        assert_eq!(stream.next().unwrap().unwrap().cursor.seqno, SeqNo(expected));
    }
    write(40..50);
    let oldest = store.stats().unwrap().changes.oldest.unwrap();
    assert!(oldest > SeqNo(5) && oldest <= SeqNo(21), "{oldest}: what it has read is let go");
    assert_eq!(seqnos(&all(stream)), (21..=50).collect::<Vec<_>>());
    store.flush().unwrap();
    let stats = store.stats().unwrap().changes;
    assert!(stats.oldest > Some(SeqNo(21)) && stats.streams == 0, "{stats:?}");
}

#[test]
fn nothing_shows_before_it_is_durable_whatever_the_settings_say() {
    for durability in [Durability::None, Durability::Interval(1_000_000)] {
        let sim = SimVfs::new(1);
        let settings = Settings { durability, ..crate::sample::settings() };
        let store = PersistentVectorStore::open(
            crate::sample::ROOT,
            codegraph_vector::OpenOptions { settings: Some(settings), ..options(&sim) },
        )
        .unwrap();
        let mut stream = store.changes(Cursor::start()).unwrap();
        store.put(node(&mut Rng::new(1), 1)).unwrap();
        assert_eq!(contents(&store).unwrap().len(), 1, "readers see it");
        assert!(stream.next().is_none());
        assert!(store.changes(Cursor::start()).unwrap().next().is_none());
        store.flush().unwrap();
        assert_eq!(stream.next().unwrap().unwrap().cursor.seqno, SeqNo(1));
    }
}

#[test]
fn a_commit_whose_sync_failed_never_shows() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    let mut stream = store.changes(Cursor::start()).unwrap();
    store.put(node(&mut Rng::new(1), 1)).unwrap();
    sim.set_observer(Arc::new(|_: &SimVfs, call: &Call| match call.op {
        Op::SyncData => Action::Fail(Fault::SyncFails),
        _ => Action::Proceed,
    }));
    assert_refused(store.put(node(&mut Rng::new(2), 2)), ErrorKind::OutcomeUnknown, &[]);
    sim.clear_observer();
    assert_eq!(stream.next().unwrap().unwrap().cursor.seqno, SeqNo(1));
    assert!(stream.next().is_none());
}

#[test]
fn a_damaged_log_ends_a_stream_with_an_error() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    for id in 0..4 {
        store.put(node(&mut Rng::new(1), id)).unwrap();
    }
    let log = sim.paths().into_iter().find(|path| path.to_string_lossy().ends_with(".wal")).unwrap();
    sim.flip_bit(&log, 4096 + 40 + 100, 3);
    let mut stream = store.changes(Cursor::start()).unwrap();
    assert_refused(stream.next().unwrap(), ErrorKind::Corrupt, &["log", ".wal"]);
    assert!(stream.next().is_none(), "it is over");
}

#[test]
fn who_waits_is_woken_by_a_commit_and_by_the_end() {
    let store = open(&SimVfs::new(1)).unwrap();
    let mut stream = store.changes(Cursor::start()).unwrap();
    assert_eq!(stream.wait_next(Duration::ZERO).unwrap(), None);
    assert_eq!(stream.wait_next(Duration::from_millis(1)).unwrap(), None);
    // Longer than any test may take: only a wake-up ends it.
    let long = Duration::from_secs(3600);
    let (sender, receiver) = std::sync::mpsc::channel();
    let waiting = thread::spawn(move || {
        loop {
            match stream.wait_next(long) {
                Ok(Some(change)) => sender.send(change.cursor.seqno.0).unwrap(),
                outcome => return outcome,
            }
        }
    });
    for id in 1..=20 {
        store.put(node(&mut Rng::new(1), id)).unwrap();
        assert_eq!(receiver.recv().unwrap(), id as u64);
    }
    store.close().unwrap();
    assert_refused(waiting.join().unwrap(), ErrorKind::Closed, &[]);
}

#[test]
fn readers_follow_writers_that_flush_and_trim_beside_them() {
    let store = small_files(&SimVfs::new(1));
    let (writers, commits) = (3, 120);
    let followers: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = store.changes(Cursor::start()).unwrap();
            thread::spawn(move || {
                (1..=writers * commits)
                    .map(|_| stream.wait_next(Duration::from_secs(60)).unwrap().expect("a change"))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    thread::scope(|scope| {
        for writer in 0..writers {
            let store = &store;
            scope.spawn(move || {
                let mut rng = Rng::new(writer);
                for number in 0..commits {
                    store.put(node(&mut rng, NodeId::from(writer * 1000 + number))).unwrap();
                    if number % 17 == 3 {
                        store.flush().unwrap();
                    }
                }
            });
        }
    });
    for follower in followers {
        let seen = follower.join().unwrap();
        assert_eq!(seqnos(&seen), (1..=writers * commits).collect::<Vec<_>>());
        let found: std::collections::BTreeMap<NodeId, CodeNode> =
            seen.into_iter().flat_map(|change| change.puts).map(|node| (node.id, node)).collect();
        assert!(found == contents(&store).unwrap());
    }
}

#[test]
fn a_reader_elsewhere_follows_up_to_its_last_refresh() {
    let sim = SimVfs::new(1);
    let store = small_files(&sim);
    let mut rng = Rng::new(1);
    store.put(node(&mut rng, 1)).unwrap();
    let reader = open_read_only(&sim).unwrap();
    let mut stream = reader.changes(Cursor::start()).unwrap();
    assert_eq!(stream.next().unwrap().unwrap().cursor.seqno, SeqNo(1));
    let mut seen = 1;
    for id in 2..60 {
        store.put(node(&mut rng, id)).unwrap();
        assert!(stream.next().is_none(), "not yet");
        if id % 13 == 0 {
            store.flush().unwrap();
        }
        if id % 5 == 0 {
            reader.refresh().unwrap();
            for change in stream.by_ref() {
                seen += 1;
                assert_eq!(change.unwrap().cursor.seqno, SeqNo(seen));
            }
            assert_eq!(seen, id as u64);
        }
    }
    assert_refused(reader.pin_changes("replica", SeqNo(seen)), ErrorKind::ReadOnly, &[]);
    // Nobody here keeps the log for it.
    for _ in 0..3 {
        store.put(node(&mut rng, 99)).unwrap();
        store.flush().unwrap();
    }
    drop(store);
    reader.refresh().unwrap();
    let late = open_read_only(&sim).unwrap();
    assert_refused(late.changes(Cursor::start()), ErrorKind::Gone, &["oldest"]);
}
