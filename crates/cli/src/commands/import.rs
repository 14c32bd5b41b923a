//! `cgv import`: rows from a file into the store, which is made if there is none.

use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::Args;
use codegraph_vector::{EmbedderId, Error, IndexPolicy, Metric, OpenOptions, PersistentVectorStore};
use serde::Serialize;

use crate::args::{self, Globals};
use crate::failure::{Failure, eprintln_quiet};
use crate::files;
use crate::formats::{self, Format, npy};
use crate::import::{Acknowledged, MetadataFile, Rows, commit_all};
use crate::location;
use crate::output;
use crate::progress::Progress;

/// An import into a store of at least so many rows ends with a merge, which builds the index.
const INDEXED_ROWS: u64 = 10_000;

/// Store the rows of a file; makes the store if there is none
///
/// Rows are numbered from 0 unless --ids says otherwise or the file itself does (.jsonl); a row whose
/// id is there is replaced. Each commit is durable before the next is reported, so an import
/// that was interrupted is simply run again. A .jsonl file has one node a line:
/// {"node_id":…,"vector":[…],"path":…,"name":…,"kind":…,"language":…,"start_line":…,"end_line":…,
/// "content_hash":…,"attributes":{…}}, all but the vector optional.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// A .npy (float32 or float16), .fvecs or .jsonl file, or - for .jsonl from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The rows' ids: a .npy file of uint64 or int64
    #[arg(long, value_name = "F.npy")]
    ids: Option<PathBuf>,
    /// The rows' metadata, one object a line: in the order of the rows, or matched by node_id where there is one
    #[arg(long, value_name = "F.jsonl")]
    metadata: Option<PathBuf>,
    /// How vectors are compared: cosine (if a new store is not told otherwise), dot or euclidean
    #[arg(long, value_parser = args::metric)]
    metric: Option<Metric>,
    /// What made the vectors: recorded, and later imports from something else are refused
    #[arg(long, value_name = "NAME:VERSION[:PARAMETERS]", value_parser = args::embedder)]
    embedder: Option<EmbedderId>,
    /// Rows in a commit; fewer if it would be over 64 MiB
    #[arg(long, value_name = "N", default_value = "10000")]
    commit_rows: NonZeroU32,
    /// The index that segments get from now on: auto, flat (none), ivf, hnsw, or hnsw:m=M;ef_construction=E
    #[arg(long, value_name = "KIND", value_parser = args::index)]
    index: Option<IndexPolicy>,
    /// Print a line for each commit once it is acknowledged: {"seqno":…,"first_row":…,"rows":…,"durable":true}
    #[arg(long)]
    receipts: bool,
}

/// What was imported.
#[derive(Debug, Default, Serialize)]
struct Summary {
    rows: u64,
    seqno: u64,
    durable: bool,
    commits: u64,
    seconds: f64,
    rows_per_second: f64,
    /// After that, what it took to index the rows, if they are enough for that.
    index_seconds: f64,
}

/// One line of `--receipts`.
#[derive(Debug, Serialize)]
struct Receipt {
    seqno: u64,
    first_row: u64,
    rows: u64,
    durable: bool,
}

pub(crate) fn run(globals: &Globals, args: &ImportArgs) -> Result<(), Failure> {
    if args.receipts && globals.json {
        return Err(Failure::Usage(
            "--receipts prints a line for each commit, and --json one document".to_owned(),
        ));
    }
    let progress = Progress::new();
    let rows = open_rows(args)?;
    let options = OpenOptions {
        dimension: Some(rows.dimension()),
        metric: args.metric,
        embedder: args.embedder.clone(),
        ..OpenOptions::default()
    };
    let store = location::open_with(globals, options)?;
    if let Some(policy) = args.index {
        store.configure(|settings| settings.index = policy)?;
    }
    let count = rows.count();
    let mut summary = Summary { durable: true, seqno: store.snapshot()?.seqno().0, ..Summary::default() };
    let outcome = commit_all(&store, rows, args.commit_rows.get() as usize, |acknowledged| {
        summary.add(acknowledged);
        progress.rows(summary.rows, count);
        if args.receipts { print_receipt(acknowledged) } else { Ok(()) }
    });
    summary.seconds = progress.seconds();
    let indexed = if outcome.is_ok() { index_rows(&store, &progress) } else { Ok(0.0) };
    let closed = store.close();
    progress.end();
    if let Err(failure) = outcome {
        if summary.rows > 0 {
            let rows = output::count(summary.rows, "row");
            eprintln_quiet(&format!("note: {rows} went into the store before this"));
        } else if summary.seqno == 0 {
            let path = store.path().display();
            eprintln_quiet(&format!(
                "note: the store at {path} is empty and keeps its dimension and metric; remove it to choose others"
            ));
        }
        return Err(failure);
    }
    summary.index_seconds = indexed?;
    closed?;
    // Closing has synced whatever the store's settings let wait.
    summary.durable = true;
    summary.rows_per_second = summary.rows as f64 / summary.seconds.max(1e-9);
    summary.print(globals.json, args.receipts)
}

