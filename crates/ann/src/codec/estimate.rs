//! What a query's tables come to in bytes, and how far a code may lie above what part of it says.
//!
//! Tables are rounded to bytes. A code is looked at in stages: the head in two, then more and more of the tail. Bytes of
//! one stage stand for multiples of one unit, which is that of the stage before, or a half, a quarter, … of it: the less
//! there is to add, the more exactly it is said.
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

/// The same for the errors of rounding, which are nobody's neighbours: one in 10^9 is greater, were there many of them
/// and normal. Where there are few, they are bounded more tightly by their greatest values, and there is no chance in it.
const ROUNDING_SPREADS: f32 = 6.0;

/// Columns of a stage, at least; a multiple of those that kernels add up as bytes.
const LEAST_COLUMNS: usize = 8;

/// The first stage is one of so many parts of the head.
const HEAD_PARTS: usize = 6;

/// Tables of which each can have some bits of the 16 in which sums are made.
const MOST_TABLES: usize = 1 << 15;

/// A query's tables, rounded.
#[derive(Clone, Debug)]
pub(super) struct Estimate {
    /// Of head and tail, as look-up kernels want them.
    tables: Vec<[u8; 16]>,
    pub(super) stages: Vec<Stage>,
    /// Stages of the head.
    pub(super) head_stages: usize,
    /// The greatest sum of look-ups, regardless of the sign.
    pub(super) most: f32,
    /// What codes of which all bytes are 0 come to, at most as far as floats are not exact.
    bias: f32,
    /// By how much rounded tables may lie below the true ones, all together.
    below: f32,
    /// The variance of that.
    variance: f32,
}

/// Columns that are looked up one after the other.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) columns: Range<usize>,
    /// What one more in the sum of bytes stands for, up to this stage; above 0.
    pub(super) unit: f32,
    /// How many times that unit is half of the last stage's; so many that nothing is left, if there was none.
    pub(super) shift: u16,
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
        let lows: Vec<f32> = nibbles.tables.iter().map(least).collect();
        let ranges: Vec<f32> =
            nibbles.tables.iter().zip(&lows).map(|(table, low)| greatest(table) - low).collect();
        let most: f32 = nibbles.tables.iter().map(|table| greatest(table).max(-least(table))).sum();
        let finite = most.is_finite() && ranges.iter().sum::<f32>().is_finite();
        if nibbles.layout.head == 0 || nibbles.tables.len() > MOST_TABLES || !finite {
            return None;
        }
        let (stages, head_stages) = stages(nibbles, &ranges);
        let mut tables = Vec::with_capacity(lows.len());
        let (mut below, mut variance) = (0.0, 0.0);
        for Stage { columns, unit, .. } in &stages {
            let nibbles_here = 2 * columns.start..2 * columns.end;
            for (table, low) in nibbles.tables[nibbles_here.clone()].iter().zip(&lows[nibbles_here]) {
                let bytes = rounded(table, *low, *unit);
                let errors: [f32; 16] =
                    std::array::from_fn(|at| table[at] - low - unit * f32::from(bytes[at]));
                below += greatest(&errors);
                let squares = errors.map(|error| error * error);
                let mut sums = [0.0; 4];
                for four in squares.as_chunks::<4>().0 {
                    sums = std::array::from_fn(|at| sums[at] + four[at]);
                }
                variance += sums.iter().sum::<f32>() / 16.0;
                tables.push(bytes);
            }
        }
        // Sums of floats differ by their order.
        let bias = lows.iter().sum::<f32>() + tables.len() as f32 * f32::EPSILON * most;
        Some(Self { tables, stages, head_stages, most, bias, below, variance })
    }

    /// The tables of a stage.
    pub(super) fn tables_of(&self, stage: usize) -> &[[u8; 16]] {
        let columns = &self.stages[stage].columns;
        &self.tables[2 * columns.start..2 * columns.end]
    }

    /// The bounds of all stages without anything learned: there is none to be had but at the last one.
    pub(super) fn unlearned(&self) -> Vec<Bound> {
        let bound = |stage: &Stage| Bound { slope: stage.unit, rest: f32::INFINITY };
        let mut bounds: Vec<Bound> = self.stages.iter().map(bound).collect();
        if let Some(last) = bounds.last_mut() {
            last.rest = self.bias + self.below.min(ROUNDING_SPREADS * self.variance.sqrt());
        }
        bounds
    }

    /// The bounds of all stages, by the sums of bytes that some rows had after each of them.
    pub(super) fn learn(&self, sums: &[Vec<u16>]) -> Vec<Bound> {
        let mut bounds = self.unlearned();
        let sums = sums.iter().zip(&self.stages);
        let sums = sums.map(|(sums, stage)| sums.iter().map(|&sum| stage.unit * f32::from(sum)).collect());
        let sums: Vec<Vec<f32>> = sums.collect();
        let Some((all, parts)) = sums.split_last() else { return bounds };
        let count = all.len() as f32;
        let mean_all = all.iter().sum::<f32>() / count;
        for ((part, stage), bound) in parts.iter().zip(&self.stages).zip(&mut bounds) {
            let mean_part = part.iter().sum::<f32>() / count;
            let (mut together, mut squares, mut all_squares) = (0.0, 0.0, 0.0);
            for (part, all) in part.iter().zip(all) {
                let (x, y) = (part - mean_part, all - mean_all);
                together += x * y;
                squares += x * x;
                all_squares += y * y;
            }
            // What is known is never held against a code.
            let slope = if squares > 0.0 { (together / squares).max(1.0) } else { 1.0 };
            let variance = (all_squares - 2.0 * slope * together + slope * slope * squares).max(0.0) / count;
            let spread = (SPREADS * variance.sqrt()).hypot(ROUNDING_SPREADS * self.variance.sqrt());
            let mean_rest = mean_all - slope * mean_part;
            *bound = Bound { slope: slope * stage.unit, rest: self.bias + mean_rest + spread };
        }
        bounds
    }
}

