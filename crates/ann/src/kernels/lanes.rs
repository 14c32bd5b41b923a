//! The loop that every instruction set shares, over the few operations of trait `Lanes`.
//!
//! A row is summed alone, by `ACCUMULATORS` vectors in an order that depends on the dimension
//! only: that is why its bits are the same in any batch. It is also the quickest from memory
//! (measured with `examples/bandwidth` on Zen 4): to sum two or four neighbouring rows side by
//! side halves the pace, because the streams share a page and confuse the prefetcher, and a
//! prefetch of every line costs 5 to 10%. What does help, by 5 to 10%, is to request the first
//! lines of a page some pages ahead: the data usually lies in 4 KiB pages of the page cache,
//! and the processor's own prefetcher stops at the end of each and has to start anew.

/// Vectors per row that are summed independently, to hide the latency of an addition.
const ACCUMULATORS: usize = 4;

const PAGE_BYTES: usize = 4096;

/// How far ahead the head of a page is requested: less gains less, more gains nothing.
const AHEAD_BYTES: usize = 4 * PAGE_BYTES;

/// How much of a page's head is requested, enough for the processor's prefetcher to take over.
const HEAD_BYTES: usize = 4 * LINE_BYTES;

const LINE_BYTES: usize = 64;

/// The operations of one instruction set.
///
/// Implementations are `#[inline(always)]`, so that the loop below is compiled within the
/// function that enables the instructions.
///
/// # Safety
///
/// Every function needs the instruction set; `load` needs `LANES` readable floats at its
/// pointer, `load_tail` needs `len < LANES` of them.
pub(super) trait Lanes {
    type Vector: Copy;
    const LANES: usize;