/// Rows that are enough for it get their index now: nobody is there to build it in the background when this is over.
fn index_rows(store: &PersistentVectorStore, progress: &Progress) -> codegraph_vector::Result<f64> {
    let (begun, before) = (progress.seconds(), store.stats()?);
    if before.active_vectors < INDEXED_ROWS {
        return Ok(0.0);
    }
    store.flush()?;
    store.merge()?;
    Ok(progress.seconds() - begun)
}

fn open_rows(args: &ImportArgs) -> Result<Rows, Failure> {
    let path = &args.file;
    let from_stdin = path == Path::new("-");
    if from_stdin || Format::of(path) == Some(Format::Jsonl) {
        if args.ids.is_some() || args.metadata.is_some() {
            return Err(Failure::Usage(
                "nodes in .jsonl have their own ids and metadata: leave --ids and --metadata out".to_owned(),
            ));
        }
        if from_stdin {
            let reader = Box::new(BufReader::new(io::stdin()));
            return Ok(Rows::of_nodes(PathBuf::from("standard input"), reader)?);
        }
        return Ok(Rows::of_nodes(path.clone(), Box::new(files::open(path)?.reader))?);
    }
    if Format::of(path).is_none() {
        return Err(Failure::Usage(format!("{} is not a .npy, .fvecs or .jsonl file", path.display())));
    }
    let vectors = formats::open_vectors(path)?;
    let ids = args.ids.as_ref().map(|path| open_ids(path)).transpose()?;
    let metadata = args.metadata.as_ref().map(|path| MetadataFile::open(path)).transpose()?;
    Ok(Rows::of_vectors(path.clone(), vectors, ids, metadata)?)
}

fn open_ids(path: &Path) -> Result<(PathBuf, npy::Ids<BufReader<File>>), Failure> {
    let input = files::open(path)?;
    let len =
        input.len.ok_or_else(|| Error::invalid("only a regular file can be read as this format").at(path))?;
    let ids = npy::Ids::open(input.reader, len).map_err(|error| error.at(path))?;
    Ok((path.to_owned(), ids))
}

/// A receipt that cannot be handed over ends the import: whoever counts on them is gone.
fn print_receipt(acknowledged: &Acknowledged) -> Result<(), Failure> {
    let Acknowledged { receipt, first_row, rows } = *acknowledged;
    let line = Receipt { seqno: receipt.seqno.0, first_row, rows, durable: receipt.durable };
    let mut out = io::stdout().lock();
    let printed = output::line(&mut out, &line).and_then(|()| out.flush());
    printed.map_err(|cause| Error::io("write", "standard output", cause).into())
}

impl Summary {
    fn add(&mut self, acknowledged: &Acknowledged) {
        self.rows += acknowledged.rows;
        self.commits += 1;
        self.seqno = acknowledged.receipt.seqno.0;
        self.durable &= acknowledged.receipt.durable;
    }

    fn print(&self, json: bool, receipts: bool) -> Result<(), Failure> {
        if receipts {
            return Ok(());
        }
        output::print(json, self, |out| {
            let (rows, commits) = (output::count(self.rows, "row"), output::count(self.commits, "commit"));
            let (seconds, rate) = (self.seconds, self.rows_per_second);
            writeln!(
                out,
                "{rows} in {seconds:.2} s ({rate:.0} a second), {commits}, now at commit {}",
                self.seqno
            )
        })
    }
}
