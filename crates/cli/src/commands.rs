//! One file a command.

pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod changes;
pub(crate) mod completions;
pub(crate) mod compress;
pub(crate) mod delete;
pub(crate) mod export;
pub(crate) mod flush;
pub(crate) mod fork;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod in_doubt;
pub(crate) mod index;
pub(crate) mod man;
pub(crate) mod mcp;
pub(crate) mod merge;
pub(crate) mod query;
pub(crate) mod restore;
pub(crate) mod search;
pub(crate) mod stats;
pub(crate) mod verify;

use crate::args::{Cli, Command};
use crate::failure::Failure;

/// Does what the command line says.
pub(crate) fn run(cli: &Cli) -> Result<(), Failure> {
    let globals = &cli.globals;
    match &cli.command {
        Command::Index(args) => index::run(globals, args),
        Command::Search(args) => search::run(globals, args),
        Command::Mcp(args) => mcp::run(globals, args),
        Command::Stats(args) => stats::run(globals, args),
        Command::Get(args) => get::run(globals, args),
        Command::Delete(args) => delete::run(globals, args),
        Command::Import(args) => import::run(globals, args),
        Command::Export(args) => export::run(globals, args),
        Command::Query(args) => query::run(globals, args),
        Command::Verify(args) => verify::run(globals, args),
        Command::Flush(args) => flush::run(globals, args),
        Command::Merge(args) => merge::run(globals, args),
        Command::Fork(args) => fork::run(globals, args),
        Command::Backup(args) => backup::run(globals, args),
        Command::Restore(args) => restore::run(globals, args),
        Command::Changes(args) => changes::run(globals, args),
        Command::InDoubt(args) => in_doubt::run(globals, args),
        Command::Compress(args) => compress::run(globals, args),
        Command::Bench(args) => bench::run(globals, args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}
