//! Storing files, each as one commit, many of them with one sync; and keeping count.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use codegraph_vector::{Clock, Error, ErrorKind, PendingWrite, PersistentVectorStore, Result, Write};
use codegraph_vector_base::SystemClock;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::budget::Held;
use super::rows::FileRows;
use super::work::{Done, Run};
use super::{IndexProgress, IndexSummary, Problem};

/// Commits, and bytes held by them, that may wait for one sync.
const MAX_IN_FLIGHT: usize = 256;
const MAX_IN_FLIGHT_BYTES: usize = 8 << 20;
/// What waits is synced after so long without another file; progress is told as often.
const TICK: Duration = Duration::from_millis(30);
/// Most problems of a summary.
const MAX_PROBLEMS: usize = 1000;

/// The one thread that writes.
pub(crate) struct Committer<'a> {
    store: &'a PersistentVectorStore,
    run: &'a Run<'a>,
    progress: &'a mut (dyn FnMut(IndexProgress) + Send),
    clock: &'a SystemClock,
    told: Option<Duration>,
    in_flight: Vec<(PendingWrite, Option<Held>)>,
    in_flight_bytes: usize,
    nodes: u64,
    summary: IndexSummary,
    problems: BTreeMap<String, String>,
    /// Files and folders of which nobody knows what is there.
    unknown: HashSet<String>,
    /// Whether rows were kept of files that nobody looked into, and that the next run could take for checked.
    doubts: bool,
    /// Files that may be otherwise when they are looked at again, although nobody touches them; the first thousand.
    unsettled: BTreeSet<String>,
}

/// How a run ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) summary: IndexSummary,
    /// Whether everything that the store has of what the run was about was checked.
    pub(crate) checked: bool,
    /// Files that were read.
    pub(crate) read: u64,
    /// Files that should be looked at again. If there are none, and all was checked, the store is what it has to be.
    pub(crate) unsettled: BTreeSet<String>,
}

impl<'a> Committer<'a> {
    pub(crate) fn new(
        store: &'a PersistentVectorStore,
        run: &'a Run<'a>,
        progress: &'a mut (dyn FnMut(IndexProgress) + Send),
        clock: &'a SystemClock,
    ) -> Self {
        Self {
            store,
            run,
            progress,
            clock,
            told: None,
            in_flight: Vec::new(),
            in_flight_bytes: 0,
            nodes: 0,
            summary: IndexSummary::default(),
            problems: BTreeMap::new(),
            unknown: HashSet::new(),
            doubts: false,
            unsettled: BTreeSet::new(),
        }
    }

    /// Stores what comes, until there is no more or something fails. What was complete until then is stored.
    pub(crate) fn store_all(&mut self, done: &Receiver<Done>) -> Result<()> {
        let outcome = self.take_all(done);
        let settled = self.settle();
        outcome.and(settled)
    }

