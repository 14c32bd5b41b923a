//! How much effort finds how much: measured at the build, stored with the index.
//!
//! Three kinds of queries are asked: held-out rows; mixtures of rows, which are as far from all rows as questions in
//! words often are; and real queries, as far as some are known. What is promised is what the worst of them had.

use crate::codec::wire::{Reader, malformed, put_f32s, put_u32s};
use crate::codec::{CodecError, TrainControl};
use crate::linear::{in_parallel, products_by_column};
use crate::numeric::norm_f64;
use crate::random::Random;
use crate::{Metric, TopK};

use super::{IndexQuery, VectorIndex};

/// What was measured at one effort.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    /// Cells, or nodes in sight.
    pub ef: usize,
    /// Candidates that are worth being ranked anew: more would hardly find more.
    pub candidates: usize,
    /// The share of the true 10 nearest that were among the candidates: of the worst kind of queries.
    pub recall: f32,
    /// The share of rows that were looked at, on average.
    pub looked_at: f32,
}

/// Rungs of ever more effort.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    rungs: Vec<Rung>,
}

impl Calibration {
    /// The rungs, by rising effort.
    #[must_use]
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// The least effort that found `recall`; the greatest that was measured, if none did.
    #[must_use]
    pub fn for_recall(&self, recall: f32) -> Option<Rung> {
        self.first(|rung| rung.recall >= recall)
    }

    /// The least effort that was measured of those that are not less than `ef`; the greatest, if all are.
    #[must_use]
    pub fn for_effort(&self, ef: usize) -> Option<Rung> {
        self.first(|rung| rung.ef >= ef)
    }

    fn first(&self, is_enough: impl Fn(&Rung) -> bool) -> Option<Rung> {
        self.rungs.iter().find(|rung| is_enough(rung)).or(self.rungs.last()).copied()
    }
}

/// Most rungs.
const RUNGS: usize = 32;

/// What a rung's candidates are.
const CANDIDATES: [usize; 4] = [10, 15, 20, 30];

/// As many as these, where they find so much more: to rank one anew costs more than to find it.
const MANY_CANDIDATES: usize = 100;
const WORTH_MANY: f32 = 0.005;

/// By how much less may be found by fewer candidates.
const LOSS: f32 = 0.002;

/// More than this is as good as all.
const ALL: f32 = 0.9995;

/// From here on, an effort that gains no more than may be lost is the last.
const NEARLY_ALL: f32 = 0.99;

/// The nearest that are to be found.
const NEAREST: usize = 10;

/// What is held against: so many of the nearest that it is seen whether others are as near as the last that counts.
const TRUE_NEAREST: usize = 2 * NEAREST;

/// Queries of a kind, at most.
const QUERIES: usize = 100;

/// Rows of a mixture. Measured with 97,315 embeddings of code and 1,000 questions in words: in 64 cells 0.886 of the
/// nearest to questions are found, 0.916 in 96, 0.934 in 128; of mixtures of 7 rows 0.896, 0.949 and 0.968; of 2 or 3
/// rows 0.947, 0.967 and 0.977. Mixtures of more, or less some other row, are no more like questions, some of which are
/// harder than any of them: what is promised above 0.9 is a promise only with real queries to measure by.
const MIXED: usize = 7;

/// Kinds of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Row(u32),
    Mixture,
    Real,
}

/// Queries to measure by, and what is found out about them while all rows are read.
pub(super) struct Asked {
    dim: usize,
    kinds: Vec<Kind>,
    /// Row-major.
    directions: Vec<f32>,
    norms: Vec<f64>,
}

impl Calibration {
    /// Bytes of what [`Calibration::write`] writes, whatever was measured.
    pub(super) const BYTES: usize = 4 + 16 * RUNGS;

    /// Number of rungs (u32); of each effort and candidates (u32), recall and share (f32); zeros.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        put_u32s(&mut bytes, &[self.rungs.len() as u32]);
        for rung in &self.rungs {
            put_u32s(&mut bytes, &[rung.ef as u32, rung.candidates as u32]);
            put_f32s(&mut bytes, &[rung.recall, rung.looked_at]);
        }
        bytes.resize(Self::BYTES, 0);
        bytes
    }

    /// What [`Calibration::write`] wrote. The bytes may be anything.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let count = reader.u32s(1)?[0] as usize;
        if count > RUNGS || bytes.len() != Self::BYTES {
            return Err(malformed("of other measurements"));
        }
        let mut rungs = Vec::with_capacity(count);
        for _ in 0..count {
            let (sizes, shares) = (reader.u32s(2)?, reader.f32s(2)?);
            if sizes.contains(&0) || shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
                return Err(malformed("something was measured that cannot be"));
            }
            let (ef, candidates) = (sizes[0] as usize, sizes[1] as usize);
            rungs.push(Rung { ef, candidates, recall: shares[0], looked_at: shares[1] });
        }
        if !rungs.is_sorted_by(|a, b| a.ef < b.ef && a.recall <= b.recall) {
            return Err(malformed("more effort finds less"));
        }
        Ok(Self { rungs })
    }
}

