//! Plain Rust for any processor: sixteen bytes in an array.

use super::tiles::{Bytes, table};

struct Scalar;

/// `op` on the numbers of 16 bits that the bytes are, the low byte first.
#[inline(always)]
fn wide(a: [u8; 16], b: [u8; 16], op: impl Fn(u16, u16) -> u16) -> [u8; 16] {
    let mut out = [0; 16];
    for (place, (a, b)) in
        out.as_chunks_mut::<2>().0.iter_mut().zip(a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0))
    {
        *place = op(u16::from_le_bytes(*a), u16::from_le_bytes(*b)).to_le_bytes();
    }
    out
}

impl Bytes for Scalar {
    type Vector = [u8; 16];
    const BYTES: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> [u8; 16] {
        [0; 16]
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> [u8; 16] {
        // SAFETY: the caller has 16 bytes at `from`, and bytes are always aligned.
        unsafe { from.cast::<[u8; 16]>().read() }
    }

    #[inline(always)]
    unsafe fn table(from: *const u8) -> [u8; 16] {
        // SAFETY: the caller has 16 bytes at `from`, and bytes are always aligned.
        unsafe { from.cast::<[u8; 16]>().read() }
    }

    #[inline(always)]
    unsafe fn low(bytes: [u8; 16]) -> [u8; 16] {
        bytes.map(|byte| byte & 15)
    }

    #[inline(always)]
    unsafe fn high(bytes: [u8; 16]) -> [u8; 16] {
        bytes.map(|byte| byte >> 4)
    }

    #[inline(always)]
    unsafe fn look_up(table: [u8; 16], nibbles: [u8; 16]) -> [u8; 16] {
        nibbles.map(|nibble| table[usize::from(nibble & 15)])
    }

    #[inline(always)]
    unsafe fn add(a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        std::array::from_fn(|at| a[at].wrapping_add(b[at]))
    }

    #[inline(always)]
    unsafe fn add_wide(a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        wide(a, b, u16::wrapping_add)
    }

    #[inline(always)]
    unsafe fn less_high(a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        wide(a, b, |a, b| a.wrapping_sub(b << 8))
    }

    #[inline(always)]
    unsafe fn odd(a: [u8; 16]) -> [u8; 16] {
        wide(a, a, |a, _| a >> 8)
    }

    #[inline(always)]
    unsafe fn shifted(a: [u8; 16], bits: u16) -> [u8; 16] {
        wide(a, a, |a, _| a.checked_shl(bits.into()).unwrap_or(0))
    }

    #[inline(always)]
    unsafe fn not_below(a: [u8; 16], bar: u16) -> u64 {
        let mut mask = 0;
        for (at, number) in a.as_chunks::<2>().0.iter().enumerate() {
            mask |= u64::from(u16::from_le_bytes(*number) >= bar) << at;
        }
        mask
    }

    #[inline(always)]
    unsafe fn store(a: [u8; 16], to: *mut u16) {
        let numbers: [u16; 8] = std::array::from_fn(|at| u16::from_le_bytes([a[2 * at], a[2 * at + 1]]));
        // SAFETY: the caller has room for eight numbers at `to`; an unaligned write is asked for.
        unsafe { to.cast::<[u16; 8]>().write_unaligned(numbers) }
    }
}

table!(Scalar, "scalar");
