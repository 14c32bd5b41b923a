//! What benchmarks of searches have in common: stores to search, requests, times, recall.

use std::path::Path;
use std::time::Instant;

use codegraph_vector::{
    CodeNode, CompressRequest, Compression, IndexPolicy, NodeId, OpenOptions, PersistentVectorStore,
    SearchRequest, SearchResults, Settings, Snapshot, Target,
};

use crate::data::Vectors;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Neighbours that are asked for.
pub(crate) const NEIGHBOURS: usize = 10;

/// Rows of a commit.
const COMMIT_ROWS: usize = 10_000;
/// Requests that are answered exactly in one go.
const EXACT_STEP: usize = 64;

/// How stores are made.
#[derive(Clone, Default)]
pub(crate) struct Kind {
    /// A codec and what to keep.
    pub(crate) compression: Option<Compression>,
    pub(crate) index: IndexPolicy,
    /// Of a memtable, if not the usual.
    pub(crate) memtable_bytes: Option<u64>,
    /// Whether nothing is done but what is waited for.
    pub(crate) no_background: bool,
}

/// Which neighbours were found, by query.
pub(crate) type Found = Vec<Vec<NodeId>>;

impl Kind {
    /// The same for so many rows that go into one segment at once, whose index takes over nothing from that of another.
    pub(crate) fn anew(&self, rows: usize, dimension: usize) -> Self {
        /// More than a row takes beside its vector.
        const BESIDE: usize = 2048;
        let bytes = rows * (dimension * size_of::<f32>() + BESIDE) + (1 << 20);
        Self { memtable_bytes: Some(bytes as u64), no_background: true, ..self.clone() }
    }

    /// Opens a new store.
    pub(crate) fn create(&self, path: &Path, dimension: usize) -> Outcome<PersistentVectorStore> {
        let Self { compression, index, .. } = self.clone();
        let mut settings = Settings { compression, index, ..Settings::default() };
        settings.memtable_bytes = self.memtable_bytes.unwrap_or(settings.memtable_bytes);
        settings.background = !self.no_background;
        let options =
            OpenOptions { dimension: Some(dimension), settings: Some(settings), ..OpenOptions::default() };
        Ok(PersistentVectorStore::open(path, options)?)
    }

    /// A new store of some rows, in one segment, with everything built that searches use. `node` makes a row.
    pub(crate) fn build(
        &self,
        path: &Path,
        dimension: usize,
        rows: usize,
        node: impl Fn(usize) -> CodeNode,
    ) -> Outcome<PersistentVectorStore> {
        let store = self.create(path, dimension)?;
        put(&store, rows, node)?;
        store.flush()?;
        self.settle(&store)?;
        Ok(store)
    }

    /// Merges all, and waits for what is built in the background.
    pub(crate) fn settle(&self, store: &PersistentVectorStore) -> Outcome<()> {
        store.merge()?;
        if let Some(Compression { spec, keep }) = &self.compression {
            let request =
                CompressRequest { keep: *keep, ..CompressRequest::new(Target::Codec(spec.clone())) };
            store.compress(&request, &|_| {})?;
        }
        Ok(())
    }
}

/// Puts rows in batches of the usual size.
pub(crate) fn put(
    store: &PersistentVectorStore,
    rows: usize,
    node: impl Fn(usize) -> CodeNode,
) -> Outcome<()> {
    for first in (0..rows).step_by(COMMIT_ROWS) {
        let batch: Vec<CodeNode> = (first..(first + COMMIT_ROWS).min(rows)).map(&node).collect();
        store.put_batch(&batch)?;
    }
    Ok(())
}

/// A search as by default, for ids alone.
pub(crate) fn request(vector: &[f32]) -> SearchRequest {
    SearchRequest { with_metadata: false, ..SearchRequest::new(vector, NEIGHBOURS) }
}

/// One for each query, up to so many.
pub(crate) fn requests(queries: &Vectors, most: usize) -> Vec<SearchRequest> {
    (0..queries.rows().min(most)).map(|at| request(queries.row(at))).collect()
}

fn ids(results: &SearchResults) -> Vec<NodeId> {
    results.matches.iter().map(|found| found.node_id).collect()
}

/// What is truly nearest.
pub(crate) fn exactly(snapshot: &Snapshot, requests: &[SearchRequest]) -> Outcome<Found> {
    let mut found = Vec::new();
    for some in requests.chunks(EXACT_STEP) {
        let exact: Vec<SearchRequest> = some.iter().map(|request| request.clone().with_exact(true)).collect();
        found.extend(snapshot.search_many(&exact)?.iter().map(ids));
    }
    Ok(found)
}

/// What is found, one request at a time, and the microseconds of each, sorted. A pass before it is not timed.
pub(crate) fn timed(store: &PersistentVectorStore, requests: &[SearchRequest]) -> Outcome<(Found, Vec<f64>)> {
    for request in requests {
        store.search(request)?;
    }
    let (mut found, mut times) = (Vec::new(), Vec::new());
    for request in requests {
        let start = Instant::now();
        let results = store.search(request)?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        found.push(ids(&results));
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok((found, times))
}

/// Share of what is truly nearest that was found, over all queries that have any.
pub(crate) fn recall(found: &Found, truth: &Found) -> f64 {
    let shared =
        |(found, truth): (&Vec<NodeId>, &Vec<NodeId>)| truth.iter().filter(|id| found.contains(id)).count();
    let all: usize = truth.iter().map(Vec::len).sum();
    let shared: usize = found.iter().zip(truth).map(shared).sum();
    if all == 0 { 1.0 } else { shared as f64 / all as f64 }
}

/// By the nearest rank: the least of some sorted times that so many percent of them do not exceed.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        count => sorted[(count * percent).div_ceil(100).max(1) - 1],
    }
}

/// Microseconds, as tables show them.
pub(crate) fn micros(us: f64) -> String {
    if us < 10_000.0 { format!("{us:.0} µs") } else { format!("{:.1} ms", us / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_the_share_of_what_there_was_to_find() {
        let truth = vec![vec![1, 2], vec![3], vec![]];
        assert_eq!(recall(&vec![vec![2, 9], vec![3], vec![7]], &truth), 2.0 / 3.0);
        assert_eq!(recall(&vec![vec![], vec![], vec![]], &truth), 0.0);
        assert_eq!(recall(&vec![vec![5]], &vec![vec![]]), 1.0);
    }

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!([0, 50, 99, 100].map(|percent| percentile(&times, percent)), [1.0, 100.0, 198.0, 200.0]);
        assert!(percentile(&[], 50).is_nan());
    }

    #[test]
    fn a_store_is_searched_exactly_and_by_default() {
        let folder = tempfile::tempdir().unwrap();
        let base = crate::data::make(2000, 16, 1);
        let node = |at: usize| crate::data::node(at as NodeId, base.row(at).to_vec());
        let store = Kind::default().build(&folder.path().join("store"), 16, 2000, node).unwrap();
        let requests = requests(&base, 20);
        let truth = exactly(&store.snapshot().unwrap(), &requests).unwrap();
        let (found, times) = timed(&store, &requests).unwrap();
        assert!(truth.iter().enumerate().all(|(at, ids)| ids[0] == at as NodeId && ids.len() == NEIGHBOURS));
        assert!(recall(&found, &truth) > 0.9 && times.len() == 20 && times.is_sorted());
    }
}
