//! `cgv index`: a folder of code, or a commit of it, into the store, which is made if there is none.

mod following;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use codegraph_vector::{Error, ErrorKind, Filter, PersistentVectorStore, Result};
use codegraph_vector_indexer::{
    EmbedderSpec, IndexOptions, IndexSummary, index, index_commit, printable, qualified_name, root_of, terms,
};

use crate::args::Globals;
use crate::failure::{Failure, eprintln_quiet};
use crate::progress::Progress;
use crate::workspace::Workspace;
use crate::{location, output, shell};

/// Most problems that people are told of.
const MAX_PROBLEMS: usize = 10;
/// Nodes that are looked at for one whose name makes a good example.
const EXAMPLES: usize = 200;
/// Digits of a commit that people are told.
const COMMIT_DIGITS: usize = 12;

/// Store the code of a folder, to be searched; run again, it reads only what changed
///
/// Parses Rust, Python, JavaScript, TypeScript, Go, Java, C and C++ into functions, methods, types and modules, and
/// makes a vector of each. What .gitignore names is left out, as are hidden files. Each file is stored
/// as a whole, so a run that was interrupted is simply run again. What is gone from the folder goes from the store.
///
/// With --watch it goes on: what changes is indexed a moment later, until it is ended. With --git the files are those of
/// a commit, read from the repository without a checkout; from one commit to the next, only what is not the same is read.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cgv index .                               this folder, into ./.cgv\n  \
    cgv index                                 again, from anywhere in it: only what changed\n  \
    cgv index ~/code/api --store api.cgv      into a store of that name\n  \
    cgv index . --watch                       and keep it up to date while I work\n  \
    cgv index . --git v1.2 --store v1.2.cgv   the code as it was then\n  \
    cgv index . --embedder openai:http://localhost:11434/v1,nomic-embed-text")]
pub(crate) struct IndexArgs {
    /// The folder; the store is looked for there and above [default: the folder that the store found here or above
    /// is of, else this one]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// What makes the vectors: lexical (no model, no network), openai:URL,MODEL (any compatible endpoint, the key
    /// in CGV_OPENAI_API_KEY) or model2vec:DIR [default: the store's, else lexical]
    #[arg(long, value_name = "SPEC", value_parser = embedder)]
    embedder: Option<EmbedderSpec>,
    /// Files of more bytes are left out
    #[arg(long, value_name = "N", default_value_t = IndexOptions::default().max_file_bytes)]
    max_file_bytes: u64,
    /// Threads; 0 is one for each CPU
    #[arg(long, value_name = "T", default_value = "0")]
    threads: u16,
    /// Makes the store the index of PATH, although it is one of another folder
    #[arg(long)]
    reroot: bool,
    /// The files as this revision has them: a commit, branch or tag of the git repository that PATH lies in
    #[arg(long, value_name = "REV")]
    git: Option<String>,
    /// Goes on indexing what changes, until it is interrupted; with --json, one line for each round
    #[arg(long, conflicts_with = "git")]
    watch: bool,
}

fn embedder(text: &str) -> Result<EmbedderSpec, String> {
    text.parse().map_err(|error: Error| error.message().to_owned())
}

