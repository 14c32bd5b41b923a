//! What a write was told, held against what it had to be told.
//!
//! Guards against: acknowledgements that are not true, errors of the wrong kind, a store that stops
//! where it should go on, or goes on where it must stop.

use codegraph_vector::{ErrorKind, Result, WriteOutcome};
use codegraph_vector_testkit::{Fault, Op};

use super::model::{Check, Effect};
use super::world::{Inner, Outer, is_full};

impl Inner {
    /// The write of the workload has returned.
    pub fn settle(&mut self, outer: Outer, result: Result<WriteOutcome>) -> Check {
        self.check_kind(&result)?;
        match (&outer.effect, &result) {
            (Effect::Commit(_, deleted), Ok(outcome)) => {
                let receipt = outcome.receipt;
                if Some(receipt.seqno.0) != outer.at || outcome.deleted != *deleted {
                    return Err(format!(
                        "receipt: {outcome:?}, but it is commit {:?}, deleting {deleted}",
                        outer.at
                    ));
                }
                if self.synced && !receipt.durable {
                    return Err(format!("receipt: {receipt:?} under Sync"));
                }
                self.model.acknowledge(receipt.seqno.0, receipt.durable);
                Ok(())
            }
            (Effect::Nothing, Ok(outcome)) if outcome.deleted == 0 => {
                self.model.acknowledge(outcome.receipt.seqno.0, outcome.receipt.durable);
                Ok(())
            }
            (Effect::NotFound, Err(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
            (_, Err(error)) if self.limbo || self.faults.happened() => {
                self.failed(outer.at, error.kind());
                Ok(())
            }
            (effect, result) => Err(format!("outcome: {result:?} instead of {effect:?}")),
        }
    }

    /// A write that was queued beside it has returned.
    pub fn settle_pending(&mut self, at: u64, result: Result<WriteOutcome>) -> Check {
        match result {
            Ok(outcome) if outcome.receipt.seqno.0 == at && at <= self.model.end() => {
                self.model.acknowledge(at, outcome.receipt.durable);
                Ok(())
            }
            Err(error) if self.limbo || self.faults.happened() => {
                self.failed(Some(at), error.kind());
                Ok(())
            }
            result => Err(format!("outcome: {result:?} for the queued commit {at}")),
        }
    }

    /// A write failed: it is not there, and nothing that was numbered behind it, unless its outcome
    /// is unknown.
    fn failed(&mut self, at: Option<u64>, kind: ErrorKind) {
        match (kind, at) {
            (ErrorKind::OutcomeUnknown, _) => self.limbo = true,
            (_, Some(at)) if at <= self.model.end() => self.model.truncate(at - 1),
            _ => {}
        }
        self.limbo |= kind == ErrorKind::ReadOnly;
    }

    /// Whether one fault was answered as it must be.
    fn check_kind(&self, result: &Result<WriteOutcome>) -> Check {
        if self.limbo || self.company {
            return Ok(()); // Or the company's call was the one that failed.
        }
        let kind = result.as_ref().err().map(|error| error.kind());
        let wrong = |wanted| Err(format!("kind: {result:?} instead of {wanted} after {:?}", self.faults.now));
        let full = |op, fault: Fault| matches!(op, Op::Write | Op::Allocate) && is_full(fault);
        if (self.faults.only(".wal", full) || self.faults.only(".wal.tmp", full))
            && kind != Some(ErrorKind::StorageFull)
        {
            return wrong("StorageFull");
        }
        let sync = |op, _| op == Op::SyncData;
        if self.faults.only(".wal", sync) && kind != Some(ErrorKind::OutcomeUnknown) {
            return wrong("OutcomeUnknown");
        }
        Ok(())
    }
}
