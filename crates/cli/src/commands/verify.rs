//! `cgv verify`: everything in the store against its checksums.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use codegraph_vector::{BadBlock, Error, ErrorKind, VerifyReport};
use serde::Serialize;

use crate::args::Globals;
use crate::failure::Failure;
use crate::{location, output};

/// Read everything again and list what is damaged; exits with 1 if anything is
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {}

#[derive(Serialize)]
struct Verified {
    clean: bool,
    files: u64,
    bytes: u64,
    rows: u64,
    bad_blocks: Vec<ShownBlock>,
}

#[derive(Serialize)]
struct ShownBlock {
    path: PathBuf,
    offset: u64,
    len: u64,
    what: String,
}

pub(crate) fn run(globals: &Globals, _args: &VerifyArgs) -> Result<(), Failure> {
    let report = match location::open_reading(globals) {
        Ok(store) => store.verify()?,
        // Too damaged to be opened: that is a finding too.
        Err(Failure::Failed(error)) if error.kind() == ErrorKind::Corrupt => of_error(&error),
        Err(failure) => return Err(failure),
    };
    let document = Verified::of(report);
    output::print(globals.json, &document, |out| document.write(out))?;
    if document.clean { Ok(()) } else { Err(Failure::Told) }
}

fn of_error(error: &Error) -> VerifyReport {
    let path = error.path().map(PathBuf::from).unwrap_or_default();
    let offset = error.offset().unwrap_or(0);
    let bad = BadBlock { path, offset, len: 0, section: None, what: error.message().to_owned() };
    VerifyReport { bad_blocks: vec![bad], ..VerifyReport::default() }
}

impl Verified {
    fn of(report: VerifyReport) -> Self {
        let clean = report.is_clean();
        let VerifyReport { bad_blocks, files, bytes, rows } = report;
        let show = |BadBlock { path, offset, len, what, .. }| ShownBlock { path, offset, len, what };
        Self { clean, files, bytes, rows, bad_blocks: bad_blocks.into_iter().map(show).collect() }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for bad in &self.bad_blocks {
            let len = if bad.len > 0 { format!(", {} bytes", bad.len) } else { String::new() };
            writeln!(out, "bad: {} at byte {}{len}: {}", bad.path.display(), bad.offset, bad.what)?;
        }
        let (files, bytes) = (output::count(self.files, "file"), output::bytes(self.bytes));
        let read = format!("{files}, {bytes}; {} in segments", output::count(self.rows, "row"));
        match self.bad_blocks.len() as u64 {
            0 => writeln!(out, "ok: {read}"),
            bad => writeln!(out, "{} in {read}", output::count(bad, "damaged place")),
        }
    }
}
