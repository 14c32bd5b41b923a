//! The loop that every instruction set shares: four sketches at a time, which share what is loaded of the query and
//! are added up together, while those behind them are fetched.

use super::super::lanes::prefetch;
use super::UNIT;

/// Sketches that are summed side by side.
const SIDE: usize = 4;

/// How many sketches ahead are fetched.
const AHEAD: usize = 2 * SIDE;

const LINE_BYTES: usize = 64;

/// The operations of one instruction set.
///
/// Implementations are `#[inline(always)]`, so that the loop below is compiled within the function that enables the
/// instructions.
///
/// # Safety
///
/// Every function needs the instruction set, and as many readable bytes at its pointers as it says.
pub(super) trait Sums {
    type Vector: Copy;
    /// A multiple of [`UNIT`].
    const BYTES: usize;

    unsafe fn zero() -> Self::Vector;
    /// Adds products of `BYTES` bytes.
    unsafe fn add_products(sum: Self::Vector, query: *const i8, sketch: *const u8) -> Self::Vector;
    /// Adds products of `UNIT` bytes.
    unsafe fn add_unit(sum: Self::Vector, query: *const i8, sketch: *const u8) -> Self::Vector;
    /// The sums of the lanes of each.
    unsafe fn totals(sums: [Self::Vector; SIDE]) -> [i32; SIDE];
}

/// # Safety
///
/// Needs the instruction set of `S`, and arguments as `SketchDots::dot_listed` checks them.
#[inline(always)]
pub(super) unsafe fn listed<S: Sums>(query: &[i8], sketches: &[u8], places: &[u32], sums: &mut [i32]) {
    let bytes = query.len();
    let at = |place: &u32| sketches.as_ptr().wrapping_add(*place as usize * bytes);
    let fetch = |place: &u32| {
        for line in (0..bytes).step_by(LINE_BYTES) {
            prefetch(at(place).wrapping_add(line).cast());
        }
        // It may begin within a line, and so end in one more.
        prefetch(at(place).wrapping_add(bytes - 1).cast());
    };
    if places.len() > 1 {
        places.iter().take(AHEAD).for_each(fetch);
    }
    let (groups, sum_groups) = (places.chunks(SIDE), sums.chunks_mut(SIDE));
    for (number, (group, sums)) in groups.zip(sum_groups).enumerate() {
        let first = (number * SIDE + AHEAD).min(places.len());
        places[first..(first + SIDE).min(places.len())].iter().for_each(fetch);
        // A group that is not full looks at its first sketch more than once.
        let mut rows = [at(&group[0]); SIDE];
        rows.iter_mut().zip(group).for_each(|(row, place)| *row = at(place));
        // SAFETY: a sketch of `bytes` bytes lies at each place, as the caller promised.
        let totals = unsafe {
            if group.len() == 1 { [one::<S>(query, rows[0]); SIDE] } else { side_by_side::<S>(query, rows) }
        };
        sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum = total);
    }
}

/// # Safety
///
/// Needs the instruction set of `S`, and `query.len()` readable bytes, a multiple of [`UNIT`], at each of `rows`.
#[inline(always)]
unsafe fn side_by_side<S: Sums>(query: &[i8], rows: [*const u8; SIDE]) -> [i32; SIDE] {
    let (q, bytes) = (query.as_ptr(), query.len());
    let mut i = 0;
    // SAFETY: `i + S::BYTES <= bytes` and `i < bytes`, a multiple of `UNIT`, guard each load.
    unsafe {
        let mut sums = [S::zero(); SIDE];
        while i + S::BYTES <= bytes {
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = S::add_products(*sum, q.add(i), row.add(i));
            }
            i += S::BYTES;
        }
        while i < bytes {
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = S::add_unit(*sum, q.add(i), row.add(i));
            }
            i += UNIT;
        }
        S::totals(sums)
    }
}

/// Sums of the quarters, side by side, are those of the whole.
///
/// # Safety
///
/// As [`side_by_side`], of one row.
#[inline(always)]
unsafe fn one<S: Sums>(query: &[i8], row: *const u8) -> i32 {
    let (q, bytes) = (query.as_ptr(), query.len());
    let mut i = 0;
    // SAFETY: as in `side_by_side`.
    unsafe {
        let mut sums = [S::zero(); SIDE];
        while i + S::BYTES <= bytes {
            let sum = &mut sums[i / S::BYTES % SIDE];
            *sum = S::add_products(*sum, q.add(i), row.add(i));
            i += S::BYTES;
        }
        while i < bytes {
            sums[0] = S::add_unit(sums[0], q.add(i), row.add(i));
            i += UNIT;
        }
        S::totals(sums).iter().sum()
    }
}

/// Writes the table of an instruction set: the generic loop, compiled with its features.
macro_rules! table {
    ($sums:ty, $name:literal $(, $features:literal)?) => {
        pub(super) static TABLE: super::Table = super::Table { name: $name, listed };

        $(#[target_feature(enable = $features)])?
        unsafe fn listed(query: &[i8], sketches: &[u8], places: &[u32], sums: &mut [i32]) {
            // SAFETY: the features are enabled here; `SketchDots` checked the lengths and places.
            unsafe { super::rows::listed::<$sums>(query, sketches, places, sums) }
        }
    };
}

pub(super) use table;
