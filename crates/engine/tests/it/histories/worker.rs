//! A worker: random transactions and single writes, one after the other, recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use codegraph_vector::{
    ErrorKind, Filter, IsolationLevel, PersistentVectorStore, Result, Savepoint, SearchRequest, Transaction,
    TxnId, WriteOutcome,
};
use codegraph_vector_testkit::Rng;
use codegraph_vector_testkit::history::{Item, Level, Version};
use parking_lot::Mutex;

use super::record::{
    Ask, Bracket, Ending, GROUPS, ITEMS, Recorded, Seen, Versions, by_group, found, group_of, node, path,
    vector, version_of,
};
use super::turns::Turn;

/// How far a transaction in two phases has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Preparing,
    Prepared,
    Deciding,
}

/// A transaction in two phases, to be looked at from outside while it is on its way.
#[derive(Debug)]
pub(super) struct InTwoPhases {
    pub(super) txn: TxnId,
    phase: AtomicU8,
}

impl InTwoPhases {
    pub(super) fn phase(&self) -> Phase {
        [Phase::Preparing, Phase::Prepared, Phase::Deciding][usize::from(self.phase.load(Ordering::SeqCst))]
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }
}

/// What all workers of a run share.
pub(super) struct Shared {
    pub(super) store: PersistentVectorStore,
    pub(super) versions: Arc<Versions>,
    /// The level of all transactions, if they have the same.
    pub(super) level: Option<Level>,
    /// Numbers of transactions.
    pub(super) transactions: Arc<AtomicU64>,
    /// The last commit that was acknowledged.
    pub(super) acknowledged: AtomicU64,
    pub(super) prepared: Mutex<Vec<Arc<InTwoPhases>>>,
    /// Transactions of an earlier process that are in doubt, and whether they are to be committed.
    pub(super) to_decide: Mutex<Vec<(Recorded, bool)>>,
}

pub(super) fn isolation(level: Level) -> IsolationLevel {
    match level {
        Level::ReadUncommitted => IsolationLevel::ReadUncommitted,
        Level::ReadCommitted => IsolationLevel::ReadCommitted,
        Level::RepeatableRead => IsolationLevel::RepeatableRead,
        Level::Serializable => IsolationLevel::Serializable,
    }
}

/// Any item.
fn item(rng: &mut Rng) -> Item {
    rng.between(ITEMS.start as usize, ITEMS.end as usize) as Item
}

/// Whether it failed because of others; any other failure is one of the engine.
fn is_conflict<T>(outcome: &Result<T>) -> bool {
    match outcome {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::Conflict && error.conflict().is_some() => true,
        Err(error) => panic!("{error:?}"),
    }
}

impl Shared {
    pub(super) fn visible(&self) -> u64 {
        self.store.snapshot().unwrap().seqno().0
    }

    fn acknowledge(&self, seqno: u64) {
        self.acknowledged.fetch_max(seqno, Ordering::SeqCst);
    }

    fn begin(&self, level: Level) -> Recorded {
        let id = self.transactions.fetch_add(1, Ordering::Relaxed) + 1;
        let (seen, ending) = (Vec::new(), Ending::Aborted);
        Recorded { id, txn: None, level, seen, snapshot: None, first: None, ending }
    }

    /// Does so many things.
    pub(super) fn work(&self, rng: &mut Rng, turn: &Turn, transactions: usize) -> Vec<Recorded> {
        turn.begin();
        let mut done = Vec::new();
        for _ in 0..transactions {
            let in_doubt = self.to_decide.lock().pop();
            if let Some((recorded, commits)) = in_doubt {
                done.push(self.decide(recorded, commits));
            } else {
                match rng.below(10) {
                    0..2 => done.extend(self.single(rng)),
                    2 => self.maintain(rng),
                    _ => done.push(self.transaction(rng, turn)),
                }
            }
            turn.pass();
        }
        done
    }

    pub(super) fn decide(&self, mut recorded: Recorded, commits: bool) -> Recorded {
        let txn = recorded.txn.expect("it was prepared");
        if commits {
            let receipt = self.store.commit_prepared(txn).unwrap();
            self.acknowledge(receipt.seqno.0);
            recorded.ending = Ending::Committed(receipt.seqno.0);
        } else {
            self.store.rollback_prepared(txn).unwrap();
            recorded.ending = Ending::Aborted;
        }
        recorded
    }

