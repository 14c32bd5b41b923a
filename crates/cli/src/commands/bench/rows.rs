//! What was measured at one effort of one system: a line of JSON, by the names of the harness that other systems are
//! measured by, so that their lines and ours draw into one picture.

use std::io::BufRead;
use std::path::Path;

use codegraph_vector::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::curve::{self, Point, TARGETS};
use super::memory::Resident;
use crate::files;

/// The names are kept: other programs read them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    /// The system.
    pub(super) peer: String,
    #[serde(default)]
    pub(super) version: Option<String>,
    /// Whether it keeps a store of its own on disk.
    #[serde(default)]
    pub(super) durable: bool,
    /// Vectors.
    pub(super) n: u64,
    pub(super) dim: usize,
    #[serde(flatten)]
    pub(super) built: Built,
    /// That searched.
    pub(super) threads: u16,
    #[serde(flatten)]
    pub(super) found: Found,
}

/// What came of the build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Built {
    /// From vectors to what can be searched.
    pub(super) build_s: f64,
    /// Of ours: until all rows were in segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) import_s: Option<f64>,
    /// Of ours: merge, codes and indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) index_s: Option<f64>,
    pub(super) build_params: Map<String, Value>,
    /// On disk, or to serve searches.
    pub(super) bytes: u64,
}

/// What searches with so much effort gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) search_params: Map<String, Value>,
    /// Share of the true nearest.
    pub(super) recall: f64,
    /// Of all queries in one go.
    pub(super) qps: f64,
    /// How those were asked: `batch`, or `single calls` where there is no batch.
    pub(super) qps_by: String,
    /// Of one query at a time, in microseconds.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    #[serde(flatten)]
    pub(super) resident: Option<Resident>,
}

/// Reads a file of lines. Those of systems that failed say so, and are left out.
pub(super) fn read(path: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (number, line) in (1..).zip(files::open(path)?.reader.lines()) {
        let line = line.map_err(|cause| Error::io("read", path, cause))?;
        rows.extend(parse(&line).map_err(|error| error.context(format_args!("line {number}")).at(path))?);
    }
    Ok(rows)
}

fn parse(line: &str) -> Result<Option<Row>> {
    if line.trim().is_empty() {
        return Ok(None);
    }
    let bad = |error| Error::invalid(format!("this is no figure of a search: {error}"));
    let value: Value = serde_json::from_str(line).map_err(bad)?;
    if value.get("error").is_some() {
        return Ok(None);
    }
    serde_json::from_value(value).map(Some).map_err(bad)
}

/// What the process that searches says of an effort.
pub(super) fn parse_found(line: &str) -> Result<Found> {
    serde_json::from_str(line)
        .map_err(|error| Error::invalid(format!("the process that searches said {line:?}: {error}")))
}

/// All rows of one system.
pub(super) struct System<'a> {
    pub(super) name: &'a str,
    pub(super) rows: Vec<&'a Row>,
}

/// Rows by system, in the order in which those come first.
pub(super) fn systems(rows: &[Row]) -> Vec<System<'_>> {
    let mut systems: Vec<System<'_>> = Vec::new();
    for row in rows {
        match systems.iter_mut().find(|system| system.name == row.peer) {
            Some(system) => system.rows.push(row),
            None => systems.push(System { name: &row.peer, rows: vec![row] }),
        }
    }
    systems
}

impl System<'_> {
    /// The best of recall and queries a second.
    pub(super) fn batch(&self) -> Vec<Point> {
        curve::envelope(self.rows.iter().map(|row| (row.found.recall, row.found.qps)))
    }

    /// The best of recall and queries a second, one at a time.
    fn single(&self) -> Vec<Point> {
        curve::envelope(self.rows.iter().map(|row| (row.found.recall, 1e6 / row.found.p50_us)))
    }

    /// What it is worth at the recalls of the comparison: `qps@0.90`, `p50_us@0.90` and so on; null above its best.
    pub(super) fn summary(&self) -> Map<String, Value> {
        let (batch, single) = (self.batch(), self.single());
        let mut summary = Map::from_iter([("peer".to_owned(), self.name.into())]);
        for target in TARGETS {
            let tenths = |figure: f64| (figure * 10.0).round() / 10.0;
            let qps = curve::rate_at(&batch, target).map(tenths);
            let p50_us = curve::rate_at(&single, target).map(|rate| tenths(1e6 / rate));
            summary.insert(format!("qps@{target:.2}"), qps.into());
            summary.insert(format!("p50_us@{target:.2}"), p50_us.into());
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = r#"{"peer": "graph", "version": "1.2", "durable": false, "n": 100, "dim": 8, "build_s": 3.5,
        "build_params": {"m": 16}, "threads": 1, "search_params": {"ef": 14}, "bytes": 175, "recall": 0.9,
        "qps": 1000.0, "qps_by": "batch", "p50_us": 100.0, "p99_us": 210.3}"#;

    fn row(peer: &str, recall: f64, qps: f64, p50_us: f64) -> Row {
        let mut row = parse(PEER).unwrap().unwrap();
        row.peer = peer.to_owned();
        row.found = Found { recall, qps, p50_us, ..row.found };
        row
    }

    #[test]
    fn lines_of_others_are_read_failures_left_out_and_nonsense_refused() {
        let row = parse(PEER).unwrap().unwrap();
        assert_eq!((row.peer.as_str(), row.found.recall, row.built.bytes), ("graph", 0.9, 175));
        assert_eq!(row.found.resident, None);
        for none in ["", " \n", r#"{"peer": "graph", "error": "it died"}"#] {
            assert!(parse(none).unwrap().is_none(), "{none}");
        }
        for bad in ["{}", "nonsense", &PEER.replace("recall", "precision")] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_of_ours_has_the_names_of_theirs_and_survives() {
        let mut row = row("cgv", 0.95, 500.0, 50.0);
        row.built.import_s = Some(1.5);
        row.found.resident = Some(Resident { rss_anonymous_bytes: 1, rss_mapped_bytes: 2 });
        let ours = serde_json::to_value(&row).unwrap();
        let theirs: Value = serde_json::from_str(PEER).unwrap();
        for name in theirs.as_object().unwrap().keys() {
            assert!(ours.get(name).is_some(), "{name} is missing in {ours}");
        }
        let again = parse(&ours.to_string()).unwrap().unwrap();
        assert_eq!((again.built.import_s, again.found.resident), (Some(1.5), row.found.resident));
    }

    #[test]
    fn a_summary_is_by_system_and_by_recall() {
        let rows = [row("a", 1.0, 100.0, 1000.0), row("b", 0.92, 700.0, 20.0), row("a", 0.9, 10_000.0, 10.0)];
        let systems = systems(&rows);
        assert_eq!(systems.iter().map(|system| system.name).collect::<Vec<_>>(), ["a", "b"]);
        let (a, b) = (systems[0].summary(), systems[1].summary());
        assert_eq!((&a["qps@0.95"], &a["p50_us@0.95"]), (&1000.0.into(), &100.0.into()));
        assert_eq!((&b["qps@0.90"], &b["qps@0.95"]), (&700.0.into(), &Value::Null));
    }
}
