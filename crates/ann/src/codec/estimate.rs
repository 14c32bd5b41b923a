//! What a query's tables come to in bytes, and how far a code may lie above what its head says.
//!
//! The tables of the head are rounded to bytes of one unit for all. Of a code whose bytes make `sum`,
//! `unit × sum + rests[0]` is not less than the true sum of look-ups over head and tail, but for a chance: the tail is
//! taken for its mean and [`SPREADS`] standard deviations, as if nibbles were independent. Where there is no tail, or
//! where the tail is bounded more tightly by its greatest entries, there is no chance in it.
//!
//! The more of the tail is known, the smaller is the rest: `rests[i]` is what to add once [`STEP_BYTES`] × *i* of its
//! bytes are looked up.

use crate::kernels::look_up::{GROUP_MOST, GROUP_TABLES};

use super::NibbleTables;

/// Standard deviations of what is not yet known by which a code may lie above the mean.
///
/// The rows that matter are no random ones: they are among the best, and their tails lie above the mean as their
/// heads do.
pub(super) const SPREADS: f32 = 9.0;

/// Bytes of a tail that are looked up before it is asked again whether the rest is worth it.
pub(super) const STEP_BYTES: usize = 16;

/// Tables of which each can have some bits of the 16 in which sums are made.
const MOST_TABLES: usize = 1 << 15;

/// A query's tables, rounded.
#[derive(Clone, Debug)]
pub(super) struct Estimate {
    /// Of the head, as look-up kernels want them.
    pub(super) tables: Vec<[u8; 16]>,
    /// What one more in the sum of bytes stands for; above 0.
    pub(super) unit: f32,
    /// What to add to a sum of bytes, by the steps of the tail that are known; the last one: all are.
    pub(super) rests: Vec<f32>,
    /// The greatest sum of look-ups, regardless of the sign.
    pub(super) most: f32,
}

impl Estimate {
    /// Of these tables; `None` if there is no head, or more than can be added.
    pub(super) fn new(nibbles: &NibbleTables) -> Option<Self> {
        let (head, tail) = nibbles.tables.split_at_checked(2 * nibbles.layout.head)?;
        let lows: Vec<f32> = head.iter().map(least).collect();
        let ranges: Vec<f32> = head.iter().zip(&lows).map(|(table, low)| greatest(table) - low).collect();
        let most: f32 = nibbles.tables.iter().map(|table| greatest(table).max(-least(table))).sum();
        let finite = most.is_finite() && ranges.iter().sum::<f32>().is_finite();
        if head.is_empty() || head.len() > MOST_TABLES || !finite {
            return None;
        }
        let unit = unit_of(&ranges);
        let rounded = |(table, low): (&[f32; 16], &f32)| table.map(|x| ((x - low) / unit).round() as u8);
        let tables: Vec<[u8; 16]> = head.iter().zip(&lows).map(rounded).collect();

        // How far the rounded tables may lie below the true ones: at most, and squared on average.
        let (mut below, mut variance) = (0.0, 0.0);
        for ((table, low), bytes) in head.iter().zip(&lows).zip(&tables) {
            let errors: [f32; 16] = std::array::from_fn(|at| table[at] - low - unit * f32::from(bytes[at]));
            below += greatest(&errors);
            variance += errors.iter().map(|error| error * error).sum::<f32>() / 16.0;
        }
        // Sums of floats differ by their order.
        let bias: f32 = lows.iter().sum::<f32>() + nibbles.tables.len() as f32 * f32::EPSILON * most;

        let steps = nibbles.layout.tail.div_ceil(STEP_BYTES);
        let rest = |known: usize| {
            let from = (2 * STEP_BYTES * known).min(tail.len());
            let moments = &nibbles.moments[head.len() + from..];
            let mean: f32 = moments.iter().map(|(mean, _)| mean).sum();
            let unknown: f32 = variance + moments.iter().map(|(_, variance)| variance).sum::<f32>();
            let likely = mean + SPREADS * unknown.sqrt();
            let certain = below + tail[from..].iter().map(greatest).sum::<f32>();
            bias + if from == tail.len() { certain } else { certain.min(likely) }
        };
        Some(Self { tables, unit, rests: (0..=steps).map(rest).collect(), most })
    }
}

/// The least unit in which no sum of entries outgrows what the kernels add in. An entry may be rounded up by a half.
fn unit_of(ranges: &[f32]) -> f32 {
    let half_each = GROUP_TABLES as f32 / 2.0;
    let groups = ranges.chunks(GROUP_TABLES).map(|group| group.iter().sum::<f32>());
    let by_group = groups.fold(0.0, f32::max) / (GROUP_MOST as f32 - half_each - 1.0);
    let by_all = ranges.iter().sum::<f32>() / (f32::from(u16::MAX) - ranges.len() as f32);
    let unit = by_group.max(by_all);
    if unit.is_normal() { unit } else { f32::MIN_POSITIVE.max(unit) }
}

fn least(numbers: &[f32; 16]) -> f32 {
    numbers.iter().copied().fold(f32::INFINITY, f32::min)
}

fn greatest(numbers: &[f32; 16]) -> f32 {
    numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}
