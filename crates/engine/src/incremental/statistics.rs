//! What a manager counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::operation::Priority;

/// Numbers about a manager, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IncrementalStatistics {
    /// Operations taken in.
    pub submitted: u64,
    /// Operations that are done.
    pub committed: u64,
    /// Operations that came to nothing, each once.
    pub failed: u64,
    /// Attempts that met something that may pass, and were made again.
    pub retried: u64,
    /// Submissions that found no room.
    pub refused: u64,
    /// Operations that wait to be begun, by [`Priority`]: high, normal, low.
    pub queued: [usize; Priority::COUNT],
    /// Operations that wait to be tried again.
    pub put_off: usize,
    /// Batches that were worked at.
    pub batches: u64,
    /// Operations in one, on average; the replacement of a path counts as many as it has nodes.
    pub mean_batch: f64,
    /// Commits made.
    pub commits: u64,
    /// From the submission of an operation to its end, in microseconds: half of them were quicker, within an eighth.
    pub latency_p50_us: u64,
    /// The same for 99 in 100.
    pub latency_p99_us: u64,
    /// Panics that were survived.
    pub worker_panics: u64,
}

/// What is counted without the lock of the queue.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) panics: AtomicU64,
    pub(super) commits: AtomicU64,
}

/// What is counted under it.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) submitted: u64,
    committed: u64,
    pub(super) failed: u64,
    pub(super) retried: u64,
    pub(super) refused: u64,
    batches: u64,
    weight: u64,
    /// What a node takes of a batch's time, lately.
    time_of_one: Duration,
    latencies: Histogram,
}

impl Sums {
    /// A batch took so long.
    pub(super) fn batch(&mut self, weight: usize, took: Duration) {
        self.batches += 1;
        self.weight += weight as u64;
        let one = took / u32::try_from(weight.max(1)).unwrap_or(u32::MAX);
        self.time_of_one = if self.batches == 1 { one } else { (self.time_of_one * 7 + one) / 8 };
    }

    /// An operation is done with.
    pub(super) fn finished(&mut self, well: bool, after: Duration) {
        if well {
            self.committed += 1
        } else {
            self.failed += 1
        }
        self.latencies.add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
    }

    /// How long so many nodes take, about: a millisecond at the least, ten seconds at the most.
    pub(super) fn time_for(&self, weight: usize) -> Duration {
        let time = self.time_of_one.saturating_mul(u32::try_from(weight).unwrap_or(u32::MAX));
        time.clamp(Duration::from_millis(1), Duration::from_secs(10))
    }

    pub(super) fn statistics(
        &self,
        counters: &Counters,
        queued: [usize; Priority::COUNT],
        put_off: usize,
    ) -> IncrementalStatistics {
        IncrementalStatistics {
            submitted: self.submitted,
            committed: self.committed,
            failed: self.failed,
            retried: self.retried,
            refused: self.refused,
            queued,
            put_off,
            batches: self.batches,
            mean_batch: if self.batches == 0 { 0.0 } else { self.weight as f64 / self.batches as f64 },
            commits: counters.commits.load(Ordering::Relaxed),
            latency_p50_us: self.latencies.quantile(0.5),
            latency_p99_us: self.latencies.quantile(0.99),
            worker_panics: counters.panics.load(Ordering::Relaxed),
        }
    }
}

/// Eight boxes for each power of two.
const BOXES: usize = 8 * 62;

/// Counts of numbers, each known to within an eighth.
#[derive(Debug)]
struct Histogram {
    counts: Box<[u64; BOXES]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BOXES]), total: 0 }
    }
}

impl Histogram {
    fn add(&mut self, value: u64) {
        self.counts[place(value)] += 1;
        self.total += 1;
    }

    /// The largest number that fits the box in which this share of all numbers ends.
    fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return last_of(at);
            }
        }
        0
    }
}

/// Numbers below eight have a box each; then the three digits behind the first tell which.
fn place(value: u64) -> usize {
    if value < 8 {
        return value as usize;
    }
    let power = value.ilog2() as usize;
    (power - 2) * 8 + (value >> (power - 3)) as usize - 8
}

fn last_of(place: usize) -> u64 {
    if place < 8 {
        return place as u64;
    }
    let (power, digits) = (place / 8 + 2, place as u64 % 8 + 8);
    ((digits + 1) << (power - 3)).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_box_that_is_narrow() {
        let values =
            (0..70).chain((0..64).flat_map(|power| [(1u64 << power) - 1, 1 << power, 3 << power >> 1]));
        for value in values.chain([u64::MAX]) {
            let last = last_of(place(value));
            assert!(last >= value, "{value} is in the box that ends at {last}");
            assert!(last - value <= value / 8, "{value} is far from {last}");
            assert!(place(value) == 0 || last_of(place(value) - 1) < value, "{value} fits the box before");
        }
        assert_eq!(place(u64::MAX), BOXES - 1);
    }

    #[test]
    fn quantiles_are_those_of_what_was_added() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        (1..=1000).for_each(|value| histogram.add(value));
        let (p50, p99) = (histogram.quantile(0.5), histogram.quantile(0.99));
        assert!((500..563).contains(&p50) && (990..1114).contains(&p99), "{p50} {p99}");
    }

    #[test]
    fn a_hint_is_what_the_queue_takes() {
        let mut sums = Sums::default();
        assert_eq!(sums.time_for(1_000), Duration::from_millis(1), "nothing is known yet");
        sums.batch(10, Duration::from_millis(20));
        assert_eq!(sums.time_for(50), Duration::from_millis(100));
        assert_eq!(sums.time_for(usize::MAX), Duration::from_secs(10));
    }
}
