//! Queries: a table of products for each piece, and codes looked up in them.

use super::{Product, numbers};
use crate::codec::nibbles::{NibbleTables, Scale};
use crate::codec::{CodeQuery, Codec};
use crate::linear::products_by_column;

/// A query with one table of 2^`nbits` products for each number of a code.
struct Tables {
    tables: Vec<f32>,
    nbits: u8,
    code_bytes: usize,
}

impl CodeQuery for Tables {
    fn dot(&self, code: &[u8]) -> f32 {
        assert_eq!(code.len(), self.code_bytes, "bytes of a code");
        if self.nbits == 8 {
            return sum_of_bytes(self.tables.as_chunks().0, code);
        }
        let tables = self.tables.chunks_exact(1 << self.nbits);
        tables.zip(numbers(code, self.nbits)).map(|(table, number)| table[number]).sum()
    }
}

/// The sum of what bytes are looked up as, each in its table; four sums, so that one look-up does not wait for another.
fn sum_of_bytes(tables: &[[f32; 256]], code: &[u8]) -> f32 {
    const SUMS: usize = 4;
    let mut sums = [0.0_f32; SUMS];
    let (tables, last_tables) = tables.as_chunks::<SUMS>();
    let (bytes, last_bytes) = code.as_chunks::<SUMS>();
    for (tables, bytes) in tables.iter().zip(bytes) {
        for ((sum, table), byte) in sums.iter_mut().zip(tables).zip(bytes) {
            *sum += table[usize::from(*byte)];
        }
    }
    for ((sum, table), byte) in sums.iter_mut().zip(last_tables).zip(last_bytes) {
        *sum += table[usize::from(*byte)];
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// The query's products with all centroids.
pub(super) fn prepare<'a>(codec: &'a Product, query: &[f32]) -> Box<dyn CodeQuery + 'a> {
    let shape = codec.shape;
    assert_eq!(query.len(), shape.dim, "the query's dimension");
    let mut rotated = query.to_vec();
    rotated.resize(shape.padded(), 0.0);
    if let Some(rotation) = &codec.rotation {
        products_by_column(query, rotation, shape.dim, &mut rotated);
    }
    let mut tables = Vec::with_capacity(shape.m << shape.nbits);
    for (at, piece) in codec.order.iter().enumerate() {
        let part = &rotated[shape.components(*piece as usize, shape.padded())];
        let centroids = codec.centroids_of(at).chunks_exact(shape.piece());
        tables.extend(centroids.map(|centroid| centroid.iter().zip(part).map(|(c, q)| c * q).sum::<f32>()));
    }
    if shape.nbits != 4 {
        return Box::new(Tables { tables, nbits: shape.nbits, code_bytes: shape.code_bytes() });
    }
    // An odd last nibble says nothing.
    tables.resize(codec.shares.len() * 16, 0.0);
    let scale = Scale { least: 1.0, step: 0.0 };
    let tables = tables.as_chunks().0.to_vec();
    Box::new(NibbleTables::new(codec.layout(), tables, &codec.shares, 0.0, scale))
}
