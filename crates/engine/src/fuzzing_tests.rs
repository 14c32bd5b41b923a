//! The checked-in corpus of the fuzz targets, replayed; and where its seeds come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector_ann::Metric;
use codegraph_vector_ann::codec::{self, CodecReport, TrainControl};
use codegraph_vector_ann::index::{self, IndexKind, IndexSource, IndexSpec};
use codegraph_vector_base::{Result, RowChecksum, SeqNo, TxnId, wire};
use codegraph_vector_testkit::corpus::{self, Seeds};

use super::*;
use crate::consistency::{IsolationLevel, Predicate};
use crate::node::CodeNode;
use crate::record::{KIND_COMMIT, KIND_DELETES, KIND_ROWS, NewRow, Parts, RowHead};
use crate::record_prepared::{Decision, KIND_COMMIT_PREPARED, KIND_ROLLBACK_PREPARED};
use crate::rows::{
    PayloadIndexBuilder, PayloadWriter, RowColumns, Sink, TextIndexBuilder, padding, place_groups,
    write_codebooks, write_columns, write_groups, write_id_filter, write_id_index, write_ids,
    write_sample_head,
};
use crate::store::{ScoreKind, SearchRequest, SearchResults};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

#[test]
fn the_corpus_is_replayed() {
    corpus::replay(&folder(), &TARGETS);
}

#[test]
fn every_seed_cut_short_or_changed_is_survived() {
    corpus::damage(&TARGETS, seeds());
}

fn written(write: impl FnOnce(&mut Sink<'_>) -> Result<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut |part| {
        bytes.extend_from_slice(part);
        Ok(())
    })
    .expect("written");
    bytes
}

fn with_rows(rows: usize, section: &[u8]) -> Vec<u8> {
    [&(rows as u16).to_le_bytes(), section].concat()
}

/// Metadata with something in every field, or nothing.
fn some_metadata(number: usize) -> NodeMetadata {
    if number == 0 {
        return NodeMetadata::default();
    }
    let language = ["rust", "python"][number % 2];
    let terms = number.is_multiple_of(2).then(|| "parse a text text".to_owned());
    CodeNode { terms, ..CodeNode::default() }
        .with_path(format!("src/{}.rs", ["a", "b", "deep/er"][number / 4 % 3]))
        .with_name(format!("f{number}"))
        .with_kind("function")
        .with_language(language)
        .with_lines(number as u32, 2 * number as u32)
        .with_content_hash("0123456789abcdef")
        .with_attribute("a", number as i64)
        .with_attribute("b", number.is_multiple_of(3))
        .with_attribute("c", number as f64 / 3.0)
        .with_attribute("d", "text")
        .metadata()
}

fn records() -> Vec<Vec<u8>> {
    let metadata: Vec<_> = (0..3).map(|number| some_metadata(number).encode().expect("encoded")).collect();
    let row = |(number, metadata): (usize, &Vec<u8>)| RowHead {
        id: number as NodeId,
        created_us: 5,
        norm: 1.5,
        metadata_bytes: metadata.len() as u32,
        checksum: RowChecksum { vector: 1, metadata: 2 },
    };
    let rows = metadata.iter().enumerate().map(|row_of| NewRow {
        head: row(row_of),
        vector: &[0.5; 4],
        metadata: row_of.1,
    });
    let parts = Parts::new(rows.collect(), &[7, 8, 9], 1 << 20, u64::MAX).expect("parts");
    let commit = parts.head(SeqNo(3), 77);
    let (txn, reads) = (TxnId(9), some_reads().encode().expect("encoded"));
    let prepare = PrepareHead {
        txn,
        level: 3,
        snapshot: SeqNo(2),
        prepared_us: 5,
        parts: 0,
        rows: 0,
        deletes: 0,
        read_bytes: 0,
    };
    let ends = [
        (KIND_COMMIT, wire::encode(&commit)),
        (KIND_PREPARE, wire::encode(&prepare)),
        (KIND_COMMIT_PREPARED, wire::encode(&CommitPrepared { txn, commit })),
        (KIND_ROLLBACK_PREPARED, wire::encode(&RollbackPrepared { txn })),
        (KIND_READS, Ok(reads)),
    ];
    let ends = ends.into_iter().map(|(kind, payload)| (kind, payload.expect("encoded")));
    let all = parts.payloads().map(|(kind, pieces)| (kind, pieces.concat())).chain(ends);
    all.map(|(kind, payload)| [&[kind as u8, 4, 0][..], &payload].concat()).collect()
}

/// A read set with something of every kind.
fn some_reads() -> ReadSet {
    let mut reads = ReadSet::default();
    let rules = IsolationLevel::Serializable.rules();
    let filter = Filter::path("src/a.rs");
    reads.listed(rules, SeqNo(2), &filter, [3, 1 << 100].into_iter());
    reads.counted(rules, SeqNo(2), &Filter::everything());
    reads.watch(SeqNo(1), Predicate::Path("src/b.rs".to_owned()), Some([7].into_iter().collect()));
    let score_kind = ScoreKind::Cosine;
    let results =
        SearchResults { matches: Vec::new(), score_kind, seqno: SeqNo(2), exact: true, degraded: false };
    reads.searched(rules, SeqNo(2), &SearchRequest::new([0.5; 4], 3), &results);
    reads
}

