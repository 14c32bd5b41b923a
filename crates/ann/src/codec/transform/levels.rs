//! The levels that one component is rounded to, and what the rounding costs, by bits.

/// Most bits of a component: three nibbles. The axis along which most of the variance lies is worth that.
pub(super) const MAX_BITS: usize = 12;
/// Up to so many bits a component's levels lie anywhere, and its index is one part of one nibble.
pub(super) const FREE_BITS: usize = 4;
/// Most parts of an index.
pub(super) const MAX_PARTS: usize = MAX_BITS / FREE_BITS;

/// A part of an index of some bits, which stands in one nibble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Which part it is; part 0 has the highest bits.
    pub(super) number: usize,
    /// Bits of it, at most 4.
    pub(super) bits: usize,
    /// Bits of the index below it.
    pub(super) below: usize,
}

/// The parts of an index of so many bits: nibbles from the top, then what is left.
pub(super) fn parts(bits: usize) -> impl Iterator<Item = Part> {
    (0..bits.div_ceil(FREE_BITS)).map(move |number| {
        let above = number * FREE_BITS;
        let own = (bits - above).min(FREE_BITS);
        Part { number, bits: own, below: bits - above - own }
    })
}

/// The levels of a component.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Levels {
    /// Anywhere, in ascending order; a power of two, at most 16.
    Free(Vec<f32>),
    /// `least + step × index`, so that a level is the sum of what the index's two parts say.
    Even { least: f32, step: f32, bits: usize },
}

impl Levels {
    pub(super) fn bits(&self) -> usize {
        match self {
            Self::Free(levels) => levels.len().ilog2() as usize,
            Self::Even { bits, .. } => *bits,
        }
    }

    /// What each value of a part adds to the level; 0 for values that it cannot have.
    pub(super) fn part(&self, part: Part) -> [f32; 16] {
        let value = |value: usize| match self {
            _ if value >> part.bits > 0 => 0.0,
            Self::Free(levels) => levels[value],
            Self::Even { least, step, .. } => {
                (if part.number == 0 { *least } else { 0.0 }) + step * (value << part.below) as f32
            }
        };
        std::array::from_fn(value)
    }

    /// The greatest size of a level.
    pub(super) fn reach(&self) -> f64 {
        match self {
            Self::Free(levels) => levels.iter().fold(0.0, |most, level| most.max(f64::from(level.abs()))),
            Self::Even { least, step, bits } => {
                f64::from(least.abs()) + f64::from(step.abs()) * (1 << bits) as f64
            }
        }
    }

    /// The index of the level nearest to each value, and that level, but for rounding.
    ///
    /// Without branches and table look-ups, so that the compiler works on many values at once.
    pub(super) fn nearest(&self, values: &[f32], indices: &mut [u32], rounded: &mut [f32]) {
        match self {
            Self::Free(levels) => {
                indices.fill(0);
                rounded.fill(levels[0]);
                for pair in levels.windows(2) {
                    let (threshold, more) = (middle(pair[0], pair[1]), pair[1] - pair[0]);
                    for ((index, rounded), value) in indices.iter_mut().zip(&mut *rounded).zip(values) {
                        let above = *value > threshold;
                        *index += u32::from(above);
                        *rounded += if above { more } else { 0.0 };
                    }
                }
            }
            Self::Even { least, step, bits } => {
                let even = EvenIndex::new(*least, *step, *bits);
                for ((index, rounded), value) in indices.iter_mut().zip(rounded).zip(values) {
                    *index = even.of(*value);
                    *rounded = least + step * *index as f32;
                }
            }
        }
    }
}

/// Finds the nearest of levels at equal distances.
struct EvenIndex {
    least: f32,
    inverse: f32,
    most: f32,
}

impl EvenIndex {
    fn new(least: f32, step: f32, bits: usize) -> Self {
        // Where all levels are one, any index is right.
        let inverse = if step > f32::MIN_POSITIVE { 1.0 / step } else { 0.0 };
        Self { least, inverse, most: ((1 << bits) - 1) as f32 }
    }

    /// 0 for what is no number.
    fn of(&self, value: f32) -> u32 {
        /// Added to a small float, it leaves the nearest whole number in the lowest bits.
        const ROUND: f32 = (1 << 23) as f32;
        let place = ((value - self.least) * self.inverse).max(0.0).min(self.most);
        (place + ROUND).to_bits() & ((1 << 23) - 1)
    }
}

fn middle(a: f32, b: f32) -> f32 {
    a + (b - a) * 0.5
}

/// The best levels found for each number of bits, and the mean squared errors with them.
#[derive(Debug)]
pub(crate) struct Curve {
    /// For 0 to [`MAX_BITS`] bits.
    pub(super) levels: Vec<Levels>,
    /// As many.
    pub(super) errors: Vec<f64>,
}

