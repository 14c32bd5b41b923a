//! RaBitQ (Gao, Long 2024; 2405.12497) and its extension to more bits (2409.09913).
//!
//! The residual *r* of a vector, what it differs by from the mean, is rotated at random and replaced by the point *g* of
//! a grid that lies closest in direction ([`grid`]), times a factor *f = |r|² / ⟨r, g⟩*. So *f g − r* is at right angles
//! to *r*, and, over rotations, as likely one way as the other: *f ⟨q, g⟩* is right on average.
//!
//! Code: bit planes, that of the signs first, each `dim` bits padded to whole bytes; component *i* is bit *i* of them.
//! A component is the sum over the planes *p* of ±2^(bits-2-p), plus where the bit is 1; so every nibble can be looked
//! up by itself. Then *f* as a multiple of a step, 1 byte up to 2 bits, else 2 bytes. Multiples of 0, so that a vector
//! that is the mean is decoded to it.
//!
//! # The bound
//!
//! The error is *⟨q, f g − r⟩*, and *|f g − r|² = f² |g|² (1 − c²)* where *c* is the cosine between *r* and *g*. Its
//! direction is taken for a random one at right angles to *r*, in `dim − 1` dimensions, as the paper has it: so
//! *|q| f |g| √(1 − c²) ε / √(dim − 1)* is exceeded about as often as a normal number exceeds *ε* deviations. The code
//! holds *f* and *g*, but not *c*: the codebook's is the least of the vectors seen in training, which makes the bound
//! looser for all others like them (*c* hardly varies: by about a hundredth in some hundred dimensions), and a little
//! too tight for a vector that fits the grid worse than all of those. The rounding of *f* adds half a step times
//! *⟨q, g⟩*. Of a vector whose *f* is beyond the steps nothing is known: the bound is infinite.
//!
//! Codebook behind its head: signs of the rotation ([`Rotation::write`]), mean (f32 each), step and least cosine (f32),
//! shares of nibbles.

mod grid;
mod rotation;

use std::sync::Arc;

use rotation::Rotation;

use super::nibbles::{head_bytes, shares_of, sum};
use super::train::some_rows;
use super::wire::{self, Reader};
use super::{
    CodeLayout, CodeQuery, Codec, CodecError, CodecSpec, NibbleTables, Scale, TrainControl, check_lengths,
    spec,
};
use crate::numeric::{dot_f64, norm_f64};

/// Rows of a sample that are encoded to see what codes are like.
const MOST_ROWS: usize = 8192;

#[derive(Debug)]
struct BinaryCodec {
    dim: usize,
    bits: u8,
    rotation: Rotation,
    mean: Vec<f32>,
    /// What the factor of a code is a multiple of.
    step: f32,
    /// The least cosine between residual and point of the vectors seen in training.
    cosine: f32,
    shares: Vec<[f32; 16]>,
}

/// Trains a binary codec; see [`super::train`].
pub(super) fn train(
    spec: &CodecSpec,
    dim: usize,
    sample: &[f32],
    control: &TrainControl<'_>,
) -> Result<Arc<dyn Codec>, CodecError> {
    /// The greatest factor of a code, of the greatest seen.
    const ROOM: f64 = 1.25;
    let CodecSpec::Binary { bits } = *spec else {
        return Err(CodecError::Spec(format!("{spec} is not binary")));
    };
    let rotation = Rotation::random(dim, control.seed);
    let mean = mean(dim, sample);
    let mut codec = BinaryCodec { dim, bits, rotation, mean, step: 0.0, cosine: 1.0, shares: Vec::new() };
    let sample = some_rows(sample, dim, MOST_ROWS);
    let mut work = Work::new(dim);
    let mut greatest = 0.0_f64;
    let rows = sample.len() / dim;
    for (at, vector) in sample.chunks_exact(dim).enumerate() {
        if at.is_multiple_of(256) {
            control.check()?;
            (control.progress)(at as f32 / rows as f32 / 2.0);
        }
        let closest = codec.closest(vector, &mut work);
        greatest = greatest.max(closest.factor);
        codec.cosine = codec.cosine.min(closest.cosine as f32);
    }
    codec.step = (greatest * ROOM / f64::from(codec.most_steps())) as f32;
    let mut codes = vec![0; rows * codec.bytes_per_vector()];
    codec.encode(&sample, &mut codes);
    codec.shares = shares_of(codec.layout(), &codes);
    control.check()?;
    (control.progress)(1.0);
    Ok(Arc::new(codec))
}

