//! Indexing: the files of a folder, or of a commit, into a store, each replaced as a whole; only what changed is read.
//!
//! A walker finds files ([`origin`]) and passes over those that are as they were ([`plan`]); workers read, parse and, where that
//! is cheap, embed the others ([`work`]); for an embedder that wants few calls with many texts these are gathered
//! ([`gather`]); one thread stores what is complete ([`commit`]). All that is under way fits a [`budget`].

mod basis;
mod budget;
mod commit;
mod gather;
mod git;
mod origin;
mod plan;
mod rows;
mod scope;
mod source;
mod statistics;
mod walk;
mod work;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use codegraph_vector::{Clock, Error, Filter, PersistentVectorStore, Result, Snapshot};
use codegraph_vector_base::SystemClock;
use crossbeam_channel::{Receiver, Sender, bounded};
use serde::Serialize;

use self::basis::Basis;
pub use self::basis::commit_of;
use self::budget::Budget;
use self::commit::{Committer, Outcome};
use self::git::Commit;
use self::origin::{Found, Origin};
use self::plan::Plan;
pub(crate) use self::rows::{FILE_HASH, file_id, hash_text};
pub(crate) use self::scope::{Paths, below};
use self::source::Hook;
pub(crate) use self::walk::Entering;
use self::walk::{At, Seen};
use self::work::{Counters, Done, Run, Worked};
use crate::embed::Embedder;
use crate::root;
use crate::stop::Stop;

/// The store's property that says when the last run began that saw all of the folder, in µs since the Unix epoch.
const CHECKED: &str = "index.checked_us";

/// Most bytes that files take between being read and being durable, about.
const BUDGET_BYTES: usize = 32 << 20;
/// Bytes at which the store's memtables are flushed while a run fills them. Up to three of them are there at a time,
/// and they are most of what a run needs; larger ones make it no faster.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// Paths that wait for a worker, and files that wait for the committer or for being gathered.
const MAX_PATHS: usize = 256;
const MAX_FILES: usize = 64;
/// Most calls of an embedder at a time, whatever it wants.
const MAX_CALLS: usize = 64;
/// Most paths that the store is asked for at once.
const MAX_ASKED: usize = 4096;

/// How a folder is indexed.
#[derive(Clone, Debug)]
pub struct IndexOptions {
    /// Files of more bytes are skipped, and reported.
    pub max_file_bytes: u64,
    /// Threads that read, parse and embed; 0 for as many as there are CPUs.
    pub threads: usize,
    /// Takes the folder even if the store was made of another one that is still there.
    pub reroot: bool,
    /// Ends the run, with [`Closed`](codegraph_vector::ErrorKind::Closed), once it is said.
    pub stop: Stop,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self { max_file_bytes: 4 << 20, threads: 0, reroot: false, stop: Stop::default() }
    }
}

/// How far a run is. Numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexProgress {
    /// Files that were found so far.
    pub files_found: u64,
    /// Whether that are all.
    pub all_found: bool,
    /// Files that are done: unchanged, indexed or skipped.
    pub files_done: u64,
    /// Nodes stored.
    pub nodes: u64,
    /// Bytes of source read.
    pub bytes: u64,
}

/// A file that is not in the store, or not all of it, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, relative to the root.
    pub path: String,
    /// A sentence without a full stop, such as `is larger than 4.0 MiB`.
    pub reason: String,
}

/// What a run did. The names are kept: other programs read them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IndexSummary {
    /// Source files that were found: all there are, or those that changed if the run was told (`since`, or by a watch).
    pub files: u64,
    /// Of these, as they were at the last run.
    pub files_unchanged: u64,
    /// Of these, stored anew.
    pub files_indexed: u64,
    /// Of these, left out: too large, binary, not UTF-8, unreadable.
    pub files_skipped: u64,
    /// Files that were in the store and are gone.
    pub files_removed: u64,
    /// Files with places that the grammar did not understand.
    pub files_with_syntax_errors: u64,
    /// Nodes in the store after the run.
    pub nodes: u64,
    /// Nodes embedded in this run.
    pub nodes_embedded: u64,
    /// Nodes stored anew with a vector that was there before, for they had the same text.
    pub nodes_reused: u64,
    /// Bytes of source that were read.
    pub bytes_read: u64,
    /// Seconds that the run took.
    pub seconds: f64,
    /// What was left out and why; the first thousand.
    pub problems: Vec<Problem>,
    /// The commit that the files are of, if they are of one.
    pub commit: Option<String>,
    /// The commit that the store was the index of, if only what changed since was looked at.
    pub since: Option<String>,
}

