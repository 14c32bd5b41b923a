//! What holds for every codec, as functions that the tests of each call.
#![allow(clippy::disallowed_methods)] // It reads golden files, not a store.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::random::Random;

/// Numbers between -1 and 1 that are the same on every machine.
pub(super) struct Noise(Random);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self(Random(seed))
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0.next()
    }

    pub(super) fn number(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Nearly normal, of variance 1.
    pub(super) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.number()).sum::<f32>() / 2.0
    }
}

/// Directions, of which some components vary more than others and one has a mean.
pub(super) fn directions(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut noise = Noise::new(seed);
    let mut vectors = Vec::with_capacity(rows * dim);
    for _ in 0..rows {
        let start = vectors.len();
        vectors.extend((0..dim).map(|at| noise.normal() * (1.0 + (at % 5) as f32) / 3.0));
        vectors[start + dim / 2] += 1.0;
        let norm = crate::norm(&vectors[start..]);
        vectors[start..].iter_mut().for_each(|x| *x /= norm);
    }
    vectors
}

/// Samples that a training may stumble over: dimension and vectors.
pub(super) fn awkward_samples() -> Vec<(usize, Vec<f32>)> {
    let mut samples: Vec<_> =
        [1, 2, 3, 4, 5, 7, 8, 9, 31, 65].map(|dim| (dim, directions(40, dim, dim as u64))).to_vec();
    samples.push((6, vec![0.0; 60]));
    samples.push((6, directions(1, 6, 7).repeat(20)));
    samples.push((6, directions(1, 6, 8)));
    samples.push((4, [0.0, 0.5, 1e-30, -0.5].repeat(9)));
    let mut constant = directions(50, 10, 9);
    constant.chunks_exact_mut(10).for_each(|row| (row[3], row[4]) = (0.25, 0.0));
    constant[..10].fill(0.0);
    samples.push((10, constant));
    samples
}

pub(super) fn trained(spec: &CodecSpec, dim: usize, sample: &[f32]) -> Arc<dyn Codec> {
    train(spec, dim, sample, &TrainControl::QUIET).expect("trained")
}

pub(super) fn coded(codec: &dyn Codec, vectors: &[f32]) -> Vec<u8> {
    let mut codes = vec![0; vectors.len() / codec.dim() * codec.bytes_per_vector()];
    codec.encode(vectors, &mut codes);
    codes
}

