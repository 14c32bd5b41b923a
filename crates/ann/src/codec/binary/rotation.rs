//! A random rotation that takes `dim × log dim` steps: signs flipped at random, then a Walsh-Hadamard transform, again
//! and again.
//!
//! The transform wants a power of two; so it is done on the first components, as many as the greatest power of two
//! within the dimension, and in the next round on the last so many. The two windows overlap, which carries everything
//! everywhere (as the "Kac walk" of RaBitQ's library does).

use super::super::CodecError;
use super::super::wire::Reader;
use crate::random::Random;

/// Of which half are done on the first components and half on the last.
const ROUNDS: usize = 4;

#[derive(Debug)]
pub(super) struct Rotation {
    dim: usize,
    /// Bit *i* of a round's bytes: whether component *i* changes its sign.
    bits: Vec<u8>,
    /// The same as factors, 1 and -1.
    signs: Vec<f32>,
}

impl Rotation {
    pub(super) fn random(dim: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        Self::new(dim, (0..ROUNDS * dim.div_ceil(8)).map(|_| random.next() as u8).collect())
    }

    pub(super) fn read(dim: usize, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self::new(dim, reader.bytes(ROUNDS * dim.div_ceil(8))?.to_vec()))
    }

    fn new(dim: usize, bits: Vec<u8>) -> Self {
        let signs = bits
            .chunks_exact(dim.div_ceil(8))
            .flat_map(|round| (0..dim).map(|i| if round[i / 8] >> (i % 8) & 1 == 1 { -1.0 } else { 1.0 }));
        let signs = signs.collect();
        Self { dim, bits, signs }
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.bits);
    }

    /// The window of a round.
    fn window(&self, round: usize) -> std::ops::Range<usize> {
        let size = 1 << self.dim.ilog2();
        if round.is_multiple_of(2) { 0..size } else { self.dim - size..self.dim }
    }

    pub(super) fn apply(&self, vector: &mut [f32]) {
        for (round, signs) in self.signs.chunks_exact(self.dim).enumerate() {
            flip(vector, signs);
            hadamard(&mut vector[self.window(round)]);
        }
    }

    pub(super) fn undo(&self, vector: &mut [f32]) {
        for (round, signs) in self.signs.chunks_exact(self.dim).enumerate().rev() {
            hadamard(&mut vector[self.window(round)]);
            flip(vector, signs);
        }
    }
}

fn flip(vector: &mut [f32], signs: &[f32]) {
    for (x, sign) in vector.iter_mut().zip(signs) {
        *x *= sign;
    }
}

/// The Walsh-Hadamard transform of a power of two of numbers, scaled to be its own inverse.
fn hadamard(numbers: &mut [f32]) {
    let (eights, rest) = numbers.as_chunks_mut::<8>();
    let mut half = if rest.is_empty() { 8 } else { 1 };
    for &mut [ref mut a, ref mut b, ref mut c, ref mut d, ref mut e, ref mut f, ref mut g, ref mut h] in
        eights
    {
        // The first three steps at once, which is quicker than loops of so few turns.
        let (ab, cd, ef, gh) = (*a + *b, *c + *d, *e + *f, *g + *h);
        let (a_b, c_d, e_f, g_h) = (*a - *b, *c - *d, *e - *f, *g - *h);
        let (abcd, ab_cd, efgh, ef_gh) = (ab + cd, ab - cd, ef + gh, ef - gh);
        let (odd, odd_, even, even_) = (a_b + c_d, a_b - c_d, e_f + g_h, e_f - g_h);
        (*a, *b, *c, *d) = (abcd + efgh, odd + even, ab_cd + ef_gh, odd_ + even_);
        (*e, *f, *g, *h) = (abcd - efgh, odd - even, ab_cd - ef_gh, odd_ - even_);
    }
    while half < numbers.len() {
        for pair in numbers.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (x, y) in low.iter_mut().zip(high) {
                (*x, *y) = (*x + *y, *x - *y);
            }
        }
        half *= 2;
    }
    let scale = 1.0 / (numbers.len() as f32).sqrt();
    numbers.iter_mut().for_each(|x| *x *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_are_kept_and_it_can_be_undone() {
        for dim in (1..70).chain([127, 128, 384, 769]) {
            let rotation = Rotation::random(dim, 3);
            let vector: Vec<f32> = (0..dim).map(|i| (i * i % 11) as f32 - 4.0).collect();
            let mut turned = vector.clone();
            rotation.apply(&mut turned);
            let (before, after) = (crate::norm(&vector), crate::norm(&turned));
            assert!((before - after).abs() <= 1e-5 * before, "{dim}: {before} became {after}");
            rotation.undo(&mut turned);
            assert!(vector.iter().zip(&turned).all(|(x, y)| (x - y).abs() < 1e-4), "{dim}");
        }
    }

    #[test]
    fn the_transform_is_that_of_hadamard() {
        for size in [1, 2, 4, 8, 16, 64_usize] {
            for at in 0..size {
                let mut numbers = vec![0.0; size];
                numbers[at] = 1.0;
                hadamard(&mut numbers);
                for (i, x) in numbers.iter().enumerate() {
                    let sign = if (i & at).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
                    let expected = sign / (size as f32).sqrt();
                    assert!((x - expected).abs() < 1e-6, "{size}, {at}, {i}: {x}");
                }
            }
        }
    }

    #[test]
    fn one_component_is_spread_over_all() {
        for dim in [64, 100, 384] {
            let rotation = Rotation::random(dim, 5);
            for at in [0, dim / 2, dim - 1] {
                let mut vector = vec![0.0; dim];
                vector[at] = 1.0;
                rotation.apply(&mut vector);
                let greatest = vector.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
                assert!(greatest < 6.0 / (dim as f32).sqrt(), "{dim}, {at}: {greatest}");
            }
        }
    }
}
