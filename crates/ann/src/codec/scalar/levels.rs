//! The levels that components are rounded to, and where they come from.
//!
//! Uniform levels lie at equal distances between two quantiles of what was seen, the pair that leaves the least squared
//! error, moved a little by least squares. Other levels begin at quantiles, thinned out where those are dense, and are
//! refined by Lloyd's rule: a level is the mean of what is nearest to it (Lloyd 1957, Max 1960).

use super::super::wire::{self, Reader};
use super::super::{CodecError, Scope, TrainControl};

/// The levels of every component, 16 or 256 each, in ascending order.
#[derive(Debug)]
pub(super) enum Levels {
    /// Low end and distance, one a component or one for all.
    Even(u8, Vec<[f32; 2]>),
    /// The levels, and the bounds between them.
    Uneven(Uneven),
}

#[derive(Debug)]
pub(super) struct Uneven {
    /// Levels of a component.
    count: usize,
    /// Those of all components, or of one for all.
    levels: Vec<f32>,
    /// `count - 1` a component: a number above bound *i* is above level *i*.
    bounds: Vec<f32>,
    /// From the levels of a component to those of the next: 0 if all share them.
    stride: usize,
}

/// Numbers that levels for all components are made from.
const MOST_NUMBERS: usize = 1 << 20;

impl Levels {
    pub(super) fn train(
        nbits: u8,
        uniform: bool,
        scope: Scope,
        dim: usize,
        sample: &[f32],
        control: &TrainControl<'_>,
    ) -> Result<Self, CodecError> {
        let count = 1 << nbits;
        let columns = if scope == Scope::Global { 1 } else { dim };
        let mut even = Vec::new();
        let mut uneven = Vec::new();
        let mut column: Vec<f32> = Vec::new();
        for at in 0..columns {
            control.check()?;
            (control.progress)(at as f32 / columns as f32);
            column.clear();
            if scope == Scope::Global {
                // An odd stride meets every component.
                let stride = sample.len().div_ceil(MOST_NUMBERS) | 1;
                column.extend(sample.iter().step_by(stride));
            } else {
                column.extend(sample.iter().skip(at).step_by(dim));
            }
            column.sort_unstable_by(f32::total_cmp);
            if uniform {
                even.push(fit_even(&column, count));
            } else {
                uneven.extend(fit_uneven(&column, count));
            }
        }
        Ok(if uniform { Self::Even(nbits, even) } else { Self::Uneven(Uneven::new(count, uneven, scope)) })
    }

    /// Low end and distance of each column, or the levels of each.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        wire::put_f32s(
            bytes,
            match self {
                Self::Even(_, even) => even.as_flattened(),
                Self::Uneven(uneven) => &uneven.levels,
            },
        );
    }

    pub(super) fn read(
        nbits: u8,
        uniform: bool,
        scope: Scope,
        dim: usize,
        reader: &mut Reader<'_>,
    ) -> Result<Self, CodecError> {
        let count = 1 << nbits;
        let columns = if scope == Scope::Global { 1 } else { dim };
        if uniform {
            let even = reader.f32s(2 * columns)?.as_chunks().0.to_vec();
            let top = (count - 1) as f32;
            if even.iter().any(|&[low, step]| step < 0.0 || !(low + step * top).is_finite()) {
                return Err(wire::malformed("a scalar codec's levels do not ascend, or are not finite"));
            }
            return Ok(Self::Even(nbits, even));
        }
        let levels = reader.f32s(count * columns)?;
        if levels.chunks_exact(count).any(|levels| !levels.is_sorted()) {
            return Err(wire::malformed("a scalar codec's levels do not ascend"));
        }
        Ok(Self::Uneven(Uneven::new(count, levels, scope)))
    }

    /// The nearest level of each component.
    pub(super) fn choose(&self, vector: &[f32], chosen: &mut [u8]) {
        match self {
            Self::Even(nbits, even) => {
                let top = ((1_u32 << nbits) - 1) as f32;
                for (component, (&x, chosen)) in vector.iter().zip(chosen).enumerate() {
                    *chosen = nearest(even[component.min(even.len() - 1)], top, x);
                }
            }
            Self::Uneven(uneven) => {
                for (component, (&x, chosen)) in vector.iter().zip(chosen).enumerate() {
                    let bounds = &uneven.bounds[component * uneven.stride..][..uneven.count];
                    // All but the last, which is there to make columns as long as those of levels.
                    *chosen = bounds[..uneven.count - 1].partition_point(|&bound| x > bound) as u8;
                }
            }
        }
    }

    /// A level of a component.
    #[inline]
    pub(super) fn value(&self, component: usize, level: usize) -> f32 {
        match self {
            Self::Even(_, even) => {
                let [low, step] = even[component.min(even.len() - 1)];
                low + step * level as f32
            }
            Self::Uneven(uneven) => uneven.levels[component * uneven.stride + level],
        }
    }
}

impl Uneven {
    fn new(count: usize, levels: Vec<f32>, scope: Scope) -> Self {
        let stride = if scope == Scope::Global { 0 } else { count };
        let mut bounds = Vec::with_capacity(levels.len());
        for levels in levels.chunks_exact(count) {
            bounds.extend(levels.windows(2).map(|pair| pair[0] / 2.0 + pair[1] / 2.0));
            bounds.extend(levels.last());
        }
        Self { count, levels, bounds, stride }
    }
}

