//! Benchmarks as ratios in one run: what the store does beside what the disk and the memory can do.
//!
//! `cargo run --release -p codegraph-vector-bench -- store|scan [--data BASE.npy] [--queries Q.npy] [--python PYTHON] [--dir DIR]`
//! `cargo run --release -p codegraph-vector-bench -- memory [--rows N] [--dir DIR]`
//! `cargo run --release -p codegraph-vector-bench -- retrieval [--corpus stdlib|stdlib-with-tests|crates|PATH]…
//! [--language NAME] [--minilm DIR] [--show N]`
//! `cargo run --release -p codegraph-vector-bench -- index [--corpus …] [--dir DIR]`
//! `cargo run --release -p codegraph-vector-bench -- compress --base BASE.npy --queries Q.npy --gt GT.npy
//! [--peers-dir DIR --python PYTHON | --peers-json LINES] [--peers PART,…] [--codecs PART;…] [--rounds N] [--repeat N]
//! [--min-seconds S] [--json FILE] [--into BENCHMARKS.md]`
//!
//! Each pair is interleaved and repeated five times; the median counts. Absolute figures illustrate.

#![allow(clippy::disallowed_methods)] // A benchmark measures the real clock and the real disk.

mod commit;
mod compress;
mod data;
mod disk;
mod faiss;
mod import;
mod index;
mod memory;
mod report;
mod retrieval;
mod scan;

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
    compress: compress::Options,
}

fn args() -> Result<Args, String> {
    let mut given = std::env::args().skip(1);
    let command =
        given.next().ok_or("say what to measure: store, scan, memory, retrieval, index or compress")?;
    let mut args = Args {
        command,
        data: None,
        queries: None,
        dir: None,
        python: None,
        rows: 1_000_000,
        retrieval: retrieval::Options::default(),
        compress: compress::Options::default(),
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
            _ if args.compress.set(&name, &value)? => {}
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(args)
}

/// An error that need not pass between threads any more.
fn plain(error: Box<dyn std::error::Error + Send + Sync>) -> Box<dyn std::error::Error> {
    error
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
        "retrieval" => retrieval::run(folder.path(), &args.retrieval, &mut report).map_err(plain)?,
        "index" => {
            let corpora = &args.retrieval.corpora;
            let which = corpora.first().map_or("stdlib", String::as_str);
            index::run(folder.path(), which, &mut report).map_err(plain)?;
        }
        "compress" => {
            let (base, queries, python) =
                (args.data.as_deref(), args.queries.as_deref(), args.python.as_deref());
            compress::run(folder.path(), base, queries, python, &args.compress)?;
        }
        // The benchmarks of memory and indexing start themselves again with these, to look at fresh processes.
        "open" => memory::child(&args.dir.ok_or("--dir is missing")?, args.rows)?,
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
