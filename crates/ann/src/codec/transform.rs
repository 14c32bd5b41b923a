//! Transform coding: the components along the principal axes (Karhunen-Loève), each rounded by itself, with more bits
//! where the vectors vary more (Goyal 2001; Segall 1976 for the bits).
//!
//! A code is nibbles, the most telling first, and a factor. A nibble holds the indices of one to four components, or
//! one of the parts of the index of a component of 5 to 12 bits. The decoded vector is `mean + factor × Σ level ×
//! axis`, and the factor makes its product with the encoded one what it would be without loss, as in RaBitQ
//! (2405.12497): rounding shortens vectors, some more than others, and this evens it out.

mod components;
mod levels;
mod plan;
mod train;

pub(crate) use components::{Components, Plan, Share};
pub(crate) use levels::Curve;

pub(super) use train::train;

use std::sync::Arc;

use super::wire::{Reader, malformed, put_f32s, put_u32s};
use super::{
    CodeLayout, CodeQuery, Codec, CodecError, CodecSpec, NibbleTables, Scale, check_lengths, nibbles, spec,
};
use crate::{Kernels, linear};

/// See the module.
#[derive(Clone, Debug, PartialEq)]
struct Transform {
    bytes: usize,
    mean: Vec<f32>,
    components: Components,
    /// The axis of each component, a row of `dim`.
    axes: Vec<f32>,
    scale: Scale,
    /// How often each nibble had each value in training.
    shares: Vec<[f32; 16]>,
}

/// How a code of so many bytes is divided.
fn layout(bytes: usize, dim: usize) -> CodeLayout {
    // The more bits the components have, the more exactly their common factor is worth knowing.
    let side = if bytes > 2 && 2 * bytes >= dim { 2 } else { 1 };
    let head = nibbles::head_bytes(bytes - side, dim);
    CodeLayout { head, tail: bytes - side - head, side }
}

impl Transform {
    fn layout(&self) -> CodeLayout {
        layout(self.bytes, self.mean.len())
    }

    /// The greatest number that side bytes can say.
    fn most(&self) -> f32 {
        if self.layout().side == 2 { f32::from(u16::MAX) } else { f32::from(u8::MAX) }
    }

    /// Codes of at most a block of rows, into zeros. Tells the factors that the rows want.
    fn encode_block(&self, rows: &[f32], codes: &mut [u8]) -> Vec<f32> {
        let (dim, count) = (self.mean.len(), codes.len() / self.bytes);
        let mut centred = rows.to_vec();
        linear::subtract(&mut centred, &self.mean);
        let mut values = vec![0.0; count * self.components.len()];
        linear::products_by_column(&centred, &self.axes, dim, &mut values);
        let mut products = vec![0.0_f32; count];
        // The bytes of all rows at one place of the code lie together until all is done.
        let mut columns = vec![0_u8; count * (self.bytes - self.layout().side)];
        self.components.encode(&values, count, &mut columns, |values, rounded| {
            for ((product, value), rounded) in products.iter_mut().zip(values).zip(rounded) {
                *product += value * rounded;
            }
        });
        nibbles::put_columns(&columns, count, codes, self.bytes);
        let squares = centred.chunks_exact(dim).map(|row| row.iter().map(|x| x * x).sum::<f32>());
        squares.zip(&products).map(|(square, product)| square / product).collect()
    }

    fn put_factor(&self, factor: f32, side: &mut [u8]) {
        let Scale { least, step } = self.scale;
        // No factor fits a row that was rounded to nothing, or to its opposite: it gets the least.
        let number = if factor > least && step > 0.0 { ((factor - least) / step).round() } else { 0.0 };
        let number = number.min(self.most()) as u16;
        side.copy_from_slice(&number.to_le_bytes()[..side.len()]);
    }

    /// Whether all that a code can say is a finite number.
    fn check(&self) -> Result<(), CodecError> {
        let greatest = |floats: &[f32]| floats.iter().fold(0.0_f64, |most, x| most.max(f64::from(x.abs())));
        let levels = self.components.reach();
        let factor =
            f64::from(self.scale.least.abs()) + f64::from(self.scale.step.abs()) * f64::from(self.most());
        let reach = greatest(&self.mean) + factor * levels * greatest(&self.axes).max(1.0);
        if factor.max(levels).max(reach) < f64::from(f32::MAX) / 4.0 {
            Ok(())
        } else {
            Err(malformed("a code could stand for a vector that is not finite"))
        }
    }
}

impl Codec for Transform {
    fn spec(&self) -> CodecSpec {
        CodecSpec::Transform { bytes: self.bytes }
    }

    fn dim(&self) -> usize {
        self.mean.len()
    }

