//! What a disk that fails or is full does to the log, and to those who wait for it.

use std::sync::atomic::{AtomicU64, AtomicUsize};

use codegraph_vector_testkit::{CrashStyle, Op, Rng, SimVfs};

use super::*;

fn kind<T: std::fmt::Debug>(outcome: Result<T>) -> ErrorKind {
    outcome.expect_err("failed").kind()
}

/// Lets the first `op` fail, and `meanwhile` run in it.
fn fail_once(sim: &SimVfs, op: Op, fault: Fault, meanwhile: impl Fn() + Send + Sync + 'static) {
    let met = AtomicBool::new(false);
    fail_calls(sim, move |call| {
        (call.op == op && !met.swap(true, Ordering::SeqCst)).then(|| {
            meanwhile();
            fault
        })
    });
}

/// Tickets of numbers that were queued in the midst of a call.
type Tickets = Arc<Mutex<Vec<Arc<Ticket>>>>;

/// A log of which number 0 is acknowledged, and where tickets of queued numbers go.
fn started(sim: &SimVfs, policy: SyncPolicy) -> (Arc<Numbers>, Tickets) {
    let numbers = Arc::new(Numbers::new(create(sim, ENDLESS), 0, policy));
    numbers.put(100).expect("acknowledged");
    (numbers, Arc::default())
}

#[test]
fn a_failed_sync_is_final() {
    for seed in 0..20 {
        let sim = SimVfs::new(seed);
        let (numbers, queued) = started(&sim, SyncPolicy::Sync);
        let (inner, sink) = (Arc::clone(&numbers), Arc::clone(&queued));
        fail_once(&sim, Op::SyncData, Fault::SyncFails, move || {
            sink.lock().expect("unpoisoned").push(inner.queue(9).expect("queued"));
        });
        let in_flight = [numbers.queue(7).expect("queued"), numbers.queue(8).expect("queued")];
        assert_eq!(kind(numbers.wait(&in_flight[1])), ErrorKind::OutcomeUnknown);
        assert_eq!(kind(numbers.wait(&in_flight[0])), ErrorKind::OutcomeUnknown);
        let behind = queued.lock().expect("unpoisoned").pop().expect("queued during the sync");
        assert_eq!(kind(numbers.wait(&behind)), ErrorKind::ReadOnly);
        assert_eq!(numbers.forgotten(), [1, 2, 3]);

        let seen = sim.watch_changes();
        assert_eq!(kind(numbers.queue(1)), ErrorKind::ReadOnly);
        assert_eq!(kind(numbers.log.sync()), ErrorKind::ReadOnly);
        assert!(numbers.log.failure().is_some() && seen.take().is_empty(), "not a call after the failure");
        for after in crashes(&sim) {
            assert!([1, 3].contains(&read(&after).0.len()), "the group as a whole or not at all");
        }
    }
}

#[test]
fn a_failed_later_sync_fails_what_was_queued_behind_it() {
    let sim = SimVfs::new(1);
    let (numbers, queued) = started(&sim, SyncPolicy::WriteOnly);
    let (inner, sink) = (Arc::clone(&numbers), Arc::clone(&queued));
    fail_once(&sim, Op::SyncData, Fault::SyncFails, move || {
        sink.lock().expect("unpoisoned").push(inner.queue(9).expect("queued"));
    });
    assert_eq!(kind(numbers.log.sync()), ErrorKind::OutcomeUnknown);
    let behind = queued.lock().expect("unpoisoned").pop().expect("queued during the sync");
    let seen = sim.watch_changes();
    assert_eq!(kind(numbers.wait(&behind)), ErrorKind::ReadOnly);
    assert!(seen.take().is_empty(), "nothing follows the hole that the sync may have left");
    assert_eq!((numbers.applied(), numbers.forgotten()), (vec![0], vec![1]));
}

