//! Transactions between the two phases of their commit, beside the states of the store.
//!
//! Guards against: prepared transactions that a crash loses or that come back decided, decisions that are lost, reversed or
//! change when they are repeated, undecided rows that show, locks that a restart forgets.

use std::collections::{BTreeMap, BTreeSet};

use codegraph_vector::{CodeNode, ErrorKind, InDoubt, IsolationLevel, NodeId, PersistentVectorStore, TxnId};
use codegraph_vector_testkit::Rng;

use super::model::{Change, Check, State};

/// What a transaction does before it is prepared.
#[derive(Clone, Debug)]
pub struct Script {
    pub level: IsolationLevel,
    pub puts: Vec<CodeNode>,
    pub deletes: BTreeSet<NodeId>,
    pub reads: BTreeSet<NodeId>,
}

impl Script {
    fn writes(&self) -> BTreeSet<NodeId> {
        self.puts.iter().map(|node| node.id).chain(self.deletes.iter().copied()).collect()
    }

    /// What it has read and nobody else may change.
    fn tracked(&self) -> BTreeSet<NodeId> {
        if self.level >= IsolationLevel::RepeatableRead { self.reads.clone() } else { BTreeSet::new() }
    }

    /// What its commit does.
    pub fn change(&self) -> Change {
        Change::Transaction { puts: self.puts.clone(), deletes: self.deletes.iter().copied().collect() }
    }
}

/// How far a transaction came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It may be prepared, or not.
    Preparing,
    /// It is.
    Prepared,
    /// It is, or it is this commit.
    Committing(u64),
    /// It is, or it is gone.
    RollingBack,
}

/// All that is in doubt, and what was decided.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    undecided: BTreeMap<u64, (Script, Phase)>,
    /// The commits that decided ones became, or that they were rolled back.
    decided: Vec<(u64, Option<u64>)>,
}

impl Prepared {
    /// Number of those that are in doubt.
    pub fn len(&self) -> usize {
        self.undecided.len()
    }

    /// One of those that wait for their decision.
    pub fn any(&self, rng: &mut Rng) -> Option<(u64, Script)> {
        let all: Vec<_> = self.undecided.iter().map(|(id, (script, _))| (*id, script.clone())).collect();
        if all.is_empty() { None } else { Some(rng.pick(&all).clone()) }
    }

    /// Leaves out of a script what others in doubt stand in the way of.
    pub fn free(&self, mut script: Script, state: &State) -> Script {
        for (other, _) in self.undecided.values() {
            let (writes, tracked) = (other.writes(), other.tracked());
            script.puts.retain(|node| !writes.contains(&node.id) && !tracked.contains(&node.id));
            script.deletes.retain(|id| !writes.contains(id) && !tracked.contains(id));
            script.reads.retain(|id| !writes.contains(id));
        }
        let puts: BTreeSet<NodeId> = script.puts.iter().map(|node| node.id).collect();
        script.deletes.retain(|id| !puts.contains(id) && state.rows.contains_key(id));
        script
    }

    /// From now on it may be prepared.
    pub fn begin(&mut self, id: u64, script: Script) {
        self.undecided.insert(id, (script, Phase::Preparing));
    }

    /// How far it is known to have come.
    pub fn is_at(&mut self, id: u64, phase: Phase) {
        if let Some((_, known)) = self.undecided.get_mut(&id) {
            *known = phase;
        }
    }

    /// It is not prepared.
    pub fn forget(&mut self, id: u64) {
        self.undecided.remove(&id);
    }

    /// It was decided.
    pub fn decide(&mut self, id: u64, commit: Option<u64>) {
        self.undecided.remove(&id);
        self.decided.push((id, commit));
    }

    /// Whether a write has to be refused for the sake of one that is in doubt.
    pub fn hold_up(&self, change: &Change, state: &State) -> bool {
        let (locked, changed) = change.touched(state);
        self.undecided.values().any(|(script, phase)| {
            let reads = script.tracked();
            *phase == Phase::Prepared
                && (script.writes().iter().any(|id| locked.contains(id))
                    || reads.iter().any(|id| changed.contains(id)))
        })
    }

