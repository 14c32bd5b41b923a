//! How well targets are found, with intervals that say how far chance goes.

use crate::data::SplitMix;

/// Ranks beyond this count as not found.
pub(crate) const DEPTH: usize = 10;

/// Samples drawn with replacement (Efron 1979).
const SAMPLES: usize = 2000;

/// A figure and the interval that 95 % of the samples are in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Where a system found the target of each question, from 1. `None`: not among the first [`DEPTH`].
pub(crate) struct Ranks(pub(crate) Vec<Option<usize>>);

impl Ranks {
    /// What each question adds to MRR@10.
    pub(crate) fn reciprocal(&self) -> Vec<f64> {
        self.0.iter().map(|rank| rank.map_or(0.0, |rank| 1.0 / rank as f64)).collect()
    }

    /// What each question adds to recall within the first `depth`.
    pub(crate) fn within(&self, depth: usize) -> Vec<f64> {
        let found = |rank: &Option<usize>| f64::from(u8::from(rank.is_some_and(|rank| rank <= depth)));
        self.0.iter().map(found).collect()
    }
}

/// The mean of some values.
pub(crate) fn mean(values: &[f64]) -> Estimate {
    bootstrap(values.len(), |sample| average(values, sample))
}

/// One mean beside another, over the same questions.
pub(crate) fn ratio(ours: &[f64], theirs: &[f64]) -> Estimate {
    bootstrap(ours.len(), |sample| average(ours, sample) / average(theirs, sample))
}

fn average(values: &[f64], sample: &[usize]) -> f64 {
    sample.iter().map(|&at| values[at]).sum::<f64>() / sample.len() as f64
}

/// A figure over all questions, and over samples of them. The same samples at each call.
fn bootstrap(questions: usize, figure: impl Fn(&[usize]) -> f64) -> Estimate {
    let mut random = SplitMix(7);
    let all: Vec<usize> = (0..questions).collect();
    let mut sample = all.clone();
    let mut figures: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            sample.iter_mut().for_each(|at| *at = (random.next() % questions.max(1) as u64) as usize);
            figure(&sample)
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    let value = figure(&all);
    Estimate { value, low: figures[SAMPLES / 40], high: figures[SAMPLES - 1 - SAMPLES / 40] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_add_what_the_definitions_say() {
        let ranks = Ranks(vec![Some(1), Some(4), None, Some(10)]);
        assert_eq!(ranks.reciprocal(), [1.0, 0.25, 0.0, 0.1]);
        assert_eq!(ranks.within(1), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(ranks.within(10), [1.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn intervals_hold_the_value_and_narrow_with_more_questions() {
        let values = |n: usize| (0..n).map(|at| f64::from(u8::from(at % 3 == 0))).collect::<Vec<_>>();
        let (few, many) = (mean(&values(30)), mean(&values(3000)));
        assert!(few.low < few.value && few.value < few.high, "{few:?}");
        assert!(many.high - many.low < (few.high - few.low) / 5.0, "{few:?} {many:?}");
        // The standard error of 3,000 draws of a third is 0.0086; the interval is about two of them each way.
        assert!((many.high - many.low - 0.034).abs() < 0.006, "{many:?}");
    }

    #[test]
    fn a_ratio_is_paired() {
        let theirs: Vec<f64> = (1..100).map(f64::from).collect();
        let ours: Vec<f64> = theirs.iter().map(|value| value * 1.25).collect();
        let ratio = ratio(&ours, &theirs);
        assert!((ratio.low - 1.25).abs() < 1e-9 && (ratio.high - 1.25).abs() < 1e-9, "{ratio:?}");
    }
}
