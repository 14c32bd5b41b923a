use proptest::prelude::*;

use super::super::conformance::{
    self, awkward_samples, check_lengths_of, coded, decoded, directions, read_any, trained, write_golden,
};
use super::levels::{Levels, parts};
use super::*;

const GOLDEN: CodecSpec = CodecSpec::Transform { bytes: 7 };

fn mean_squared_error(codec: &dyn Codec, rows: &[f32]) -> f64 {
    let found = decoded(codec, &coded(codec, rows));
    let squares: f64 = rows.iter().zip(&found).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    squares / (rows.len() / codec.dim()) as f64
}

#[test]
fn all_promises_hold_on_awkward_samples() {
    for (dim, sample) in awkward_samples() {
        for bytes in [2, 3, 4, dim.div_ceil(2) + 1, dim, dim + 1] {
            if (2..=dim + 1).contains(&bytes) {
                conformance::check(&CodecSpec::Transform { bytes }, dim, &sample);
            }
        }
    }
}

#[test]
fn a_row_has_one_code_alone_and_among_others() {
    let sample = directions(300, 33, 1);
    let codec = trained(&CodecSpec::Transform { bytes: 20 }, 33, &sample);
    let codes = coded(&*codec, &sample);
    for (row, code) in sample.chunks(33).zip(codes.chunks(20)) {
        assert_eq!(coded(&*codec, row), code);
    }
}

#[test]
fn the_error_falls_with_the_bytes_and_nothing_is_left_at_the_end() {
    const DIM: usize = 32;
    let sample = directions(3000, DIM, 1);
    let unseen = directions(300, DIM, 2);
    let mut before = f64::INFINITY;
    for bytes in [3, 5, 9, 13, 17, 25, 33] {
        let codec = trained(&CodecSpec::Transform { bytes }, DIM, &sample);
        let error = mean_squared_error(&*codec, &unseen);
        assert!(error < before, "{bytes} bytes: {error}, before {before}");
        before = error;
    }
    assert!(before < 1e-3, "{before}");
}

#[test]
fn the_head_tells_more_than_the_tail() {
    const DIM: usize = 96;
    let sample = directions(1500, DIM, 1);
    let codec = trained(&CodecSpec::Transform { bytes: 60 }, DIM, &sample);
    let query = codec.prepare_query(&sample[..DIM]);
    let tables = query.tables().expect("tables");
    let (head, tail) = tables.moments.split_at(2 * tables.layout.head);
    let variance = |moments: &[(f32, f32)]| moments.iter().map(|(_, variance)| variance).sum::<f32>();
    assert!(tables.layout.tail > tables.layout.head);
    assert!(variance(head) > variance(tail), "{} and {}", variance(head), variance(tail));
}

#[test]
fn no_bit_is_left_unused() {
    for (dim, bytes) in [(32, 9), (32, 20), (32, 33), (9, 4), (100, 31), (1, 2), (5, 6)] {
        let sample = directions(500, dim, 3);
        let layout = layout(bytes, dim);
        let curves: Vec<_> = (0..dim)
            .map(|at| levels::Curve::new(sample.iter().skip(at).step_by(dim).copied().collect()))
            .collect();
        let bits = plan::allocate(&curves, &vec![1.0; dim], 2 * (layout.head + layout.tail));
        assert_eq!(bits.iter().sum::<usize>(), 8 * (layout.head + layout.tail), "{dim} and {bytes}");
        let kept: Vec<usize> = (0..dim).filter(|&at| bits[at] > 0).collect();
        let chosen: Vec<Levels> = kept.iter().map(|&at| curves[at].levels[bits[at]].clone()).collect();
        let ones = vec![1.0; kept.len()];
        let places = plan::place(&chosen, &ones, &vec![0.0; kept.len()]);
        let mut used = vec![0_u8; layout.head + layout.tail];
        for (levels, places) in chosen.iter().zip(places) {
            for part in parts(levels.bits()) {
                for bit in places[part.number]..places[part.number] + part.bits {
                    assert_eq!(used[bit / 8] >> (bit % 8) & 1, 0, "bit {bit} is taken twice");
                    used[bit / 8] |= 1 << (bit % 8);
                }
            }
        }
        assert!(used.iter().all(|byte| *byte == 0xff), "{dim} and {bytes}: {used:x?}");
    }
}

#[test]
fn a_codebook_is_as_long_as_it_says() {
    let codec = trained(&CodecSpec::Transform { bytes: 5 }, 6, &directions(50, 6, 1));
    check_lengths_of(&codec.write());
}

proptest! {
    #[test]
    fn damaged_codebooks_are_refused_or_harmless(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), more in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = trained(&GOLDEN, 9, &directions(30, 9, 1)).write();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_any(&bytes);
        let end = (at + more.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&more[..end - at]);
        read_any(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_head_are_refused(
        rest in prop::collection::vec(any::<u8>(), 0..300), dim in 1..4000_usize,
    ) {
        let mut bytes = spec::write_head(&CodecSpec::Transform { bytes: 2 }, dim);
        bytes.extend(rest);
        read_any(&bytes);
    }
}

/// Products of many numbers round in other ways on other machines: the decoded vectors are the same but for that.
#[test]
fn a_codebook_of_an_earlier_day_decodes_as_it_did() {
    let book = include_bytes!("../../../tests/golden/transform-bytes-7.codebook");
    let codes = include_bytes!("../../../tests/golden/transform-bytes-7.codes");
    let expected = include_bytes!("../../../tests/golden/transform-bytes-7.decoded");
    let codec = super::super::read(book).expect("a golden codebook");
    assert_eq!((codec.spec(), codec.write()), (GOLDEN, book.to_vec()));
    let found = decoded(&*codec, codes);
    let expected = expected.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} was {expected}");
    }
}

#[test]
#[ignore = "writes the golden files"]
fn golden_files() {
    write_golden(&GOLDEN);
}
