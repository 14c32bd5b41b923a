//! Memory of this process, where the system tells.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files;

/// What is resident, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Resident {
    /// Its own.
    pub(super) rss_anonymous_bytes: u64,
    /// Of mapped files: pages that the system may take back and read again.
    pub(super) rss_mapped_bytes: u64,
}

/// What this process has now; `None` where there is no `/proc`.
pub(super) fn resident() -> Option<Resident> {
    parse(&files::text(Path::new("/proc/self/smaps_rollup")).ok()?)
}

fn parse(text: &str) -> Option<Resident> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    let rss_anonymous_bytes = bytes("Anonymous:")?;
    Some(Resident {
        rss_anonymous_bytes,
        rss_mapped_bytes: bytes("Rss:")?.saturating_sub(rss_anonymous_bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_memory_is_told_from_mapped() {
        let text = "5583-7fff ---p 00000000 00:00 0    [rollup]\nRss:    1500 kB\nPss:  700 kB\nAnonymous:   500 kB\n";
        let resident = parse(text).unwrap();
        assert_eq!((resident.rss_anonymous_bytes, resident.rss_mapped_bytes), (500 << 10, 1000 << 10));
        assert_eq!(parse("Rss: 1 kB\n"), None);
        assert_eq!(parse("Rss: x kB\nAnonymous: 1 kB\n"), None);
    }
}
