//! Product quantisation (Jégou, Douze, Schmid 2011): a vector is cut into `m` pieces, and of each the number of the
//! nearest of 2^`nbits` centroids is kept. With a learned rotation before it, OPQ (Ge, He, Ke, Sun 2013).
//!
//! - A code is `m × nbits` bits, in bytes, the first number in the lowest bits; there is no side data.
//! - Where `m` does not divide the dimension, vectors are taken to have zeros behind them, up to a multiple.
//! - Pieces are kept in the order of what they tell, the most telling first: with 4 bits these are the head.
//!
//! The codebook, behind its head: order of the pieces (u32 each), centroids by piece in this order, row-major (f32);
//! with a rotation its matrix, one row a component of the rotated vector (f32); with 4 bits the share of each value of
//! each nibble (f32), an odd last nibble included.

mod query;
mod rotation;
mod training;

pub(super) use training::train;

use std::sync::Arc;

use super::nibbles::head_bytes;
use super::points::{half_norms, set};
use super::wire::{Reader, malformed, put_f32s, put_u32s};
use super::{CodeLayout, CodeQuery, Codec, CodecError, CodecSpec, check_lengths, spec};
use crate::kernels::{GROUP, Group, Kernels};
use crate::linear::{BLOCK, products_by_column, weighted_sums};

/// No number of a sample or codebook is greater: so no sum of products of them overflows.
const GREATEST: f32 = 1e15;

/// How vectors are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    dim: usize,
    m: usize,
    nbits: u8,
    rotate: bool,
}

impl Shape {
    /// Components of a piece.
    fn piece(&self) -> usize {
        self.dim.div_ceil(self.m)
    }

    /// Components of a vector with its zeros.
    fn padded(&self) -> usize {
        self.m * self.piece()
    }

    /// Centroids of a piece.
    fn centroids(&self) -> usize {
        1 << self.nbits
    }

    fn code_bytes(&self) -> usize {
        (self.m * usize::from(self.nbits)).div_ceil(8)
    }

    /// Which components of a padded vector are piece `at`, those that a vector of `len` has.
    fn components(&self, at: usize, len: usize) -> std::ops::Range<usize> {
        (at * self.piece()).min(len)..((at + 1) * self.piece()).min(len)
    }
}

/// The trained codec.
#[derive(Debug)]
struct Product {
    shape: Shape,
    /// Which piece of a vector each number of a code tells of.
    order: Vec<u32>,
    /// By number of a code: its centroids, row-major.
    centroids: Vec<f32>,
    half_norms: Vec<f32>,
    /// One row a component of the rotated vector.
    rotation: Option<Vec<f32>>,
    /// With 4 bits, the shares of the values of each nibble.
    shares: Vec<[f32; 16]>,
}

impl Product {
    fn new(
        shape: Shape,
        order: Vec<u32>,
        centroids: Vec<f32>,
        rotation: Option<Vec<f32>>,
        shares: Vec<[f32; 16]>,
    ) -> Self {
        let half_norms = half_norms(&centroids, shape.piece());
        Self { shape, order, centroids, half_norms, rotation, shares }
    }

    /// The centroids of a number of a code.
    fn centroids_of(&self, at: usize) -> &[f32] {
        let floats = self.shape.centroids() * self.shape.piece();
        &self.centroids[at * floats..][..floats]
    }

    fn half_norms_of(&self, at: usize) -> &[f32] {
        &self.half_norms[at * self.shape.centroids()..][..self.shape.centroids()]
    }

    /// The numbers of up to [`BLOCK`] vectors: for each number of a code, those of all vectors.
    fn numbers(&self, vectors: &[f32], numbers: &mut [u16]) {
        let Shape { dim, m, .. } = self.shape;
        let rows = vectors.len() / dim;
        let mut rotated = Vec::new();
        if let Some(rotation) = &self.rotation {
            rotated.resize(self.shape.padded() * rows, 0.0);
            products_by_column(vectors, rotation, dim, &mut rotated);
        }
        let kernels = Kernels::best();
        let mut group: Vec<Group> = vec![[0.0; GROUP]; self.shape.piece()];
        for (at, numbers) in (0..m).zip(numbers.chunks_exact_mut(rows)) {
            let components = self.shape.components(self.order[at] as usize, self.shape.padded());
            for (first, numbers) in (0..rows).step_by(GROUP).zip(numbers.chunks_mut(GROUP)) {
                if self.rotation.is_some() {
                    for (lanes, component) in group.iter_mut().zip(components.clone()) {
                        let from = &rotated[component * rows + first..][..numbers.len()];
                        lanes[..from.len()].copy_from_slice(from);
                    }
                } else {
                    let components = self.shape.components(self.order[at] as usize, dim);
                    for lane in 0..numbers.len() {
                        let row = &vectors[(first + lane) * dim..][..dim];
                        set(&mut group, lane, &row[components.clone()]);
                    }
                }
                let found = kernels.nearest(&group, self.centroids_of(at), self.half_norms_of(at));
                numbers.iter_mut().zip(found.index).for_each(|(place, number)| *place = number as u16);
            }
        }
    }
}

impl Codec for Product {
    fn spec(&self) -> CodecSpec {
        let Shape { m, nbits, rotate, .. } = self.shape;
        CodecSpec::Product { m, nbits, rotate }
    }

    fn dim(&self) -> usize {
        self.shape.dim
    }

