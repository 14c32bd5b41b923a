//! Queries that are sums of table look-ups, one a nibble: what most codecs come down to.
//!
//! `dot(code) = offset + scale(code) × Σ tables[j][nibble j of the code]`; nibble 2i is the low half of byte i, nibble
//! 2i + 1 its high half, over head and tail; the scale is read from the side bytes.
//!
//! Four components of one bit, two of two bits, a sub-quantiser of 16 centroids, or half of a component's 8 bits: each
//! is a nibble with a table of 16 numbers, made for the query. So one scan serves them all.

use super::CodeQuery;
use super::packed::CodeLayout;

/// The scale of a code: `least + step × number`, the number being the code's side bytes, little-endian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The scale of number 0.
    pub least: f32,
    /// What one more adds.
    pub step: f32,
}

impl Scale {
    /// The scale of a code whose side bytes are these, at most 2; 1 if there are none.
    #[must_use]
    pub fn of(&self, side: &[u8]) -> f32 {
        match *side {
            [] => 1.0,
            [low] => self.least + self.step * f32::from(low),
            [low, high, ..] => self.least + self.step * f32::from(u16::from_le_bytes([low, high])),
        }
    }
}

/// Tables made for one query.
#[derive(Clone, Debug)]
pub struct NibbleTables {
    /// How codes are divided. The side has at most 2 bytes; without one the scale is 1.
    pub layout: CodeLayout,
    /// One a nibble, those of the head first: `2 × (layout.head + layout.tail)`.
    pub tables: Vec<[f32; 16]>,
    /// Mean and variance, over the vectors seen in training, of what each nibble contributes.
    pub moments: Vec<(f32, f32)>,
    /// Added to every product.
    pub offset: f32,
    /// What the side bytes say.
    pub scale: Scale,
}

impl NibbleTables {
    /// Tables for a query, where nibble *j* was value *v* in a share `shares[j][v]` of the vectors seen in training.
    ///
    /// # Panics
    /// If there are not as many tables and shares as nibbles.
    #[must_use]
    pub fn new(
        layout: CodeLayout,
        tables: Vec<[f32; 16]>,
        shares: &[[f32; 16]],
        offset: f32,
        scale: Scale,
    ) -> Self {
        assert!(
            tables.len() == 2 * (layout.head + layout.tail)
                && shares.len() == tables.len()
                && layout.side <= 2
        );
        let moments = tables.iter().zip(shares).map(|(table, shares)| {
            let mean: f32 = table.iter().zip(shares).map(|(x, p)| x * p).sum();
            let variance: f32 = table.iter().zip(shares).map(|(x, p)| (x - mean) * (x - mean) * p).sum();
            (mean, variance)
        });
        let moments = moments.collect();
        Self { layout, tables, moments, offset, scale }
    }

    /// The scale of a code whose side bytes are these.
    #[must_use]
    pub fn scale_of(&self, side: &[u8]) -> f32 {
        self.scale.of(side)
    }

    /// About the product of the query and the vector that was encoded.
    ///
    /// # Panics
    /// If `code` has not the length of a code.
    #[must_use]
    pub fn dot(&self, code: &[u8]) -> f32 {
        let (nibbles, side) = code.split_at(self.layout.head + self.layout.tail);
        assert_eq!(side.len(), self.layout.side, "bytes of a code");
        self.offset + self.scale_of(side) * sum(&self.tables, nibbles)
    }
}

impl CodeQuery for NibbleTables {
    fn dot(&self, code: &[u8]) -> f32 {
        self.dot(code)
    }

    fn tables(&self) -> Option<&NibbleTables> {
        Some(self)
    }
}

/// The sum of what the nibbles of `bytes` are looked up as, one pair of tables a byte. Four sums side by side, as one
/// addition would have to wait for the last.
pub(crate) fn sum<'b>(tables: &[[f32; 16]], bytes: impl IntoIterator<Item = &'b u8>) -> f32 {
    let mut sums = [0.0; 4];
    let mut bytes = bytes.into_iter();
    for quad in tables.chunks(4) {
        for (pair, sums) in quad.chunks_exact(2).zip(sums.chunks_exact_mut(2)) {
            let Some(byte) = bytes.next() else { break };
            sums[0] += pair[0][usize::from(byte & 15)];
            sums[1] += pair[1][usize::from(byte >> 4)];
        }
    }
    let [a, b, c, d] = sums;
    (a + b) + (c + d)
}

/// Bytes of a code of `nibble_bytes` that every scan looks at: the most telling ones, as many as one bit a dimension takes.
#[must_use]
pub(crate) fn head_bytes(nibble_bytes: usize, dim: usize) -> usize {
    const LEAST: usize = 16;
    nibble_bytes.min(dim.div_ceil(8).max(LEAST))
}

/// Nibble `j` of a code.
#[must_use]
pub(crate) fn nibble(code: &[u8], j: usize) -> u8 {
    code[j / 2] >> (4 * (j % 2)) & 15
}

/// Makes nibble `j` of a code, so far 0, `value`.
pub(crate) fn set_nibble(code: &mut [u8], j: usize, value: u8) {
    code[j / 2] |= (value & 15) << (4 * (j % 2));
}

/// Writes the nibbles of `count` codes, of which the bytes at one place lie together, each to the front of its code.
pub(crate) fn put_columns(columns: &[u8], count: usize, codes: &mut [u8], code_bytes: usize) {
    for (row, code) in codes.chunks_exact_mut(code_bytes).enumerate() {
        for (byte, column) in code.iter_mut().zip(columns.chunks_exact(count)) {
            *byte = column[row];
        }
    }
}

/// The share of the codes that has each value in each nibble; `codes` are as many as have this layout.
#[must_use]
pub(crate) fn shares_of(layout: CodeLayout, codes: &[u8]) -> Vec<[f32; 16]> {
    let mut counts = vec![[0_u32; 16]; 2 * (layout.head + layout.tail)];
    for code in codes.chunks_exact(layout.code_bytes()) {
        for (j, counts) in counts.iter_mut().enumerate() {
            counts[usize::from(nibble(code, j))] += 1;
        }
    }
    let rows = (codes.len() / layout.code_bytes()).max(1) as f32;
    counts.iter().map(|counts| counts.map(|count| count as f32 / rows)).collect()
}
