use proptest::prelude::*;

use super::super::conformance::{
    self, Noise, awkward_samples, coded, decoded, directions, read_any, trained,
};
use super::super::{Codec, CodecSpec, Scope};

const fn spec(nbits: u8, uniform: bool, scope: Scope, brain: bool) -> CodecSpec {
    CodecSpec::Scalar { nbits, uniform, scope, brain }
}

const SPECS: [CodecSpec; 11] = [
    spec(4, true, Scope::Dimension, false),
    spec(4, true, Scope::Global, false),
    spec(4, false, Scope::Dimension, false),
    spec(4, false, Scope::Global, false),
    spec(8, true, Scope::Dimension, false),
    spec(8, true, Scope::Global, false),
    spec(8, false, Scope::Dimension, false),
    spec(8, false, Scope::Global, false),
    HALF,
    BRAIN,
    FULL,
];
const HALF: CodecSpec = spec(16, true, Scope::Dimension, false);
const BRAIN: CodecSpec = spec(16, true, Scope::Dimension, true);
const FULL: CodecSpec = spec(32, true, Scope::Dimension, false);

#[test]
fn all_promises_hold_on_awkward_samples() {
    for spec in &SPECS {
        for (dim, sample) in awkward_samples() {
            conformance::check(spec, dim, &sample);
        }
    }
}

#[test]
fn codes_are_as_long_as_they_should_be() {
    for (spec, bytes) in SPECS.iter().zip([5, 5, 5, 5, 9, 9, 9, 9, 18, 18, 36]) {
        let codec = trained(spec, 9, &directions(20, 9, 1));
        assert_eq!(codec.bytes_per_vector(), bytes, "{spec}");
    }
}

/// Codebooks of 1,000 directions of 24 components, and other directions.
fn of_24(spec: &CodecSpec) -> (std::sync::Arc<dyn Codec>, Vec<f32>) {
    (trained(spec, 24, &directions(1000, 24, 2)), directions(300, 24, 3))
}

fn mean_squared_error(codec: &dyn Codec, vectors: &[f32]) -> f64 {
    let stand_for = decoded(codec, &coded(codec, vectors));
    let errors = vectors.iter().zip(&stand_for).map(|(x, y)| f64::from(x - y) * f64::from(x - y));
    errors.sum::<f64>() / (vectors.len() / codec.dim()) as f64
}

#[test]
fn uniform_levels_are_off_by_half_a_step_within_the_range() {
    for spec in SPECS.iter().filter(|spec| spec.to_string().contains("uniform=true") && **spec != FULL) {
        let CodecSpec::Scalar { nbits: nbits @ (4 | 8), .. } = *spec else { continue };
        let (codec, vectors) = of_24(spec);
        let ends = [0x00, 0xff].map(|byte| decoded(&*codec, &vec![byte; codec.bytes_per_vector()]));
        let stand_for = decoded(&*codec, &coded(&*codec, &vectors));
        let mut within = 0;
        for (at, (x, y)) in vectors.iter().zip(&stand_for).enumerate() {
            let (low, high) = (ends[0][at % 24], ends[1][at % 24]);
            let half_step = (high - low) / ((1 << nbits) - 1) as f32 / 2.0;
            if (low..=high).contains(x) {
                assert!(
                    (x - y).abs() <= half_step * 1.001,
                    "{spec}: {x} became {y}, half a step is {half_step}"
                );
                within += 1;
            } else {
                assert_eq!(*y, if *x < low { low } else { high });
            }
        }
        assert!(within > vectors.len() * 9 / 10, "{within}");
    }
}

#[test]
fn other_levels_are_the_nearest_and_better_fitted() {
    for (nbits, scope) in
        [(4, Scope::Dimension), (4, Scope::Global), (8, Scope::Dimension), (8, Scope::Global)]
    {
        let (codec, vectors) = of_24(&spec(nbits, false, scope, false));
        let bytes = codec.bytes_per_vector();
        let by_level: Vec<Vec<f32>> = (0..1_usize << nbits)
            .map(|level| decoded(&*codec, &vec![(level * if nbits == 4 { 17 } else { 1 }) as u8; bytes]))
            .collect();
        let stand_for = decoded(&*codec, &coded(&*codec, &vectors));
        for (at, (x, y)) in vectors.iter().zip(&stand_for).enumerate() {
            let nearest = by_level.iter().map(|level| (level[at % 24] - x).abs()).fold(f32::MAX, f32::min);
            assert!((x - y).abs() <= nearest * 1.001 + 1e-7, "{x} became {y}");
        }
    }
    let error = |uniform| {
        let (codec, vectors) = of_24(&spec(4, uniform, Scope::Dimension, false));
        mean_squared_error(&*codec, &vectors)
    };
    assert!(error(false) < error(true), "{} and {}", error(false), error(true));
}

