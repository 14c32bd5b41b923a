//! What went wrong, as the person at the terminal is told: one `error:` line, and a `help:` line where
//! something can be done about it.

use std::io;
use std::process::ExitCode;

use codegraph_vector::{Error, ErrorKind};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It failed: exit code 1.
    Failed(Error),
    /// It was asked for something that makes no sense: exit code 2.
    Usage(String),
    /// It ran, printed what it found, and that is bad: exit code 1.
    Told,
    /// Nobody reads the output any more: not worth a word.
    Unread,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Failure {
    /// A failed write to standard output.
    pub(crate) fn of_output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Failed(Error::io("write", "standard output", error)),
        }
    }

    /// Tells, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Failed(error) => {
                eprintln_quiet(&format!("error: {error}"));
                if let Some(remedy) = remedy(error.kind()) {
                    eprintln_quiet(&format!("help: {remedy}"));
                }
                ExitCode::from(1)
            }
            Self::Usage(message) => {
                eprintln_quiet(&format!("error: {message}"));
                eprintln_quiet("help: `cgv COMMAND --help` shows what a command takes");
                ExitCode::from(2)
            }
            Self::Told => ExitCode::from(1),
            Self::Unread => ExitCode::SUCCESS,
        }
    }
}

/// A line on standard error, which may be closed.
pub(crate) fn eprintln_quiet(line: &str) {
    use io::Write as _;
    let _ = writeln!(io::stderr(), "{line}");
}

/// What to do about an error of this kind, where its message does not say so itself.
fn remedy(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Busy => Some("search, export, query, get, stats and verify work beside the other process"),
        ErrorKind::ReadOnly => Some(
            "look at the permissions, or name a store elsewhere with --store; to search, reading is enough",
        ),
        ErrorKind::StorageFull => Some("make room and run the command again; what was acknowledged is safe"),
        ErrorKind::OutcomeUnknown => Some(
            "what was acknowledged is safe; check the disk, look what is there, and run the command again",
        ),
        ErrorKind::Corrupt => Some("`cgv verify` lists what is damaged; restore it from a backup"),
        ErrorKind::Unsupported => Some("use a newer cgv"),
        ErrorKind::Gone => Some("copy the store anew, by `cgv export`, and follow its changes from there"),
        ErrorKind::Conflict | ErrorKind::Stale => Some("run the command again"),
        _ => None,
    }
}
