//! `cgv bench search`: builds a store of a file of vectors, and has it measured from effort to effort.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use codegraph_vector::{Error, IndexPolicy, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use super::build::{self, Plan, Ready};
use super::plot;
use super::rows::{self, Found, Row};
use crate::args::{self, Globals};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{files, output};

/// The name of ours among others.
const OURS: &str = "cgv";

/// Measure searches of your own vectors: recall, queries a second, times, build, memory
///
/// Makes a store of the vectors in a temporary folder, and searches it with rising effort, until 0.995 of the true
/// neighbours are found or more effort finds no more. The searches have a process of their own, which is pinned to
/// --threads CPUs. A .npy of vectors is what embedding models give (numpy.save); rows are compared by cosine.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cgv bench search --base base.npy --queries queries.npy --svg curve.svg\n  \
    cgv bench search --base base.npy --queries queries.npy --gt gt.npy --out ours.jsonl --peers theirs.jsonl")]
pub(crate) struct SearchArgs {
    /// The vectors to search: a .npy (float32 or float16) or .fvecs file
    #[arg(long, value_name = "FILE")]
    base: PathBuf,
    /// The vectors to look for: a file of the same kind
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// The true neighbours of each query, row numbers, nearest first: a .npy of whole numbers [default: found by an
    /// exact search]
    #[arg(long, value_name = "FILE.npy")]
    gt: Option<PathBuf>,
    /// Neighbours to find
    #[arg(short = 'k', value_name = "N", default_value = "10", value_parser = clap::value_parser!(u16).range(1..=1000))]
    k: u16,
    /// The index: auto, flat (none), ivf, hnsw, or hnsw:m=M;ef_construction=E [default: auto]
    #[arg(long, value_name = "KIND", value_parser = args::index)]
    index: Option<IndexPolicy>,
    /// Try these numbers of candidates that are ranked anew, too, beside what the index was found to need
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    rerank: Vec<usize>,
    /// Compress the store first: a codec and what to keep, as "transform:bytes=48;keep=full"
    #[arg(long, value_name = "SPEC")]
    compression: Option<String>,
    /// Build here, and leave it; what an earlier run left is searched as it is
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// CPUs for the searches
    #[arg(long, value_name = "T", default_value = "1")]
    threads: NonZeroU16,
    /// Runs for each effort, of which the best counts
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// Seconds of a run, at the least
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    min_seconds: f64,
    /// Append the figures here, a line of JSON for each effort
    #[arg(long, value_name = "FILE.jsonl")]
    out: Option<PathBuf>,
    #[command(flatten)]
    shown: plot::Shown,
}

/// The names are kept: other programs read them.
#[derive(Serialize)]
struct Document {
    rows: Vec<Row>,
    summary: Vec<Map<String, Value>>,
}

fn seconds(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds)).ok_or("expected seconds, up to 3600")
}

pub(super) fn run(globals: &Globals, args: &SearchArgs) -> Result<(), Failure> {
    let progress = Progress::new();
    let measured = measure(args, &progress);
    progress.end();
    let mut all = measured?;
    if let Some(path) = &args.out {
        let mut out = files::append(path)?;
        let written = all.iter().try_for_each(|row| output::line(&mut out, row)).and_then(|()| out.flush());
        written.map_err(|cause| Error::io("write", path, cause))?;
    }
    let ours = all.clone();
    all.extend(args.shown.others()?);
    let title = format!("{} × {} vectors, k {}", ours[0].n, ours[0].dim, args.k);
    args.shown.draw(&all, &title)?;
    let summary = plot::summary(&all);
    output::print(globals.json, &Document { rows: ours.clone(), summary }, |out| {
        plot::write_rows(out, &ours)?;
        plot::write_summary(out, &all)
    })
}

/// Rows of all efforts; one at the least.
fn measure(args: &SearchArgs, progress: &Progress) -> Result<Vec<Row>, Failure> {
    let scratch = files::scratch(None)?;
    let home = args.dir.clone().unwrap_or_else(|| scratch.path().join("bench"));
    let plan = Plan {
        base: files::in_full(&args.base)?,
        index: args.index.map(|index| index.to_string()),
        compression: args.compression.clone(),
    };
    let ready = build::ready(&home, &plan, progress)?;
    let truth = match &args.gt {
        Some(path) => path.clone(),
        None => {
            let path = scratch.path().join("truth.npy");
            build::write_truth(&home, &args.queries, args.k.into(), &path, progress)?;
            path
        }
    };
    let mut rows = Vec::new();
    sweep(args, &build::store(&home), &truth, |found| {
        progress.says(&format!("recall {:.4}, {:.0} queries/s", found.recall, found.qps));
        rows.push(row(&ready, args, found));
    })?;
    if rows.is_empty() {
        return Err(Error::invalid("there was nothing to measure").at(&args.queries).into());
    }
    Ok(rows)
}

fn row(ready: &Ready, args: &SearchArgs, found: Found) -> Row {
    Row {
        // One that was asked for is another system than what is chosen by itself.
        peer: args.index.map_or(OURS.to_owned(), |index| format!("{OURS}-{index}")),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        durable: true,
        n: ready.rows,
        dim: ready.dimension,
        built: ready.built.clone(),
        threads: args.threads.get(),
        found,
    }
}

/// Has a fresh process sweep, and hands on each effort's figures as they come.
fn sweep(args: &SearchArgs, store: &Path, truth: &Path, mut take: impl FnMut(Found)) -> Result<(), Failure> {
    let fail = |cause| Error::io("start", "the process that searches", cause);
    let program = std::env::current_exe().map_err(fail)?;
    let number = |name: &str, value: String| [OsString::from(name), OsString::from(value)];
    let mut child = Command::new(program)
        .args(["bench", "measure"])
        .args([OsStr::new("--built"), store.as_os_str(), OsStr::new("--queries"), args.queries.as_os_str()])
        .args([OsStr::new("--gt"), truth.as_os_str()])
        .args(number("-k", args.k.to_string()))
        .args(number("--repeat", args.repeat.to_string()))
        .args(number("--min-seconds", args.min_seconds.to_string()))
        .args(number("--threads", args.threads.to_string()))
        .args(args.rerank.iter().flat_map(|rerank| number("--rerank", rerank.to_string())))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    let out = child.stdout.take().map(BufReader::new);
    for line in out.into_iter().flat_map(BufReader::lines) {
        let line = line.map_err(fail)?;
        take(rows::parse_found(&line)?);
    }
    match child.wait().map_err(fail)? {
        status if status.success() => Ok(()),
        // It has said why.
        _ => Err(Failure::Told),
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn seconds_are_a_time() {
        assert_eq!((seconds("0.5"), seconds("0")), (Ok(0.5), Ok(0.0)));
        for wrong in ["", "-1", "NaN", "inf", "3601", "x"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