    fn maintain(&self, rng: &mut Rng) {
        match rng.below(3) {
            0 => drop(self.store.merge().unwrap()),
            _ => self.store.flush().unwrap(),
        }
    }

    /// A write outside of any transaction.
    fn single(&self, rng: &mut Rng) -> Option<Recorded> {
        let mut recorded = self.begin(Level::Serializable);
        let (group, item) = (rng.below(GROUPS), item(rng));
        let (seen, outcome) = match rng.below(5) {
            0..2 => {
                let version = self.versions.live();
                (Seen::Put { item, version, group }, self.store.put(node(item, version, group)))
            }
            2 => {
                let version = self.versions.dead();
                (Seen::Delete { item, version }, self.store.delete(item))
            }
            3 => {
                let dead = self.versions.dead_each();
                let outcome = self.store.delete_by_filter(&by_group(group));
                let deleted = outcome.as_ref().ok().map(|outcome| outcome.deleted);
                (Seen::Replace { group, put: None, dead, deleted }, outcome)
            }
            _ => {
                let (version, dead) = (self.versions.live(), self.versions.dead_each());
                let outcome = self.store.replace_path(&path(group), &[node(item, version, group)]);
                let deleted = outcome.as_ref().ok().map(|outcome| outcome.deleted);
                (Seen::Replace { group, put: Some((item, version)), dead, deleted }, outcome)
            }
        };
        if !is_conflict(&outcome) {
            let WriteOutcome { receipt, deleted } = outcome.ok()?;
            assert!(receipt.durable);
            self.acknowledge(receipt.seqno.0);
            recorded.ending = Ending::Committed(receipt.seqno.0);
            if deleted == 0 && matches!(seen, Seen::Delete { .. }) {
                return Some(recorded);
            }
        }
        recorded.seen.push(seen);
        Some(recorded)
    }

    fn transaction(&self, rng: &mut Rng, turn: &Turn) -> Recorded {
        let level = self.level.unwrap_or_else(|| *rng.pick(&Level::ALL));
        let mut recorded = self.begin(level);
        let begun = self.store.begin(isolation(level));
        if is_conflict(&begun) {
            return recorded;
        }
        let mut txn = begun.unwrap();
        recorded.txn = Some(txn.id());
        let mut savepoints = Vec::new();
        for _ in 0..rng.between(1, 6) {
            turn.pass();
            let before = self.visible();
            let statement = Statement { shared: self, txn: &mut txn, recorded: &mut recorded, before };
            let outcome = statement.run(rng, &mut savepoints);
            if !matches!(outcome, Ok(false)) {
                recorded.first.get_or_insert((before, self.visible()));
            }
            if is_conflict(&outcome) {
                return recorded; // Dropping it rolls it back, if that has not been done yet.
            }
        }
        turn.pass();
        // Says which state a transaction reads that reads but one, and matches nothing, so that it gets in nobody's way.
        let nothing = SearchRequest::new(vector(Version(1)), 1).with_filter(Filter::nothing());
        let of_now = txn.search(&nothing);
        if is_conflict(&of_now) {
            return recorded;
        }
        if level >= Level::RepeatableRead {
            recorded.snapshot = of_now.ok().map(|results| results.seqno.0);
        }
        if rng.chance(0.15) {
            // Unless an older one has wounded it meanwhile.
            let _ = is_conflict(&txn.rollback());
            return recorded;
        }
        self.end(txn, recorded, rng, turn)
    }

