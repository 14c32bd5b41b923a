//! One thing after another, and threads that wait for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use codegraph_vector_base::{Conflict, ConflictCause, SystemClock, TxnId};
use codegraph_vector_testkit::SimClock;

use super::mode::LockMode::{IS, IX, S, SIX, X};
use super::mode::LockTarget::{Node, Store};
use super::{LockMode, LockSet, LockStatistics, LockTarget, LockWait, Locks};
use crate::options::DeadlockPolicy;

/// Locks, and how to wait for them.
struct Case {
    locks: Arc<Locks>,
    clock: SystemClock,
    policy: DeadlockPolicy,
}

type Outcome = (LockSet, Result<(), Conflict>);

impl Case {
    fn new(policy: DeadlockPolicy) -> Self {
        Self { locks: Arc::default(), clock: SystemClock::new(), policy }
    }

    fn owner(&self, id: u64) -> LockSet {
        self.locks.owner(TxnId(id))
    }

    /// An owner that holds these.
    fn holder(&self, id: u64, held: &[(LockTarget, LockMode)]) -> LockSet {
        let mut set = self.owner(id);
        for (target, mode) in held {
            self.acquire(&mut set, *target, *mode).unwrap();
        }
        set
    }

    fn acquire(&self, set: &mut LockSet, target: LockTarget, mode: LockMode) -> Result<(), Conflict> {
        let meanwhile = || ();
        let wait =
            LockWait { deadline: None, clock: &self.clock, policy: self.policy, meanwhile: &meanwhile };
        set.acquire(target, mode, &wait)
    }

    /// Begins to wait on a thread of its own, and returns when it does.
    fn wait<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        mut set: LockSet,
        target: LockTarget,
        mode: LockMode,
    ) -> ScopedJoinHandle<'scope, Outcome> {
        let before = self.statistics().waits;
        let waiter = scope.spawn(move || {
            let outcome = self.acquire(&mut set, target, mode);
            (set, outcome)
        });
        self.until(|now| now.waits > before);
        waiter
    }

    fn until(&self, is_so: impl Fn(&LockStatistics) -> bool) {
        while !is_so(&self.statistics()) {
            std::thread::yield_now();
        }
    }

    fn statistics(&self) -> LockStatistics {
        self.locks.statistics()
    }

    /// Whether another owner could lock it now.
    fn is_free(&self, target: LockTarget, mode: LockMode) -> bool {
        let mut probe = self.owner(u64::MAX);
        match target {
            Node(id) => probe.try_acquire_all(vec![id], mode).is_ok(),
            Store => probe.try_lock(target, mode).is_ok(),
        }
    }

    /// Asserts that nothing is left behind.
    fn finish(self) {
        let LockStatistics { held, waiting, .. } = self.statistics();
        assert_eq!((held, waiting, self.locks.entries()), (0, 0, 0));
    }
}

fn cause(outcome: &Result<(), Conflict>) -> Option<ConflictCause> {
    outcome.as_ref().err().map(|conflict| conflict.cause)
}

#[test]
fn what_is_held_shuts_others_out_until_it_is_dropped() {
    let case = Case::new(DeadlockPolicy::Detect);
    let mut set = case.owner(1);
    set.try_acquire_all(vec![3, 1, 3], X).unwrap();
    assert_eq!((set.nodes(), set.holds(Store), set.holds(Node(3))), (&[1, 3][..], Some(IX), Some(X)));
    assert!(!case.is_free(Node(3), IS) && case.is_free(Node(2), X) && !case.is_free(Store, S));
    assert!(case.owner(2).try_acquire_all(vec![2, 3, 4], X).is_err());
    assert!(case.is_free(Node(2), X), "a refused attempt keeps nothing");
    assert_eq!(case.statistics().held, 3);
    drop(set);
    assert!(case.is_free(Node(3), X) && case.is_free(Store, X));
    case.finish();
}

#[test]
fn locks_of_the_store_and_of_nodes_meet_in_intentions() {
    let case = Case::new(DeadlockPolicy::Detect);
    for mode in LockMode::ALL {
        let set = case.holder(1, &[(Store, mode)]);
        let free = [S, X].map(|mode| case.is_free(Node(7), mode));
        assert_eq!(free, [mode.is_compatible(IS), mode.is_compatible(IX)], "beside {mode}");
        drop(set);
    }
    let reader = case.holder(1, &[(Node(7), S)]);
    assert_eq!([IX, S, SIX, X].map(|mode| case.is_free(Store, mode)), [true, true, true, false]);
    drop(reader);
    case.finish();
}

