//! One seed: a store, workers on it, maybe a crash, and what came of it all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use codegraph_vector::{
    DeadlockPolicy, Environment, Metric, NodeId, OpenOptions, PersistentVectorStore, Settings, TestSwitches,
    TransactionConfig,
};
use codegraph_vector_testkit::history::{Level, Version};
use codegraph_vector_testkit::{CrashStyle, Rng, SimClock, SimVfs};
use parking_lot::Mutex;

use super::record::{Ending, GROUPS, ITEMS, Recorded, Seen, Versions, node, version_of};
use super::resolve::{Resolved, resolve};
use super::turns::turns;
use super::worker::{Phase, Shared};
use crate::sample::{self, ROOT};

/// Ends of transactions and other things, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Did {
    committed: u64,
    aborted: u64,
    waits: u64,
    prepared: u64,
    crashes: u64,
    in_doubt: u64,
}

impl Did {
    pub(super) fn add(&mut self, other: &Did) {
        self.committed += other.committed;
        self.aborted += other.aborted;
        self.waits += other.waits;
        self.prepared += other.prepared;
        self.crashes += other.crashes;
        self.in_doubt += other.in_doubt;
    }

    /// The number of what happened least.
    pub(super) fn least(&self) -> u64 {
        let Did { committed, aborted, waits, prepared, crashes, in_doubt } = *self;
        [committed, aborted, waits, prepared, crashes, in_doubt * 5].into_iter().min().unwrap_or(0)
    }
}

/// What became of a seed.
pub(super) struct Outcome {
    pub(super) did: Did,
    pub(super) recorded: Vec<Recorded>,
    pub(super) resolved: Result<Resolved, String>,
}

/// A power cut.
struct Crash {
    sim: SimVfs,
    /// The last commit that had been acknowledged before.
    acknowledged: u64,
    /// Transactions that were prepared, and not decided, before and after.
    in_doubt: Vec<u64>,
}

fn open(
    sim: &SimVfs,
    clock: &SimClock,
    rng: &mut Rng,
    validates: bool,
) -> Result<PersistentVectorStore, String> {
    let deadlocks = *rng.pick(&[DeadlockPolicy::Detect, DeadlockPolicy::WoundWait]);
    let settings = Settings {
        transactions: TransactionConfig { deadlocks, ..TransactionConfig::default() },
        ..sample::settings()
    };
    let options = OpenOptions {
        metric: Some(Metric::Euclidean),
        settings: Some(settings),
        switches: TestSwitches { skip_validation: !validates, ..TestSwitches::default() },
        // One clock for all processes: it numbers transactions.
        environment: Environment { clock: Arc::new(clock.clone()), ..sample::environment(sim) },
        ..sample::options(sim)
    };
    PersistentVectorStore::open(ROOT, options).map_err(|error| format!("open: {error:?}"))
}

/// Runs a seed.
pub(super) fn run(seed: u64, validates: bool) -> Result<Outcome, String> {
    let rng = &mut Rng::new(seed);
    let (sim, clock) = (SimVfs::new(rng.next_u64()), SimClock::default());
    let level =
        [None, None, Some(0), Some(1), Some(2), Some(3), Some(3)][rng.below(7)].map(|at| Level::ALL[at]);
    let shared = Shared {
        store: open(&sim, &clock, rng, validates)?,
        versions: Arc::new(Versions::default()),
        level,
        transactions: Arc::new(AtomicU64::new(0)),
        acknowledged: AtomicU64::new(0),
        prepared: Mutex::default(),
        to_decide: Mutex::default(),
    };
    let mut did = Did::default();
    let mut recorded = vec![first(&shared, rng)];
    let crash = process(&shared, rng, Some(&sim), &mut did, &mut recorded);
    let (store, resolved) = match crash {
        None => (shared.store, resolve(&recorded)),
        Some(crash) => {
            let Ok(before) = resolve(&recorded) else {
                let resolved = resolve(&recorded);
                return Ok(Outcome { did, recorded, resolved });
            };
            let Shared { versions, transactions, store, .. } = shared;
            close(store)?;
            let store = open(&crash.sim, &clock, rng, validates)?;
            let to_decide = recover(&store, &crash, &before, &mut recorded, rng)?;
            did.crashes += 1;
            did.in_doubt += to_decide.len() as u64;
            let shared = Shared {
                acknowledged: AtomicU64::new(crash.acknowledged),
                prepared: Mutex::default(),
                to_decide: Mutex::new(to_decide),
                store,
                versions,
                level,
                transactions,
            };
            process(&shared, rng, None, &mut did, &mut recorded);
            (shared.store, resolve(&recorded))
        }
    };
    if let Ok(resolved) = &resolved {
        holds(&store, resolved, resolved.states.last())?;
    }
    let statistics = store.consistency_manager().statistics();
    let left = (statistics.locks.held, statistics.locks.waiting, statistics.active, statistics.in_doubt);
    if left != (0, 0, 0, 0) {
        return Err(format!("locks held, requests waiting, transactions, in doubt at the end: {left:?}"));
    }
    close(store)?;
    Ok(Outcome { did, recorded, resolved })
}

fn close(store: PersistentVectorStore) -> Result<(), String> {
    store.close().map_err(|error| format!("close: {error:?}"))
}