    unsafe fn zero() -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    /// The first `len` floats, then zeros.
    unsafe fn load_tail(from: *const f32, len: usize) -> Self::Vector;
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`.
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The sum of the lanes, always in the same order.
    unsafe fn sum(a: Self::Vector) -> f32;
    /// Lane by lane, of the bits.
    unsafe fn xor(a: Self::Vector, b: Self::Vector) -> Self::Vector;
}

/// What is summed over the components of two vectors.
pub(super) trait Term {
    /// # Safety
    ///
    /// Needs the instruction set of `L`.
    unsafe fn accumulate<L: Lanes>(sum: L::Vector, q: L::Vector, x: L::Vector) -> L::Vector;
}

/// `q * x`.
pub(super) struct Dot;

impl Term for Dot {
    #[inline(always)]
    unsafe fn accumulate<L: Lanes>(sum: L::Vector, q: L::Vector, x: L::Vector) -> L::Vector {
        // SAFETY: passed on to the caller.
        unsafe { L::mul_add(q, x, sum) }
    }
}

/// `(q - x)²`.
pub(super) struct L2;

impl Term for L2 {
    #[inline(always)]
    unsafe fn accumulate<L: Lanes>(sum: L::Vector, q: L::Vector, x: L::Vector) -> L::Vector {
        // SAFETY: passed on to the caller.
        unsafe {
            let difference = L::sub(q, x);
            L::mul_add(difference, difference, sum)
        }
    }
}

/// One value per row of `rows` into `out`.
///
/// # Safety
///
/// Needs the instruction set of `L`, and `rows.len() == query.len() * out.len()`.
#[inline(always)]
pub(super) unsafe fn rows<L: Lanes, T: Term>(query: &[f32], rows: &[f32], out: &mut [f32]) {
    let mut row = rows.as_ptr();
    for place in out {
        prefetch_page_heads(row, query.len());
        // SAFETY: `rows` holds `query.len()` floats for each place of `out`.
        unsafe {
            *place = one_row::<L, T>(query, row);
            row = row.add(query.len());
        }
    }
}

/// The value of the row at `x`.
///
/// There is no closure in here: it would be compiled without the instruction set.
///
/// # Safety
///
/// Needs the instruction set of `L`, and `query.len()` readable floats at `x`.
#[inline(always)]
unsafe fn one_row<L: Lanes, T: Term>(query: &[f32], x: *const f32) -> f32 {
    let dim = query.len();
    let q = query.as_ptr();
    let mut i = 0;
    // SAFETY: `i + L::LANES <= dim` guards each load, `dim - i < L::LANES` the last; both
    // vectors have `dim` floats.
    unsafe {
        let mut sums = [L::zero(); ACCUMULATORS];
        while i + ACCUMULATORS * L::LANES <= dim {
            for sum in &mut sums {
                *sum = T::accumulate::<L>(*sum, L::load(q.add(i)), L::load(x.add(i)));
                i += L::LANES;
            }
        }
        for sum in &mut sums {
            if i + L::LANES > dim {
                break;
            }
            *sum = T::accumulate::<L>(*sum, L::load(q.add(i)), L::load(x.add(i)));
            i += L::LANES;
        }
        let [a, b, c, mut d] = sums;
        if i < dim {
            let (q, x) = (L::load_tail(q.add(i), dim - i), L::load_tail(x.add(i), dim - i));
            d = T::accumulate::<L>(d, q, x);
        }
        L::sum(L::add(L::add(a, b), L::add(c, d)))
    }
}

/// The exclusive or of all floats' bits, at the pace of memory: two streams, one for each
/// half of the data, which is a little quicker than one.
///
/// # Safety
///
/// Needs the instruction set of `L`.
#[inline(always)]
pub(super) unsafe fn read<L: Lanes>(data: &[f32]) -> u32 {
    const PART: usize = PAGE_BYTES / size_of::<f32>();
    let (halves, rest) = data.split_at(data.len() / (2 * PART) * (2 * PART));
    let (left, right) = halves.split_at(halves.len() / 2);
    let mut rest = rest.iter().fold(0, |all, x| all ^ x.to_bits());
    // SAFETY: a part is a whole number of vectors, for any power of two of lanes.
    let all = unsafe {
        let mut sums = [L::zero(); 2];
        for (left, right) in left.chunks_exact(PART).zip(right.chunks_exact(PART)) {
            prefetch_page_heads(left.as_ptr(), PART);
            prefetch_page_heads(right.as_ptr(), PART);
            let mut i = 0;
            while i < PART {
                sums[0] = L::xor(sums[0], L::load(left.as_ptr().add(i)));
                sums[1] = L::xor(sums[1], L::load(right.as_ptr().add(i)));
                i += L::LANES;
            }
        }
        L::xor(sums[0], sums[1])
    };
    // SAFETY: a vector is `LANES` floats, whose bits are valid u32s.
    let lanes = unsafe { std::slice::from_raw_parts((&raw const all).cast::<u32>(), L::LANES) };
    for bits in lanes {
        rest ^= bits;
    }
    rest
}

/// For each page that begins in the `len` floats at `data`, requests the head of the page
/// `AHEAD_BYTES` later. That address may lie past the data; requesting it harms nothing.
#[inline(always)]
fn prefetch_page_heads(data: *const f32, len: usize) {
    let bytes = len * size_of::<f32>();
    let mut page = data.addr().wrapping_neg() % PAGE_BYTES;
    while page < bytes {
        for line in 0..HEAD_BYTES / LINE_BYTES {
            prefetch(data.wrapping_byte_add(page + AHEAD_BYTES + line * LINE_BYTES));
        }
        page += PAGE_BYTES;
    }
}

/// Asks for the cache line of `at`, which may be any address, into the second-level cache.
#[inline(always)]
pub(super) fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and cannot fault; SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(at.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch reads nothing and cannot fault.
    unsafe {
        std::arch::asm!("prfm pldl2keep, [{at}]", at = in(reg) at, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

/// Writes the table of an instruction set: the generic loops, compiled with its features.
macro_rules! table {
    ($lanes:ty, $name:literal $(, $features:literal)?) => {
        pub(super) static TABLE: super::Table =
            super::Table { name: $name, dot_rows, l2_rows, read, nearest };

        $(#[target_feature(enable = $features)])?
        unsafe fn dot_rows(query: &[f32], rows: &[f32], out: &mut [f32]) {
            // SAFETY: the features are enabled here; `Kernels` checked the lengths.
            unsafe { super::lanes::rows::<$lanes, super::lanes::Dot>(query, rows, out) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn l2_rows(query: &[f32], rows: &[f32], out: &mut [f32]) {
            // SAFETY: the features are enabled here; `Kernels` checked the lengths.
            unsafe { super::lanes::rows::<$lanes, super::lanes::L2>(query, rows, out) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn read(data: &[f32]) -> u32 {
            // SAFETY: the features are enabled here.
            unsafe { super::lanes::read::<$lanes>(data) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn nearest(
            group: &[super::nearest::Group],
            centroids: &[f32],
            half_norms: &[f32],
        ) -> super::nearest::Nearest {
            // SAFETY: the features are enabled here; `Kernels` checked the lengths.
            unsafe { super::nearest::nearest::<$lanes>(group, centroids, half_norms) }
        }
    };
}

pub(super) use table;
