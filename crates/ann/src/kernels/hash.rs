//! XXH3-64 (Yann Collet) of inputs as long as vectors are, by the widest vectors of this machine: the crate that has the
//! rest of it chooses when it is compiled.
//!
//! What always holds: the same bits as any other XXH3-64; a test holds every instruction set against the crate. One loop
//! serves them all, which differ in how they add stripes up.

use std::fmt;
use std::sync::OnceLock;

use xxhash_rust::const_xxh3::const_custom_default_secret;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const STRIPE_BYTES: usize = 64;
const SECRET_BYTES: usize = 192;
/// That of the seed 0.
const SECRET: [u8; SECRET_BYTES] = const_custom_default_secret(0);
/// So many bytes of the secret further on for each stripe.
const STEP_BYTES: usize = 8;
/// Stripes until the sums are scrambled.
const BLOCK_STRIPES: usize = (SECRET_BYTES - STRIPE_BYTES) / STEP_BYTES;
/// Where in the secret the last stripe and the end of it all begin.
const LAST_AT: usize = SECRET_BYTES - STRIPE_BYTES - 7;
const MERGE_AT: usize = 11;
/// Inputs of more bytes are long.
const SHORT_BYTES: usize = 240;

const PRIME32_1: u64 = 0x9E37_79B1;
const PRIME32_2: u64 = 0x85EB_CA77;
const PRIME32_3: u64 = 0xC2B2_AE3D;
const PRIME64_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME64_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME64_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME64_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME64_5: u64 = 0x27D4_EB2F_1656_67C5;
const AVALANCHE: u64 = 0x1656_6791_9E37_79F9;

type Sums = [u64; 8];
type Stripe = [u8; STRIPE_BYTES];

/// Of a long input, and a seed.
type Long = unsafe fn(&[u8], u64) -> u64;

/// XXH3-64 by one instruction set of this machine.
#[derive(Clone, Copy)]
pub struct Hashes {
    name: &'static str,
    long: Long,
}

impl Hashes {
    /// The fastest that this processor runs; detected once.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<Hashes> = OnceLock::new();
        *BEST.get_or_init(|| Self::detect().next().unwrap_or(Self::PLAIN))
    }

    const PLAIN: Self = Self { name: "plain", long: long_plain };

    fn detect() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = [
            (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq"))
                .then_some(Self { name: "avx512", long: long_avx512 }),
            is_x86_feature_detected!("avx2").then_some(Self { name: "avx2", long: long_avx2 }),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let wide: [Option<Self>; 0] = [];
        wide.into_iter().flatten().chain([Self::PLAIN])
    }

    /// XXH3-64 of `bytes`.
    #[inline]
    #[must_use]
    pub fn hash64(self, bytes: &[u8], seed: u64) -> u64 {
        if bytes.len() <= SHORT_BYTES {
            return xxh3_64_with_seed(bytes, seed);
        }
        // SAFETY: it was handed out after detection.
        unsafe { (self.long)(bytes, seed) }
    }
}

