//! Hash maps and sets of node ids, hashed by XXH3 like everything else here: the maps are asked several
//! times for each row that is written, and the standard hash, made against hostile keys, costs as much as
//! the rest of the look-up. Ids come from the store's own caller.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use codegraph_vector_base::{NodeId, hash64};

/// A map by node id.
pub(crate) type NodeIdMap<V> = HashMap<NodeId, V, BuildHasherDefault<NodeIdHasher>>;
/// A set of node ids.
pub(crate) type NodeIdSet = HashSet<NodeId, BuildHasherDefault<NodeIdHasher>>;

/// Parts of a map that many threads use, each with a lock of its own.
pub(crate) const SHARDS: usize = 16;

/// The part that an id belongs to. Fibonacci hashing: neighbouring ids spread over the parts.
pub(crate) fn shard_of(id: NodeId) -> usize {
    let mixed = ((id ^ (id >> 64)) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 60) as usize % SHARDS
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NodeIdHasher(u64);

impl Hasher for NodeIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash64(bytes, self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    #[test]
    fn neighbouring_ids_spread_over_all_bits() {
        let hasher = BuildHasherDefault::<NodeIdHasher>::default();
        let spread = |shift: u32, ids: &dyn Fn(u128) -> NodeId| {
            (0..4096).map(|at| (hasher.hash_one(ids(at)) >> shift) & 0xFFF).collect::<HashSet<_>>().len()
        };
        // 4,096 balls in 4,096 boxes fill about 63 % of them.
        for shift in [0, 20, 52] {
            assert!(spread(shift, &|at| at) > 2300, "small numbers, from bit {shift}");
            assert!(spread(shift, &|at| at << 64) > 2300, "high halves, from bit {shift}");
            assert!(spread(shift, &|at| at << 20 | 0xABCD << 100) > 2300, "strides, from bit {shift}");
        }
    }
}
