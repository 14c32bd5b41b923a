//! How far a command is, on a terminal's standard error; nothing where nobody watches.

use std::sync::Once;
use std::time::Duration;

use codegraph_vector::{BackupProgress, CompressProgress};
use codegraph_vector_base::{Clock, SystemClock};
use codegraph_vector_indexer::IndexProgress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// Time between two turns of the sign that tells that something is going on.
const TICK: Duration = Duration::from_millis(100);

/// While it is not known how much there is.
const OPEN: &str = "{spinner} {wide_msg}";
/// Once it is.
const BOUNDED: &str = "{bar:24} {percent} % · {wide_msg}";

/// A line that says how far a command is, and a clock that runs from its start.
#[derive(Debug)]
pub(crate) struct Progress {
    clock: SystemClock,
    bar: ProgressBar,
    /// Whether the sign turns: from the first word on, so that a command that says nothing leaves the terminal alone.
    turns: Once,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner().with_style(style(OPEN));
        Self { clock: SystemClock::new(), bar, turns: Once::new() }
    }

    /// Time since the start, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.clock.monotonic().as_secs_f64()
    }

    /// Shows how many rows are done, of so many if that is known.
    pub(crate) fn rows(&self, done: u64, of: Option<u64>) {
        self.show(done, of, || format!("{done} rows, {:.0} a second", self.rate(done)));
    }

    /// Shows what is going on where nobody knows how much of it there is.
    pub(crate) fn says(&self, message: &str) {
        self.show(0, None, || message.to_owned());
    }

    /// Shows how far an index is.
    pub(crate) fn index(&self, progress: IndexProgress) {
        let IndexProgress { files_found, all_found, files_done, nodes, .. } = progress;
        self.show(files_done, all_found.then_some(files_found), || {
            let files = if all_found { "files" } else { "files found so far" };
            format!("{files_done} of {files_found} {files}, {nodes} nodes, {:.0} a second", self.rate(nodes))
        });
    }

    /// Shows how far a compression is.
    pub(crate) fn compression(&self, progress: &CompressProgress) {
        let share = |share: f32| (f64::from(share) * 100.0) as u64;
        match progress {
            CompressProgress::Training { spec, share: done } => {
                self.show(share(*done), Some(100), || format!("training {spec}"));
            }
            CompressProgress::Measuring { share: done } => {
                self.show(share(*done), Some(100), || "measuring what it finds".to_owned());
            }
            CompressProgress::Rewriting { done, waiting } => {
                self.show(*done, Some(done + waiting), || {
                    format!("{done} of {} segments written anew", done + waiting)
                });
            }
        }
    }

    /// Shows how far a backup or restore is.
    pub(crate) fn backup(&self, progress: BackupProgress) {
        let BackupProgress { files: (file, files), bytes: (done, of) } = progress;
        self.show(done, Some(of), || {
            format!("{file} of {files} files, {}/s", output::bytes(self.rate(done) as u64))
        });
    }

    fn show(&self, done: u64, of: Option<u64>, message: impl FnOnce() -> String) {
        if self.bar.is_hidden() {
            return;
        }
        self.turns.call_once(|| self.bar.enable_steady_tick(TICK));
        if let Some(of) = of.filter(|of| *of > 0) {
            if self.bar.length() != Some(of) {
                self.bar.set_length(of);
                self.bar.set_style(style(BOUNDED));
            }
            self.bar.set_position(done);
        }
        self.bar.set_message(message());
    }

    fn rate(&self, done: u64) -> f64 {
        done as f64 / self.seconds().max(1e-9)
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// A style; one that cannot be read is as good as the usual one.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_styles_can_be_read() {
        for template in [OPEN, BOUNDED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
