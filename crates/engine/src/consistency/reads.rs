//! What a transaction has read, and so must not have changed when it commits.
//!
//! What always holds:
//! - whatever changes what a tracked read found touches one of the rows here, or puts a row that matches one of the
//!   predicates here, or takes one away that did; [`validate`](super::validate) tells which;
//! - a transaction's own writes are not among what it read.

use std::fmt;
use std::sync::OnceLock;

use codegraph_vector_ann::{ExactScan, Metric};
use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, SeqNo, wire};
use wincode::{SchemaRead, SchemaWrite};

use super::level::Rules;
use super::overlay::Found;
use crate::filter::Filter;
use crate::id_map::NodeIdSet;
use crate::node::NodeMetadata;
use crate::store::{SearchRequest, SearchResults};

/// Longest filter that is told in full.
const SHOWN_CHARS: usize = 200;

/// Nodes and predicates that were read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReadSet {
    /// Nodes that were read, or found, or looked for and not there.
    pub(super) rows: NodeIdSet,
    /// The commit that they were read at.
    pub(super) rows_from: SeqNo,
    pub(super) watched: Vec<Watched>,
}

/// A predicate that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Watched {
    pub(super) predicate: Predicate,
    /// The commit that it was read at.
    pub(super) from: SeqNo,
    /// The nodes that matched then, but for those among the rows; `None` if they are not known.
    pub(super) matched: Option<NodeIdSet>,
}

/// What makes a node belong to what was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Predicate {
    /// Its path.
    Path(String),
    /// A filter that it matches.
    Matching(Filter),
    /// Being among the nearest.
    Near(Near),
}

/// The predicate of a nearest-neighbour search.
#[derive(Clone, Debug)]
pub(crate) struct Near {
    vector: Vec<f32>,
    filter: Option<Filter>,
    /// From this score on a node would have been found; `None`: whatever its score.
    least: Option<f32>,
    /// The search, made ready when a node is first held against it.
    scan: OnceLock<ExactScan>,
}

impl PartialEq for Near {
    fn eq(&self, other: &Self) -> bool {
        self.is_like(other) && self.least == other.least
    }
}

impl Near {
    fn new(vector: Vec<f32>, filter: Option<Filter>, least: Option<f32>) -> Self {
        Self { vector, filter, least, scan: OnceLock::new() }
    }

    /// Whether both look for the same, but for how far.
    fn is_like(&self, other: &Self) -> bool {
        self.vector == other.vector && self.filter == other.filter
    }

    /// Whether a node with this vector would have been found.
    pub(super) fn reaches(&self, metric: Metric, vector: &[f32], norm: f32) -> bool {
        let scan = self.scan.get_or_init(|| ExactScan::new(metric, &self.vector));
        self.least.is_none_or(|least| scan.score_one(vector, norm) >= least)
    }
}

impl Predicate {
    /// Whether a node may belong to it, as far as its metadata tells.
    pub(super) fn allows(&self, id: NodeId, metadata: &NodeMetadata) -> bool {
        match self {
            Predicate::Path(path) => metadata.path.as_deref() == Some(path),
            Predicate::Matching(filter) => filter.matches(id, metadata),
            Predicate::Near(near) => near.filter.as_ref().is_none_or(|filter| filter.matches(id, metadata)),
        }
    }

    /// Makes it cover what `other` covers, too, if they are about the same.
    fn absorb(&mut self, other: &Predicate) -> bool {
        match (self, other) {
            (Predicate::Near(near), Predicate::Near(other)) if near.is_like(other) => {
                near.least = near.least.zip(other.least).map(|(one, other)| one.min(other));
                true
            }
            (one, other) => one == other,
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filter = |filter: &Filter| -> String {
            let text = filter.to_json().map_or_else(|error| error.to_string(), |json| json.to_string());
            match text.char_indices().nth(SHOWN_CHARS) {
                Some((at, _)) => format!("{}…", &text[..at]),
                None => text,
            }
        };
        match self {
            Predicate::Path(path) => write!(f, "the nodes under path {path:?}"),
            Predicate::Matching(matching) => write!(f, "the nodes that match {}", filter(matching)),
            Predicate::Near(near) => {
                f.write_str("a search for the nearest nodes")?;
                near.filter.as_ref().map_or(Ok(()), |among| write!(f, " that match {}", filter(among)))
            }
        }
    }
}

impl Default for ReadSet {
    fn default() -> Self {
        Self { rows: NodeIdSet::default(), rows_from: SeqNo::MAX, watched: Vec::new() }
    }
}

impl ReadSet {
    /// The commit from which on it has to hold; [`SeqNo::MAX`] if nothing was read.
    pub(crate) fn from(&self) -> SeqNo {
        self.watched.iter().map(|watched| watched.from).fold(self.rows_from, SeqNo::min)
    }

    /// A node was read at `at`.
    pub(crate) fn got(&mut self, rules: &Rules, at: SeqNo, id: NodeId, found: &Found) {
        if rules.tracks_rows && matches!(found, Found::Committed(_)) {
            self.add_row(at, id);
        }
    }

    /// A search at `at` had these results.
    pub(crate) fn searched(
        &mut self,
        rules: &Rules,
        at: SeqNo,
        request: &SearchRequest,
        results: &SearchResults,
    ) {
        if rules.tracks_rows {
            let committed = results.matches.iter().filter(|found| found.seqno != SeqNo::MAX);
            committed.for_each(|found| self.add_row(at, found.node_id));
        }
        if rules.tracks_predicates {
            let least = match results.matches.last() {
                Some(last) if results.matches.len() >= request.limit => Some(last.score),
                _ => request.min_score,
            };
            let near = Near::new(request.vector.clone(), request.filter.clone(), least);
            // What was near enough then was found, and is among the rows, if the search missed nothing.
            let matched = results.exact.then(NodeIdSet::default);
            self.watch(at, Predicate::Near(near), matched);
        }
    }