impl Curve {
    /// Of a component whose mean is 0 and that was seen to have these values, at least one.
    pub(crate) fn new(mut values: Vec<f32>) -> Self {
        values.sort_unstable_by(f32::total_cmp);
        let sums = Sums::new(&values);
        let mut curve = Self {
            levels: vec![Levels::Free(vec![0.0])],
            errors: vec![sums.error(0, values.len(), 0.0) / values.len() as f64],
        };
        for bits in 1..=MAX_BITS {
            let (levels, error) =
                if bits <= FREE_BITS { free(&values, &sums, bits) } else { even(&values, bits) };
            curve.levels.push(levels);
            // More bits are never worse; where rounding makes it seem so, nothing is to be gained by them.
            curve.errors.push((error / values.len() as f64).min(curve.errors[bits - 1]));
        }
        curve
    }
}

/// Sums over the first values, and over their squares.
struct Sums(Vec<(f64, f64)>);

impl Sums {
    fn new(values: &[f32]) -> Self {
        let mut sums = vec![(0.0, 0.0)];
        let (mut sum, mut squares) = (0.0, 0.0);
        for value in values {
            let value = f64::from(*value);
            sum += value;
            squares += value * value;
            sums.push((sum, squares));
        }
        Self(sums)
    }

    fn mean(&self, start: usize, end: usize) -> f64 {
        (self.0[end].0 - self.0[start].0) / (end - start) as f64
    }

    /// The sum of squared distances to `level`.
    fn error(&self, start: usize, end: usize, level: f64) -> f64 {
        let (sum, squares) = (self.0[end].0 - self.0[start].0, self.0[end].1 - self.0[start].1);
        (squares - 2.0 * level * sum + level * level * (end - start) as f64).max(0.0)
    }
}

/// Levels anywhere, by Lloyd's method from quantiles (Lloyd 1982, Max 1960).
fn free(values: &[f32], sums: &Sums, bits: usize) -> (Levels, f64) {
    const ROUNDS: usize = 40;
    let count = 1 << bits;
    let mut levels: Vec<f32> =
        (0..count).map(|at| values[(2 * at + 1) * values.len() / (2 * count)]).collect();
    let mut ends = vec![0; count];
    for _ in 0..ROUNDS {
        let mut moved = ends.clone();
        for (end, pair) in moved.iter_mut().zip(levels.windows(2)) {
            let threshold = middle(pair[0], pair[1]);
            *end = values.partition_point(|value| *value <= threshold);
        }
        moved[count - 1] = values.len();
        if moved == ends {
            break;
        }
        ends = moved;
        for (at, level) in levels.iter_mut().enumerate() {
            let start = if at == 0 { 0 } else { ends[at - 1] };
            if start < ends[at] {
                *level = sums.mean(start, ends[at]) as f32;
            }
        }
        // A level that nothing is near to stays, and rounding may put one beside it on its other side.
        levels.sort_unstable_by(f32::total_cmp);
    }
    let mut error = 0.0;
    let mut start = 0;
    for (at, level) in levels.iter().enumerate() {
        let end = match levels.get(at + 1) {
            Some(next) => {
                let threshold = middle(*level, *next);
                values.partition_point(|value| *value <= threshold)
            }
            None => values.len(),
        };
        error += sums.error(start, end, f64::from(*level));
        start = end;
    }
    (Levels::Free(levels), error)
}

/// Levels at equal distances, over the range that costs least: what lies outside is rounded to its ends.
fn even(values: &[f32], bits: usize) -> (Levels, f64) {
    /// Shares of the values outside on either side. A normal distribution wants 0.0013 at 5 bits, and 0.00003 at 8.
    const OUTSIDE: [f64; 7] = [0.0, 0.000_05, 0.000_2, 0.000_5, 0.001, 0.002, 0.004];
    let last = values.len() - 1;
    let mut tried = None;
    let mut best: Option<(Levels, f64)> = None;
    for share in OUTSIDE {
        let outside = (share * last as f64) as usize;
        if tried.replace(outside) == Some(outside) {
            continue;
        }
        let (low, high) = (values[outside], values[last - outside]);
        let step = (high - low) / (1 << bits) as f32;
        let least = low + step * 0.5;
        let index = EvenIndex::new(least, step, bits);
        let squares = values.iter().map(|value| {
            let off = value - (least + step * index.of(*value) as f32);
            f64::from(off * off)
        });
        let error = squares.sum();
        if best.as_ref().is_none_or(|(_, least)| error < *least) {
            best = Some((Levels::Even { least, step, bits }, error));
        }
    }
    best.expect("the whole range was tried")
}
