//! Whether and how the log is archived.

use codegraph_vector_base::{Error, Result};

/// The archive of the log: what is committed is put behind the backups, so that the store can be restored to any commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// Whether the log is archived.
    pub enabled: bool,
    /// Milliseconds after which what was committed is in the archive, if the target takes it.
    pub interval_ms: u64,
    /// Bytes of the log for which that is not waited for.
    pub max_lag_bytes: u64,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self { enabled: false, interval_ms: 10_000, max_lag_bytes: 8 << 20 }
    }
}

impl ArchiveConfig {
    /// Refuses what cannot work.
    pub(super) fn check(&self) -> Result<()> {
        match self.interval_ms > 0 && self.max_lag_bytes > 0 {
            true => Ok(()),
            false => Err(Error::invalid("archive.interval_ms and archive.max_lag_bytes must be at least 1")),
        }
    }

    /// Names and texts, as the manifest keeps them.
    pub(super) fn to_pairs(self) -> [(&'static str, String); 3] {
        [
            ("archive.enabled", self.enabled.to_string()),
            ("archive.interval_ms", self.interval_ms.to_string()),
            ("archive.max_lag_bytes", self.max_lag_bytes.to_string()),
        ]
    }

    /// Takes a setting whose name, without `archive.`, is known; `None` if its text cannot be.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "enabled" => self.enabled = value.parse().ok()?,
            "interval_ms" => self.interval_ms = value.parse().ok()?,
            "max_lag_bytes" => self.max_lag_bytes = value.parse().ok()?,
            _ => {}
        }
        Some(())
    }
}
