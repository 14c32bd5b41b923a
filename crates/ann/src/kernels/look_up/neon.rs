//! NEON: a block is four vectors.

use super::tiles::{Bytes, table};
use std::arch::aarch64::*;

struct Neon;

impl Bytes for Neon {
    type Vector = uint8x16_t;
    const BYTES: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> uint8x16_t {
        // SAFETY: the caller has NEON.
        unsafe { vdupq_n_u8(0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> uint8x16_t {
        // SAFETY: the caller has NEON and 16 bytes at `from`.
        unsafe { vld1q_u8(from) }
    }

    #[inline(always)]
    unsafe fn table(from: *const u8) -> uint8x16_t {
        // SAFETY: the caller has NEON and 16 bytes at `from`.
        unsafe { vld1q_u8(from) }
    }

    #[inline(always)]
    unsafe fn low(bytes: uint8x16_t) -> uint8x16_t {
        // SAFETY: the caller has NEON.
        unsafe { vandq_u8(bytes, vdupq_n_u8(15)) }
    }

    #[inline(always)]
    unsafe fn high(bytes: uint8x16_t) -> uint8x16_t {
        // SAFETY: the caller has NEON.
        unsafe { vshrq_n_u8::<4>(bytes) }
    }

    #[inline(always)]
    unsafe fn look_up(table: uint8x16_t, nibbles: uint8x16_t) -> uint8x16_t {
        // SAFETY: the caller has NEON.
        unsafe { vqtbl1q_u8(table, nibbles) }
    }

    #[inline(always)]
    unsafe fn add(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        // SAFETY: the caller has NEON.
        unsafe { vaddq_u8(a, b) }
    }

    #[inline(always)]
    unsafe fn add_wide(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        // SAFETY: the caller has NEON.
        unsafe { vreinterpretq_u8_u16(vaddq_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b))) }
    }

    #[inline(always)]
    unsafe fn less_high(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        // SAFETY: the caller has NEON.
        unsafe {
            let high = vshlq_n_u16::<8>(vreinterpretq_u16_u8(b));
            vreinterpretq_u8_u16(vsubq_u16(vreinterpretq_u16_u8(a), high))
        }
    }

    #[inline(always)]
    unsafe fn odd(a: uint8x16_t) -> uint8x16_t {
        // SAFETY: the caller has NEON.
        unsafe { vreinterpretq_u8_u16(vshrq_n_u16::<8>(vreinterpretq_u16_u8(a))) }
    }

    #[inline(always)]
    unsafe fn shifted(a: uint8x16_t, bits: u16) -> uint8x16_t {
        // SAFETY: the caller has NEON.
        unsafe {
            vreinterpretq_u8_u16(vshlq_u16(vreinterpretq_u16_u8(a), vdupq_n_s16(bits.min(16).cast_signed())))
        }
    }

    #[inline(always)]
    unsafe fn not_below(a: uint8x16_t, bar: u16) -> u64 {
        static BITS: [u16; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
        // SAFETY: the caller has NEON; the bits are eight numbers, one a lane, and their sum is their union.
        unsafe {
            let holds = vcgeq_u16(vreinterpretq_u16_u8(a), vdupq_n_u16(bar));
            u64::from(vaddvq_u16(vandq_u16(holds, vld1q_u16(BITS.as_ptr()))))
        }
    }

    #[inline(always)]
    unsafe fn store(a: uint8x16_t, to: *mut u16) {
        // SAFETY: the caller has NEON and room for eight numbers at `to`.
        unsafe { vst1q_u16(to, vreinterpretq_u16_u8(a)) }
    }
}

table!(Neon, "neon", "neon");