impl fmt::Debug for Hashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hashes").field(&self.name).finish()
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn long_avx512(bytes: &[u8], seed: u64) -> u64 {
    // SAFETY: the features are enabled here.
    unsafe { long::<wide::Avx512>(bytes, seed) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn long_avx2(bytes: &[u8], seed: u64) -> u64 {
    // SAFETY: the feature is enabled here.
    unsafe { long::<wide::Avx2>(bytes, seed) }
}

fn long_plain(bytes: &[u8], seed: u64) -> u64 {
    // SAFETY: it needs no instruction set.
    unsafe { long::<Plain>(bytes, seed) }
}

/// Adds stripes up.
///
/// # Safety
/// Needs the instruction set of the implementation.
trait Accumulate {
    /// Adds each of the stripes, keyed by the secret from `STEP_BYTES` further on for each.
    unsafe fn all(sums: &mut Sums, stripes: &[Stripe], secret: &[u8]);
}

struct Plain;

impl Accumulate for Plain {
    #[inline(always)]
    unsafe fn all(sums: &mut Sums, stripes: &[Stripe], secret: &[u8]) {
        for (number, stripe) in stripes.iter().enumerate() {
            accumulate(sums, stripe, stripe_of(secret, number * STEP_BYTES));
        }
    }
}

/// Of the loop above the compiler made loads that reach beyond the last stripe, and wait for what lies there.
#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use super::{Accumulate, STEP_BYTES, Stripe, Sums, stripe_of};

    /// Swaps the halves of each 128 bits.
    const SWAPPED: i32 = 0b01_00_11_10;

    pub(super) struct Avx512;

    impl Accumulate for Avx512 {
        #[inline(always)]
        unsafe fn all(sums: &mut Sums, stripes: &[Stripe], secret: &[u8]) {
            // SAFETY: the caller has AVX-512F; sums, stripes and secrets are 64 bytes each, and no alignment is needed.
            unsafe {
                let mut sum = _mm512_loadu_si512(sums.as_ptr().cast());
                for (number, stripe) in stripes.iter().enumerate() {
                    let data = _mm512_loadu_si512(stripe.as_ptr().cast());
                    let secret = _mm512_loadu_si512(stripe_of(secret, number * STEP_BYTES).as_ptr().cast());
                    let keyed = _mm512_xor_si512(data, secret);
                    let product = _mm512_mul_epu32(keyed, _mm512_srli_epi64::<32>(keyed));
                    sum = _mm512_add_epi64(sum, _mm512_shuffle_epi32::<SWAPPED>(data));
                    sum = _mm512_add_epi64(sum, product);
                }
                _mm512_storeu_si512(sums.as_mut_ptr().cast(), sum);
            }
        }
    }

    pub(super) struct Avx2;

    impl Avx2 {
        /// Of one half of a stripe.
        ///
        /// # Safety
        /// Needs AVX2; `half` is 0 or 1.
        #[inline(always)]
        unsafe fn add(sum: __m256i, stripe: &Stripe, secret: &Stripe, half: usize) -> __m256i {
            // SAFETY: both halves of 64 bytes are within them, and no alignment is needed.
            unsafe {
                let data = _mm256_loadu_si256(stripe.as_ptr().cast::<__m256i>().add(half));
                let secret = _mm256_loadu_si256(secret.as_ptr().cast::<__m256i>().add(half));
                let keyed = _mm256_xor_si256(data, secret);
                let product = _mm256_mul_epu32(keyed, _mm256_srli_epi64::<32>(keyed));
                let sum = _mm256_add_epi64(sum, _mm256_shuffle_epi32::<SWAPPED>(data));
                _mm256_add_epi64(sum, product)
            }
        }
    }

    impl Accumulate for Avx2 {
        #[inline(always)]
        unsafe fn all(sums: &mut Sums, stripes: &[Stripe], secret: &[u8]) {
            // SAFETY: the caller has AVX2; sums are two vectors, and no alignment is needed.
            unsafe {
                let halves = sums.as_mut_ptr().cast::<__m256i>();
                let (mut low, mut high) = (_mm256_loadu_si256(halves), _mm256_loadu_si256(halves.add(1)));
                for (number, stripe) in stripes.iter().enumerate() {
                    let secret = stripe_of(secret, number * STEP_BYTES);
                    low = Self::add(low, stripe, secret, 0);
                    high = Self::add(high, stripe, secret, 1);
                }
                _mm256_storeu_si256(halves, low);
                _mm256_storeu_si256(halves.add(1), high);
            }
        }
    }
}

/// Of more than [`SHORT_BYTES`].
///
/// # Safety
/// Needs the instruction set of `A`.
#[inline(always)]
unsafe fn long<A: Accumulate>(bytes: &[u8], seed: u64) -> u64 {
    let secret = secret(seed);
    let mut sums: Sums =
        [PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1];
    let Some((_, last)) = bytes.split_last_chunk::<STRIPE_BYTES>() else { return 0 };
    // The last stripe is always looked at by itself, even if it is a whole one.
    let stripes = (bytes.len() - 1) / STRIPE_BYTES;
    let (all, _) = bytes.as_chunks::<STRIPE_BYTES>();
    let mut blocks = all[..stripes].chunks_exact(BLOCK_STRIPES);
    for block in &mut blocks {
        // SAFETY: passed on to the caller.
        unsafe { A::all(&mut sums, block, &secret) };
        scramble(&mut sums, stripe_of(&secret, SECRET_BYTES - STRIPE_BYTES));
    }
    // SAFETY: passed on to the caller.
    unsafe {
        A::all(&mut sums, blocks.remainder(), &secret);
        A::all(&mut sums, std::slice::from_ref(last), &secret[LAST_AT..]);
    }
    merge(&sums, stripe_of(&secret, MERGE_AT), (bytes.len() as u64).wrapping_mul(PRIME64_1))
}

#[inline(always)]
fn secret(seed: u64) -> [u8; SECRET_BYTES] {
    let mut secret = SECRET;
    for [low, high] in secret.as_chunks_mut::<8>().0.as_chunks_mut::<2>().0 {
        *low = u64::from_le_bytes(*low).wrapping_add(seed).to_le_bytes();
        *high = u64::from_le_bytes(*high).wrapping_sub(seed).to_le_bytes();
    }
    secret
}

#[inline(always)]
fn stripe_of(secret: &[u8], at: usize) -> &Stripe {
    // All places that are asked for are within it.
    secret[at..].first_chunk().unwrap_or(&[0; STRIPE_BYTES])
}

#[inline(always)]
fn words(stripe: &Stripe) -> Sums {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(stripe.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

#[inline(always)]
fn accumulate(sums: &mut Sums, stripe: &Stripe, secret: &Stripe) {
    let (data, secret) = (words(stripe), words(secret));
    for lane in 0..8 {
        let keyed = data[lane] ^ secret[lane];
        let product = (keyed & 0xFFFF_FFFF).wrapping_mul(keyed >> 32);
        sums[lane] = sums[lane].wrapping_add(data[lane ^ 1]).wrapping_add(product);
    }
}

#[inline(always)]
fn scramble(sums: &mut Sums, secret: &Stripe) {
    for (sum, secret) in sums.iter_mut().zip(words(secret)) {
        *sum = (*sum ^ *sum >> 47 ^ secret).wrapping_mul(PRIME32_1);
    }
}

#[inline(always)]
fn merge(sums: &Sums, secret: &Stripe, start: u64) -> u64 {
    let secret = words(secret);
    let folded = |at: usize| {
        let product = u128::from(sums[at] ^ secret[at]) * u128::from(sums[at + 1] ^ secret[at + 1]);
        product as u64 ^ (product >> 64) as u64
    };
    let sum = [0, 2, 4, 6].into_iter().fold(start, |sum, at| sum.wrapping_add(folded(at)));
    let mixed = (sum ^ sum >> 37).wrapping_mul(AVALANCHE);
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn every_instruction_set_hashes_as_the_crate_does() {
        let mut random = Random::new(7, 0);
        let bytes: Vec<u8> = (0..5000).map(|_| random.next() as u8).collect();
        for hashes in Hashes::detect() {
            for len in (0..1300).chain([1535, 1536, 1537, 2048, 2049, 3072, 4096, 5000]) {
                for seed in [0, 1, random.next()] {
                    let input = &bytes[..len];
                    assert_eq!(
                        hashes.hash64(input, seed),
                        xxh3_64_with_seed(input, seed),
                        "{hashes:?}, {len} bytes"
                    );
                }
            }
        }
    }

    #[test]
    fn a_bit_that_flips_is_another_hash() {
        let bytes = [0x5A_u8; 1536];
        let hashes = Hashes::best();
        for bit in (0..8 * bytes.len()).step_by(7) {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(hashes.hash64(&bytes, 3), hashes.hash64(&other, 3), "bit {bit}");
        }
    }
}