    fn bytes_per_vector(&self) -> usize {
        self.shape.code_bytes()
    }

    fn layout(&self) -> CodeLayout {
        let bytes = self.shape.code_bytes();
        let head = if self.shape.nbits == 4 { head_bytes(bytes, self.shape.dim) } else { 0 };
        CodeLayout { head, tail: bytes - head, side: 0 }
    }

    fn encode(&self, vectors: &[f32], codes: &mut [u8]) {
        let Shape { dim, m, nbits, .. } = self.shape;
        let bytes = self.shape.code_bytes();
        check_lengths(self, vectors, codes);
        let mut numbers = vec![0; BLOCK * m];
        for (vectors, codes) in vectors.chunks(BLOCK * dim).zip(codes.chunks_mut(BLOCK * bytes)) {
            let rows = vectors.len() / dim;
            self.numbers(vectors, &mut numbers[..rows * m]);
            for (row, code) in codes.chunks_exact_mut(bytes).enumerate() {
                pack(numbers[..rows * m].iter().skip(row).step_by(rows), nbits, code);
            }
        }
    }

    fn decode(&self, codes: &[u8], vectors: &mut [f32]) {
        let Shape { dim, m, nbits, .. } = self.shape;
        let (bytes, piece) = (self.shape.code_bytes(), self.shape.piece());
        check_lengths(self, vectors, codes);
        let mut weights = vec![0.0; if self.rotation.is_some() { BLOCK * m * piece } else { 0 }];
        for (codes, vectors) in codes.chunks(BLOCK * bytes).zip(vectors.chunks_mut(BLOCK * dim)) {
            let rows = vectors.len() / dim;
            let weights = &mut weights[..if self.rotation.is_some() { rows * m * piece } else { 0 }];
            for (row, code) in codes.chunks_exact(bytes).enumerate() {
                for (at, number) in numbers(code, nbits).take(m).enumerate() {
                    let centroid = &self.centroids_of(at)[number * piece..][..piece];
                    let components = self.shape.components(self.order[at] as usize, m * piece);
                    if self.rotation.is_some() {
                        let places = weights[components.start * rows + row..].iter_mut().step_by(rows);
                        places.zip(centroid).for_each(|(place, x)| *place = *x);
                    } else {
                        let vector = &mut vectors[row * dim..][..dim];
                        let places = &mut vector[self.shape.components(self.order[at] as usize, dim)];
                        places.copy_from_slice(&centroid[..places.len()]);
                    }
                }
            }
            if let Some(rotation) = &self.rotation {
                weighted_sums(weights, rotation, dim, vectors);
            }
        }
    }

    fn prepare_query<'a>(&'a self, query: &[f32]) -> Box<dyn CodeQuery + 'a> {
        query::prepare(self, query)
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = spec::write_head(&self.spec(), self.shape.dim);
        put_u32s(&mut bytes, &self.order);
        put_f32s(&mut bytes, &self.centroids);
        if let Some(rotation) = &self.rotation {
            put_f32s(&mut bytes, rotation);
        }
        put_f32s(&mut bytes, self.shares.as_flattened());
        bytes
    }
}

/// Packs numbers of `nbits`, the first in the lowest bits, and zeros up to the end of `code`.
fn pack<'a>(numbers: impl Iterator<Item = &'a u16>, nbits: u8, code: &mut [u8]) {
    let (mut bits, mut held) = (0_u32, 0_u8);
    let mut places = code.iter_mut();
    for number in numbers {
        bits |= u32::from(*number) << held;
        held += nbits;
        while held >= 8 {
            if let Some(place) = places.next() {
                *place = bits as u8;
            }
            bits >>= 8;
            held -= 8;
        }
    }
    if let Some(place) = places.next() {
        *place = bits as u8;
    }
}

/// The numbers that [`pack`] packed, and whatever the last bits make.
fn numbers(code: &[u8], nbits: u8) -> impl Iterator<Item = usize> {
    let (mut bits, mut held) = (0_u32, 0_u8);
    let mut bytes = code.iter();
    std::iter::from_fn(move || {
        while held < nbits {
            bits |= u32::from(*bytes.next()?) << held;
            held += 8;
        }
        let number = bits & ((1 << nbits) - 1);
        bits >>= nbits;
        held -= nbits;
        Some(number as usize)
    })
}

/// Reads what follows the head of a codebook.
///
/// # Errors
/// [`CodecError::Malformed`] for what [`Codec::write`] did not write.
pub(super) fn read(
    m: usize,
    nbits: u8,
    rotate: bool,
    dim: usize,
    rest: &[u8],
) -> Result<Arc<dyn Codec>, CodecError> {
    let shape = Shape { dim, m, nbits, rotate };
    let mut rest = Reader::new(rest);
    let order = rest.order(m)?;
    let centroids = rest.f32s(shape.centroids() * shape.padded())?;
    let rotation = if rotate { Some(rest.f32s(shape.padded() * dim)?) } else { None };
    let shares = rest.shares(if nbits == 4 { 2 * shape.code_bytes() } else { 0 })?;
    rest.end()?;
    let too_great = |x: &f32| x.abs() > GREATEST;
    if centroids.iter().any(too_great) || rotation.iter().flatten().any(|x| x.abs() > 2.0) {
        return Err(malformed("a number is too great"));
    }
    Ok(Arc::new(Product::new(shape, order, centroids, rotation, shares)))
}

#[cfg(test)]
mod tests;