/// Reads a binary codec; see [`super::read`].
pub(super) fn read(spec: &CodecSpec, dim: usize, rest: &[u8]) -> Result<Arc<dyn Codec>, CodecError> {
    /// No sum over a vector of these overflows.
    const MOST: f64 = 1e30;
    let CodecSpec::Binary { bits } = *spec else {
        return Err(CodecError::Malformed(format!("{spec} is not binary")));
    };
    let mut reader = Reader::new(rest);
    let rotation = Rotation::read(dim, &mut reader)?;
    let mean = reader.f32s(dim)?;
    let [step, cosine] = reader.f32s(2)?[..] else { return Err(wire::malformed("it is too short")) };
    let shares = reader.shares(2 * usize::from(bits) * dim.div_ceil(8))?;
    reader.end()?;
    let codec = BinaryCodec { dim, bits, rotation, mean, step, cosine, shares };
    // What any component of a decoded vector, or of one that is being rotated, may come to.
    let most = f64::from(step) * f64::from(codec.most_steps()) * 256.0 * (dim * dim) as f64;
    if !(0.0..MOST).contains(&most) || codec.mean.iter().any(|x| f64::from(x.abs()) > MOST) {
        return Err(wire::malformed("a binary codec's mean or step is too great"));
    }
    if !(0.0..=1.0).contains(&cosine) {
        return Err(wire::malformed("a cosine is not between 0 and 1"));
    }
    Ok(Arc::new(codec))
}

fn mean(dim: usize, sample: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0_f64; dim];
    for row in sample.chunks_exact(dim) {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += f64::from(x);
        }
    }
    let rows = (sample.len() / dim) as f64;
    sums.iter().map(|sum| (sum / rows) as f32).collect()
}

/// Memory for one vector.
struct Work {
    /// The rotated residual, divided by its norm.
    residual: Vec<f32>,
    magnitudes: Vec<f32>,
    /// Magnitudes of the closest point, less a half each.
    point: Vec<f32>,
}

impl Work {
    fn new(dim: usize) -> Self {
        Self { residual: vec![0.0; dim], magnitudes: vec![0.0; dim], point: vec![0.0; dim] }
    }
}

/// How the closest point lies to a residual.
struct Closest {
    factor: f64,
    cosine: f64,
}

impl BinaryCodec {
    /// Bytes of a plane.
    fn plane(&self) -> usize {
        self.dim.div_ceil(8)
    }

    /// The greatest number that the side of a code can hold.
    fn most_steps(&self) -> u16 {
        if self.layout().side == 1 { u16::from(u8::MAX) } else { u16::MAX }
    }

    fn scale(&self) -> Scale {
        Scale { least: 0.0, step: self.step }
    }

    /// The closest point to a vector's residual, in `work`.
    fn closest(&self, vector: &[f32], work: &mut Work) -> Closest {
        for ((place, x), mean) in work.residual.iter_mut().zip(vector).zip(&self.mean) {
            *place = x - mean;
        }
        let norm = norm_f64(&work.residual);
        // The least that a float can be divided by so that all that comes out is finite.
        if norm < f64::from(f32::MIN_POSITIVE) {
            work.residual.fill(0.0);
            work.point.fill(0.0);
            return Closest { factor: 0.0, cosine: 1.0 };
        }
        work.residual.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
        self.rotation.apply(&mut work.residual);
        for (place, x) in work.magnitudes.iter_mut().zip(&work.residual) {
            *place = x.abs();
        }
        let found = grid::closest(&work.magnitudes, self.bits, &mut work.point);
        Closest {
            factor: norm / found.product,
            cosine: (found.product / found.squared_norm.sqrt()).clamp(0.0, 1.0),
        }
    }

    /// Calls `visit` with each component's number and its coordinate of the grid.
    fn each_level(&self, code: &[u8], mut visit: impl FnMut(usize, f32)) {
        let planes = &code[..usize::from(self.bits) * self.plane()];
        let half = (1_u32 << (self.bits - 1)) as f32 - 0.5;
        for at in 0..self.dim {
            let bits = planes.iter().skip(at / 8).step_by(self.plane());
            let number = bits.fold(0_u32, |number, byte| number << 1 | u32::from(byte >> (at % 8) & 1));
            visit(at, number as f32 - half);
        }
    }
}

