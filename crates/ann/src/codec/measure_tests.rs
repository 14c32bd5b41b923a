use proptest::prelude::*;

use super::super::{CodeLayout, CodeQuery, CodecSpec};
use super::*;
use crate::{Kernels, norm};

/// Keeps the floats that its function makes of a vector.
#[derive(Debug)]
struct Keeps {
    dim: usize,
    input: Input,
    change: fn(&mut [f32]),
}

fn as_it_is(dim: usize, input: Input) -> Keeps {
    Keeps { dim, input, change: |_| {} }
}

impl Codec for Keeps {
    fn spec(&self) -> CodecSpec {
        CodecSpec::Transform { bytes: self.bytes_per_vector() }
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn bytes_per_vector(&self) -> usize {
        4 * self.dim
    }

    fn layout(&self) -> CodeLayout {
        CodeLayout { head: 0, tail: self.bytes_per_vector(), side: 0 }
    }

    fn input(&self) -> Input {
        self.input
    }

    fn encode(&self, vectors: &[f32], codes: &mut [u8]) {
        for (vector, code) in
            vectors.chunks_exact(self.dim).zip(codes.chunks_exact_mut(self.bytes_per_vector()))
        {
            let mut vector = vector.to_vec();
            (self.change)(&mut vector);
            code.copy_from_slice(&vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
        }
    }

    fn decode(&self, codes: &[u8], vectors: &mut [f32]) {
        for (x, bytes) in vectors.iter_mut().zip(codes.as_chunks().0) {
            *x = f32::from_le_bytes(*bytes);
        }
    }

    fn prepare_query<'a>(&'a self, query: &[f32]) -> Box<dyn CodeQuery + 'a> {
        Box::new(Prepared { codec: self, query: query.to_vec() })
    }

    fn write(&self) -> Vec<u8> {
        Vec::new()
    }
}

struct Prepared<'a> {
    codec: &'a Keeps,
    query: Vec<f32>,
}

impl CodeQuery for Prepared<'_> {
    fn dot(&self, code: &[u8]) -> f32 {
        let mut vector = vec![0.0; self.query.len()];
        self.codec.decode(code, &mut vector);
        Kernels::best().dot(&self.query, &vector)
    }
}

fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Rows pushed at most `cut` at a time.
fn measured(codec: &Keeps, metric: Metric, rows: &[f32], queries: Vec<f32>, cut: usize) -> CodecReport {
    let mut measure = Measure::new(codec, metric, queries, 0);
    for rows in rows.chunks(cut * codec.dim) {
        let norms: Vec<f32> = rows.chunks(codec.dim).map(norm).collect();
        measure.push(rows, &norms);
    }
    measure.finish()
}

#[test]
fn a_direction_has_length_one_but_that_of_nothing() {
    let mut out = [9.0; 6];
    directions(&[3.0, 4.0, 0.0, -0.0, 3e30, -4e30], &[5.0, 0.0, 5e30], &mut out);
    for (got, expected) in out.iter().zip([0.6, 0.8, 0.0, 0.0, 0.6, -0.8]) {
        assert!((got - expected).abs() < 1e-6, "{out:?}");
    }
    directions(&[], &[], &mut []);
    for norms in [&[][..], &[1.0; 3]] {
        assert!(std::panic::catch_unwind(|| directions(&[1.0; 4], norms, &mut [0.0; 4])).is_err());
    }
}

#[test]
fn a_codec_that_loses_nothing_finds_all() {
    let mut rows = numbers(1, 8 * 700);
    rows[16..24].fill(0.0);
    for metric in Metric::ALL {
        // Rounding of directions may swap neighbours that are all but equally near; these are not.
        for input in [Input::AsGiven, Input::Direction] {
            let report = measured(&as_it_is(8, input), metric, &rows, numbers(2, 8 * 20), 100);
            assert_eq!((report.recall_at_10, report.recall_at_10_reranked), (1.0, 1.0), "{metric} {input:?}");
            assert_eq!((report.mean_squared_error, report.rows), (0.0, 700));
        }
    }
}

#[test]
fn a_codec_that_tells_nothing_finds_the_first_rows_by_chance() {
    let codec = Keeps { dim: 4, input: Input::Direction, change: |vector| vector.fill(0.5) };
    let report = measured(&codec, Metric::Cosine, &numbers(1, 4 * 2000), numbers(2, 4 * 300), 64);
    // By chance 10 and 100 of 2000, give or take three standard deviations over 3000 neighbours.
    assert!((0.001..0.009).contains(&report.recall_at_10), "{report:?}");
    assert!((0.038..0.062).contains(&report.recall_at_10_reranked), "{report:?}");
    // As few as are ranked anew: then all is well.
    let report = measured(&codec, Metric::Cosine, &numbers(1, 4 * 100), numbers(2, 4 * 50), 64);
    assert!((0.05..0.15).contains(&report.recall_at_10), "{report:?}");
    assert_eq!(report.recall_at_10_reranked, 1.0);
}

