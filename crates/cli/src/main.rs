//! `cgv`: the command line of CodeGraph Vector.
//!
//! What always holds: logic belongs to the library, this crate reads files, writes output, and says
//! what went wrong. It exits with 0 if it did what was asked, 1 if that failed, 2 if the command line
//! makes no sense. Standard output holds results alone; with `--json`, one JSON document.

mod args;
mod commands;
mod failure;
mod files;
mod formats;
mod hits;
mod import;
mod location;
mod maintained;
mod mcp;
mod measured;
mod moments;
mod output;
mod place;
mod progress;
mod shell;
mod times;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
