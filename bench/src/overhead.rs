//! What durability and checksums cost searches: the store beside the same index in anonymous memory, with nothing
//! checked.
//!
//! The index is built once more from the same rows; it is the same, byte for byte, or this fails. It is searched with the
//! effort that the store is asked for, and its candidates are ranked anew by a plain array of floats: no files, maps,
//! checksums, ids, deaths or snapshots. Both have to find the same rows for every query.

use std::convert::Infallible;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use codegraph_vector::{CodeNode, IndexPolicy, NodeId, PersistentVectorStore, SearchRequest};
use codegraph_vector_ann::codec::TrainControl;
use codegraph_vector_ann::index::{self, IndexKind, IndexQuery, IndexSource, IndexSpec, Rung, VectorIndex};
use codegraph_vector_ann::{ExactScan, Kernels, Metric, TopK, norm};

use crate::data::Vectors;
use crate::report::{Goal, Report, median};
use crate::searching::{Kind, NEIGHBOURS, Outcome, percentile, request};

/// How the engine begins all choices that are left to chance. Another one would make another index, which is noticed.
const SEED: u64 = u64::from_be_bytes(*b"indexing");
/// Rows that are asked for before they are looked at, as the engine does.
const AHEAD: usize = 8;
/// Where indexes lie in files and in memory.
const ALIGNMENT: usize = 64;
const ROUNDS: usize = 11;
const QUERIES: usize = 1000;
/// The recall whose effort is taken.
const RECALL: f32 = 0.95;
/// The speed of ours beside the bare index: it may lose 5 %.
const GOAL: f64 = 0.95;

/// Rows as an index wants them.
struct Rows<'a> {
    base: &'a Vectors,
    norms: Vec<f32>,
}

impl IndexSource for Rows<'_> {
    type Error = Infallible;

    fn rows(&self) -> usize {
        self.base.rows()
    }

    fn directions(&self, rows: Range<usize>, out: &mut [f32]) -> Result<(), Infallible> {
        for (row, out) in rows.zip(out.chunks_exact_mut(self.base.dimension)) {
            let divisor = if self.norms[row] > 0.0 { self.norms[row] } else { 1.0 };
            out.iter_mut().zip(self.base.row(row)).for_each(|(out, x)| *out = x / divisor);
        }
        Ok(())
    }

    fn norms(&self) -> &[f32] {
        &self.norms
    }
}

/// An index in anonymous memory, with the vectors beside it.
struct Bare<'a> {
    rows: Rows<'a>,
    index: VectorIndex,
    /// Longer than the index, which begins at the first address that suits it.
    memory: Vec<u8>,
    span: Range<usize>,
    rung: Rung,
}

impl<'a> Bare<'a> {
    fn build(base: &'a Vectors, kind: IndexKind) -> Outcome<Self> {
        let rows = Rows { base, norms: (0..base.rows()).map(|at| norm(base.row(at))).collect() };
        let threads = std::thread::available_parallelism()?.get();
        let control = TrainControl { seed: SEED, threads, ..TrainControl::QUIET };
        let spec = IndexSpec::new(kind);
        let bytes = index::build(&spec, Metric::Cosine, base.dimension, &rows, &[], None, &control)
            .map_err(|error| error.to_string())?;
        let mut memory = vec![0; bytes.len() + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        let span = start..start + bytes.len();
        memory[span.clone()].copy_from_slice(&bytes);
        let index = VectorIndex::open(&memory[span.clone()])?;
        let rung = index.calibration().for_recall(RECALL).ok_or("the index was not measured")?;
        Ok(Self { rows, index, memory, span, rung })
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.span.clone()]
    }

    /// What the store is asked for, to do the same.
    fn request(&self, vector: &[f32]) -> SearchRequest {
        let Rung { ef, candidates, .. } = self.rung;
        SearchRequest { ef: Some(ef), rerank: Some(candidates), ..request(vector) }
    }

    /// The nearest of each query, which go through the index together.
    fn search(&self, vectors: &[&[f32]]) -> Vec<Vec<NodeId>> {
        let queries: Vec<IndexQuery> = vectors.iter().map(|vector| self.index.prepare(vector)).collect();
        let efforts = vec![self.rung.ef; queries.len()];
        let candidates = self.rung.candidates.max(NEIGHBOURS);
        let mut tops: Vec<TopK<u32>> = queries.iter().map(|_| TopK::new(candidates)).collect();
        self.index.search(self.bytes(), &queries, &efforts, |_, row| Some(row), &mut tops);
        vectors.iter().zip(tops).map(|(vector, top)| self.rank(vector, top)).collect()
    }

    fn rank(&self, vector: &[f32], candidates: TopK<u32>) -> Vec<NodeId> {
        let (scan, kernels) = (ExactScan::new(Metric::Cosine, vector), Kernels::best());
        let rows: Vec<usize> = candidates.into_sorted().iter().map(|hit| hit.key as usize).collect();
        let mut top = TopK::new(NEIGHBOURS);
        for row in rows.iter().take(AHEAD) {
            kernels.prefetch(self.rows.base.row(*row));
        }
        for (number, row) in rows.iter().enumerate() {
            if let Some(next) = rows.get(number + AHEAD) {
                kernels.prefetch(self.rows.base.row(*next));
            }
            top.push(scan.score_one(self.rows.base.row(*row), self.rows.norms[*row]), *row as NodeId);
        }
        top.into_sorted().into_iter().map(|hit| hit.key).collect()
    }
}