#[test]
fn the_error_is_that_of_what_the_codec_was_given() {
    let shifted = |input| Keeps { dim: 4, input, change: |vector| vector.iter_mut().for_each(|x| *x += 0.5) };
    for (input, rows) in [(Input::AsGiven, 300), (Input::Direction, 300), (Input::Direction, 1)] {
        let rows: Vec<f32> = numbers(3, 4 * rows).iter().map(|x| x * 1000.0).collect();
        let report = measured(&shifted(input), Metric::Dot, &rows, numbers(2, 4), 64);
        assert!((report.mean_squared_error - 1.0).abs() < 1e-4, "{report:?}");
    }
}

#[test]
fn of_rows_as_near_as_the_tenth_any_will_do() {
    // By the product with (1, 0): five rows of score 2 behind twenty of score 1.
    let tied = |better: usize| -> Vec<f32> {
        let one = (0..20).flat_map(|i| [1.0, i as f32]);
        one.chain((0..better).flat_map(|_| [2.0, 0.0])).collect()
    };
    let last_first =
        Keeps { dim: 2, input: Input::AsGiven, change: |vector| vector[0] += vector[1] / 1000.0 };
    let all_same = Keeps { change: |vector| vector.fill(1.0), ..as_it_is(2, Input::AsGiven) };
    let recall =
        |codec: &Keeps, better| measured(codec, Metric::Dot, &tied(better), vec![1.0, 0.0], 7).recall_at_10;
    assert_eq!(recall(&last_first, 0), 1.0);
    assert_eq!(recall(&last_first, 5), 1.0);
    // Ten of score 1 are found, but the five of score 2 have not their place.
    assert_eq!(recall(&all_same, 5), 0.5);
    assert_eq!(recall(&all_same, 10), 0.0);
}

#[test]
fn few_rows_no_rows_and_no_queries_are_no_nan() {
    let codec = as_it_is(3, Input::Direction);
    let report = measured(&codec, Metric::Cosine, &numbers(1, 3 * 4), numbers(2, 3 * 5), 64);
    assert_eq!((report.recall_at_10, report.recall_at_10_reranked, report.rows), (1.0, 1.0, 4));
    for (rows, queries) in [(0, 5), (5, 0), (0, 0)] {
        let report = measured(&codec, Metric::Cosine, &numbers(1, 3 * rows), numbers(2, 3 * queries), 64);
        assert_eq!((report.recall_at_10, report.recall_at_10_reranked), (0.0, 0.0));
        assert_eq!((report.mean_squared_error, report.rows), (0.0, rows as u64));
    }
}

#[test]
fn queries_are_counted_by_where_they_come_from() {
    let codec = as_it_is(2, Input::AsGiven);
    for held_out in 0..=4 {
        let report = Measure::new(&codec, Metric::Dot, numbers(1, 8), held_out).finish();
        assert_eq!((report.held_out_queries, report.real_queries), (held_out as u32, 4 - held_out as u32));
    }
    let too_many = std::panic::catch_unwind(|| Measure::new(&codec, Metric::Dot, numbers(1, 8), 5).finish());
    assert!(too_many.is_err());
}

#[test]
fn more_rows_than_are_gathered_at_once_are_searched() {
    let dim = 4096;
    let rows = numbers(5, dim * (GATHERED_FLOATS / dim * 2 + 100));
    let codec = as_it_is(dim, Input::Direction);
    // The last row is nearest to itself.
    let report = measured(&codec, Metric::Cosine, &rows, rows[rows.len() - dim..].to_vec(), 600);
    assert_eq!((report.recall_at_10, report.rows), (1.0, (rows.len() / dim) as u64));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn cuts_and_threads_change_nothing(
        rows in 0..600_usize, queries in 0..30_usize, cut in 1..300_usize, threads in 0..6_usize, seed: u32,
    ) {
        let codec = Keeps { dim: 5, input: Input::Direction, change: |vector| vector[0] = 0.0 };
        let (rows, queries) = (numbers(seed, 5 * rows), numbers(!seed, 5 * queries));
        let norms: Vec<f32> = rows.chunks(5).map(norm).collect();
        let mut measure = Measure::new(&codec, Metric::Euclidean, queries.clone(), 0).threads(threads);
        measure.push(&rows, &norms);
        let whole = measure.finish();
        prop_assert_eq!(measured(&codec, Metric::Euclidean, &rows, queries, cut), whole);
    }
}
