//! `cgv flush`: what is in the log alone goes into a segment.

use clap::Args;
use serde::Serialize;

use crate::args::Globals;
use crate::failure::Failure;
use crate::{location, output};

/// Write what is only in the log into a segment; the next opening is quicker for it
#[derive(Args, Debug)]
pub(crate) struct FlushArgs {}

#[derive(Serialize)]
struct Flushed {
    seqno: u64,
    segments: u64,
}

pub(crate) fn run(globals: &Globals, _args: &FlushArgs) -> Result<(), Failure> {
    let store = location::open_writing(globals)?;
    store.flush()?;
    let stats = store.stats()?;
    store.close()?;
    let document = Flushed { seqno: stats.seqno.0, segments: stats.segments };
    output::print(globals.json, &document, |out| {
        let segments = output::count(document.segments, "segment");
        writeln!(out, "everything up to commit {} is in {segments}", document.seqno)
    })
}