#[test]
fn what_is_asked_for_again_is_held_already_or_upgraded() {
    let case = Case::new(DeadlockPolicy::Detect);
    let mut set = case.holder(1, &[(Node(7), S), (Node(7), S), (Node(7), IX), (Store, S)]);
    assert_eq!((set.holds(Node(7)), set.holds(Store), set.nodes()), (Some(SIX), Some(SIX), &[7][..]));
    case.acquire(&mut set, Node(7), IS).unwrap();
    assert_eq!(set.holds(Node(7)), Some(SIX), "a weaker one takes nothing away");
    set.release_all();
    assert_eq!((set.holds(Node(7)), set.holds(Store), set.nodes()), (None, None, &[][..]));
    case.acquire(&mut set, Node(8), X).unwrap();
    drop(set);
    case.finish();
}

#[test]
fn waiters_are_served_in_order_and_a_reader_does_not_pass_a_writer() {
    let case = Case::new(DeadlockPolicy::Detect);
    std::thread::scope(|scope| {
        let held = case.holder(1, &[(Node(7), S)]);
        let writer = case.wait(scope, case.owner(2), Node(7), X);
        let reader = case.wait(scope, case.owner(3), Node(7), S);
        assert!(!case.is_free(Node(7), S), "the writer came first");
        drop(held);
        let (writer, outcome) = writer.join().unwrap();
        assert_eq!((outcome, writer.holds(Node(7)), case.statistics().waiting), (Ok(()), Some(X), 1));
        drop(writer);
        let (reader, outcome) = reader.join().unwrap();
        assert_eq!((outcome, reader.holds(Node(7))), (Ok(()), Some(S)));
    });
    assert_eq!(case.statistics().waits, 2);
    case.finish();
}

#[test]
fn an_intention_passes_waiters_that_it_does_not_delay() {
    let case = Case::new(DeadlockPolicy::Detect);
    std::thread::scope(|scope| {
        let scanner = case.holder(1, &[(Store, S)]);
        let writer = case.wait(scope, case.owner(2), Node(7), X);
        assert!(case.is_free(Node(8), S), "IS goes with the S that is held and the IX that waits");
        assert!(!case.is_free(Node(8), X));
        drop(scanner);
        writer.join().unwrap().1.unwrap();
    });
    case.finish();
}

#[test]
fn an_upgrade_comes_before_those_who_hold_nothing() {
    let case = Case::new(DeadlockPolicy::Detect);
    std::thread::scope(|scope| {
        let [one, other] = [1, 2].map(|id| case.holder(id, &[(Node(7), S)]));
        let newcomer = case.wait(scope, case.owner(3), Node(7), X);
        let upgrade = case.wait(scope, one, Node(7), X);
        drop(other);
        let (one, outcome) = upgrade.join().unwrap();
        assert_eq!((outcome, one.holds(Node(7)), case.statistics().waiting), (Ok(()), Some(X), 1));
        drop(one);
        newcomer.join().unwrap().1.unwrap();
    });
    case.finish();
}

#[test]
fn an_upgrade_that_goes_with_all_holders_does_not_wait() {
    let case = Case::new(DeadlockPolicy::Detect);
    std::thread::scope(|scope| {
        let mut reader = case.holder(1, &[(Node(1), S)]);
        let writer = case.holder(2, &[(Node(2), X)]);
        let scanner = case.wait(scope, case.owner(3), Store, S);
        case.acquire(&mut reader, Node(3), X).unwrap();
        assert_eq!(reader.holds(Store), Some(IX));
        drop((reader, writer));
        scanner.join().unwrap().1.unwrap();
    });
    case.finish();
}

#[test]
fn two_readers_that_both_want_to_write_are_a_deadlock() {
    let case = Case::new(DeadlockPolicy::Detect);
    std::thread::scope(|scope| {
        let old = case.holder(1, &[(Node(7), S)]);
        let mut young = case.holder(2, &[(Node(7), S)]);
        let waiting = case.wait(scope, old, Node(7), X);
        let conflict = case.acquire(&mut young, Node(7), X).unwrap_err();
        assert_eq!((conflict.cause, conflict.node), (ConflictCause::Deadlock, Some(7)));
        assert_eq!(conflict.cycle, [TxnId(2), TxnId(1)]);
        assert_eq!((young.doomed(), young.holds(Node(7))), (Some(conflict), Some(S)));
        drop(young);
        waiting.join().unwrap().1.unwrap();
    });
    assert_eq!(case.statistics().deadlocks, 1);
    case.finish();
}