#[test]
fn more_bits_leave_less_error() {
    let error = |spec| {
        let (codec, vectors) = of_24(&spec);
        mean_squared_error(&*codec, &vectors)
    };
    for scope in [Scope::Dimension, Scope::Global] {
        let (four, eight) = (error(spec(4, true, scope, false)), error(spec(8, true, scope, false)));
        // 16 times as many levels: a 256th of the error, less what lies beyond the range.
        assert!(four < 0.03 && eight < four / 40.0, "{four} and {eight}");
    }
    assert!(error(spec(4, true, Scope::Dimension, false)) < error(spec(4, true, Scope::Global, false)));
}

#[test]
fn numbers_beyond_what_a_half_holds_become_its_greatest() {
    let vectors = [65_504.0, 65_519.0, 65_520.0, f32::MAX, f32::MIN, 1e-10, -0.0, 0.1];
    let codec = trained(&HALF, 8, &vectors);
    let stand_for = decoded(&*codec, &coded(&*codec, &vectors));
    assert_eq!(stand_for, [65_504.0, 65_504.0, 65_504.0, 65_504.0, -65_504.0, 0.0, -0.0, 0.099_975_586]);
    let brain = trained(&BRAIN, 8, &vectors);
    let stand_for = decoded(&*brain, &coded(&*brain, &vectors));
    assert_eq!(stand_for[3..5], [3.389_531_4e38, -3.389_531_4e38]);
    assert!(stand_for.iter().zip(&vectors).all(|(x, y)| (x - y).abs() <= y.abs() / 256.0));
}

#[test]
fn a_product_that_overflows_is_no_nan() {
    let vector = [f32::MAX, f32::MAX, f32::MAX, 1.0];
    let codec = trained(&FULL, 4, &vector);
    let query = codec.prepare_query(&[f32::MAX, -f32::MAX, 0.0, 7.0]);
    assert!(query.dot(&coded(&*codec, &vector)).is_finite());
    assert_eq!(codec.prepare_query(&[2.0; 4]).dot(&coded(&*codec, &vector)), f32::MAX);
}

#[test]
fn damaged_lengths_are_refused() {
    for spec in &SPECS {
        conformance::check_lengths_of(&trained(spec, 5, &directions(9, 5, 4)).write());
    }
}

#[test]
fn golden_codebooks_are_understood() {
    SPECS.iter().for_each(conformance::check_golden);
}

#[test]
#[ignore = "writes the golden files"]
fn golden_codebooks_are_written() {
    SPECS.iter().for_each(conformance::write_golden);
}

proptest! {
    #[test]
    fn floats_lose_nothing(bits in prop::collection::vec(any::<u32>(), 1..600)) {
        let finite = |bits: &u32| Some(f32::from_bits(*bits)).filter(|x| x.is_finite()).unwrap_or(1.5);
        let vector: Vec<f32> = bits.iter().map(finite).collect();
        let codec = trained(&FULL, vector.len(), &vector);
        let stand_for = decoded(&*codec, &coded(&*codec, &vector));
        prop_assert!(stand_for.iter().zip(&vector).all(|(x, y)| x.to_bits() == y.to_bits()));
    }

    #[test]
    fn what_a_half_can_hold_is_kept(codes in prop::collection::vec(any::<u8>(), 1..600), brain in any::<bool>()) {
        let codes = &codes[..codes.len() & !1];
        prop_assume!(!codes.is_empty());
        let codec = trained(if brain { &BRAIN } else { &HALF }, codes.len() / 2, &vec![0.0; codes.len() / 2]);
        let vector = decoded(&*codec, codes);
        prop_assert_eq!(crate::check_finite(&vector), Ok(()));
        prop_assert_eq!(decoded(&*codec, &coded(&*codec, &vector)), vector);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        which in 0..SPECS.len(), dim in 1..12_usize, seed in any::<u64>(), changes in 1..6, keep in 0.0..1.0_f64,
    ) {
        let mut bytes = trained(&SPECS[which], dim, &directions(9, dim, seed)).write();
        let mut noise = Noise::new(seed);
        for _ in 0..changes {
            let at = noise.bits() as usize % bytes.len();
            bytes[at] = noise.bits() as u8;
        }
        read_any(&bytes);
        read_any(&bytes[..(keep * bytes.len() as f64) as usize]);
    }
}
