//! Codes in blocks of rows, so that one instruction looks at many rows.
//!
//! A code is `head` bytes, `tail` bytes and `side` bytes, in this order. `BLOCK_ROWS` rows make a block: byte 0 of all
//! their heads, byte 1 of all, …; then byte 0 of all their sides, …. Behind all blocks are the tails, block by block in
//! the same manner; rows that the last block lacks are zeros, here and there. So the heads, which every scan reads, lie
//! close together, and the tails, which are read for the few blocks that may hold one of the best, do not stand between
//! them. Where codes have no head there is nothing to be looked at first: then their tails lie row by row, without zeros.

/// Rows of a block.
pub const BLOCK_ROWS: usize = 64;

/// How the bytes of a code are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeLayout {
    /// Bytes that every scan looks at: pairs of nibbles.
    pub head: usize,
    /// Bytes for a closer look: pairs of nibbles behind those of the head, or, where the head is empty, anything.
    pub tail: usize,
    /// Bytes of the scale by which the sum over all nibbles is multiplied.
    pub side: usize,
}

impl CodeLayout {
    /// Bytes of a code.
    #[must_use]
    pub fn code_bytes(&self) -> usize {
        self.head + self.tail + self.side
    }

    /// Bytes of so many packed codes.
    #[must_use]
    pub fn packed_bytes(&self, rows: usize) -> usize {
        let padded = if self.head == 0 { rows } else { rows.next_multiple_of(BLOCK_ROWS) };
        self.tails_at(rows) + padded * self.tail
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        BLOCK_ROWS * (self.head + self.side)
    }

    /// Where the tails begin.
    #[must_use]
    pub fn tails_at(&self, rows: usize) -> usize {
        rows.div_ceil(BLOCK_ROWS) * self.block_bytes()
    }

    /// One block out of up to [`BLOCK_ROWS`] codes, one after the other; their tails are left out.
    ///
    /// # Panics
    /// If `codes` is no whole number of codes, or more than a block.
    pub fn pack_block(&self, codes: &[u8], block: &mut Vec<u8>) {
        let rows = codes.len() / self.code_bytes();
        assert!(rows * self.code_bytes() == codes.len() && rows <= BLOCK_ROWS, "not a block of codes");
        let columns = (0..self.head).chain(self.head + self.tail..self.code_bytes());
        self.pack_columns(codes, columns, block);
    }

    /// The tails of codes, that begin with the first row of a block and end with the last one of a block, or of all.
    pub fn pack_tails(&self, codes: &[u8], tails: &mut Vec<u8>) {
        let columns = self.head..self.head + self.tail;
        if self.head == 0 {
            for code in codes.chunks_exact(self.code_bytes()) {
                tails.extend_from_slice(&code[columns.clone()]);
            }
        } else {
            for codes in codes.chunks(BLOCK_ROWS * self.code_bytes()) {
                self.pack_columns(codes, columns.clone(), tails);
            }
        }
    }

    /// These bytes of up to a block of codes: the first of all codes, the next of all, ….
    fn pack_columns(&self, codes: &[u8], columns: impl Iterator<Item = usize>, packed: &mut Vec<u8>) {
        for at in columns {
            let start = packed.len();
            packed.resize(start + BLOCK_ROWS, 0);
            for (place, code) in packed[start..].iter_mut().zip(codes.chunks_exact(self.code_bytes())) {
                *place = code[at];
            }
        }
    }

    /// All of that: codes, one after the other, in blocks.
    #[must_use]
    pub fn pack(&self, codes: &[u8]) -> Vec<u8> {
        let rows = codes.len() / self.code_bytes();
        let mut packed = Vec::with_capacity(self.packed_bytes(rows));
        for block in codes.chunks(BLOCK_ROWS * self.code_bytes()) {
            self.pack_block(block, &mut packed);
        }
        self.pack_tails(codes, &mut packed);
        packed
    }
}

/// Codes in blocks.
#[derive(Clone, Copy, Debug)]
pub struct PackedCodes<'a> {
    layout: CodeLayout,
    rows: usize,
    blocks: &'a [u8],
    tails: &'a [u8],
}

