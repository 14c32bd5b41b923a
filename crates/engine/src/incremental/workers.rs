//! Who works at the queue: jobs of the pool, and whoever waits. Both take the same steps.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_base::{Error, ErrorKind, Result};
use parking_lot::MutexGuard;

use super::batch::{Fate, Item};
use super::graph::{Most, TaskId};
use super::operation::Priority;
use super::pipeline::{Pipeline, State, Task};
use super::ticket::Submission;
use crate::pool;
use crate::store::WriteOutcome;

/// Most bytes of a batch: more would hold up what is urgent, at the disk.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// The longest pause before another attempt.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// What a ticket is to be told: its place, and what became of it.
pub(super) type News = (Arc<Submission>, usize, Result<WriteOutcome>);

/// Who is to be woken.
enum Next {
    Nobody,
    Worker,
    /// If operations are still waiting then.
    Timer(Duration),
    Waiter(Arc<Submission>),
}

impl Pipeline {
    /// Carries out what may be done now, as one batch; `false` if there is nothing.
    pub(super) fn step(&self) -> bool {
        let mut state = self.state.lock();
        state.release(self.now());
        state.is_busy() && self.run(state)
    }

    /// The same while the manager is paused.
    pub(super) fn step_regardless(&self) -> bool {
        let mut state = self.state.lock();
        state.release(self.now());
        self.run(state)
    }

    fn run(&self, mut state: MutexGuard<'_, State>) -> bool {
        // Low does not starve: one batch in eight begins with it, one in four with normal.
        let lanes = match state.rounds % 8 {
            7 => [Priority::Low, Priority::High, Priority::Normal],
            1 | 5 => [Priority::Normal, Priority::High, Priority::Low],
            _ => [Priority::High, Priority::Normal, Priority::Low],
        };
        let most = Most { weight: self.config.max_batch_size, bytes: self.max_batch_bytes() };
        let tasks = state.graph.take(most, lanes);
        if tasks.is_empty() {
            return false;
        }
        state.rounds += 1;
        state.batches += 1;
        drop(state);
        let mut items: Vec<Item> = tasks.into_iter().map(Item::new).collect();
        let begin = self.now();
        self.carry_out(&mut items);
        self.settle(items, begin);
        if !self.works_alone() {
            self.check_age();
        }
        true
    }

    fn max_batch_bytes(&self) -> usize {
        let most = self.core.settings.load().max_batch_bytes;
        // What rows take in the log besides what is counted is less than they do.
        MAX_BATCH_BYTES.min(usize::try_from(most / 2).unwrap_or(usize::MAX))
    }

    /// After a batch: what is done with is told, the rest is tried again later.
    fn settle(&self, items: Vec<Item>, begin: Duration) {
        let mut news: Vec<News> = Vec::with_capacity(items.len());
        let now = self.now();
        let mut retries: Vec<(Duration, Vec<(TaskId, Task)>)> = Vec::new();
        let mut state = self.state.lock();
        state.batches -= 1;
        state.sums.batch(items.iter().map(|item| item.task.weight).sum(), now.saturating_sub(begin));
        for Item { id, mut task, fate, .. } in items {
            let outcome = match fate {
                Some(Fate::Done(outcome)) => outcome,
                Some(Fate::Later(_)) if task.attempts < self.config.retries => {
                    let doubled = self.config.retry_backoff.saturating_mul(1 << task.attempts.min(20));
                    let delay = doubled.min(MAX_BACKOFF);
                    task.attempts += 1;
                    state.sums.retried += 1;
                    match retries.iter_mut().find(|(other, _)| *other == delay) {
                        Some((_, tasks)) => tasks.push((id, task)),
                        None => retries.push((delay, vec![(id, task)])),
                    }
                    continue;
                }
                Some(Fate::Later(error)) => Err(error),
                None => Err(Error::new(ErrorKind::Internal, "the work ended without an outcome")),
            };
            self.note_end(&mut state, &outcome);
            state.finish(id, task, outcome, now, &mut news);
        }
        for (delay, tasks) in retries {
            state.put_offs += 1;
            let key = (now.saturating_add(delay), state.put_offs);
            state.put_off.insert(key, tasks);
            if self.works_alone() {
                let this = self.this.clone();
                pool::spawn_after(delay, move || {
                    let Some(this) = this.upgrade() else { return };
                    let mut state = this.state.lock();
                    state.release(key.0);
                    this.go_on(state, Vec::new());
                });
            }
        }
        self.mind_age(&mut state, now);
        self.go_on(state, news);
    }

