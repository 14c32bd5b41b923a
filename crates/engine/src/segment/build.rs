//! Writes a segment from rows that come in (path, id) order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::{mem, panic, thread};

use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_base::{NodeId, Result, RowChecksumSum, RowOrdinal, SegmentId, SeqNo, StoreId};
use codegraph_vector_storage::manifest::SegmentRef;
use codegraph_vector_storage::{LOSSY_VECTORS, SectionKind, SegmentFileRef, SegmentWriter, StoreLayout};

use half::f16;

use super::build_index::{self, IndexPlan};
use super::build_vectors;
use super::section::kind;
use crate::compression::{Encoding, Keep, TrainedCodec};
use crate::node::NodeMetadata;
use crate::rows::{
    PayloadIndexBuilder, PayloadWriter, RowColumns, Sink, TextIndexBuilder, write_columns, write_id_filter,
    write_id_index, write_ids,
};

/// A row that goes into a segment. Vector and metadata stay where they are until they are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BuildRow<S> {
    pub(crate) id: NodeId,
    pub(crate) columns: RowColumns,
    /// Where the row comes from.
    pub(crate) source: S,
}

/// Where the vectors and metadata of rows are. All of it is held against its checksum.
pub(crate) trait RowSource<S> {
    /// What there is of a row's vector.
    fn keep(&self, source: S) -> Keep;

