//! Look-ups of nibbles in tables of 16 bytes, 64 rows at a time, chosen at run time.
//!
//! A block is 64 rows, column by column: byte *i* of all rows, then byte *i* + 1 of all (see `codec::packed`). Each
//! nibble of a column is looked up with one byte shuffle for as many rows as a vector has bytes; two columns, four
//! look-ups, are added as bytes, and what they make is added up in 16 bits, even rows and odd rows apart.
//!
//! What always holds: the sums are the same on every instruction set, as long as the tables keep the promise of
//! [`Look::tables`]. One generic loop (`tiles`) serves them all; the files beside it say only how to load, look up,
//! add and compare.
//!
//! The idea is that of André, Kermarrec, Le Scouarnec, "Cache locality is not enough" (2015).

mod scalar;
mod tiles;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

/// Rows of a block.
pub(crate) const ROWS: usize = 64;

/// Look-ups that are added as bytes before they are added in 16 bits: those of so many tables, from a multiple of it on.
pub(crate) const GROUP_TABLES: usize = 4;

/// The most that the tables of a group may come to: what a byte holds.
pub(crate) const GROUP_MOST: usize = u8::MAX as usize;

/// Queries that are looked up together.
pub(crate) const SOME: usize = 4;

/// Where row `row` of a block stands among the sums and in the mask: even rows first, then odd ones.
#[inline]
pub(crate) fn lane_of(row: usize) -> usize {
    row / 2 + row % 2 * (ROWS / 2)
}

/// The row of a lane: undoes [`lane_of`].
#[inline]
pub(crate) fn row_of(lane: usize) -> usize {
    lane % (ROWS / 2) * 2 + lane / (ROWS / 2)
}

/// What one query looks up in blocks, and where it wants what it found.
pub(crate) struct Look<'a> {
    /// Two a column, that of the low nibble first.
    ///
    /// The greatest entries of the four tables of two columns make at most [`GROUP_MOST`], and those of all tables
    /// at most 65,535; else sums are the remainder of some division, and not the same on every machine.
    pub(crate) tables: &'a [[u8; 16]],
    /// So tables may say more exactly what there is to add than those before them. By 16 or more, what was there is
    /// forgotten.
    pub(crate) shift: u16,
    /// One a block (or one a block that is looked at: [`Shape::dense`]).
    pub(crate) bars: &'a [u16],
    /// One array a block, by lanes: what is found is added to what is there, shifted by `shift` bits.
    pub(crate) sums: &'a mut [[u16; ROWS]],
    /// One a block: bit *l* is set if the sum of lane *l* is then not below the block's bar.
    pub(crate) masks: &'a mut [u64],
}

/// How blocks lie, and which columns of them are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Bytes from one block to the next.
    pub(crate) block_bytes: usize,
    /// These columns.
    pub(crate) columns: Range<usize>,
    /// Whether bars, sums and masks are one for each block that is looked at, in their order, instead of one for each
    /// that there is.
    pub(crate) dense: bool,
}

/// What one instruction set offers.
///
/// The functions trust their lengths: as [`LookUps::scan`] checks them.
struct Table {
    name: &'static str,
    one: unsafe fn(&Shape, &[u8], &[u32], &mut [Look<'_>; 1]),
    some: unsafe fn(&Shape, &[u8], &[u32], &mut [Look<'_>; SOME]),
}

/// The look-up kernels of one instruction set of this machine.
#[derive(Clone, Copy)]
pub struct LookUps {
    table: &'static Table,
}

impl LookUps {
    /// The fastest that this processor runs; detected once.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<LookUps> = OnceLock::new();
        *BEST.get_or_init(|| Self::detect().next().unwrap_or(Self { table: &scalar::TABLE }))
    }

    /// All that this processor runs, fastest first; the last is the scalar one.
    #[must_use]
    pub fn all_available() -> Vec<Self> {
        Self::detect().collect()
    }

    fn detect() -> impl Iterator<Item = Self> {
        by_instruction_set!(
            (is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vbmi"))
            .then_some(&avx512::TABLE),
            is_x86_feature_detected!("avx2").then_some(&avx2::TABLE)
        )
        .map(|table| Self { table })
    }

    /// The instruction set: `avx512vbmi`, `avx2`, `neon` or `scalar`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.table.name
    }

    /// Looks some blocks up for all queries; [`SOME`] at a time share what is made of a column.
    ///
    /// What there is of the other blocks is left as it is.
    ///
    /// # Panics
    /// If a block is shorter than its columns, `blocks` is no whole number of blocks, one of `places` is not among
    /// them, or what a query brought is not two tables a column and a bar, sums and a mask a block.
    pub(crate) fn scan(self, shape: &Shape, blocks: &[u8], places: &[u32], looks: &mut [Look<'_>]) {
        let Shape { columns, block_bytes, dense } = shape;
        assert!(columns.start <= columns.end && columns.end * ROWS <= *block_bytes, "columns of a block");
        assert!(
            *block_bytes > 0 && blocks.len().is_multiple_of(*block_bytes),
            "not a whole number of blocks"
        );
        let count = blocks.len() / block_bytes;
        assert!(places.iter().all(|&place| (place as usize) < count), "a block that is not there");
        for look in looks.iter() {
            assert_eq!(look.tables.len(), 2 * columns.len(), "two tables a column");
            let lengths = [look.bars.len(), look.sums.len(), look.masks.len()];
            let blocks = if *dense { places.len() } else { count };
            assert_eq!(lengths, [blocks; 3], "a bar, sums and a mask a block");
        }
        let (groups, rest) = looks.as_chunks_mut();
        for group in groups {
            // SAFETY: the lengths were just checked; the table was handed out after detection.
            unsafe { (self.table.some)(shape, blocks, places, group) }
        }
        for look in rest {
            // SAFETY: as above.
            unsafe { (self.table.one)(shape, blocks, places, std::array::from_mut(look)) }
        }
    }
}

impl fmt::Debug for LookUps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LookUps").field(&self.name()).finish()
    }
}