    fn end(&self, mut txn: Transaction, mut recorded: Recorded, rng: &mut Rng, turn: &Turn) -> Recorded {
        let outcome = if rng.chance(0.25) {
            let id = txn.id();
            let two = Arc::new(InTwoPhases { txn: id, phase: AtomicU8::new(Phase::Preparing as u8) });
            self.prepared.lock().push(two.clone());
            if is_conflict(&txn.prepare()) {
                return recorded;
            }
            two.enter(Phase::Prepared);
            (0..rng.below(7)).for_each(|_| turn.pass());
            two.enter(Phase::Deciding);
            match rng.below(4) {
                0 => {
                    txn.rollback().unwrap();
                    return recorded;
                }
                // Nobody needs the guard for that.
                1 => {
                    drop(txn);
                    Ok(self.store.commit_prepared(id).unwrap())
                }
                _ => Ok(txn.commit().expect("what is prepared can be committed")),
            }
        } else {
            txn.commit()
        };
        if !is_conflict(&outcome)
            && let Ok(receipt) = outcome
        {
            self.acknowledge(receipt.seqno.0);
            recorded.ending = Ending::Committed(receipt.seqno.0);
        }
        recorded
    }
}

/// A statement of a transaction.
struct Statement<'a> {
    shared: &'a Shared,
    txn: &'a mut Transaction,
    recorded: &'a mut Recorded,
    /// What was visible when it began.
    before: u64,
}

impl Statement<'_> {
    fn at(&self) -> Bracket {
        (self.before, self.shared.visible())
    }

    /// Runs it; tells whether it looked at the store.
    fn run(mut self, rng: &mut Rng, savepoints: &mut Vec<Savepoint>) -> Result<bool> {
        let (looked, seen) = match rng.below(20) {
            0..6 => (true, Some(self.read(rng)?)),
            6..10 => {
                let ask = Ask::random(rng);
                let results = self.txn.search(&ask.request())?;
                let (found, seqno) = (found(&results.matches), results.seqno.0);
                (true, Some(Seen::Search { ask, found, seqno, at: self.at() }))
            }
            10..17 => (true, self.write(rng)?),
            17 | 18 => {
                savepoints.push(self.txn.savepoint()?);
                (false, Some(Seen::Savepoint))
            }
            _ => match savepoints.last() {
                Some(last) => {
                    self.txn.rollback_to(last)?;
                    (false, Some(Seen::RollBack))
                }
                None => (false, None),
            },
        };
        self.recorded.seen.extend(seen);
        Ok(looked)
    }

    fn read(&mut self, rng: &mut Rng) -> Result<Seen> {
        let group = rng.below(GROUPS);
        Ok(match rng.below(4) {
            0 => {
                let count = self.txn.count(&by_group(group))?;
                Seen::Count { group, count, at: self.at() }
            }
            1 => {
                let ids = self.txn.ids(&by_group(group))?;
                Seen::Ids { group, ids, at: self.at() }
            }
            _ => {
                let item = item(rng);
                let found = self.txn.get(item)?;
                let version = found.map(|node| version_of(&node.embedding));
                Seen::Get { item, version, at: self.at() }
            }
        })
    }

    fn write(&mut self, rng: &mut Rng) -> Result<Option<Seen>> {
        let (item, group, versions) = (item(rng), rng.below(GROUPS), &self.shared.versions);
        Ok(Some(match rng.below(8) {
            0..3 => {
                let version = versions.live();
                self.txn.put(node(item, version, group))?;
                Seen::Put { item, version, group }
            }
            3 => {
                let version = versions.live();
                match self.txn.update_vector(item, &vector(version)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                    outcome => outcome?,
                }
                // Which group it kept, only the row itself can tell.
                let own = self.txn.get(item)?.expect("it was updated");
                assert_eq!(version_of(&own.embedding), version);
                Seen::Update { item, version, group: group_of(&own) }
            }
            4 | 5 => {
                let version = versions.dead();
                if !self.txn.delete(item)? {
                    return Ok(None);
                }
                Seen::Delete { item, version }
            }
            // Where others' uncommitted rows are seen, nobody could say which of them it was about.
            _ if self.recorded.level == Level::ReadUncommitted => return Ok(None),
            6 => {
                let dead = versions.dead_each();
                let deleted = self.txn.delete_by_filter(&by_group(group))?;
                Seen::Replace { group, put: None, dead, deleted: Some(deleted) }
            }
            _ => {
                let (version, dead) = (versions.live(), versions.dead_each());
                let deleted = self.txn.replace_path(&path(group), &[node(item, version, group)])?;
                Seen::Replace { group, put: Some((item, version)), dead, deleted: Some(deleted) }
            }
        }))
    }
}
