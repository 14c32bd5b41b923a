//! Product codecs: what holds for every codec, what more bytes bring, and awkward shapes and bytes.

use proptest::prelude::*;

use super::*;
use crate::codec::conformance::{self, coded, decoded};
use crate::codec::{TrainControl, read, train};
use crate::random::Random;

/// Directions whose components go together: a few hidden numbers make all of them, and some noise.
fn directions(dim: usize, count: usize, seed: u64) -> Vec<f32> {
    let mut world = Random::new(99, 0);
    let hidden = dim.min(6);
    let mixing: Vec<f64> = (0..hidden * dim).map(|_| world.unit() - 0.5).collect();
    let mut random = Random::new(seed, 1);
    let mut rows = Vec::with_capacity(dim * count);
    for _ in 0..count {
        let causes: Vec<f64> = (0..hidden).map(|at| (random.unit() - 0.4) / (at + 1) as f64).collect();
        let row = (0..dim).map(|at| {
            let sum: f64 = causes.iter().zip(mixing.iter().skip(at).step_by(dim)).map(|(a, b)| a * b).sum();
            (sum + 0.02 * random.unit()) as f32
        });
        let row: Vec<f32> = row.collect();
        let norm = crate::norm(&row).max(f32::MIN_POSITIVE);
        rows.extend(row.iter().map(|x| x / norm));
    }
    rows
}

fn trained(spec: &str, dim: usize, sample: &[f32]) -> Arc<dyn Codec> {
    conformance::trained(&spec.parse().expect("a spec"), dim, sample)
}

fn squared_error(codec: &dyn Codec, rows: &[f32]) -> f64 {
    let back = decoded(codec, &coded(codec, rows));
    let squares = back.iter().zip(rows).map(|(a, b)| f64::from(a - b) * f64::from(a - b));
    squares.sum::<f64>() / (rows.len() / codec.dim()) as f64
}

/// What holds for every codec; and a vector has one code, in a batch and alone.
fn check(spec: &str, dim: usize, sample: &[f32]) -> Arc<dyn Codec> {
    let codec = conformance::check(&spec.parse().expect("a spec"), dim, sample);
    let codes = coded(&*codec, sample);
    let stand_for = decoded(&*codec, &codes);
    let each = codes.chunks(codec.bytes_per_vector()).zip(sample.chunks(dim).zip(stand_for.chunks(dim)));
    for (code, (row, stands_for)) in each.rev().take(40) {
        assert_eq!(coded(&*codec, row), code, "{spec} of {dim}");
        assert_eq!(decoded(&*codec, code), stands_for, "{spec} of {dim}");
    }
    codec
}

#[test]
fn every_shape_keeps_what_codecs_promise() {
    for dim in [1, 2, 3, 4, 5, 16, 21, 64] {
        let rows = directions(dim, 300, 1);
        for m in [1, 2, 3, 5, dim / 2, dim - 1, dim] {
            for (nbits, rotate) in [(4, false), (4, true), (5, false), (8, true)] {
                if (1..=dim).contains(&m) {
                    check(&format!("product:m={m},nbits={nbits},rotate={rotate}"), dim, &rows);
                }
            }
        }
    }
}

#[test]
fn every_number_of_bits_keeps_what_codecs_promise() {
    let rows = directions(10, 500, 2);
    for nbits in 4..=12 {
        let codec = check(&format!("product:m=3,nbits={nbits},rotate=false"), 10, &rows);
        assert_eq!(codec.bytes_per_vector(), (3 * nbits as usize).div_ceil(8));
        assert_eq!(codec.prepare_query(&rows[..10]).tables().is_some(), nbits == 4);
    }
}

#[test]
fn any_number_of_threads_trains_the_same_and_another_seed_another_one() {
    let rows = directions(24, 3000, 3);
    for spec in [
        "product:m=5,nbits=6,rotate=false",
        "product:m=1,nbits=4,rotate=true",
        "product:m=6,nbits=4,rotate=true",
    ] {
        let spec: CodecSpec = spec.parse().expect("a spec");
        let with = |threads, seed| {
            let control = TrainControl { threads, seed, ..TrainControl::QUIET };
            train(&spec, 24, &rows, &control).expect("a sample to train on").write()
        };
        let alone = with(1, 5);
        assert!([2, 3, 7].iter().all(|threads| with(*threads, 5) == alone), "{spec}");
        assert_ne!(with(1, 6), alone);
    }
}

#[test]
fn more_bytes_are_less_error_and_all_less_than_the_mean_alone() {
    let (sample, rows) = (directions(32, 4000, 4), directions(32, 500, 5));
    let error = |spec: &str| squared_error(&*trained(spec, 32, &sample), &rows);
    let mean = crate::linear::mean(&sample, 32);
    let trivial: f64 =
        rows.iter().zip(mean.iter().cycle()).map(|(x, mean)| f64::from((x - mean) * (x - mean))).sum();
    let by_m = [1, 4, 16].map(|m| error(&format!("product:m={m},nbits=6,rotate=false")));
    let by_nbits = [4, 6, 8].map(|nbits| error(&format!("product:m=4,nbits={nbits},rotate=false")));
    for errors in [by_m, by_nbits] {
        assert!(trivial / 500.0 > 1.5 * errors[0], "{trivial} {errors:?}");
        assert!(errors[0] > 1.3 * errors[1] && errors[1] > 1.3 * errors[2], "{errors:?}");
    }
    let rotated = error("product:m=4,nbits=6,rotate=true");
    assert!(rotated < 0.9 * by_nbits[1], "{rotated} {by_nbits:?}");
}

