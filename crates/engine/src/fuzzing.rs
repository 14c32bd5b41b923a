//! Doors for the fuzz targets: each function takes any bytes and must neither panic, hang, nor
//! allocate much more than it was given. Not part of the public interface.
//!
//! The corpus under `fuzz/corpus` is replayed through these by an ordinary test.

use codegraph_vector_ann::TopK;
use codegraph_vector_ann::index::VectorIndex;
use codegraph_vector_base::{Lsn, NodeId, RowOrdinal, wire};
use serde_json::Value;

use crate::compression::TrainedCodec;
use crate::consistency::{PreparedTransaction, PreparedTransactions, ReadSet};
use crate::filter::Filter;
use crate::node::{NodeMetadata, node_id_from_json, parse_node_id};
use crate::record::{CommitHead, PartView, deleted_ids};
use crate::record_prepared::{CommitPrepared, KIND_PREPARE, KIND_READS, PrepareHead, RollbackPrepared};
use crate::rows::{
    CodebookPlace, Columns, IdFilter, IdIndex, Ids, PayloadIndex, PayloadReader, RawSample, TextIndex,
    read_codebooks, read_groups,
};

/// A decoder, by the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 15] = [
    ("record", record),
    ("prepared", prepared),
    ("metadata", metadata),
    ("ids", ids),
    ("id_filter", id_filter),
    ("columns", columns),
    ("payload", payload),
    ("payload_index", payload_index),
    ("text", text),
    ("codebooks", codebooks),
    ("codes", codes),
    ("raw_sample", raw_sample),
    ("index", index),
    ("json", json),
    ("backup", crate::backup::decode_any),
];

/// Filters of every sort of condition.
const FILTERS: &str = r#"[
    {}, {"language":"rust"}, {"kind":{"in":["function","method"]}}, {"start_line":{"gte":1,"lt":9}},
    {"end_line":{"gt":2}}, {"path":{"prefix":"src/"}}, {"path":{"glob":"**/*.rs"}}, {"path":"src/a.rs"},
    {"attributes.a":1}, {"attributes.a":{"lte":2.5}}, {"attributes.b":{"in":["x",true]}},
    {"and":[{"language":"rust"},{"path":{"prefix":"s"}}]}, {"or":[{"kind":"function"},{"name":"f"}]},
    {"not":{"language":"rust"}}, {"not":{"attributes.b":true}}
]"#;

/// A number of rows from the front, and the rest.
fn rows_and(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (rows, rest) = bytes.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_le_bytes(*rows)), rest))
}

/// A record of the log: one byte of kind, two of dimension, the payload.
pub fn record(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let Some((dimension, payload)) = rows_and(rest) else { return };
    let _ = wire::decode::<CommitHead>(payload);
    let _ = (wire::decode::<CommitPrepared>(payload), wire::decode::<RollbackPrepared>(payload));
    let prepared = wire::decode::<PrepareHead>(payload);
    if let (KIND_PREPARE, Ok(head)) = (u16::from(*kind), prepared) {
        let _ = PreparedTransaction::from_records(head, Lsn(0), Vec::new(), dimension.max(1));
    }
    if u16::from(*kind) == KIND_READS
        && let Ok(reads) = ReadSet::decode(payload)
    {
        let encoded = reads.encode().expect("what was decoded can be encoded");
        let again = ReadSet::decode(&encoded).and_then(|again| again.encode());
        assert_eq!(again.ok(), Some(encoded), "a read set does not survive");
    }
    match PartView::parse(u16::from(*kind), payload, dimension.max(1)) {
        Ok(Some(PartView::Rows(view))) => {
            let mut rows = 0;
            for row in view.iter() {
                assert_eq!(row.metadata.len(), row.head.metadata_bytes as usize);
                let _ = NodeMetadata::decode(row.metadata);
                rows += 1;
            }
            assert_eq!(rows, view.len(), "a row was left out");
        }
        Ok(Some(PartView::Deletes(ids))) => {
            assert_eq!(deleted_ids(ids).count() * size_of::<NodeId>(), ids.len())
        }
        _ => {}
    }
}

/// What a manifest keeps of prepared transactions: two bytes of dimension, then pieces, each led by its length in two bytes.
/// What passes the checks survives another round.
pub fn prepared(bytes: &[u8]) {
    let Some((dimension, mut rest)) = rows_and(bytes) else { return };
    let mut kept = Vec::new();
    while let Some((len, behind)) = rows_and(rest) {
        let (piece, behind) = behind.split_at(len.min(behind.len()));
        kept.push(piece.to_vec());
        rest = behind;
    }
    let Ok(all) = PreparedTransactions::from_manifest(&kept, dimension.max(1)) else { return };
    let Ok(again) = all.to_manifest() else { return };
    let read = PreparedTransactions::from_manifest(&again, dimension.max(1));
    assert_eq!(read.and_then(|read| read.to_manifest()).ok(), Some(again));
}

