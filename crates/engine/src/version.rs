//! The live set: memtables and segments at one moment, swapped atomically, pinned by readers.

use std::sync::Arc;

use codegraph_vector_base::{Lsn, Result, SeqNo};

use crate::consistency::PreparedTransactions;
use crate::memtable::Memtable;
use crate::quarantine::Missing;
use crate::segment::Segment;

/// What a reader reads. Immutable but for rows and deaths later than any SeqNo it is read at.
#[derive(Debug)]
pub(crate) struct Version {
    /// Takes the next commits.
    pub(crate) memtable: Arc<Memtable>,
    /// Waiting to be flushed, oldest first.
    pub(crate) frozen: Vec<Arc<Frozen>>,
    /// Flushed and merged rows.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Segments that the manifest names and that could not be opened.
    pub(crate) missing: Arc<Missing>,
    /// It holds the rows of no SeqNo before this one in full.
    pub(crate) floor: SeqNo,
}

/// A memtable that takes no more rows.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) table: Arc<Memtable>,
    /// The last commit in it, or before it.
    pub(crate) cut: Cut,
    /// What was in doubt then, and the last decisions.
    pub(crate) prepared: PreparedTransactions,
}

/// A moment between two groups of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The last commit before it.
    pub(crate) seqno: SeqNo,
    /// Where the log goes on.
    pub(crate) lsn: Lsn,
    /// That commit's time.
    pub(crate) commit_time_us: u64,
}

impl Version {
    /// Memtables, newest first.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.memtable).chain(self.frozen.iter().rev().map(|frozen| &frozen.table))
    }

    /// Refuses to tell of all rows, or that there is none, where some could not be opened.
    ///
    /// # Errors
    /// `Corrupt`, naming a file that could not be.
    pub(crate) fn check_complete(&self) -> Result<()> {
        self.missing.check()
    }

    /// The same without what is damaged; `None` if nothing is known to be.
    pub(crate) fn without_damaged(&self) -> Option<Self> {
        let is_sound = |segment: &&Arc<Segment>| segment.damage().is_none();
        if self.missing.is_empty() && self.segments.iter().all(|segment| is_sound(&segment)) {
            return None;
        }
        Some(Self {
            memtable: self.memtable.clone(),
            frozen: self.frozen.clone(),
            segments: self.segments.iter().filter(is_sound).cloned().collect(),
            missing: Arc::default(),
            floor: self.floor,
        })
    }
}
