//! Recent commits in memory, until a flush writes them into a segment.
//!
//! What always holds:
//! - rows are only appended; a row lives from its SeqNo to its death's, so a reader with a SeqNo
//!   sees the same rows for ever;
//! - rows lie in chunks; a full chunk never changes but for deaths, which are atomics, so readers
//!   scan it without a lock. Only the open chunk is read under one;
//! - there is one writer at a time, `apply`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use codegraph_vector_ann::index::{FreshRows, RowCoder};
use codegraph_vector_base::{NodeId, Result, RowChecksum, SeqNo};
use parking_lot::RwLock;

use crate::budget::Budget;
use crate::id_map::NodeIdMap;
use crate::node::NodeMetadata;
use crate::segment::{Text, make_text};

/// Rows of a chunk: few enough that a scan of the open one is over in microseconds.
const CHUNK_ROWS: usize = 256;
const NO_ROW: u32 = u32::MAX;
/// What a row costs beside its vector and its metadata, about, in bytes.
const ROW_OVERHEAD_BYTES: u64 = 320;

/// Memory that metadata takes which is so long when encoded, about, in bytes: its strings lie one by one, and the
/// attributes have a table that is large from the first on.
pub(crate) fn metadata_bytes(encoded: usize) -> u64 {
    3 * encoded as u64
}

/// A row in memory, but for its vector.
#[derive(Debug)]
pub(crate) struct MemRow {
    pub(crate) id: NodeId,
    pub(crate) seqno: SeqNo,
    pub(crate) created_us: u64,
    pub(crate) updated_us: u64,
    pub(crate) checksum: RowChecksum,
    pub(crate) metadata: Arc<NodeMetadata>,
    /// The metadata as it came, so that its checksum stays right.
    pub(crate) encoded: Box<[u8]>,
    death: AtomicU64,
    /// The row of the same id before this one, or `NO_ROW`.
    previous: u32,
}

impl MemRow {
    /// When the row died; [`SeqNo::MAX`] while it lives.
    pub(crate) fn death(&self) -> SeqNo {
        SeqNo(self.death.load(Ordering::Acquire))
    }

    /// Whether a reader at `seqno` sees the row.
    pub(crate) fn visible_at(&self, seqno: SeqNo) -> bool {
        self.seqno <= seqno && seqno < self.death()
    }
}

/// Up to [`CHUNK_ROWS`] rows.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) rows: Vec<MemRow>,
    /// Row-major, rows × dimension.
    pub(crate) vectors: Vec<f32>,
    pub(crate) norms: Vec<f32>,
    /// Codes of all rows, once the chunk is full and there is an index to take after.
    pub(crate) coded: OnceLock<CodedChunk>,
    /// Of a full chunk, once it was asked for.
    text: OnceLock<Text>,
}

/// The rows of a full chunk, coded.
#[derive(Debug)]
pub(crate) struct CodedChunk {
    pub(crate) coder: Arc<RowCoder>,
    pub(crate) rows: FreshRows,
}

impl Chunk {
    /// The index of the rows' texts. For a full chunk only: it is kept.
    ///
    /// # Errors
    /// Those of making it.
    pub(crate) fn text(&self) -> Result<Text> {
        if let Some(text) = self.text.get() {
            return Ok(text.clone());
        }
        let made = make_text(|builder| self.rows.iter().try_for_each(|row| builder.push(&row.metadata)))?;
        Ok(self.text.get_or_init(|| made).clone())
    }

    /// The vector of the row at `at`.
    pub(crate) fn vector(&self, at: usize) -> &[f32] {
        let dimension = self.vectors.len() / self.rows.len();
        &self.vectors[at * dimension..][..dimension]
    }
}

