//! Plain Rust for any processor: eight lanes in an array, which the compiler may vectorise
//! with whatever the target is sure to have. No fused multiply-add: it would be a library call.

use super::lanes::{Lanes, table};
use super::nearest::Select;

struct Scalar;

impl Lanes for Scalar {
    type Vector = [f32; 8];
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> [f32; 8] {
        [0.0; 8]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 8] {
        // SAFETY: the caller has eight floats at `from`; an unaligned read is asked for.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_tail(from: *const f32, len: usize) -> [f32; 8] {
        debug_assert!(len < 8);
        let mut tail = [0.0; 8];
        for (lane, place) in tail.iter_mut().take(len).enumerate() {
            // SAFETY: the caller has `len` floats at `from`.
            *place = unsafe { *from.add(lane) };
        }
        tail
    }

    #[inline(always)]
    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    unsafe fn sub(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    unsafe fn mul_add(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    unsafe fn sum(a: [f32; 8]) -> f32 {
        let [a, b, c, d, e, f, g, h] = a;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }

    #[inline(always)]
    unsafe fn xor(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| f32::from_bits(a[lane].to_bits() ^ b[lane].to_bits()))
    }
}

impl Select for Scalar {
    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 8] {
        [x; 8]
    }

    #[inline(always)]
    unsafe fn mul(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    unsafe fn if_less(a: [f32; 8], b: [f32; 8], yes: [f32; 8], no: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| if a[lane] < b[lane] { yes[lane] } else { no[lane] })
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, a: [f32; 8]) {
        // SAFETY: the caller has room for eight floats at `to`; an unaligned write is asked for.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(a) }
    }
}

table!(Scalar, "scalar");