    fn bytes_per_vector(&self) -> usize {
        self.bytes
    }

    fn layout(&self) -> CodeLayout {
        Transform::layout(self)
    }

    fn encode(&self, vectors: &[f32], codes: &mut [u8]) {
        let dim = self.mean.len();
        check_lengths(self, vectors, codes);
        codes.fill(0);
        let nibble_bytes = self.bytes - self.layout().side;
        let blocks = codes.chunks_mut(linear::BLOCK * self.bytes);
        for (rows, codes) in vectors.chunks(linear::BLOCK * dim).zip(blocks) {
            let factors = self.encode_block(rows, codes);
            for (code, factor) in codes.chunks_exact_mut(self.bytes).zip(factors) {
                self.put_factor(factor, &mut code[nibble_bytes..]);
            }
        }
    }

    fn decode(&self, codes: &[u8], vectors: &mut [f32]) {
        let dim = self.mean.len();
        check_lengths(self, vectors, codes);
        let layout = self.layout();
        let factor = |code: &[u8]| self.scale.of(&code[layout.head + layout.tail..]);
        let blocks = codes.chunks(linear::BLOCK * self.bytes);
        for (rows, codes) in vectors.chunks_mut(linear::BLOCK * dim).zip(blocks) {
            let count = codes.len() / self.bytes;
            let mut weights = vec![0.0; count * self.components.len()];
            for Share { component, nibble, told } in self.components.shares() {
                let weights = &mut weights[component * count..][..count];
                for (weight, code) in weights.iter_mut().zip(codes.chunks_exact(self.bytes)) {
                    *weight += told[usize::from(nibbles::nibble(code, nibble))];
                }
            }
            for weights in weights.chunks_exact_mut(count) {
                for (weight, code) in weights.iter_mut().zip(codes.chunks_exact(self.bytes)) {
                    *weight *= factor(code);
                }
            }
            linear::weighted_sums(&weights, &self.axes, dim, rows);
            for row in rows.chunks_exact_mut(dim) {
                row.iter_mut().zip(&self.mean).for_each(|(x, mean)| *x += mean);
            }
        }
    }

    fn prepare_query<'a>(&'a self, query: &[f32]) -> Box<dyn CodeQuery + 'a> {
        let (layout, dim) = (self.layout(), self.mean.len());
        let kernels = Kernels::best();
        let mut weights = vec![0.0; self.components.len()];
        kernels.dot_rows(query, &self.axes, dim, &mut weights);
        let mut tables = vec![[0.0; 16]; 2 * (layout.head + layout.tail)];
        for Share { component, nibble, told } in self.components.shares() {
            for (entry, told) in tables[nibble].iter_mut().zip(told) {
                *entry += weights[component] * told;
            }
        }
        let offset = kernels.dot(query, &self.mean);
        Box::new(NibbleTables::new(layout, tables, &self.shares, offset, self.scale))
    }

    /// The head; the number of components; of each its bits and the places of its parts; mean; scale; levels;
    /// axes; shares.
    fn write(&self) -> Vec<u8> {
        let mut bytes = spec::write_head(&Codec::spec(self), self.mean.len());
        put_u32s(&mut bytes, &[self.components.len() as u32]);
        self.components.put_plan(&mut bytes);
        put_f32s(&mut bytes, &self.mean);
        put_f32s(&mut bytes, &[self.scale.least, self.scale.step]);
        self.components.put_levels(&mut bytes);
        put_f32s(&mut bytes, &self.axes);
        put_f32s(&mut bytes, self.shares.as_flattened());
        bytes
    }
}

/// Reads what [`Transform::write`] wrote behind the head.
pub(super) fn read(bytes: usize, dim: usize, rest: &[u8]) -> Result<Arc<dyn Codec>, CodecError> {
    let mut reader = Reader::new(rest);
    let layout = layout(bytes, dim);
    let nibbles = 2 * (layout.head + layout.tail);
    let count = reader.u32s(1)?[0] as usize;
    if count > dim {
        return Err(malformed("there are more components than dimensions"));
    }
    let plan = Plan::read(&mut reader, count, nibbles)?;
    let mean = reader.f32s(dim)?;
    let scale = reader.f32s(2)?;
    let components = Components::read_levels(plan, &mut reader)?;
    let axes = reader.f32s(count.checked_mul(dim).ok_or_else(|| malformed("too many components"))?)?;
    let shares = reader.shares(nibbles)?;
    reader.end()?;
    let scale = Scale { least: scale[0], step: scale[1] };
    let codec = Transform { bytes, mean, components, axes, scale, shares };
    codec.check()?;
    Ok(Arc::new(codec))
}

#[cfg(test)]
#[path = "transform/tests.rs"]
mod tests;