pub(crate) fn run(globals: &Globals, args: &IndexArgs) -> Result<(), Failure> {
    let folder = match &args.path {
        Some(path) => folder(path)?,
        None => location::working_folder()?,
    };
    let progress = Progress::new();
    let (store, embedder) = Workspace::of(globals, &folder)?.open_indexing(args.embedder.as_ref())?;
    let root = match &args.path {
        Some(_) => folder,
        None => root_of(&store)?.filter(|root| root.is_dir()).unwrap_or(folder),
    };
    let options = IndexOptions {
        max_file_bytes: args.max_file_bytes,
        threads: args.threads.into(),
        reroot: args.reroot,
        ..IndexOptions::default()
    };
    if args.watch {
        return following::run(globals, &store, &root, &*embedder, &options);
    }
    let before = store.stats()?.seqno;
    let mut tell = |done| progress.index(done);
    let outcome = match &args.git {
        Some(revision) => index_commit(&store, &root, revision, &*embedder, &options, &mut tell),
        None => index(&store, &root, &*embedder, &options, &mut tell),
    };
    if outcome.is_ok() {
        // Nobody else will: in a store that only short runs write to, what is due would be begun each time, and never done.
        progress.says("merging");
        if let Err(error) = store.maintain() {
            eprintln_quiet(&format!("note: all is stored, but segments could not be merged: {error}"));
        }
    }
    progress.end();
    let question = outcome.as_ref().ok().and_then(|_| example(&store));
    if outcome.is_err() && store.stats().is_ok_and(|stats| stats.seqno > before) {
        let nodes = output::count(store.count(&Filter::everything())?, "node");
        eprintln_quiet(&format!("note: the store has {nodes} by now; run it again to go on from there"));
    }
    let closed = store.close();
    let summary = outcome.map_err(told_apart)?;
    closed?;
    let here = Here { root: &root, store: store.path(), store_is_found: is_found(globals, store.path()) };
    output::print(globals.json, &summary, |out| write(out, &summary, &here, question.as_deref()))
}

/// The folder without links, so that it is looked upward from where it really is.
fn folder(path: &Path) -> Result<PathBuf> {
    let folder = path.canonicalize().map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, "there is no such folder").at(path),
        _ => Error::io("open", path, cause),
    })?;
    if !folder.is_dir() {
        return Err(Error::invalid("this is a file; index the folder that it is in").at(path));
    }
    Ok(folder)
}

/// A store of another folder: running the command again does not help, and its message says what does.
fn told_apart(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Conflict => Error::invalid(format!(
            "{}; `cgv index` without a PATH brings the index up to date, from any folder in it",
            error.message()
        )),
        _ => error,
    }
}

/// Whether a search from the working folder comes by the store without being told.
fn is_found(globals: &Globals, store: &Path) -> bool {
    let found = location::locate(globals).ok().and_then(|found| found.path.canonicalize().ok());
    found.is_some() && found == store.canonicalize().ok() && globals.store.is_none()
}

/// A question that is sure to find something: the words of a name that has several; of a function rather than
/// anything else, and of no test if there is a choice.
fn example(store: &PersistentVectorStore) -> Option<String> {
    let mut best = None;
    for node in store.snapshot().ok()?.iter().ok()?.take(EXAMPLES) {
        let node = node.ok()?;
        let is_code = node.kind.as_deref().is_some_and(|kind| kind != "module");
        let words = node.name.as_deref().filter(|_| is_code).map(terms).unwrap_or_default();
        let speaks = !words.is_empty() && words.iter().all(|word| word.len() > 2 && word != "test");
        if !speaks || words.len() > 3 {
            continue;
        }
        let is_function = matches!(node.kind.as_deref(), Some("function" | "method"));
        let names = [node.path.as_deref(), qualified_name(&node.metadata())]
            .map(|name| name.is_some_and(|name| name.to_lowercase().contains("test")));
        let rank = (names == [false; 2], is_function, words.len());
        if best.as_ref().is_none_or(|(other, _)| rank > *other) {
            best = Some((rank, words));
        }
    }
    best.map(|(_, words)| words.join(" "))
}

/// Where it was indexed, and where to.
struct Here<'a> {
    root: &'a Path,
    store: &'a Path,
    store_is_found: bool,
}

