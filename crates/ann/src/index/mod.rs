//! Indexes: which rows to look at for a query, instead of all.
//!
//! An index is built from the directions of rows, written as bytes, and searched in those bytes where they lie (in a
//! map, mostly). Its search gives candidates: rows with estimated scores, which the caller ranks anew by what it keeps
//! of their vectors. There are two kinds: [`IndexKind::Ivf`], cells of rows of which the nearest are scanned, and
//! [`IndexKind::Hnsw`], a graph that is walked.
//!
//! What always holds:
//!
//! - the same rows, spec and seed make the same bytes, on any number of threads;
//! - the bytes may be anything: [`VectorIndex::open`] refuses what a search could fall over;
//! - a row is given to `admit` at most once a search, and only if its estimated score may be among the best; a row that
//!   is not admitted takes no place of one that is;
//! - more effort never looks at fewer rows.
//!
//! A row has an *ordinal*, its number with the caller, and a *place*, its number in the order of the index.

mod build;
mod calibrate;
mod fresh;
mod hnsw;
mod ivf;
mod open;
mod parts;
mod reuse;
mod sketch;
mod source;

pub use build::build;
pub use calibrate::{Calibration, Rung};
pub use fresh::{FreshRows, RowCoder};
pub use reuse::Reuse;
pub use source::{IndexError, IndexSource};

use std::fmt;

use crate::codec::CodecError;
use crate::numeric::norm_f64;
use crate::{Metric, TopK};
use hnsw::Hnsw;
use ivf::Ivf;
use parts::Parts;
use sketch::{SketchQuery, Sketcher};

/// How an index finds rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// Cells around centroids, of which the nearest are scanned by short codes (an inverted file).
    Ivf,
    /// A graph in layers that is walked towards the query (Malkov, Yashunin, 1603.09320).
    Hnsw,
}

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexSpec {
    /// How it finds rows.
    pub kind: IndexKind,
    /// Of a graph: links of a node in the layers above the base, where it has twice as many; from 4 to 64.
    pub m: usize,
    /// Of a graph: how many of the nearest that were found so far are kept while links of a new node are looked for.
    pub ef_construction: usize,
}

impl IndexSpec {
    /// That kind with what serves most data.
    #[must_use]
    pub fn new(kind: IndexKind) -> Self {
        Self { kind, m: 16, ef_construction: 200 }
    }
}

/// An index, ready to be searched in its bytes.
#[derive(Debug)]
pub struct VectorIndex {
    metric: Metric,
    dim: usize,
    rows: usize,
    /// Rows that came since all was learned.
    added: u64,
    parts: Parts,
    sketcher: Sketcher,
    calibration: Calibration,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Ivf(Ivf),
    Hnsw(Hnsw),
}

/// A query made ready for one index.
#[derive(Debug)]
pub struct IndexQuery {
    sketch: SketchQuery,
    norm: f64,
}

/// The parts that every index has, in this order; those of its kind come behind them.
mod part {
    /// What [`Sketcher::write`](super::Sketcher) wrote.
    pub(super) const SKETCHER: usize = 0;
    /// One sketch a row, by place.
    pub(super) const SKETCHES: usize = 1;
    /// The ordinal of each place, u32.
    pub(super) const ORDINALS: usize = 2;
    /// The place of each ordinal, u32.
    pub(super) const PLACES: usize = 3;
    /// The norm of each place, f32; nothing for cosine, whose scores do without.
    pub(super) const NORMS: usize = 4;
    /// What [`Calibration::write`](super::Calibration) wrote.
    pub(super) const CALIBRATION: usize = 5;
    /// The first of those of a kind.
    pub(super) const OF_KIND: usize = 6;
}

/// What all searches look at: the parts that every index has, where they lie.
#[derive(Clone, Copy, Debug)]
struct Common<'a> {
    metric: Metric,
    sketcher: &'a Sketcher,
    /// By place.
    sketches: &'a [u8],
    /// By place.
    ordinals: &'a [u32],
    /// By ordinal.
    places: &'a [u32],
    /// By place; empty for cosine.
    norms: &'a [f32],
}

