//! `cgv bench`: how fast searches are, on the caller's own vectors and machine.

mod build;
mod curve;
mod effort;
mod measure;
mod memory;
mod picture;
mod plot;
mod rows;
mod search;

use clap::{Args, Subcommand};

use crate::args::Globals;
use crate::failure::Failure;

/// Measure searches on your own vectors and machine
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Search(search::SearchArgs),
    Plot(plot::PlotArgs),
    Measure(measure::MeasureArgs),
}

pub(crate) fn run(globals: &Globals, args: &BenchArgs) -> Result<(), Failure> {
    match &args.what {
        What::Search(args) => search::run(globals, args),
        What::Plot(args) => plot::run(globals, args),
        What::Measure(args) => measure::run(args),
    }
}
