//! Finding rows: by id, by path, by filter, at a SeqNo, over memtables and segments.

use std::sync::Arc;

use codegraph_vector_base::{Error, NodeId, Result, RowChecksum, RowOrdinal, SeqNo};

use super::core::Core;
use crate::filter::Filter;
use crate::memtable::{Chunk, MemRow, Memtable};
use crate::node::NodeMetadata;
use crate::rows::{Candidates, RowColumns};
use crate::segment::{Kept, MetadataReader, Segment};
use crate::version::Version;

/// A row, out of wherever it was.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: NodeId,
    pub(crate) columns: RowColumns,
    pub(crate) vector: Vec<f32>,
    /// The segment that it is in, and which row of it, if it is in one.
    pub(crate) place: Option<(Arc<Segment>, RowOrdinal)>,
    pub(crate) encoded: Box<[u8]>,
}

impl Row {
    /// The decoded metadata.
    pub(crate) fn metadata(&self) -> Result<Arc<NodeMetadata>> {
        NodeMetadata::decode(&self.encoded).map(Arc::new)
    }

    /// How its vector is kept.
    ///
    /// # Errors
    /// `Corrupt` if the codes of its segment are damaged.
    pub(crate) fn kept(&self) -> Result<Kept> {
        match &self.place {
            None => Ok(Kept::in_memory(self.vector.len())),
            Some((segment, ordinal)) => segment.kept(*ordinal),
        }
    }
}

/// The columns of a row in memory.
pub(crate) fn columns_of(row: &MemRow, norm: f32) -> RowColumns {
    let MemRow { seqno, created_us, updated_us, checksum, .. } = *row;
    RowColumns { seqno, created_us, updated_us, norm, checksum }
}

/// Holds a vector in memory against its checksum: memory has faults too.
pub(crate) fn check_memory(row: &MemRow, vector: &[f32]) -> Result<()> {
    if RowChecksum::of(row.id, bytemuck::cast_slice(vector), &row.encoded) == row.checksum {
        return Ok(());
    }
    let message = format!("node {} was damaged in memory; reopen the store", row.id);
    Err(Error::new(codegraph_vector_base::ErrorKind::Corrupt, message))
}

/// A row that matches. Its metadata is read when it is asked for.
pub(crate) struct MatchingRow<'a, 's> {
    pub(crate) id: NodeId,
    metadata: RowMetadata<'a, 's>,
}

enum RowMetadata<'a, 's> {
    InMemory(&'a NodeMetadata),
    InSegment { reader: &'a mut MetadataReader<'s>, ordinal: RowOrdinal, decoded: Option<NodeMetadata> },
}

impl MatchingRow<'_, '_> {
    /// The metadata, decoded once.
    pub(crate) fn metadata(&mut self) -> Result<&NodeMetadata> {
        match &mut self.metadata {
            RowMetadata::InMemory(metadata) => Ok(metadata),
            RowMetadata::InSegment { decoded: Some(metadata), .. } => Ok(metadata),
            RowMetadata::InSegment { reader, ordinal, decoded } => {
                Ok(decoded.insert(NodeMetadata::decode(reader.encoded(*ordinal)?)?))
            }
        }
    }
}

impl Core {
    /// The row of `id` that a reader at `seqno` sees.
    pub(crate) fn find_row(&self, version: &Version, seqno: SeqNo, id: NodeId) -> Result<Option<Row>> {
        for table in version.memtables() {
            let found = table.get(id, seqno, |row, vector, norm| {
                check_memory(row, vector)?;
                let columns = columns_of(row, norm);
                let (vector, encoded) = (vector.to_vec(), row.encoded.clone());
                Ok(Row { id, columns, vector, place: None, encoded })
            });
            if let Some(row) = found {
                return row.map(Some);
            }
        }
        for segment in version.segments.iter().rev() {
            if let Some(ordinal) = segment.find(id, seqno)? {
                return self.segment_row(segment, ordinal).map(Some);
            }
        }
        version.check_complete().map(|()| None)
    }

    /// A row of a segment.
    pub(crate) fn segment_row(&self, segment: &Arc<Segment>, ordinal: RowOrdinal) -> Result<Row> {
        Ok(Row {
            id: segment.id(ordinal)?,
            columns: segment.columns(ordinal)?,
            vector: segment.vector(ordinal)?.into_owned(),
            place: Some((segment.clone(), ordinal)),
            encoded: segment.encoded_metadata(ordinal, &self.caches())?,
        })
    }

