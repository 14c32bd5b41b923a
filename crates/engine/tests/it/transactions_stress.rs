//! Sixty-four threads move money between accounts: none is lost or made, none is spent twice, and nothing is left over.
//!
//! Accounts come in pairs, and either of a pair may be overdrawn as long as the two together are not: which is what write
//! skew would break. Auditors look on in snapshots and in transactions of their own. A count of transfers is done, so that
//! the test takes no time that anybody set; `CGV_STRESS_SECONDS=n` goes on for so long instead.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use codegraph_vector::{
    AttributeValue, CodeNode, ConflictCause, DeadlockPolicy, ErrorKind, Filter, IsolationLevel, NodeId,
    PersistentVectorStore, Result, SearchRequest, Transaction,
};
use codegraph_vector_testkit::Rng;

use crate::sample::DIMENSION;

const THREADS: u64 = 64;
const PAIRS: NodeId = 12;
const START: i64 = 100;
/// Transfers of all threads together, unless a time is set.
const TRANSFERS: u64 = 1500;

fn account(id: NodeId, balance: i64) -> CodeNode {
    let mut vector = vec![0.0; DIMENSION];
    (vector[0], vector[1]) = (1.0, balance as f32);
    CodeNode::new(id, vector).with_path(format!("pair-{}", id / 2)).with_attribute("balance", balance)
}

fn balance(node: &CodeNode) -> i64 {
    match node.attributes["balance"] {
        AttributeValue::Integer(balance) if node.embedding[1] as i64 == balance => balance,
        _ => panic!("an account of two halves: {node:?}"),
    }
}

/// Panics unless all the money is there, and no pair is overdrawn.
fn audit(balances: impl IntoIterator<Item = (NodeId, i64)>) {
    let mut pairs = [0; PAIRS as usize];
    for (id, balance) in balances {
        pairs[id as usize / 2] += balance;
    }
    assert_eq!(pairs.iter().sum::<i64>(), 2 * PAIRS as i64 * START, "{pairs:?}");
    assert!(pairs.iter().all(|pair| *pair >= 0), "a pair is overdrawn: {pairs:?}");
}

fn of_all(store: &PersistentVectorStore) -> Vec<(NodeId, i64)> {
    let snapshot = store.snapshot().unwrap();
    let nodes = snapshot.iter().unwrap().map(Result::unwrap);
    nodes.map(|node| (node.id, balance(&node))).collect()
}

/// Takes an amount from an account, if its pair has it, and gives it to another; tells whether it did.
fn transfer(txn: &mut Transaction, from: NodeId, to: NodeId, amount: i64) -> Result<bool> {
    let (here, partner) = (txn.get(from)?, txn.get(from ^ 1)?);
    let (here, partner) = (balance(&here.unwrap()), balance(&partner.unwrap()));
    if here + partner < amount || from == to {
        return Ok(false);
    }
    let there = if to == from ^ 1 { partner } else { balance(&txn.get(to)?.unwrap()) };
    txn.put(account(from, here - amount))?;
    txn.put(account(to, there + amount))?;
    Ok(true)
}

/// The same in two phases, decided by the guard or by number.
fn in_two_phases(
    store: &PersistentVectorStore,
    level: IsolationLevel,
    rng: &mut Rng,
    of: [NodeId; 2],
) -> Result<()> {
    let mut txn = store.begin(level)?;
    transfer(&mut txn, of[0], of[1], rng.between(1, 30) as i64)?;
    let id = txn.prepare()?;
    match rng.below(3) {
        0 => txn.commit().map(drop),
        1 => txn.rollback().map(drop),
        _ => {
            drop(txn);
            store.commit_prepared(id).map(drop)
        }
    }
}

struct Bank<'a> {
    store: &'a PersistentVectorStore,
    done: AtomicU64,
    retries: AtomicU64,
    open: AtomicBool,
}