/// Encoded metadata of a row. What passes the checks survives another round.
pub fn metadata(bytes: &[u8]) {
    let Ok(metadata) = NodeMetadata::decode(bytes) else { return };
    if let Ok(encoded) = metadata.encode() {
        assert_eq!(NodeMetadata::decode(&encoded).ok().as_ref(), Some(&metadata));
        assert_eq!(NodeMetadata::from_json(&metadata.to_json()).ok(), Some(metadata));
    }
}

/// Sections *ids* and *id index*, of as many rows as the first two bytes say.
pub fn ids(bytes: &[u8]) {
    let Some((rows, bytes)) = rows_and(bytes) else { return };
    let (first, second) = bytes.split_at((rows * size_of::<NodeId>()).min(bytes.len()));
    let (Ok(ids), Ok(index)) = (Ids::open(first, rows), IdIndex::open(second, rows)) else { return };
    let sound = index.verify(&ids).is_ok();
    for ordinal in 0..rows as RowOrdinal {
        let id = ids.get(ordinal).expect("within the section");
        for near in [id, id.wrapping_add(1), id.wrapping_sub(1)] {
            if let Ok(Some(found)) = index.lookup(&ids, near) {
                assert_eq!(ids.get(found).ok(), Some(near));
            }
        }
        assert!(!sound || matches!(index.lookup(&ids, id), Ok(Some(_))));
    }
}

/// Section *id filter*.
pub fn id_filter(bytes: &[u8]) {
    let Ok(filter) = IdFilter::open(bytes) else { return };
    for id in [0, 1, NodeId::MAX, 1 << 64] {
        let _ = filter.may_contain(id);
    }
}

/// Section *row metadata*, of as many rows as the first two bytes say.
pub fn columns(bytes: &[u8]) {
    let Some((rows, bytes)) = rows_and(bytes) else { return };
    let Ok(columns) = Columns::open(bytes, rows) else { return };
    for ordinal in 0..=rows as RowOrdinal {
        if let Ok(row) = columns.get(ordinal) {
            assert!(row.seqno <= columns.max_seqno() && (ordinal as usize) < rows);
        }
    }
    let _ = (columns.norms().map(|norms| norms.len()), columns.checksum_sum());
}

/// Section *payload*, of as many rows as the first two bytes say.
pub fn payload(bytes: &[u8]) {
    let Some((rows, bytes)) = rows_and(bytes) else { return };
    let Ok(reader) = PayloadReader::open(bytes, rows) else { return };
    let mut last = None;
    for ordinal in 0..rows as RowOrdinal {
        let Ok(block) = reader.locate(ordinal) else { continue };
        if last.replace(block) == Some(block) {
            continue; // One row a block: decompressing is what takes the time.
        }
        let Ok(compressed) = reader.block_range(block) else { continue };
        if let Ok(decoded) = reader.decode_block(block, &bytes[compressed]) {
            decoded.row(ordinal).map(NodeMetadata::decode);
        }
    }
}

/// Section *payload index*, of as many rows as the first two bytes say.
pub fn payload_index(bytes: &[u8]) {
    let Some((rows, bytes)) = rows_and(bytes) else { return };
    let Ok(index) = PayloadIndex::open(bytes, rows) else { return };
    let filters: Vec<Value> = serde_json::from_str(FILTERS).expect("JSON");
    for filter in &filters {
        let filter = Filter::from_json(filter).expect("a filter");
        if let Ok(candidates) = index.evaluate(&filter, &|_| Ok(None)) {
            assert!(candidates.bitmap.max().is_none_or(|row| (row as usize) < rows));
            assert!(candidates.unsure.is_subset(&candidates.bitmap));
        }
    }
    let _ = (index.rows_of_path("src/a.rs"), index.rows_without_path());
    let _ = index.each_path("s", |_, rows| {
        assert!(rows.end <= index.rows());
        Ok(())
    });
}

/// Section *text*, of as many rows as the first two bytes say.
pub fn text(bytes: &[u8]) {
    let Some((rows, bytes)) = rows_and(bytes) else { return };
    let Ok(text) = TextIndex::open(bytes, rows) else { return };
    let _ = text.verify();
    assert!(text.lengths().is_ok_and(|lengths| lengths.len() == rows));
    for term in ["f", "a", "=f1", "/a.rs", "pars"] {
        let Ok(Some(mut postings)) = text.find(term) else { continue };
        let mut last = None;
        while let Ok(Some((row, count))) = text.step(&mut postings) {
            assert!((row as usize) < rows && count > 0 && last.is_none_or(|last| last < row));
            last = Some(row);
        }
    }
}

