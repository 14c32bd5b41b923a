//! `cgv export`: every node as a line of JSON.

use clap::Args;

use crate::args::Globals;
use crate::failure::Failure;
use crate::formats::jsonl::NodeLine;
use crate::{location, output};

/// Print every node as a line of JSON, in the order of their ids
///
/// It is what `cgv import FILE.jsonl` reads; vectors come back bit for bit.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {}

pub(crate) fn run(globals: &Globals, _args: &ExportArgs) -> Result<(), Failure> {
    let store = location::open_reading(globals)?;
    let mut failed = None;
    let snapshot = store.snapshot()?;
    let nodes = snapshot.iter()?;
    output::lines(|out| {
        for node in nodes {
            match node {
                Ok(node) => output::line(out, &NodeLine(&node))?,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        Ok(())
    })?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}
