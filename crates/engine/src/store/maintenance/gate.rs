//! When work in the background may go on: pauses, windows, the rate at which it writes, and giving way.
//!
//! What always holds: writers and flushes never wait here; who waits here stops when the store is closed.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_base::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex};

use super::super::core::{Core, Writer};
use crate::options::MaintenanceConfig;

/// How long one waits before looking again: what a clock tells, nobody wakes for.
const LOOK: Duration = Duration::from_millis(20);
/// For so long, what was found of windows and debt is taken to be so still.
const KNOWN: Duration = Duration::from_millis(500);
/// What was not written for so long may be written in one go.
const BURST: Duration = Duration::from_millis(100);

/// One for each store that is open for writing.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    paused: bool,
    /// Callers who want to merge by hand, and wait for their turn.
    by_hand: usize,
    /// How often a write has found the disk full.
    full_disks: u64,
    /// Whether windows and debt let work go on, and when that was found.
    may_run: Option<(Duration, bool)>,
    /// Bytes that may be written now; less than none if more were written than may be.
    allowance: f64,
    /// When that was so.
    counted: Duration,
}

impl State {
    /// How long to wait before so many bytes may be written, at this rate; takes them if that is at once.
    fn wait_for(&mut self, bytes: u64, bytes_per_s: u64, now: Duration) -> Option<Duration> {
        let rate = bytes_per_s as f64;
        let since = now.saturating_sub(self.counted).as_secs_f64();
        self.allowance = (self.allowance + since * rate).min(rate * BURST.as_secs_f64());
        self.counted = now;
        if self.allowance < 0.0 {
            return Some(Duration::from_secs_f64(-self.allowance / rate));
        }
        self.allowance -= bytes as f64;
        None
    }
}

/// Somebody who wants to merge by hand, and waits for it: work in the background that stands still gives way.
pub(crate) struct ByHand<'a>(&'a Gate);

impl Drop for ByHand<'_> {
    fn drop(&mut self) {
        self.0.state.lock().by_hand -= 1;
    }
}

impl Gate {
    /// See [`ByHand`].
    pub(crate) fn by_hand(&self) -> ByHand<'_> {
        self.state.lock().by_hand += 1;
        self.changed.notify_all();
        ByHand(self)
    }

    /// Whether it was paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.state.lock().paused
    }

    fn set_paused(&self, paused: bool) {
        let mut state = self.state.lock();
        (state.paused, state.may_run) = (paused, None);
        self.changed.notify_all();
    }

    /// How often a write has found the disk full.
    pub(super) fn full_disks(&self) -> u64 {
        self.state.lock().full_disks
    }

    /// Lets time pass, unless something changes.
    pub(super) fn wait(&self, time: Duration) {
        self.changed.wait_for(&mut self.state.lock(), time);
    }

    /// What was found of windows and debt is not so any more.
    pub(crate) fn look_again(&self) {
        self.state.lock().may_run = None;
    }
}

impl Core {
    /// Merges, rewrites and index builds of the background stop at the next block, and none begins.
    pub(crate) fn pause_maintenance(&self) -> Result<()> {
        self.writer()?.maintenance.gate.set_paused(true);
        Ok(())
    }

    /// They go on.
    pub(crate) fn resume_maintenance(self: &Arc<Self>) -> Result<()> {
        self.writer()?.maintenance.gate.set_paused(false);
        self.schedule_maintenance();
        Ok(())
    }

    /// A write found the disk full: a merge in the background gives up, so that there is room again.
    pub(crate) fn note_full_disk(&self, error: &Error) {
        let Some(writer) = self.writer.as_ref().filter(|_| error.kind() == ErrorKind::StorageFull) else {
            return;
        };
        let gate = &writer.maintenance.gate;
        gate.state.lock().full_disks += 1;
        gate.changed.notify_all();
    }

    /// Whether work in the background may begin, or go on.
    pub(crate) fn may_maintain(&self) -> bool {
        let Some(Writer { maintenance, .. }) = &self.writer else { return false };
        let now = self.environment.clock.monotonic();
        let known = {
            let state = maintenance.gate.state.lock();
            if state.paused {
                return false;
            }
            state.may_run.filter(|(since, _)| now.saturating_sub(*since) < KNOWN)
        };
        if let Some((_, may_run)) = known {
            return may_run;
        }
        let config = &self.settings.load().maintenance;
        let may_run = self.is_in_window(config) || self.outlook().debt_percent() > config.max_debt_percent;
        maintenance.gate.state.lock().may_run = Some((now, may_run));
        may_run
    }

    /// Whether a window is open, or there are none.
    pub(crate) fn is_in_window(&self, config: &MaintenanceConfig) -> bool {
        config.windows.is_empty()
            || config.windows.is_open(config.time_zone.wall_time(self.environment.clock.now_us()))
    }

    /// How long it is until a window opens, about; `None` if one is open.
    pub(super) fn until_window(&self) -> Option<Duration> {
        let config = &self.settings.load().maintenance;
        let now = config.time_zone.wall_time(self.environment.clock.now_us());
        let minutes = config.windows.minutes_until_open(now);
        (minutes > 0).then(|| Duration::from_secs(minutes * 60))
    }

    /// Lets work in the background go on as far as it may; `full_disks` is what the gate counted when it began.
    ///
    /// # Errors
    /// `Closed` when the store is closed; `Busy` where somebody waits to merge by hand while this stands still;
    /// `StorageFull` where a write found no room.
    pub(super) fn heed(&self, bytes: u64, full_disks: u64) -> Result<()> {
        let Some(Writer { maintenance, .. }) = &self.writer else { return Err(closed()) };
        let gate = &maintenance.gate;
        loop {
            let may_run = self.may_maintain();
            let now = self.environment.clock.monotonic();
            let rate = self.settings.load().maintenance.max_bytes_per_s;
            let mut state = gate.state.lock();
            if self.is_closing() {
                return Err(closed());
            }
            if state.full_disks != full_disks {
                let message = "given up, so that writes have the room that is left";
                return Err(Error::new(ErrorKind::StorageFull, message));
            }
            let wait = match (may_run, rate) {
                (false, _) if state.by_hand > 0 => {
                    return Err(Error::new(
                        ErrorKind::Busy,
                        "given up for a merge that was asked for by hand",
                    ));
                }
                (false, _) => Some(LOOK),
                (true, 0) => None,
                // Somebody waits for it.
                (true, _) if state.by_hand > 0 => None,
                (true, rate) => state.wait_for(bytes, rate, now),
            };
            let Some(wait) = wait else { return Ok(()) };
            gate.changed.wait_for(&mut state, wait.min(LOOK));
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store was closed while it was maintained")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_written_than_the_rate_allows() {
        let (mut state, mut now, mut written) = (State::default(), Duration::from_secs(9), 0);
        state.counted = now;
        let start = now;
        for bytes in [1000, 50, 3000, 1, 999].into_iter().cycle().take(200) {
            while let Some(wait) = state.wait_for(bytes, 10_000, now) {
                assert!(wait > Duration::ZERO);
                now += wait;
            }
            written += bytes;
            // One piece may be ahead, and what a burst allows.
            let most = 10_000.0 * (now - start).as_secs_f64() + 3000.0 + 1000.0;
            assert!(written as f64 <= most, "{written} after {:?}", now - start);
        }
        assert!((now - start).as_secs_f64() * 10_000.0 <= written as f64, "it is not slower than that");
        // Time without writes is not saved up.
        now += Duration::from_secs(3600);
        assert_eq!(state.wait_for(2000, 10_000, now), None);
        assert!(state.wait_for(1, 10_000, now).is_some());
    }
}