/// Each of `ids` holds the node of its place and, in the order given, asks for the one of the next; returns what became of each.
fn ring(case: &Case, ids: &[u64], order: &[usize]) -> Vec<Option<Conflict>> {
    std::thread::scope(|scope| {
        let node = |at: usize| Node((at % ids.len()) as u128);
        let mut sets: Vec<_> =
            (0..ids.len()).map(|at| Some(case.holder(ids[at], &[(node(at), X)]))).collect();
        let mut waiters: Vec<_> = ids.iter().map(|_| None).collect();
        for at in order {
            waiters[*at] = Some(case.wait(scope, sets[*at].take().unwrap(), node(at + 1), X));
        }
        let outcomes = waiters.into_iter().map(|waiter| {
            // Its locks are freed as soon as its thread is done, but not before those of whom it waited for.
            scope.spawn(move || waiter.unwrap().join().unwrap().1.err())
        });
        let outcomes: Vec<_> = outcomes.collect();
        outcomes.into_iter().map(|outcome| outcome.join().unwrap()).collect()
    })
}

#[test]
fn the_youngest_of_a_circle_gives_way_whoever_closes_it() {
    for (ids, order) in [
        (&[1, 2][..], &[0, 1][..]),
        (&[1, 2], &[1, 0]),
        (&[5, 9, 7], &[0, 1, 2]),
        (&[5, 9, 7], &[1, 2, 0]),
        (&[5, 9, 7], &[2, 0, 1]),
    ] {
        let case = Case::new(DeadlockPolicy::Detect);
        let outcomes = ring(&case, ids, order);
        let youngest = ids.iter().max().unwrap();
        for (id, outcome) in ids.iter().zip(outcomes) {
            assert_eq!(outcome.is_some(), id == youngest, "{id} of {ids:?} in the order {order:?}");
            let Some(conflict) = outcome else { continue };
            // Told from whoever closed it on: each waits for the next.
            let closes = *order.last().unwrap();
            let cycle: Vec<_> = (0..ids.len()).map(|step| TxnId(ids[(closes + step) % ids.len()])).collect();
            assert_eq!((conflict.cause, conflict.cycle), (ConflictCause::Deadlock, cycle));
        }
        assert_eq!(case.statistics().deadlocks, 1);
        case.finish();
    }
}

#[test]
fn a_circle_may_lead_through_the_order_of_a_queue() {
    let case = Case::new(DeadlockPolicy::Detect);
    std::thread::scope(|scope| {
        // 2 waits for 1, 3 waits behind 2, and 1 waits for 3: nobody but 2 is in 3's way.
        let one = case.holder(1, &[(Node(7), S)]);
        let two = case.wait(scope, case.owner(2), Node(7), X);
        let three = case.wait(scope, case.holder(3, &[(Node(8), X)]), Node(7), S);
        let one = case.wait(scope, one, Node(8), X);
        let (three, outcome) = three.join().unwrap();
        let conflict = outcome.unwrap_err();
        assert_eq!((conflict.cause, conflict.node), (ConflictCause::Deadlock, Some(7)));
        assert_eq!(conflict.cycle, [1, 3, 2].map(TxnId));
        drop(three);
        drop(one.join().unwrap());
        two.join().unwrap().1.unwrap();
    });
    case.finish();
}

#[test]
fn all_circles_that_a_wait_closes_are_broken() {
    let case = Case::new(DeadlockPolicy::Detect);
    std::thread::scope(|scope| {
        let one = case.holder(1, &[(Node(1), X)]);
        let readers = [2, 3].map(|id| case.holder(id, &[(Node(7), S)]));
        let readers = readers.map(|reader| case.wait(scope, reader, Node(1), S));
        let one = case.wait(scope, one, Node(7), X);
        for reader in readers {
            assert_eq!(cause(&reader.join().unwrap().1), Some(ConflictCause::Deadlock));
        }
        one.join().unwrap().1.unwrap();
    });
    assert_eq!(case.statistics().deadlocks, 2);
    case.finish();
}

