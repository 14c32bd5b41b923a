//! How segments are kept in order, in the background.

use codegraph_vector_base::{Error, Result};

use super::windows::{MaintenanceTimeZone, MaintenanceWindows};

/// When merges, rewrites and the building of indexes run in the background, and how much they write. Flushes always run; what is
/// asked for by hand heeds none of this but [`max_segment_bytes`](Self::max_segment_bytes) and the dead share, which say what is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceConfig {
    /// Bytes a second that they write at the most; 0 is as many as they can.
    pub max_bytes_per_s: u64,
    /// When they may run.
    pub windows: MaintenanceWindows,
    /// The time zone that windows are in.
    pub time_zone: MaintenanceTimeZone,
    /// Outside of windows they run nevertheless while so much is to be done, in percent of the bytes of live rows: dead rows
    /// that are to go, and rows of segments that are to be merged.
    pub max_debt_percent: u64,
    /// Bytes of a segment that several are merged into, at the most; 0 is no limit.
    pub max_segment_bytes: u64,
    /// With this share of dead rows in all segments together, in percent of their bytes, those with most of them are
    /// rewritten. It is what bounds the room that a store takes.
    pub store_dead_percent: u64,
}

impl Default for MaintenanceConfig {
    fn default() -> Self {
        Self {
            max_bytes_per_s: 0,
            windows: MaintenanceWindows::default(),
            time_zone: MaintenanceTimeZone::Utc,
            max_debt_percent: 50,
            max_segment_bytes: 0,
            store_dead_percent: 20,
        }
    }
}

impl MaintenanceConfig {
    /// Refuses what cannot work.
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=100).contains(&self.store_dead_percent) {
            let message = "is a share in percent, from 1 to 100";
            return Err(Error::invalid(format!("maintenance.store_dead_percent {message}")));
        }
        Ok(())
    }

    /// Names and texts, as the manifest keeps them.
    pub(super) fn to_pairs(&self) -> [(&'static str, String); 6] {
        [
            ("maintenance.max_bytes_per_s", self.max_bytes_per_s.to_string()),
            ("maintenance.windows", self.windows.to_string()),
            ("maintenance.time_zone", self.time_zone.to_string()),
            ("maintenance.max_debt_percent", self.max_debt_percent.to_string()),
            ("maintenance.max_segment_bytes", self.max_segment_bytes.to_string()),
            ("maintenance.store_dead_percent", self.store_dead_percent.to_string()),
        ]
    }

    /// Takes a setting whose name, without `maintenance.`, is known; `None` if its text cannot be.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "max_bytes_per_s" => self.max_bytes_per_s = value.parse().ok()?,
            "windows" => self.windows = value.parse().ok()?,
            "time_zone" => self.time_zone = value.parse().ok()?,
            "max_debt_percent" => self.max_debt_percent = value.parse().ok()?,
            "max_segment_bytes" => self.max_segment_bytes = value.parse().ok()?,
            "store_dead_percent" => self.store_dead_percent = value.parse().ok()?,
            _ => {}
        }
        Some(())
    }
}
