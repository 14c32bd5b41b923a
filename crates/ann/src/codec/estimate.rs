//! What a query's tables come to in bytes, and how far a code may lie above what part of it says.
//!
//! All tables are rounded to bytes of one unit. A code is looked at in stages: the head, then more and more of the tail.
//! Of a code whose bytes up to some stage make `sum`, [`Bound::of`] `sum` is not less than the true sum of all its
//! look-ups, but for a chance.
//!
//! What the rest of a code may add to what is known is learned from some rows themselves ([`Estimate::learn`]): the rest
//! is taken for what it is on average with codes of such a sum (a regression), and [`SPREADS`] standard deviations.
//! To take nibbles for independent would not do: of most codecs they are not.

use std::ops::Range;

use crate::kernels::look_up::{GROUP_MOST, GROUP_TABLES};

use super::NibbleTables;

/// Standard deviations of what is not yet known by which a code may lie above the mean.
///
/// So many, because the rows that matter are no random ones: they are among the best, so what is not yet known of them
/// lies above the mean as well. With MiniLM embeddings of code and the 48 most telling of 190 bytes, half of the true
/// ten best lie 3 above it, one of ten 6, one of a hundred 8, one of a thousand 10.
const SPREADS: f32 = 9.0;

/// The same for the errors of rounding, which are nobody's neighbours: one in 10^11 is greater, were there many of them
/// and normal. Where there are few, they are bounded more tightly by their greatest values, and there is no chance in it.
const ROUNDING_SPREADS: f32 = 7.0;

/// Columns of a stage, at least; a multiple of those that kernels add up as bytes.
const LEAST_COLUMNS: usize = 8;

/// Tables of which each can have some bits of the 16 in which sums are made.
const MOST_TABLES: usize = 1 << 15;

/// A query's tables, rounded.
#[derive(Clone, Debug)]
pub(super) struct Estimate {
    /// Of head and tail, as look-up kernels want them.
    pub(super) tables: Vec<[u8; 16]>,
    /// The columns of the head, then those of the tail in as many stages as it pays.
    pub(super) stages: Vec<Range<usize>>,
    /// What one more in a sum of bytes stands for; above 0.
    pub(super) unit: f32,
    /// The greatest sum of look-ups, regardless of the sign.
    pub(super) most: f32,
    /// What codes of which all bytes are 0 come to, at most as far as floats are not exact.
    bias: f32,
    /// By how much rounded tables may lie below the true ones, all together.
    below: f32,
    /// The variance of that.
    variance: f32,
}

/// What a sum of bytes stands for, at most: `slope × sum + rest`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) slope: f32,
    pub(super) rest: f32,
}

impl Bound {
    #[inline]
    pub(super) fn of(self, sum: u16) -> f32 {
        self.slope * f32::from(sum) + self.rest
    }
}

impl Estimate {
    /// Of these tables; `None` if there is no head, or more than can be added.
    pub(super) fn new(nibbles: &NibbleTables) -> Option<Self> {
        let lows: Vec<f32> = nibbles.tables.iter().map(|table| least(table)).collect();
        let ranges: Vec<f32> =
            nibbles.tables.iter().zip(&lows).map(|(table, low)| greatest(table) - low).collect();
        let most: f32 = nibbles.tables.iter().map(|table| greatest(table).max(-least(table))).sum();
        let finite = most.is_finite() && ranges.iter().sum::<f32>().is_finite();
        if nibbles.layout.head == 0 || nibbles.tables.len() > MOST_TABLES || !finite {
            return None;
        }
        let stages = stages(nibbles);
        let unit = unit_of(&ranges, &stages);
        let per_unit = unit.recip();
        let rounded = |(table, low): (&[f32; 16], &f32)| table.map(|x| ((x - low) * per_unit + 0.5) as u8);
        let tables: Vec<[u8; 16]> = nibbles.tables.iter().zip(&lows).map(rounded).collect();
        let (mut below, mut variance) = (0.0, 0.0);
        for ((table, low), bytes) in nibbles.tables.iter().zip(&lows).zip(&tables) {
            let errors: [f32; 16] = std::array::from_fn(|at| table[at] - low - unit * f32::from(bytes[at]));
            below += greatest(&errors);
            let squares = errors
                .map(|error| error * error)
                .as_chunks::<4>()
                .0
                .iter()
                .fold([0.0; 4], |sums, four| std::array::from_fn(|at| sums[at] + four[at]));
            variance += squares.iter().sum::<f32>() / 16.0;
        }
        // Sums of floats differ by their order.
        let bias = lows.iter().sum::<f32>() + tables.len() as f32 * f32::EPSILON * most;
        Some(Self { tables, stages, unit, most, bias, below, variance })
    }

