//! Pins of the change feed: what they keep, what they let go, and what becomes of one that asks for too much.

use std::sync::Arc;

use codegraph_vector::{Change, Cursor, ErrorKind, IsolationLevel, NodeId, Result, SeqNo};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Rng, SimVfs};
use parking_lot::Mutex;

use crate::changes::{all, carry_out, hash, live, seqnos, small_files};
use crate::sample::{assert_refused, node, open, reopen};

#[test]
fn a_pin_that_moves_on_keeps_what_is_needed_and_no_more() {
    let mut trimmed = 0;
    for seed in 20..32 {
        let copy = open(&SimVfs::new(seed + 100)).unwrap();
        live(seed, 80, &mut |store, rng| {
            if rng.chance(0.5) {
                return;
            }
            let pin = store.change_pins().unwrap().remove(0);
            assert!(!pin.lost && pin.name == "test", "{pin:?}");
            let mut changes = store.changes(pin.cursor).unwrap();
            // Not always to the end, so that decisions lie on either side of the pin.
            let most = rng.between(1, 12);
            for change in changes.by_ref().take(most) {
                carry_out(&copy, &change.unwrap());
            }
            store.pin_changes("test", changes.cursor()).unwrap();
            let stats = store.stats().unwrap();
            let oldest = stats.changes.oldest.unwrap();
            assert!(oldest <= changes.cursor().seqno.next(), "{stats:?}");
            trimmed += u64::from(oldest.0 > 1);
            if changes.cursor().seqno == stats.seqno {
                assert_eq!(hash(&copy), hash(store), "seed {seed}");
                assert_eq!(stats.changes.pins[0].lag_commits, 0);
            }
        });
    }
    assert!(trimmed > 20, "{trimmed}: the log is trimmed behind the pin");
}

#[test]
fn pins_and_streams_that_ask_for_too_much_are_told_rather_than_the_disk_filled() {
    let sim = SimVfs::new(1);
    let store = small_files(&sim);
    let mut rng = Rng::new(1);
    store.pin_changes("old", Cursor::start()).unwrap();
    let mut stream = store.changes(Cursor::start()).unwrap();
    let mut write = |ids: std::ops::Range<NodeId>| {
        for id in ids {
            store.put(node(&mut rng, id)).unwrap();
            store.flush().unwrap();
        }
    };
    write(0..30);
    store.pin_changes("new", SeqNo(30)).unwrap();
    assert!(store.change_pins().unwrap().iter().all(|pin| !pin.lost));
    let held = store.stats().unwrap().changes.kept_bytes;
    store.configure(|settings| settings.max_pinned_log_bytes = held / 2).unwrap();
    write(30..40);
    let stats = store.stats().unwrap().changes;
    let lost: Vec<_> = stats.pins.iter().map(|pin| (&*pin.name, pin.lost)).collect();
    assert_eq!(lost, [("new", false), ("old", true)]);
    assert!(stats.kept_bytes <= held && stats.oldest > Some(SeqNo(1)), "{stats:?}");
    assert_refused(store.changes(Cursor::start()), ErrorKind::Gone, &[]);
    let outcome = stream.by_ref().find(Result::is_err).unwrap();
    assert_refused(outcome, ErrorKind::Gone, &["copy the store anew"]);
    assert!(stream.next().is_none(), "it is over");
    assert_eq!(seqnos(&all(store.changes(SeqNo(30)).unwrap())), (31..=40).collect::<Vec<_>>());
    drop((stream, store));
    let store = reopen(&sim).unwrap();
    assert!(store.change_pins().unwrap()[1].lost, "after a restart, too");
    assert!(store.unpin_changes("old").unwrap());
    assert!(!store.unpin_changes("old").unwrap());
    assert_eq!(store.change_pins().unwrap().len(), 1);
}

