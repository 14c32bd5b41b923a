//! A graph in layers that is walked by sketches (Malkov, Yashunin, "Hierarchical Navigable Small World", 1603.09320).

use crate::codec::{CodecError, TrainControl};
use crate::{Metric, TopK};

use super::parts::Parts;
use super::sketch::Sketcher;
use super::{Common, IndexQuery, IndexSpec};

/// See the module.
#[derive(Debug)]
pub(super) struct Hnsw {}

/// A graph that was built.
pub(super) struct Built {
    /// The ordinal of each place: neighbours lie near each other.
    pub(super) order: Vec<u32>,
    /// The parts of its kind.
    pub(super) parts: Vec<Vec<u8>>,
}

/// Links rows by their sketches, which are by ordinal.
pub(super) fn build(
    spec: &IndexSpec,
    metric: Metric,
    sketcher: &Sketcher,
    sketches: &[u8],
    norms: &[f32],
    control: &TrainControl<'_>,
) -> Result<Built, CodecError> {
    unimplemented!()
}

impl Hnsw {
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
    ) -> usize {
        unimplemented!()
    }
}