    /// The nodes that match a filter were counted at `at`.
    pub(crate) fn counted(&mut self, rules: &Rules, at: SeqNo, filter: &Filter) {
        if rules.tracks_predicates {
            self.watch(at, Predicate::Matching(filter.clone()), None);
        }
    }

    /// The nodes that match a filter were listed at `at`; `committed` are those of them that were not the transaction's own.
    pub(crate) fn listed(
        &mut self,
        rules: &Rules,
        at: SeqNo,
        filter: &Filter,
        committed: impl Iterator<Item = NodeId>,
    ) {
        if rules.tracks_rows {
            committed.for_each(|id| self.add_row(at, id));
        }
        if rules.tracks_predicates {
            self.watch(at, Predicate::Matching(filter.clone()), Some(NodeIdSet::default()));
        }
    }

    /// What matches a predicate at `at` must stay so: of the nodes that did then, those in `matched` and those among the rows
    /// are all, unless it is `None`. Predicate writes watch theirs at every level.
    pub(crate) fn watch(&mut self, at: SeqNo, predicate: Predicate, matched: Option<NodeIdSet>) {
        for known in &mut self.watched {
            if known.predicate.absorb(&predicate) {
                known.from = known.from.min(at);
                known.matched = known.matched.take().zip(matched).map(|(mut known, matched)| {
                    known.extend(matched);
                    known
                });
                return;
            }
        }
        self.watched.push(Watched { predicate, from: at, matched });
    }

    /// These nodes must stay as they are from `at` on.
    pub(crate) fn keep(&mut self, at: SeqNo, ids: impl Iterator<Item = NodeId>) {
        ids.for_each(|id| self.add_row(at, id));
    }

    fn add_row(&mut self, at: SeqNo, id: NodeId) {
        self.rows_from = self.rows_from.min(at);
        self.rows.insert(id);
    }

    /// As bytes, for a PREPARE record.
    ///
    /// # Errors
    /// `TooLarge` if the format cannot say it.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let watched = self.watched.iter().map(WatchedBytes::of).collect::<Result<_>>()?;
        wire::encode(&ReadSetBytes { rows: sorted(&self.rows), rows_from: self.rows_from, watched })
    }

    /// Out of bytes.
    ///
    /// # Errors
    /// `Corrupt` if they are not exactly one read set.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let ReadSetBytes { rows, rows_from, watched } = wire::decode(bytes)?;
        let watched = watched.into_iter().map(WatchedBytes::read).collect::<Result<_>>()?;
        Ok(Self { rows: rows.into_iter().collect(), rows_from, watched })
    }
}

fn sorted(ids: &NodeIdSet) -> Vec<NodeId> {
    let mut ids: Vec<NodeId> = ids.iter().copied().collect();
    ids.sort_unstable();
    ids
}

/// A read set in a PREPARE record. Ids are in order, filters are JSON.
#[derive(SchemaRead, SchemaWrite)]
struct ReadSetBytes {
    rows: Vec<NodeId>,
    rows_from: SeqNo,
    watched: Vec<WatchedBytes>,
}

#[derive(SchemaRead, SchemaWrite)]
struct WatchedBytes {
    predicate: PredicateBytes,
    from: SeqNo,
    matched: Option<Vec<NodeId>>,
}

#[derive(SchemaRead, SchemaWrite)]
enum PredicateBytes {
    Path(String),
    Matching(String),
    Near { vector: Vec<f32>, filter: Option<String>, least: Option<f32> },
}

impl WatchedBytes {
    fn of(watched: &Watched) -> Result<Self> {
        let filter = |filter: &Filter| filter.to_json().map(|json| json.to_string());
        let predicate = match &watched.predicate {
            Predicate::Path(path) => PredicateBytes::Path(path.clone()),
            Predicate::Matching(matching) => PredicateBytes::Matching(filter(matching)?),
            Predicate::Near(near) => PredicateBytes::Near {
                vector: near.vector.clone(),
                filter: near.filter.as_ref().map(filter).transpose()?,
                least: near.least,
            },
        };
        Ok(Self { predicate, from: watched.from, matched: watched.matched.as_ref().map(sorted) })
    }

    fn read(self) -> Result<Watched> {
        let predicate = match self.predicate {
            PredicateBytes::Path(path) => Predicate::Path(path),
            PredicateBytes::Matching(matching) => Predicate::Matching(read_filter(&matching)?),
            PredicateBytes::Near { vector, filter, least } => {
                if vector.is_empty() {
                    return Err(corrupt("a search without a vector"));
                }
                Predicate::Near(Near::new(vector, filter.as_deref().map(read_filter).transpose()?, least))
            }
        };
        let matched = self.matched.map(|ids| ids.into_iter().collect());
        Ok(Watched { predicate, from: self.from, matched })
    }
}

fn read_filter(text: &str) -> Result<Filter> {
    let json = serde_json::from_str(text).map_err(corrupt)?;
    Filter::from_json(&json).map_err(|error| corrupt(error.message()))
}

fn corrupt(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("what a prepared transaction has read: {what}"))
}

#[cfg(test)]
#[path = "reads_tests.rs"]
mod tests;
