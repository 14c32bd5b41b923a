//! `cgv completions`: what a shell needs to complete a command line.

use std::io::Write as _;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output;

/// Print what a shell needs to complete the words of a command line
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    source <(cgv completions bash)            for this session; in ~/.bashrc, for all\n  \
    cgv completions zsh > ~/.zfunc/_cgv\n  \
    cgv completions fish > ~/.config/fish/completions/cgv.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    // It does not take a pipe that is closed for an answer, so that it writes into memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cgv", &mut script);
    output::lines(|out| out.write_all(&script))
}
