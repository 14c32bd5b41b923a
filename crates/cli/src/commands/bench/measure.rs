//! The sweep, in a process of its own: a store that others built is opened, searched on so many CPUs, and what this
//! process weighs is what searching takes.

use std::io::{self, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use clap::Args;
use codegraph_vector::{Error, OpenOptions, PersistentVectorStore, Result, SearchRequest, SearchResults};
use codegraph_vector_base::{Clock, SystemClock};

use super::effort::{self, Effort, Sweep, Verdict};
use super::memory::resident;
use super::rows::Found;
use crate::failure::Failure;
use crate::formats::{self, npy};
use crate::times::percentile;
use crate::{files, output};

/// Calls that a median is taken of, at the least.
const LEAST_CALLS: usize = 100;

/// Measure a store that `bench search` made; a line for each effort
#[derive(Args, Debug)]
#[command(hide = true)]
pub(crate) struct MeasureArgs {
    /// The store's folder
    #[arg(long)]
    pub(super) built: PathBuf,
    /// The query vectors
    #[arg(long)]
    pub(super) queries: PathBuf,
    /// Their true neighbours
    #[arg(long)]
    pub(super) gt: PathBuf,
    /// Neighbours to find
    #[arg(short = 'k')]
    pub(super) k: usize,
    /// Runs, of which the best counts
    #[arg(long)]
    pub(super) repeat: u32,
    /// Of each run
    #[arg(long)]
    pub(super) min_seconds: f64,
    /// Further numbers of candidates to try
    #[arg(long, value_delimiter = ',')]
    pub(super) rerank: Vec<usize>,
    /// CPUs to run on
    #[arg(long)]
    pub(super) threads: NonZeroU16,
}

/// What is asked, and what ought to be found.
struct Task {
    store: PersistentVectorStore,
    vectors: Vec<Vec<f32>>,
    truth: Vec<Vec<u64>>,
    threads: NonZeroU16,
    clock: SystemClock,
}

/// The rates of a run.
struct Run {
    qps: f64,
    p50_us: f64,
    p99_us: f64,
}

pub(super) fn run(args: &MeasureArgs) -> Result<(), Failure> {
    pin(args.threads.get().into())?;
    let task = Task::read(args)?;
    let stats = task.store.stats()?;
    for ladder in effort::ladders(&stats.index, args.k, &args.rerank) {
        task.climb(&ladder, args)?;
    }
    Ok(())
}

/// A line at once: somebody waits for it.
fn print(found: &Found) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    output::line(&mut out, found).and_then(|()| out.flush()).map_err(Failure::of_output)
}

/// The best rate of all runs, and the times of the one with the best median.
fn found_by(effort: Effort, recall: f64, runs: &[Run]) -> Found {
    let rounded = |figure: f64, steps: f64| (figure * steps).round() / steps;
    let qps = runs.iter().map(|run| run.qps).fold(0.0, f64::max);
    let best = runs.iter().min_by(|a, b| a.p50_us.total_cmp(&b.p50_us));
    let (p50_us, p99_us) = best.map_or((0.0, 0.0), |best| (best.p50_us, best.p99_us));
    Found {
        search_params: effort.params(),
        recall: rounded(recall, 1e4),
        qps: rounded(qps, 10.0),
        qps_by: "batch".to_owned(),
        p50_us: rounded(p50_us, 10.0),
        p99_us: rounded(p99_us, 10.0),
        resident: resident(),
    }
}

/// Share of the `k` nearest that were found, over all queries.
fn recall(found: &[SearchResults], truth: &[Vec<u64>], k: usize) -> f64 {
    let of_query = |(found, truth): (&SearchResults, &Vec<u64>)| {
        let nearest = &truth[..k];
        let ids = found.matches.iter().take(k).filter_map(|found| u64::try_from(found.node_id).ok());
        ids.filter(|id| nearest.contains(id)).count()
    };
    let shared: usize = found.iter().zip(truth).map(of_query).sum();
    shared as f64 / (found.len() * k).max(1) as f64
}