fn write(
    out: &mut dyn Write,
    summary: &IndexSummary,
    here: &Here<'_>,
    question: Option<&str>,
) -> io::Result<()> {
    let IndexSummary { files_indexed, files_unchanged, files_removed, .. } = *summary;
    writeln!(out, "{}", headline(summary, here.root))?;
    let mut line = |what: &str, value: String| writeln!(out, "  {what:<11}{value}");
    if files_indexed > 0 {
        let read = output::bytes(summary.bytes_read);
        line("indexed", format!("{}, {read} read", output::count(files_indexed, "file")))?;
    }
    if files_unchanged > 0 {
        line("unchanged", output::count(files_unchanged, "file"))?;
    }
    if files_removed > 0 {
        let from = if summary.commit.is_some() { "commit" } else { "folder" };
        line("removed", format!("{}, gone from the {from}", output::count(files_removed, "file")))?;
    }
    if summary.nodes_embedded + summary.nodes_reused > 0 {
        let embedded = output::count(summary.nodes_embedded, "node");
        let reused = match summary.nodes_reused {
            0 => String::new(),
            reused => format!("; {reused} more kept the vector that they had"),
        };
        line("embedded", embedded + &reused)?;
    }
    if summary.files_skipped > 0 {
        line("left out", output::count(summary.files_skipped, "file"))?;
    }
    if summary.files_with_syntax_errors > 0 {
        let files = output::count(summary.files_with_syntax_errors, "file");
        line(
            "unclear",
            format!("{files} with syntax that was not understood in places; the rest of each is stored"),
        )?;
    }
    line("took", format!("{:.2} s{}", summary.seconds, rates(summary)))?;
    let store = printable(&here.store.display().to_string()).into_owned();
    line("store", format!("{store}, {}", output::count(summary.nodes, "node")))?;
    write_problems(out, summary)?;
    write_next(out, summary, here, question)
}

/// Which files it was about.
fn headline(summary: &IndexSummary, root: &Path) -> String {
    let files = output::count(summary.files, "source file");
    let root = printable(&root.display().to_string()).into_owned();
    let short = |id: &str| id.get(..COMMIT_DIGITS).unwrap_or(id).to_owned();
    match (&summary.commit, &summary.since) {
        (None, _) => format!("{files} in {root}"),
        (Some(commit), None) => format!("{files} in {root} at commit {}", short(commit)),
        (Some(commit), Some(since)) if commit == since => {
            format!("{root} is indexed at commit {} already", short(commit))
        }
        (Some(commit), Some(since)) => {
            format!("{files} new or changed in {root} at commit {}, since {}", short(commit), short(since))
        }
    }
}

/// How fast it was; nothing where there was nothing to do.
fn rates(summary: &IndexSummary) -> String {
    if summary.files_indexed == 0 {
        return String::new();
    }
    let seconds = summary.seconds.max(1e-9);
    let nodes = (summary.nodes_embedded + summary.nodes_reused) as f64 / seconds;
    let bytes = output::bytes((summary.bytes_read as f64 / seconds) as u64);
    format!(": {nodes:.0} nodes and {bytes} a second")
}

fn write_problems(out: &mut dyn Write, summary: &IndexSummary) -> io::Result<()> {
    let problems = &summary.problems;
    if problems.is_empty() {
        return Ok(());
    }
    writeln!(out, "not stored, or not all of it:")?;
    for problem in problems.iter().take(MAX_PROBLEMS) {
        writeln!(out, "  {} {}", printable(&problem.path), printable(&problem.reason))?;
    }
    match problems.len().saturating_sub(MAX_PROBLEMS) {
        0 => Ok(()),
        more => writeln!(out, "  … and {more} more; --json lists them"),
    }
}

/// What to do next.
fn write_next(
    out: &mut dyn Write,
    summary: &IndexSummary,
    here: &Here<'_>,
    question: Option<&str>,
) -> io::Result<()> {
    if summary.nodes == 0 && summary.files > 0 {
        return writeln!(out, "nothing to search: no file could be stored");
    }
    if summary.nodes == 0 {
        return writeln!(
            out,
            "nothing to search: no file here is in Rust, Python, JavaScript, TypeScript, Go, Java, C or C++"
        );
    }
    let store =
        if here.store_is_found { String::new() } else { format!(" --store {}", shell::path(here.store)) };
    let question = question.unwrap_or("what it does, in your words");
    writeln!(out, "search it:  {} search \"{question}\"{store}", shell::program())
}
