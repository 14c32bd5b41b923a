//! What a checkpoint holds, in a number of rows and a sum, which recovery recomputes.

use codegraph_vector_base::{NodeId, RowChecksum, SeqNo, hash128};
use wincode::{SchemaRead, SchemaWrite};

/// A set of rows. Sums are modulo 2^128, so rows come and go in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Contents {
    /// How many.
    pub rows: u64,
    /// Sum of the XXH3-128 of each row's id (u128), SeqNo (u64) and checksum (vector's half u64, metadata's half u64).
    pub checksum: u128,
}

impl Contents {
    /// Adds a row.
    pub fn add(&mut self, id: NodeId, seqno: SeqNo, checksum: RowChecksum) {
        self.rows += 1;
        self.checksum = self.checksum.wrapping_add(hash_of(id, seqno, checksum));
    }

    /// Adds all rows of another set.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, checksum: self.checksum.wrapping_add(other.checksum) }
    }

    /// Takes out rows that are in it.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_sub(other.rows),
            checksum: self.checksum.wrapping_sub(other.checksum),
        }
    }
}

fn hash_of(id: NodeId, seqno: SeqNo, checksum: RowChecksum) -> u128 {
    let mut bytes = [0; 40];
    bytes[..16].copy_from_slice(&id.to_le_bytes());
    bytes[16..24].copy_from_slice(&seqno.0.to_le_bytes());
    bytes[24..32].copy_from_slice(&checksum.vector.to_le_bytes());
    bytes[32..].copy_from_slice(&checksum.metadata.to_le_bytes());
    hash128(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_every_part_of_a_row_does() {
        let of = |rows: &[(NodeId, u64, u64, u64)]| {
            let mut contents = Contents::default();
            for (id, seqno, vector, metadata) in rows {
                contents.add(*id, SeqNo(*seqno), RowChecksum { vector: *vector, metadata: *metadata });
            }
            contents
        };
        let (one, other) = ((1, 2, 3, 4), (5, 6, 7, 8));
        let both = of(&[one, other]);
        assert_eq!(both, of(&[other, one]));
        assert_eq!(both, of(&[one]).with(of(&[other])));
        assert_eq!((both.without(of(&[other])), both.without(both)), (of(&[one]), Contents::default()));
        for changed in [(9, 2, 3, 4), (1, 9, 3, 4), (1, 2, 9, 4), (1, 2, 3, 9), (1, 2, 4, 3)] {
            assert_ne!(of(&[changed]), of(&[one]), "{changed:?}");
        }
    }
}
