//! Trying again: what is worth it, how often, and how long to wait in between.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use codegraph_vector::{Error, ErrorKind, Result};
use codegraph_vector_base::Random;

/// Why a call had no answer that can be used.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may pass: the endpoint is busy, or the line was cut.
    Passing {
        /// What happened: a sentence without a full stop.
        what: String,
        /// How long the endpoint asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The texts were too many, or too long: less of them may do.
    TooLarge(Error),
    /// The same call fails the same way again.
    Final(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Passing { what, .. } => Error::new(ErrorKind::Io, what),
            Failure::TooLarge(error) | Failure::Final(error) => error,
        }
    }
}

/// Waiting. A test brings one that only takes notes.
pub(super) trait Sleep: Send + Sync + Debug {
    /// Returns after `time`.
    fn sleep(&self, time: Duration);
}

/// The thread sleeps.
#[derive(Debug)]
pub(super) struct ThreadSleep;

impl Sleep for ThreadSleep {
    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// How often, and how long in between.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// Most attempts, the first one included.
    pub(super) attempts: u32,
    /// The wait after the first attempt; it doubles with each.
    pub(super) first_wait: Duration,
    /// The longest wait of our own.
    pub(super) longest_wait: Duration,
    /// The longest wait that an endpoint may ask for.
    pub(super) longest_asked: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            longest_asked: Duration::from_secs(60),
        }
    }
}

/// A policy, with what it takes to follow it.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    pub(super) policy: Policy,
    pub(super) random: Arc<dyn Random>,
    pub(super) sleep: Arc<dyn Sleep>,
}

impl Retry {
    /// Calls until there is an answer, a failure that does not pass, or no attempt left.
    pub(super) fn run<T>(&self, mut call: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            match call() {
                Err(Failure::Passing { what, .. }) if attempt >= self.policy.attempts => {
                    let what = format!("{what} (attempt {attempt}, the last one)");
                    return Err(Failure::Final(Error::new(ErrorKind::Io, what)));
                }
                Err(Failure::Passing { retry_after, .. }) => {
                    let wait = self.wait_after(attempt, retry_after).map_err(Failure::Final)?;
                    self.sleep.sleep(wait);
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Half of the doubled wait is left to chance, so that callers that failed together do not come back together.
    fn wait_after(&self, attempt: u32, retry_after: Option<Duration>) -> Result<Duration> {
        let policy = &self.policy;
        let whole = policy.first_wait.saturating_mul(1 << (attempt - 1).min(16)).min(policy.longest_wait);
        let mut bytes = [0; 4];
        self.random.fill(&mut bytes)?;
        let share = f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX);
        let own = whole.mul_f64(0.5 + share / 2.0);
        Ok(retry_after.map_or(own, |asked| own.max(asked.min(policy.longest_asked))))
    }
}
