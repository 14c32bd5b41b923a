//! Products of bytes with signs and bytes without, summed as whole numbers: a query held against sketches.
//!
//! What always holds: the sums are the same on every instruction set, because none of them saturates or overflows on
//! the way. One generic loop (`rows`) serves them all; the files beside it say only how to multiply and add.

mod rows;
mod scalar;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::OnceLock;

/// Bytes of a sketch are a multiple of this.
pub(crate) const UNIT: usize = 32;

/// So many bytes of the greatest size make a sum that an i32 holds.
const MOST_BYTES: usize = 1 << 16;

/// Of query, sketches, places and sums. It trusts them to be as [`SketchDots::dot_listed`] checks them.
type Listed = unsafe fn(&[i8], &[u8], &[u32], &mut [i32]);

/// What one instruction set offers.
struct Table {
    name: &'static str,
    listed: Listed,
}

/// The kernels of one instruction set of this machine.
#[derive(Clone, Copy)]
pub(crate) struct SketchDots {
    table: &'static Table,
}

impl SketchDots {
    /// The fastest that this processor runs; detected once.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<SketchDots> = OnceLock::new();
        *BEST.get_or_init(|| Self::detect().next().unwrap_or(Self { table: &scalar::TABLE }))
    }

    fn detect() -> impl Iterator<Item = Self> {
        by_instruction_set!(
            (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni"))
                .then_some(&avx512::TABLE),
            is_x86_feature_detected!("avx2").then_some(&avx2::TABLE)
        )
        .map(|table| Self { table })
    }

    /// The sum of the products of bytes, for each of the sketches at `places`.
    ///
    /// # Panics
    /// Unless `query` is a multiple of [`UNIT`] bytes, not 0 and at most 2¹⁶, `sketches` are so long each, all `places`
    /// are among them, and there is a sum for each place.
    #[inline]
    pub(crate) fn dot_listed(self, query: &[i8], sketches: &[u8], places: &[u32], sums: &mut [i32]) {
        let bytes = query.len();
        assert!(bytes > 0 && bytes.is_multiple_of(UNIT) && bytes <= MOST_BYTES, "bytes of a sketch");
        assert!(sketches.len().is_multiple_of(bytes), "not a whole number of sketches");
        assert_eq!(places.len(), sums.len(), "a sum for each place");
        let count = sketches.len() / bytes;
        let greatest = places.iter().fold(0, |most, place| most.max(*place));
        assert!((greatest as usize) < count || places.is_empty(), "a sketch that is not there");
        // SAFETY: the lengths and places were just checked; the table was handed out after detection.
        unsafe { (self.table.listed)(query, sketches, places, sums) }
    }
}

impl fmt::Debug for SketchDots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SketchDots").field(&self.table.name).finish()
    }
}
