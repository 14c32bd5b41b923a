//! What a codec is worth: vectors are searched exactly and through their codes, and the results compared.
//!
//! What always holds: no figure is a NaN; the report depends on the rows in their order, the queries and the codec,
//! not on the number of threads nor on how the rows were cut into pushes; memory does not grow with the rows.
//!
//! What vectors to measure on is the caller's to say: rows that the codec was not trained on, and queries that are
//! not among the rows.

use std::borrow::Cow;

use super::{CodeScan, Codec, CodecReport, CodedRows, Input, PackedCodes, directions};
use crate::{ExactScan, Metric, RowBlock, Rows, TopK};

/// Neighbours that are to be found.
const NEIGHBOURS: usize = 10;

/// Rows are gathered up to so many floats (16 MiB), so that a query is not prepared for a handful of rows.
const GATHERED_FLOATS: usize = 1 << 22;

/// Rows encoded at once.
const ENCODED_ROWS: usize = 256;

/// Rows that all queries are held against before the next ones: few enough to stay in the cache.
const CACHED_ROWS: usize = 64;

/// A comparison under way.
#[derive(Debug)]
pub struct Measure<'a> {
    codec: &'a dyn Codec,
    metric: Metric,
    threads: usize,
    held_out: usize,
    searches: Vec<Search>,
    /// Rows that are still to be searched, and their norms.
    rows: Vec<f32>,
    norms: Vec<f32>,
    /// Rows that were searched.
    searched: u64,
    squared_error: f64,
}

/// One query, and what was found for it.
#[derive(Debug)]
struct Search {
    query: Vec<f32>,
    exact: ExactScan,
    nearest: TopK<u64>,
    /// By their codes. The key is the row, then the bits of its exact score.
    candidates: TopK<(u64, u32)>,
}

impl<'a> Measure<'a> {
    /// Queries, row-major, of finite components; the first `held_out` of them are rows of the store.
    ///
    /// # Panics
    /// If the queries are not whole vectors, or fewer than `held_out`.
    #[must_use]
    pub fn new(codec: &'a dyn Codec, metric: Metric, queries: Vec<f32>, held_out: usize) -> Self {
        let dim = codec.dim();
        assert!(queries.len().is_multiple_of(dim), "not a whole number of queries");
        let searches: Vec<Search> =
            queries.chunks_exact(dim).map(|query| Search::new(metric, query)).collect();
        assert!(held_out <= searches.len(), "more queries held out than there are");
        let (rows, norms) = (Vec::new(), Vec::new());
        Self { codec, metric, threads: 1, held_out, searches, rows, norms, searched: 0, squared_error: 0.0 }
    }

    /// With so many threads, at least 1; one by default.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Searches these rows as well: row-major, finite, as given, each with its [`norm`](crate::norm()).
    ///
    /// # Panics
    /// If there is not one norm for each row.
    pub fn push(&mut self, rows: &[f32], norms: &[f32]) {
        let dim = self.codec.dim();
        assert_eq!(norms.len() * dim, rows.len(), "one norm a row");
        let most = (GATHERED_FLOATS / dim).max(1);
        let (mut rows, mut norms) = (rows, norms);
        while !norms.is_empty() {
            let taken = norms.len().min(most - self.norms.len());
            self.rows.extend_from_slice(&rows[..taken * dim]);
            self.norms.extend_from_slice(&norms[..taken]);
            (rows, norms) = (&rows[taken * dim..], &norms[taken..]);
            if self.norms.len() == most {
                self.search();
            }
        }
    }

    /// What was found. Recalls are the mean over the queries, and 0 if there is no row or no query: nothing was
    /// shown then. Of fewer than 10 rows, all are to be found. Of rows that share the score of the tenth, it does
    /// not matter which are found.
    #[must_use]
    pub fn finish(mut self) -> CodecReport {
        self.search();
        let shares = self.searches.iter().map(Search::recalls);
        let (alone, reranked) = shares.fold((0.0, 0.0), |sum, share| (sum.0 + share.0, sum.1 + share.1));
        let mean = |sum: f64, count: u64| if count == 0 { 0.0 } else { (sum / count as f64) as f32 };
        let queries = self.searches.len() as u64;
        CodecReport {
            recall_at_10: mean(alone, queries),
            recall_at_10_reranked: mean(reranked, queries),
            mean_squared_error: mean(self.squared_error, self.searched),
            rows: self.searched,
            held_out_queries: self.held_out as u32,
            real_queries: (self.searches.len() - self.held_out) as u32,
        }
    }

