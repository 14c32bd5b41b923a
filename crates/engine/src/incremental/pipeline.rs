//! The queue: how operations get in, and how their end is waited for. Who works at it is in `workers.rs`.
//!
//! What always holds:
//! - what was taken in is done with in the end, and its ticket told, whatever panics or fails;
//! - somebody is at work, or about to be, as long as there is something that may be done: who ends a batch wakes the next.
//!   Without threads that is whoever waits;
//! - no lock of the engine is waited for under the lock of the queue, but those for looking a path up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use codegraph_vector_base::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::config::{Limits, WhenFull, overloaded};
use super::graph::{Graph, Key, TaskId};
use super::operation::{IncrementalOperation, Priority};
use super::prepare::Prepared;
use super::seal::Age;
use super::statistics::{Counters, IncrementalStatistics, Sums};
use super::ticket::{Submission, Ticket};
use crate::pool;
use crate::store::core::Core;

/// An operation on its way.
#[derive(Debug)]
pub(super) struct Task {
    /// None once it is prepared.
    pub(super) operation: Option<IncrementalOperation>,
    pub(super) prepared: Option<Prepared>,
    pub(super) submission: Arc<Submission>,
    /// Its place there.
    pub(super) at: usize,
    pub(super) weight: usize,
    /// By the monotonic clock.
    pub(super) submitted: Duration,
    pub(super) attempts: u32,
}

/// What a manager and its tickets share.
pub(super) struct Pipeline {
    /// Not the store's handle: tickets do not keep it open.
    pub(super) core: Arc<Core>,
    pub(super) config: Limits,
    pub(super) counters: Counters,
    pub(super) state: Mutex<State>,
    /// Something was done with, for those who wait for room or for all.
    pub(super) changed: Condvar,
    pub(super) this: Weak<Pipeline>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) graph: Graph<Task>,
    /// Of all that is not done with.
    pub(super) weight: usize,
    /// What is tried again later, by when; the number tells equal times apart.
    pub(super) put_off: BTreeMap<(Duration, u64), Vec<(TaskId, Task)>>,
    pub(super) put_offs: u64,
    /// Jobs of the pool, queued or running.
    pub(super) workers: usize,
    /// Those of them that run.
    pub(super) running: usize,
    /// Batches at work.
    pub(super) batches: usize,
    /// Batches that were begun.
    pub(super) rounds: u64,
    /// A timer will look whether operations have waited long enough for company.
    pub(super) timer: bool,
    /// Tickets that somebody waits for, with nothing to do.
    pub(super) parked: Vec<Arc<Submission>>,
    /// Threads that wait for `changed`.
    pub(super) sleepers: usize,
    /// Who waits for room, in turn.
    line: VecDeque<(Priority, u64)>,
    lined_up: u64,
    pub(super) paused: bool,
    pub(super) closing: bool,
    /// Why nothing can be done any more.
    pub(super) stopped: Option<Error>,
    pub(super) sums: Sums,
    pub(super) age: Age,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("path", &self.core.layout.root()).finish_non_exhaustive()
    }
}

impl State {
    /// Whether there is something that may be begun.
    pub(super) fn is_busy(&self) -> bool {
        self.graph.ready_weight() > 0 && (!self.paused || self.closing) && self.stopped.is_none()
    }

    /// Lets what was put off until then be tried again.
    pub(super) fn release(&mut self, until: Duration) {
        while let Some(entry) = self.put_off.first_entry().filter(|entry| entry.key().0 <= until) {
            entry.remove().into_iter().for_each(|(id, task)| self.graph.put_back(id, task));
        }
    }

    /// When something that was put off is tried again.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.put_off.first_key_value().map(|((due, _), _)| *due)
    }

    fn line_up(&mut self, priority: Priority) -> u64 {
        self.lined_up += 1;
        let place = match priority {
            Priority::High => self.line.partition_point(|(other, _)| *other == Priority::High),
            Priority::Normal | Priority::Low => self.line.len(),
        };
        self.line.insert(place, (priority, self.lined_up));
        self.lined_up
    }
}