/// Some rows to begin with.
fn first(shared: &Shared, rng: &mut Rng) -> Recorded {
    let items: Vec<_> = ITEMS.filter(|_| rng.chance(0.6)).chain([ITEMS.end - 1]).collect();
    let seen: Vec<_> = items
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .map(|item| Seen::Put { item, version: shared.versions.live(), group: rng.below(GROUPS) })
        .collect();
    let nodes: Vec<_> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Put { item, version, group } => Some(node(*item, *version, *group)),
            _ => None,
        })
        .collect();
    let receipt = shared.store.put_batch(&nodes).unwrap().receipt;
    let ending = Ending::Committed(receipt.seqno.0);
    Recorded { id: 0, txn: None, level: Level::Serializable, seen, snapshot: None, first: None, ending }
}

/// Lets workers do their work; the power may go off meanwhile.
fn process(
    shared: &Shared,
    rng: &mut Rng,
    sim: Option<&SimVfs>,
    did: &mut Did,
    recorded: &mut Vec<Recorded>,
) -> Option<Crash> {
    let workers = rng.between(2, 5);
    let (turns, conductor) = turns(workers, rng.chance(0.7));
    let crash_at = sim.filter(|_| rng.chance(0.4)).map(|sim| (sim, rng.between(4, 40)));
    let mut crash = None;
    thread::scope(|scope| {
        let threads: Vec<_> = turns
            .into_iter()
            .map(|turn| {
                let (mut rng, transactions) = (rng.split(), rng.between(2, 5));
                scope.spawn(move || shared.work(&mut rng, &turn, transactions))
            })
            .collect();
        let waiting = || shared.store.consistency_manager().statistics().locks.waiting;
        match conductor {
            Some(mut conductor) => {
                let mut steps = 0;
                while conductor.step(rng, waiting) {
                    steps += 1;
                    if let Some((sim, _)) = crash_at.filter(|(_, at)| *at == steps) {
                        crash = Some(power_cut(shared, sim, rng));
                    }
                }
            }
            None => {
                if let Some((sim, at)) = crash_at {
                    while shared.visible() < at as u64 / 4
                        && !threads.iter().all(|thread| thread.is_finished())
                    {
                        thread::yield_now();
                    }
                    crash = Some(power_cut(shared, sim, rng));
                }
            }
        }
        for thread in threads {
            let done = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            recorded.extend(done);
        }
    });
    // There may have been more in doubt than workers had time for.
    while let Some((one, commits)) = { shared.to_decide.lock().pop() } {
        recorded.push(shared.decide(one, commits));
    }
    let committed = |one: &&Recorded| one.ending != Ending::Aborted;
    did.committed += recorded.iter().filter(committed).count() as u64;
    did.aborted += recorded.iter().filter(|one| !committed(one)).count() as u64;
    did.prepared += shared.prepared.lock().len() as u64;
    did.waits += shared.store.consistency_manager().statistics().locks.waits;
    crash
}

fn power_cut(shared: &Shared, sim: &SimVfs, rng: &mut Rng) -> Crash {
    let prepared = || -> Vec<u64> {
        let of_now = shared.prepared.lock();
        of_now.iter().filter(|two| two.phase() == Phase::Prepared).map(|two| two.txn.0).collect()
    };
    let (acknowledged, before) = (shared.acknowledged.load(Ordering::SeqCst), prepared());
    let style = CrashStyle::random(rng);
    let sim = sim.crash(rng, style);
    let after = prepared();
    Crash { sim, acknowledged, in_doubt: before.into_iter().filter(|txn| after.contains(txn)).collect() }
}

/// Examines what a crash left, forgets what did not outlive it, and says what is to be decided.
fn recover(
    store: &PersistentVectorStore,
    crash: &Crash,
    before: &Resolved,
    recorded: &mut Vec<Recorded>,
    rng: &mut Rng,
) -> Result<Vec<(Recorded, bool)>, String> {
    let at = store.snapshot().map_err(|error| format!("snapshot: {error:?}"))?.seqno().0;
    if at < crash.acknowledged {
        return Err(format!(
            "lost: commit {at} is the last, but {} had been acknowledged",
            crash.acknowledged
        ));
    }
    holds(store, before, at).map_err(|error| format!("after a crash: {error}"))?;
    let in_doubt = store.in_doubt().map_err(|error| format!("in doubt: {error:?}"))?;
    let in_doubt: Vec<u64> = in_doubt.iter().map(|one| one.transaction.0).collect();
    if let Some(lost) = crash.in_doubt.iter().find(|txn| !in_doubt.contains(txn)) {
        return Err(format!("lost: transaction {lost} was prepared, and is not in doubt: {in_doubt:?}"));
    }
    let of = |txn: &u64| {
        let found = recorded.iter().find(|one| one.txn.is_some_and(|known| known.0 == *txn));
        found.cloned().ok_or_else(|| format!("transaction {txn} is in doubt, and nobody prepared it"))
    };
    let to_decide: Vec<Recorded> = in_doubt.iter().map(of).collect::<Result<_, _>>()?;
    recorded.retain(|one| match one.ending {
        Ending::Committed(seqno) => seqno <= at && !to_decide.iter().any(|other| other.id == one.id),
        Ending::Aborted => false,
    });
    Ok(to_decide.into_iter().map(|one| (one, rng.chance(0.7))).collect())
}

/// Holds what is in a store against the state after a commit.
fn holds(store: &PersistentVectorStore, resolved: &Resolved, commit: u64) -> Result<(), String> {
    let found: Vec<(NodeId, Version)> = sample::contents(store)
        .map_err(|error| format!("contents: {error:?}"))?
        .values()
        .map(|node| (node.id, version_of(&node.embedding)))
        .collect();
    let expected = resolved.states.rows(commit);
    if expected.into_iter().eq(found.iter().copied()) {
        return Ok(());
    }
    Err(format!("the store holds {found:?} at commit {commit}, not {:?}", resolved.states.rows(commit)))
}