    /// A node that nobody in doubt has written.
    pub fn free_id(&self) -> NodeId {
        let written: BTreeSet<_> = self.undecided.values().flat_map(|(script, _)| script.writes()).collect();
        (1..).find(|id| !written.contains(id)).unwrap_or_default()
    }

    /// Holds what a store at commit `at` lists against all this.
    pub fn check(&self, store: &PersistentVectorStore, at: u64) -> Check {
        let listed = list(store)?;
        for (id, found) in &listed {
            let Some((script, phase)) = self.undecided.get(id) else {
                return Err(format!("in doubt: transaction {id} came back from {:?}", self.decided));
            };
            let rows = (script.puts.len() as u64, script.deletes.len() as u64);
            if (found.rows, found.deletes, found.isolation_level) != (rows.0, rows.1, script.level) {
                return Err(format!("in doubt: {found:?} is not {script:?}"));
            }
            if matches!(phase, Phase::Committing(commit) if *commit <= at) {
                return Err(format!("in doubt: transaction {id}, though its commit shows at {at}"));
            }
        }
        for (id, (_, phase)) in self.undecided.iter().filter(|(id, _)| !listed.contains_key(id)) {
            match phase {
                Phase::Prepared => return Err(format!("in doubt: transaction {id} was lost")),
                Phase::Committing(commit) if *commit > at => {
                    return Err(format!("in doubt: transaction {id} was lost before its commit {commit}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A store was opened for writing at commit `at`: whatever it lists, it promises from now on.
    pub fn recovered(&mut self, store: &PersistentVectorStore) -> Check {
        let listed = list(store)?;
        let stats = store.stats().map_err(|error| format!("stats: {error}"))?;
        if stats.in_doubt != listed.len() as u64 {
            return Err(format!("in doubt: {} in the statistics, {listed:?} in the list", stats.in_doubt));
        }
        for (id, (script, phase)) in std::mem::take(&mut self.undecided) {
            match phase {
                _ if listed.contains_key(&id) => {
                    self.undecided.insert(id, (script, Phase::Prepared));
                }
                Phase::Committing(commit) => self.decided.push((id, Some(commit))),
                Phase::RollingBack => self.decided.push((id, None)),
                Phase::Preparing | Phase::Prepared => {}
            }
        }
        Ok(())
    }

    /// Decides something again that was decided before.
    pub fn decide_again(&self, store: &PersistentVectorStore, rng: &mut Rng) -> Option<Again> {
        if self.decided.is_empty() {
            return None;
        }
        let (id, commit) = *rng.pick(&self.decided);
        let (committed, rolled_back) = (store.commit_prepared(TxnId(id)), store.rollback_prepared(TxnId(id)));
        let kind = |error: &codegraph_vector::Error| error.kind();
        let fits = match commit {
            Some(seqno) => {
                committed.as_ref().is_ok_and(|receipt| receipt.seqno.0 == seqno && receipt.durable)
                    && rolled_back.as_ref().err().map(kind) == Some(ErrorKind::InvalidInput)
            }
            None => {
                committed.as_ref().err().map(kind) == Some(ErrorKind::InvalidInput) && rolled_back.is_ok()
            }
        };
        let text = format!("decision: {committed:?} and {rolled_back:?} of {id}, which was {commit:?}");
        Some(Again { fits, text, failed: committed.err().or(rolled_back.err()) })
    }
}

/// What became of a decision that was made again.
pub struct Again {
    pub fits: bool,
    pub text: String,
    pub failed: Option<codegraph_vector::Error>,
}

fn list(store: &PersistentVectorStore) -> Check<BTreeMap<u64, InDoubt>> {
    let listed = store.in_doubt().map_err(|error| format!("in_doubt: {error}"))?;
    Ok(listed.into_iter().map(|found| (found.transaction.0, found)).collect())
}
