//! One file of each kind, small and always the same: what the golden files hold.

use std::path::PathBuf;

use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_base::{Epoch, Generation, Lsn, RowChecksumSum, SegmentId, SeqNo, StoreId};
use codegraph_vector_storage::manifest::{
    Checkpoint, Contents, EmbedderId, Manifest, MetricCode, SegmentRef, StoreSchema,
};
use codegraph_vector_storage::{
    BLOCK_BYTES, DeathFileRef, SectionKind, SegmentFileRef, SegmentWriter, StoreLayout, write_deaths,
};

pub(crate) const STORE: StoreId = StoreId(*b"golden store id!");
pub(crate) const ID: SegmentId = SegmentId(3);
pub(crate) const DEATHS_GENERATION: Generation = Generation(5);
pub(crate) const GENERATION: Generation = Generation(6);
pub(crate) const DEATHS: [(u32, SeqNo); 3] = [(0, SeqNo(9)), (4, SeqNo(11)), (9, SeqNo(10))];
pub(crate) const ROWS: u32 = 10;

/// What the sections hold: one of two blocks, an empty one, a few bytes.
pub(crate) fn sections() -> [(SectionKind, Vec<u8>); 3] {
    let blocks = (0..BLOCK_BYTES + 1000).map(|at| (at >> 9) as u8).collect();
    [(SectionKind(1), blocks), (SectionKind(7), vec![]), (SectionKind(0xFFFF), b"a few bytes".to_vec())]
}

/// The sections without the large one, for tests that try every byte.
pub(crate) fn small_sections() -> [(SectionKind, Vec<u8>); 3] {
    let [(kind, blocks), empty, few] = sections();
    [(kind, blocks[..100].to_vec()), empty, few]
}

pub(crate) fn layout() -> StoreLayout {
    StoreLayout::new("/store")
}

pub(crate) fn segment(vfs: &dyn Vfs, sections: &[(SectionKind, Vec<u8>)]) -> (PathBuf, SegmentFileRef) {
    let mut writer = SegmentWriter::create(vfs, &layout(), STORE, ID).expect("created");
    for (kind, bytes) in sections {
        writer.section(*kind, bytes).expect("written");
    }
    (layout().segment_path(ID), writer.finish().expect("finished"))
}

pub(crate) fn deaths(vfs: &dyn Vfs) -> (PathBuf, DeathFileRef) {
    let path = layout().deaths_path(ID, DEATHS_GENERATION);
    let written = write_deaths(vfs, &path, STORE, ID, DEATHS_GENERATION, &DEATHS).expect("written");
    (path, written)
}

/// A manifest with something in every field.
pub(crate) fn manifest() -> Manifest {
    let schema = StoreSchema {
        dimension: 384,
        metric: MetricCode(2),
        embedder: Some(EmbedderId {
            name: "embedder".to_owned(),
            version: "1.2".to_owned(),
            parameters: "pooling=mean".to_owned(),
        }),
    };
    let segment = SegmentRef {
        id: ID,
        origin: STORE,
        file: SegmentFileRef { file_bytes: 123_456, table_crc: 0xDEAD_BEEF },
        rows: ROWS,
        checksum_sum: RowChecksumSum(0x0123_4567_89AB_CDEF_0123_4567_89AB_CDEF),
        min_seqno: SeqNo(1),
        max_seqno: SeqNo(8),
        base_seqno: SeqNo(8),
        deaths: Some(DeathFileRef { generation: DEATHS_GENERATION, file_bytes: 172, crc: 7, count: 3 }),
    };
    Manifest {
        store_id: STORE,
        generation: GENERATION,
        schema,
        timeline: 1,
        created_us: 1_700_000_000_000_000,
        checkpoint: Checkpoint { lsn: Lsn(640), seqno: SeqNo(11), commit_time_us: 1_700_000_000_000_001 },
        proven_lsn: Lsn(1280),
        proven_seqno: SeqNo(12),
        clean_close: Some(Lsn(1280)),
        epoch: Epoch(2),
        next_segment_id: SegmentId(4),
        segments: vec![segment.clone(), SegmentRef { id: SegmentId(1), deaths: None, ..segment }],
        settings: vec![("flush_bytes".to_owned(), "1048576".to_owned()), ("a".to_owned(), String::new())],
        prepared: vec![vec![1, 2, 3], vec![]],
        contents: Some(Contents { rows: 17, checksum: 0xFEDC_BA98_7654_3210_FEDC_BA98_7654_3210 }),
    }
}
