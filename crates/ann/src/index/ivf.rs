//! Cells around centroids: the nearest are scanned by short codes, the best of those by sketches.

use crate::TopK;
use crate::codec::{CodecError, TrainControl};

use super::parts::Parts;
use super::{Common, IndexQuery};

/// See the module.
#[derive(Debug)]
pub(super) struct Ivf {}

impl Ivf {
    /// Reads its parts and checks them.
    pub(super) fn open(bytes: &[u8], parts: &Parts, common: &Common<'_>) -> Result<Self, CodecError> {
        unimplemented!()
    }

    /// See [`VectorIndex::search`](super::VectorIndex::search).
    pub(super) fn search<K: Ord + Copy>(
        &self,
        bytes: &[u8],
        parts: &Parts,
        common: &Common<'_>,
        queries: &[IndexQuery],
        efforts: &[usize],
        admit: &mut impl FnMut(usize, u32) -> Option<K>,
        tops: &mut [TopK<K>],
    ) {
        unimplemented!()
    }
}
