//! Benchmarks as ratios in one run: what the store does beside what the disk and the memory can do.
//!
//! `cargo run --release -p codegraph-vector-bench -- store|scan [--data BASE.npy] [--queries Q.npy] [--python PYTHON] [--dir DIR]`
//! `cargo run --release -p codegraph-vector-bench -- memory|txn|many [--rows N] [--dir DIR] [--into BENCHMARKS.md]`, where `many` is of N stores
//! `cargo run --release -p codegraph-vector-bench -- incremental [--seconds S] [--python PYTHON --peers-dir DIR] [--peers PART,…] [--rounds N]
//! [--into BENCHMARKS.md] [--dir DIR]`
//! `cargo run --release -p codegraph-vector-bench -- retrieval [--corpus stdlib|stdlib-with-tests|crates|PATH]…
//! [--language NAME] [--minilm DIR] [--show N]`
//! `cargo run --release -p codegraph-vector-bench -- index [--corpus …] [--dir DIR]`
//! `cargo run --release -p codegraph-vector-bench -- history --repo PATH --revisions A,B,…|--folders A,B,… [--into BENCHMARKS.md]`
//! `cargo run --release -p codegraph-vector-bench -- compress|search --base BASE.npy --queries Q.npy --gt GT.npy
//! [--peers-dir DIR --python PYTHON] [--peers-json LINES] [--peers PART,…] [--rounds N] [--repeat N] [--min-seconds S]
//! [--json FILE] [--into BENCHMARKS.md [--mark NAME]]`, and `[--codecs PART;…]` or `[--svg FILE] [--ours "WORDS FOR CGV"]`
//! `cargo run --release -p codegraph-vector-bench -- live|filtered|churn|backup|overhead|memory-limit --base BASE.npy --queries Q.npy
//! [--index KIND] [--compression SPEC] [--seconds S] [--cgroup DIR] [--dir DIR] [--into BENCHMARKS.md [--mark NAME]]`
//! `cargo run --release -p codegraph-vector-bench -- endurance [--nodes N] [--updates N] [--dimension D] [--batch N]
//! [--memtable-bytes N] [--dir DIR] [--into BENCHMARKS.md]`
//!
//! Each pair is interleaved and repeated five times; the median counts. Absolute figures illustrate.

#![allow(clippy::disallowed_methods)] // A benchmark measures the real clock and the real disk.

mod backup;
mod beside;
mod churn;
mod commit;
mod compress;
mod data;
mod disk;
mod endurance;
mod faiss;
mod filtered;
mod history;
mod import;
mod incremental;
mod index;
mod live;
mod many;
mod memory;
mod memory_limit;
mod overhead;
mod peers;
mod report;
mod retrieval;
mod scan;
mod search;
mod searching;
mod txn;

use std::path::PathBuf;

use report::Report;

/// What the command line says.
struct Args {
    command: String,
    data: Option<PathBuf>,
    queries: Option<PathBuf>,
    dir: Option<PathBuf>,
    /// A Python with numpy and faiss-cpu, to compare with.
    python: Option<PathBuf>,
    rows: usize,
    retrieval: retrieval::Options,
    beside: beside::Options,
    /// Parts of names; all if there are none.
    codecs: Vec<String>,
    /// Words for `cgv bench search`.
    ours: Vec<String>,
    kind: searching::Kind,
    /// Of searches beside a writer.
    seconds: f64,
    cgroup: Option<PathBuf>,
    endurance: endurance::Options,
    history: history::Options,
}

fn args() -> Result<Args, String> {
    let mut given = std::env::args().skip(1);
    let command = given.next().ok_or(
        "say what to measure: store, scan, memory, retrieval, index, history, compress, search, txn, many, incremental, live, filtered, churn, backup, endurance, overhead or memory-limit",
    )?;
    let mut args = Args {
        command,
        data: None,
        queries: None,
        dir: None,
        python: None,
        rows: 1_000_000,
        retrieval: retrieval::Options::default(),
        beside: beside::Options::default(),
        codecs: Vec::new(),
        ours: Vec::new(),
        kind: searching::Kind::default(),
        seconds: 60.0,
        cgroup: None,
        endurance: endurance::Options::default(),
        history: history::Options::default(),
    };
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--data" | "--base" => args.data = Some(value.into()),
            "--queries" => args.queries = Some(value.into()),
            "--dir" => args.dir = Some(value.into()),
            "--python" => args.python = Some(value.into()),
            "--rows" => args.rows = value.parse().map_err(|_| format!("{value} is no number of rows"))?,
            "--corpus" => args.retrieval.corpora.push(value),
            "--language" => args.retrieval.language = Some(value),
            "--minilm" => args.retrieval.minilm = Some(value.into()),
            "--show" => args.retrieval.show = value.parse().map_err(|_| format!("{value} is no number"))?,
            "--dump" => args.retrieval.dump = Some(value.into()),
            "--codecs" => args.codecs = value.split(';').map(str::to_owned).collect(),
            "--ours" => args.ours = value.split_whitespace().map(str::to_owned).collect(),
            "--compression" => {
                args.kind.compression = Some(value.parse().map_err(|error| format!("{error}"))?);
            }
            "--index" => args.kind.index = value.parse().map_err(|error| format!("{error}"))?,
            "--seconds" => {
                args.seconds = value.parse().map_err(|_| format!("{value} is no number of seconds"))?
            }
            "--cgroup" => args.cgroup = Some(value.into()),
            "--repo" => args.history.repository = Some(value.into()),
            "--revisions" => args.history.revisions = value.split(',').map(str::to_owned).collect(),
            "--folders" => args.history.folders = value.split(',').map(PathBuf::from).collect(),
            _ if args.beside.set(&name, &value)? || args.endurance.set(&name, &value)? => {}
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(args)
}

