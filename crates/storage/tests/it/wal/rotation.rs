//! One file after the other, and space ahead of the writes.

use codegraph_vector_testkit::{Op, SimVfs};

use super::*;

const FIRST_BLANK: u64 = 64 << 10;

#[test]
fn positions_go_on_over_files() {
    let (sim, starts) = written(20, 100, 500);
    let firsts = files(&sim);
    assert!(firsts.len() > 4 && firsts.iter().all(|first| starts.contains(&Lsn(*first))), "{firsts:?}");
    assert!(firsts.windows(2).all(|pair| (500..700).contains(&(pair[1] - pair[0]))), "{firsts:?}");
    assert!(starts.windows(2).all(|pair| pair[1].0 - pair[0].0 == 168));
    let (found, scan) = read(&sim);
    assert_eq!((found.len(), scan.end, scan.cut), (20, starts[20], None));
}

#[test]
fn a_power_cut_at_any_call_of_a_rotation_loses_nothing() {
    let sim = SimVfs::new(1);
    let numbers = Arc::new(Numbers::create(&sim, 400));
    let met = Arc::new(Mutex::new(0));
    let (sink, inner) = (Arc::clone(&met), Arc::clone(&numbers));
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op.mutates() {
            let acknowledged = inner.applied().len();
            for after in crashes(sim) {
                let (found, _) = read(&after);
                assert!((acknowledged..=acknowledged + 1).contains(&found.len()), "{call:?}: {found:?}");
                let (numbers, _) = reopened(&after, unclean(), SyncPolicy::Sync);
                numbers.put(20).expect("acknowledged");
                assert_eq!(read(&after).0.len(), found.len() + 1);
            }
            *sink.lock().expect("unpoisoned") += 1;
        }
        Action::Proceed
    }));
    for _ in 0..8 {
        numbers.put(100).expect("acknowledged");
    }
    sim.clear_observer();
    assert!(files(&sim).len() > 2 && *met.lock().expect("unpoisoned") > 20);
}

#[test]
fn a_file_is_left_behind_when_asked_if_it_is_long_enough() {
    let sim = SimVfs::new(1);
    let numbers = Numbers::create(&sim, ENDLESS);
    numbers.log.rotate(1).expect("nothing to do");
    for _ in 0..3 {
        numbers.put(100).expect("acknowledged");
    }
    let end = numbers.end();
    numbers.log.rotate(end.0 + 1).expect("too short");
    assert_eq!(files(&sim), [0]);
    let crashed = sim.clone();
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        if call.op.mutates() {
            for after in crashes(&crashed) {
                assert_eq!(read(&after).0, [0, 1, 2], "{call:?}");
            }
        }
        Action::Proceed
    }));
    numbers.log.rotate(end.0).expect("another file");
    sim.clear_observer();
    numbers.log.rotate(1).expect("there is nothing in it");
    assert_eq!((files(&sim), numbers.end()), (vec![0, end.0], end));
    for after in crashes(&sim) {
        let (again, _) = reopened(&after, unclean(), SyncPolicy::Sync);
        again.put(20).expect("acknowledged");
        assert_eq!(read(&after).0, [0, 1, 2, 3]);
    }
    numbers.put(100).expect("acknowledged");
    assert_eq!(read(&sim).0, [0, 1, 2, 3]);
}

#[test]
fn an_unsynced_end_is_synced_before_the_next_file_appears() {
    let sim = SimVfs::new(1);
    let numbers = Numbers::new(create(&sim, 400), 0, SyncPolicy::WriteOnly);
    for _ in 0..4 {
        numbers.put(100).expect("written");
    }
    assert_eq!(files(&sim), [0, 504]);
    for after in crashes(&sim) {
        assert!(read(&after).0.len() >= 3, "the second file proves the first");
    }
}

/// Bytes that were reserved and that were written, by file offset, without the groups themselves.
fn preparations(seen: &[Call]) -> (Vec<(u64, u64)>, u64) {
    let reserved = seen.iter().filter(|call| call.op == Op::Allocate).map(|call| (call.offset, call.len));
    let zeroed = seen.iter().filter(|call| call.op == Op::Write && call.len == 64 << 10);
    (reserved.collect(), zeroed.map(|call| call.len).sum())
}

#[test]
fn space_is_zeroed_ahead_64_kib_first_then_doubling() {
    let sim = SimVfs::new(1);
    let seen = sim.watch_changes();
    let numbers = Numbers::create(&sim, ENDLESS);
    let (reserved, zeroed) = preparations(&seen.take());
    assert_eq!((reserved, zeroed), (vec![(0, FILE_HEADER + FIRST_BLANK)], FIRST_BLANK));
    let mut room = vec![];
    while room.len() < 4 {
        let before = sim.read_all(wal_path(0)).expect("there").len() as u64;
        numbers.put(10_000).expect("acknowledged");
        let made = seen.take();
        let (reserved, zeroed) = preparations(&made);
        if let [(at, len)] = reserved[..] {
            assert_eq!((at, zeroed), (before, len), "reserved first, then zeroed");
            assert_eq!((made[0].op, made[made.len() - 2].len), (Op::Allocate, 10_064));
            room.push(len);
        } else {
            // No metadata to write: the file is as long as it was.
            let ops: Vec<Op> = made.iter().map(|call| call.op).collect();
            assert_eq!(ops, [Op::Write, Op::SyncData]);
        }
    }
    assert_eq!(room, [FIRST_BLANK, 2 * FIRST_BLANK, 4 * FIRST_BLANK, 8 * FIRST_BLANK]);
}

#[test]
fn a_large_group_reserves_space_instead_of_zeroing_it() {
    let sim = SimVfs::new(1);
    let numbers = Numbers::create(&sim, ENDLESS);
    let seen = sim.watch_changes();
    numbers.put(1 << 20).expect("acknowledged");
    let ops: Vec<Op> = seen.take().iter().map(|call| call.op).collect();
    assert_eq!(ops, [Op::Allocate, Op::Write, Op::SyncData]);
    assert_eq!(sim.read_all(wal_path(0)).expect("there").len() as u64, FILE_HEADER + numbers.end().0);
    numbers.put(10).expect("acknowledged");
    for after in crashes(&sim) {
        assert_eq!(read(&after).0, [0, 1]);
    }
}
