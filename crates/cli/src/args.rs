//! The command line: its words, options and what they may be.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use codegraph_vector::{EmbedderId, IndexPolicy, Metric, NodeId, parse_node_id};

use crate::commands::{
    backup, bench, changes, completions, compress, delete, export, flush, fork, get, import, in_doubt, index,
    man, mcp, merge, query, restore, search, stats, verify,
};

/// The persistent vector store for code graphs.
#[derive(Debug, Parser)]
#[command(name = "cgv", version, arg_required_else_help = true)]
#[command(after_help = "Start here:\n  \
    cgv index .                           parse and store the code in this folder\n  \
    cgv search \"parse the config file\"    find code by what it does\n  \
    cgv mcp                               let an assistant search it\n\n\
    Exit codes: 0 ok, 1 failed, 2 wrong usage.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Globals {
    /// The store's folder [default: the nearest .cgv here or above, else ./.cgv]
    #[arg(long, global = true, env = "CGV_STORE", value_name = "DIR", hide_env_values = true, value_parser = maybe_empty_path())]
    pub(crate) store: Option<PathBuf>,
    /// Where the store's backups are: a folder, s3://, gs:// or az:// [default: the store's folder with .backups behind its name]
    #[arg(long, global = true, env = "CGV_BACKUPS", value_name = "URL", hide_env_values = true, value_parser = maybe_empty_path())]
    pub(crate) backups: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do, what a newcomer needs first.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Index(index::IndexArgs),
    Search(search::SearchArgs),
    Mcp(mcp::McpArgs),
    Stats(stats::StatsArgs),
    Get(get::GetArgs),
    Delete(delete::DeleteArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    Query(query::QueryArgs),
    Verify(verify::VerifyArgs),
    Flush(flush::FlushArgs),
    Merge(merge::MergeArgs),
    Fork(fork::ForkArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Changes(changes::ChangesArgs),
    InDoubt(in_doubt::InDoubtArgs),
    Compress(compress::CompressArgs),
    Bench(bench::BenchArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// A path as it is. An empty one, which a variable that was emptied gives, is for the command to judge.
fn maybe_empty_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// A node's id. On a command line every number is a string of digits, large ones too.
pub(crate) fn node_id(text: &str) -> Result<NodeId, &'static str> {
    parse_node_id(text).map_err(|_| "expected a number or a UUID")
}

/// The metric of this name.
pub(crate) fn metric(name: &str) -> Result<Metric, String> {
    name.parse().map_err(|error: codegraph_vector::UnknownMetric| error.to_string())
}

/// The index that segments get.
pub(crate) fn index(text: &str) -> Result<IndexPolicy, String> {
    text.parse().map_err(|error: codegraph_vector::Error| error.message().to_owned())
}

/// An embedder as `NAME:VERSION` or `NAME:VERSION:PARAMETERS`; only the parameters may hold colons.
pub(crate) fn embedder(text: &str) -> Result<EmbedderId, String> {
    let mut parts = text.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(version), parameters) if !name.is_empty() && !version.is_empty() => {
            Ok(EmbedderId {
                name: name.to_owned(),
                version: version.to_owned(),
                parameters: parameters.unwrap_or_default().to_owned(),
            })
        }
        _ => Err("expected NAME:VERSION or NAME:VERSION:PARAMETERS".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_embedder_has_a_name_and_a_version() {
        let id = embedder("minilm:2:dim=384:f16").unwrap();
        assert_eq!((&*id.name, &*id.version, &*id.parameters), ("minilm", "2", "dim=384:f16"));
        assert_eq!(embedder("a:b").unwrap().parameters, "");
        for wrong in ["", "a", "a:", ":b"] {
            assert!(embedder(wrong).is_err(), "{wrong}");
        }
    }
}
