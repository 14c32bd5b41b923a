//! A manifest for tests, with something in every field.

use super::*;
use codegraph_vector_base::RowChecksumSum;

pub(super) fn manifest() -> Manifest {
    let embedder = EmbedderId { name: "hash".to_owned(), version: "1".to_owned(), parameters: String::new() };
    let schema = StoreSchema { dimension: 768, metric: MetricCode(1), embedder: Some(embedder) };
    let mut manifest = Manifest::initial(StoreId([7; 16]), schema, 1_700_000_000_000_000);
    manifest.generation = Generation(41);
    manifest.timeline = 2;
    manifest.checkpoint =
        Checkpoint { lsn: Lsn(4096), seqno: SeqNo(90), commit_time_us: 1_700_000_000_000_001 };
    (manifest.proven_lsn, manifest.proven_seqno) = (Lsn(8192), SeqNo(99));
    (manifest.epoch, manifest.next_segment_id) = (Epoch(3), SegmentId(10));
    manifest.clean_close = Some(Lsn(8192));
    manifest.segments = vec![segment(4), segment(9)];
    manifest.settings = vec![("flush_bytes".to_owned(), "1000".to_owned())];
    manifest.prepared = vec![vec![1, 2, 3]];
    manifest.contents = Some(Contents { rows: 98, checksum: 1 << 101 });
    manifest
}

pub(super) fn segment(id: u64) -> SegmentRef {
    SegmentRef {
        id: SegmentId(id),
        origin: codegraph_vector_base::StoreId([7; 16]),
        file: SegmentFileRef { file_bytes: 1000 + id, table_crc: 17 },
        rows: 50,
        checksum_sum: RowChecksumSum(1 << 100),
        min_seqno: SeqNo(1),
        max_seqno: SeqNo(80),
        base_seqno: SeqNo(85),
        deaths: Some(DeathFileRef { generation: Generation(40), file_bytes: 148, crc: 5, count: 1 }),
    }
}