    /// Whether this outcome says that the store takes no more writes.
    fn note_end(&self, state: &mut State, outcome: &Result<WriteOutcome>) {
        let Err(error) = outcome else { return };
        let fatal =
            matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::ReadOnly | ErrorKind::Closed);
        if fatal && state.stopped.is_none() {
            let open = self.core.writer().map(|writer| writer.log.failure());
            state.stopped = open.unwrap_or_else(Some);
        }
    }

    /// Wakes whoever is needed next, and tells what there is to tell.
    pub(super) fn go_on(&self, mut state: MutexGuard<'_, State>, mut news: Vec<News>) {
        if let Some(error) = state.stopped.clone() {
            let now = self.now();
            let put_off = std::mem::take(&mut state.put_off).into_values().flatten();
            let rest: Vec<_> = put_off.chain(state.graph.take_all()).collect();
            rest.into_iter()
                .for_each(|(id, task)| state.finish(id, task, Err(error.clone()), now, &mut news));
        }
        let next = self.next(&mut state);
        if state.sleepers > 0 {
            self.changed.notify_all();
        }
        drop(state);
        for (submission, at, outcome) in news {
            submission.complete(at, outcome);
        }
        match next {
            Next::Nobody => {}
            Next::Waiter(submission) => submission.poke(),
            Next::Worker => {
                let this = self.this.clone();
                pool::spawn(move || this.upgrade().into_iter().for_each(|this| this.work()));
            }
            Next::Timer(delay) => {
                let this = self.this.clone();
                pool::spawn_after(delay, move || {
                    let Some(this) = this.upgrade() else { return };
                    let mut state = this.state.lock();
                    state.timer = false;
                    this.go_on(state, Vec::new());
                });
            }
        }
    }

    fn next(&self, state: &mut State) -> Next {
        if !state.is_busy() {
            return Next::Nobody;
        }
        // Without threads somebody who waits has to do it; so he has while threads are wanted and the pool has none free.
        if !self.works_alone() || state.workers > state.running {
            state.parked.retain(|submission| !submission.is_done());
            return state.parked.pop().map_or(Next::Nobody, Next::Waiter);
        }
        if state.workers >= self.config.worker_threads {
            return Next::Nobody; // They go on by themselves.
        }
        // What comes in while a batch is at the disk waits a moment for company.
        let waits_since = state.graph.oldest_ready().map_or(Duration::ZERO, |task| task.submitted);
        let left = (waits_since + self.config.batch_timeout).saturating_sub(self.now());
        let full = state.graph.ready_weight() >= self.config.max_batch_size;
        if state.batches == 0 || full || left.is_zero() {
            state.workers += 1;
            return Next::Worker;
        }
        if std::mem::replace(&mut state.timer, true) { Next::Nobody } else { Next::Timer(left) }
    }

    /// A job of the pool.
    fn work(&self) {
        self.state.lock().running += 1;
        loop {
            while self.step() {}
            let mut state = self.state.lock();
            if !state.is_busy() {
                state.workers -= 1;
                state.running -= 1;
                return;
            }
        }
    }
}

impl State {
    /// A task is done with.
    fn finish(
        &mut self,
        id: TaskId,
        task: Task,
        outcome: Result<WriteOutcome>,
        now: Duration,
        news: &mut Vec<News>,
    ) {
        self.weight -= self.graph.finish(id);
        self.sums.finished(outcome.is_ok(), now.saturating_sub(task.submitted));
        news.push((task.submission, task.at, outcome));
    }
}
