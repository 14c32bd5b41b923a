//! `cgv export`: every node as a line of JSON.

use clap::Args;

use crate::args::Globals;
use crate::failure::{Failure, eprintln_quiet};
use crate::formats::jsonl::NodeLine;
use crate::{location, output};

/// Print every node as a line of JSON, in the order of their ids
///
/// It is what `cgv import FILE.jsonl` reads; vectors come back bit for bit. Where the store keeps no vectors as they
/// were given, a line has what it has of them, and says "exact": false.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {}

pub(crate) fn run(globals: &Globals, _args: &ExportArgs) -> Result<(), Failure> {
    let store = location::open_reading(globals)?;
    let mut failed = None;
    let snapshot = store.snapshot()?;
    let nodes = snapshot.iter()?;
    let mut inexact = 0;
    output::lines(|out| {
        for node in nodes {
            match node.and_then(|node| Ok((snapshot.is_exact(node.id)?, node))) {
                Ok((exact, node)) => {
                    inexact += u64::from(!exact);
                    output::line(out, &NodeLine { node: &node, exact })?;
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        Ok(())
    })?;
    if inexact > 0 {
        let vectors = output::count(inexact, "vector");
        eprintln_quiet(&format!(
            "warning: {vectors} with \"exact\": false, which the store does not keep as given"
        ));
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}
