//! AVX2: a block is two vectors, and a table stands in both halves of one.

use super::tiles::{Bytes, table};
use std::arch::x86_64::*;

struct Avx2;

impl Bytes for Avx2 {
    type Vector = __m256i;
    const BYTES: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: the caller has AVX2 and 32 bytes at `from`; no alignment is needed.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn table(from: *const u8) -> __m256i {
        // SAFETY: the caller has AVX2 and 16 bytes at `from`; no alignment is needed.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn low(bytes: __m256i) -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_and_si256(bytes, _mm256_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn high(bytes: __m256i) -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn look_up(table: __m256i, nibbles: __m256i) -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_shuffle_epi8(table, nibbles) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_add_epi8(a, b) }
    }

    #[inline(always)]
    unsafe fn add_wide(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_add_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn less_high(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_sub_epi16(a, _mm256_slli_epi16::<8>(b)) }
    }

    #[inline(always)]
    unsafe fn odd(a: __m256i) -> __m256i {
        // SAFETY: the caller has AVX2. A product with 0 and 1 is no shift, but shifts and look-ups would wait for the
        // same units of the processor.
        unsafe { _mm256_maddubs_epi16(a, _mm256_set1_epi16(0x0100)) }
    }

    #[inline(always)]
    unsafe fn shifted(a: __m256i, bits: u16) -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_sll_epi16(a, _mm_cvtsi32_si128(i32::from(bits))) }
    }

    #[inline(always)]
    unsafe fn not_below(a: __m256i, bar: u16) -> u64 {
        // SAFETY: the caller has AVX2. There is no comparison of unsigned numbers, but their maximum; packed to
        // bytes, half by half, the results keep their order.
        unsafe {
            let bar = _mm256_set1_epi16(bar.cast_signed());
            let holds = _mm256_cmpeq_epi16(_mm256_max_epu16(a, bar), a);
            let halves = (_mm256_castsi256_si128(holds), _mm256_extracti128_si256::<1>(holds));
            u64::from(_mm_movemask_epi8(_mm_packs_epi16(halves.0, halves.1)).cast_unsigned())
        }
    }

    #[inline(always)]
    unsafe fn store(a: __m256i, to: *mut u16) {
        // SAFETY: the caller has AVX2 and room for 16 numbers at `to`.
        unsafe { _mm256_storeu_si256(to.cast(), a) }
    }
}

table!(Avx2, "avx2", "avx2");
