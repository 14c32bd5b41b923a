//! Training: the axes, the bits, the levels, the factors; each from what the one before leaves.

use std::sync::Arc;

use super::levels::Curve;
use super::{Components, Transform, layout};
use crate::codec::nibbles::shares_of;
use crate::codec::{Codec, CodecError, Scale, TrainControl};
use crate::linear;

/// Rows that levels, factors and shares are learned from; the axes are learned from all.
const LEVEL_ROWS: usize = 16_384;

/// Trains a codec of `bytes` bytes on rows.
pub(in crate::codec) fn train(
    bytes: usize,
    dim: usize,
    sample: &[f32],
    control: &TrainControl<'_>,
) -> Result<Arc<dyn Codec>, CodecError> {
    let layout = layout(bytes, dim);
    let nibbles = 2 * (layout.head + layout.tail);
    let mean = linear::mean(sample, dim);
    let covariance = linear::covariance(sample, &mean, control.threads);
    control.check()?;
    (control.progress)(0.2);
    let (_, mut axes) = linear::eigen(&covariance, dim);
    control.check()?;
    (control.progress)(0.6);

    let rows = spread(sample, dim, LEVEL_ROWS);
    let values = rotate(&rows, &mean, &axes, control.threads);
    let count = rows.len() / dim;
    let curves = linear::in_parallel(control.threads, dim, |component| {
        Curve::new(values[component * count..][..count].to_vec())
    });
    drop(values);
    control.check()?;
    (control.progress)(0.8);

    let (components, kept) = Components::train(curves, nibbles);
    axes = kept.iter().flat_map(|&at| &axes[at * dim..][..dim]).copied().collect();

    let scale = Scale { least: 1.0, step: 0.0 };
    let mut codec = Transform { bytes, mean, components, axes, scale, shares: Vec::new() };
    let blocks: Vec<&[f32]> = rows.chunks(linear::BLOCK * dim).collect();
    let coded = linear::in_parallel(control.threads, blocks.len(), |at| {
        let mut codes = vec![0; blocks[at].len() / dim * bytes];
        let factors = codec.encode_block(blocks[at], &mut codes);
        (factors, codes)
    });
    let (factors, codes): (Vec<_>, Vec<_>) = coded.into_iter().unzip();
    codec.scale = scale_of(factors.concat(), codec.most());
    codec.shares = shares_of(layout, &codes.concat());
    let unfit = |_| CodecError::Sample("the vectors are too long to be coded".to_owned());
    codec.check().map_err(unfit)?;
    (control.progress)(1.0);
    Ok(Arc::new(codec))
}

/// At most so many rows, at equal distances.
fn spread(sample: &[f32], dim: usize, most: usize) -> Vec<f32> {
    let count = sample.len() / dim;
    let kept = count.min(most);
    (0..kept).flat_map(|at| &sample[at * count / kept * dim..][..dim]).copied().collect()
}

/// The components of rows along the axes, those along one axis lying together.
fn rotate(rows: &[f32], mean: &[f32], axes: &[f32], threads: usize) -> Vec<f32> {
    let (dim, count) = (mean.len(), rows.len() / mean.len());
    let blocks: Vec<&[f32]> = rows.chunks(linear::BLOCK * dim).collect();
    let rotated = linear::in_parallel(threads, blocks.len(), |at| {
        let mut centred = blocks[at].to_vec();
        linear::subtract(&mut centred, mean);
        let mut values = vec![0.0; centred.len()];
        linear::products_by_column(&centred, axes, dim, &mut values);
        values
    });
    let mut values = vec![0.0; rows.len()];
    for (block, rotated) in rotated.iter().enumerate() {
        let length = rotated.len() / dim;
        for (column, rotated) in values.chunks_exact_mut(count).zip(rotated.chunks_exact(length)) {
            column[block * linear::BLOCK..][..length].copy_from_slice(rotated);
        }
    }
    values
}

/// A scale that says all but the oddest of the factors.
fn scale_of(mut factors: Vec<f32>, most: f32) -> Scale {
    /// Share of the factors that are too small for it, and of those too great.
    const ODD: f64 = 0.001;
    /// Where rounding left so little of a row, its factor would only blow up noise.
    const GREATEST: f32 = 64.0;
    factors.retain(|factor| factor.is_finite() && *factor > 0.0);
    if factors.is_empty() {
        return Scale { least: 1.0, step: 0.0 };
    }
    factors.sort_unstable_by(f32::total_cmp);
    let last = factors.len() - 1;
    let odd = (ODD * last as f64) as usize;
    let (low, high) = (factors[odd].min(GREATEST), factors[last - odd].min(GREATEST));
    Scale { least: low, step: (high - low) / most }
}