    /// Hands the vector of a row to `read`.
    fn vector(&self, source: S, read: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()>;

    /// Hands the half floats of a row that is kept so to `read`.
    fn half(&self, source: S, read: &mut dyn FnMut(&[f16]) -> Result<()>) -> Result<()>;

    /// What the code of a row was made by, if it has a code.
    fn codec(&self, source: S) -> Result<Option<&Arc<TrainedCodec>>>;

    /// Puts the code of a row that has one in place of what is in `code`.
    fn code(&self, source: S, code: &mut Vec<u8>) -> Result<()>;

    /// Whether there is more of the row's vector than a code, or it is in a sample.
    fn has_raw(&self, source: S) -> bool;

    /// Hands the vector of such a row to `read`.
    fn raw(&self, source: S, read: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()>;

    /// Hands the encoded metadata of a row to `read`.
    fn metadata(&self, source: S, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;
}

/// What a segment is built from.
pub(crate) struct Plan<'a, S> {
    pub(crate) vfs: &'a dyn Vfs,
    pub(crate) layout: &'a StoreLayout,
    pub(crate) store: StoreId,
    pub(crate) id: SegmentId,
    /// The SeqNo at which the rows were read.
    pub(crate) base_seqno: SeqNo,
    pub(crate) dimension: usize,
    /// How vectors are written.
    pub(crate) encoding: Encoding,
    /// The index, if there is to be one.
    pub(crate) index: Option<IndexPlan<'a>>,
    /// In (path, id) order, at least one.
    pub(crate) rows: &'a [BuildRow<S>],
}

/// Writes the segment, complete and durable, and says what the manifest has to know of it.
pub(crate) fn build<S: Copy + Sync>(
    plan: &Plan<'_, S>,
    source: &(dyn RowSource<S> + Sync),
) -> Result<SegmentRef> {
    let required = if plan.encoding.keep == Keep::Full { 0 } else { LOSSY_VECTORS };
    let mut writer = SegmentWriter::create_requiring(plan.vfs, plan.layout, plan.store, plan.id, required)?;
    let ids: Vec<NodeId> = plan.rows.iter().map(|row| row.id).collect();
    section(&mut writer, kind::IDS, |sink| write_ids(ids.iter().copied(), sink))?;
    section(&mut writer, kind::ID_INDEX, |sink| write_id_index(&ids, sink))?;
    section(&mut writer, kind::ID_FILTER, |sink| write_id_filter(&ids, sink))?;
    drop(ids);
    section(&mut writer, kind::ROW_METADATA, |sink| {
        write_columns(plan.rows.iter().map(|row| row.columns), sink)
    })?;
    let (index, text) = match &plan.index {
        None => {
            build_vectors::write(&mut writer, plan, source)?;
            writer.begin(kind::PAYLOAD)?;
            let mut text = TextIndexBuilder::default();
            let mut put = |bytes: &[u8]| writer.write(bytes);
            let index = write_payload(plan, source, &mut put, &mut |metadata| text.push(&metadata))?;
            writer.end()?;
            (index, text)
        }
        Some(of_vectors) => write_beside_index(&mut writer, plan, of_vectors, source)?,
    };
    section(&mut writer, kind::PAYLOAD_INDEX, |sink| index.finish(sink))?;
    section(&mut writer, kind::TEXT, |sink| text.finish(sink))?;
    Ok(info(plan, writer.finish()?))
}

/// Rows whose metadata is handed to another thread at once, and how often that may be before it is taken.
const BATCH_ROWS: usize = 1024;
const BATCHES: usize = 4;

/// Vectors, their index and the payload. Index and text are made by other threads meanwhile, which touch no file; what the
/// payload comes to is held until it can be written behind the index.
fn write_beside_index<S: Copy + Sync>(
    writer: &mut SegmentWriter<'_>,
    plan: &Plan<'_, S>,
    index: &IndexPlan<'_>,
    source: &(dyn RowSource<S> + Sync),
) -> Result<(PayloadIndexBuilder, TextIndexBuilder)> {
    let failed = AtomicBool::new(false);
    let mut payload = Vec::new();
    let (of_payload, text, index) = thread::scope(|scope| {
        let stop = || failed.load(Ordering::Relaxed) || (index.stop)();
        let indexing = scope.spawn(move || build_index::make(plan, index, source, &stop));
        let (batches, taken) = mpsc::sync_channel::<Vec<NodeMetadata>>(BATCHES);
        let texting = scope.spawn(move || -> Result<TextIndexBuilder> {
            let mut text = TextIndexBuilder::default();
            taken.into_iter().flatten().try_for_each(|metadata| text.push(&metadata))?;
            Ok(text)
        });
        let made = build_vectors::write(writer, plan, source).and_then(|()| {
            let mut batch = Vec::new();
            // If nobody takes a batch, it is because the text failed, which is told below.
            let hand_over = |batch: &mut Vec<NodeMetadata>| drop(batches.send(mem::take(batch)));
            let mut put = |bytes: &[u8]| {
                payload.extend_from_slice(bytes);
                Ok(())
            };
            let made = write_payload(plan, source, &mut put, &mut |metadata| {
                batch.push(metadata);
                if batch.len() == BATCH_ROWS {
                    hand_over(&mut batch);
                }
                Ok(())
            })?;
            hand_over(&mut batch);
            Ok(made)
        });
        drop(batches);
        failed.store(made.is_err(), Ordering::Relaxed);
        let text = texting.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        let index = indexing.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        made.and_then(|made| Ok((made, text?, index?)))
    })?;
    writer.section(kind::INDEX, &index)?;
    writer.section(kind::PAYLOAD, &payload)?;
    Ok((of_payload, text))
}

/// The payload, and what is found out about it for the section behind it. The metadata of each row goes on to `next`.
fn write_payload<S: Copy>(
    plan: &Plan<'_, S>,
    source: &dyn RowSource<S>,
    sink: &mut Sink<'_>,
    next: &mut dyn FnMut(NodeMetadata) -> Result<()>,
) -> Result<PayloadIndexBuilder> {
    let mut index = PayloadIndexBuilder::new();
    let mut payload = PayloadWriter::new(sink);
    for (ordinal, row) in plan.rows.iter().enumerate() {
        source.metadata(row.source, &mut |encoded| {
            let metadata = NodeMetadata::decode(encoded)?;
            index.push(ordinal as RowOrdinal, &metadata)?;
            payload.push(encoded)?;
            next(metadata)
        })?;
    }
    payload.finish()?;
    Ok(index)
}

pub(super) fn section(
    writer: &mut SegmentWriter<'_>,
    kind: SectionKind,
    write: impl FnOnce(&mut Sink<'_>) -> Result<()>,
) -> Result<()> {
    writer.begin(kind)?;
    write(&mut |bytes| writer.write(bytes))?;
    writer.end()
}

fn info<S>(plan: &Plan<'_, S>, file: SegmentFileRef) -> SegmentRef {
    let mut checksum_sum = RowChecksumSum::default();
    let (mut min_seqno, mut max_seqno) = (SeqNo::MAX, SeqNo(0));
    for row in plan.rows {
        checksum_sum += row.columns.checksum;
        min_seqno = min_seqno.min(row.columns.seqno);
        max_seqno = max_seqno.max(row.columns.seqno);
    }
    SegmentRef {
        id: plan.id,
        origin: plan.store,
        file,
        rows: plan.rows.len() as u32,
        checksum_sum,
        min_seqno,
        max_seqno,
        base_seqno: plan.base_seqno,
        deaths: None,
    }
}