impl Common<'_> {
    fn norm(&self, place: usize) -> f32 {
        self.norms.get(place).copied().unwrap_or(1.0)
    }

    /// The estimated scores of rows by their sketches.
    fn score_listed(&self, query: &IndexQuery, places: &[u32], scores: &mut [f32]) {
        query.sketch.dot_listed(self.sketches, places, scores);
        for (score, place) in scores.iter_mut().zip(places) {
            *score = self.metric.of_directions(*score, query.norm, self.norm(*place as usize));
        }
    }
}

impl VectorIndex {
    /// Reads what a build wrote. The bytes may be anything; all of them are looked at, and have to be the same, at an
    /// address that is a multiple of 64, at each search.
    ///
    /// # Errors
    /// [`CodecError::Malformed`] for what no build wrote.
    pub fn open(bytes: &[u8]) -> Result<Self, CodecError> {
        open::open(bytes)
    }

    /// How it finds rows.
    #[must_use]
    pub fn kind(&self) -> IndexKind {
        match self.body {
            Body::Ivf(_) => IndexKind::Ivf,
            Body::Hnsw(_) => IndexKind::Hnsw,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Components of a vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Rows that came since what serves to find them was learned, at most.
    #[must_use]
    pub fn added(&self) -> u64 {
        self.added
    }

    /// What was measured at the build: how much effort finds how much.
    #[must_use]
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Makes a query of finite components ready.
    ///
    /// # Panics
    /// If it has not the index's dimension.
    #[must_use]
    pub fn prepare(&self, query: &[f32]) -> IndexQuery {
        ready(&self.sketcher, query)
    }

    /// Looks for the rows nearest to each query, and pushes those it finds, with estimated scores, to its `top`, whose
    /// capacity is the number of candidates wanted. `admit` is given the query's number and a row's ordinal, and
    /// returns its key, or `None` when the row must not be seen.
    ///
    /// If so few rows are admitted that a `top` does not fill, cells beyond `efforts` are looked at, until there are
    /// none; a graph is not walked further.
    ///
    /// # Panics
    /// If `bytes` has not the length of those that were opened, or there are not as many efforts and tops as queries.
    pub fn search<K: Ord + Copy>(
        &self,
        bytes: &[u8],
        queries: &[IndexQuery],
        efforts: &[usize],
        mut admit: impl FnMut(usize, u32) -> Option<K>,
        tops: &mut [TopK<K>],
    ) {
        self.search_counting(bytes, queries, efforts, &mut admit, tops);
    }

    /// The same. Returns the number of rows that were looked at.
    fn search_counting<K: Ord + Copy>(
        &self,
        bytes: &[u8],
        queries: &[IndexQuery],
        efforts: &[usize],
        mut admit: impl FnMut(usize, u32) -> Option<K>,
        tops: &mut [TopK<K>],
    ) -> usize {
        assert!(queries.len() == efforts.len() && queries.len() == tops.len(), "an effort and a top a query");
        let common = self.common(bytes);
        match &self.body {
            Body::Ivf(ivf) => {
                ivf.search(bytes, &self.parts, &common, queries, efforts, None, &mut admit, tops)
            }
            Body::Hnsw(hnsw) => {
                hnsw.graph(bytes, &self.parts).search(&common, queries, efforts, &mut admit, tops)
            }
        }
    }

    /// As [`VectorIndex::search`], of one query and among listed rows: for when they are a small part of all, so that
    /// looking at others would be most of the work.
    ///
    /// # Panics
    /// As [`VectorIndex::search`], or if a listed row does not exist.
    pub fn search_among<K: Ord + Copy>(
        &self,
        bytes: &[u8],
        query: &IndexQuery,
        effort: usize,
        ordinals: impl IntoIterator<Item = u32>,
        mut admit: impl FnMut(u32) -> Option<K>,
        top: &mut TopK<K>,
    ) {
        let (queries, efforts) = (std::slice::from_ref(query), [effort]);
        let (mut admit, tops) = (|_, ordinal| admit(ordinal), std::slice::from_mut(top));
        match &self.body {
            Body::Ivf(ivf) => {
                let common = self.common(bytes);
                let among = Ivf::lanes_of(common.places, ordinals);
                ivf.search(bytes, &self.parts, &common, queries, &efforts, Some(&among), &mut admit, tops);
            }
            // A graph is walked over the others, too.
            Body::Hnsw(_) => self.search(bytes, queries, &efforts, admit, tops),
        }
    }

    /// The least effort that is worth measuring, and the greatest.
    fn efforts(&self) -> (usize, usize) {
        match &self.body {
            Body::Ivf(ivf) => (8, ivf.cells()),
            Body::Hnsw(_) => (16, 1024),
        }
    }

    /// Scores listed rows by their sketches, whatever the index would find, and pushes the best to `top`.
    ///
    /// # Panics
    /// As [`VectorIndex::search`], or if a listed row does not exist.
    pub fn score_listed<K: Ord + Copy>(
        &self,
        bytes: &[u8],
        query: &IndexQuery,
        ordinals: impl IntoIterator<Item = u32>,
        mut admit: impl FnMut(u32) -> Option<K>,
        top: &mut TopK<K>,
    ) {
        const AT_ONCE: usize = 64;
        let common = self.common(bytes);
        let mut ordinals = ordinals.into_iter();
        let (mut some, mut places, mut scores) = (Vec::new(), Vec::new(), [0.0; AT_ONCE]);
        loop {
            some.clear();
            some.extend(ordinals.by_ref().take(AT_ONCE));
            if some.is_empty() {
                return;
            }
            places.clear();
            places.extend(some.iter().map(|ordinal| common.places[*ordinal as usize]));
            let scores = &mut scores[..some.len()];
            common.score_listed(query, &places, scores);
            for (&score, &ordinal) in scores.iter().zip(&some) {
                if score >= top.threshold()
                    && let Some(key) = admit(ordinal)
                {
                    top.push(score, key);
                }
            }
        }
    }

    fn common<'a>(&'a self, bytes: &'a [u8]) -> Common<'a> {
        assert_eq!(bytes.len(), self.parts.len(), "the bytes that were opened");
        Common {
            metric: self.metric,
            sketcher: &self.sketcher,
            sketches: self.parts.bytes(bytes, part::SKETCHES),
            ordinals: self.parts.u32s(bytes, part::ORDINALS),
            places: self.parts.u32s(bytes, part::PLACES),
            norms: self.parts.f32s(bytes, part::NORMS),
        }
    }
}

/// See [`VectorIndex::prepare`].
fn ready(sketcher: &Sketcher, query: &[f32]) -> IndexQuery {
    assert_eq!(query.len(), sketcher.dim(), "the query's dimension");
    let norm = norm_f64(query);
    let divisor = if norm > 0.0 { norm } else { 1.0 };
    let direction: Vec<f32> = query.iter().map(|&x| (f64::from(x) / divisor) as f32).collect();
    IndexQuery { sketch: sketcher.prepare(&direction), norm }
}

impl IndexKind {
    /// Every kind, in the order of their numbers in the bytes of an index.
    pub const ALL: [Self; 2] = [Self::Ivf, Self::Hnsw];

    /// Bytes at the beginning of an index that [`IndexKind::of`] wants to see.
    pub const HEAD_BYTES: usize = parts::HEAD_BYTES;

    /// The kind of the index that begins with these bytes; `None` if they are the beginning of none.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        Self::ALL.get(parts::read_kind(head)? as usize).copied()
    }

    /// The name in settings and on the command line: `ivf` or `hnsw`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ivf => "ivf",
            Self::Hnsw => "hnsw",
        }
    }
}

impl fmt::Display for IndexKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