impl Bank<'_> {
    fn is_open(&self, timed: bool) -> bool {
        self.open.load(Ordering::Relaxed) && (timed || self.done.load(Ordering::Relaxed) < TRANSFERS)
    }

    fn teller(&self, seed: u64, timed: bool) {
        let mut rng = Rng::new(seed);
        while self.is_open(timed) {
            let level = *rng.pick(&[IsolationLevel::RepeatableRead, IsolationLevel::Serializable]);
            let of = [(); 2].map(|()| rng.below(2 * PAIRS as usize) as NodeId);
            let outcome = if rng.chance(0.2) {
                in_two_phases(self.store, level, &mut rng, of)
            } else {
                let amount = rng.between(1, 60) as i64;
                let mut attempts = 0;
                let outcome = self.store.transact(level, |txn| {
                    attempts += 1;
                    transfer(txn, of[0], of[1], amount)
                });
                self.retries.fetch_add(attempts - 1, Ordering::Relaxed);
                outcome.map(drop)
            };
            match outcome {
                Ok(()) => drop(self.done.fetch_add(1, Ordering::Relaxed)),
                // Whoever has tried often enough, or tries once, may be told of others; anything else is wrong.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    assert!(error.conflict().is_some(), "{error}");
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    fn auditor(&self, seed: u64, timed: bool) -> u64 {
        let (mut rng, mut audits) = (Rng::new(seed), 0);
        while self.is_open(timed) || audits == 0 {
            audit(of_all(self.store));
            // A search of one transaction, and single reads of another, see the same as a snapshot does.
            let mut txn = self.store.begin(IsolationLevel::ALL[rng.between(1, 4)]).unwrap();
            let everything =
                SearchRequest::new(vec![1.0; DIMENSION], 100).with_filter(Filter::prefix("path", "pair-"));
            let found = txn.search(&everything).unwrap().matches;
            audit(found.into_iter().map(|hit| match hit.metadata.unwrap().attributes["balance"] {
                AttributeValue::Integer(balance) => (hit.node_id, balance),
                _ => panic!("no balance"),
            }));
            txn.commit().unwrap();
            let mut txn = self.store.begin(IsolationLevel::Serializable).unwrap();
            audit((0..2 * PAIRS).map(|id| (id, balance(&txn.get(id).unwrap().unwrap()))));
            txn.commit().unwrap();
            audits += 1;
        }
        audits
    }
}

/// Ends the work when it is dropped, also by a panic.
struct Closing<'a>(&'a AtomicBool);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(false, Ordering::Relaxed);
        }
    }
}

fn stress(deadlocks: DeadlockPolicy) {
    let seconds =
        std::env::var("CGV_STRESS_SECONDS").ok().map(|text| text.parse().expect("a number of seconds"));
    let timed = seconds.is_some();
    let folder = tempfile::tempdir().unwrap();
    let (path, backups) = (folder.path().join("store"), folder.path().join("backups"));
    let store = PersistentVectorStore::new(&path, &backups, DIMENSION).unwrap();
    store
        .configure(|settings| {
            settings.transactions.deadlocks = deadlocks;
            (settings.memtable_bytes, settings.max_wal_file_bytes) = (256 << 10, 256 << 10);
        })
        .unwrap();
    let accounts: Vec<_> = (0..2 * PAIRS).map(|id| account(id, START)).collect();
    store.put_batch(&accounts).unwrap();
    let bank = Bank {
        store: &store,
        done: AtomicU64::new(0),
        retries: AtomicU64::new(0),
        open: AtomicBool::new(true),
    };
    let audits = thread::scope(|scope| {
        let tellers: Vec<_> = (0..THREADS)
            .map(|seed| {
                let bank = &bank;
                scope.spawn(move || {
                    let _closing = Closing(&bank.open);
                    bank.teller(seed, timed);
                })
            })
            .collect();
        let auditor = scope.spawn(|| {
            let _closing = Closing(&bank.open);
            bank.auditor(1, timed)
        });
        if let Some(seconds) = seconds {
            for _ in 0..seconds {
                thread::sleep(Duration::from_secs(1));
                if !bank.open.load(Ordering::Relaxed) {
                    break;
                }
            }
            bank.open.store(false, Ordering::Relaxed);
        }
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
        auditor.join().unwrap()
    });
    let statistics = store.consistency_manager().statistics();
    let done = bank.done.load(Ordering::Relaxed);
    println!("{deadlocks:?}: {done} transfers, {:?} retries, {audits} audits; {statistics:#?}", bank.retries);
    audit(of_all(&store));
    assert!(done >= TRANSFERS || timed);
    let left = (statistics.active, statistics.in_doubt, statistics.locks.held, statistics.locks.waiting);
    assert_eq!(left, (0, 0, 0, 0), "transactions, in doubt, locks, waiting");
    let ended = |level: &codegraph_vector::LevelStatistics| {
        level.committed + level.rolled_back + level.aborted.iter().map(|(_, count)| count).sum::<u64>()
    };
    assert!(
        statistics.levels.iter().all(|level| level.begun == ended(level)),
        "each begins once and ends once"
    );
    assert!(statistics.aborted(ConflictCause::Write) + statistics.aborted(ConflictCause::Read) > 0);
    // What was acknowledged is there afterwards.
    let before = of_all(&store);
    store.close().unwrap();
    drop(store);
    let store = PersistentVectorStore::new(&path, &backups, DIMENSION).unwrap();
    assert_eq!(of_all(&store), before);
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn sixty_four_threads_keep_the_books_where_deadlocks_are_detected() {
    stress(DeadlockPolicy::Detect);
}

#[test]
fn sixty_four_threads_keep_the_books_where_the_old_wound_the_young() {
    stress(DeadlockPolicy::WoundWait);
}
