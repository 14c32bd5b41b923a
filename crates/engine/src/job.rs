//! Futures over the pool: they run under any executor, never block it, and go on when dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use codegraph_vector_base::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::pool;

/// The outcome of work on the pool. The work starts when this is made, not when it is polled.
#[derive(Debug)]
#[must_use = "the work goes on, but only awaiting tells how it ended"]
pub struct Job<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

#[derive(Debug)]
struct Shared<T> {
    outcome: Option<Result<T>>,
    waker: Option<Waker>,
}

/// The working end. Dropped without an outcome (a panic), it says so.
struct Completer<T>(Arc<Mutex<Shared<T>>>);

impl<T> Completer<T> {
    fn complete(&self, outcome: Result<T>) {
        let mut shared = self.0.lock();
        shared.outcome.get_or_insert(outcome);
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Completer<T> {
    fn drop(&mut self) {
        self.complete(Err(Error::new(
            ErrorKind::OutcomeUnknown,
            "the work ended without an outcome; this is a bug",
        )));
    }
}

impl<T: Send + 'static> Job<T> {
    /// Runs `work` on the pool.
    pub(crate) fn run(work: impl FnOnce() -> Result<T> + Send + 'static) -> Self {
        let shared = Arc::new(Mutex::new(Shared { outcome: None, waker: None }));
        let completer = Completer(shared.clone());
        pool::spawn(move || completer.complete(work()));
        Self { shared }
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.shared.lock();
        match shared.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