#[test]
fn a_long_queue_of_writers_is_no_circle_and_is_found_in_one() {
    let case = Case::new(DeadlockPolicy::Detect);
    std::thread::scope(|scope| {
        let first = case.holder(1, &[(Node(7), X)]);
        let queue: Vec<_> = (2..30).map(|id| case.wait(scope, case.owner(id), Node(7), X)).collect();
        let last = case.wait(scope, case.holder(99, &[(Node(8), X)]), Node(7), X);
        assert_eq!(case.statistics().deadlocks, 0);
        let first = case.wait(scope, first, Node(8), X);
        let (last, outcome) = last.join().unwrap();
        assert_eq!(outcome.unwrap_err().cycle, [TxnId(1), TxnId(99)]);
        drop(last);
        drop(first.join().unwrap());
        for waiter in queue {
            waiter.join().unwrap().1.unwrap();
        }
    });
    case.finish();
}

#[test]
fn an_older_one_wounds_and_a_younger_one_waits() {
    let case = Case::new(DeadlockPolicy::WoundWait);
    let wounded = Arc::new(AtomicU64::new(0));
    let seen = wounded.clone();
    case.locks.on_wound(Box::new(move |id| seen.store(id.0, Ordering::Relaxed)));
    std::thread::scope(|scope| {
        let young = case.holder(9, &[(Node(7), X)]);
        let younger = case.wait(scope, case.owner(10), Node(7), X);
        assert_eq!((young.doomed(), case.statistics().wounds), (None, 0));
        let old = case.wait(scope, case.owner(1), Node(7), X);
        let conflict = young.doomed().unwrap();
        assert_eq!((conflict.cause, conflict.node), (ConflictCause::Wounded, Some(7)));
        assert_eq!(conflict.transaction, Some(TxnId(1)));
        assert_eq!(cause(&younger.join().unwrap().1), Some(ConflictCause::Wounded), "it stood before");
        drop(young);
        old.join().unwrap().1.unwrap();
    });
    assert!([9, 10].contains(&wounded.load(Ordering::Relaxed)));
    assert_eq!((case.statistics().wounds, case.statistics().deadlocks), (2, 0));
    case.finish();
}

#[test]
fn who_is_sealed_is_not_wounded_and_not_doomed() {
    let case = Case::new(DeadlockPolicy::WoundWait);
    std::thread::scope(|scope| {
        let young = case.holder(9, &[(Node(7), X)]);
        young.seal().unwrap();
        let old = case.wait(scope, case.owner(1), Node(7), X);
        assert!(!case.locks.doom(TxnId(9), Conflict::new(ConflictCause::Expired)));
        assert_eq!((young.doomed(), case.statistics().wounds), (None, 0));
        drop(young);
        old.join().unwrap().1.unwrap();
    });
    let doomed = case.owner(3);
    assert!(case.locks.doom(TxnId(3), Conflict::new(ConflictCause::Expired)));
    assert_eq!(cause(&doomed.seal()), Some(ConflictCause::Expired));
    drop(doomed);
    assert!(!case.locks.doom(TxnId(3), Conflict::new(ConflictCause::Expired)), "it is gone");
    case.finish();
}

#[test]
fn doom_wakes_who_waits_and_lets_those_behind_go_on() {
    let case = Case::new(DeadlockPolicy::Detect);
    std::thread::scope(|scope| {
        let held = case.holder(1, &[(Node(7), S)]);
        let writer = case.wait(scope, case.owner(2), Node(7), X);
        let reader = case.wait(scope, case.owner(3), Node(7), S);
        let expired = Conflict::new(ConflictCause::Expired);
        assert!(case.locks.doom(TxnId(2), expired.clone()));
        assert!(!case.locks.doom(TxnId(2), Conflict::new(ConflictCause::Wounded)), "once is enough");
        let (mut writer, outcome) = writer.join().unwrap();
        assert_eq!((outcome, writer.holds(Node(7))), (Err(expired.clone()), None));
        reader.join().unwrap().1.unwrap();
        assert_eq!(case.acquire(&mut writer, Node(8), X), Err(expired.clone()), "and gets no more");
        assert_eq!(writer.try_acquire_all(vec![8], X), Err(expired));
        drop(held);
    });
    case.finish();
}