impl Pipeline {
    pub(super) fn new(core: Arc<Core>, config: Limits) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            core,
            config,
            counters: Counters::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
            this: this.clone(),
        })
    }

    pub(super) fn now(&self) -> Duration {
        self.core.environment.clock.monotonic()
    }

    /// Takes operations in.
    pub(super) fn submit(
        self: &Arc<Self>,
        operations: Vec<IncrementalOperation>,
        priority: Priority,
    ) -> Result<Ticket> {
        if operations.is_empty() {
            return Err(Error::invalid("the batch is empty: there is nothing to do"));
        }
        let submission = Submission::new(operations.len());
        let mut state = self.admit(operations.iter().map(IncrementalOperation::weight).sum(), priority)?;
        let submitted = self.now();
        state.sums.submitted += operations.len() as u64;
        for (at, operation) in operations.into_iter().enumerate() {
            let mut spec = operation.spec(priority);
            let mut under = Ok(Vec::new());
            if let IncrementalOperation::ReplacePath { path, .. } = &operation {
                // What goes by it is written by it, and so has its order: what is there, and what is on its way there.
                spec.keys.extend(state.graph.nodes_under(Key::path(path)).collect::<Vec<_>>());
                let (version, seqno) = self.core.read_point();
                under = self.core.ids_of_path(&version, seqno, path);
                // Where many paths are replaced, others get in between.
                MutexGuard::bump(&mut state);
            }
            match under {
                Ok(ids) => spec.keys.extend(ids.into_iter().map(Key::Node)),
                Err(error) => {
                    state.weight -= spec.weight;
                    state.sums.failed += 1;
                    submission.complete(at, Err(error));
                    continue;
                }
            }
            let (submission, weight) = (submission.clone(), spec.weight);
            let (operation, prepared) = (Some(operation), None);
            let task = Task { operation, prepared, submission, at, weight, submitted, attempts: 0 };
            state.graph.insert(spec, task);
        }
        self.go_on(state, Vec::new());
        Ok(Ticket::new(submission, self.clone()))
    }

    /// Waits for room as long as it may, and takes it.
    fn admit(&self, weight: usize, priority: Priority) -> Result<MutexGuard<'_, State>> {
        let capacity = self.config.queue_capacity;
        let mut turn = None;
        let (mut deadline, mut is_late) = (None, false);
        let mut state = self.state.lock();
        let refusal = loop {
            if let Some(error) = &state.stopped {
                break error.clone();
            }
            if state.closing {
                break Error::new(ErrorKind::Closed, "this manager was shut down");
            }
            let first = state.line.front().map(|(_, number)| *number);
            if first == turn && (state.weight == 0 || state.weight + weight <= capacity) {
                if turn.is_some() {
                    state.line.pop_front();
                    self.changed.notify_all(); // There may be room for the next, too.
                }
                state.weight += weight;
                return Ok(state);
            }
            let at_most = match self.config.when_full {
                WhenFull::Refuse => Some(Duration::ZERO),
                WhenFull::Block { at_most } => at_most,
            };
            let now = self.now();
            deadline = deadline.or_else(|| at_most.and_then(|at_most| now.checked_add(at_most)));
            if is_late || deadline.is_some_and(|deadline| deadline <= now) {
                state.sums.refused += 1;
                let delay = state.sums.time_for(state.weight + weight - capacity.min(state.weight + weight));
                break overloaded(state.weight, capacity, delay);
            }
            turn = turn.or_else(|| Some(state.line_up(priority)));
            if state.is_busy() {
                drop(state);
                self.step();
                state = self.state.lock();
            } else {
                is_late = self.doze(&mut state, deadline);
            }
        };
        if turn.is_some() {
            state.line.retain(|(_, number)| Some(*number) != turn);
            self.changed.notify_all(); // Who stood behind may be small enough.
        }
        Err(refusal)
    }

    /// Sleeps until something was done with, or something that was put off is due, or until the deadline; whether it was
    /// the deadline.
    fn doze(&self, state: &mut MutexGuard<'_, State>, deadline: Option<Duration>) -> bool {
        let (now, due) = (self.now(), state.next_due());
        state.sleepers += 1;
        let timed_out = match due.into_iter().chain(deadline).min() {
            None => {
                self.changed.wait(state);
                None
            }
            Some(until) => {
                let timed_out = self.changed.wait_for(state, until.saturating_sub(now)).timed_out();
                timed_out.then_some(until)
            }
        };
        state.sleepers -= 1;
        if let Some(due) = due.filter(|_| timed_out == due) {
            state.release(due);
        }
        timed_out.is_some() && timed_out == deadline
    }

    /// Works, or waits, until `is_over` says so; even while the manager is paused.
    fn work_until(&self, is_over: impl Fn(&State) -> bool) -> Result<()> {
        let mut state = self.state.lock();
        while !is_over(&state) {
            if state.graph.ready_weight() > 0 && state.stopped.is_none() {
                drop(state);
                self.step_regardless();
                state = self.state.lock();
            } else {
                self.doze(&mut state, None);
            }
        }
        state.stopped.clone().map_or(Ok(()), Err)
    }

    /// Waits until all that was submitted before is done with.
    pub(super) fn flush(&self) -> Result<()> {
        let end = self.state.lock().graph.next_id();
        self.work_until(|state| state.graph.oldest().is_none_or(|oldest| oldest >= end))
    }

    /// Takes nothing in any more, and waits until all is done with.
    pub(super) fn shutdown(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.closing = true;
        self.changed.notify_all();
        self.go_on(state, Vec::new());
        self.work_until(|state| state.weight == 0)
    }

    /// Begins nothing more, or goes on.
    pub(super) fn pause(&self, paused: bool) {
        let mut state = self.state.lock();
        state.paused = paused;
        let parked = std::mem::take(&mut state.parked);
        self.changed.notify_all();
        self.go_on(state, Vec::new());
        parked.into_iter().for_each(|submission| submission.poke());
    }

    /// Sleeps until a ticket's operations are done with, or there is something to do.
    pub(super) fn park(&self, submission: &Arc<Submission>) {
        let mut state = self.state.lock();
        if state.is_busy() {
            return;
        }
        let (now, due) = (self.now(), state.next_due());
        state.parked.push(submission.clone());
        drop(state);
        let timed_out = submission.sleep(due.map(|due| due.saturating_sub(now)));
        let mut state = self.state.lock();
        state.parked.retain(|other| !Arc::ptr_eq(other, submission));
        if let Some(due) = due.filter(|_| timed_out) {
            state.release(due);
        }
    }

    /// Has a ticket that is awaited poked when there is something to do.
    pub(super) fn enlist(&self, submission: &Arc<Submission>) {
        let mut state = self.state.lock();
        let (now, due) = (self.now(), state.next_due());
        let is_busy = state.is_busy();
        if !is_busy && !state.parked.iter().any(|other| Arc::ptr_eq(other, submission)) {
            state.parked.push(submission.clone());
        }
        drop(state);
        if is_busy {
            submission.poke();
        } else if let Some(due) = due {
            let (this, submission) = (self.this.clone(), submission.clone());
            pool::spawn_after(due.saturating_sub(now), move || {
                if let Some(this) = this.upgrade() {
                    this.state.lock().release(due);
                }
                submission.poke();
            });
        }
    }

    /// Whether operations are carried out without anybody waiting for them.
    pub(super) fn works_alone(&self) -> bool {
        self.config.worker_threads > 0
    }

    pub(super) fn statistics(&self) -> IncrementalStatistics {
        let state = self.state.lock();
        let waiting = state.put_off.values().map(Vec::len).sum();
        state.sums.statistics(&self.counters, state.graph.queued(), waiting)
    }
}
