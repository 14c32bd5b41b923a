//! Damage to segments: what is known of it, and what follows from it.
//!
//! What always holds:
//! - a segment in which something bad was met is *quarantined*: searches leave it out and say so, merges leave it alone, and its
//!   files stay. Each row of it that is whole is still read by its id, and dies as any other;
//! - a segment that could not be opened is *missing*: whatever would need its ids is an error, and the store takes no writes
//!   until it is back or was given up. What replay would have killed in it is remembered, by id, until then.

use std::path::PathBuf;

use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, SegmentId, SeqNo};
use codegraph_vector_storage::manifest::SegmentRef;
use parking_lot::Mutex;

/// What was found to be wrong with a segment.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    pub(crate) error: Error,
    /// When it was found, in µs since the Unix epoch.
    pub(crate) since_us: u64,
}

/// A segment in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedSegment {
    /// Its id.
    pub segment: SegmentId,
    /// The damaged file.
    pub path: PathBuf,
    /// Where in it the damage begins, in bytes.
    pub offset: u64,
    /// What is wrong, in a sentence.
    pub what: String,
    /// When it was found, in µs since the Unix epoch.
    pub since_us: u64,
    /// Rows of it that were alive, as far as is known: at the checkpoint, if it could not be opened.
    pub rows: u64,
    /// Whether it could be opened, so that whole rows of it are still read by their ids, and the store takes writes.
    pub is_open: bool,
}

impl QuarantinedSegment {
    pub(crate) fn new(info: &SegmentRef, damage: &Damage, rows: u64, is_open: bool) -> Self {
        let Damage { error, since_us } = damage;
        Self {
            segment: info.id,
            path: error.path().map(PathBuf::from).unwrap_or_default(),
            offset: error.offset().unwrap_or(0),
            what: error.message().to_owned(),
            since_us: *since_us,
            rows,
            is_open,
        }
    }
}

/// A segment that could not be opened.
#[derive(Clone, Debug)]
pub(crate) struct MissingSegment {
    pub(crate) info: SegmentRef,
    pub(crate) damage: Damage,
}

impl MissingSegment {
    /// Rows of it that were alive at the checkpoint, which the manifest says.
    pub(crate) fn live_rows(&self) -> u64 {
        u64::from(self.info.rows) - self.info.deaths.map_or(0, |deaths| u64::from(deaths.count))
    }
}

/// Segments that the manifest names and that could not be opened.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    pub(crate) segments: Vec<MissingSegment>,
    /// What died since the checkpoint, and was in no other segment, in order.
    deaths: Mutex<Vec<(NodeId, SeqNo)>>,
}

impl Missing {
    pub(crate) fn new(segments: Vec<MissingSegment>) -> Self {
        Self { segments, deaths: Mutex::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Refuses what takes all rows.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(missing) = self.segments.first() else { return Ok(()) };
        let what = format!("segment {} is quarantined, and what is in it is not known", missing.info.id);
        Err(missing.damage.error.clone().context(what))
    }

    /// Refuses a write, which would have to know what it replaces.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check().map_err(|error| {
            let what =
                "the store takes no writes until that is repaired, or given up (`cgv verify --repair`)";
            error.as_kind(ErrorKind::ReadOnly).context(what)
        })
    }

    /// A row of `id`, if there was any, died at `seqno`, and was not found.
    pub(crate) fn died(&self, id: NodeId, seqno: SeqNo) {
        if !self.is_empty() {
            self.deaths.lock().push((id, seqno));
        }
    }

    /// Those that died and were not found, in order.
    pub(crate) fn deaths(&self) -> Vec<(NodeId, SeqNo)> {
        self.deaths.lock().clone()
    }

    /// The same without some segments.
    pub(crate) fn without(&self, gone: impl Fn(SegmentId) -> bool) -> Self {
        let segments = self.segments.iter().filter(|missing| !gone(missing.info.id)).cloned().collect();
        Self { segments, deaths: Mutex::new(self.deaths()) }
    }
}