/// Section *codebooks*. What is a codebook is one again.
pub fn codebooks(bytes: &[u8]) {
    let Ok(places) = read_codebooks(&bytes) else { return };
    for CodebookPlace { id, report, bytes: place } in places {
        let bytes = &bytes[place];
        let Ok(codec) = codegraph_vector_ann::codec::read(bytes) else { continue };
        let trained = TrainedCodec::read(id, report, bytes, codec.dim());
        assert_eq!(trained.is_ok(), xxhash_rust::xxh3::xxh3_128(bytes) == id.0);
    }
}

/// Section *codes*, of as many rows as the first two bytes say. Each row is in one group.
pub fn codes(bytes: &[u8]) {
    let Some((rows, bytes)) = rows_and(bytes) else { return };
    let Ok(groups) = read_groups(&bytes, rows) else { return };
    let mut seen = vec![0; rows];
    for group in &groups {
        assert!(bytes.get(group.codes.clone()).is_some());
        match &group.ordinals {
            None => seen.iter_mut().for_each(|times| *times += 1),
            Some(range) => {
                let ordinals = bytes[range.clone()].as_chunks().0;
                assert_eq!(ordinals.len(), group.rows as usize);
                ordinals.iter().for_each(|ordinal| seen[u32::from_le_bytes(*ordinal) as usize] += 1);
            }
        }
    }
    assert!(seen.iter().all(|times| *times == 1));
}

/// Section *raw sample*, of a segment of as many rows as the first two bytes say, of the dimension that it says itself.
pub fn raw_sample(bytes: &[u8]) {
    let Some((rows, bytes)) = rows_and(bytes) else { return };
    let dimension =
        bytes.get(8..).and_then(|rest| rest.first_chunk()).map_or(1, |four| u32::from_le_bytes(*four));
    let Ok(sample) = RawSample::open(&bytes, rows, dimension as usize) else { return };
    if let (Ok(ordinals), Ok(vectors)) = (sample.ordinals(&bytes), sample.vectors(&bytes)) {
        assert_eq!(ordinals.len() * dimension as usize, vectors.len());
        assert!(ordinals.iter().all(|ordinal| (*ordinal as usize) < rows));
    }
}

/// Section *index*. What opens can be searched, and gives rows that it has, each at most once.
pub fn index(bytes: &[u8]) {
    const MOST_NUMBERS: usize = 1 << 20;
    // In a segment it lies at a multiple of 64.
    let mut aligned = vec![0_u128; bytes.len().div_ceil(size_of::<u128>())];
    let bytes = {
        let copy: &mut [u8] = bytemuck::cast_slice_mut(&mut aligned);
        copy[..bytes.len()].copy_from_slice(bytes);
        &copy[..bytes.len()]
    };
    let Ok(index) = VectorIndex::open(bytes) else { return };
    assert!(index.dim() < MOST_NUMBERS && index.rows() < MOST_NUMBERS, "no more than there are bytes");
    let vector: Vec<f32> = (0..index.dim()).map(|at| (at as f32).cos()).collect();
    let queries = [index.prepare(&vector), index.prepare(&vec![0.0; index.dim()])];
    let mut tops = [TopK::new(5), TopK::new(index.rows() + 1)];
    let admit = |query, row: u32| (query == 0 || row.is_multiple_of(2)).then_some(row);
    index.search(bytes, &queries, &[3, index.rows()], admit, &mut tops);
    for top in tops {
        let mut rows: Vec<u32> = top.into_sorted().into_iter().map(|hit| hit.key).collect();
        let count = rows.len();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), count, "a row was found twice");
        assert!(rows.iter().all(|row| (*row as usize) < index.rows()));
    }
    let mut top = TopK::new(3);
    index.score_listed(bytes, &queries[0], 0..index.rows() as u32, Some, &mut top);
    assert_eq!(top.len(), index.rows().min(3));
}

/// JSON from outside: a filter, metadata or an id.
pub fn json(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = parse_node_id(text);
    }
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let _ = node_id_from_json(&value);
    if let Ok((_, metadata)) = NodeMetadata::from_json_with_id(&value) {
        metadata.to_json();
    }
    if let Ok(filter) = Filter::from_json(&value) {
        let again = filter.to_json().and_then(|json| Filter::from_json(&json));
        assert!(again.is_ok(), "{filter:?} does not survive its own JSON: {again:?}");
        let _ = again.map(|again| again.matches(1, &NodeMetadata::default()));
    }
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
