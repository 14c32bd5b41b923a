//! Locks whose threads run one at a time, as shuttle's scheduler says, so that a test tries schedules that the operating
//! system seldom makes, and any of them again.
//!
//! They look like `parking_lot`'s, so that code which takes its locks from a module of its own can be compiled a second
//! time, for tests, over these. They work inside of [`explore`] only.
//!
//! Waits never time out here. So a wake-up that code forgets, and that a time-out would make up for, leaves threads
//! that sleep for ever, which `explore` reports.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub use shuttle::thread;

/// Runs `test` under so many random schedules, and under as many that change threads at a few moments only, which are
/// those that most faults need (Burckhardt and others, *A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs*,
/// 2010). With `CGV_SCHEDULES=n` in the environment there are n times as many.
///
/// # Panics
/// If `test` does, or all of its threads sleep; the message says how to run that schedule again.
pub fn explore(schedules: usize, test: impl Fn() + Send + Sync + Clone + 'static) {
    const CHANGES: usize = 3;
    let times = std::env::var("CGV_SCHEDULES").ok().and_then(|number| number.parse().ok());
    let schedules = schedules * times.unwrap_or(1usize);
    shuttle::check_random(test.clone(), schedules);
    shuttle::check_pct(test, schedules, CHANGES);
}

/// Like `parking_lot::Mutex`.
#[derive(Default)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

/// Like `parking_lot::MutexGuard`.
pub struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    /// Guards `value`.
    pub fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    /// Waits until nobody else has it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

const THERE: &str = "it is away only inside of a wait";

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(THERE)
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(THERE)
    }
}

/// Like `parking_lot::Condvar`, but that waits never time out.
#[derive(Default)]
pub struct Condvar(shuttle::sync::Condvar);

/// Like `parking_lot::WaitTimeoutResult`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult;

impl WaitTimeoutResult {
    /// It never did.
    pub fn timed_out(self) -> bool {
        false
    }
}

impl Condvar {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self(shuttle::sync::Condvar::new())
    }

    /// Wakes one.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Gives the guard's mutex away until woken.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let inner = guard.0.take().expect(THERE);
        guard.0 = Some(self.0.wait(inner).unwrap_or_else(PoisonError::into_inner));
    }

    /// The same, however long it takes.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}

/// Like `std::sync::atomic::AtomicU64`, but that all orders are sequentially consistent: of weaker ones, schedules show nothing.
pub struct AtomicU64(shuttle::sync::atomic::AtomicU64);

impl AtomicU64 {
    /// Holds `value`.
    pub fn new(value: u64) -> Self {
        Self(shuttle::sync::atomic::AtomicU64::new(value))
    }

    /// The value.
    pub fn load(&self, _: Ordering) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Another value.
    pub fn store(&self, value: u64, _: Ordering) {
        self.0.store(value, Ordering::SeqCst);
    }
}

/// Like `arc_swap::ArcSwap`.
pub struct ArcSwap<T>(Mutex<Arc<T>>);

impl<T> ArcSwap<T> {
    /// Holds `value`.
    pub fn from_pointee(value: T) -> Self {
        Self(Mutex::new(Arc::new(value)))
    }

    /// What it holds.
    pub fn load_full(&self) -> Arc<T> {
        self.0.lock().clone()
    }

    /// The same.
    pub fn load(&self) -> Arc<T> {
        self.load_full()
    }

    /// Holds `value` from now on.
    pub fn store(&self, value: Arc<T>) {
        *self.0.lock() = value;
    }
}
