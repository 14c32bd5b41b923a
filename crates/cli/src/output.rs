//! Results on standard output, progress on a terminal's standard error.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::Duration;

use codegraph_vector_base::{Clock, SystemClock};
use serde::Serialize;

use crate::failure::Failure;

/// Time between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Prints a result: one JSON document, or what `human` writes.
pub(crate) fn print<T: Serialize>(
    json: bool,
    document: &T,
    human: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    lines(|out| if json { line(out, document) } else { human(out) })
}

/// Runs `write` on standard output, and sees to it that everything gets there.
pub(crate) fn lines(
    write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    write(&mut out).and_then(|()| out.flush()).map_err(Failure::of_output)
}

/// One JSON document on a line.
pub(crate) fn line<T: Serialize>(out: &mut dyn Write, document: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, document)?;
    out.write_all(b"\n")
}

/// So many of something, which has an `s` if they are several.
pub(crate) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A number of bytes for people.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return count(number, "byte");
    }
    let mut size = number as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// A line on the terminal that says how far a command is. Nothing, if nobody watches.
#[derive(Debug)]
pub(crate) struct Progress {
    clock: SystemClock,
    shown: Option<Duration>,
    visible: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { clock: SystemClock::new(), shown: None, visible: io::stderr().is_terminal() }
    }

    /// Time since the start, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.clock.monotonic().as_secs_f64()
    }

    /// Shows how many rows are done, of so many if that is known.
    pub(crate) fn rows(&mut self, done: u64, of: Option<u64>) {
        let now = self.clock.monotonic();
        if !self.visible || self.shown.is_some_and(|shown| now < shown + PROGRESS_INTERVAL) {
            return;
        }
        self.shown = Some(now);
        let share = of.filter(|of| *of > 0).map(|of| format!(" ({} %)", done * 100 / of)).unwrap_or_default();
        let rate = done as f64 / now.as_secs_f64().max(1e-9);
        let _ = write!(io::stderr(), "\r\x1b[K{done} rows{share}, {rate:.0} a second");
    }

    /// Takes the line away.
    pub(crate) fn end(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_shown_in_their_unit() {
        assert_eq!([0, 1, 1023].map(super::bytes), ["0 bytes", "1 byte", "1023 bytes"]);
        assert_eq!(super::bytes(1536), "1.5 KiB");
        assert_eq!(super::bytes(u64::MAX), "16384.0 PiB");
    }
}