    /// Whether a reader at `seqno` sees a row of `id`.
    pub(crate) fn contains(&self, version: &Version, seqno: SeqNo, id: NodeId) -> Result<bool> {
        Ok(self.columns(version, seqno, id)?.is_some())
    }

    /// What is known of the row of `id` that a reader at `seqno` sees, but for its vector and metadata.
    pub(crate) fn columns(&self, version: &Version, seqno: SeqNo, id: NodeId) -> Result<Option<RowColumns>> {
        let read = |table: &Arc<Memtable>| table.get(id, seqno, |row, _, norm| columns_of(row, norm));
        if let Some(columns) = version.memtables().find_map(read) {
            return Ok(Some(columns));
        }
        for segment in version.segments.iter().rev() {
            if let Some(ordinal) = segment.find(id, seqno)? {
                return segment.columns(ordinal).map(Some);
            }
        }
        version.check_complete().map(|()| None)
    }

    /// Ids of the rows under `path` that a reader at `seqno` sees. Costs in proportion to the rows
    /// that are or were under that path, not to the store.
    pub(crate) fn ids_of_path(&self, version: &Version, seqno: SeqNo, path: &str) -> Result<Vec<NodeId>> {
        version.check_complete()?;
        let mut ids: Vec<NodeId> =
            version.memtables().flat_map(|table| table.ids_of_path(path, seqno)).collect();
        for segment in &version.segments {
            for ordinal in segment.rows_of_path(path)? {
                if segment.visible_at(ordinal, seqno)? {
                    ids.push(segment.id(ordinal)?);
                }
            }
        }
        Ok(ids)
    }

    /// Ids of the rows that match a filter and that a reader at `seqno` sees, in no order.
    pub(crate) fn matching_ids(
        &self,
        version: &Version,
        seqno: SeqNo,
        filter: &Filter,
    ) -> Result<Vec<NodeId>> {
        let mut ids = Vec::new();
        self.each_match(version, seqno, filter, &mut |row| {
            ids.push(row.id);
            Ok(())
        })?;
        Ok(ids)
    }

    /// Visits each row that matches a filter and that a reader at `seqno` sees: those of the memtables in no order, those
    /// of each segment in its order. No lock is held meanwhile. The first error ends it.
    pub(crate) fn each_match(
        &self,
        version: &Version,
        seqno: SeqNo,
        filter: &Filter,
        visit: &mut dyn FnMut(&mut MatchingRow<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        filter.check()?;
        version.check_complete()?;
        let matching = |row: &&MemRow| row.visible_at(seqno) && filter.matches(row.id, &row.metadata);
        for table in version.memtables() {
            let of_open = |open: &Chunk| -> Vec<(NodeId, Arc<NodeMetadata>)> {
                open.rows.iter().filter(matching).map(|row| (row.id, row.metadata.clone())).collect()
            };
            let (open, full) = table.chunks_now(of_open);
            for (id, metadata) in &open {
                visit(&mut MatchingRow { id: *id, metadata: RowMetadata::InMemory(metadata) })?;
            }
            for row in full.iter().flat_map(|chunk| &chunk.rows).filter(matching) {
                visit(&mut MatchingRow { id: row.id, metadata: RowMetadata::InMemory(&row.metadata) })?;
            }
        }
        let caches = self.caches();
        for segment in &version.segments {
            let candidates = segment.candidates(filter)?;
            let mut reader = segment.metadata_reader(&caches);
            for ordinal in &candidates.bitmap {
                if !segment.visible_at(ordinal, seqno)? {
                    continue;
                }
                let id = segment.id(ordinal)?;
                let metadata = RowMetadata::InSegment { reader: &mut reader, ordinal, decoded: None };
                let mut row = MatchingRow { id, metadata };
                if !candidates.unsure.contains(ordinal) || filter.matches(id, row.metadata()?) {
                    visit(&mut row)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a candidate really matches.
    pub(crate) fn is_match(
        &self,
        segment: &Segment,
        ordinal: RowOrdinal,
        filter: &Filter,
        candidates: &Candidates,
    ) -> Result<bool> {
        if !candidates.unsure.contains(ordinal) {
            return Ok(true);
        }
        let metadata = NodeMetadata::decode(&segment.encoded_metadata(ordinal, &self.caches())?)?;
        Ok(filter.matches(segment.id(ordinal)?, &metadata))
    }
}
