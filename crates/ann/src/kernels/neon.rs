//! NEON: four lanes; a tail is copied to the stack, as NEON has no masked load.

use super::lanes::{Lanes, table};
use super::nearest::Select;
use std::arch::aarch64::*;

struct Neon;

impl Lanes for Neon {
    type Vector = float32x4_t;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> float32x4_t {
        // SAFETY: the caller has NEON.
        unsafe { vdupq_n_f32(0.0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        // SAFETY: the caller has NEON and four floats at `from`.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn load_tail(from: *const f32, len: usize) -> float32x4_t {
        debug_assert!(len < 4);
        let mut copy = [0.0_f32; 4];
        // SAFETY: the caller has NEON and `len < 4` floats at `from`; `copy` is four.
        unsafe {
            for (lane, place) in copy.iter_mut().take(len).enumerate() {
                *place = *from.add(lane);
            }
            vld1q_f32(copy.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the caller has NEON.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the caller has NEON.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: the caller has NEON.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    unsafe fn sum(a: float32x4_t) -> f32 {
        // SAFETY: the caller has NEON; the order of the pairwise sum is fixed.
        unsafe { vaddvq_f32(a) }
    }

    #[inline(always)]
    unsafe fn xor(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the caller has NEON.
        unsafe { vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b))) }
    }
}

impl Select for Neon {
    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        // SAFETY: the caller has NEON.
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the caller has NEON.
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn if_less(a: float32x4_t, b: float32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t {
        // SAFETY: the caller has NEON.
        unsafe { vbslq_f32(vcltq_f32(a, b), yes, no) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, a: float32x4_t) {
        // SAFETY: the caller has NEON, and room for a vector at `to`; no alignment is needed.
        unsafe {
            vst1q_f32(to, a);
        }
    }
}

table!(Neon, "neon", "neon");
