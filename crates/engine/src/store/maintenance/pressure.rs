//! Writers are slowed down, little by little, where merges do not keep up with them: so the room that a store takes stays
//! bounded at any rate of writes.
//!
//! What always holds: a writer waits for [`LONGEST_US`] at once at the most, and not at all while the background may not
//! merge; rows that are only added slow nobody down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::core::Core;
use super::policy::Size;

/// A write waits for this long at the most, and for nothing below the least.
const LONGEST_US: u64 = 40_000;
const LEAST_US: u64 = 1_000;
/// From the share of dead rows at which they are got rid of on, files may take so much more of what is alive before writers
/// are slowed down, in thousandths.
const FREE_PERMILLE: u64 = 50;
/// What a MiB of memtable costs with a hundred thousandths more than that: at twice as much, four times this.
const US_PER_MIB: u64 = 60_000;
/// It never costs more.
const MOST_US_PER_MIB: u64 = 2_000_000;

/// How much writers are slowed down.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    us_per_mib: AtomicU64,
    /// Bytes that the memtable had at the last look.
    seen_bytes: AtomicU64,
    /// What was written and not waited for.
    owed_us: AtomicU64,
}

/// What a MiB costs where files take so much, and so much of it is alive.
fn us_per_mib(bytes: u64, live_bytes: u64, store_dead_percent: u64) -> u64 {
    if bytes == live_bytes {
        return 0;
    }
    let permille = u128::from(bytes) * 1000 / u128::from(live_bytes.max(1));
    let at_rest = u128::from(100_000 / (100 - store_dead_percent.min(99)) + FREE_PERMILLE);
    let over = permille.saturating_sub(at_rest).min(1 << 20);
    (over * over * u128::from(US_PER_MIB) / 10_000).min(u128::from(MOST_US_PER_MIB)) as u64
}

impl Core {
    /// Looks how much writers are to be slowed down; after each flush and each merge.
    pub(in super::super) fn weigh(&self) {
        let Some(writer) = &self.writer else { return };
        let sizes = self.sizes(&self.version.load()).1;
        let (bytes, live) =
            (sizes.iter().map(|size| size.bytes).sum(), sizes.iter().map(Size::live_bytes).sum());
        let cost = us_per_mib(bytes, live, self.settings.load().maintenance.store_dead_percent);
        writer.maintenance.pressure.us_per_mib.store(cost, Ordering::Relaxed);
    }

    /// Before a write: waits for what was written, if merges do not keep up.
    pub(in super::super) fn slow_down(&self) {
        let Some(writer) = &self.writer else { return };
        let Pressure { us_per_mib, seen_bytes, owed_us } = &writer.maintenance.pressure;
        let cost = us_per_mib.load(Ordering::Relaxed);
        let bytes = self.version.load().memtable.bytes();
        let seen = seen_bytes.swap(bytes, Ordering::Relaxed);
        if cost == 0 || !self.settings.load().background || !self.may_maintain() {
            return;
        }
        // After a flush the memtable is another one, and smaller.
        let written = if bytes >= seen { bytes - seen } else { bytes };
        let owed = ((u128::from(written) * u128::from(cost)) >> 20) as u64;
        if owed_us.fetch_add(owed, Ordering::Relaxed) + owed < LEAST_US {
            return;
        }
        let wait = owed_us.swap(0, Ordering::Relaxed).min(LONGEST_US);
        writer.maintenance.gate.wait(Duration::from_micros(wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_is_dead_the_more_a_write_costs() {
        let cost = |bytes| us_per_mib(bytes, 1000, 20);
        assert_eq!((cost(1000), cost(1250), cost(1300)), (0, 0, 0));
        assert_eq!((cost(1400), cost(1500)), (US_PER_MIB, 4 * US_PER_MIB));
        assert_eq!((cost(9000), cost(u64::MAX)), (MOST_US_PER_MIB, MOST_US_PER_MIB));
        assert_eq!((us_per_mib(0, 0, 20), us_per_mib(7, 0, 20)), (0, MOST_US_PER_MIB));
    }
}
