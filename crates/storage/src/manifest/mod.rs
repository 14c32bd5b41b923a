//! The manifest: which files are the store, and from where the log continues them.
//!
//! What always holds:
//! - a generation is one complete, checksummed file, written once; the highest valid one is the store's state;
//! - the two newest generations stay, and every file that either needs, so that losing the newest loses nothing;
//! - every manifest is checked against [`check`] before it is written and after it is read, and against
//!   [`check_successor`] before it replaces another.
//!
//! The file is an envelope (`envelope.rs`; generation set) and the wire encoding of [`Manifest`], exactly.

mod contents;
mod file;
mod rules;
mod store;
mod texts;

use codegraph_vector_base::{Epoch, Generation, Lsn, RowChecksumSum, SegmentId, SeqNo, StoreId};
use wincode::{SchemaRead, SchemaWrite};

use crate::deaths::DeathFileRef;
use crate::segment::SegmentFileRef;

pub use contents::Contents;
pub use file::{FORMAT_VERSION, read};
pub use rules::{ReferencedFiles, check, check_successor, log_floor, referenced_files};
pub use store::{Fallback, Loaded, install, load_newest, prune, unreferenced};

/// One generation of a store.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Manifest {
    /// The store's identity.
    pub store_id: StoreId,
    /// This manifest's number, from 1.
    pub generation: Generation,
    /// What the store's vectors are; fixed when it is created, but for an embedder that becomes known.
    pub schema: StoreSchema,
    /// Counts restores and forks: each starts a new line of history.
    pub timeline: u64,
    /// When the store was created, in µs since the Unix epoch.
    pub created_us: u64,
    /// Where recovery begins.
    pub checkpoint: Checkpoint,
    /// The log is proven durable up to here: a log that ends earlier is damaged.
    pub proven_lsn: Lsn,
    /// Recovery must reach at least this commit.
    pub proven_seqno: SeqNo,
    /// Where the log ended when the store was closed; `None` while it is open.
    pub clean_close: Option<Lsn>,
    /// The log's epoch. Never goes back, not by a restore either.
    pub epoch: Epoch,
    /// Above the id of every segment that there ever was.
    pub next_segment_id: SegmentId,
    /// The live segments.
    pub segments: Vec<SegmentRef>,
    /// Run-time settings that outlive a restart, and properties (`texts.rs`): unique names, values as text.
    pub settings: Vec<(String, String)>,
    /// Transactions that were prepared and not decided at the checkpoint, and the last decisions; opaque here.
    pub prepared: Vec<Vec<u8>>,
    /// What the segments hold at the checkpoint; unknown only where format version 1 left it out.
    pub contents: Option<Contents>,
}

/// What the vectors of a store are.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct StoreSchema {
    /// Numbers a vector.
    pub dimension: u32,
    /// How vectors are compared; the engine's code.
    pub metric: MetricCode,
    /// What makes the vectors, if known, so that vectors of two models never mix.
    pub embedder: Option<EmbedderId>,
}

/// How vectors are compared, by a number that the engine gives meaning to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct MetricCode(pub u8);

/// A model that makes vectors.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct EmbedderId {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whatever else changes the vectors it makes.
    pub parameters: String,
}

/// The durable start of recovery: everything before it is in the segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Checkpoint {
    /// The log is replayed from here.
    pub lsn: Lsn,
    /// The last commit that the segments and their deaths hold.
    pub seqno: SeqNo,
    /// Its time, in µs since the Unix epoch.
    pub commit_time_us: u64,
}

/// A live segment.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct SegmentRef {
    /// Its id.
    pub id: SegmentId,
    /// The store that wrote it: another one, if this store is a fork that links it.
    pub origin: StoreId,
    /// Pins its file.
    pub file: SegmentFileRef,
    /// Rows in it, dead ones included.
    pub rows: u32,
    /// Sum of the checksums of all of these rows.
    pub checksum_sum: RowChecksumSum,
    /// Least SeqNo of a row.
    pub min_seqno: SeqNo,
    /// Greatest SeqNo of a row.
    pub max_seqno: SeqNo,
    /// The SeqNo at which the flush or merge that made it read.
    pub base_seqno: SeqNo,
    /// Pins the deaths among its rows, as of the checkpoint.
    pub deaths: Option<DeathFileRef>,
}

impl Manifest {
    /// The first generation of an empty store.
    pub fn initial(store_id: StoreId, schema: StoreSchema, created_us: u64) -> Self {
        Self {
            store_id,
            generation: Generation(1),
            schema,
            timeline: 0,
            created_us,
            checkpoint: Checkpoint::default(),
            proven_lsn: Lsn(0),
            proven_seqno: SeqNo(0),
            clean_close: None,
            epoch: Epoch(0),
            next_segment_id: SegmentId(1),
            segments: Vec::new(),
            settings: Vec::new(),
            prepared: Vec::new(),
            contents: Some(Contents::default()),
        }
    }

    /// A copy to change and install after this one: the next generation, not closed.
    #[must_use]
    pub fn successor(&self) -> Self {
        // A generation at the end of its range is refused by the rules, not here.
        let generation = Generation(self.generation.0.saturating_add(1));
        Self { generation, clean_close: None, ..self.clone() }
    }

    /// Whether the segments hold all rows of the checkpoint. Else a merge that read later has left out some that died after it,
    /// and only the log has what they were replaced by.
    pub fn is_standalone(&self) -> bool {
        self.segments.iter().all(|segment| segment.base_seqno <= self.checkpoint.seqno)
    }

    /// A live segment.
    pub fn segment(&self, id: SegmentId) -> Option<&SegmentRef> {
        self.segments.iter().find(|segment| segment.id == id)
    }
}

#[cfg(test)]
mod sample;