/// Measures both by turns.
pub(crate) fn run(
    folder: &Path,
    base: &Vectors,
    queries: &Vectors,
    kind: &Kind,
    report: &mut Report,
) -> Outcome<()> {
    let index = if matches!(kind.index, IndexPolicy::Hnsw { .. }) { IndexKind::Hnsw } else { IndexKind::Ivf };
    let policy = if index == IndexKind::Hnsw { IndexPolicy::hnsw() } else { IndexPolicy::Ivf };
    let kind = Kind { index: policy, ..kind.anew(base.rows(), base.dimension) };
    let path = folder.join("overhead");
    // Without paths, so that rows lie in the order of their ids.
    let node = |at: usize| CodeNode::new(at as NodeId, base.row(at).to_vec());
    let store = kind.build(&path, base.dimension, base.rows(), node)?;
    let bare = Bare::build(base, index)?;
    if !holds(&path, bare.bytes())? {
        return Err("the store's index is not the one that was built beside it".into());
    }
    let vectors: Vec<&[f32]> = (0..queries.rows().min(QUERIES)).map(|at| queries.row(at)).collect();
    let requests: Vec<SearchRequest> = vectors.iter().map(|vector| bare.request(vector)).collect();
    for (vector, request) in vectors.iter().zip(&requests) {
        let ours: Vec<NodeId> = store.search(request)?.matches.iter().map(|found| found.node_id).collect();
        if ours != bare.search(&[*vector])[0] {
            return Err("the store and the bare index do not find the same".into());
        }
    }
    let what = format!("{} × {}: {index}, ef {}", base.rows(), base.dimension, bare.rung.ef);
    single(&what, &store, &bare, &requests, &vectors, report)?;
    batch(&what, &store, &bare, &requests, &vectors, report)
}

/// One query at a time: the median, in microseconds.
fn single(
    what: &str,
    store: &PersistentVectorStore,
    bare: &Bare<'_>,
    requests: &[SearchRequest],
    vectors: &[&[f32]],
    report: &mut Report,
) -> Outcome<()> {
    let turns = by_turns(|| {
        let stored = median_us(requests, |request| Ok(store.search(request)?))?;
        let plain = median_us(vectors, |vector| Ok(bare.search(&[*vector])))?;
        Ok((stored, plain))
    })?;
    let ratios = turns.iter().map(|(stored, plain)| plain / stored).collect();
    let figure = |us: Vec<f64>| format!("{:.1} µs", median(us));
    let what = format!("{what}: one query, from the store and from memory without checks (speed)");
    let (ours, theirs) = turns.into_iter().unzip();
    report.ratio(&what, figure(ours), figure(theirs), median(ratios), &Goal::AtLeast(GOAL));
    Ok(())
}

/// What each round has of the store, and of what is held against it.
fn by_turns(mut round: impl FnMut() -> Outcome<(f64, f64)>) -> Outcome<Vec<(f64, f64)>> {
    (0..ROUNDS).map(|_| round()).collect()
}

fn median_us<T, F>(all: &[T], search: impl Fn(&T) -> Outcome<F>) -> Outcome<f64> {
    let mut times = Vec::new();
    for one in all {
        let start = Instant::now();
        std::hint::black_box(search(one)?);
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok(percentile(&times, 50))
}

/// All queries in one go: queries a second.
fn batch(
    what: &str,
    store: &PersistentVectorStore,
    bare: &Bare<'_>,
    requests: &[SearchRequest],
    vectors: &[&[f32]],
    report: &mut Report,
) -> Outcome<()> {
    let turns = by_turns(|| {
        let start = Instant::now();
        store.snapshot()?.search_many(requests)?;
        let stored = requests.len() as f64 / start.elapsed().as_secs_f64();
        let start = Instant::now();
        std::hint::black_box(bare.search(vectors));
        Ok((stored, vectors.len() as f64 / start.elapsed().as_secs_f64()))
    })?;
    let ratios = turns.iter().map(|(stored, plain)| stored / plain).collect();
    let figure = |qps: Vec<f64>| format!("{:.0}/s", median(qps));
    let what = format!("{what}: {} queries in one call (speed)", requests.len());
    let (ours, theirs) = turns.into_iter().unzip();
    report.ratio(&what, figure(ours), figure(theirs), median(ratios), &Goal::AtLeast(GOAL));
    Ok(())
}

/// Whether a file of a folder, or of those in it, has these bytes where an index may begin.
fn holds(folder: &Path, bytes: &[u8]) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() { holds(&path, bytes)? } else { has(&std::fs::read(&path)?, bytes) };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has(file: &[u8], bytes: &[u8]) -> bool {
    (0..file.len()).step_by(ALIGNMENT).any(|at| file[at..].starts_with(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::make;

    #[test]
    fn bytes_are_found_where_they_may_begin_and_nowhere_else() {
        let mut file = vec![1; 300];
        file[128..131].copy_from_slice(&[5, 6, 7]);
        assert!(has(&file, &[5, 6, 7]) && has(&file, &[1, 1]));
        assert!(!has(&file, &[6, 7]) && !has(&file, &[1; 301]));
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        std::fs::write(folder.path().join("below/file"), &file).unwrap();
        assert!(holds(folder.path(), &[5, 6, 7]).unwrap() && !holds(folder.path(), &[9]).unwrap());
    }

    #[test]
    fn the_bare_index_is_that_of_the_store_and_finds_the_same() {
        let (base, queries) = (make(3000, 16, 1), make(20, 16, 2));
        for index in [IndexPolicy::Ivf, IndexPolicy::hnsw()] {
            let folder = tempfile::tempdir().unwrap();
            let (kind, mut report) = (Kind { index, ..Kind::default() }, Report::default());
            run(folder.path(), &base, &queries, &kind, &mut report).unwrap();
            assert_eq!(report.to_string().lines().count(), 4, "{report}");
        }
    }
}
