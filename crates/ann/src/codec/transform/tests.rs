use super::*;
use crate::codec::{self, TrainControl};

/// Rows whose variance falls from one component to the next, mixed so that no axis is a principal one, about a mean.
fn rows(count: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    let mut rows = Vec::with_capacity(count * dim);
    for _ in 0..count {
        let start = rows.len();
        for component in 0..dim {
            let normal: f32 = (0..4).map(|_| uniform()).sum();
            rows.push(normal / (1.0 + component as f32 / 4.0) + 0.3);
        }
        let row = &mut rows[start..];
        for component in 1..dim {
            let (a, b) = (row[component - 1], row[component]);
            (row[component - 1], row[component]) = (0.8 * a - 0.6 * b, 0.6 * a + 0.8 * b);
        }
        let norm = crate::norm(row);
        row.iter_mut().for_each(|x| *x /= norm);
    }
    rows
}

fn trained(bytes: usize, dim: usize, sample: &[f32]) -> Arc<dyn Codec> {
    codec::train(&CodecSpec::Transform { bytes }, dim, sample, &TrainControl::QUIET).expect("trained")
}

fn encoded(codec: &dyn Codec, rows: &[f32]) -> Vec<u8> {
    let mut codes = vec![0xAA; rows.len() / codec.dim() * codec.bytes_per_vector()];
    codec.encode(rows, &mut codes);
    codes
}

fn decoded(codec: &dyn Codec, codes: &[u8]) -> Vec<f32> {
    let mut rows = vec![f32::NAN; codes.len() / codec.bytes_per_vector() * codec.dim()];
    codec.decode(codes, &mut rows);
    rows
}

fn mean_squared_error(codec: &dyn Codec, rows: &[f32]) -> f64 {
    let found = decoded(codec, &encoded(codec, rows));
    let squares: f64 = rows.iter().zip(&found).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    squares / (rows.len() / codec.dim()) as f64
}

#[test]
fn a_score_is_the_product_with_the_decoded_vector() {
    for (dim, bytes) in [(1, 2), (2, 3), (3, 2), (5, 6), (13, 4), (32, 12), (32, 33), (100, 90)] {
        let sample = rows(600, dim, 1);
        let codec = trained(bytes, dim, &sample);
        let codes = encoded(&*codec, &sample);
        let found = decoded(&*codec, &codes);
        for query in rows(5, dim, 2).chunks(dim) {
            let prepared = codec.prepare_query(query);
            for (code, row) in codes.chunks(bytes).zip(found.chunks(dim)) {
                let expected = Kernels::best().dot(query, row);
                assert!((prepared.dot(code) - expected).abs() < 1e-5, "{dim} dimensions, {bytes} bytes");
            }
        }
    }
}
