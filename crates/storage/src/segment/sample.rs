//! Segments for tests.

use std::path::PathBuf;

use codegraph_vector_base::{SegmentId, StoreId};
use codegraph_vector_testkit::SimVfs;

use super::*;
use crate::layout::StoreLayout;

pub(super) const STORE: StoreId = StoreId([7; 16]);
pub(super) const ID: SegmentId = SegmentId(3);

/// A file system with one segment.
pub(super) struct Sample {
    pub(super) sim: SimVfs,
    pub(super) path: PathBuf,
    pub(super) file_ref: SegmentFileRef,
}

pub(super) fn layout() -> StoreLayout {
    StoreLayout::new("/store")
}

pub(super) fn folder() -> SimVfs {
    let sim = SimVfs::new(1);
    layout().create_dirs(&sim).expect("folders");
    sim
}

/// Bytes that differ from place to place.
pub(super) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

impl Sample {
    pub(super) fn of(sections: &[(u16, &[u8])]) -> Self {
        let sim = folder();
        let mut writer = SegmentWriter::create(&sim, &layout(), STORE, ID).expect("created");
        for (kind, bytes) in sections {
            writer.section(SectionKind(*kind), bytes).expect("written");
        }
        let file_ref = writer.finish().expect("finished");
        Self { sim, path: layout().segment_path(ID), file_ref }
    }

    pub(super) fn open(&self) -> codegraph_vector_base::Result<SegmentFile> {
        SegmentFile::open(&self.sim, &self.path, STORE, ID, &self.file_ref)
    }

    pub(super) fn verify(&self) -> Vec<BadBlock> {
        verify_segment(&self.sim, &self.path, STORE, ID, &self.file_ref).expect("verified")
    }
}