    /// The tables of a stage.
    pub(super) fn tables_of(&self, stage: usize) -> &[[u8; 16]] {
        let columns = &self.stages[stage];
        &self.tables[2 * columns.start..2 * columns.end]
    }

    /// The bounds of all stages without a chance in them: there is none to be had but at the last one.
    pub(super) fn certain(&self) -> Vec<Bound> {
        let mut bounds = vec![Bound { slope: self.unit, rest: f32::INFINITY }; self.stages.len()];
        self.set_last(&mut bounds);
        bounds
    }

    /// The bounds of all stages, by the sums that some rows had after each of them.
    pub(super) fn learn(&self, sums: &[Vec<u16>]) -> Vec<Bound> {
        let Some((all, parts)) = sums.split_last() else { return self.certain() };
        let count = all.len() as f32;
        let mean = |sums: &[u16]| sums.iter().map(|&sum| f32::from(sum)).sum::<f32>() / count;
        let mean_all = mean(all);
        let bound = |part: &Vec<u16>| {
            let mean_part = mean(part);
            let (mut together, mut squares, mut rest_squares) = (0.0, 0.0, 0.0);
            for (&part, &all) in part.iter().zip(all) {
                let (x, y) = (f32::from(part) - mean_part, f32::from(all) - mean_all);
                together += x * y;
                squares += x * x;
                rest_squares += y * y;
            }
            // What is known is never held against a code.
            let slope = if squares > 0.0 { (together / squares).max(1.0) } else { 1.0 };
            let variance = (rest_squares - 2.0 * slope * together + slope * slope * squares).max(0.0) / count;
            let spread = SPREADS * variance.sqrt() * self.unit;
            let rounding = ROUNDING_SPREADS * self.variance.sqrt();
            let mean_rest = (mean_all - slope * mean_part) * self.unit;
            Bound { slope: slope * self.unit, rest: self.bias + mean_rest + spread.hypot(rounding) }
        };
        let mut bounds: Vec<Bound> = parts.iter().map(bound).collect();
        bounds.push(Bound { slope: self.unit, rest: 0.0 });
        self.set_last(&mut bounds);
        bounds
    }

    fn set_last(&self, bounds: &mut [Bound]) {
        let likely = ROUNDING_SPREADS * self.variance.sqrt();
        if let Some(last) = bounds.last_mut() {
            last.rest = self.bias + self.below.min(likely);
        }
    }
}

/// The head; then parts of the tail after each of which about half of the variance is left that was left before.
fn stages(nibbles: &NibbleTables) -> Vec<Range<usize>> {
    let (head, columns) = (nibbles.layout.head, nibbles.layout.head + nibbles.layout.tail);
    let by_column =
        nibbles.moments.chunks(2).map(|pair| pair.iter().map(|(_, variance)| variance).sum::<f32>());
    let by_column: Vec<f32> = by_column.collect();
    let mut stages = vec![0..head];
    let (mut start, mut left) = (head, by_column[head..].iter().sum::<f32>());
    while start < columns {
        let (mut end, mut here) = (start, 0.0);
        while end < columns && (here < left / 2.0 || !(end - start).is_multiple_of(LEAST_COLUMNS)) {
            here += by_column[end];
            end += 1;
        }
        // A little that is left is not worth a stage.
        if columns - end < LEAST_COLUMNS || end == start {
            end = columns;
        }
        stages.push(start..end);
        (start, left) = (end, left - here);
    }
    stages
}

/// The least unit in which no sum of entries outgrows what the kernels add in. An entry may be rounded up by a half.
fn unit_of(ranges: &[f32], stages: &[Range<usize>]) -> f32 {
    let half_each = GROUP_TABLES as f32 / 2.0;
    let groups =
        stages.iter().flat_map(|columns| ranges[2 * columns.start..2 * columns.end].chunks(GROUP_TABLES));
    let by_group = groups.map(|group| group.iter().sum::<f32>()).fold(0.0, f32::max);
    let by_group = by_group / (GROUP_MOST as f32 - half_each - 1.0);
    let by_all = ranges.iter().sum::<f32>() / (f32::from(u16::MAX) - ranges.len() as f32);
    by_group.max(by_all).max(f32::MIN_POSITIVE)
}

fn least(numbers: &[f32; 16]) -> f32 {
    one_of(*numbers, |a, b| if a < b { a } else { b })
}

fn greatest(numbers: &[f32; 16]) -> f32 {
    one_of(*numbers, |a, b| if a > b { a } else { b })
}

/// The one that `pick` leaves; halves against halves, which the compiler does side by side.
#[inline]
fn one_of(mut numbers: [f32; 16], pick: impl Fn(f32, f32) -> f32) -> f32 {
    for width in [8, 4, 2, 1] {
        for at in 0..width {
            numbers[at] = pick(numbers[at], numbers[at + width]);
        }
    }
    numbers[0]
}