/// What a manifest keeps of one transaction in doubt and two that were decided.
fn prepared_of() -> Vec<u8> {
    let metadata = some_metadata(1).encode().expect("encoded");
    let head = RowHead {
        id: 1,
        created_us: 0,
        norm: 1.0,
        metadata_bytes: metadata.len() as u32,
        checksum: RowChecksum { vector: 1, metadata: 2 },
    };
    let row = NewRow { head, vector: &[0.5; 4], metadata: &metadata };
    let parts = Parts::new(vec![row], &[7], 1 << 20, u64::MAX).expect("parts");
    let mut all = PreparedTransactions::default();
    for (id, decision) in [(4, Some(Some(SeqNo(3)))), (5, Some(None)), (6, None)] {
        let who = (TxnId(id), IsolationLevel::Serializable, SeqNo(2));
        let transaction = PreparedTransaction::new(who, 5, &parts, some_reads(), 4).expect("made");
        all.prepare(Arc::new(transaction)).expect("prepared");
        let decide = |commit| all.decide(Decision { txn: TxnId(id), commit, lsn: Lsn(80) }).map(|_| ());
        decision.map_or(Ok(()), decide).expect("decided");
    }
    let pieces = all.to_manifest().expect("kept");
    let pieces = pieces.iter().flat_map(|piece| with_rows(piece.len(), piece)).collect::<Vec<_>>();
    with_rows(4, &pieces)
}

fn payload_and_index(rows: &[NodeMetadata]) -> (Vec<u8>, Vec<u8>) {
    let payload = written(|sink| {
        let mut writer = PayloadWriter::new(sink);
        rows.iter().try_for_each(|row| writer.push(&row.encode()?))?;
        writer.finish().map(|_| ())
    });
    let mut builder = PayloadIndexBuilder::new();
    for (ordinal, row) in rows.iter().enumerate() {
        builder.push(ordinal as RowOrdinal, row).expect("indexed");
    }
    (payload, written(|sink| builder.finish(sink)))
}

fn text_of(rows: &[NodeMetadata]) -> Vec<u8> {
    let mut builder = TextIndexBuilder::default();
    rows.iter().for_each(|row| builder.push(row).expect("few rows"));
    with_rows(rows.len(), &written(|sink| builder.finish(sink)))
}

fn columns_of(rows: u64) -> Vec<u8> {
    let row = |number: u64| RowColumns {
        seqno: SeqNo(9 + number),
        created_us: 1_700_000_000_000_000 + number * 1000,
        updated_us: u64::MAX - number,
        norm: number as f32,
        checksum: RowChecksum { vector: number, metadata: !number },
    };
    written(|sink| write_columns((0..rows).map(row), sink))
}

fn ids_of(ids: &[NodeId]) -> Vec<u8> {
    let mut bytes = written(|sink| write_ids(ids.iter().copied(), sink));
    bytes.extend(written(|sink| write_id_index(ids, sink)));
    with_rows(ids.len(), &bytes)
}

const SPECS: [&str; 2] = [
    "scalar:nbits=8,uniform=true,scope=global,brain=false",
    "scalar:nbits=4,uniform=true,scope=global,brain=false",
];

/// Sections with codebooks of these specs, of 4 dimensions.
fn codebooks_of(sections: &[&[&str]]) -> Vec<Vec<u8>> {
    let sample: Vec<f32> = (0..200).map(|at| (at as f32).sin()).collect();
    let train = |spec: &&str| {
        let codec = codec::train(&spec.parse().expect("a spec"), 4, &sample, &TrainControl::QUIET);
        let report = CodecReport {
            recall_at_10: 0.5,
            recall_at_10_reranked: 1.0,
            mean_squared_error: 0.25,
            rows: 50,
            held_out_queries: 7,
            real_queries: 3,
        };
        TrainedCodec::new(codec.expect("trained"), report)
    };
    let section = |specs: &&[&str]| {
        let trained: Vec<_> = specs.iter().map(train).collect();
        written(|sink| write_codebooks(trained.iter().map(|trained| &**trained), sink))
    };
    sections.iter().map(section).collect()
}

/// Codes of 3 bytes in groups of so many rows, dealt out in turn.
fn codes_of(groups: &[u32]) -> Vec<u8> {
    let rows: u32 = groups.iter().sum();
    let sizes = groups.iter().enumerate().filter(|(_, rows)| **rows > 0);
    let sizes: Vec<_> = sizes.map(|(number, rows)| (number as u32, *rows, 3 * *rows as usize)).collect();
    let places = place_groups(&sizes);
    let mut bytes = written(|sink| write_groups(&places, sink));
    let mut left: Vec<_> = groups.to_vec();
    let mut ordinals = vec![Vec::new(); groups.len()];
    let mut next = 0;
    while next < rows {
        for (left, ordinals) in left.iter_mut().zip(&mut ordinals).filter(|(left, _)| **left > 0) {
            *left -= 1;
            ordinals.push(next);
            next += 1;
        }
    }
    for place in &places {
        if let Some(range) = &place.ordinals {
            let of_group = &ordinals[place.codebook as usize];
            bytes.extend(of_group.iter().flat_map(|ordinal| ordinal.to_le_bytes()));
            bytes.extend_from_slice(padding(range.end));
        }
        bytes.resize(place.codes.start, 0);
        bytes.extend(place.codes.clone().map(|at| at as u8));
        bytes.extend_from_slice(padding(bytes.len()));
    }
    with_rows(rows as usize, &bytes)
}