impl Asked {
    /// Nothing.
    pub(super) fn nothing(dim: usize) -> Self {
        Self { dim, kinds: Vec::new(), directions: Vec::new(), norms: Vec::new() }
    }

    /// Rows, and mixtures of rows, of `count` that `row` tells the directions of, and some of the real queries.
    pub(super) fn choose<E>(
        dim: usize,
        norms: &[f32],
        queries: &[f32],
        seed: u64,
        row: impl Fn(usize, &mut [f32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let count = norms.len();
        let mut random = Random::new(seed, u64::MAX);
        let mut asked = Self::nothing(dim);
        let mut direction = vec![0.0; dim];
        for at in random.choose(QUERIES, count) {
            row(at, &mut direction)?;
            asked.add(Kind::Row(at as u32), &direction, f64::from(norms[at]));
        }
        for _ in 0..QUERIES.min(count) {
            let (mut sum, mut norm) = (vec![0.0_f32; dim], 0.0);
            for _ in 0..MIXED {
                let at = random.below(count);
                row(at, &mut direction)?;
                sum.iter_mut().zip(&direction).for_each(|(sum, x)| *sum += x);
                norm += f64::from(norms[at]) / MIXED as f64;
            }
            asked.add(Kind::Mixture, &sum, norm);
        }
        let real = queries.len() / dim;
        for at in random.choose(QUERIES, real) {
            let query = &queries[at * dim..][..dim];
            asked.add(Kind::Real, query, norm_f64(query));
        }
        Ok(asked)
    }

    fn add(&mut self, kind: Kind, vector: &[f32], norm: f64) {
        let length = norm_f64(vector);
        let divisor = if length > 0.0 { length } else { 1.0 };
        self.kinds.push(kind);
        self.directions.extend(vector.iter().map(|x| (f64::from(*x) / divisor) as f32));
        self.norms.push(norm);
    }

    /// The nearest of some rows, which begin with number `first`, to each query.
    pub(super) fn nearest(
        &self,
        metric: Metric,
        first: usize,
        directions: &[f32],
        norms: &[f32],
    ) -> Vec<TopK<u32>> {
        if self.kinds.is_empty() {
            return Vec::new();
        }
        let rows = norms.len();
        let mut products = vec![0.0; rows * self.kinds.len()];
        products_by_column(directions, &self.directions, self.dim, &mut products);
        let of_query = |(at, products): (usize, &[f32])| {
            let mut top = TopK::new(TRUE_NEAREST);
            let mut least = f32::NEG_INFINITY;
            for (row, (&product, &norm)) in products.iter().zip(norms).enumerate() {
                let ordinal = (first + row) as u32;
                // Scores of cosine are products, but for what cannot be one.
                if (metric == Metric::Cosine && product < least) || self.kinds[at] == Kind::Row(ordinal) {
                    continue;
                }
                top.push(metric.of_directions(product, self.norms[at], norm), ordinal);
                least = top.threshold();
            }
            top
        };
        products.chunks_exact(rows).enumerate().map(of_query).collect()
    }

    /// Measures ever more effort, until all is found.
    pub(super) fn measure(
        &self,
        index: &VectorIndex,
        bytes: &[u8],
        nearest: Vec<TopK<u32>>,
        control: &TrainControl<'_>,
    ) -> Result<Calibration, CodecError> {
        let trials: Vec<Trial> =
            nearest.into_iter().enumerate().filter_map(|(at, top)| self.trial(index, at, top)).collect();
        let mut rungs: Vec<Rung> = Vec::new();
        for ef in ladder(index) {
            control.check()?;
            let run = |candidates: usize| {
                in_parallel(control.threads, trials.len(), |at| {
                    trials[at].found(index, bytes, ef, candidates)
                })
            };
            let most = run(CANDIDATES[CANDIDATES.len() - 1]);
            let enough = recall(&trials, &most, usize::MAX) - LOSS;
            // With fewer wanted the index may look less closely: but it does not find what it would have left out.
            let fewer = CANDIDATES.into_iter().filter(|&count| recall(&trials, &most, count) >= enough);
            let mut fewer = fewer.map(|count| (count, recall(&trials, &run(count), count)));
            let last = (CANDIDATES[CANDIDATES.len() - 1], enough + LOSS);
            let few = fewer.find(|(_, recall)| *recall >= enough).unwrap_or(last);
            let by_many = recall(&trials, &run(MANY_CANDIDATES), usize::MAX);
            let many = (MANY_CANDIDATES, by_many);
            let (candidates, recall) = if by_many > few.1 + WORTH_MANY { many } else { few };
            let rows: f64 = most.iter().map(|(_, rows)| *rows as f64).sum();
            let looked_at = (rows / (index.rows() * most.len().max(1)) as f64).min(1.0) as f32;
            let gain = rungs.last().map_or(1.0, |last| recall - last.recall);
            if gain > 0.0 {
                rungs.push(Rung { ef, candidates, recall, looked_at });
            }
            if recall >= ALL || (recall >= NEARLY_ALL && gain < LOSS) {
                break;
            }
        }
        Ok(Calibration { rungs })
    }

    /// `None` where it cannot be said which are the nearest.
    fn trial(&self, index: &VectorIndex, at: usize, top: TopK<u32>) -> Option<Trial> {
        let hits = top.into_sorted();
        let last = hits.get(NEAREST.min(hits.len()).checked_sub(1)?)?.score;
        if hits.len() == TRUE_NEAREST && hits[TRUE_NEAREST - 1].score >= last {
            return None;
        }
        let direction = &self.directions[at * self.dim..][..self.dim];
        let vector: Vec<f32> = direction.iter().map(|x| (f64::from(*x) * self.norms[at]) as f32).collect();
        let nearest = hits.iter().filter(|hit| hit.score >= last).map(|hit| hit.key).collect();
        let wanted = hits.len().min(NEAREST);
        Some(Trial { kind: self.kinds[at], query: index.prepare(&vector), nearest, wanted })
    }
}

/// A query of which it is known what should be found.
struct Trial {
    kind: Kind,
    query: IndexQuery,
    /// Those that are nearest, and those that are as near as the last of these.
    nearest: Vec<u32>,
    wanted: usize,
}

impl Trial {
    /// The rows that are found, the best first, and how many were looked at.
    fn found(&self, index: &VectorIndex, bytes: &[u8], ef: usize, candidates: usize) -> (Vec<u32>, usize) {
        let mut top = [TopK::new(candidates)];
        let admit = |_, ordinal| (self.kind != Kind::Row(ordinal)).then_some(ordinal);
        let queries = std::slice::from_ref(&self.query);
        let looked_at = index.search_counting(bytes, queries, &[ef], admit, &mut top);
        let [top] = top;
        (top.into_sorted().iter().map(|hit| hit.key).collect(), looked_at)
    }

    /// The share of what should be found that is among these.
    fn recall(&self, rows: &[u32]) -> f64 {
        let hits = rows.iter().filter(|row| self.nearest.contains(row)).count();
        hits.min(self.wanted) as f64 / self.wanted as f64
    }
}

/// The mean recall, among so many of the best that were found, of the kind of queries that had the worst.
fn recall(trials: &[Trial], found: &[(Vec<u32>, usize)], candidates: usize) -> f32 {
    let mut sums = [(0.0, 0.0); 3];
    for (trial, (rows, _)) in trials.iter().zip(found) {
        let kind = match trial.kind {
            Kind::Row(_) => 0,
            Kind::Mixture => 1,
            Kind::Real => 2,
        };
        sums[kind].0 += trial.recall(&rows[..candidates.min(rows.len())]);
        sums[kind].1 += 1.0;
    }
    let recalls = sums.iter().filter(|(_, count)| *count > 0.0).map(|(sum, count)| (sum / count) as f32);
    recalls.fold(1.0, f32::min)
}

/// Efforts, each half or a third more than the one before.
fn ladder(index: &VectorIndex) -> Vec<usize> {
    let (least, most) = index.efforts();
    let steps = (0..2 * usize::BITS).map(|at| (least << (at / 2)) * if at % 2 == 0 { 2 } else { 3 } / 2);
    let mut ladder: Vec<usize> = steps.take_while(|ef| *ef < most).take(RUNGS - 1).collect();
    ladder.push(most);
    ladder
}
