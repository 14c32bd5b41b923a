//! Whether commits of others changed what a transaction has read.
//!
//! What always holds: nothing that changes what a tracked read found is missed. What cannot be told, since the vector of a
//! row that was put is neither kept nor visible, or since the commits are no longer known, counts as a conflict.
//!
//! Most of it happens outside of the log's lock ([`ReadSet::validate`]); what was committed meanwhile is looked at inside
//! ([`ReadSet::validate_rest`]), where nothing can come between that and the transaction's own commit.

use std::cell::OnceCell;
use std::sync::Arc;

use codegraph_vector_base::{Conflict, ConflictCause, NodeId, Result, SeqNo};

use super::reads::{Predicate, ReadSet, Watched};
use super::state::State;
use crate::store::{Effects, PutEffect, Ring, Row};

/// Commits that are copied out of the ring in one go, for microseconds under the log's lock.
const COMMITS_AT_ONCE: usize = 256;
/// Rows that are left for the log's lock, if no more were changed meanwhile.
const ROWS_FOR_THE_LOCK: usize = 16;
/// Times that the ring is asked what is new: where there is always more, the rest is left for the log's lock.
const ROUNDS: usize = 64;

/// How far a validation outside of the log's lock came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validated {
    /// The last commit that was looked at.
    seqno: SeqNo,
    /// If commits were taken back since, their SeqNos are those of others.
    rewinds: u64,
}

impl ReadSet {
    /// What of this a commit changes, if it does. `state` is what was read or, for a transaction that is prepared, what is
    /// committed; `commit` is [`SeqNo::MAX`] if it is not numbered yet.
    ///
    /// # Errors
    /// `Corrupt` if a row that it has to look at is damaged.
    pub(crate) fn conflict(
        &self,
        effects: &Effects,
        commit: SeqNo,
        state: &State<'_>,
    ) -> Result<Option<Conflict>> {
        if commit > self.rows_from
            && let Some(id) = effects.ids().find(|id| self.rows.contains(id))
        {
            return Ok(Some(Conflict::new(ConflictCause::Read).on_node(id).with(effects.transaction)));
        }
        if self.watched.iter().all(|watched| commit <= watched.from) {
            return Ok(None);
        }
        let puts = effects.puts.iter().map(|put| (put.id, Some(put)));
        for (id, put) in puts.chain(effects.deletes.iter().map(|id| (*id, None))) {
            let touched = Touched { id, put, commit, state, old: OnceCell::new(), new: OnceCell::new() };
            for watched in self.watched.iter().filter(|watched| commit > watched.from) {
                if touched.put_matches(&watched.predicate)? || touched.old_matched(watched)? {
                    let conflict = Conflict::new(ConflictCause::Predicate).on_node(id);
                    let about = watched.predicate.to_string();
                    return Ok(Some(conflict.on_predicate(about).with(effects.transaction)));
                }
            }
        }
        Ok(None)
    }

    /// Looks at what was committed since, outside of the log's lock, until little is left.
    ///
    /// # Errors
    /// `Conflict`; `Corrupt` as [`conflict`](Self::conflict).
    pub(crate) fn validate(&self, state: &State<'_>) -> Result<Option<Validated>> {
        let (writer, from) = (state.core.writer()?, self.from());
        if from == SeqNo::MAX || state.core.switches.skip_validation {
            return Ok(None);
        }
        let mut done: Option<Validated> = None;
        for _ in 0..ROUNDS {
            let (rewinds, commits) = writer.log.with_state(|assigned| {
                let ring = &assigned.ring;
                let since = self.rest(ring, done).map(|rest| rest.take(COMMITS_AT_ONCE).map(cloned));
                (ring.rewinds(), since.map(Iterator::collect::<Vec<_>>))
            });
            let commits = commits?;
            let again = done.filter(|done| done.rewinds == rewinds);
            let last = commits.last().map_or(again.map_or(from, |done| done.seqno), |(seqno, _)| *seqno);
            for (seqno, effects) in &commits {
                self.check(effects, *seqno, state)?;
            }
            done = Some(Validated { seqno: last, rewinds });
            let rows: usize =
                commits.iter().map(|(_, effects)| effects.puts.len() + effects.deletes.len()).sum();
            if commits.len() < COMMITS_AT_ONCE && rows <= ROWS_FOR_THE_LOCK {
                break;
            }
        }
        Ok(done)
    }

