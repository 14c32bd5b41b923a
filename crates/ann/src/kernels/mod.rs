//! The SIMD kernels, chosen at run time.
//!
//! This folder is the only place of the crate where `unsafe` is allowed. What always holds:
//!
//! - the safe methods of [`Kernels`] assert every length before a pointer is made;
//! - a kernel whose instructions the processor lacks cannot be reached, because its table is
//!   handed out only after detection;
//! - a row's value has the same bits in a batch, at any place of it, and alone.
//!
//! One generic loop (`lanes`) serves every instruction set; each of the other files says only
//! how to load, multiply, add and reduce. `look_up` and `sketch` are other such loops, over
//! bytes, for codes and sketches; `hash` checks what is ranked.
#![allow(unsafe_code)]

/// The tables of a module's kernels that this processor runs, fastest first: those given, which are for x86-64, or that for
/// NEON; then the scalar one.
macro_rules! by_instruction_set {
    ($($x86_64:expr),+ $(,)?) => {{
        #[cfg(target_arch = "x86_64")]
        let simd = [$($x86_64),+];
        #[cfg(target_arch = "aarch64")]
        let simd = [std::arch::is_aarch64_feature_detected!("neon").then_some(&neon::TABLE)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let simd: [Option<&'static Table>; 0] = [];
        simd.into_iter().flatten().chain([&scalar::TABLE])
    }};
}

mod hash;
mod lanes;
pub(crate) mod look_up;
mod nearest;
mod scalar;
pub(crate) mod sketch;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;

pub use hash::Hashes;
pub(crate) use nearest::{GROUP, Group, Nearest};

use std::fmt;
use std::sync::OnceLock;

/// What one instruction set offers.
///
/// The functions trust their lengths: `rows.len() == query.len() * out.len()`.
struct Table {
    name: &'static str,
    dot_rows: unsafe fn(query: &[f32], rows: &[f32], out: &mut [f32]),
    l2_rows: unsafe fn(query: &[f32], rows: &[f32], out: &mut [f32]),
    read: unsafe fn(data: &[f32]) -> u32,
    nearest: unsafe fn(group: &[Group], centroids: &[f32], half_norms: &[f32]) -> Nearest,
}

/// The f32 kernels of one instruction set of this machine.
///
/// Sums are accumulated in f32 and may overflow to infinity (or NaN, when two infinities meet);
/// [`ExactScan`](crate::ExactScan) mends such rows in f64. The last bits differ between
/// instruction sets, never within one.
///
/// ```
/// use codegraph_vector_ann::Kernels;
///
/// let mut dots = [0.0; 2];
/// Kernels::best().dot_rows(&[1.0, 2.0], &[3.0, 4.0, 5.0, 6.0], 2, &mut dots);
/// assert_eq!(dots, [11.0, 17.0]);
/// ```
#[derive(Clone, Copy)]
pub struct Kernels {
    table: &'static Table,
}

impl Kernels {
    /// The fastest kernels that this processor runs; detected once.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<Kernels> = OnceLock::new();
        *BEST.get_or_init(|| Self::detect().next().unwrap_or(Self { table: &scalar::TABLE }))
    }

    /// All kernels that this processor runs, fastest first; the last is the scalar one.
    #[must_use]
    pub fn all_available() -> Vec<Self> {
        Self::detect().collect()
    }

    fn detect() -> impl Iterator<Item = Self> {
        by_instruction_set!(
            is_x86_feature_detected!("avx512f").then_some(&avx512::TABLE),
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(&avx2::TABLE)
        )
        .map(|table| Self { table })
    }

    /// The instruction set: `avx512`, `avx2+fma`, `neon` or `scalar`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.table.name
    }

    /// The dot product.
    ///
    /// # Panics
    ///
    /// When the lengths differ.
    #[must_use]
    pub fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        let mut out = [0.0];
        self.dot_rows(a, b, a.len(), &mut out);
        out[0]
    }

    /// The squared Euclidean distance.
    ///
    /// # Panics
    ///
    /// When the lengths differ.
    #[must_use]
    pub fn l2_squared(self, a: &[f32], b: &[f32]) -> f32 {
        let mut out = [0.0];
        self.l2_rows(a, b, a.len(), &mut out);
        out[0]
    }

    /// The squared Euclidean norm in f32. To store a norm, use [`norm`](crate::norm()), which
    /// neither overflows nor depends on the machine.
    #[must_use]
    pub fn squared_norm(self, a: &[f32]) -> f32 {
        self.dot(a, a)
    }

    /// The dot product of `query` with each row: `out[i] = dot(query, rows[i])`, with the very
    /// bits of [`Kernels::dot`]. `rows` is row-major, `out.len()` rows of `dim`.
    ///
    /// # Panics
    ///
    /// Unless `query.len() == dim` and `rows.len() == dim * out.len()`.
    pub fn dot_rows(self, query: &[f32], rows: &[f32], dim: usize, out: &mut [f32]) {
        check_shape(query, rows, dim, out);
        // SAFETY: the lengths were just checked; the table was handed out after detection.
        unsafe { (self.table.dot_rows)(query, rows, out) }
    }

    /// The squared Euclidean distance of `query` to each row; shapes and bits as in
    /// [`Kernels::dot_rows`].
    ///
    /// # Panics
    ///
    /// As [`Kernels::dot_rows`].
    pub fn l2_rows(self, query: &[f32], rows: &[f32], dim: usize, out: &mut [f32]) {
        check_shape(query, rows, dim, out);
        // SAFETY: the lengths were just checked; the table was handed out after detection.
        unsafe { (self.table.l2_rows)(query, rows, out) }
    }

    /// Asks the processor to fetch `data` into its cache. A hint: it changes no value.
    #[inline]
    pub fn prefetch<T: bytemuck::NoUninit>(self, data: &[T]) {
        const LINE_BYTES: usize = 64;
        for line in bytemuck::cast_slice::<T, u8>(data).chunks(LINE_BYTES) {
            lanes::prefetch(line.as_ptr().cast());
        }
    }

    /// Reads every float once, at the best pace one thread has, and returns the exclusive or
    /// of their bits. The yardstick of a scan: none can be faster than this.
    #[must_use]
    pub fn read(self, data: &[f32]) -> u32 {
        // SAFETY: any length will do; the table was handed out after detection.
        unsafe { (self.table.read)(data) }
    }
}

impl Kernels {
    /// The nearest centroid of each point of `group`, which has one entry a component. Centroids are row-major;
    /// `half_norms` are halves of their squared norms. The bits are the same on every machine.
    ///
    /// # Panics
    ///
    /// If `centroids` is not one centroid for each of `half_norms`, or there are 2²⁴ of them.
    #[must_use]
    pub(crate) fn nearest(self, group: &[Group], centroids: &[f32], half_norms: &[f32]) -> Nearest {
        assert_eq!(
            group.len().checked_mul(half_norms.len()),
            Some(centroids.len()),
            "components of centroids"
        );
        assert!(
            half_norms.len() < 1 << f32::MANTISSA_DIGITS,
            "numbers of centroids that a float holds exactly"
        );
        // SAFETY: the lengths were just checked; the table was handed out after detection.
        unsafe { (self.table.nearest)(group, centroids, half_norms) }
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kernels").field(&self.name()).finish()
    }
}

fn check_shape(query: &[f32], rows: &[f32], dim: usize, out: &[f32]) {
    assert_eq!(query.len(), dim, "the query's dimension");
    // A product that wrapped could equal the length by chance.
    assert_eq!(dim.checked_mul(out.len()), Some(rows.len()), "rows are not dim * out.len()");
}