#[test]
fn awkward_samples_train_and_decode() {
    for (dim, sample) in conformance::awkward_samples() {
        for m in [1, dim.div_ceil(3), dim] {
            for kind in ["nbits=4,rotate=true", "nbits=8,rotate=false", "nbits=4,rotate=false"] {
                check(&format!("product:m={m},{kind}"), dim, &sample);
            }
        }
    }
}

#[test]
fn what_is_no_more_than_the_centroids_is_coded_as_it_is() {
    let rows = directions(9, 16, 6);
    for sample in [&rows[..9], &rows[..27], &rows, &rows.repeat(20)] {
        for spec in ["product:m=3,nbits=4,rotate=true", "product:m=4,nbits=8,rotate=false"] {
            let error = squared_error(&*trained(spec, 9, sample), sample);
            assert!(error < 1e-9, "{spec}: {error}");
        }
    }
}

#[test]
fn no_vector_makes_a_code_that_is_no_number() {
    for rotate in [false, true] {
        let codec = trained(&format!("product:m=2,nbits=4,rotate={rotate}"), 4, &directions(4, 100, 7));
        for x in [0.0, f32::MIN_POSITIVE, -1e20, f32::MAX, f32::NAN, f32::INFINITY] {
            let back = decoded(&*codec, &coded(&*codec, &[x, -x, x, x]));
            assert!(back.iter().all(|x| x.is_finite()), "{x}: {back:?}");
        }
    }
}

#[test]
fn a_sample_that_is_no_directions_is_refused() {
    for x in [f32::NAN, f32::INFINITY, 1e20] {
        let spec = CodecSpec::Product { m: 1, nbits: 4, rotate: true };
        let refused = train(&spec, 2, &[1.0, x], &TrainControl::QUIET);
        assert!(matches!(refused, Err(CodecError::Sample(_))), "{refused:?}");
    }
}

#[test]
fn progress_reaches_the_end_and_stop_is_heard() {
    let rows = directions(8, 200, 8);
    for rotate in [false, true] {
        let spec = CodecSpec::Product { m: 4, nbits: 4, rotate };
        let told = std::sync::Mutex::new(Vec::new());
        let progress = |share| told.lock().expect("nobody panicked").push(share);
        let control = TrainControl { progress: &progress, ..TrainControl::QUIET };
        train(&spec, 8, &rows, &control).expect("a sample to train on");
        let told = told.into_inner().expect("nobody panicked");
        assert!(told.len() >= 4 && told.is_sorted() && told.last() == Some(&1.0), "{told:?}");
        let control = TrainControl { stop: &|| true, ..TrainControl::QUIET };
        assert_eq!(train(&spec, 8, &rows, &control).err(), Some(CodecError::Stopped));
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let codec = trained("product:m=2,nbits=4,rotate=false", 4, &directions(4, 100, 9));
    let good = codec.write();
    let order_at = good.len() - (2 + 16 * 4 + 2 * 16) * 4;
    let with = |at: usize, number: [u8; 4]| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&number);
        read(&bytes)
    };
    assert!(with(order_at, good[order_at..][..4].try_into().expect("four")).is_ok());
    for number in [2_u32, u32::MAX, 1 - u32::from(good[order_at])] {
        assert!(with(order_at, number.to_le_bytes()).is_err());
    }
    for number in [f32::NAN, f32::INFINITY, 1e16, -1e16] {
        assert!(with(order_at + 8, number.to_le_bytes()).is_err());
        assert!(with(good.len() - 4, number.to_le_bytes()).is_err());
    }
    conformance::check_lengths_of(&good);
}

/// None with a rotation: that goes through products whose last bits depend on the machine.
const GOLDEN: [&str; 3] = [
    "product:m=4,nbits=4,rotate=false",
    "product:m=2,nbits=6,rotate=false",
    "product:m=3,nbits=8,rotate=false",
];

#[test]
fn codebooks_of_an_earlier_day_code_as_they_did() {
    for spec in GOLDEN {
        conformance::check_golden(&spec.parse().expect("a spec"));
    }
}

#[test]
#[ignore = "writes the golden files"]
fn write_the_golden_files() {
    for spec in GOLDEN {
        conformance::write_golden(&spec.parse().expect("a spec"));
    }
}

proptest! {
    #[test]
    fn what_was_packed_is_unpacked(nbits in 4..=12_u8, numbers_in in prop::collection::vec(any::<u16>(), 1..40)) {
        let numbers_in: Vec<u16> = numbers_in.iter().map(|x| x & ((1 << nbits) - 1)).collect();
        let mut code = vec![0xff; (numbers_in.len() * usize::from(nbits)).div_ceil(8)];
        pack(numbers_in.iter(), nbits, &mut code);
        let out: Vec<u16> = numbers(&code, nbits).take(numbers_in.len()).map(|x| x as u16).collect();
        prop_assert_eq!(out, numbers_in);
    }

    #[test]
    fn a_mutated_codebook_is_refused_or_decodes_to_numbers(
        rotate in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let codec = trained(&format!("product:m=3,nbits=4,rotate={rotate}"), 4, &directions(4, 50, 10));
        let mut bytes = codec.write();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        conformance::read_any(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_head_are_refused_or_a_codec(
        (m, nbits, rotate) in (1..9_usize, 4..=12_u8, any::<bool>()),
        dim in 1..9_usize, rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut bytes = spec::write_head(&CodecSpec::Product { m, nbits, rotate }, dim);
        bytes.extend(rest);
        conformance::read_any(&bytes);
    }
}
