//! AVX2: bytes are widened to 16 bits first, because its product of bytes saturates.

use super::rows::{Sums, table};
use std::arch::x86_64::*;

struct Avx2;

impl Sums for Avx2 {
    type Vector = __m256i;
    const BYTES: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn add_products(sum: __m256i, query: *const i8, sketch: *const u8) -> __m256i {
        // SAFETY: the caller has AVX2 and 32 bytes at each pointer; no alignment is needed.
        unsafe {
            let mut sum = sum;
            for half in [0, 16] {
                let sketch = _mm256_cvtepu8_epi16(_mm_loadu_si128(sketch.add(half).cast()));
                let query = _mm256_cvtepi8_epi16(_mm_loadu_si128(query.add(half).cast()));
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(sketch, query));
            }
            sum
        }
    }

    #[inline(always)]
    unsafe fn add_unit(sum: __m256i, query: *const i8, sketch: *const u8) -> __m256i {
        // SAFETY: passed on to the caller.
        unsafe { Self::add_products(sum, query, sketch) }
    }

    #[inline(always)]
    unsafe fn totals([a, b, c, d]: [__m256i; 4]) -> [i32; 4] {
        // SAFETY: the caller has AVX2. Neighbours are added until each half holds one number of each.
        unsafe {
            let all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
            let half = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256::<1>(all));
            let mut totals = [0; 4];
            _mm_storeu_si128(totals.as_mut_ptr().cast(), half);
            totals
        }
    }
}

table!(Avx2, "avx2", "avx2");