pub(super) fn decoded(codec: &dyn Codec, codes: &[u8]) -> Vec<f32> {
    let mut vectors = vec![f32::NAN; codes.len() / codec.bytes_per_vector() * codec.dim()];
    codec.decode(codes, &mut vectors);
    vectors
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// Trains a codec and holds it to all that a codec promises.
pub(super) fn check(spec: &CodecSpec, dim: usize, sample: &[f32]) -> Arc<dyn Codec> {
    let codec = trained(spec, dim, sample);
    assert_eq!((codec.spec(), codec.dim(), codec.input()), (spec.clone(), dim, spec.input()));
    assert_eq!(codec.layout().code_bytes(), codec.bytes_per_vector(), "{spec} of {dim}");
    let written = codec.write();
    let many = TrainControl { threads: 3, ..TrainControl::QUIET };
    assert_eq!(train(spec, dim, sample, &many).expect("trained").write(), written, "{spec} of {dim}");
    let again = read(&written).expect("what was written");
    assert_eq!(again.write(), written);

    let mut noise = Noise::new(dim as u64);
    let mut vectors = sample[..sample.len().min(30 * dim)].to_vec();
    vectors.extend(directions(10, dim, 99));
    vectors.extend(vec![0.0; dim]);
    let mut codes = coded(&*codec, &vectors);
    assert_eq!(coded(&*again, &vectors), codes, "{spec} of {dim}");
    // Codes that nothing was encoded as, too.
    codes.extend((0..20 * codec.bytes_per_vector()).map(|_| noise.bits() as u8));
    codes.extend(vec![0xff; codec.bytes_per_vector()]);
    let stand_for = decoded(&*codec, &codes);
    assert_eq!(crate::check_finite(&stand_for), Ok(()), "{spec} of {dim}");
    assert_eq!(bits(&decoded(&*again, &codes)), bits(&stand_for));

    for query in [directions(1, dim, 5), vec![0.0; dim], vectors[..dim].to_vec()] {
        let (prepared, read) = (codec.prepare_query(&query), again.prepare_query(&query));
        for (code, vector) in codes.chunks(codec.bytes_per_vector()).zip(stand_for.chunks(dim)) {
            let dot = prepared.dot(code);
            assert_eq!(dot.to_bits(), read.dot(code).to_bits());
            let products = || query.iter().zip(vector).map(|(&x, &y)| f64::from(x) * f64::from(y));
            let norms = f64::from(crate::norm(&query)) * f64::from(crate::norm(vector));
            let off = (f64::from(dot) - products().sum::<f64>()).abs();
            // Sums of rotated parts may be greater than what they add up to; none is than the norms by far.
            assert!(off <= 4e-6 * norms.max(1.0), "{spec} of {dim}: {dot} is off by {off}");
            if let Some(tables) = prepared.tables() {
                assert_eq!(tables.dot(code).to_bits(), dot.to_bits());
                assert_eq!(tables.layout, codec.layout());
            }
        }
        let tables = prepared.tables().map(|tables| tables.moments.as_slice());
        assert!(
            tables.unwrap_or_default().iter().all(|(mean, variance)| mean.is_finite() && *variance >= 0.0)
        );
    }
    codec
}

/// Reads bytes that may be anything; what is taken for a codec must decode to finite numbers.
pub(super) fn read_any(bytes: &[u8]) {
    if let Ok(codec) = read(bytes) {
        let codes: Vec<u8> = (0..3 * codec.bytes_per_vector()).map(|i| (i * 89) as u8).collect();
        assert_eq!(crate::check_finite(&decoded(&*codec, &codes)), Ok(()));
        let query = codec.prepare_query(&directions(1, codec.dim(), 4));
        assert!(!query.dot(&codes[..codec.bytes_per_vector()]).is_nan());
        coded(&*codec, &directions(2, codec.dim(), 6));
    }
}

/// Every prefix of a codebook is refused, and so is one with more behind it.
pub(super) fn check_lengths_of(written: &[u8]) {
    for end in 0..written.len() {
        assert!(matches!(read(&written[..end]), Err(CodecError::Malformed(_))), "{end} bytes");
    }
    assert!(matches!(read(&[written, &[0]].concat()), Err(CodecError::Malformed(_))));
}

const GOLDEN_DIM: usize = 9;

fn golden(spec: &CodecSpec, what: &str) -> PathBuf {
    let name = spec.to_string().replace([':', ',', '='], "-");
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.{what}"))
}

fn golden_vectors() -> Vec<f32> {
    directions(6, GOLDEN_DIM, 77)
}

/// A codebook of an earlier day codes and decodes as it did.
pub(super) fn check_golden(spec: &CodecSpec) {
    let file = |what| fs::read(golden(spec, what)).expect("a golden file");
    let codec = read(&file("codebook")).expect("a golden codebook");
    assert_eq!((codec.spec(), codec.write()), (spec.clone(), file("codebook")));
    let codes = file("codes");
    assert_eq!(coded(&*codec, &golden_vectors()), codes, "{spec}");
    let expected = file("decoded");
    let expected: Vec<u32> = expected.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
    assert_eq!(bits(&decoded(&*codec, &codes)), expected, "{spec}");
}

/// Writes what [`check_golden`] compares with.
pub(super) fn write_golden(spec: &CodecSpec) {
    let codec = trained(spec, GOLDEN_DIM, &directions(100, GOLDEN_DIM, 78));
    let codes = coded(&*codec, &golden_vectors());
    let vectors: Vec<u8> = decoded(&*codec, &codes).iter().flat_map(|x| x.to_le_bytes()).collect();
    fs::create_dir_all(golden(spec, "").parent().expect("a folder")).expect("made");
    for (what, bytes) in [("codebook", codec.write()), ("codes", codes), ("decoded", vectors)] {
        fs::write(golden(spec, what), bytes).expect("written");
    }
}