/// Makes the store what an index of `root` has to be. `progress` is called now and then, from one thread at a time.
///
/// # Errors
/// `Conflict` if the store is of another folder that is still there; `InvalidInput` if it is of another
/// embedder, or was filled by something else; whatever the embedder or the store fails with. What was stored until
/// then stays, whole files only.
pub fn index(
    store: &PersistentVectorStore,
    root: &Path,
    embedder: &dyn Embedder,
    options: &IndexOptions,
    progress: &mut (dyn FnMut(IndexProgress) + Send),
) -> Result<IndexSummary> {
    let job = Job::of_folder(store, root, embedder, options);
    run(&job, progress).map(|outcome| outcome.summary)
}

/// Makes the store what an index of a commit has to be, from the repository that the folder `root` lies in, without a
/// checkout: of the files below `root`, as the commit has them. `revision` is what `git rev-parse` takes: an id, a
/// branch, a tag, `HEAD~3`.
///
/// Files are known by the ids of their blobs. If the store is the index of another commit that is still in the
/// repository, only what is not the same in both is looked at. What a file system or a `.gitignore` says of files does not
/// matter; hidden files, links and submodules are left out.
///
/// # Errors
/// Those of [`index`]; `NotFound` if there is no repository, no such commit, or no such folder in it.
pub fn index_commit(
    store: &PersistentVectorStore,
    root: &Path,
    revision: &str,
    embedder: &dyn Embedder,
    options: &IndexOptions,
    progress: &mut (dyn FnMut(IndexProgress) + Send),
) -> Result<IndexSummary> {
    let job = Job { what: What::Commit(revision), ..Job::of_folder(store, root, embedder, options) };
    run(&job, progress).map(|outcome| outcome.summary)
}

/// What a run is to do.
pub(crate) struct Job<'a> {
    pub(crate) store: &'a PersistentVectorStore,
    pub(crate) root: &'a Path,
    pub(crate) what: What<'a>,
    pub(crate) embedder: &'a dyn Embedder,
    pub(crate) options: &'a IndexOptions,
    /// Is told of the folders that the walk goes into.
    pub(crate) entering: Option<Entering>,
    /// For tests.
    pub(crate) hook: Hook<'a>,
}

/// What is indexed.
#[derive(Clone)]
pub(crate) enum What<'a> {
    /// The whole folder.
    Folder,
    /// What these cover of it; the rest is as it was.
    Paths(Arc<Paths>),
    /// The folder as this commit has it.
    Commit(&'a str),
}

impl<'a> Job<'a> {
    /// To index a folder.
    pub(crate) fn of_folder(
        store: &'a PersistentVectorStore,
        root: &'a Path,
        embedder: &'a dyn Embedder,
        options: &'a IndexOptions,
    ) -> Self {
        Self { store, root, what: What::Folder, embedder, options, entering: None, hook: &|_| Ok(()) }
    }
}

/// Does it, within the memory that indexing may take.
pub(crate) fn run(job: &Job<'_>, progress: &mut (dyn FnMut(IndexProgress) + Send)) -> Result<Outcome> {
    job.store.limit_memtables(Some(MEMTABLE_BYTES));
    let outcome = run_within(job, progress);
    job.store.limit_memtables(None);
    outcome
}

