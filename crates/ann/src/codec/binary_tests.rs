use proptest::prelude::*;

use super::super::conformance::{
    self, Noise, awkward_samples, coded, decoded, directions, read_any, trained,
};
use super::super::{Codec, CodecSpec, TrainControl};

fn specs() -> impl Iterator<Item = CodecSpec> {
    (1..=8).map(|bits| CodecSpec::Binary { bits })
}

#[test]
fn all_promises_hold_on_awkward_samples() {
    for spec in specs() {
        for (dim, sample) in awkward_samples() {
            conformance::check(&spec, dim, &sample);
        }
    }
}

#[test]
fn codes_are_as_long_as_they_should_be() {
    for (spec, bytes) in specs().zip([3, 5, 8, 10, 12, 14, 16, 18]) {
        assert_eq!(trained(&spec, 9, &directions(20, 9, 1)).bytes_per_vector(), bytes, "{spec}");
    }
}

#[test]
fn a_vector_that_is_the_mean_is_decoded_to_it() {
    for spec in specs() {
        // Of every vector its opposite, so that the mean is 0.
        let half = directions(50, 12, 2);
        let sample: Vec<f32> = half.iter().copied().chain(half.iter().map(|x| -x)).collect();
        let codec = trained(&spec, 12, &sample);
        assert_eq!(decoded(&*codec, &coded(&*codec, &[0.0; 12])), [0.0; 12]);
        // And where there is nothing but one vector.
        let codec = trained(&spec, 12, &half[..12].repeat(7));
        assert_eq!(decoded(&*codec, &coded(&*codec, &half[..12])), half[..12]);
    }
}

fn mean_squared_error(codec: &dyn Codec, vectors: &[f32]) -> f64 {
    let stand_for = decoded(codec, &coded(codec, vectors));
    let errors = vectors.iter().zip(&stand_for).map(|(x, y)| f64::from(x - y) * f64::from(x - y));
    errors.sum::<f64>() / (vectors.len() / codec.dim()) as f64
}

#[test]
fn every_bit_leaves_less_error() {
    let (sample, vectors) = (directions(400, 60, 3), directions(200, 60, 4));
    let errors: Vec<f64> =
        specs().map(|spec| mean_squared_error(&*trained(&spec, 60, &sample), &vectors)).collect();
    // One bit keeps 2/π of a normal vector's square; its error is π/2 - 1 when it is scaled to be right on average.
    assert!((0.4..0.6).contains(&errors[0]), "{errors:?}");
    assert!(errors.windows(2).all(|pair| pair[1] < pair[0] / 2.0), "{errors:?}");
    assert!(errors[7] < 1e-4, "{errors:?}");
}

/// Products of queries and vectors: the estimate, the truth, and what `error` says at so many deviations.
fn estimates(codec: &dyn Codec, vectors: &[f32], queries: &[f32], deviations: f32) -> Vec<(f64, f64, f64)> {
    let codes = coded(codec, vectors);
    let dim = codec.dim();
    let mut found = Vec::new();
    for query in queries.chunks_exact(dim) {
        let prepared = codec.prepare_query(query);
        for (vector, code) in vectors.chunks_exact(dim).zip(codes.chunks_exact(codec.bytes_per_vector())) {
            let truth = crate::numeric::dot_f64(query, vector);
            let bound = prepared.error(code, deviations).expect("it knows");
            found.push((f64::from(prepared.dot(code)), truth, f64::from(bound)));
        }
    }
    found
}

#[test]
fn the_bound_holds_at_its_rate() {
    for dim in [48, 100, 128] {
        let sample = directions(500, dim, 5);
        // Vectors that resemble the sample, and queries close to some of them.
        let (vectors, mut queries) = (directions(200, dim, 6), directions(20, dim, 7));
        queries.extend_from_slice(&vectors[..20 * dim]);
        for spec in specs() {
            let codec = trained(&spec, dim, &sample);
            let rate = |deviations: f32| {
                let found = estimates(&*codec, &vectors, &queries, deviations);
                let held = found.iter().filter(|(dot, truth, bound)| (dot - truth).abs() <= bound + 1e-6);
                held.count() as f64 / found.len() as f64
            };
            // A normal number is within 1.9 deviations in 94.3 of 100 cases; the least cosine makes up for the rest.
            assert!(rate(1.9) >= 0.95, "{spec} of {dim}: {}", rate(1.9));
            assert!(rate(3.5) >= 0.999, "{spec} of {dim}: {}", rate(3.5));
            // Nor is it so loose that it says nothing.
            assert!(rate(0.5) < 0.75, "{spec} of {dim}: {}", rate(0.5));
        }
    }
}

#[test]
fn what_lies_beyond_the_factors_has_no_bound() {
    let codec = trained(&CodecSpec::Binary { bits: 4 }, 32, &directions(100, 32, 8));
    let far: Vec<f32> = directions(1, 32, 9).iter().map(|x| x * 50.0).collect();
    let query = codec.prepare_query(&directions(1, 32, 10));
    assert_eq!(query.error(&coded(&*codec, &far), 1.9), Some(f32::INFINITY));
}

#[test]
fn over_many_rotations_the_estimate_is_right_on_average() {
    const SEEDS: u64 = 400;
    const DIM: usize = 48;
    let (sample, vectors, query) = (directions(100, DIM, 11), directions(8, DIM, 12), directions(1, DIM, 13));
    for bits in [1, 2, 4] {
        let mut sums = [(0.0, 0.0); 8];
        for seed in 0..SEEDS {
            let control = TrainControl { seed, ..TrainControl::QUIET };
            let codec =
                super::super::train(&CodecSpec::Binary { bits }, DIM, &sample, &control).expect("trained");
            for (sum, (dot, truth, _)) in sums.iter_mut().zip(estimates(&*codec, &vectors, &query, 1.0)) {
                sum.0 += dot - truth;
                sum.1 += (dot - truth) * (dot - truth);
            }
        }
        for (errors, squares) in sums {
            let (mean, deviation) = (errors / SEEDS as f64, (squares / SEEDS as f64).sqrt());
            // Four deviations of a mean of so many: one in 16,000 lies further away by chance.
            let allowed = 4.0 * deviation / (SEEDS as f64).sqrt();
            assert!(mean.abs() <= allowed, "{bits} bits: {mean} on average, {deviation} each");
        }
    }
}

#[test]
fn damaged_lengths_are_refused() {
    for spec in specs() {
        conformance::check_lengths_of(&trained(&spec, 5, &directions(9, 5, 4)).write());
    }
}

#[test]
fn golden_codebooks_are_understood() {
    specs().for_each(|spec| conformance::check_golden(&spec));
}

#[test]
#[ignore = "writes the golden files"]
fn golden_codebooks_are_written() {
    specs().for_each(|spec| conformance::write_golden(&spec));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        bits in 1..=8_u8, dim in 1..12_usize, seed in any::<u64>(), changes in 1..6, keep in 0.0..1.0_f64,
    ) {
        let mut bytes = trained(&CodecSpec::Binary { bits }, dim, &directions(9, dim, seed)).write();
        let mut noise = Noise::new(seed);
        for _ in 0..changes {
            let at = noise.bits() as usize % bytes.len();
            bytes[at] = noise.bits() as u8;
        }
        read_any(&bytes);
        read_any(&bytes[..(keep * bytes.len() as f64) as usize]);
    }
}
