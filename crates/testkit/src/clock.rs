//! Time that moves when a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use codegraph_vector_base::Clock;

/// A clock that a test moves. Clones share the time.
///
/// Each look at it lets a microsecond pass, so that loops that wait for time come to an end.
#[derive(Clone, Debug)]
pub struct SimClock {
    time: Arc<Time>,
}

#[derive(Debug)]
struct Time {
    /// Microseconds passed since the clock was made; only grows.
    elapsed_us: AtomicU64,
    /// What the wall clock shows beyond `elapsed_us`.
    wall_offset_us: AtomicI64,
}

impl SimClock {
    /// A clock whose wall time is `start_us`, microseconds since the Unix epoch.
    pub fn new(start_us: u64) -> Self {
        let wall_offset_us = AtomicI64::new(signed(start_us));
        Self { time: Arc::new(Time { elapsed_us: AtomicU64::new(0), wall_offset_us }) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let us = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.time.elapsed_us.fetch_add(us, Ordering::SeqCst);
    }

    /// Turns the wall clock forward, or back if negative. Monotonic time does not notice.
    pub fn jump_wall_us(&self, by_us: i64) {
        self.time.wall_offset_us.fetch_add(by_us, Ordering::SeqCst);
    }

    fn tick(&self) -> u64 {
        self.time.elapsed_us.fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl Default for SimClock {
    /// A clock that starts in November 2023.
    fn default() -> Self {
        Self::new(1_700_000_000_000_000)
    }
}

impl Clock for SimClock {
    fn now_us(&self) -> u64 {
        let wall = signed(self.tick()).saturating_add(self.time.wall_offset_us.load(Ordering::SeqCst));
        u64::try_from(wall).unwrap_or(0)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.tick())
    }
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}
