//! `cgv query`: the nearest nodes of many vectors, and how long finding them takes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use codegraph_vector::{
    Error, ErrorKind, MAX_LIMIT, NodeId, PersistentVectorStore, Result, SearchRequest, node_id_text,
    node_id_to_json,
};
use codegraph_vector_base::{Clock, SystemClock};
use serde::Serialize;
use serde_json::Value;

use crate::args::Globals;
use crate::failure::Failure;
use crate::formats::{self, Format, npy};
use crate::times::percentile;
use crate::{files, location, output};

/// Vectors read in one go.
const READ_ROWS: usize = 1024;

/// Find the nearest nodes of each vector in a file, one query at a time
///
/// All queries run once untimed, to warm up, and once timed.
#[derive(Args, Debug)]
pub(crate) struct QueryArgs {
    /// The query vectors: a .npy (float32 or float16) or .fvecs file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Nodes to find for each
    #[arg(short = 'k', value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=MAX_LIMIT as i64))]
    k: u32,
    /// Where to write the ids, best first: a .npy of uint64 (2^64-1 where there are fewer than k), or a
    /// .jsonl, which takes larger ids and has the scores
    #[arg(long, value_name = "F.npy|F.jsonl")]
    out: Option<PathBuf>,
    /// Effort, as a number of the index's own: more finds more of the nearest. Without an index it changes nothing
    #[arg(long, value_name = "E", conflicts_with = "exact")]
    ef: Option<NonZeroU32>,
    /// Effort, as the share of the nearest that is to be found, by what was measured when the index was built
    /// [default: 0.95]
    #[arg(long, value_name = "R", conflicts_with_all = ["exact", "ef"])]
    effort: Option<f32>,
    /// Compare with every vector, also where there is an index or there are codes
    #[arg(long)]
    exact: bool,
    /// How many of the nearest by an index or by codes are ranked anew by their vectors; k at least [default: what the
    /// index was found to need; 100 by codes]
    #[arg(long, value_name = "N", conflicts_with = "exact")]
    rerank: Option<u32>,
    /// Threads, each with one query at a time
    #[arg(long, value_name = "T", default_value = "1")]
    threads: NonZeroU16,
}

/// The names are kept: other programs read them.
#[derive(Serialize)]
struct Summary {
    queries: usize,
    k: u32,
    threads: u16,
    qps: f64,
    p50_us: f64,
    p99_us: f64,
    /// Whether what was found is nearest for sure, for every query.
    exact: bool,
    /// Whether damaged segments were left out of any.
    degraded: bool,
}

/// What one query found.
struct Found {
    query: usize,
    matches: Vec<(NodeId, f32)>,
    exact: bool,
    degraded: bool,
    took: Duration,
}

/// One line of a `.jsonl` file.
#[derive(Serialize)]
struct FoundLine {
    query: usize,
    node_ids: Vec<Value>,
    scores: Vec<f32>,
}

pub(crate) fn run(globals: &Globals, args: &QueryArgs) -> Result<(), Failure> {
    let format = args.out.as_deref().map(out_format).transpose()?;
    let store = location::open_reading(globals)?;
    let requests = read_requests(args, store.storage_header().dimension)?;
    run_all(&store, &requests, args.threads.get())?;
    let (mut found, took) = run_all(&store, &requests, args.threads.get())?;
    found.sort_unstable_by_key(|found| found.query);
    if let (Some(path), Some(format)) = (&args.out, format) {
        let out = files::create(path)?;
        let written = match format {
            Format::Npy => write_npy(out, &found, args.k)?,
            _ => write_jsonl(out, &found),
        };
        written.map_err(|cause| Error::io("write", path, cause))?;
    }
    let summary = Summary::of(&found, args, took);
    output::print(globals.json, &summary, |out| {
        let Summary { queries, k, threads, qps, p50_us, p99_us, .. } = summary;
        let threads = output::count(threads.into(), "thread");
        writeln!(
            out,
            "{queries} queries, k {k}, {threads}: {qps:.0} a second, p50 {p50_us:.0} µs, p99 {p99_us:.0} µs"
        )
    })
}

fn out_format(path: &Path) -> Result<Format, Failure> {
    match Format::of(path) {
        Some(format @ (Format::Npy | Format::Jsonl)) => Ok(format),
        _ => Err(Failure::Usage(format!("--out is {}, and must end in .npy or .jsonl", path.display()))),
    }
}

