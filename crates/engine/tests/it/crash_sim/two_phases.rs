//! The steps of a run that prepare and decide transactions.
//!
//! Guards against: what `prepared.rs` says, at every call of both phases.

use codegraph_vector::{Error, ErrorKind, PersistentVectorStore, Result, TxnId, WriteOutcome};

use super::model::{Change, Check, Effect};
use super::prepared::{Phase, Script};
use super::run::Run;
use super::world::Inner;

/// More in doubt would leave little for others to write.
const MOST_IN_DOUBT: usize = 3;

impl Run {
    /// Runs a transaction up to its first phase.
    pub fn prepare(&mut self, store: &PersistentVectorStore, script: &Script) -> Check {
        let free = |inner: &mut Inner| {
            let prepared = &inner.model.prepared;
            (prepared.len() < MOST_IN_DOUBT).then(|| prepared.free(script.clone(), inner.model.last()))
        };
        let Some(script) = self.world.aside(free) else { return Ok(()) };
        let failed = |error: Error| format!("transaction: {error:?}");
        let mut transaction = store.begin(script.level).map_err(failed)?;
        script.reads.iter().try_for_each(|id| transaction.get(*id).map(|_| ())).map_err(failed)?;
        script.puts.iter().try_for_each(|node| transaction.put(node.clone())).map_err(failed)?;
        script.deletes.iter().try_for_each(|id| transaction.delete(*id).map(|_| ())).map_err(failed)?;
        let id = transaction.id().0;
        self.world.aside(|inner| inner.model.prepared.begin(id, script));
        let result = transaction.prepare();
        drop(transaction);
        self.heard()?;
        self.world.aside(|inner| {
            match result {
                Ok(_) => {
                    inner.model.prepared.is_at(id, Phase::Prepared);
                    inner.did.prepared += 1;
                    // Whatever the settings say, the log is synced up to there.
                    inner.model.acknowledge(inner.model.end(), true);
                }
                Err(error) => {
                    inner.excuse(&error)?;
                    if error.kind() != ErrorKind::OutcomeUnknown {
                        inner.model.prepared.forget(id);
                    }
                }
            }
            Ok(())
        })
    }

    /// Decides one of those in doubt, or again one that was decided.
    pub fn decide(&mut self, store: &PersistentVectorStore, commit: bool, again: bool) -> Check {
        if again {
            return self.world.aside(|inner| {
                let Some(again) = inner.model.prepared.decide_again(store, &mut inner.rng) else {
                    return Ok(());
                };
                match again.failed {
                    _ if again.fits => Ok(()),
                    Some(error) => inner.excuse(&error).map_err(|_| again.text),
                    None => Err(again.text),
                }
            });
        }
        let any = self.world.aside(|inner| inner.model.prepared.any(&mut inner.rng));
        let Some((id, script)) = any else { return Ok(()) };
        if commit { self.commit(store, id, script.change()) } else { self.roll_back(store, id) }
    }

    fn commit(&mut self, store: &PersistentVectorStore, id: u64, change: Change) -> Check {
        let at = self.world.aside(|inner| {
            inner.begin(change)?;
            let at = inner.model.end();
            inner.model.prepared.is_at(id, Phase::Committing(at));
            Check::Ok(at)
        })?;
        let result = store.commit_prepared(TxnId(id));
        self.heard()?;
        self.world.aside(|inner| {
            let outer = inner.outer.take().ok_or_else(|| "the run has lost its decision".to_owned())?;
            let deleted = if let Effect::Commit(_, deleted) = outer.effect { deleted } else { 0 };
            match &result {
                Ok(receipt) if !receipt.durable => return Err(format!("receipt: {receipt:?} of a decision")),
                Ok(_) => {
                    inner.model.prepared.decide(id, Some(at));
                    inner.did.decided += 1;
                }
                Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {}
                Err(_) => inner.model.prepared.is_at(id, Phase::Prepared),
            }
            let result: Result<WriteOutcome> = result.map(|receipt| WriteOutcome { receipt, deleted });
            inner.settle(outer, result)
        })
    }

    fn roll_back(&mut self, store: &PersistentVectorStore, id: u64) -> Check {
        self.world.aside(|inner| inner.model.prepared.is_at(id, Phase::RollingBack));
        let result = store.rollback_prepared(TxnId(id));
        self.heard()?;
        self.world.aside(|inner| {
            match result {
                Ok(()) => {
                    inner.model.prepared.decide(id, None);
                    inner.model.acknowledge(inner.model.end(), true);
                    inner.did.decided += 1;
                }
                Err(error) => {
                    inner.excuse(&error)?;
                    if error.kind() != ErrorKind::OutcomeUnknown {
                        inner.model.prepared.is_at(id, Phase::Prepared);
                    }
                }
            }
            Ok(())
        })
    }

    /// A write that has to be refused for the sake of one in doubt.
    pub fn held_up(&mut self, store: &PersistentVectorStore, change: &Change) -> Check {
        let result = store.submit(&change.write());
        self.heard()?;
        self.world.aside(|inner| match result {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                inner.did.held_up += 1;
                Ok(())
            }
            Err(error) => inner.excuse(&error),
            Ok(_) => Err("in doubt: a write was not held up".to_owned()),
        })
    }
}

impl Inner {
    /// A call failed, which is right only after a fault; the store may have stopped.
    fn excuse(&mut self, error: &Error) -> Check {
        if !self.faults.happened() {
            return Err(format!("kind: {error:?} without a fault"));
        }
        self.limbo |= matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::ReadOnly);
        Ok(())
    }
}