/// The level that `x` is nearest to, of those from 0 to `top`.
fn nearest([low, step]: [f32; 2], top: f32, x: f32) -> u8 {
    // The quotient may be infinite, or no number: then the step is 0, or next to it, and any level will do.
    ((x - low) / step + 0.5).min(top) as u8
}

fn squared_error(column: &[f32], line: [f32; 2], top: f32) -> f64 {
    let error = |&x: &f32| f64::from(x - (line[0] + line[1] * f32::from(nearest(line, top, x))));
    column.iter().map(error).map(|error| error * error).sum()
}

/// Low end and distance of levels for a sorted column.
fn fit_even(column: &[f32], count: usize) -> [f32; 2] {
    /// Shares of what was seen that may lie beyond either end.
    const BEYOND: [f32; 12] =
        [0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03];
    const MOVES: usize = 5;
    let (last, top) = (column.len() - 1, (count - 1) as f32);
    let between = |beyond: f32| {
        let cut = (beyond * last as f32) as usize;
        let (low, high) = (column[cut], column[last - cut]);
        [low, (high - low) / top]
    };
    let mut best = [0.0; 2];
    let mut least = f64::INFINITY;
    for line in BEYOND.map(between) {
        let error = squared_error(column, line, top);
        if error < least {
            (best, least) = (line, error);
        }
    }
    for _ in 0..MOVES {
        let line = line_through(column, best, top);
        let error = squared_error(column, line, top);
        if error.total_cmp(&least).is_ge() {
            break;
        }
        (best, least) = (line, error);
    }
    best
}

/// The line of least squares through the numbers, over the levels that they have now.
fn line_through(column: &[f32], line: [f32; 2], top: f32) -> [f32; 2] {
    let (mut k_sum, mut x_sum, mut kk_sum, mut kx_sum) = (0.0, 0.0, 0.0, 0.0);
    for &x in column {
        let (k, x) = (f64::from(nearest(line, top, x)), f64::from(x));
        k_sum += k;
        x_sum += x;
        kk_sum += k * k;
        kx_sum += k * x;
    }
    let n = column.len() as f64;
    let spread = kk_sum - k_sum * k_sum / n;
    if spread <= 0.0 {
        return line;
    }
    let step = ((kx_sum - k_sum * x_sum / n) / spread).max(0.0);
    [((x_sum - step * k_sum) / n) as f32, step as f32]
}

/// Where Lloyd's rule begins: levels about as dense as the cube root of what they stand for, which is best where they
/// are many (Panter and Dite 1951). So that every machine computes the same, 5/8 is taken for 2/3.
fn by_quantiles(column: &[f32], count: usize) -> Vec<f32> {
    const PER_LEVEL: usize = 4;
    let last = column.len() - 1;
    let cells = (PER_LEVEL * count).min(last);
    let ends = |cell: usize| (column[cell * last / cells], column[(cell + 1) * last / cells]);
    let weight = |cell: usize| {
        let root = (ends(cell).1 - ends(cell).0).sqrt();
        root * root.sqrt().sqrt()
    };
    let share = (0..cells).map(weight).sum::<f32>() / count as f32;
    let mut levels = Vec::with_capacity(count);
    let mut before = 0.0;
    for cell in 0..cells {
        let ((low, high), weight) = (ends(cell), weight(cell));
        while levels.len() < count && (levels.len() as f32 + 0.5) * share < before + weight {
            let within = ((levels.len() as f32 + 0.5) * share - before) / weight;
            levels.push((low + (high - low) * within).clamp(low, high));
        }
        before += weight;
    }
    levels.resize(count, column[last]);
    levels
}

/// Levels for a sorted column: Lloyd's rule from quantiles on.
fn fit_uneven(column: &[f32], count: usize) -> Vec<f32> {
    const ROUNDS: usize = 40;
    /// A round that moves no level by more than this share of the range is the last.
    const STILL: f32 = 1e-4;
    let n = column.len();
    let mut sums = vec![0.0_f64; n + 1];
    for (i, &x) in column.iter().enumerate() {
        sums[i + 1] = sums[i] + f64::from(x);
    }
    let mut levels = by_quantiles(column, count);
    let still = (column[n - 1] - column[0]) * STILL;
    for _ in 0..ROUNDS {
        let (mut from, mut moved) = (0, 0.0_f32);
        for k in 0..count {
            let to = match levels.get(k + 1) {
                Some(next) => {
                    let bound = levels[k] / 2.0 + next / 2.0;
                    from + column[from..].partition_point(|&x| x <= bound)
                }
                None => n,
            };
            if to > from {
                let mean = ((sums[to] - sums[from]) / (to - from) as f64) as f32;
                // Kept between what it stands for, lest rounding put levels out of order.
                let mean = mean.clamp(column[from], column[to - 1]);
                moved = moved.max((mean - levels[k]).abs());
                levels[k] = mean;
            }
            from = to;
        }
        if moved <= still {
            break;
        }
    }
    levels
}
