//! AVX2 with FMA: eight lanes; tails by masked loads.

use super::lanes::{Lanes, table};
use super::nearest::Select;
use std::arch::x86_64::*;

struct Avx2;

/// Eight ones, then eight zeros: eight words from `8 - len` on select the first `len` lanes.
static TAIL_MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

impl Lanes for Avx2 {
    type Vector = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: the caller has AVX2 and eight floats at `from`; no alignment is needed.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_tail(from: *const f32, len: usize) -> __m256 {
        debug_assert!(len < 8);
        // SAFETY: the caller has AVX2 and `len < 8` floats at `from`: eight words of the
        // masks follow `8 - len`, and masked-out lanes do not touch memory.
        unsafe {
            let mask = _mm256_loadu_si256(TAIL_MASKS.as_ptr().add(8 - len).cast());
            _mm256_maskload_ps(from, mask)
        }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the caller has FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn sum(a: __m256) -> f32 {
        // SAFETY: the caller has AVX2. Halves are added to halves, so the order is fixed.
        unsafe {
            let a = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let a = _mm_add_ps(a, _mm_movehl_ps(a, a));
            _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)))
        }
    }

    #[inline(always)]
    unsafe fn xor(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_xor_ps(a, b) }
    }
}

impl Select for Avx2 {
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn if_less(a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, a: __m256) {
        // SAFETY: the caller has AVX2, and room for a vector at `to`; no alignment is needed.
        unsafe {
            _mm256_storeu_ps(to, a);
        }
    }
}

table!(Avx2, "avx2+fma", "avx2,fma");
