//! How the log goes on after a crash, a kill and a clean close.

use codegraph_vector_base::vfs::{OpenMode, Vfs, read_exact_at};
use codegraph_vector_storage::wal::retain;
use codegraph_vector_testkit::{CrashStyle, Op, Rng, SimVfs};

use super::*;

/// The number of so many bytes in the header of the log's last file.
fn header_number(vfs: &SimVfs, at: u64, bytes: usize) -> u64 {
    let last = Lsn(*files(vfs).last().expect("a file"));
    let file = vfs.open(&layout().wal_path(last), OpenMode::Read).expect("opened");
    let number = read_exact_at(&*file, at, bytes).expect("read").expect("a whole header");
    number.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn epoch(vfs: &SimVfs) -> Epoch {
    Epoch(header_number(vfs, 12, 4) as u32)
}

/// A log of which the first `synced` of `count` numbers were synced, after the end of its process.
fn killed(synced: usize, count: usize) -> (SimVfs, Lsn) {
    let sim = SimVfs::new(1);
    let numbers = Numbers::new(create(&sim, ENDLESS), 0, SyncPolicy::WriteOnly);
    let mut proven = Lsn(0);
    for at in 0..count {
        if at == synced {
            proven = numbers.log.sync().expect("synced");
        }
        numbers.put(100).expect("written");
    }
    (sim.kill(), proven)
}

#[test]
fn an_unclean_resume_rewrites_the_tail_under_the_next_epoch_and_syncs_it_first() {
    let (sim, proven) = killed(2, 4);
    let range = ScanRange { proven, ..all() };
    let (found, scan) = read_range(&sim, range).expect("sound");
    assert_eq!(found, [0, 1, 2, 3]);
    // What the killed process wrote is only in the page cache …
    assert_eq!(read(&sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced)).0, [0, 1]);
    let seen = sim.watch_changes();
    let appender = resume(Arc::new(sim.clone()), &folder(), scan, unclean()).expect("resumed");
    // … until the log is open: then no crash takes it back.
    for after in crashes(&sim) {
        assert_eq!(read(&after).0, [0, 1, 2, 3]);
    }
    let ops: Vec<Op> = seen.take().iter().map(|call| call.op).collect();
    assert!(ops.ends_with(&[Op::SyncAll, Op::Rename, Op::SyncDir]), "{ops:?}");
    assert_eq!(files(&sim), [0, proven.0]);
    assert_eq!((epoch(&sim), appender.epoch(), appender.synced()), (Epoch(2), Epoch(2), appender.end()));
    let named_with = proven.0 + header_number(&sim, 56, 8);
    assert_eq!(named_with, appender.end().0, "what was there before the name is proven by it");
}

#[test]
fn a_tail_that_begins_where_its_file_does_replaces_the_file() {
    let (sim, proven) = killed(0, 3);
    assert_eq!(proven, Lsn(0));
    let (numbers, found) = reopened(&sim, unclean(), SyncPolicy::Sync);
    assert_eq!((found.len(), files(&sim), epoch(&sim)), (3, vec![0], Epoch(2)));
    numbers.put(7).expect("acknowledged");
    for after in crashes(&sim) {
        assert_eq!(read(&after).0, [0, 1, 2, 3]);
    }
    // And again: nothing is unproven now, and still a new epoch begins.
    let (_, found) = reopened(&sim, unclean(), SyncPolicy::Sync);
    assert_eq!((found.len(), epoch(&sim)), (4, Epoch(3)));
}

#[test]
fn a_power_cut_at_any_call_of_a_resume_loses_nothing_that_was_durable() {
    for synced in [0, 2] {
        let (sim, proven) = killed(synced, 5);
        let range = ScanRange { proven, ..all() };
        let scan = read_range(&sim, range).expect("sound").1;
        let met = Arc::new(Mutex::new(0));
        let sink = Arc::clone(&met);
        sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
            if call.op.mutates() {
                for after in crashes(sim) {
                    let (found, scan) = read_range(&after, range).expect("sound");
                    assert!(found.len() >= synced);
                    // A second recovery, of what the crash in the first one left.
                    let appender =
                        resume(Arc::new(after.clone()), &folder(), scan, unclean()).expect("resumed");
                    let again = read_range(&after, range).expect("sound");
                    assert_eq!((again.0, again.1.end), (found, appender.end()));
                    *sink.lock().expect("unpoisoned") += 1;
                }
            }
            Action::Proceed
        }));
        resume(Arc::new(sim.clone()), &folder(), scan, unclean()).expect("resumed");
        sim.clear_observer();
        assert!(*met.lock().expect("unpoisoned") > 200);
    }
}