impl Task {
    fn read(args: &MeasureArgs) -> Result<Self, Failure> {
        let options = OpenOptions { must_exist: true, read_only: true, ..OpenOptions::default() };
        let store = PersistentVectorStore::open(&args.built, options)?;
        let mut queries = formats::open_vectors(&args.queries)?;
        let (mut all, rows) = (Vec::new(), queries.rows());
        queries
            .read(usize::try_from(rows).unwrap_or(usize::MAX), &mut all)
            .map_err(|error| error.at(&args.queries))?;
        let vectors: Vec<Vec<f32>> = all.chunks_exact(queries.dimension()).map(<[f32]>::to_vec).collect();
        let truth = read_truth(&args.gt, vectors.len(), args.k)?;
        Ok(Self { store, vectors, truth, threads: args.threads, clock: SystemClock::new() })
    }

    /// Measures from effort to effort, and prints what it finds.
    fn climb(&self, ladder: &[Effort], args: &MeasureArgs) -> Result<(), Failure> {
        let mut sweep = Sweep::default();
        for (at, effort) in ladder.iter().enumerate() {
            let requests: Vec<SearchRequest> =
                self.vectors.iter().map(|vector| effort.request(vector, args.k)).collect();
            // This is the warm pass, too.
            let recall = recall(&self.batch(&requests)?, &self.truth, args.k);
            let Verdict { is_timed, is_end } = sweep.judge(recall, at + 1 == ladder.len());
            if is_timed {
                let runs: Vec<Run> = (0..args.repeat)
                    .map(|_| self.time(&requests, args.min_seconds))
                    .collect::<Result<_>>()?;
                print(&found_by(*effort, recall, &runs))?;
            }
            if is_end {
                break;
            }
        }
        Ok(())
    }

    fn batch(&self, requests: &[SearchRequest]) -> Result<Vec<SearchResults>> {
        let snapshot = self.store.snapshot()?;
        match self.threads.get() {
            1 => snapshot.search_many(requests),
            _ => snapshot.search_parallel(requests, self.threads.into()),
        }
    }

    /// One run: all queries in one go, again and again, then each by itself.
    fn time(&self, requests: &[SearchRequest], min_seconds: f64) -> Result<Run> {
        let now = || self.clock.monotonic().as_secs_f64();
        let (start, mut done) = (now(), 0);
        let qps = loop {
            self.batch(requests)?;
            done += requests.len();
            let took = now() - start;
            if took >= min_seconds {
                break done as f64 / took;
            }
        };
        let (end, mut times) = (now() + min_seconds, Vec::new());
        for request in requests.iter().cycle() {
            let start = now();
            self.store.search(request)?;
            let stop = now();
            times.push((stop - start) * 1e6);
            if stop > end && times.len() >= LEAST_CALLS {
                break;
            }
        }
        times.sort_unstable_by(f64::total_cmp);
        Ok(Run { qps, p50_us: percentile(&times, 50), p99_us: percentile(&times, 99) })
    }
}

fn read_truth(path: &Path, queries: usize, k: usize) -> Result<Vec<Vec<u64>>> {
    let mut input = files::open(path)?;
    let len =
        input.len.ok_or_else(|| Error::invalid("only a regular file can be read as this format").at(path))?;
    let truth = npy::read_neighbours(&mut input.reader, len).map_err(|error| error.at(path))?;
    let columns = truth.first().map_or(k, Vec::len);
    if truth.len() != queries || columns < k {
        let message = format!(
            "it has {columns} neighbours of {} queries, and there are {queries} queries for {k} each",
            truth.len()
        );
        return Err(Error::invalid(message).at(path));
    }
    Ok(truth)
}

/// Leaves this process so many CPUs, the last ones, whatever the size of its pools.
#[cfg(target_os = "linux")]
fn pin(threads: usize) -> Result<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let fail = |cause: rustix::io::Errno| Error::io("pin", "this process", cause.into());
    let allowed = sched_getaffinity(None).map_err(fail)?;
    let cpus = (0..CpuSet::MAX_CPU).rev().filter(|cpu| allowed.is_set(*cpu));
    let mut fewer = CpuSet::new();
    cpus.take(threads).for_each(|cpu| fewer.set(cpu));
    sched_setaffinity(None, &fewer).map_err(fail)
}

/// Elsewhere a batch may take more than one thread.
#[cfg(not(target_os = "linux"))]
fn pin(_threads: usize) -> Result<()> {
    Ok(())
}