/// All columns of tables, at least one, in one stage: rounded tables, what one more in a sum of them stands for, and what
/// a sum of 0 does.
pub(crate) fn round(tables: &[[f32; 16]], bytes: &mut Vec<[u8; 16]>) -> (f32, f32) {
    let lows: Vec<f32> = tables.iter().map(least).collect();
    let ranges: Vec<f32> = tables.iter().zip(&lows).map(|(table, low)| greatest(table) - low).collect();
    let unit = least_unit(&ranges).max(ranges.iter().sum::<f32>() / room(ranges.len()));
    let unit = unit.max(f32::MIN_POSITIVE);
    bytes.clear();
    bytes.extend(tables.iter().zip(&lows).map(|(table, low)| rounded(table, *low, unit)));
    (unit, lows.iter().sum())
}

/// A table in units, from the lowest of its entries.
#[inline]
fn rounded(table: &[f32; 16], low: f32, unit: f32) -> [u8; 16] {
    table.map(|x| ((x - low) * unit.recip() + 0.5) as u8)
}

/// The least unit in which the sums over groups of tables with these ranges do not outgrow a byte. An entry may be
/// rounded up by a half.
fn least_unit(ranges: &[f32]) -> f32 {
    let groups = ranges.chunks(GROUP_TABLES).map(|group| group.iter().sum::<f32>());
    groups.fold(0.0, f32::max) / (GROUP_MOST as f32 - GROUP_TABLES as f32 / 2.0 - 1.0)
}

/// Units that the ranges of so many tables may come to.
fn room(tables: usize) -> f32 {
    f32::from(u16::MAX) - tables as f32
}

/// The head in two stages, as the first few columns are often the greatest ones; then parts of the tail after each of which
/// about half of the variance is left that was left before. Also how many stages the head has.
fn stages(nibbles: &NibbleTables, ranges: &[f32]) -> (Vec<Stage>, usize) {
    let (head, columns) = (nibbles.layout.head, nibbles.layout.head + nibbles.layout.tail);
    let by_column =
        nibbles.moments.chunks(2).map(|pair| pair.iter().map(|(_, variance)| variance).sum::<f32>());
    let by_column: Vec<f32> = by_column.collect();
    let mut tail = Vec::new();
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
        tail.push(start..end);
        (start, left) = (end, left - here);
    }
    let mut parts = head_parts(head, !tail.is_empty());
    let head_stages = parts.len();
    parts.extend(tail);
    (with_units(&parts, ranges), head_stages)
}

/// The same for all queries, so that they can look at heads together. Whether a tail is worth looking at is worth an
/// exact head.
fn head_parts(head: usize, with_tail: bool) -> Vec<Range<usize>> {
    let first = if with_tail { head / HEAD_PARTS / 2 * 2 } else { 0 };
    [0..first, first..head].into_iter().filter(|columns| !columns.is_empty()).collect()
}

/// These columns with the least units in which no sum outgrows what the kernels add in.
fn with_units(parts: &[Range<usize>], ranges: &[f32]) -> Vec<Stage> {
    let ranges_of = |columns: &Range<usize>| &ranges[2 * columns.start..2 * columns.end];
    // The unit of a stage has to do for those behind it.
    let mut least: Vec<f32> = parts.iter().map(|columns| least_unit(ranges_of(columns))).collect();
    for at in (1..least.len()).rev() {
        least[at - 1] = least[at - 1].max(least[at]);
    }
    let whole: f32 = parts.iter().flat_map(ranges_of).sum();
    let tables = parts.iter().map(|columns| 2 * columns.len()).sum::<usize>();
    let by_all = whole / room(tables);
    let mut stages: Vec<Stage> = Vec::with_capacity(parts.len());
    // By how much rounding may have raised a sum.
    let mut rounding = 0.0;
    for (columns, least) in parts.iter().zip(least) {
        let Some(last) = stages.last() else {
            let unit = least.max(by_all).max(f32::MIN_POSITIVE);
            rounding += columns.len() as f32 * unit;
            stages.push(Stage { columns: columns.clone(), unit, shift: u16::BITS as u16 });
            continue;
        };
        let (mut unit, mut shift) = (last.unit, 0);
        let room = |unit: f32| whole + rounding + (tables as f32) * unit < f32::from(u16::MAX) * unit;
        while shift < 4 && unit / 2.0 >= least && unit / 2.0 >= f32::MIN_POSITIVE && room(unit / 2.0) {
            (unit, shift) = (unit / 2.0, shift + 1);
        }
        rounding += columns.len() as f32 * unit;
        stages.push(Stage { columns: columns.clone(), unit, shift });
    }
    stages
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