/// A row that `apply` puts.
#[derive(Debug)]
pub(crate) struct PutRow<'a> {
    pub(crate) id: NodeId,
    pub(crate) seqno: SeqNo,
    pub(crate) created_us: u64,
    pub(crate) updated_us: u64,
    pub(crate) norm: f32,
    pub(crate) checksum: RowChecksum,
    /// Little-endian f32.
    pub(crate) vector: &'a [u8],
    pub(crate) metadata: Arc<NodeMetadata>,
    pub(crate) encoded: &'a [u8],
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Memtable {
    inner: RwLock<Inner>,
    bytes: AtomicU64,
    /// What its bytes are charged to.
    budget: OnceLock<Arc<Budget>>,
    /// Full chunks, and those of them that have codes.
    full: AtomicUsize,
    coded: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    full: Vec<Arc<Chunk>>,
    open: Chunk,
    latest: NodeIdMap<u32>,
    paths: HashMap<String, Vec<u32>>,
}

impl Inner {
    fn rows(&self) -> usize {
        // All but the last are full; the last is not where a flush has closed it early.
        let closed = self.full.last().map_or(0, |last| (self.full.len() - 1) * CHUNK_ROWS + last.rows.len());
        closed + self.open.rows.len()
    }

    fn chunk(&self, row: u32) -> (&Chunk, usize) {
        let (chunk, at) = (row as usize / CHUNK_ROWS, row as usize % CHUNK_ROWS);
        (self.full.get(chunk).map_or(&self.open, |chunk| chunk), at)
    }

    fn row(&self, row: u32) -> &MemRow {
        let (chunk, at) = self.chunk(row);
        &chunk.rows[at]
    }
}

impl Memtable {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let (full, coded) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (bytes, budget) = (AtomicU64::new(0), OnceLock::new());
        Self { inner: RwLock::default(), bytes, budget, full, coded }
    }

    /// Charges what it takes, now and later, to a budget: for a memtable that nobody writes to yet.
    pub(crate) fn charge_to(&self, budget: &Arc<Budget>) {
        if self.budget.set(budget.clone()).is_ok() {
            budget.spend(self.bytes());
        }
    }

    /// Memory used, about, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// When the first row was committed, in µs since the Unix epoch.
    pub(crate) fn oldest_us(&self) -> Option<u64> {
        let inner = self.inner.read();
        let chunk = inner.full.first().map_or(&inner.open, |chunk| chunk);
        chunk.rows.first().map(|row| row.updated_us)
    }

    /// Rows put, dead ones included.
    pub(crate) fn rows(&self) -> usize {
        self.inner.read().rows()
    }

    /// Marks the live row of `id` dead from `seqno` on; `false` if there is none here.
    pub(crate) fn kill(&self, id: NodeId, seqno: SeqNo) -> Option<RowChecksum> {
        let inner = self.inner.read();
        let row = inner.row(*inner.latest.get(&id)?);
        if row.death() != SeqNo::MAX {
            return None;
        }
        row.death.store(seqno.0, Ordering::Release);
        Some(row.checksum)
    }

    /// Appends rows. The caller has killed what they replace, so this can't have a live one.
    pub(crate) fn put<'a>(&self, rows: impl Iterator<Item = PutRow<'a>>) {
        let mut inner = self.inner.write();
        let mut bytes = 0;
        for put in rows {
            bytes += put.vector.len() as u64 + metadata_bytes(put.encoded.len()) + ROW_OVERHEAD_BYTES;
            inner.put(put);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(budget) = self.budget.get() {
            budget.spend(bytes);
        }
        self.full.store(inner.full.len(), Ordering::Relaxed);
    }

    /// Full chunks that have no codes, about.
    pub(crate) fn uncoded_chunks(&self) -> usize {
        self.full.load(Ordering::Relaxed).saturating_sub(self.coded.load(Ordering::Relaxed))
    }

    /// Counts the chunks that have codes.
    pub(crate) fn count_coded(&self) {
        let coded = self.inner.read().full.iter().filter(|chunk| chunk.coded.get().is_some()).count();
        self.coded.store(coded, Ordering::Relaxed);
    }

    /// The row of `id` that a reader at `seqno` sees, given to `read` with its vector and norm.
    pub(crate) fn get<R>(
        &self,
        id: NodeId,
        seqno: SeqNo,
        read: impl FnOnce(&MemRow, &[f32], f32) -> R,
    ) -> Option<R> {
        let inner = self.inner.read();
        let mut at = *inner.latest.get(&id)?;
        while at != NO_ROW {
            let (chunk, place) = inner.chunk(at);
            let row = &chunk.rows[place];
            if row.visible_at(seqno) {
                return Some(read(row, chunk.vector(place), chunk.norms[place]));
            }
            at = row.previous;
        }
        None
    }

    /// Ids of the rows under `path` that a reader at `seqno` sees, in no order.
    pub(crate) fn ids_of_path(&self, path: &str, seqno: SeqNo) -> Vec<NodeId> {
        let inner = self.inner.read();
        let rows = inner.paths.get(path).map_or(&[][..], Vec::as_slice);
        rows.iter().map(|row| inner.row(*row)).filter(|row| row.visible_at(seqno)).map(|row| row.id).collect()
    }

    /// All rows of a memtable that takes no more, chunk by chunk.
    pub(crate) fn chunks(&self) -> Vec<Arc<Chunk>> {
        let mut inner = self.inner.write();
        if !inner.open.rows.is_empty() {
            let open = std::mem::take(&mut inner.open);
            inner.full.push(Arc::new(open));
        }
        inner.full.clone()
    }

    /// Rows that were live at `seqno` and died later, with their deaths.
    pub(crate) fn deaths_after(&self, seqno: SeqNo) -> Vec<(NodeId, SeqNo)> {
        let inner = self.inner.read();
        let rows = inner.full.iter().flat_map(|chunk| &chunk.rows).chain(&inner.open.rows);
        let died = rows.filter(|row| row.visible_at(seqno) && row.death() != SeqNo::MAX);
        died.map(|row| (row.id, row.death())).collect()
    }

    /// Visits every chunk of this moment; rows put later are in none of them. The open chunk comes
    /// first, since reading it holds writers up; the full ones are read without.
    pub(crate) fn each_chunk(&self, mut visit: impl FnMut(&Chunk)) {
        let ((), full) = self.chunks_now(&mut visit);
        full.iter().for_each(|chunk| visit(chunk));
    }

    /// What `read` makes of the open chunk, which holds writers up, and the full chunks of the same moment.
    pub(crate) fn chunks_now<R>(&self, read: impl FnOnce(&Chunk) -> R) -> (R, Vec<Arc<Chunk>>) {
        let inner = self.inner.read();
        (read(&inner.open), inner.full.clone())
    }
}