#[test]
fn after_an_apply_that_failed_the_log_takes_no_more() {
    let sim = SimVfs::new(1);
    let (numbers, queued) = started(&sim, SyncPolicy::Sync);
    numbers.owner.stumbles.store(true, Ordering::SeqCst);
    let (inner, sink) = (Arc::clone(&numbers), Arc::clone(&queued));
    let once = AtomicBool::new(false);
    fail_calls(&sim, move |call| {
        if call.op == Op::SyncData && !once.swap(true, Ordering::SeqCst) {
            sink.lock().expect("unpoisoned").push(inner.queue(9).expect("queued"));
        }
        None
    });
    assert_eq!(kind(numbers.put(5)), ErrorKind::OutcomeUnknown);
    let behind = queued.lock().expect("unpoisoned").pop().expect("queued during the sync");
    assert_eq!(kind(numbers.wait(&behind)), ErrorKind::ReadOnly);
    assert_eq!(kind(numbers.put(5)), ErrorKind::ReadOnly);
    assert_eq!(read(&sim).0, [0, 1], "logged, and replayed at the next open");
}

#[test]
fn an_eio_of_a_write_is_final() {
    for torn in [0, 1, 40, 100, 1000] {
        let sim = SimVfs::new(1);
        let (numbers, _) = started(&sim, SyncPolicy::Sync);
        fail_once(&sim, Op::Write, Fault::TornWrite(torn), || ());
        assert_eq!(kind(numbers.put(100)), ErrorKind::OutcomeUnknown);
        assert_eq!(kind(numbers.put(100)), ErrorKind::ReadOnly);
        for after in crashes(&sim) {
            assert!([1, 2].contains(&read(&after).0.len()));
        }
    }
}

#[test]
fn a_full_disk_in_the_write_leaves_nothing_of_the_group() {
    let group = (GROUP_HEADER + FRAME_HEADER + 112) as usize;
    for written in (0..=group).step_by(3) {
        let sim = SimVfs::new(written as u64);
        let (numbers, queued) = started(&sim, SyncPolicy::Sync);
        let (inner, sink) = (Arc::clone(&numbers), Arc::clone(&queued));
        fail_once(&sim, Op::Write, Fault::EnospcAfter(written), move || {
            sink.lock().expect("unpoisoned").push(inner.queue(9).expect("queued"));
        });
        let end = numbers.end();
        assert_eq!(kind(numbers.put(100)), ErrorKind::StorageFull);
        let behind = queued.lock().expect("unpoisoned").pop().expect("queued during the write");
        assert_eq!(kind(numbers.wait(&behind)), ErrorKind::StorageFull, "it was numbered to follow");
        assert_eq!((numbers.forgotten(), numbers.end()), (vec![1, 2], end));
        for after in crashes(&sim) {
            let (found, scan) = read(&after);
            assert_eq!((found.len(), scan.cut), (1, None), "wiped, durably");
        }
        numbers.put(50).expect("the log goes on");
        for after in crashes(&sim) {
            assert_eq!(read(&after).0, [0, 1]);
        }
    }
}

#[test]
fn a_wipe_that_fails_is_final() {
    for (op, fault) in [(Op::Write, Fault::Eio), (Op::Write, Fault::Enospc), (Op::SyncData, Fault::SyncFails)]
    {
        let sim = SimVfs::new(1);
        let (numbers, _) = started(&sim, SyncPolicy::Sync);
        let calls = AtomicU64::new(0);
        fail_calls(&sim, move |call| match (call.op, calls.fetch_add(1, Ordering::SeqCst)) {
            (Op::Write, 0) => Some(Fault::EnospcAfter(60)),
            (met, _) => (met == op).then_some(fault),
        });
        assert_eq!(kind(numbers.put(100)), ErrorKind::OutcomeUnknown, "{op:?}");
        assert_eq!(kind(numbers.put(100)), ErrorKind::ReadOnly);
    }
}

