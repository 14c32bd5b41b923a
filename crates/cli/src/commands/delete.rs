//! `cgv delete`: nodes by id, by path, or by filter.

use clap::Args;
use codegraph_vector::{Filter, NodeId};
use serde::Serialize;

use crate::args::{self, Globals};
use crate::failure::Failure;
use crate::{location, output};

/// Delete nodes, all or none; those that are not there are no error
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct DeleteArgs {
    /// These nodes
    #[arg(long, value_name = "ID", num_args = 1.., value_parser = args::node_id)]
    id: Vec<NodeId>,
    /// The nodes of this file, as the store names it
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// The nodes that match, such as '{"language":"rust","path":{"prefix":"src/"}}'; '{}' matches all
    #[arg(long, value_name = "JSON", value_parser = filter)]
    filter: Option<Filter>,
}

fn filter(text: &str) -> Result<Filter, String> {
    let value = serde_json::from_str(text).map_err(|fault| format!("this is no JSON: {fault}"))?;
    Filter::from_json(&value).map_err(|error| error.message().to_owned())
}

#[derive(Serialize)]
struct Deleted {
    deleted: u64,
    seqno: u64,
    lsn: u64,
    durable: bool,
}

pub(crate) fn run(globals: &Globals, args: &DeleteArgs) -> Result<(), Failure> {
    let store = location::open_writing(globals)?;
    let outcome = match (&args.path, &args.filter) {
        (Some(path), _) => store.replace_path(path, &[])?,
        (_, Some(filter)) => store.delete_by_filter(filter)?,
        _ => store.delete_batch(&args.id)?,
    };
    store.close()?;
    let receipt = outcome.receipt;
    // Closing has synced whatever the store's settings let wait.
    let document =
        Deleted { deleted: outcome.deleted, seqno: receipt.seqno.0, lsn: receipt.lsn.0, durable: true };
    output::print(globals.json, &document, |out| {
        writeln!(out, "{} deleted", output::count(outcome.deleted, "node"))
    })
}