#[test]
fn names_and_numbers_of_pins_have_limits() {
    let store = open(&SimVfs::new(1)).unwrap();
    for name in ["", "Replica", "a b", &"n".repeat(65)] {
        assert_refused(store.pin_changes(name, Cursor::start()), ErrorKind::InvalidInput, &["pin"]);
        assert_refused(store.unpin_changes(name), ErrorKind::InvalidInput, &["pin"]);
    }
    for number in 0..64 {
        store.pin_changes(&format!("replica-{number}"), Cursor::start()).unwrap();
    }
    assert_refused(store.pin_changes("one-more", Cursor::start()), ErrorKind::TooLarge, &["64"]);
    store.pin_changes("replica-5", SeqNo(0)).unwrap();
    assert!(store.unpin_changes("replica-5").unwrap());
    store.pin_changes("one-more", Cursor::start()).unwrap();
    assert_refused(store.pin_changes("one-more", SeqNo(1)), ErrorKind::InvalidInput, &["ahead"]);
}

#[test]
fn a_crash_at_any_call_of_moving_a_pin_leaves_it_before_or_behind() {
    let sim = SimVfs::new(1);
    let store = small_files(&sim);
    let mut rng = Rng::new(3);
    store.pin_changes("replica", Cursor::start()).unwrap();
    for id in 0..30 {
        store.put(node(&mut rng, id)).unwrap();
    }
    store.flush().unwrap();
    let images = Arc::new(Mutex::new((Vec::new(), Rng::new(5))));
    let keep = images.clone();
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op.mutates() {
            let (images, rng) = &mut *keep.lock();
            images.push(CrashStyle::ALL.map(|style| sim.crash(rng, style)));
        }
        Action::Proceed
    }));
    store.pin_changes("replica", SeqNo(22)).unwrap();
    store.flush().unwrap();
    sim.clear_observer();
    let images = std::mem::take(&mut images.lock().0);
    assert!(images.len() > 5);
    for image in images.iter().flatten() {
        let found = reopen(image).unwrap();
        let pin = found.change_pins().unwrap().remove(0);
        assert!(!pin.lost && [0, 22].contains(&pin.cursor.seqno.0), "{pin:?}");
        let rest = all(found.changes(pin.cursor).unwrap());
        assert_eq!(seqnos(&rest), (pin.cursor.seqno.0 + 1..=30).collect::<Vec<_>>());
    }
}

#[test]
fn a_prepared_transaction_shows_at_its_decision_also_where_the_stream_began_between() {
    let sim = SimVfs::new(1);
    let store = small_files(&sim);
    let mut rng = Rng::new(1);
    let prepare = |rng: &mut Rng, id| {
        let mut transaction = store.begin(IsolationLevel::Serializable).unwrap();
        transaction.put(node(rng, id)).unwrap();
        transaction.prepare().unwrap()
    };
    let early = prepare(&mut rng, 100);
    store.put(node(&mut rng, 1)).unwrap();
    store.pin_changes("replica", SeqNo(1)).unwrap();
    let mut between = store.changes(SeqNo(1)).unwrap();
    for id in 2..20 {
        store.put(node(&mut rng, id)).unwrap();
        store.flush().unwrap(); // The manifests carry it, and no checkpoint needs the log before.
    }
    let receipt = store.commit_prepared(early).unwrap();
    for id in 20..30 {
        store.put(node(&mut rng, id)).unwrap();
        store.flush().unwrap(); // And now no manifest does.
    }
    let check = |changes: Vec<Change>| {
        assert_eq!(seqnos(&changes), (2..=30).collect::<Vec<_>>());
        let decided = changes.iter().find(|change| change.cursor.seqno == receipt.seqno).unwrap();
        assert_eq!(decided.puts.iter().map(|node| node.id).collect::<Vec<_>>(), [100]);
    };
    check(between.by_ref().collect::<Result<_>>().unwrap());
    check(all(store.changes(SeqNo(1)).unwrap()));
    store.pin_changes("replica", SeqNo(5)).unwrap();
    assert_eq!(all(store.changes(SeqNo(5)).unwrap()).len(), 25);
    store.pin_changes("replica", SeqNo(29)).unwrap();
    drop(between);
    store.flush().unwrap();
    assert!(store.stats().unwrap().changes.oldest > Some(SeqNo(20)), "what it had to do with is behind");
}
