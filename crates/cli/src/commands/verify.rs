//! `cgv verify`: everything in the store against its checksums; and its repair.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use codegraph_vector::{
    BadBlock, Error, ErrorKind, OpenOptions, QuarantinedSegment, RepairReport, Settings, VerifyReport,
    node_id_to_json,
};
use serde::Serialize;
use serde_json::Value;

use crate::args::Globals;
use crate::failure::Failure;
use crate::{location, output};

/// Nodes that are lost are named one by one up to so many; all of them with --json.
const MAX_NAMED: usize = 100;

/// Read everything again and list what is damaged; exits with 1 if anything is
///
/// A damaged segment is left out of searches, which say so, and the rest goes on answering. With --repair its files are
/// fetched from the newest backup that has them, as is done in the background by whatever has the store open for writing.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cgv verify\n  \
    cgv verify --repair            mend what a backup has\n  \
    cgv verify --repair --give-up  and let go the segments that none has, with all their nodes")]
pub(crate) struct VerifyArgs {
    /// Fetch what is damaged from the newest backup that has it
    #[arg(long)]
    repair: bool,
    /// Remove the segments that no backup has, with all their nodes, and list those
    #[arg(long, requires = "repair")]
    give_up: bool,
}

#[derive(Serialize)]
struct Verified {
    clean: bool,
    files: u64,
    bytes: u64,
    rows: u64,
    bad_blocks: Vec<ShownBlock>,
    /// Segments that searches leave out.
    quarantined: Vec<ShownSegment>,
    /// Nodes that cannot be read.
    lost: Vec<Value>,
    /// Rows whose ids cannot be read either.
    lost_unknown: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<Repaired>,
}

#[derive(Serialize)]
struct ShownBlock {
    path: PathBuf,
    offset: u64,
    len: u64,
    what: String,
}

#[derive(Serialize)]
struct ShownSegment {
    segment: u64,
    path: PathBuf,
    offset: u64,
    what: String,
    rows: u64,
}

#[derive(Serialize)]
struct Repaired {
    repaired: Vec<u64>,
    given_up: Vec<ShownSegment>,
    lost: Vec<Value>,
    lost_unknown: u64,
}

pub(crate) fn run(globals: &Globals, args: &VerifyArgs) -> Result<(), Failure> {
    let document = if args.repair { repaired(globals, args.give_up)? } else { verified(globals)? };
    output::print(globals.json, &document, |out| document.write(out))?;
    if document.clean { Ok(()) } else { Err(Failure::Told) }
}

fn verified(globals: &Globals) -> Result<Verified, Failure> {
    let report = match location::open_reading(globals) {
        Ok(store) => store.verify()?,
        // Too damaged to be opened: that is a finding too.
        Err(Failure::Failed(error)) if error.kind() == ErrorKind::Corrupt => of_error(&error),
        Err(failure) => return Err(failure),
    };
    Ok(Verified::of(report, None))
}

fn repaired(globals: &Globals, give_up: bool) -> Result<Verified, Failure> {
    // What is done here is to be told, so nothing else is to do it first.
    let settings = Some(Settings { background: false, ..Settings::default() });
    let options = OpenOptions { must_exist: true, settings, ..OpenOptions::default() };
    let store = location::open_with(globals, options)?;
    store.verify()?;
    let repair = store.repair(give_up)?;
    let report = store.verify()?;
    store.close()?;
    Ok(Verified::of(report, Some(repair)))
}

fn of_error(error: &Error) -> VerifyReport {
    let path = error.path().map(PathBuf::from).unwrap_or_default();
    let offset = error.offset().unwrap_or(0);
    let bad = BadBlock { path, offset, len: 0, section: None, what: error.message().to_owned() };
    VerifyReport { bad_blocks: vec![bad], ..VerifyReport::default() }
}

fn shown(bad: QuarantinedSegment) -> ShownSegment {
    let QuarantinedSegment { segment, path, offset, what, rows, .. } = bad;
    ShownSegment { segment: segment.0, path, offset, what, rows }
}

impl Verified {
    fn of(report: VerifyReport, repair: Option<RepairReport>) -> Self {
        let clean = report.is_clean();
        let VerifyReport { bad_blocks, files, bytes, rows, quarantined, lost, lost_unknown } = report;
        let block = |BadBlock { path, offset, len, what, .. }| ShownBlock { path, offset, len, what };
        Self {
            clean,
            files,
            bytes,
            rows,
            bad_blocks: bad_blocks.into_iter().map(block).collect(),
            quarantined: quarantined.into_iter().map(shown).collect(),
            lost: lost.into_iter().map(node_id_to_json).collect(),
            lost_unknown,
            repair: repair.map(|repair| Repaired {
                repaired: repair.repaired.into_iter().map(|id| id.0).collect(),
                given_up: repair.given_up.into_iter().map(shown).collect(),
                lost: repair.lost.into_iter().map(node_id_to_json).collect(),
                lost_unknown: repair.lost_unknown,
            }),
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(repair) = &self.repair {
            repair.write(out)?;
        }
        for bad in &self.bad_blocks {
            let len = if bad.len > 0 { format!(", {} bytes", bad.len) } else { String::new() };
            writeln!(out, "bad: {} at byte {}{len}: {}", bad.path.display(), bad.offset, bad.what)?;
        }
        for segment in &self.quarantined {
            let rows = output::count(segment.rows, "row");
            writeln!(out, "quarantined: segment {}, {rows}: {}", segment.segment, segment.path.display())?;
        }
        write_lost(out, &self.lost, self.lost_unknown)?;
        let (files, bytes) = (output::count(self.files, "file"), output::bytes(self.bytes));
        let read = format!("{files}, {bytes}; {} in segments", output::count(self.rows, "row"));
        match self.bad_blocks.len() as u64 {
            0 => writeln!(out, "ok: {read}"),
            bad => writeln!(out, "{} in {read}", output::count(bad, "damaged place")),
        }
    }
}

impl Repaired {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for segment in &self.repaired {
            writeln!(out, "repaired: segment {segment}")?;
        }
        for segment in &self.given_up {
            writeln!(out, "given up: segment {}, {}", segment.segment, output::count(segment.rows, "row"))?;
        }
        write_lost(out, &self.lost, self.lost_unknown)
    }
}

fn write_lost(out: &mut dyn Write, lost: &[Value], unknown: u64) -> io::Result<()> {
    for id in lost.iter().take(MAX_NAMED) {
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        writeln!(out, "lost: node {id}")?;
    }
    if lost.len() > MAX_NAMED {
        writeln!(out, "lost: {} more; --json names all", lost.len() - MAX_NAMED)?;
    }
    match unknown {
        0 => Ok(()),
        unknown => writeln!(out, "lost: {} whose ids cannot be read", output::count(unknown, "row")),
    }
}
