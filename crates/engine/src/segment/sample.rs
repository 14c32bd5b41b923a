//! Segments for tests: built from rows at hand, on a simulated disk.

use std::sync::Arc;

use codegraph_vector_ann::codec::{self, CodecReport, TrainControl};
use codegraph_vector_ann::norm;
use codegraph_vector_base::{NodeId, Result, RowChecksum, RowOrdinal, SegmentId, SeqNo, StoreId};
use codegraph_vector_storage::manifest::SegmentRef;
use codegraph_vector_storage::{SectionKind, SegmentFile, SegmentWriter, StoreLayout};
use codegraph_vector_testkit::SimVfs;
use half::f16;

use super::{BuildRow, Plan, RowSource, Segment, build};
use crate::compression::{Encoding, Keep, TrainedCodec, direction};
use crate::node::NodeMetadata;
use crate::rows::RowColumns;

pub(super) const STORE: StoreId = StoreId([7; 16]);
pub(super) const ID: SegmentId = SegmentId(3);

/// Specs of scalar codecs, by their bits.
pub(super) fn spec(nbits: u8) -> String {
    format!("scalar:nbits={nbits},uniform=true,scope=global,brain=false")
}

/// A codec trained on directions, or vectors if it wants those.
pub(super) fn trained(spec: &str, dimension: usize, vectors: &[Vec<f32>]) -> Arc<TrainedCodec> {
    let spec: codec::CodecSpec = spec.parse().expect("a spec");
    let input = |vector: &Vec<f32>| match spec.input() {
        codec::Input::AsGiven => vector.clone(),
        codec::Input::Direction => direction(vector, norm(vector)).collect(),
    };
    let sample: Vec<f32> = vectors.iter().flat_map(input).collect();
    let codec = codec::train(&spec, dimension, &sample, &TrainControl::QUIET).expect("trained");
    let report = CodecReport {
        recall_at_10: 0.75,
        recall_at_10_reranked: 1.0,
        mean_squared_error: 0.5,
        rows: vectors.len() as u64,
        held_out_queries: 9,
        real_queries: 4,
    };
    TrainedCodec::new(codec, report)
}

/// Rows whose vectors are all at hand; row *i* has the id `id(i)`.
pub(super) struct Given(pub(super) Vec<Vec<f32>>);

/// The ids of the rows of a segment, and so the order of the rows.
pub(super) fn id(row: usize) -> NodeId {
    3 + 2 * row as NodeId
}

fn metadata(row: usize) -> Vec<u8> {
    let name = Some(format!("f{row}"));
    NodeMetadata { name, ..NodeMetadata::default() }.encode().expect("encoded")
}

impl RowSource<usize> for Given {
    fn keep(&self, _: usize) -> Keep {
        Keep::Full
    }

    fn vector(&self, row: usize, read: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        read(&self.0[row])
    }

    fn half(&self, _: usize, _: &mut dyn FnMut(&[f16]) -> Result<()>) -> Result<()> {
        unreachable!("rows at hand are kept in full")
    }

    fn codec(&self, _: usize) -> Result<Option<&Arc<TrainedCodec>>> {
        Ok(None)
    }

    fn code(&self, _: usize, _: &mut Vec<u8>) -> Result<()> {
        unreachable!("rows at hand have no codes")
    }

    fn has_raw(&self, _: usize) -> bool {
        true
    }

    fn raw(&self, row: usize, read: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        self.vector(row, read)
    }

    fn metadata(&self, row: usize, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        read(&metadata(row))
    }
}

pub(super) fn layout() -> StoreLayout {
    StoreLayout::new("/store")
}

pub(super) fn folder() -> SimVfs {
    let sim = SimVfs::new(1);
    layout().create_dirs(&sim).expect("folders");
    sim
}

/// Rows to build a segment from, wherever they are read.
pub(super) fn rows_of(vectors: &[Vec<f32>]) -> Vec<BuildRow<usize>> {
    let row = |(row, vector): (usize, &Vec<f32>)| {
        let checksum = RowChecksum::of(id(row), bytemuck::cast_slice(vector), &metadata(row));
        let seqno = SeqNo(1 + row as u64);
        let columns = RowColumns { seqno, created_us: 5, updated_us: 6, norm: norm(vector), checksum };
        BuildRow { id: id(row), columns, source: row }
    };
    vectors.iter().enumerate().map(row).collect()
}

/// Builds the segment [`ID`].
pub(super) fn build_from(
    sim: &SimVfs,
    rows: &[BuildRow<usize>],
    source: &(dyn RowSource<usize> + Sync),
    dimension: usize,
    encoding: Encoding,
) -> Result<SegmentRef> {
    let plan = Plan {
        vfs: sim,
        layout: &layout(),
        store: STORE,
        id: ID,
        base_seqno: SeqNo(1000),
        dimension,
        encoding,
        index: None,
        rows,
    };
    build(&plan, source)
}

pub(super) fn open(sim: &SimVfs, info: &SegmentRef, dimension: usize) -> Result<Segment> {
    Segment::open(sim, &layout(), STORE, info, dimension)
}

/// A segment of these vectors, in a file system of its own.
pub(super) fn segment_of(
    vectors: &[Vec<f32>],
    keep: Keep,
    codec: Option<&Arc<TrainedCodec>>,
) -> (SimVfs, SegmentRef) {
    let sim = folder();
    let encoding = Encoding { keep, codec: codec.cloned() };
    let source = Given(vectors.to_vec());
    let info = build_from(&sim, &rows_of(vectors), &source, vectors[0].len(), encoding).expect("built");
    (sim, info)
}

/// The file written anew with one byte of a section changed, so that every checksum of storage's fits again.
pub(super) fn resealed(
    sim: &SimVfs,
    info: &SegmentRef,
    kind: SectionKind,
    at: usize,
) -> (SimVfs, SegmentRef) {
    let path = layout().segment_path(ID);
    let file = SegmentFile::open(sim, &path, STORE, ID, &info.file).expect("opened");
    let other = folder();
    let mut writer = SegmentWriter::create(&other, &layout(), STORE, ID).expect("created");
    for section in file.sections() {
        let mut bytes = section.bytes_all().expect("sound").to_vec();
        if section.kind() == kind {
            bytes[at] ^= 0x40;
        }
        writer.section(section.kind(), &bytes).expect("written");
    }
    let info = SegmentRef { file: writer.finish().expect("finished"), ..info.clone() };
    (other, info)
}

/// All rows' codes, by ordinal, and what they were made by.
pub(super) fn codes(segment: &Segment) -> Vec<(u128, Vec<u8>)> {
    let Some(reader) = segment.code_reader().expect("sound") else { return Vec::new() };
    let code = |row: RowOrdinal| {
        let mut code = Vec::new();
        let id = reader.read(row, &mut code).expect("sound").id;
        (id.0, code)
    };
    (0..segment.rows()).map(code).collect()
}
