//! The loop that every instruction set shares: a tile of `Q` queries and `TILE` vectors of rows, column by column.
//!
//! More than one vector a tile, because a table that was loaded then serves them all; more than one query, because a
//! column's nibbles do. A bigger tile would not stay in the registers.

use super::super::lanes::prefetch;
use super::{Look, ROWS, Shape};

/// Vectors of rows in a tile.
const TILE: usize = 2;

/// The operations of one instruction set, on vectors of bytes.
///
/// Implementations are `#[inline(always)]`, so that the loop below is compiled within the function that enables the
/// instructions.
///
/// # Safety
///
/// Every function needs the instruction set; `load` needs `BYTES` readable bytes, `table` 16 of them, `store` room
/// for `BYTES / 2` numbers.
pub(super) trait Bytes {
    type Vector: Copy;
    /// Of a vector. They divide the rows of a block.
    const BYTES: usize;

    unsafe fn zero() -> Self::Vector;
    unsafe fn load(from: *const u8) -> Self::Vector;
    /// A table, as `look_up` wants it.
    unsafe fn table(from: *const u8) -> Self::Vector;
    /// The low nibbles, as `look_up` wants them.
    unsafe fn low(bytes: Self::Vector) -> Self::Vector;
    /// The high nibbles, as `look_up` wants them.
    unsafe fn high(bytes: Self::Vector) -> Self::Vector;
    unsafe fn look_up(table: Self::Vector, nibbles: Self::Vector) -> Self::Vector;
    /// As bytes.
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// As numbers of 16 bits, wrapping.
    unsafe fn add_wide(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - 256 b`, as numbers of 16 bits, wrapping.
    unsafe fn less_high(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The high byte of each 16 bits, as a number of 16 bits.
    unsafe fn odd(a: Self::Vector) -> Self::Vector;
    /// Shifted to the left, as numbers of 16 bits; by 16 or more, there is nothing left.
    unsafe fn shifted(a: Self::Vector, bits: u16) -> Self::Vector;
    /// Which of the numbers of 16 bits are not below `bar`, the first one in the lowest bit.
    unsafe fn not_below(a: Self::Vector, bar: u16) -> u64;
    unsafe fn store(a: Self::Vector, to: *mut u16);
}

/// Those blocks for `Q` queries.
///
/// # Safety
///
/// Needs the instruction set of `L`, and arguments as `LookUps::scan` checks them.
#[inline(always)]
pub(super) unsafe fn scan<L: Bytes, const Q: usize>(
    shape: &Shape,
    blocks: &[u8],
    places: &[u32],
    looks: &mut [Look<'_>; Q],
) {
    let Shape { block_bytes, columns, dense } = shape;
    let per_block = ROWS / L::BYTES;
    let vectors = places.len() * per_block;
    let mut vector = 0;
    while vector < vectors {
        // The last tile may be narrower: then it looks at its first vector twice.
        let width = TILE.min(vectors - vector);
        // SAFETY: a vector is a part of one of `places`, each of which is the number of a block that is `block_bytes`
        // long and has those columns; every query has two tables a column, and a bar, sums and a mask for each block, or
        // for each of `places`.
        unsafe {
            let mut at_rows = [(0, 0); TILE];
            let mut rows = [blocks.as_ptr(); TILE];
            let mut tables = [std::ptr::null(); Q];
            for at in 0..TILE {
                let vector = if at < width { vector + at } else { vector };
                let (block, part) = (*places.get_unchecked(vector / per_block) as usize, vector % per_block);
                let told = if *dense { vector / per_block } else { block };
                at_rows[at] = (told, part * (L::BYTES / 2));
                rows[at] = rows[at].add(block * block_bytes + columns.start * ROWS + part * L::BYTES);
            }
            // Several queries find the blocks in the cache, as the first of them brought them there; one may not.
            if Q == 1 {
                for ahead in vector + TILE..(vector + 2 * TILE).min(vectors) {
                    let (block, part) =
                        (*places.get_unchecked(ahead / per_block) as usize, ahead % per_block);
                    let first = blocks.as_ptr().add(block * block_bytes + part * L::BYTES);
                    for column in columns.clone() {
                        prefetch(first.add(column * ROWS).cast());
                    }
                }
            }
            for (at, look) in looks.iter().enumerate() {
                tables[at] = look.tables.as_ptr().cast::<u8>();
            }
            let sums = tile::<L, Q>(columns.len(), rows, tables);
            for q in 0..Q {
                for at in 0..width {
                    let ((block, first), [even, odd]) = (at_rows[at], sums[q][at]);
                    let to = looks[q].sums.as_mut_ptr().add(block).cast::<u16>().add(first);
                    let even = L::add_wide(even, L::shifted(L::load(to.cast()), looks[q].shift));
                    let odd = L::add_wide(odd, L::shifted(L::load(to.add(ROWS / 2).cast()), looks[q].shift));
                    L::store(even, to);
                    L::store(odd, to.add(ROWS / 2));
                    let bar = *looks[q].bars.get_unchecked(block);
                    let found = L::not_below(even, bar) | L::not_below(odd, bar) << (ROWS / 2);
                    let mask = looks[q].masks.get_unchecked_mut(block);
                    *mask = if first == 0 { found } else { *mask | found << first };
                }
            }
        }
        vector += TILE;
    }
}

/// Sums of the even and the odd rows, for each query and each vector of rows.
///
/// Bytes are added up pairwise as numbers of 16 bits, which makes `even + 256 odd`; the odd ones are added up by
/// themselves as well, and taken away at the end.
///
/// # Safety
///
/// Needs the instruction set of `L`, `columns` columns at each of `rows`, and twice as many tables at each of `tables`.
#[inline(always)]
unsafe fn tile<L: Bytes, const Q: usize>(
    columns: usize,
    rows: [*const u8; TILE],
    tables: [*const u8; Q],
) -> [[[L::Vector; 2]; TILE]; Q] {
    // SAFETY: `column + COUNT <= columns` guards each call; the rest is passed on to the caller.
    unsafe {
        let mut both = [[L::zero(); TILE]; Q];
        let mut odds = [[L::zero(); TILE]; Q];
        let mut column = 0;
        while column + 2 <= columns {
            let found = group::<L, Q, 2>(column, rows, tables);
            widen::<L, Q>(found, &mut both, &mut odds);
            column += 2;
        }
        if column < columns {
            let found = group::<L, Q, 1>(column, rows, tables);
            widen::<L, Q>(found, &mut both, &mut odds);
        }
        let mut sums = [[[L::zero(); 2]; TILE]; Q];
        for q in 0..Q {
            for at in 0..TILE {
                sums[q][at] = [L::less_high(both[q][at], odds[q][at]), odds[q][at]];
            }
        }
        sums
    }
}

/// What `COUNT` columns come to, as bytes.
///
/// # Safety
///
/// As [`tile`], of the columns from `column` on.
#[inline(always)]
unsafe fn group<L: Bytes, const Q: usize, const COUNT: usize>(
    column: usize,
    rows: [*const u8; TILE],
    tables: [*const u8; Q],
) -> [[L::Vector; TILE]; Q] {
    // SAFETY: passed on to the caller.
    unsafe {
        let mut found = [[L::zero(); TILE]; Q];
        for column in column..column + COUNT {
            let mut low = [L::zero(); TILE];
            let mut high = [L::zero(); TILE];
            for at in 0..TILE {
                let bytes = L::load(rows[at].add(column * ROWS));
                low[at] = L::low(bytes);
                high[at] = L::high(bytes);
            }
            for q in 0..Q {
                let low_table = L::table(tables[q].add(column * 32));
                let high_table = L::table(tables[q].add(column * 32 + 16));
                for at in 0..TILE {
                    found[q][at] = L::add(found[q][at], L::look_up(low_table, low[at]));
                    found[q][at] = L::add(found[q][at], L::look_up(high_table, high[at]));
                }
            }
        }
        found
    }
}

/// # Safety
///
/// Needs the instruction set of `L`.
#[inline(always)]
unsafe fn widen<L: Bytes, const Q: usize>(
    found: [[L::Vector; TILE]; Q],
    both: &mut [[L::Vector; TILE]; Q],
    odds: &mut [[L::Vector; TILE]; Q],
) {
    for q in 0..Q {
        for at in 0..TILE {
            // SAFETY: passed on to the caller.
            unsafe {
                both[q][at] = L::add_wide(both[q][at], found[q][at]);
                odds[q][at] = L::add_wide(odds[q][at], L::odd(found[q][at]));
            }
        }
    }
}

/// Writes the table of an instruction set: the generic loop, compiled with its features.
macro_rules! table {
    ($bytes:ty, $name:literal $(, $features:literal)?) => {
        pub(super) static TABLE: super::Table = super::Table { name: $name, one, some };

        $(#[target_feature(enable = $features)])?
        unsafe fn one(
            shape: &super::Shape,
            blocks: &[u8],
            places: &[u32],
            looks: &mut [super::Look<'_>; 1],
        ) {
            // SAFETY: the features are enabled here; `LookUps` checked the lengths.
            unsafe { super::tiles::scan::<$bytes, 1>(shape, blocks, places, looks) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn some(
            shape: &super::Shape,
            blocks: &[u8],
            places: &[u32],
            looks: &mut [super::Look<'_>; super::SOME],
        ) {
            // SAFETY: the features are enabled here; `LookUps` checked the lengths.
            unsafe { super::tiles::scan::<$bytes, { super::SOME }>(shape, blocks, places, looks) }
        }
    };
}

pub(super) use table;
