//! What who submits gets: a ticket, and in the end what became of each operation.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use codegraph_vector_base::{Error, Result};
use parking_lot::{Condvar, Mutex};

use super::pipeline::Pipeline;
use crate::store::WriteOutcome;

/// What became of the operations of one submission, in their order.
#[derive(Clone, Debug)]
pub struct TicketOutcome {
    /// Of each operation its commit, or why it did not come about. Others are not touched by that.
    pub outcomes: Vec<Result<WriteOutcome>>,
}

impl TicketOutcome {
    /// The last commit of them all, durable if all are, and how many nodes are gone.
    ///
    /// # Errors
    /// That of the first operation that failed, led by its place if there are several.
    pub fn all(&self) -> Result<WriteOutcome> {
        let mut whole: Option<WriteOutcome> = None;
        for (at, outcome) in self.outcomes.iter().enumerate() {
            let next = match outcome {
                Ok(next) => *next,
                Err(error) if self.outcomes.len() == 1 => return Err(error.clone()),
                Err(error) => return Err(error.clone().context(format_args!("operation {at}"))),
            };
            whole = Some(match whole {
                None => next,
                Some(so_far) => {
                    let last = [so_far.receipt, next.receipt].into_iter().max_by_key(|receipt| receipt.seqno);
                    let mut receipt = last.unwrap_or(next.receipt);
                    receipt.durable = so_far.receipt.durable && next.receipt.durable;
                    WriteOutcome { receipt, deleted: so_far.deleted + next.deleted }
                }
            });
        }
        whole.ok_or_else(|| Error::invalid("there was no operation"))
    }

    /// The operations that failed, by their place.
    pub fn errors(&self) -> impl Iterator<Item = (usize, &Error)> {
        self.outcomes.iter().enumerate().filter_map(|(at, outcome)| Some((at, outcome.as_ref().err()?)))
    }
}

/// One submission, to be waited for: [`wait`](Ticket::wait), or `.await` under any executor. Dropping it takes nothing
/// back. Without worker threads awaiting does the work where it is polled, syncs included.
#[derive(Debug)]
pub struct Ticket {
    submission: Arc<Submission>,
    pipeline: Arc<Pipeline>,
}

impl Ticket {
    pub(super) fn new(submission: Arc<Submission>, pipeline: Arc<Pipeline>) -> Self {
        Self { submission, pipeline }
    }

    /// Waits until every operation is done with, and lends a hand meanwhile. While the manager is paused, it waits for
    /// its [`resume`](super::IncrementalUpdateManager::resume).
    pub fn wait(self) -> TicketOutcome {
        loop {
            if let Some(outcome) = self.submission.outcome() {
                return outcome;
            }
            if !self.pipeline.step() {
                self.pipeline.park(&self.submission);
            }
        }
    }

    /// What became of the operations, if all are done with.
    pub fn try_outcome(&self) -> Option<TicketOutcome> {
        self.submission.look()
    }
}

impl Future for Ticket {
    type Output = TicketOutcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TicketOutcome> {
        if let Some(outcome) = self.submission.outcome_or_wake(context.waker()) {
            return Poll::Ready(outcome);
        }
        if self.pipeline.works_alone() {
            return Poll::Pending;
        }
        while self.pipeline.step() {}
        let outcome = self.submission.outcome_or_wake(context.waker());
        if outcome.is_none() {
            self.pipeline.enlist(&self.submission); // It is put off for a while, or at another thread.
        }
        outcome.map_or(Poll::Pending, Poll::Ready)
    }
}

/// What a ticket stands for.
#[derive(Debug)]
pub(super) struct Submission {
    progress: Mutex<Progress>,
    woken: Condvar,
}

#[derive(Debug)]
struct Progress {
    outcomes: Vec<Option<Result<WriteOutcome>>>,
    /// Operations not done with.
    left: usize,
    waker: Option<Waker>,
    /// There is something to do for who waits.
    poked: bool,
}

impl Submission {
    pub(super) fn new(operations: usize) -> Arc<Self> {
        let outcomes = vec![None; operations];
        let progress = Progress { outcomes, left: operations, waker: None, poked: false };
        Arc::new(Self { progress: Mutex::new(progress), woken: Condvar::new() })
    }

    /// An operation is done with.
    pub(super) fn complete(&self, at: usize, outcome: Result<WriteOutcome>) {
        let mut progress = self.progress.lock();
        if progress.outcomes[at].replace(outcome).is_some() {
            return;
        }
        progress.left -= 1;
        if progress.left == 0 {
            let waker = progress.waker.take();
            drop(progress);
            self.woken.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// What became of it, to be asked once.
    fn outcome(&self) -> Option<TicketOutcome> {
        let mut progress = self.progress.lock();
        if progress.left > 0 {
            return None;
        }
        let outcomes = std::mem::take(&mut progress.outcomes);
        Some(TicketOutcome { outcomes: outcomes.into_iter().flatten().collect() })
    }

    /// The same; or has `waker` called when there is one.
    fn outcome_or_wake(&self, waker: &Waker) -> Option<TicketOutcome> {
        self.progress.lock().waker = Some(waker.clone());
        self.outcome()
    }

    /// The same, to be asked again.
    fn look(&self) -> Option<TicketOutcome> {
        let progress = self.progress.lock();
        let outcomes = || TicketOutcome { outcomes: progress.outcomes.iter().flatten().cloned().collect() };
        (progress.left == 0).then(outcomes)
    }

    pub(super) fn is_done(&self) -> bool {
        self.progress.lock().left == 0
    }

    /// Wakes who waits, to do something.
    pub(super) fn poke(&self) {
        let mut progress = self.progress.lock();
        progress.poked = true;
        let waker = progress.waker.take();
        drop(progress);
        self.woken.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Sleeps until all is done, there is something to do, or so much time went by; whether it did.
    pub(super) fn sleep(&self, at_most: Option<Duration>) -> bool {
        let mut progress = self.progress.lock();
        while progress.left > 0 && !std::mem::take(&mut progress.poked) {
            match at_most {
                None => self.woken.wait(&mut progress),
                Some(at_most) if self.woken.wait_for(&mut progress, at_most).timed_out() => return true,
                Some(_) => {}
            }
        }
        false
    }
}
