//! Every kernel of this machine against plain f64 arithmetic.

use super::*;
use proptest::prelude::*;

const OPS: [Op; 2] = [Op::Dot, Op::L2];

#[derive(Clone, Copy, Debug)]
enum Op {
    Dot,
    L2,
}

impl Op {
    fn one(self, kernels: Kernels, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Dot => kernels.dot(a, b),
            Self::L2 => kernels.l2_squared(a, b),
        }
    }

    fn rows(self, kernels: Kernels, query: &[f32], rows: &[f32], out: &mut [f32]) {
        match self {
            Self::Dot => kernels.dot_rows(query, rows, query.len(), out),
            Self::L2 => kernels.l2_rows(query, rows, query.len(), out),
        }
    }

    /// The true value, and by how much any f32 summation may miss it: each of `n` steps rounds
    /// what is at most the sum of magnitudes, or falls below the least positive number.
    fn reference(self, a: &[f32], b: &[f32]) -> (f64, f64) {
        let (mut value, mut magnitude) = (0.0_f64, 0.0_f64);
        for (&x, &y) in a.iter().zip(b) {
            let (x, y) = (f64::from(x), f64::from(y));
            let term = match self {
                Self::Dot => x * y,
                Self::L2 => (x - y) * (x - y),
            };
            value += term;
            magnitude += term.abs();
        }
        let steps = a.len() as f64 + 8.0;
        let tolerance = steps * (magnitude * f64::from(f32::EPSILON) + f64::from(f32::from_bits(1)));
        (value, tolerance)
    }
}

fn check(a: &[f32], b: &[f32]) {
    for kernels in Kernels::all_available() {
        for op in OPS {
            let (value, tolerance) = op.reference(a, b);
            let got = op.one(kernels, a, b);
            if value.abs() + tolerance > f64::from(f32::MAX) || !got.is_finite() {
                // Overflow: allowed only where partial sums may come near the limit.
                let room = tolerance / f64::from(f32::EPSILON) + value.abs();
                assert!(room >= f64::from(f32::MAX) / 8.0, "{kernels:?} {op:?}: {got} for {value}");
                continue;
            }
            let miss = (f64::from(got) - value).abs();
            assert!(miss <= tolerance, "{kernels:?} {op:?} dim {}: {got} for {value}", a.len());
        }
    }
}