fn run_within(job: &Job<'_>, progress: &mut (dyn FnMut(IndexProgress) + Send)) -> Result<Outcome> {
    let Job { store, embedder, options, .. } = *job;
    let clock = SystemClock::new();
    let root = root::open_root(job.root)?;
    check_embedder(store, embedder)?;
    let commit = match job.what {
        What::Commit(revision) => Some(Commit::open(&root, revision)?),
        What::Folder | What::Paths(_) => None,
    };
    let started_us = i64::try_from(clock.now_us()).unwrap_or(i64::MAX);
    if !root::is_claimed(store, &root)? {
        // What was checked elsewhere proves nothing here.
        root::check_claim(store, &root, options.reroot)?;
        store.set_property(CHECKED, None)?;
        basis::record(store, None)?;
        root::claim(store, &root)?;
    }
    // A clock that was ahead of this one proves nothing, either.
    let checked_us = store.property(CHECKED)?.and_then(|text| text.parse().ok());
    let checked_us = checked_us.filter(|checked_us| *checked_us <= started_us).unwrap_or(i64::MIN);
    let basis = Basis::of_store(store)?;
    let (origin, filters) = origin_of(job, &root, commit.as_ref(), basis.as_ref())?;
    let compared = matches!(origin, Origin::Commit { changes: Some(_), .. });
    if !filters.is_empty() {
        // From the first write on, it is the index of no commit.
        basis::record(store, None)?;
    }
    let snapshot = store.snapshot()?;
    let mut outcome = run_over(job, &origin, snapshot, &filters, checked_us, progress)?;
    let is_whole = outcome.checked && outcome.unsettled.is_empty();
    match (&job.what, &commit) {
        (_, Some(commit)) if is_whole => basis::record(store, Some((commit, options.max_file_bytes)))?,
        (What::Folder, _) if outcome.checked && outcome.read > 0 => {
            store.set_property(CHECKED, Some(&started_us.to_string()))?;
        }
        _ => {}
    }
    if embedder.uses_corpus() {
        statistics::refresh(store, &origin, options.max_file_bytes, &outcome.summary)?;
    }
    outcome.summary.commit = commit.map(|commit| commit.id());
    outcome.summary.since = basis.filter(|_| compared).map(|basis| basis.commit);
    outcome.summary.seconds = clock.monotonic().as_secs_f64();
    Ok(outcome)
}

/// Where the files come from, and what the store is asked for to compare them with.
fn origin_of<'a>(
    job: &'a Job<'_>,
    root: &'a Path,
    commit: Option<&'a Commit>,
    basis: Option<&Basis>,
) -> Result<(Origin<'a>, Vec<Filter>)> {
    let max_file_bytes = job.options.max_file_bytes;
    if let Some(commit) = commit {
        let changes = match basis {
            Some(basis) => basis.changes(job.store, commit, max_file_bytes)?,
            None => None,
        };
        let filters = changes.as_ref().map(|changes| {
            let asked = changes.paths.chunks(MAX_ASKED);
            asked.map(|paths| Filter::any_of("path", paths.iter().map(String::as_str))).collect()
        });
        let filters = filters.unwrap_or_else(|| vec![Filter::everything()]);
        return Ok((Origin::Commit { commit, changes }, filters));
    }
    let paths = match &job.what {
        What::Paths(paths) => Some(paths.clone()),
        What::Folder | What::Commit(_) => None,
    };
    let filter = paths.as_ref().map_or_else(Filter::everything, |paths| paths.filter());
    let (store, entering) = (job.store.path(), job.entering.clone());
    Ok((Origin::Folder { root, store, paths, entering, hook: job.hook }, vec![filter]))
}

/// Finds, reads and stores what `origin` has, and removes what it has not any more.
fn run_over(
    job: &Job<'_>,
    origin: &Origin<'_>,
    snapshot: Snapshot,
    filters: &[Filter],
    checked_us: i64,
    progress: &mut (dyn FnMut(IndexProgress) + Send),
) -> Result<Outcome> {
    let Job { store, embedder, options, .. } = *job;
    let plan = Plan::load(snapshot, filters, checked_us)?;
    let run = Run {
        origin,
        plan: &plan,
        embedder,
        max_file_bytes: options.max_file_bytes,
        budget: Budget::new(BUDGET_BYTES),
        counters: Counters::default(),
        stop: &options.stop,
    };
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let clock = SystemClock::new();
    let mut committer = Committer::new(store, &run, progress, &clock);
    thread::scope(|scope| {
        let (done_in, done) = bounded(MAX_FILES);
        let (found_in, found) = bounded(MAX_PATHS);
        let (files_in, files) = bounded(MAX_FILES);
        let (walker_done, run) = (done_in.clone(), &run);
        let budget = &run.budget;
        scope.spawn(move || budget.closing_on_panic(|| find(run, &found_in, &walker_done)));
        for _ in 0..threads {
            let (found, files_in, done_in) = (found.clone(), files_in.clone(), done_in.clone());
            scope.spawn(move || budget.closing_on_panic(|| work_all(run, &found, &files_in, &done_in)));
        }
        if !run.embeds_at_once() {
            let calls = embedder.concurrency().clamp(1, MAX_CALLS);
            let (batches_in, batches) = bounded(calls);
            let batch = embedder.batch().max(1);
            scope.spawn(move || budget.closing_on_panic(|| gather::gather(&files, &batches_in, batch)));
            for _ in 0..calls {
                let (batches, done_in) = (batches.clone(), done_in.clone());
                scope.spawn(move || {
                    budget.closing_on_panic(|| gather::embed(&batches, embedder, &done_in));
                });
            }
        }
        drop((found, files_in, done_in));
        let outcome = budget.closing_on_panic(|| committer.store_all(&done));
        // After a failure the others find nobody to take what they do, and nothing to wait for.
        budget.close();
        outcome
    })?;
    committer.remove_gone()?;
    committer.finish()
}