fn read_requests(args: &QueryArgs, dimension: usize) -> Result<Vec<SearchRequest>, Failure> {
    let mut vectors = formats::open_vectors(&args.file)?;
    if vectors.dimension() != dimension {
        let message =
            format!("its vectors have {} dimensions, and the store's have {dimension}", vectors.dimension());
        return Err(Error::invalid(message).at(&args.file).into());
    }
    let (mut requests, mut block) = (Vec::new(), Vec::new());
    loop {
        vectors.read(READ_ROWS, &mut block).map_err(|error| error.at(&args.file))?;
        if block.is_empty() {
            return Ok(requests);
        }
        requests.extend(block.chunks_exact(dimension).map(|vector| SearchRequest {
            with_metadata: false,
            exact: args.exact,
            rerank: args.rerank.map(|rows| rows as usize),
            effort: args.effort,
            ef: args.ef.map(|ef| ef.get() as usize),
            ..SearchRequest::new(vector, args.k as usize)
        }));
    }
}

/// Runs all queries once, on so many threads; gives what they found and how long it took.
fn run_all(
    store: &PersistentVectorStore,
    requests: &[SearchRequest],
    threads: u16,
) -> Result<(Vec<Found>, Duration)> {
    let (clock, next) = (SystemClock::new(), AtomicUsize::new(0));
    let work = || run_some(store, requests, &next, &clock);
    let found = thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().name("cgv-query".to_owned()).spawn_scoped(scope, work);
        let others: Vec<_> = (1..threads).map(spawn).collect();
        let mut found = work()?;
        for other in others {
            let other =
                other.map_err(|cause| Error::io("start", "a thread", cause).as_kind(ErrorKind::Io))?;
            match other.join() {
                Ok(some) => found.extend(some?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<_, Error>(found)
    });
    Ok((found?, clock.monotonic()))
}

/// Takes the next query, until there is none.
fn run_some(
    store: &PersistentVectorStore,
    requests: &[SearchRequest],
    next: &AtomicUsize,
    clock: &SystemClock,
) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    loop {
        let query = next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = requests.get(query) else { return Ok(found) };
        let start = clock.monotonic();
        let results = store.search(request).map_err(|error| error.context(format_args!("query {query}")))?;
        let took = clock.monotonic() - start;
        let (exact, degraded) = (results.exact, results.degraded);
        let matches = results.matches.into_iter().map(|found| (found.node_id, found.score)).collect();
        found.push(Found { query, matches, exact, degraded, took });
    }
}

impl Summary {
    fn of(found: &[Found], args: &QueryArgs, took: Duration) -> Self {
        let mut times: Vec<f64> = found.iter().map(|found| found.took.as_secs_f64() * 1e6).collect();
        times.sort_unstable_by(f64::total_cmp);
        let qps = found.len() as f64 / took.as_secs_f64().max(1e-9);
        let (p50_us, p99_us) = (percentile(&times, 50), percentile(&times, 99));
        let (queries, k, threads) = (found.len(), args.k, args.threads.get());
        let exact = found.iter().all(|found| found.exact);
        let degraded = found.iter().any(|found| found.degraded);
        Self { queries, k, threads, qps, p50_us, p99_us, exact, degraded }
    }
}

/// Ids row by row. The outer error is an id that does not fit.
fn write_npy(out: BufWriter<File>, found: &[Found], k: u32) -> Result<io::Result<()>> {
    let mut rows = Vec::with_capacity(found.len() * k as usize);
    for found in found {
        for (id, _) in &found.matches {
            let fits = u64::try_from(*id).ok().filter(|id| *id != npy::NO_NODE);
            let too_large = || {
                let message =
                    format!("node {} does not fit a .npy of uint64; write a .jsonl", node_id_text(*id));
                Error::invalid(message)
            };
            rows.push(fits.ok_or_else(too_large)?);
        }
        rows.resize(rows.len() + (k as usize).saturating_sub(found.matches.len()), npy::NO_NODE);
    }
    Ok(npy::write_u64s(out, &rows, k as usize))
}

fn write_jsonl(mut out: BufWriter<File>, found: &[Found]) -> io::Result<()> {
    for Found { query, matches, .. } in found {
        let node_ids = matches.iter().map(|(id, _)| node_id_to_json(*id)).collect();
        let scores = matches.iter().map(|(_, score)| *score).collect();
        output::line(&mut out, &FoundLine { query: *query, node_ids, scores })?;
    }
    out.flush()
}