    fn take_all(&mut self, done: &Receiver<Done>) -> Result<()> {
        loop {
            if self.run.stop.is_stopped() {
                let message =
                    "indexing was stopped; what is stored stays, and the next run goes on from there";
                return Err(Error::new(ErrorKind::Closed, message));
            }
            match done.recv_timeout(TICK) {
                Ok(done) => self.take(done)?,
                Err(RecvTimeoutError::Timeout) => self.settle()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.tell(false);
        }
    }

    /// Removes the files that are gone, now that all was looked at.
    pub(crate) fn remove_gone(&mut self) -> Result<()> {
        if !self.run.counters.all_found.load(Ordering::Acquire) {
            return Ok(()); // The walk was cut short, and the run fails for whatever did that.
        }
        for path in self.run.plan.unseen() {
            if self.is_unknown(path) {
                self.doubts = true;
            } else {
                self.remove(path)?;
                self.summary.files_removed += 1;
            }
        }
        self.settle()
    }

    /// The end.
    pub(crate) fn finish(mut self) -> Result<Outcome> {
        self.tell(true);
        let mut summary = self.summary;
        summary.files_unchanged += self.run.counters.unchanged.load(Ordering::Relaxed);
        summary.files = summary.files_unchanged + summary.files_indexed + summary.files_skipped;
        summary.bytes_read = self.run.counters.bytes.load(Ordering::Relaxed);
        summary.nodes = self.store.stats()?.active_vectors;
        summary.problems = self.problems.into_iter().map(|(path, reason)| Problem { path, reason }).collect();
        let read = self.run.counters.read.load(Ordering::Relaxed);
        Ok(Outcome { summary, checked: !self.doubts, read, unsettled: self.unsettled })
    }

    fn take(&mut self, done: Done) -> Result<()> {
        match done {
            Done::Rows(rows) => self.replace(rows),
            Done::Touched(node) => {
                self.summary.files_unchanged += 1;
                self.submit(&Write::Put(std::slice::from_ref(&*node)), None)
            }
            Done::Left(problem) => {
                self.summary.files_skipped += 1;
                self.remove_known(&problem.path)?;
                self.note(problem);
                Ok(())
            }
            Done::Refused(problem) => {
                self.summary.files_skipped += 1;
                self.note(problem);
                Ok(())
            }
            Done::Kept(problem) => {
                self.summary.files_skipped += 1;
                self.doubts |= self.run.plan.recorded(&problem.path).is_some();
                self.look_again(&problem.path);
                self.note(problem);
                Ok(())
            }
            Done::Unknown(problem) => {
                self.unknown.insert(problem.path.clone());
                self.look_again(&problem.path);
                self.note(problem);
                Ok(())
            }
            Done::Gone(path) => {
                self.summary.files_removed += u64::from(self.run.plan.recorded(&path).is_some());
                self.remove_known(&path)
            }
            Done::Failed(error) => Err(error),
        }
    }

    fn replace(&mut self, rows: FileRows) -> Result<()> {
        let FileRows { path, nodes, reused, syntax_errors, problem, held, .. } = rows;
        match self.submit(&Write::ReplacePath { path: &path, nodes: &nodes }, Some(held)) {
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                // The store's owner allows smaller commits than this file needs.
                let reason = format!("cannot be stored: {}", error.message());
                self.look_again(&path);
                return self.take(Done::Left(Problem { path, reason }));
            }
            outcome => outcome?,
        }
        self.nodes += nodes.len() as u64;
        self.summary.files_indexed += 1;
        self.summary.files_with_syntax_errors += u64::from(syntax_errors);
        self.summary.nodes_reused += reused;
        self.summary.nodes_embedded += nodes.len() as u64 - reused;
        if let Some(reason) = problem {
            self.note(Problem { path, reason });
        }
        Ok(())
    }

    fn remove_known(&mut self, path: &str) -> Result<()> {
        if self.run.plan.recorded(path).is_some() { self.remove(path) } else { Ok(()) }
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.submit(&Write::ReplacePath { path, nodes: &[] }, None)
    }

    fn submit(&mut self, write: &Write<'_>, held: Option<Held>) -> Result<()> {
        let pending = match self.store.submit(write) {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                // Rows that are on their way, or someone else's: `write` waits for those.
                self.settle()?;
                self.store.write(write)?;
                return Ok(());
            }
            outcome => outcome?,
        };
        self.in_flight_bytes += held.as_ref().map_or(0, Held::bytes);
        self.in_flight.push((pending, held));
        if self.in_flight.len() >= MAX_IN_FLIGHT || self.in_flight_bytes >= MAX_IN_FLIGHT_BYTES {
            self.settle()?;
        }
        Ok(())
    }

    /// Waits until everything that was submitted is durable.
    fn settle(&mut self) -> Result<()> {
        self.in_flight_bytes = 0;
        for (pending, _held) in self.in_flight.drain(..) {
            pending.wait()?;
        }
        Ok(())
    }

    fn is_unknown(&self, path: &str) -> bool {
        if self.unknown.is_empty() {
            return false;
        }
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        folders.chain(["", path]).any(|folder| self.unknown.contains(folder))
    }

    fn look_again(&mut self, path: &str) {
        if self.unsettled.len() < MAX_PROBLEMS {
            self.unsettled.insert(path.to_owned());
        }
    }

    fn note(&mut self, problem: Problem) {
        self.problems.insert(problem.path, problem.reason);
        if self.problems.len() > MAX_PROBLEMS {
            self.problems.pop_last();
        }
    }

    fn tell(&mut self, always: bool) {
        let now = self.clock.monotonic();
        if !always && self.told.is_some_and(|told| now < told + TICK) {
            return;
        }
        self.told = Some(now);
        let counters = &self.run.counters;
        let IndexSummary { files_unchanged, files_indexed, files_skipped, .. } = self.summary;
        // Read before what was found, so that it is never more.
        let unchanged = counters.unchanged.load(Ordering::Acquire);
        (self.progress)(IndexProgress {
            files_done: unchanged + files_unchanged + files_indexed + files_skipped,
            all_found: counters.all_found.load(Ordering::Acquire),
            files_found: counters.found.load(Ordering::Acquire),
            nodes: self.nodes,
            bytes: counters.bytes.load(Ordering::Relaxed),
        });
    }
}