    /// Looks at what was committed since, or since `done`; under the log's lock.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub(crate) fn validate_rest(
        &self,
        state: &State<'_>,
        ring: &Ring,
        done: Option<Validated>,
    ) -> Result<()> {
        if state.core.switches.skip_validation {
            return Ok(());
        }
        for (seqno, effects) in self.rest(ring, done)? {
            self.check(effects, seqno, state)?;
        }
        Ok(())
    }

    /// What is in the ring and was not looked at.
    fn rest<'r>(
        &self,
        ring: &'r Ring,
        done: Option<Validated>,
    ) -> Result<impl Iterator<Item = (SeqNo, &'r Arc<Effects>)> + use<'r>> {
        let done = done.filter(|done| done.rewinds == ring.rewinds());
        let from = done.map_or_else(|| self.from(), |done| done.seqno);
        ring.since(from).ok_or_else(|| Conflict::new(ConflictCause::SnapshotTooOld).into())
    }

    fn check(&self, effects: &Effects, commit: SeqNo, state: &State<'_>) -> Result<()> {
        self.conflict(effects, commit, state)?.map_or(Ok(()), |conflict| Err(conflict.into()))
    }
}

fn cloned((seqno, effects): (SeqNo, &Arc<Effects>)) -> (SeqNo, Arc<Effects>) {
    (seqno, effects.clone())
}

/// A node that a commit touched. What it was and is now is looked up when it is first asked for.
struct Touched<'a> {
    id: NodeId,
    put: Option<&'a PutEffect>,
    commit: SeqNo,
    state: &'a State<'a>,
    old: OnceCell<Option<Row>>,
    new: OnceCell<Option<Row>>,
}

impl Touched<'_> {
    /// Whether it matches now.
    fn put_matches(&self, predicate: &Predicate) -> Result<bool> {
        let Some(put) = self.put.filter(|put| predicate.allows(put.id, &put.metadata)) else {
            return Ok(false);
        };
        let Predicate::Near(near) = predicate else { return Ok(true) };
        let metric = self.state.core.metric;
        if let Some(vector) = &put.vector {
            return Ok(near.reaches(metric, vector, put.norm));
        }
        let row = known(&self.new, || self.committed())?;
        Ok(row.is_none_or(|row| near.reaches(metric, &row.vector, put.norm)))
    }

    /// Whether it matched.
    fn old_matched(&self, watched: &Watched) -> Result<bool> {
        if let Some(matched) = &watched.matched {
            return Ok(matched.contains(&self.id));
        }
        let Some(row) = known(&self.old, || self.state.row(self.id))? else { return Ok(false) };
        if !watched.predicate.allows(self.id, &*row.metadata()?) {
            return Ok(false);
        }
        let Predicate::Near(near) = &watched.predicate else { return Ok(true) };
        Ok(near.reaches(self.state.core.metric, &row.vector, row.columns.norm))
    }

    /// The row as it was committed, if that can be read.
    fn committed(&self) -> Result<Option<Row>> {
        let core = self.state.core;
        let (version, visible) = core.read_point();
        match self.commit <= visible {
            true => State { core, version: &version, seqno: self.commit }.row(self.id),
            false => Ok(None),
        }
    }
}

/// What is in the cell, looked up if it is not.
fn known(
    cell: &OnceCell<Option<Row>>,
    look_up: impl FnOnce() -> Result<Option<Row>>,
) -> Result<Option<&Row>> {
    if cell.get().is_none() {
        let _ = cell.set(look_up()?);
    }
    Ok(cell.get().and_then(Option::as_ref))
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
