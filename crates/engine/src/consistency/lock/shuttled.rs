//! The same table over locks that shuttle schedules: compiled a second time, but for what has no lock in it.
//!
//! Waits do not time out there, and nothing else wakes a waiter but what should: a lost wake-up is a test that hangs, which shuttle
//! reports.

#![allow(clippy::duplicate_mod)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use codegraph_vector_base::{Conflict, ConflictCause, TxnId};
use codegraph_vector_testkit::SimClock;
use codegraph_vector_testkit::scheduled::{explore, thread};

use super::mode::LockMode::{IS, S, SIX, X};
use super::mode::LockTarget::{Node, Store};
use super::{LockMode, LockTarget, mode, statistics};
use crate::options::DeadlockPolicy;

mod sync {
    pub(super) use codegraph_vector_testkit::scheduled::{Condvar, Mutex};
}

#[path = "deadlock.rs"]
mod deadlock;
#[path = "line.rs"]
#[allow(dead_code)] // The tests do not need all of it.
mod line;
#[path = "owner.rs"]
mod owner;
#[path = "set.rs"]
#[allow(dead_code)]
mod set;
#[path = "table.rs"]
mod table;

use set::{LockSet, LockWait, Locks};

const SCHEDULES: usize = 200;
const NODES: usize = 3;

/// Locks, and what they guard.
struct Case {
    locks: Arc<Locks>,
    clock: SimClock,
    policy: DeadlockPolicy,
    /// Who reads and writes each node now: a count of readers, or -1.
    users: [AtomicI64; NODES],
}

impl Case {
    fn new(policy: DeadlockPolicy) -> Arc<Self> {
        let locks = Arc::new(Locks::default());
        Arc::new(Self { locks, clock: SimClock::default(), policy, users: Default::default() })
    }

    fn acquire(&self, set: &mut LockSet, target: LockTarget, mode: LockMode) -> Result<(), Conflict> {
        let wait = LockWait { deadline: None, clock: &self.clock, policy: self.policy, meanwhile: &|| () };
        set.acquire(target, mode, &wait)
    }

