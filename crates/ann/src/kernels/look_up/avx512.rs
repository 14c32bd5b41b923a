//! AVX-512 with VBMI: a block is one vector. `vpermb` goes by the low six bits of an index: over a table that stands
//! there four times over it looks up the low nibble of a byte, whatever the high one is, so that none is masked out.

use super::tiles::{Bytes, table};
use std::arch::x86_64::*;

struct Avx512;

impl Bytes for Avx512 {
    type Vector = __m512i;
    const BYTES: usize = 64;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: the caller has AVX-512F.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        // SAFETY: the caller has AVX-512F and 64 bytes at `from`; no alignment is needed.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn table(from: *const u8) -> __m512i {
        // SAFETY: the caller has AVX-512F and 16 bytes at `from`; no alignment is needed.
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn low(bytes: __m512i) -> __m512i {
        bytes
    }

    #[inline(always)]
    unsafe fn high(bytes: __m512i) -> __m512i {
        // SAFETY: the caller has AVX-512BW.
        unsafe { _mm512_srli_epi16::<4>(bytes) }
    }

    #[inline(always)]
    unsafe fn look_up(table: __m512i, nibbles: __m512i) -> __m512i {
        // SAFETY: the caller has AVX-512VBMI.
        unsafe { _mm512_permutexvar_epi8(nibbles, table) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller has AVX-512BW.
        unsafe { _mm512_add_epi8(a, b) }
    }

    #[inline(always)]
    unsafe fn add_wide(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller has AVX-512BW.
        unsafe { _mm512_add_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn less_high(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller has AVX-512BW.
        unsafe { _mm512_sub_epi16(a, _mm512_slli_epi16::<8>(b)) }
    }

    #[inline(always)]
    unsafe fn odd(a: __m512i) -> __m512i {
        // SAFETY: the caller has AVX-512BW. A product with 0 and 1 is no shift, but shifts and look-ups would wait for
        // the same units of the processor.
        unsafe { _mm512_maddubs_epi16(a, _mm512_set1_epi16(0x0100)) }
    }

    #[inline(always)]
    unsafe fn shifted(a: __m512i, bits: u16) -> __m512i {
        // SAFETY: the caller has AVX-512BW.
        unsafe { _mm512_sll_epi16(a, _mm_cvtsi32_si128(i32::from(bits))) }
    }

    #[inline(always)]
    unsafe fn not_below(a: __m512i, bar: u16) -> u64 {
        // SAFETY: the caller has AVX-512BW.
        unsafe { u64::from(_mm512_cmpge_epu16_mask(a, _mm512_set1_epi16(bar.cast_signed()))) }
    }

    #[inline(always)]
    unsafe fn store(a: __m512i, to: *mut u16) {
        // SAFETY: the caller has AVX-512F and room for 32 numbers at `to`.
        unsafe { _mm512_storeu_si512(to.cast(), a) }
    }
}

table!(Avx512, "avx512vbmi", "avx512f,avx512bw,avx512vbmi");