/// Refuses vectors of another embedder than the store has.
fn check_embedder(store: &PersistentVectorStore, embedder: &dyn Embedder) -> Result<()> {
    let header = store.storage_header();
    let ours = embedder.id();
    if header.embedder.as_ref() != Some(&ours) {
        let named =
            |id: &codegraph_vector::EmbedderId| format!("{} {} ({})", id.name, id.version, id.parameters);
        let theirs = header.embedder.as_ref().map_or("no known embedder".to_owned(), named);
        let message =
            format!("the vectors of this store are of {theirs}, and these would be of {}", named(&ours));
        return Err(Error::invalid(message).at(store.path()));
    }
    if header.dimension != embedder.dimension() {
        let message = format!(
            "the vectors of this store have {} dimensions, and those of the embedder have {}",
            header.dimension,
            embedder.dimension()
        );
        return Err(Error::invalid(message).at(store.path()));
    }
    Ok(())
}

/// The walker: passes on what has to be read.
fn find(run: &Run<'_>, found: &Sender<Found>, done: &Sender<Done>) {
    let counters = &run.counters;
    let mut wanted = true;
    let mut go_on = |open: bool| {
        wanted = open;
        if open { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let outcome = run.origin.walk(&mut |seen| match seen {
        Seen::File(path, at) => {
            counters.found.fetch_add(1, Ordering::Release);
            let recorded = run.plan.see(&path);
            if recorded.is_some_and(|recorded| run.plan.is_settled(recorded, at, run.max_file_bytes)) {
                counters.unchanged.fetch_add(1, Ordering::Release);
                return ControlFlow::Continue(());
            }
            let (blob, size) = match at {
                At::Folder(stamp) => (None, stamp.map_or(0, |(stamp, _)| stamp.size)),
                At::Blob(id) => (Some(id), 0),
            };
            go_on(found.send(Found { path, blob, size }).is_ok())
        }
        Seen::Refused(problem) => {
            counters.found.fetch_add(1, Ordering::Release);
            go_on(done.send(Done::Refused(problem)).is_ok())
        }
        Seen::Unknown(problem) => go_on(done.send(Done::Unknown(problem)).is_ok()),
    });
    match outcome {
        Ok(()) => counters.all_found.store(wanted, Ordering::Release),
        Err(error) => drop(done.send(Done::Failed(error))),
    }
}

/// A worker: takes files until there are no more, or nobody wants what it makes of them.
fn work_all(
    run: &Run<'_>,
    found: &Receiver<Found>,
    files: &Sender<(rows::FileRows, Vec<(usize, gather::OwnedText)>)>,
    done: &Sender<Done>,
) {
    let reader = run.origin.reader();
    for found in found {
        let taken = match run.work(&reader, found) {
            Ok(None) => return,
            Ok(Some(Worked::Unchanged)) => {
                run.counters.unchanged.fetch_add(1, Ordering::Release);
                true
            }
            Ok(Some(Worked::Done(outcome))) => done.send(outcome).is_ok(),
            Ok(Some(Worked::Wants(rows, wants))) => files.send((rows, wants)).is_ok(),
            Err(error) => {
                let _ = done.send(Done::Failed(error));
                false
            }
        };
        if !taken {
            return;
        }
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
