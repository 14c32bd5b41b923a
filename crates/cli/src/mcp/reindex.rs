//! The tool that writes: one run at a time in this process, told of while it goes on, ended when nobody waits for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use codegraph_vector::Result;
use codegraph_vector_indexer::{
    IndexOptions, IndexProgress, IndexSummary, Problem, Stop, index, printable, root_of,
};
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext, RoleServer};
use serde::Serialize;
use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;

use super::refusal::Refusal;
use super::reply::{Document, json_bytes};
use crate::output::count;
use crate::workspace::Workspace;

/// Time between two notes of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// Most problems in an answer, and most bytes of them.
const MAX_PROBLEMS: usize = 20;
const MAX_PROBLEM_BYTES: usize = 16 << 10;

/// Indexes a folder, one run at a time.
#[derive(Debug)]
pub(crate) struct Indexing {
    workspace: Workspace,
    /// What is indexed if the store does not know.
    folder: PathBuf,
    turn: Arc<Mutex<()>>,
    /// Of the run that is under way, or of the last one.
    stop: std::sync::Mutex<Stop>,
}

/// What a run did.
#[derive(Debug, Serialize)]
pub(crate) struct Reindexed {
    /// The folder that was indexed.
    root: String,
    /// With as many of the problems as an answer may have.
    #[serde(flatten)]
    summary: IndexSummary,
    /// Problems that are not told.
    problems_left_out: usize,
}

impl Indexing {
    pub(crate) fn new(workspace: Workspace, folder: PathBuf) -> Self {
        Self { workspace, folder, turn: Arc::default(), stop: std::sync::Mutex::default() }
    }

    /// Ends a run between two files; what it stored until then stays.
    pub(crate) fn stop(&self) {
        self.stop_of_run().stop();
    }

    fn stop_of_run(&self) -> std::sync::MutexGuard<'_, Stop> {
        self.stop.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs, and tells whoever asked how far it is.
    pub(crate) async fn run(&self, context: RequestContext<RoleServer>) -> Result<Reindexed, Refusal> {
        let turn = self.turn.clone().try_lock_owned().map_err(|_| {
            Refusal::failed(
                "this server is already indexing; wait until that run is done. Searching works meanwhile",
            )
        })?;
        let stop = Stop::default();
        *self.stop_of_run() = stop.clone();
        let options = IndexOptions { stop: stop.clone(), ..IndexOptions::default() };
        let (told, heard) = watch::channel(IndexProgress::default());
        let (workspace, folder) = (self.workspace.clone(), self.folder.clone());
        let mut work = spawn_blocking(move || {
            let outcome = index_all(&workspace, folder, &options, &mut |progress| {
                told.send_replace(progress);
            });
            drop(turn); // The store is closed by now: whoever comes next can open it.
            outcome
        });
        let mut teller = Teller::new(&context);
        let mut interval = tokio::time::interval(PROGRESS_INTERVAL);
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                _ = interval.tick() => {
                    let now = *heard.borrow();
                    teller.tell(now).await;
                }
                () = context.ct.cancelled(), if !stop.is_stopped() => stop.stop(),
            }
        };
        let last = *heard.borrow();
        teller.tell(last).await;
        match outcome {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(Refusal::fault()),
        }
    }
}

fn index_all(
    workspace: &Workspace,
    folder: PathBuf,
    options: &IndexOptions,
    progress: &mut (dyn FnMut(IndexProgress) + Send),
) -> Result<Reindexed> {
    let (store, embedder) = workspace.open_indexing(None)?;
    let root = root_of(&store)?.filter(|root| root.is_dir()).unwrap_or(folder);
    let summary = index(&store, &root, &*embedder, options, progress);
    let closed = store.close();
    let summary = summary?;
    closed?;
    Ok(Reindexed::of(&root, summary))
}

/// Notes of progress to whoever asked for them.
struct Teller {
    to: Option<(ProgressToken, Peer<RoleServer>)>,
    last: f64,
}

impl Teller {
    fn new(context: &RequestContext<RoleServer>) -> Self {
        let to = context.meta.get_progress_token().map(|token| (token, context.peer.clone()));
        Self { to, last: 0.0 }
    }

    /// Tells, if there is something new: progress has to grow from note to note.
    async fn tell(&mut self, progress: IndexProgress) {
        let Some((token, peer)) = &self.to else { return };
        let done = progress.files_done as f64;
        if done <= self.last {
            return;
        }
        self.last = done;
        let message = format!("{}, {}", count(progress.files_done, "file"), count(progress.nodes, "node"));
        let mut note = ProgressNotificationParam::new(token.clone(), done).with_message(message);
        if progress.all_found {
            note = note.with_total(progress.files_found as f64);
        }
        // If the client is gone there is nobody to tell, and the run ends by its token.
        let _ = peer.notify_progress(note).await;
    }
}

impl Reindexed {
    fn of(root: &Path, mut summary: IndexSummary) -> Self {
        let (all, mut bytes) = (summary.problems.len(), 0);
        let fits = |problem: &Problem| {
            bytes += json_bytes(&problem.path) + json_bytes(&problem.reason);
            bytes <= MAX_PROBLEM_BYTES
        };
        summary.problems = summary.problems.into_iter().take(MAX_PROBLEMS).take_while(fits).collect();
        let problems_left_out = all - summary.problems.len();
        Self { root: root.display().to_string(), summary, problems_left_out }
    }
}

impl Document for Reindexed {
    fn text(&self) -> String {
        let IndexSummary {
            files, files_unchanged, files_indexed, files_skipped, files_removed, nodes, ..
        } = self.summary;
        let mut text = format!(
            "Indexed {} in {:.1} s: {} ({files_indexed} stored, {files_unchanged} unchanged, {files_skipped} left out), \
             {files_removed} removed; {} in the index, {} embedded, {} reused.",
            self.root,
            self.summary.seconds,
            count(files, "file"),
            count(nodes, "node"),
            self.summary.nodes_embedded,
            self.summary.nodes_reused,
        );
        for problem in &self.summary.problems {
            text.push_str(&format!("\n{} {}", printable(&problem.path), printable(&problem.reason)));
        }
        if self.problems_left_out > 0 {
            text.push_str(&format!("\nand {} more that were left out", self.problems_left_out));
        }
        text
    }
}

#[cfg(test)]
#[path = "reindex_tests.rs"]
mod tests;
