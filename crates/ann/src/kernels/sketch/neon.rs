//! NEON: bytes are widened to 16 bits first; there is no product of bytes with and without signs in its base.

use super::rows::{Sums, table};
use std::arch::aarch64::*;

struct Neon;

impl Sums for Neon {
    type Vector = int32x4_t;
    const BYTES: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> int32x4_t {
        // SAFETY: the caller has NEON.
        unsafe { vdupq_n_s32(0) }
    }

    #[inline(always)]
    unsafe fn add_products(sum: int32x4_t, query: *const i8, sketch: *const u8) -> int32x4_t {
        // SAFETY: the caller has NEON and 32 bytes at each pointer.
        unsafe {
            let mut sum = sum;
            for part in [0, 8, 16, 24] {
                let sketch = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(sketch.add(part))));
                let query = vmovl_s8(vld1_s8(query.add(part)));
                sum = vmlal_s16(sum, vget_low_s16(sketch), vget_low_s16(query));
                sum = vmlal_high_s16(sum, sketch, query);
            }
            sum
        }
    }

    #[inline(always)]
    unsafe fn add_unit(sum: int32x4_t, query: *const i8, sketch: *const u8) -> int32x4_t {
        // SAFETY: passed on to the caller.
        unsafe { Self::add_products(sum, query, sketch) }
    }

    #[inline(always)]
    unsafe fn totals([a, b, c, d]: [int32x4_t; 4]) -> [i32; 4] {
        // SAFETY: the caller has NEON, and there is room for four numbers.
        unsafe {
            let mut totals = [0; 4];
            vst1q_s32(totals.as_mut_ptr(), vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)));
            totals
        }
    }
}

table!(Neon, "neon", "neon");
