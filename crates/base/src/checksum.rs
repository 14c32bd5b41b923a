//! Checksums: CRC-32C for blocks and frames, XXH3 for rows.
//!
//! CRC-32C (Castagnoli) finds the burst errors of disks and has a machine instruction. Rows use
//! XXH3-64 (Yann Collet), one half for the vector and one for the metadata, so that a rerank checks
//! a vector without reading its metadata. Their sum over a set of rows does not depend on the order.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use wincode::{SchemaRead, SchemaWrite};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use crate::NodeId;

/// CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    ::crc32c::crc32c(bytes)
}

/// CRC-32C over bytes that come in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crc32c(u32);

impl Crc32c {
    /// Of no bytes yet.
    pub fn new() -> Self {
        Self(0)
    }

    /// Continues with `bytes`.
    #[must_use]
    pub fn update(self, bytes: &[u8]) -> Self {
        Self(::crc32c::crc32c_append(self.0, bytes))
    }

    /// The checksum so far.
    pub fn value(self) -> u32 {
        self.0
    }
}

/// XXH3-64 of `bytes`, for filters and hash tables on disk.
pub fn hash64(bytes: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(bytes, seed)
}

/// XXH3-128 of `bytes`, for sums of which every bit counts.
pub fn hash128(bytes: &[u8]) -> u128 {
    xxh3_128(bytes)
}

/// A row's checksum: one half covers (id, vector as given), the other (id, encoded metadata).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct RowChecksum {
    /// Over the id and the little-endian f32 bytes of the vector.
    pub vector: u64,
    /// Over the id and the encoded metadata.
    pub metadata: u64,
}

impl RowChecksum {
    /// Of a row.
    pub fn of(id: NodeId, vector: &[u8], metadata: &[u8]) -> Self {
        Self { vector: Self::of_vector(id, vector), metadata: Self::of_metadata(id, metadata) }
    }

    /// The vector's half.
    pub fn of_vector(id: NodeId, vector: &[u8]) -> u64 {
        xxh3_64_with_seed(vector, Self::vector_seed(id))
    }

    /// The metadata's half.
    pub fn of_metadata(id: NodeId, metadata: &[u8]) -> u64 {
        xxh3_64_with_seed(metadata, !Self::vector_seed(id))
    }

    /// The seed of the vector's half, for whoever has a faster XXH3-64 than that of this machine's common denominator.
    pub fn vector_seed(id: NodeId) -> u64 {
        xxh3_64_with_seed(&id.to_le_bytes(), 0)
    }

    fn as_u128(self) -> u128 {
        u128::from(self.metadata) << 64 | u128::from(self.vector)
    }
}

/// Row checksums added modulo 2^128: the content hash of a set of rows, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct RowChecksumSum(pub u128);

impl AddAssign<RowChecksum> for RowChecksumSum {
    fn add_assign(&mut self, row: RowChecksum) {
        self.0 = self.0.wrapping_add(row.as_u128());
    }
}

impl SubAssign<RowChecksum> for RowChecksumSum {
    fn sub_assign(&mut self, row: RowChecksum) {
        self.0 = self.0.wrapping_sub(row.as_u128());
    }
}

impl Add for RowChecksumSum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

impl Sub for RowChecksumSum {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }
}

#[cfg(test)]
#[path = "checksum_tests.rs"]
mod tests;
