//! AVX-512 with VNNI: four products and their sum in each lane, in one instruction, which does not saturate.

use super::rows::{Sums, table};
use std::arch::x86_64::*;

struct Avx512;

impl Sums for Avx512 {
    type Vector = __m512i;
    const BYTES: usize = 64;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: the caller has AVX-512F.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn add_products(sum: __m512i, query: *const i8, sketch: *const u8) -> __m512i {
        // SAFETY: the caller has AVX-512VNNI and 64 bytes at each pointer; no alignment is needed.
        unsafe {
            _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(sketch.cast()), _mm512_loadu_si512(query.cast()))
        }
    }

    #[inline(always)]
    unsafe fn add_unit(sum: __m512i, query: *const i8, sketch: *const u8) -> __m512i {
        // SAFETY: the caller has AVX-512VNNI and 32 bytes at each pointer; the other half is zeros.
        unsafe {
            let sketch = _mm512_zextsi256_si512(_mm256_loadu_si256(sketch.cast()));
            let query = _mm512_zextsi256_si512(_mm256_loadu_si256(query.cast()));
            _mm512_dpbusd_epi32(sum, sketch, query)
        }
    }

    #[inline(always)]
    unsafe fn totals([a, b, c, d]: [__m512i; 4]) -> [i32; 4] {
        // SAFETY: the caller has AVX-512F. Pairs are added crosswise until each quarter holds one number of each.
        unsafe {
            let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            let all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
            let half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64::<1>(all));
            let quarter = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half));
            let mut totals = [0; 4];
            _mm_storeu_si128(totals.as_mut_ptr().cast(), quarter);
            totals
        }
    }
}

table!(Avx512, "avx512vnni", "avx512f,avx512vnni");
