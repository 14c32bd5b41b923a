//! The record frame: how one record of the log lies on disk.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 4 | CRC-32C over the seal and over bytes 4.. to the end of the padding |
//! | 4 | 4 | payload length in bytes |
//! | 8 | 2 | kind, never 0 |
//! | 10 | 2 | reserved, 0 |
//! | 12 | 4 | epoch |
//! | 16 | n | payload |
//! | 16 + n | 0–7 | zeros up to a multiple of 8 |
//!
//! The checksum covers the store's id, the epoch and the frame's own [`Lsn`] (the *seal*), so that
//! a frame of another store, of a discarded tail or of another position never passes for this one.
//! A run of zeros is not a frame, since no kind is 0.

use crate::limits::MAX_FRAME_PAYLOAD_BYTES;
use crate::{Crc32c, Epoch, Lsn, StoreId};

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 16;

/// Frames start at multiples of this many bytes.
pub const ALIGNMENT: usize = 8;

const CRC_BYTES: usize = 4;
const _: () = assert!(HEADER_BYTES.is_multiple_of(ALIGNMENT));

/// What a log's checksums cover besides the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The store that the log belongs to.
    pub store: StoreId,
    /// The epoch of the log file.
    pub epoch: Epoch,
}

impl Seal {
    fn start(&self, lsn: Lsn) -> Crc32c {
        Crc32c::new().update(&self.store.0).update(&self.epoch.0.to_le_bytes()).update(&lsn.0.to_le_bytes())
    }
}

/// A frame in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: u16,
    /// The record.
    pub payload: &'a [u8],
    /// Bytes of the whole frame, padding included.
    pub len: usize,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Nothing was ever written here: the header is zero.
    Blank,
    /// The bytes end before the frame does.
    Short,
    /// The length is over the limit, or a reserved field is used.
    Header,
    /// The checksum, or the epoch, does not fit.
    Checksum,
}

/// Whether checksums are looked at. Always, but for the test that proves that its loss is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// A frame must fit its checksum.
    Verify,
    /// Believe anything that has the shape of a frame.
    Trust,
}

/// Bytes that a frame of `payload_len` bytes takes, padding included.
pub fn framed_len(payload_len: usize) -> usize {
    (HEADER_BYTES + payload_len).next_multiple_of(ALIGNMENT)
}

/// Appends a frame whose payload is `parts`, one after the other.
///
/// # Panics
/// If the payload is over [`MAX_FRAME_PAYLOAD_BYTES`] or `kind` is 0: callers split larger records.
pub fn append(out: &mut Vec<u8>, seal: &Seal, lsn: Lsn, kind: u16, parts: &[&[u8]]) {
    let payload_len: usize = parts.iter().map(|part| part.len()).sum();
    assert!(payload_len <= MAX_FRAME_PAYLOAD_BYTES && kind != 0, "a frame that no reader would accept");
    let start = out.len();
    out.extend_from_slice(&[0; CRC_BYTES]);
    out.extend_from_slice(&(payload_len as u32).to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&seal.epoch.0.to_le_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.resize(start + framed_len(payload_len), 0);
    let crc = seal.start(lsn).update(&out[start + CRC_BYTES..]).value();
    out[start..start + CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// The frame at the front of `bytes`, which lie at `lsn`.
pub fn parse<'a>(bytes: &'a [u8], seal: &Seal, lsn: Lsn, check: Check) -> Result<Frame<'a>, Damage> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Damage::Short)?;
    if *header == [0; HEADER_BYTES] {
        return Err(Damage::Blank);
    }
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let payload_len = word(4) as usize;
    let kind = u16::from_le_bytes([header[8], header[9]]);
    if payload_len > MAX_FRAME_PAYLOAD_BYTES || kind == 0 || header[10..12] != [0, 0] {
        return Err(Damage::Header);
    }
    let len = framed_len(payload_len);
    if bytes.len() < len {
        return Err(Damage::Short);
    }
    let sound = || seal.start(lsn).update(&bytes[CRC_BYTES..len]).value() == word(0);
    if check == Check::Verify && (word(12) != seal.epoch.0 || !sound()) {
        return Err(Damage::Checksum);
    }
    Ok(Frame { kind, payload: &rest[..payload_len], len })
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