/// An error that need not pass between threads any more.
fn plain(error: Box<dyn std::error::Error + Send + Sync>) -> Box<dyn std::error::Error> {
    error
}

/// What searches do under some condition: prints a table, and writes it where the options say.
fn searches(folder: &std::path::Path, args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let base = data::load(args.data.as_deref().ok_or("--base is missing")?)?;
    let path = args.queries.as_deref().ok_or("--queries is missing")?;
    let queries = data::load(path)?;
    let (kind, mut report) = (&args.kind, Report::default());
    let table = match args.command.as_str() {
        "filtered" => filtered::run(folder, &base, &queries, kind)?,
        other => {
            match other {
                "live" => live::run(folder, &base, &queries, kind, args.seconds, &mut report)?,
                "backup" => backup::run(folder, &base, &queries, kind, args.seconds, &mut report)?,
                "churn" => churn::run(folder, &base, &queries, kind, &mut report)?,
                "overhead" => overhead::run(folder, &base, &queries, kind, &mut report)?,
                _ => memory_limit::run(folder, &base, path, kind, args.cgroup.as_deref(), &mut report)?,
            }
            if report.is_empty() {
                return Ok(());
            }
            report.to_string()
        }
    };
    print!("{table}");
    args.beside.write(&args.command, &table)
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let args = args()?;
    let folder = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let mut report = Report::default();
    match args.command.as_str() {
        "store" => {
            let base = data::load_or_make(args.data.as_deref(), 97_315, 384)?;
            let queries = data::load_or_make(args.queries.as_deref(), 200, base.dimension)?;
            commit::single(folder.path(), base.dimension, &mut report)?;
            commit::many(folder.path(), base.dimension, &mut report)?;
            import::bulk(folder.path(), &base, &mut report)?;
            scan::exact(folder.path(), &base, &queries, args.python.as_deref(), &mut report)?;
        }
        "scan" => {
            let base = data::load_or_make(args.data.as_deref(), 97_315, 384)?;
            let queries = data::load_or_make(args.queries.as_deref(), 200, base.dimension)?;
            scan::exact(folder.path(), &base, &queries, args.python.as_deref(), &mut report)?;
        }
        "import" => {
            let base = data::load_or_make(args.data.as_deref(), 97_315, 384)?;
            import::bulk(folder.path(), &base, &mut report)?;
        }
        "memory" => memory::run(folder.path(), args.rows, &mut report)?,
        "txn" => {
            txn::run(folder.path(), args.rows, &mut report)?;
            args.beside.write("txn", &report.to_string())?;
        }
        "endurance" => {
            endurance::run(folder.path(), &args.endurance, &mut report)?;
            args.beside.write("endurance", &report.to_string())?;
        }
        "many" => {
            many::run(folder.path(), args.rows.min(2_000), &mut report)?;
            args.beside.write("many", &report.to_string())?;
        }
        "incremental" => {
            let (python, options) = (args.python.as_deref(), &args.beside);
            incremental::run(folder.path(), python, options, args.seconds, &mut report)?;
            args.beside.write("incremental", &report.to_string())?;
        }
        "retrieval" => retrieval::run(folder.path(), &args.retrieval, &mut report).map_err(plain)?,
        "index" => {
            let corpora = &args.retrieval.corpora;
            let which = corpora.first().map_or("stdlib", String::as_str);
            index::run(folder.path(), which, &mut report).map_err(plain)?;
        }
        "history" => {
            let table = history::run(folder.path(), &args.history, &mut report).map_err(plain)?;
            print!("{table}\n{report}");
            args.beside.write("history", &format!("{table}\n{report}"))?;
            return Ok(());
        }
        "compress" | "search" => {
            let (options, python) = (&args.beside, args.python.as_deref());
            let input = options.input(args.data.as_deref(), args.queries.as_deref())?;
            match args.command.as_str() {
                "compress" => compress::run(folder.path(), &input, python, options, &args.codecs)?,
                _ => search::run(folder.path(), &input, python, options, &args.ours)?,
            }
        }
        "live" | "filtered" | "churn" | "backup" | "overhead" | "memory-limit" => {
            searches(folder.path(), &args)?
        }
        // Some benchmarks start themselves again with these, to look at fresh processes.
        "many-child" => many::child(&args.dir.ok_or("--dir is missing")?, args.rows)?,
        "open" => memory::child(&args.dir.ok_or("--dir is missing")?, args.rows)?,
        "limited-search" => {
            let queries = args.queries.ok_or("--queries is missing")?;
            memory_limit::child(&args.dir.ok_or("--dir is missing")?, &queries)?;
        }
        "index-once" => {
            let root = args.retrieval.corpora.first().ok_or("--corpus is missing")?;
            index::child(&args.dir.ok_or("--dir is missing")?, root.as_ref()).map_err(plain)?;
        }
        other => return Err(format!("{other} is not a benchmark").into()),
    }
    if !report.is_empty() {
        print!("{report}");
    }
    Ok(())
}

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
