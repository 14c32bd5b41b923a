//! `cgv mcp`: the index as tools for an assistant.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use codegraph_vector::Error;

use crate::args::Globals;
use crate::failure::{Failure, eprintln_quiet};
use crate::workspace::Workspace;
use crate::{location, mcp};

/// Serve the index to an assistant, by the Model Context Protocol on standard input and output
///
/// Editors and assistants start this command themselves. Its tools are search_code, similar_code, get_node, reindex
/// and stats. Several may run on one store; it is locked only while one of them re-indexes.
#[derive(Args, Debug)]
#[command(after_help = "Configuration of most clients:\n  \
    {\"mcpServers\":{\"codegraph\":{\"command\":\"cgv\",\"args\":[\"mcp\",\"--root\",\"/path/to/project\"]}}}")]
pub(crate) struct McpArgs {
    /// The folder of code: its store is looked for there and above, and it is what `reindex` indexes if there is
    /// no store yet [default: the working folder]
    #[arg(long, value_name = "PATH")]
    root: Option<PathBuf>,
}

pub(crate) fn run(globals: &Globals, args: &McpArgs) -> Result<(), Failure> {
    let folder = match &args.root {
        Some(root) => root.canonicalize().map_err(|cause| Error::io("open", root, cause))?,
        None => location::working_folder()?,
    };
    if !folder.is_dir() {
        return Err(Error::invalid("--root is a folder, and this is a file").at(&folder).into());
    }
    if io::stdin().is_terminal() {
        eprintln_quiet("note: this speaks the Model Context Protocol; an editor or assistant starts it");
    }
    mcp::serve(Workspace::of(globals, &folder)?, folder)
}