impl Drop for Memtable {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.get() {
            budget.give_back(self.bytes());
        }
    }
}

impl Inner {
    fn put(&mut self, put: PutRow<'_>) {
        let at = self.rows() as u32;
        let previous = self.latest.insert(put.id, at).unwrap_or(NO_ROW);
        if let Some(path) = &put.metadata.path {
            match self.paths.get_mut(path.as_str()) {
                Some(rows) => rows.push(at),
                None => {
                    self.paths.insert(path.clone(), vec![at]);
                }
            }
        }
        let values = put.vector.as_chunks::<4>().0;
        // The first chunk grows with what comes: most memtables of many small stores hold a few rows.
        if self.open.rows.is_empty() && !self.full.is_empty() {
            self.open.rows.reserve_exact(CHUNK_ROWS);
            self.open.norms.reserve_exact(CHUNK_ROWS);
            self.open.vectors.reserve_exact(CHUNK_ROWS * values.len());
        }
        self.open.vectors.extend(values.iter().map(|value| f32::from_le_bytes(*value)));
        self.open.norms.push(put.norm);
        self.open.rows.push(MemRow {
            id: put.id,
            seqno: put.seqno,
            created_us: put.created_us,
            updated_us: put.updated_us,
            checksum: put.checksum,
            metadata: put.metadata,
            encoded: put.encoded.into(),
            death: AtomicU64::new(SeqNo::MAX.0),
            previous,
        });
        if self.open.rows.len() == CHUNK_ROWS {
            self.full.push(Arc::new(std::mem::take(&mut self.open)));
        }
    }
}

#[cfg(test)]
#[path = "memtable_tests.rs"]
mod tests;
