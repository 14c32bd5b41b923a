//! The store that is measured: made of a file of vectors, or taken as an earlier run left it.

use std::path::{Path, PathBuf};

use codegraph_vector::{
    CompressRequest, Compression, Error, IndexPolicy, OpenOptions, PersistentVectorStore, Result,
    SearchRequest, Settings, Target,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rows::Built;
use crate::failure::Failure;
use crate::files;
use crate::formats::{self, npy};
use crate::import::{Rows, commit_all};
use crate::progress::Progress;

/// Rows of a commit, as in `cgv import`.
const COMMIT_ROWS: usize = 10_000;
/// Queries whose true neighbours are looked for in one go.
const TRUTH_STEP: usize = 64;

/// What the store is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The file of the vectors, in full.
    pub(super) base: PathBuf,
    /// The index that was asked for.
    pub(super) index: Option<String>,
    pub(super) compression: Option<String>,
}

/// A store that is ready, and the note beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    plan: Plan,
    pub(super) rows: u64,
    pub(super) dimension: usize,
    pub(super) built: Built,
}

/// The store's folder below the benchmark's.
pub(super) fn store(home: &Path) -> PathBuf {
    home.join("store")
}

/// Takes the store that is there, or builds it.
pub(super) fn ready(home: &Path, plan: &Plan, progress: &Progress) -> Result<Ready, Failure> {
    let note = home.join("built.json");
    if note.exists() {
        let text = files::text(&note)?;
        let ready: Ready = serde_json::from_str(&text)
            .map_err(|error| Error::invalid(format!("this is no note of a build: {error}")).at(&note))?;
        if ready.plan != *plan {
            let message = "it holds a store of other vectors or settings; remove it, or name another folder";
            return Err(Error::invalid(message).at(home).into());
        }
        return Ok(ready);
    }
    if store(home).exists() {
        let message = "a build was interrupted here; remove the folder, or name another one";
        return Err(Error::invalid(message).at(home).into());
    }
    files::create_folder(home)?;
    let ready = build(home, plan, progress)?;
    let text = serde_json::to_string(&ready).map_err(|error| Error::invalid(error.to_string()))?;
    files::write(&note, text.as_bytes())?;
    Ok(ready)
}

fn build(home: &Path, plan: &Plan, progress: &Progress) -> Result<Ready, Failure> {
    let vectors = formats::open_vectors(&plan.base)?;
    let (rows, dimension) = (vectors.rows(), vectors.dimension());
    let compression = plan.compression.as_deref().map(str::parse::<Compression>).transpose()?;
    let index = plan.index.as_deref().map(str::parse::<IndexPolicy>).transpose()?;
    let settings = Settings { index: index.unwrap_or_default(), ..Settings::default() };
    let path = store(home);
    let begun = progress.seconds();
    let options =
        OpenOptions { dimension: Some(dimension), settings: Some(settings), ..OpenOptions::default() };
    let store = PersistentVectorStore::open(&path, options)?;
    let mut done = 0;
    commit_all(
        &store,
        Rows::of_vectors(plan.base.clone(), vectors, None, None)?,
        COMMIT_ROWS,
        |acknowledged| {
            done += acknowledged.rows;
            progress.rows(done, Some(rows));
            Ok(())
        },
    )?;
    store.flush()?;
    let imported = progress.seconds();
    progress.says("merging and indexing");
    if let Some(Compression { spec, keep }) = compression {
        let request = CompressRequest { keep, ..CompressRequest::new(Target::Codec(spec)) };
        store.compress(&request, &|_| {})?;
    }
    store.merge()?;
    store.build_indexes()?;
    let indexed = progress.seconds();
    store.close()?;
    let (import_s, index_s) = (millis(imported - begun), millis(indexed - imported));
    let built = Built {
        build_s: millis(indexed - begun),
        import_s: Some(import_s),
        index_s: Some(index_s),
        build_params: plan.params(),
        bytes: files::disk_bytes(&path)?,
    };
    Ok(Ready { plan: plan.clone(), rows, dimension, built })
}

impl Plan {
    /// How rows name it.
    fn params(&self) -> Map<String, Value> {
        let known = [("index", self.index.clone()), ("compression", self.compression.clone())];
        known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
    }
}

/// Seconds, to the thousandth.
fn millis(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

/// Finds the true `k` nearest of each query by exact search, and writes their ids as a `.npy`.
pub(super) fn write_truth(
    home: &Path,
    queries: &Path,
    k: usize,
    path: &Path,
    progress: &Progress,
) -> Result<(), Failure> {
    let options = OpenOptions { must_exist: true, read_only: true, ..OpenOptions::default() };
    let snapshot = PersistentVectorStore::open(store(home), options)?.snapshot()?;
    let mut vectors = formats::open_vectors(queries)?;
    let (count, dimension) = (vectors.rows(), vectors.dimension());
    let (mut ids, mut block) = (Vec::new(), Vec::new());
    loop {
        progress.says(&format!("{} of {count} queries searched exactly", ids.len() / k));
        vectors.read(TRUTH_STEP, &mut block).map_err(|error| error.at(queries))?;
        if block.is_empty() {
            break;
        }
        let exact =
            |vector| SearchRequest { with_metadata: false, ..SearchRequest::new(vector, k).with_exact(true) };
        let requests: Vec<SearchRequest> = block.chunks_exact(dimension).map(exact).collect();
        for results in snapshot.search_many(&requests)? {
            // Rows are numbered from 0, so ids fit. Where there are fewer than k, that is all.
            let end = ids.len() + k;
            ids.extend(results.matches.iter().map(|found| found.node_id as u64));
            ids.resize(end, npy::NO_NODE);
        }
    }
    npy::write_u64s(files::create(path)?, &ids, k).map_err(|cause| Error::io("write", path, cause))?;
    Ok(())
}
