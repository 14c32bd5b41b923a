//! Small durable batches: beside the bare disk while merges run, and beside other people's stores.

mod beside_merge;
mod durable;

use std::path::Path;

use crate::beside::Options;
use crate::report::Report;
use crate::searching::Outcome;

const DIMENSION: usize = 384;

/// All of it; the second part where there is a harness.
pub(crate) fn run(
    folder: &Path,
    python: Option<&Path>,
    options: &Options,
    seconds: f64,
    report: &mut Report,
) -> Outcome<()> {
    beside_merge::run(&folder.join("beside-merge"), seconds, report)?;
    let base = folder.join("base.npy");
    let input = crate::beside::Input { base: &base, queries: &base, truth: &base };
    match options.peers(python, &input, folder) {
        Some(peers) => durable::run(folder, &peers, options, report),
        None => Ok(()),
    }
}
