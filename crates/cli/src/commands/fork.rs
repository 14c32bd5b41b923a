//! `cgv fork`: an independent store that begins where this one is.

use std::path::PathBuf;

use clap::Args;
use codegraph_vector::ForkOptions;
use serde::Serialize;

use crate::args::Globals;
use crate::failure::Failure;
use crate::{location, output};

/// Make an independent store of what is in this one, in a moment: files are linked, not copied
///
/// Nothing of one store shows in the other from then on, and either can be deleted. Where the file system has no links,
/// files are copied. If it is cut short, the same call completes it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cgv fork ../experiment                then: cgv --store ../experiment …")]
pub(crate) struct ForkArgs {
    /// The new store's folder, missing or empty
    #[arg(value_name = "DEST")]
    destination: PathBuf,
}

#[derive(Serialize)]
struct Forked {
    path: String,
    store_id: String,
    source_store_id: String,
    timeline: u64,
    seqno: u64,
    active_vectors: u64,
    segments: u64,
    copied: u64,
    copied_bytes: u64,
    /// Prepared transactions that are in doubt in the source, and not in the fork.
    rolled_back: Vec<u64>,
}

pub(crate) fn run(globals: &Globals, args: &ForkArgs) -> Result<(), Failure> {
    if args.destination.as_os_str().is_empty() {
        return Err(Failure::Usage("the name of the fork is empty; give a folder".to_owned()));
    }
    let store = location::open_writing(globals)?;
    let (fork, report) = store.fork_with(&args.destination, &ForkOptions::default())?;
    let document = Forked {
        path: args.destination.display().to_string(),
        store_id: report.store_id.to_string(),
        source_store_id: report.source.to_string(),
        timeline: report.timeline,
        seqno: report.seqno.0,
        active_vectors: fork.stats()?.active_vectors,
        segments: report.segments,
        copied: report.copied,
        copied_bytes: report.copied_bytes,
        rolled_back: report.rolled_back.iter().map(|found| found.transaction.0).collect(),
    };
    fork.close()?;
    store.close()?;
    output::print(globals.json, &document, |out| {
        let vectors = output::count(document.active_vectors, "vector");
        writeln!(out, "{} has {vectors} as of commit {}", document.path, document.seqno)?;
        if document.copied > 0 {
            let (files, bytes) =
                (output::count(document.copied, "file"), output::bytes(document.copied_bytes));
            writeln!(out, "{files} ({bytes}) could not be linked and were copied")?;
        }
        if !document.rolled_back.is_empty() {
            let prepared = output::count(document.rolled_back.len() as u64, "transaction");
            writeln!(out, "{prepared} in doubt here, and rolled back there: see cgv in-doubt")?;
        }
        Ok(())
    })
}
