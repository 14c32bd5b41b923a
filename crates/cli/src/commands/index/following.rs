//! `cgv index --watch`: rounds until somebody ends it.

use std::io::{self, Write};
use std::path::Path;
use std::process;
use std::thread;

use codegraph_vector::{Error, PersistentVectorStore, Result};
use codegraph_vector_indexer::{
    Embedder, IndexOptions, IndexSummary, Stop, WatchEvent, WatchRound, printable, watch,
};
use serde::Serialize;

use super::told_apart;
use crate::args::Globals;
use crate::failure::{Failure, eprintln_quiet};
use crate::output;
use crate::progress::Progress;

/// What a process exits with that was interrupted twice: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// One line for each round. The names are kept: other programs read them.
#[derive(Serialize)]
struct Line<'a> {
    /// Counts from 1.
    round: u64,
    /// The files and folders that were told to have changed; `null` if everything was looked at.
    paths: Option<&'a [String]>,
    #[serde(flatten)]
    summary: &'a IndexSummary,
}

/// Indexes, and goes on, until the process is interrupted or told to terminate. What it printed is durable.
pub(super) fn run(
    globals: &Globals,
    store: &PersistentVectorStore,
    root: &Path,
    embedder: &dyn Embedder,
    options: &IndexOptions,
) -> Result<(), Failure> {
    stop_at_signals(options.stop.clone())?;
    let mut rounds = 0;
    let mut printed = Ok(());
    let mut progress = Some(Progress::new());
    let outcome = watch(store, root, embedder, options, &mut |event| match event {
        WatchEvent::Progress(done) => progress.get_or_insert_with(Progress::new).index(done),
        WatchEvent::Round(round) => {
            // The line of progress would stand in the middle of what follows.
            progress.take().iter().for_each(Progress::end);
            rounds += 1;
            let line = Line { round: rounds, paths: round.paths.as_deref(), summary: &round.summary };
            printed = output::print(globals.json, &line, |out| write(out, &round));
            if printed.is_err() {
                options.stop.stop(); // Nobody reads on.
            } else if rounds == 1 {
                let root = printable(&root.display().to_string()).into_owned();
                eprintln_quiet(&format!("watching {root}; Ctrl-C ends it"));
            }
        }
        WatchEvent::Failed { error, again_in } => {
            progress.take().iter().for_each(Progress::end);
            eprintln_quiet(&format!("warning: {error}; trying again in {} s", again_in.as_secs()));
        }
    });
    progress.take().iter().for_each(Progress::end);
    let closed = store.close();
    outcome.map_err(told_apart)?;
    closed?;
    printed
}

fn write(out: &mut dyn Write, round: &WatchRound) -> io::Result<()> {
    let WatchRound { paths, summary } = round;
    let what = match paths {
        None => format!("{} looked at", output::count(summary.files, "source file")),
        Some(paths) => match &paths[..] {
            [path] => printable(path).into_owned(),
            paths => output::count(paths.len() as u64, "path"),
        },
    };
    let mut did = Vec::new();
    for (count, verb) in [
        (summary.files_indexed, "indexed"),
        (summary.files_removed, "removed"),
        (summary.files_skipped, "left out"),
    ] {
        if count > 0 {
            did.push(format!("{} {verb}", output::count(count, "file")));
        }
    }
    if summary.nodes_embedded > 0 {
        did.push(format!("{} embedded", output::count(summary.nodes_embedded, "node")));
    }
    let did = if did.is_empty() { "nothing to do".to_owned() } else { did.join(", ") };
    let nodes = output::count(summary.nodes, "node");
    writeln!(out, "{what}: {did} in {:.2} s; {nodes} in the store", summary.seconds)?;
    for problem in &summary.problems {
        writeln!(out, "  {} {}", printable(&problem.path), printable(&problem.reason))?;
    }
    Ok(())
}

/// Has the first signal end it in order, and the second one at once, which a store survives at any moment.
fn stop_at_signals(stop: Stop) -> Result<()> {
    let failed = |cause| Error::io("wait for", "signals", cause);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    // From here on, so that none ends the process that comes before the thread is there.
    let mut signals = {
        let _within = runtime.enter();
        Signals::new().map_err(failed)?
    };
    thread::spawn(move || {
        runtime.block_on(signals.next());
        stop.stop();
        runtime.block_on(signals.next());
        process::exit(INTERRUPTED);
    });
    Ok(())
}

/// Signals that end a process.
#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 2]);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Where they cannot be waited for they end the process as ever.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