#[test]
fn who_waits_for_too_long_is_told_for_whom_and_keeps_what_it_has() {
    let case = Case::new(DeadlockPolicy::Detect);
    let clock = SimClock::default();
    let _held = case.holder(1, &[(Node(7), X)]);
    let mut set = case.holder(2, &[(Node(8), X)]);
    let turns = AtomicU64::new(0);
    let meanwhile = || {
        // Once at the beginning of the wait, and again and again.
        if turns.fetch_add(1, Ordering::Relaxed) == 2 {
            clock.advance(Duration::from_secs(5));
        }
    };
    let deadline = Some(Duration::from_secs(5));
    let wait = LockWait { deadline, clock: &clock, policy: DeadlockPolicy::Detect, meanwhile: &meanwhile };
    let conflict = set.acquire(Node(7), X, &wait).unwrap_err();
    assert_eq!((conflict.cause, conflict.node), (ConflictCause::LockTimeout, Some(7)));
    assert_eq!((conflict.transaction, turns.into_inner()), (Some(TxnId(1)), 3));
    assert_eq!((set.holds(Node(7)), set.holds(Node(8)), set.doomed()), (None, Some(X), None));
    let LockStatistics { waits, timeouts, wait_us, longest_wait_us, waiting, .. } = case.statistics();
    assert_eq!((waits, timeouts, waiting), (1, 1, 0));
    assert!(wait_us >= 5_000_000 && wait_us == longest_wait_us);
}

#[test]
fn a_wait_that_panics_leaves_nothing_behind() {
    let case = Case::new(DeadlockPolicy::Detect);
    let held = case.holder(1, &[(Node(7), X)]);
    let meanwhile = || panic!("as asked");
    let wait = LockWait { deadline: None, clock: &case.clock, policy: case.policy, meanwhile: &meanwhile };
    let mut set = case.owner(2);
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| set.acquire(Node(7), X, &wait)));
    assert!(panics.is_err());
    drop(set);
    drop(held);
    assert!(case.is_free(Node(7), X));
    assert_eq!((case.statistics().held, case.locks.entries()), (0, 0));
}

/// Threads that lock a few of a few nodes each, in any order, and move an amount from one to another under the locks.
fn stress(policy: DeadlockPolicy) -> LockStatistics {
    const THREADS: u64 = 8;
    const NODES: usize = 5;
    let case = Case::new(policy);
    let accounts: [AtomicU64; NODES] = std::array::from_fn(|_| AtomicU64::new(1_000));
    let ids = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (case, accounts, ids) = (&case, &accounts, &ids);
            scope.spawn(move || {
                let mut random = codegraph_vector_testkit::Rng::new(thread);
                for _ in 0..300 {
                    let id = TxnId(ids.fetch_add(1, Ordering::Relaxed));
                    let [from, to] = [(); 2].map(|()| random.below(NODES));
                    let read_first = random.below(2) == 0;
                    let all = random.below(20) == 0;
                    // Doomed or not, with the same number until it got through.
                    loop {
                        let mut set = case.locks.owner(id);
                        let mut steps = vec![(Node(from as u128), X), (Node(to as u128), X)];
                        if read_first {
                            steps.insert(0, (Node(to as u128), S));
                        }
                        if all {
                            steps.insert(0, (Store, SIX));
                        }
                        let mut got =
                            steps.into_iter().map(|(target, mode)| case.acquire(&mut set, target, mode));
                        if got.all(|outcome| outcome.is_ok()) && set.seal().is_ok() {
                            // Not atomic as a whole: only the locks keep others out.
                            let amount = accounts[from].load(Ordering::Relaxed).min(1);
                            let left = accounts[from].load(Ordering::Relaxed) - amount;
                            accounts[from].store(left, Ordering::Relaxed);
                            std::thread::yield_now();
                            let more = accounts[to].load(Ordering::Relaxed) + amount;
                            accounts[to].store(more, Ordering::Relaxed);
                            break;
                        }
                    }
                }
            });
        }
    });
    let total: u64 = accounts.iter().map(|account| account.load(Ordering::Relaxed)).sum();
    assert_eq!(total, NODES as u64 * 1_000);
    let statistics = case.statistics();
    case.finish();
    statistics
}

#[test]
fn under_stress_everyone_gets_through_where_circles_are_found() {
    assert_eq!(stress(DeadlockPolicy::Detect).wounds, 0);
}

#[test]
fn under_stress_everyone_gets_through_where_the_old_wound_the_young() {
    assert_eq!(stress(DeadlockPolicy::WoundWait).timeouts, 0);
}
