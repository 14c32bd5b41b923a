//! `cgv merge`: many segments become one.

use clap::Args;
use codegraph_vector::IndexPolicy;
use serde::Serialize;

use crate::args::{self, Globals};
use crate::failure::Failure;
use crate::{location, output};

/// Merge all segments into one, or some, without the rows that were deleted or replaced, and index what came of it
#[derive(Args, Debug)]
pub(crate) struct MergeArgs {
    /// The index that segments get from now on: auto, flat (none), ivf, hnsw, or hnsw:m=M;ef_construction=E
    #[arg(long, value_name = "KIND", value_parser = args::index)]
    index: Option<IndexPolicy>,
    /// Merge at most so many segments, those of which most is gained
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max: Option<u32>,
}

#[derive(Serialize)]
struct Merged {
    merged: u64,
    segments: u64,
    seqno: u64,
    storage_bytes: u64,
}

pub(crate) fn run(globals: &Globals, args: &MergeArgs) -> Result<(), Failure> {
    let store = location::open_writing(globals)?;
    if let Some(policy) = args.index {
        store.configure(|settings| settings.index = policy)?;
    }
    // Rows that are in the log alone are part of all segments' rows too.
    store.flush()?;
    let merged = match args.max {
        None => store.merge()?,
        Some(max) => store.merge_segments(max as usize)?.merged,
    } as u64;
    store.close()?;
    let store = location::open_reading(globals)?;
    let stats = store.stats()?;
    let document =
        Merged { merged, segments: stats.segments, seqno: stats.seqno.0, storage_bytes: stats.storage_bytes };
    output::print(globals.json, &document, |out| {
        let size = output::bytes(document.storage_bytes);
        let merged = output::count(merged, "segment");
        writeln!(out, "{merged} merged; {} now, {size} in all", document.segments)
    })
}