#[test]
fn after_a_clean_close_the_same_file_and_epoch_go_on() {
    let (sim, starts) = written(2, 100, ENDLESS);
    let clean = Continuation { clean_close: Some(starts[2]), ..unclean() };
    let seen = sim.watch_changes();
    let (numbers, found) = reopened(&sim, clean, SyncPolicy::Sync);
    assert!(seen.take().is_empty(), "nothing to rewrite");
    assert_eq!((found.len(), files(&sim), epoch(&sim)), (2, vec![0], Epoch(1)));
    numbers.put(100).expect("acknowledged");
    assert_eq!(seen.take().iter().map(|call| call.op).collect::<Vec<_>>(), [Op::Write, Op::SyncData]);
    assert_eq!(read(&sim).0, [0, 1, 2]);
    // The mark speaks of the old end: not of this one.
    let (_, found) = reopened(&sim, clean, SyncPolicy::Sync);
    assert_eq!((found.len(), epoch(&sim)), (3, Epoch(2)));
}

#[test]
fn leftovers_behind_a_clean_close_begin_a_new_epoch() {
    let (sim, starts) = written(2, 100, ENDLESS);
    sim.flip_bit(wal_path(0), FILE_HEADER + starts[2].0 + 500, 1);
    let clean = Continuation { clean_close: Some(starts[2]), ..unclean() };
    let (_, found) = reopened(&sim, clean, SyncPolicy::Sync);
    assert_eq!((found.len(), epoch(&sim)), (2, Epoch(2)));
}

#[test]
fn the_epoch_is_above_the_manifest_s_too() {
    let (sim, _) = killed(1, 2);
    reopened(&sim, Continuation { epoch: Epoch(9), ..unclean() }, SyncPolicy::Sync);
    assert_eq!(epoch(&sim), Epoch(10));
}

/// Three numbers of one size, the one in the middle lost: the third lies behind the cut.
fn with_a_hole() -> SimVfs {
    let (sim, _) = killed(0, 3);
    let group = GROUP_HEADER + FRAME_HEADER + (8 + 100_u64).next_multiple_of(8);
    sim.flip_bit(wal_path(0), FILE_HEADER + group + 50, 0);
    sim
}

#[test]
fn frames_behind_the_cut_never_count_again() {
    let sim = with_a_hole();
    let (numbers, found) = reopened(&sim, unclean(), SyncPolicy::Sync);
    assert_eq!(found, [0]);
    numbers.put(100).expect("acknowledged"); // As long as what was there: the old third would follow.
    let mut after = crashes(&sim);
    assert!(after.all(|after| read(&after).0 == [0, 1]));
}

#[test]
fn frames_behind_the_cut_would_count_if_the_tail_were_not_rewritten() {
    let sim = with_a_hole();
    let (numbers, found) =
        reopened(&sim, Continuation { rewrite_tail: false, ..unclean() }, SyncPolicy::Sync);
    assert_eq!(found, [0]);
    numbers.put(100).expect("acknowledged");
    assert_eq!(read(&sim).0, [0, 1, 2], "the third came back from the dead");
}

#[test]
fn old_files_end_where_the_new_epoch_begins() {
    let (sim, proven) = killed(2, 4);
    let (numbers, _) = reopened(&sim, unclean(), SyncPolicy::Sync);
    numbers.put(1).expect("acknowledged");
    // What the old file holds behind that place is void, whatever it says.
    let old_len = sim.read_all(wal_path(0)).expect("there").len() as u64;
    assert!(old_len > FILE_HEADER + proven.0);
    for at in (FILE_HEADER + proven.0..FILE_HEADER + proven.0 + 300).step_by(7) {
        let copy = sim.kill();
        copy.flip_bit(wal_path(0), at, 3);
        assert_eq!(read(&copy).0, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn retention_keeps_what_is_behind_the_floor_and_the_last_file() {
    let (sim, starts) = written(8, 100, 150);
    let firsts = files(&sim);
    assert!(firsts.len() >= 4, "{firsts:?}");
    for floor in 0..=starts[8].0 + 1 {
        let copy = sim.kill();
        let removed = retain(&copy, &folder(), Lsn(floor)).expect("retained");
        let left = files(&copy);
        assert_eq!(left, firsts[removed..]);
        // The floor still lies in the first file left, or before all of them.
        assert!(left[0] <= floor && left.get(1).is_none_or(|next| *next > floor), "{floor}: {left:?}");
        let from = starts.iter().copied().find(|start| start.0 >= floor).unwrap_or(starts[8]);
        let (found, scan) = read_range(&copy, ScanRange { from, ..all() }).expect("sound");
        assert_eq!((found.last().copied().unwrap_or(7), scan.end), (7, starts[8]));
    }
}