impl Codec for BinaryCodec {
    fn spec(&self) -> CodecSpec {
        CodecSpec::Binary { bits: self.bits }
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn bytes_per_vector(&self) -> usize {
        self.layout().code_bytes()
    }

    fn layout(&self) -> CodeLayout {
        let nibble_bytes = usize::from(self.bits) * self.plane();
        let head = head_bytes(nibble_bytes, self.dim);
        CodeLayout { head, tail: nibble_bytes - head, side: if self.bits <= 2 { 1 } else { 2 } }
    }

    fn encode(&self, vectors: &[f32], codes: &mut [u8]) {
        check_lengths(self, vectors, codes);
        let mut work = Work::new(self.dim);
        let half = 1_u32 << (self.bits - 1);
        let sides_at = usize::from(self.bits) * self.plane();
        for (vector, code) in
            vectors.chunks_exact(self.dim).zip(codes.chunks_exact_mut(self.bytes_per_vector()))
        {
            let closest = self.closest(vector, &mut work);
            code.fill(0);
            let (planes, side) = code.split_at_mut(sides_at);
            for (at, (&x, &level)) in work.residual.iter().zip(&work.point).enumerate() {
                let number = if x >= 0.0 { half + level as u32 } else { half - 1 - level as u32 };
                for (plane, planes) in planes.chunks_exact_mut(self.plane()).enumerate() {
                    let bit = number >> (usize::from(self.bits) - 1 - plane) & 1;
                    planes[at / 8] |= (bit as u8) << (at % 8);
                }
            }
            // A step of 0 makes this no number, or infinite: any multiple of it will do.
            let steps = (closest.factor / f64::from(self.step)).round().min(f64::from(self.most_steps()));
            side.copy_from_slice(&(steps as u16).to_le_bytes()[..side.len()]);
        }
    }

    fn decode(&self, codes: &[u8], vectors: &mut [f32]) {
        check_lengths(self, vectors, codes);
        let layout = self.layout();
        for (vector, code) in
            vectors.chunks_exact_mut(self.dim).zip(codes.chunks_exact(self.bytes_per_vector()))
        {
            let factor = self.scale().of(&code[layout.head + layout.tail..]);
            self.each_level(code, |at, level| vector[at] = factor * level);
            self.rotation.undo(vector);
            for (x, mean) in vector.iter_mut().zip(&self.mean) {
                *x += mean;
            }
        }
    }

    fn prepare_query<'a>(&'a self, query: &[f32]) -> Box<dyn CodeQuery + 'a> {
        assert_eq!(query.len(), self.dim, "the query's dimension");
        let offset = dot_f64(query, &self.mean) as f32;
        let mut turned = query.to_vec();
        self.rotation.apply(&mut turned);
        turned.resize(8 * self.plane(), 0.0);
        let weights = (0..self.bits).map(|plane| f32::from(1_u16 << (self.bits - 1 - plane)) / 2.0);
        let tables = weights.flat_map(|weight| {
            turned.as_chunks::<4>().0.iter().map(move |four| {
                std::array::from_fn(|value| {
                    let sign = |bit: usize| if value >> bit & 1 == 1 { weight } else { -weight };
                    (sign(0) * four[0] + sign(1) * four[1]) + (sign(2) * four[2] + sign(3) * four[3])
                })
            })
        });
        let tables = NibbleTables::new(self.layout(), tables.collect(), &self.shares, offset, self.scale());
        Box::new(BinaryQuery { codec: self, tables, norm: norm_f64(query) })
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = spec::write_head(&self.spec(), self.dim);
        self.rotation.write(&mut bytes);
        wire::put_f32s(&mut bytes, &self.mean);
        wire::put_f32s(&mut bytes, &[self.step, self.cosine]);
        wire::put_f32s(&mut bytes, self.shares.as_flattened());
        bytes
    }
}

struct BinaryQuery<'a> {
    codec: &'a BinaryCodec,
    tables: NibbleTables,
    norm: f64,
}

impl CodeQuery for BinaryQuery<'_> {
    fn dot(&self, code: &[u8]) -> f32 {
        self.tables.dot(code)
    }

    fn tables(&self) -> Option<&NibbleTables> {
        Some(&self.tables)
    }

    fn error(&self, code: &[u8], deviations: f32) -> Option<f32> {
        let codec = self.codec;
        let (nibbles, side) = code.split_at(self.tables.layout.head + self.tables.layout.tail);
        if side.iter().all(|&byte| byte == u8::MAX) {
            return Some(f32::INFINITY);
        }
        let mut squared_norm = 0.0_f64;
        codec.each_level(code, |_, level| squared_norm += f64::from(level * level));
        let sine = (1.0 - f64::from(codec.cosine) * f64::from(codec.cosine)).max(0.0).sqrt();
        let off = f64::from(codec.scale().of(side)) * squared_norm.sqrt() * sine;
        let spread = self.norm * off / ((codec.dim - 1).max(1) as f64).sqrt();
        let rounding = f64::from(codec.step / 2.0 * sum(&self.tables.tables, nibbles).abs());
        Some((f64::from(deviations) * spread + rounding) as f32)
    }
}

#[cfg(test)]
#[path = "binary_tests.rs"]
mod tests;