    /// Searches the rows that were gathered, and forgets them.
    fn search(&mut self) {
        let (rows, norms) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.norms));
        let packed = self.codec.layout().pack(&self.encode(&rows, &norms));
        let Some(codes) = PackedCodes::new(self.codec.layout(), norms.len(), &packed) else {
            unreachable!("packed codes are as long as packed codes are");
        };
        let (codec, metric, first) = (self.codec, self.metric, self.searched);
        let block = RowBlock { rows: &rows, norms: &norms };
        let share = self.searches.len().div_ceil(self.threads).max(1);
        std::thread::scope(|scope| {
            for searches in self.searches.chunks_mut(share) {
                scope.spawn(move || {
                    scan_exactly(searches, block, first);
                    for search in searches {
                        search.scan_codes(codec, metric, codes, block, first);
                    }
                });
            }
        });
        self.searched += norms.len() as u64;
        (self.rows, self.norms) = (rows, norms);
        self.rows.clear();
        self.norms.clear();
    }

    /// The codes of rows, whose error is added up.
    fn encode(&mut self, rows: &[f32], norms: &[f32]) -> Vec<u8> {
        let codec = self.codec;
        let (dim, code_bytes) = (codec.dim(), codec.bytes_per_vector());
        let mut codes = vec![0; norms.len() * code_bytes];
        // Added up piece by piece, so that the sum is the same on any number of threads.
        let mut errors = vec![0.0; norms.len().div_ceil(ENCODED_ROWS)];
        let pieces = (rows.chunks(ENCODED_ROWS * dim).zip(norms.chunks(ENCODED_ROWS)))
            .zip(codes.chunks_mut(ENCODED_ROWS * code_bytes))
            .zip(&mut errors);
        let mut pieces: Vec<_> =
            pieces.map(|(((rows, norms), codes), error)| (rows, norms, codes, error)).collect();
        let share = pieces.len().div_ceil(self.threads).max(1);
        std::thread::scope(|scope| {
            for pieces in pieces.chunks_mut(share) {
                scope.spawn(move || {
                    for (rows, norms, codes, error) in pieces {
                        **error = encode(codec, rows, norms, codes);
                    }
                });
            }
        });
        self.squared_error += errors.iter().sum::<f64>();
        codes
    }
}

/// Encodes rows; returns the sum of their squared errors.
fn encode(codec: &dyn Codec, rows: &[f32], norms: &[f32], codes: &mut [u8]) -> f64 {
    let given = match codec.input() {
        Input::AsGiven => Cow::Borrowed(rows),
        Input::Direction => {
            let mut given = vec![0.0; rows.len()];
            directions(rows, norms, &mut given);
            Cow::Owned(given)
        }
    };
    codec.encode(&given, codes);
    let mut decoded = vec![0.0; given.len()];
    codec.decode(codes, &mut decoded);
    given.iter().zip(&decoded).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
}

/// Holds rows, the first of which is row `first`, against all queries.
fn scan_exactly(searches: &mut [Search], block: RowBlock<'_>, first: u64) {
    let dim = searches.first().map_or(1, |search| search.exact.dim());
    let pieces = block.rows.chunks(CACHED_ROWS * dim).zip(block.norms.chunks(CACHED_ROWS));
    for ((rows, norms), first) in pieces.zip((first..).step_by(CACHED_ROWS)) {
        for Search { exact, nearest, .. } in &mut *searches {
            let key = |row| Some(first + u64::from(row));
            exact.scan_block(RowBlock { rows, norms }, Rows::All, key, nearest);
        }
    }
}

impl Search {
    fn new(metric: Metric, query: &[f32]) -> Self {
        let (nearest, candidates) = (TopK::new(NEIGHBOURS), TopK::new(CodecReport::RERANK));
        Self { query: query.to_vec(), exact: ExactScan::new(metric, query), nearest, candidates }
    }

    /// Holds codes against the query; they are those of the rows of `block`.
    fn scan_codes(
        &mut self,
        codec: &dyn Codec,
        metric: Metric,
        codes: PackedCodes<'_>,
        block: RowBlock<'_>,
        first: u64,
    ) {
        let Self { query, exact, candidates, .. } = self;
        let key = |row: u32| {
            let at = row as usize;
            let score = exact.score_one(&block.rows[at * query.len()..][..query.len()], block.norms[at]);
            Some((first + u64::from(row), score.to_bits()))
        };
        let scan = CodeScan::new(metric, query, codec);
        scan.scan(CodedRows { codes, norms: block.norms }, Rows::All, key, candidates);
    }

    /// Shares of the nearest that were found by codes alone, and after ranking anew.
    fn recalls(&self) -> (f64, f64) {
        let nearest = self.nearest.clone().into_sorted();
        let Some(last) = nearest.last() else { return (0.0, 0.0) };
        let above = nearest.iter().filter(|hit| hit.score > last.score).count();
        let scores: Vec<f32> =
            self.candidates.clone().into_sorted().iter().map(|hit| f32::from_bits(hit.key.1)).collect();
        let found = |scores: &[f32]| {
            let better = scores.iter().filter(|score| **score > last.score).count();
            let equal = scores.iter().filter(|score| **score == last.score).count();
            (better + equal.min(nearest.len() - above)) as f64 / nearest.len() as f64
        };
        (found(&scores[..scores.len().min(NEIGHBOURS)]), found(&scores))
    }
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