impl<'a> PackedCodes<'a> {
    /// `rows` codes of that layout; `None` if `bytes` is not as long as they are.
    #[must_use]
    pub fn new(layout: CodeLayout, rows: usize, bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() != layout.packed_bytes(rows) {
            return None;
        }
        let (blocks, tails) = bytes.split_at(layout.tails_at(rows));
        Some(Self { layout, rows, blocks, tails })
    }

    /// How the bytes of a code are divided.
    #[must_use]
    pub fn layout(&self) -> CodeLayout {
        self.layout
    }

    /// Number of codes.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The blocks, one after the other.
    #[must_use]
    pub fn blocks(&self) -> &'a [u8] {
        self.blocks
    }

    /// The tails, behind the blocks.
    #[must_use]
    pub fn tails(&self) -> &'a [u8] {
        self.tails
    }

    /// The bytes of a row's head.
    ///
    /// # Panics
    /// If there is no such row; so do those below.
    pub(crate) fn head(&self, row: usize) -> impl Iterator<Item = &'a u8> + use<'a> {
        let block = &self.blocks[row / BLOCK_ROWS * self.layout.block_bytes()..];
        column(&block[..BLOCK_ROWS * self.layout.head], row)
    }

    /// The bytes of a row's side.
    pub(crate) fn side(&self, row: usize) -> impl Iterator<Item = &'a u8> + use<'a> {
        let block = &self.blocks[row / BLOCK_ROWS * self.layout.block_bytes()..];
        column(&block[BLOCK_ROWS * self.layout.head..self.layout.block_bytes()], row)
    }

    /// The bytes of a row's tail, where there is a head before it.
    pub(crate) fn tail(&self, row: usize) -> impl Iterator<Item = &'a u8> + use<'a> {
        let bytes = BLOCK_ROWS * self.layout.tail;
        column(&self.tails[row / BLOCK_ROWS * bytes..][..bytes], row)
    }

    /// The bytes of a row's tail, where there is no head.
    pub(crate) fn headless(&self, row: usize) -> &'a [u8] {
        debug_assert_eq!(self.layout.head, 0);
        &self.tails[row * self.layout.tail..][..self.layout.tail]
    }

    /// Writes the code of a row to `code`.
    ///
    /// # Panics
    /// If there is no such row, or `code` has not the length of one.
    pub fn code(&self, row: usize, code: &mut [u8]) {
        assert!(
            row < self.rows && code.len() == self.layout.code_bytes(),
            "no such row, or no room for a code"
        );
        let (head, rest) = code.split_at_mut(self.layout.head);
        let (tail, side) = rest.split_at_mut(self.layout.tail);
        let put = |(place, byte): (&mut u8, &u8)| *place = *byte;
        head.iter_mut().zip(self.head(row)).for_each(put);
        side.iter_mut().zip(self.side(row)).for_each(put);
        if head.is_empty() {
            tail.copy_from_slice(self.headless(row));
        } else {
            tail.iter_mut().zip(self.tail(row)).for_each(put);
        }
    }
}

/// What a row has in each column of its block.
fn column(columns: &[u8], row: usize) -> impl Iterator<Item = &u8> {
    columns.iter().skip(row % BLOCK_ROWS).step_by(BLOCK_ROWS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_code_is_found_again(
            (head, tail, side) in (0..9_usize, 0..9_usize, 0..3_usize), rows in 0..200_usize, seed in any::<u64>(),
        ) {
            prop_assume!(head + tail + side > 0);
            let layout = CodeLayout { head, tail, side };
            let mut state = seed | 1;
            let codes: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            }).take(rows * layout.code_bytes()).collect();
            let bytes = layout.pack(&codes);
            prop_assert!(PackedCodes::new(layout, rows + BLOCK_ROWS, &bytes).is_none());
            let packed = PackedCodes::new(layout, rows, &bytes).expect("as long as it must be");
            let mut code = vec![0; layout.code_bytes()];
            for (row, expected) in codes.chunks_exact(layout.code_bytes()).enumerate() {
                packed.code(row, &mut code);
                prop_assert_eq!(&code[..], expected);
            }
        }
    }
}