    /// Uses what is locked, and fails if another does too who must not.
    fn work(&self, set: &LockSet) {
        let on_all = set.holds(Store);
        let uses = |node: usize| {
            let mode = [set.holds(Node(node as u128)), on_all].into_iter().flatten().reduce(LockMode::join);
            mode.map_or((false, false), |mode| (mode.covers(S), mode == X))
        };
        let uses: Vec<_> = (0..NODES).map(uses).collect();
        for (users, (reads, writes)) in self.users.iter().zip(&uses) {
            if *writes {
                assert_eq!(users.swap(-1, Ordering::Relaxed), 0, "written while it was used");
            } else if *reads {
                assert!(users.fetch_add(1, Ordering::Relaxed) >= 0, "read while it was written");
            }
        }
        thread::yield_now();
        for (users, (reads, writes)) in self.users.iter().zip(&uses) {
            if *writes {
                users.store(0, Ordering::Relaxed);
            } else if *reads {
                users.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Takes locks in this order and works under them, again and again until nobody wants it to give way.
    fn run(&self, id: u64, steps: &[(LockTarget, LockMode)]) {
        loop {
            let mut set = self.locks.owner(TxnId(id));
            let mut got = steps.iter().map(|(target, mode)| self.acquire(&mut set, *target, *mode));
            if got.all(|outcome| outcome.is_ok()) && set.seal().is_ok() {
                return self.work(&set);
            }
        }
    }

    fn finish(&self) {
        let statistics = self.locks.statistics();
        assert_eq!((statistics.held, statistics.waiting, self.locks.entries()), (0, 0, 0));
    }
}

/// Runs these owners beside each other under many schedules.
fn together(policy: DeadlockPolicy, owners: &'static [&'static [(LockTarget, LockMode)]]) {
    explore(SCHEDULES, move || {
        let case = Case::new(policy);
        let run = |(at, steps): (usize, &'static &'static [(LockTarget, LockMode)])| {
            let case = case.clone();
            thread::spawn(move || case.run(at as u64, steps))
        };
        let threads: Vec<_> = owners.iter().enumerate().map(run).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        if policy == DeadlockPolicy::Detect {
            assert_eq!(case.locks.statistics().wounds, 0);
        }
        case.finish();
    });
}

const IN_A_RING: &[&[(LockTarget, LockMode)]] =
    &[&[(Node(0), X), (Node(1), X)], &[(Node(1), X), (Node(2), X)], &[(Node(2), X), (Node(0), X)]];

const UPGRADES: &[&[(LockTarget, LockMode)]] =
    &[&[(Node(0), S), (Node(0), X)], &[(Node(0), S), (Node(0), X)], &[(Node(0), S)], &[(Node(0), X)]];

const OF_ALL_SIZES: &[&[(LockTarget, LockMode)]] = &[
    &[(Store, S), (Node(1), X)],
    &[(Node(1), S), (Node(2), X)],
    &[(Node(2), IS), (Store, SIX)],
    &[(Node(1), X), (Store, X)],
];

#[test]
fn nobody_is_left_waiting_where_circles_are_found() {
    for owners in [IN_A_RING, UPGRADES, OF_ALL_SIZES] {
        together(DeadlockPolicy::Detect, owners);
    }
}

#[test]
fn nobody_is_left_waiting_where_the_old_wound_the_young() {
    for owners in [IN_A_RING, UPGRADES, OF_ALL_SIZES] {
        together(DeadlockPolicy::WoundWait, owners);
    }
}

#[test]
fn doom_and_grant_may_come_at_the_same_moment() {
    explore(SCHEDULES, || {
        let case = Case::new(DeadlockPolicy::Detect);
        let mut first = case.locks.owner(TxnId(1));
        case.acquire(&mut first, Node(0), X).unwrap();
        let mut waiter = case.locks.owner(TxnId(2));
        let waits = {
            let case = case.clone();
            thread::spawn(move || {
                let outcome = case.acquire(&mut waiter, Node(0), X);
                match &outcome {
                    Ok(()) => assert_eq!(waiter.holds(Node(0)), Some(X)),
                    Err(conflict) => assert_eq!(conflict.cause, ConflictCause::Expired),
                }
                assert_eq!(waiter.seal().is_ok(), waiter.doomed().is_none());
            })
        };
        let behind = {
            let case = case.clone();
            thread::spawn(move || case.run(3, &[(Node(0), S)]))
        };
        let frees = thread::spawn(move || drop(first));
        case.locks.doom(TxnId(2), Conflict::new(ConflictCause::Expired));
        for thread in [waits, behind, frees] {
            thread.join().unwrap();
        }
        case.finish();
    });
}

/// As the manager of transactions does it: the hook rolls back a wounded owner that nobody uses.
#[test]
fn an_idle_owner_that_is_wounded_lets_go_at_once() {
    explore(SCHEDULES, || {
        let case = Case::new(DeadlockPolicy::WoundWait);
        let idle = Arc::new(sync::Mutex::new(None));
        let (rolled_back, hooked) = (Arc::new(AtomicU64::new(0)), idle.clone());
        let count = rolled_back.clone();
        case.locks.on_wound(Box::new(move |id| {
            let set: Option<LockSet> = hooked.lock().take_if(|set: &mut LockSet| set.id() == id);
            count.fetch_add(set.is_some().into(), Ordering::Relaxed);
        }));
        let mut young = case.locks.owner(TxnId(9));
        case.acquire(&mut young, Node(0), X).unwrap();
        *idle.lock() = Some(young);
        let others = [1, 20].map(|id| {
            let case = case.clone();
            thread::spawn(move || case.run(id, &[(Node(0), X)]))
        });
        for thread in others {
            thread.join().unwrap();
        }
        assert!(idle.lock().is_none());
        assert_eq!(rolled_back.load(Ordering::Relaxed), 1);
        case.finish();
    });
}
