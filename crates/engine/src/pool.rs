//! The process-wide thread pool, shared by all stores: maintenance, and the work behind futures.
//!
//! Threads start when there is work and end when there was none for a while, so that a process
//! with thousands of idle stores has none.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{LazyLock, Once};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

type Job = Box<dyn FnOnce() + Send>;

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(5);
/// Jobs wait for the disk more than they compute, so there are more threads than cores.
const THREADS_PER_CORE: usize = 4;

struct Pool {
    state: Mutex<State>,
    work: Condvar,
    timer: Condvar,
    timer_started: Once,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Most threads, if it was said.
    most: Option<usize>,
    later: BinaryHeap<Later>,
}

struct Later {
    due: Reverse<Instant>,
    job: Job,
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Later {}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

static POOL: LazyLock<Pool> = LazyLock::new(|| Pool {
    state: Mutex::default(),
    work: Condvar::new(),
    timer: Condvar::new(),
    timer_started: Once::new(),
});

/// Lets the pool have so many threads at most; those that there are end when they have nothing to do.
pub(crate) fn limit_threads(most: usize) {
    POOL.state.lock().most = Some(most);
}

/// Threads that the pool has at most unless it was limited.
pub(crate) fn usual_threads() -> usize {
    static USUAL: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(2, usize::from) * THREADS_PER_CORE);
    *USUAL
}

/// Threads at work or waiting for it.
pub(crate) fn threads() -> usize {
    POOL.state.lock().threads
}

/// Runs `job` on the pool.
pub(crate) fn spawn(job: impl FnOnce() + Send + 'static) {
    POOL.push(Box::new(job));
}

/// Runs `job` on the pool after `delay`.
#[allow(clippy::disallowed_methods)] // Waiting is done in real time; a simulation schedules nothing.
pub(crate) fn spawn_after(delay: Duration, job: impl FnOnce() + Send + 'static) {
    let later = Later { due: Reverse(Instant::now() + delay), job: Box::new(job) };
    POOL.state.lock().later.push(later);
    POOL.timer_started.call_once(|| {
        start("cgv-timer", || POOL.run_timer());
    });
    POOL.timer.notify_one();
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> bool {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).is_ok()
}

impl Pool {
    fn push(&'static self, job: Job) {
        let mut state = self.state.lock();
        state.jobs.push_back(job);
        let most = state.most.unwrap_or_else(usual_threads);
        if state.idle >= state.jobs.len() || state.threads >= most {
            self.work.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        if !start("cgv-worker", || self.run_worker()) {
            // The system has no thread to give: the jobs wait for those that run, or run here.
            let mut state = self.state.lock();
            state.threads -= 1;
            let job = if state.threads == 0 { state.jobs.pop_front() } else { None };
            drop(state);
            job.into_iter().for_each(|job| job());
        }
    }

    fn run_worker(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // A job that panics must not take the thread, and those behind it, along. Its
                // store's locks are free again: nothing is poisoned, and nothing half-applied is
                // visible, since visibility is the last step of every job.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                state = self.state.lock();
                continue;
            }
            state.idle += 1;
            let waited = self.work.wait_for(&mut state, IDLE);
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }

    #[allow(clippy::disallowed_methods)] // As above.
    fn run_timer(&'static self) {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            match state.later.peek().map(|next| next.due.0) {
                None => self.timer.wait(&mut state),
                Some(due) if due > now => {
                    self.timer.wait_for(&mut state, due - now);
                }
                Some(_) => {
                    if let Some(Later { job, .. }) = state.later.pop() {
                        drop(state);
                        self.push(job);
                        state = self.state.lock();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn jobs_run_also_after_one_panicked_and_delayed_ones_in_order() {
        let (sender, receiver) = mpsc::channel();
        spawn(|| panic!("a job that fails (this message is expected)"));
        for delay_ms in [30, 10] {
            let sender = sender.clone();
            spawn_after(Duration::from_millis(delay_ms), move || sender.send(delay_ms).unwrap());
        }
        spawn(move || sender.send(0).unwrap());
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 10, 30]);
    }
}