fn sample_of(rows: u32, dimension: usize) -> Vec<u8> {
    let ordinals: Vec<_> = (0..rows).map(|row| 2 * row + 1).collect();
    let mut bytes = written(|sink| write_sample_head(&ordinals, dimension, sink));
    bytes.extend((0..rows as usize * dimension).flat_map(|number| (number as f32).to_le_bytes()));
    with_rows(2 * rows as usize, &bytes)
}

/// Rows of 4 dimensions to index.
struct IndexRows {
    directions: Vec<f32>,
    norms: Vec<f32>,
}

impl IndexSource for IndexRows {
    type Error = std::convert::Infallible;

    fn rows(&self) -> usize {
        self.norms.len()
    }

    fn directions(
        &self,
        rows: std::ops::Range<usize>,
        out: &mut [f32],
    ) -> std::result::Result<(), Self::Error> {
        out.copy_from_slice(&self.directions[4 * rows.start..4 * rows.end]);
        Ok(())
    }

    fn norms(&self) -> &[f32] {
        &self.norms
    }
}

/// An index of so many rows.
fn index_of(kind: IndexKind, metric: Metric, rows: usize) -> Vec<u8> {
    let vectors: Vec<f32> = (0..4 * rows).map(|at| (at as f32 * 1.7).sin()).collect();
    let norms: Vec<f32> = vectors.chunks(4).map(codegraph_vector_ann::norm).collect();
    let mut directions = vec![0.0; vectors.len()];
    codec::directions(&vectors, &norms, &mut directions);
    let (spec, rows) = (IndexSpec::new(kind), IndexRows { directions, norms });
    index::build(&spec, metric, 4, &rows, &[], None, &TrainControl::QUIET).expect("built")
}

/// Valid bytes for each target.
fn seeds() -> Seeds {
    let mut metadata: Vec<NodeMetadata> = (0..12).map(some_metadata).collect();
    metadata.sort_by(|a, b| a.path.cmp(&b.path));
    let (payload, index) = payload_and_index(&metadata);
    let (no_payload, no_index) = payload_and_index(&[]);
    let spread: Vec<NodeId> = (0..40).map(|at: u128| at * at * 0x1234_5678_9abc + 3).rev().collect();
    let filters: Vec<Value> = serde_json::from_str(FILTERS).expect("JSON");
    let mut json: Vec<Vec<u8>> = filters.iter().map(|filter| filter.to_string().into_bytes()).collect();
    json.push(some_metadata(3).to_json().to_string().into_bytes());
    json.push(b"018f3a52-7b1c-7def-8000-0123456789ab".to_vec());
    vec![
        ("record", records()),
        ("prepared", vec![with_rows(4, &[]), prepared_of()]),
        ("metadata", (0..4).map(|number| some_metadata(number).encode().expect("encoded")).collect()),
        ("ids", vec![ids_of(&[]), ids_of(&[7]), ids_of(&[9, 2, 5, NodeId::MAX]), ids_of(&spread)]),
        ("id_filter", vec![vec![], written(|sink| write_id_filter(&spread, sink))]),
        ("columns", [0, 1, 9].map(|rows| with_rows(rows as usize, &columns_of(rows))).to_vec()),
        ("payload", vec![with_rows(0, &no_payload), with_rows(12, &payload)]),
        ("payload_index", vec![with_rows(0, &no_index), with_rows(12, &index)]),
        ("text", vec![text_of(&[]), text_of(&metadata)]),
        (
            "codebooks",
            codebooks_of(&[&[], &["scalar:nbits=16,uniform=true,scope=dimension,brain=false"], &SPECS]),
        ),
        ("codes", vec![codes_of(&[0]), codes_of(&[70]), codes_of(&[3, 2]), codes_of(&[1, 64, 5])]),
        ("raw_sample", vec![sample_of(0, 3), sample_of(5, 3)]),
        (
            "index",
            vec![
                index_of(IndexKind::Ivf, Metric::Cosine, 70),
                index_of(IndexKind::Ivf, Metric::Euclidean, 5),
                index_of(IndexKind::Hnsw, Metric::Cosine, 1),
                index_of(IndexKind::Hnsw, Metric::Dot, 70),
            ],
        ),
        ("json", json),
        ("backup", crate::backup::samples()),
    ]
}

#[test]
#[ignore = "writes the seeds of the fuzz targets into the source tree"]
fn write_seeds() {
    assert_eq!((KIND_ROWS, KIND_DELETES), (16, 17), "the seeds name kinds by a byte");
    corpus::write(&folder(), seeds());
}