/// A fixed pseudo-random sequence in -1 .. 1 (xorshift, Marsaglia 2003).
fn sequence(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn the_scalar_kernels_are_always_there_and_the_best_come_first() {
    let all = Kernels::all_available();
    assert_eq!(all.last().map(|kernels| kernels.name()), Some("scalar"));
    assert_eq!(all[0].name(), Kernels::best().name());
}

#[test]
fn every_dimension_and_alignment_agrees_with_f64() {
    for dim in 0..=1025 {
        for offset in [0, 1, 7, 15] {
            let a = sequence(dim + offset, dim as u64);
            let b = sequence(dim + offset, dim as u64 + 5000);
            check(&a[offset..], &b[offset..]);
        }
    }
}

#[test]
fn no_component_is_dropped_or_read_twice() {
    for kernels in Kernels::all_available() {
        for dim in 1..=200 {
            let ones = vec![1.0; dim];
            for at in 0..dim {
                let mut unit = vec![0.0; dim];
                unit[at] = 3.0;
                assert_eq!(kernels.dot(&ones, &unit), 3.0, "{kernels:?} {at} of {dim}");
                assert_eq!(kernels.l2_squared(&vec![0.0; dim], &unit), 9.0);
                assert_eq!(kernels.squared_norm(&unit), 9.0);
            }
        }
    }
}

#[test]
fn what_lies_behind_the_last_component_is_not_used() {
    for kernels in Kernels::all_available() {
        for dim in 1..=130 {
            let mut a = vec![1.0; dim];
            a.resize(dim + 64, f32::NAN);
            assert_eq!(kernels.dot(&a[..dim], &a[..dim]), dim as f32);
            assert_eq!(kernels.l2_squared(&a[..dim], &a[..dim]), 0.0);
        }
    }
}

#[test]
fn extreme_magnitudes_agree_with_f64_or_overflow_to_infinity_or_nan() {
    let least = f32::from_bits(1);
    let extremes =
        [0.0, -0.0, least, -least, f32::MIN_POSITIVE, 1e-30, -1e-20, 1.0, 1e18, -1e19, 1e30, f32::MAX];
    for dim in [1, 2, 15, 16, 17, 63, 64, 65, 384] {
        for &x in &extremes {
            for &y in &extremes {
                check(&vec![x; dim], &vec![y; dim]);
                let mixed: Vec<f32> = (0..dim).map(|i| extremes[i % extremes.len()]).collect();
                check(&mixed, &vec![y; dim]);
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_anywhere_in_a_batch() {
    for kernels in Kernels::all_available() {
        for dim in [1, 3, 7, 8, 16, 31, 33, 64, 100, 127, 384, 768, 1025] {
            let query = sequence(dim, 1);
            let count = 37;
            let rows = sequence(dim * count + 3, 2);
            for op in OPS {
                let alone: Vec<u32> =
                    (0..count).map(|i| op.one(kernels, &query, &rows[i * dim..][..dim]).to_bits()).collect();
                for first in 0..count {
                    let mut out = vec![0.0; count - first];
                    op.rows(kernels, &query, &rows[first * dim..count * dim], &mut out);
                    let batch: Vec<u32> = out.iter().map(|x| x.to_bits()).collect();
                    assert_eq!(batch, alone[first..], "{kernels:?} {op:?} dim {dim}");
                }
                // The alignment does not matter either.
                let mut moved = vec![0.0; 3];
                moved.extend_from_slice(&rows[..dim]);
                assert_eq!(op.one(kernels, &query, &moved[3..]).to_bits(), alone[0]);
            }
        }
    }
}

#[test]
fn reading_sees_every_bit() {
    for kernels in Kernels::all_available() {
        for len in [0, 1, 15, 1024, 2047, 2048, 2049, 10_000] {
            let data = sequence(len, 3);
            let expected = data.iter().fold(0, |all, x| all ^ x.to_bits());
            assert_eq!(kernels.read(&data), expected, "{kernels:?} {len}");
            kernels.prefetch(&data);
        }
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let cases: [fn(Kernels); 5] = [
        |kernels| drop(std::hint::black_box(kernels.dot(&[1.0], &[1.0, 2.0])).to_bits().to_string()),
        |kernels| drop(kernels.l2_squared(&[1.0, 2.0], &[1.0]).to_bits().to_string()),
        |kernels| kernels.dot_rows(&[1.0; 2], &[1.0; 5], 2, &mut [0.0; 3]),
        |kernels| kernels.l2_rows(&[1.0; 2], &[1.0; 6], 2, &mut [0.0; 2]),
        |kernels| kernels.dot_rows(&[1.0; 2], &[1.0; 6], 3, &mut [0.0; 2]),
    ];
    for kernels in Kernels::all_available() {
        for case in cases {
            assert!(std::panic::catch_unwind(|| case(kernels)).is_err());
        }
    }
}

fn component() -> impl Strategy<Value = f32> {
    let any_finite = any::<f32>().prop_filter("finite", |x| x.is_finite());
    prop_oneof![4 => -1.0_f32..1.0, 1 => any_finite, 1 => Just(0.0_f32), 1 => -1e-38_f32..1e-38]
}

proptest! {
    #[test]
    fn random_vectors_agree_with_f64(
        pairs in prop::collection::vec((component(), component()), 1..300),
        offset in 0_usize..16,
    ) {
        let offset = offset.min(pairs.len());
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        check(&a[offset..], &b[offset..]);
    }
}