/// Writes numbers of growing size over several files while call `failing` fails; tells how many
/// calls could have.
fn workload(failing: usize, fault: Fault) -> usize {
    let sim = SimVfs::new(failing as u64);
    let numbers = Numbers::create(&sim, 100 << 10);
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    fail_calls(&sim, move |call| {
        let concerned = matches!(call.op, Op::Write | Op::Allocate | Op::Create);
        (concerned && counter.fetch_add(1, Ordering::SeqCst) == failing).then_some(fault)
    });
    let mut failures = 0;
    for round in 0..12 {
        match numbers.put(5_000 * round) {
            Ok(committed) => assert!(committed.durable),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                failures += 1;
                numbers.put(100).expect("the log goes on");
            }
        }
    }
    sim.clear_observer();
    assert!(failures <= 1);
    let acknowledged = numbers.applied();
    for seed in 0..8 {
        let style = CrashStyle::ALL[seed % 4];
        let (found, scan) = read(&sim.crash(&mut Rng::new(seed as u64), style));
        assert_eq!((&found, scan.cut), (&acknowledged, None));
    }
    count.load(Ordering::SeqCst)
}

#[test]
fn a_full_disk_at_any_call_fails_one_write_and_the_log_goes_on() {
    let calls = workload(usize::MAX, Fault::Enospc);
    assert!(calls > 25, "{calls}");
    for failing in 0..calls {
        for fault in [Fault::Enospc, Fault::EnospcAfter(30), Fault::EnospcAfter(5_000)] {
            workload(failing, fault);
        }
    }
}

#[test]
fn a_disk_that_is_really_full_comes_back() {
    let sim = SimVfs::new(1);
    let numbers = Numbers::create(&sim, 200 << 10);
    sim.set_capacity(Some(sim.used() + (100 << 10)));
    let full = (0..100).map(|_| numbers.put(20_000)).find_map(|outcome| outcome.err());
    assert_eq!(full.map(|error| error.kind()), Some(ErrorKind::StorageFull));
    let before = numbers.applied().len();
    assert!(before >= 3);
    assert_eq!(kind(numbers.put(60_000)), ErrorKind::StorageFull);
    sim.set_capacity(None);
    numbers.put(60_000).expect("there is room again");
    for after in crashes(&sim) {
        assert_eq!(read(&after).0.len(), before + 1);
    }
}

#[test]
fn a_rotation_whose_folder_sync_fails_is_final() {
    let sim = SimVfs::new(1);
    let numbers = Numbers::create(&sim, 100);
    numbers.put(100).expect("acknowledged");
    fail_once(&sim, Op::SyncDir, Fault::SyncFails, || ());
    assert_eq!(kind(numbers.put(100)), ErrorKind::OutcomeUnknown);
    assert_eq!(kind(numbers.put(100)), ErrorKind::ReadOnly);
    for after in crashes(&sim) {
        assert_eq!(read(&after).0, [0]);
    }
}

#[test]
fn a_rotation_that_was_asked_for_fails_as_any_other() {
    let sim = SimVfs::new(1);
    let numbers = Numbers::create(&sim, ENDLESS);
    numbers.put(100).expect("acknowledged");
    fail_once(&sim, Op::Create, Fault::Eio, || ());
    numbers.log.rotate(1).expect("the log goes on in its file");
    assert_eq!(files(&sim), [0]);
    fail_once(&sim, Op::SyncDir, Fault::SyncFails, || ());
    assert_eq!(kind(numbers.log.rotate(1)), ErrorKind::OutcomeUnknown);
    assert_eq!(kind(numbers.log.rotate(1)), ErrorKind::ReadOnly);
    assert_eq!(kind(numbers.put(100)), ErrorKind::ReadOnly);
    for after in crashes(&sim) {
        assert_eq!(read(&after).0, [0]);
    }
}

#[test]
fn a_rotation_that_fails_before_the_name_is_there_is_tried_again() {
    for (op, fault) in [(Op::Create, Fault::Eio), (Op::SyncAll, Fault::SyncFails), (Op::Rename, Fault::Eio)] {
        let sim = SimVfs::new(1);
        let numbers = Numbers::create(&sim, 100);
        numbers.put(100).expect("acknowledged");
        fail_once(&sim, op, fault, || ());
        assert_eq!(kind(numbers.put(100)), ErrorKind::Io, "{op:?}: nothing of it is in the log");
        numbers.put(100).expect("the log goes on");
        for after in crashes(&sim) {
            assert_eq!(read(&after).0, [0, 1]);
        }
    }
}
