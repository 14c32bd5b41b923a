//! Indexing: a folder's files into a store, each replaced as a whole; only what changed is read.
//!
//! A walker finds files and passes over those that are as they were ([`plan`]); workers read, parse and, where that
//! is cheap, embed the others ([`work`]); for an embedder that wants few calls with many texts these are gathered
//! ([`gather`]); one thread stores what is complete ([`commit`]). All that is under way fits a [`budget`].

mod budget;
mod commit;
mod gather;
mod plan;
mod rows;
mod source;
mod statistics;
mod walk;
mod work;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;

use codegraph_vector::{Clock, Error, PersistentVectorStore, Result};
use codegraph_vector_base::SystemClock;
use crossbeam_channel::{Receiver, Sender, bounded};
use serde::Serialize;

use self::budget::Budget;
use self::commit::Committer;
use self::plan::Plan;
pub(crate) use self::rows::{FILE_HASH, file_id, hash_text};
use self::source::Hook;
use self::walk::{Seen, walk};
use self::work::{Counters, Done, Run, Worked};
use crate::embed::Embedder;
use crate::root;

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

/// How a folder is indexed.
#[derive(Clone, Debug)]
pub struct IndexOptions {
    /// Files of more bytes are skipped, and reported.
    pub max_file_bytes: u64,
    /// Threads that read, parse and embed; 0 for as many as there are CPUs.
    pub threads: usize,
    /// Takes the folder even if the store was made of another one that is still there.
    pub reroot: bool,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self { max_file_bytes: 4 << 20, threads: 0, reroot: false }
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
    /// Source files that were found.
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
    store.limit_memtables(Some(MEMTABLE_BYTES));
    let outcome = index_with(store, root, embedder, options, progress, &|_| Ok(()));
    store.limit_memtables(None);
    outcome
}

/// [`index`], with a hook for tests.
fn index_with(
    store: &PersistentVectorStore,
    root: &Path,
    embedder: &dyn Embedder,
    options: &IndexOptions,
    progress: &mut (dyn FnMut(IndexProgress) + Send),
    hook: Hook<'_>,
) -> Result<IndexSummary> {
    let clock = SystemClock::new();
    let root = root::open_root(root)?;
    check_embedder(store, embedder)?;
    let started_us = i64::try_from(clock.now_us()).unwrap_or(i64::MAX);
    if !root::is_claimed(store, &root)? {
        // What was checked elsewhere proves nothing here.
        root::check_claim(store, &root, options.reroot)?;
        store.set_property(CHECKED, None)?;
        root::claim(store, &root)?;
    }
    // A clock that was ahead of this one proves nothing, either.
    let checked_us = store.property(CHECKED)?.and_then(|text| text.parse().ok());
    let checked_us = checked_us.filter(|checked_us| *checked_us <= started_us).unwrap_or(i64::MIN);
    let plan = Plan::load(store.snapshot()?, checked_us)?;
    let run = Run {
        root: &root,
        plan: &plan,
        embedder,
        max_file_bytes: options.max_file_bytes,
        budget: Budget::new(BUDGET_BYTES),
        counters: Counters::default(),
        hook,
    };
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let mut committer = Committer::new(store, &run, progress, &clock);
    thread::scope(|scope| {
        let (done_in, done) = bounded(MAX_FILES);
        let (paths_in, paths) = bounded(MAX_PATHS);
        let (files_in, files) = bounded(MAX_FILES);
        let (walker_done, run) = (done_in.clone(), &run);
        let budget = &run.budget;
        scope.spawn(move || budget.closing_on_panic(|| find(run, store.path(), &paths_in, &walker_done)));
        for _ in 0..threads {
            let (paths, files_in, done_in) = (paths.clone(), files_in.clone(), done_in.clone());
            scope.spawn(move || budget.closing_on_panic(|| work_all(run, &paths, &files_in, &done_in)));
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
        drop((paths, files_in, done_in));
        let outcome = budget.closing_on_panic(|| committer.store_all(&done));
        // After a failure the others find nobody to take what they do, and nothing to wait for.
        budget.close();
        outcome
    })?;
    committer.remove_gone()?;
    let (mut summary, checked) = committer.finish()?;
    if checked && run.counters.read.load(Ordering::Relaxed) > 0 {
        store.set_property(CHECKED, Some(&started_us.to_string()))?;
    }
    if embedder.uses_corpus() {
        statistics::refresh(store, &root, options.max_file_bytes, &summary, hook)?;
    }
    summary.seconds = clock.monotonic().as_secs_f64();
    Ok(summary)
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
fn find(run: &Run<'_>, store: &Path, paths: &Sender<(String, u64)>, done: &Sender<Done>) {
    let counters = &run.counters;
    let mut wanted = true;
    let mut go_on = |open: bool| {
        wanted = open;
        if open { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let outcome = walk(run.root, store, |seen| match seen {
        Seen::File(path, stamp) => {
            counters.found.fetch_add(1, Ordering::Release);
            let recorded = run.plan.see(&path);
            let settled = recorded.zip(stamp).is_some_and(|(recorded, (stamp, changed_us))| {
                stamp.size <= run.max_file_bytes && run.plan.is_settled(recorded, stamp, changed_us)
            });
            if settled {
                counters.unchanged.fetch_add(1, Ordering::Release);
                return ControlFlow::Continue(());
            }
            let size = stamp.map_or(0, |(stamp, _)| stamp.size);
            go_on(paths.send((path, size)).is_ok())
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

/// A worker: takes paths until there are no more, or nobody wants what it makes of them.
fn work_all(
    run: &Run<'_>,
    paths: &Receiver<(String, u64)>,
    files: &Sender<(rows::FileRows, Vec<(usize, gather::OwnedText)>)>,
    done: &Sender<Done>,
) {
    for (path, size) in paths {
        let taken = match run.work(path, size) {
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
