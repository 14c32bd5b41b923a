//! Plain Rust: what every other instruction set has to equal.

use super::rows::{Sums, table};

struct Scalar;

impl Sums for Scalar {
    type Vector = i32;
    const BYTES: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> i32 {
        0
    }

    #[inline(always)]
    unsafe fn add_products(sum: i32, query: *const i8, sketch: *const u8) -> i32 {
        // SAFETY: the caller has 32 bytes at each pointer.
        let (query, sketch) = unsafe { (&*query.cast::<[i8; 32]>(), &*sketch.cast::<[u8; 32]>()) };
        query.iter().zip(sketch).fold(sum, |sum, (q, x)| sum + i32::from(*q) * i32::from(*x))
    }

    #[inline(always)]
    unsafe fn add_unit(sum: i32, query: *const i8, sketch: *const u8) -> i32 {
        // SAFETY: passed on to the caller.
        unsafe { Self::add_products(sum, query, sketch) }
    }

    #[inline(always)]
    unsafe fn totals(sums: [i32; 4]) -> [i32; 4] {
        sums
    }
}

table!(Scalar, "scalar");
