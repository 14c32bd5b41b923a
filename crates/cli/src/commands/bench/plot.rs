//! `cgv bench plot`: figures of several systems side by side, as a picture and as a table.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use codegraph_vector::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use super::curve::TARGETS;
use super::picture;
use super::rows::{self, Row, systems};
use crate::args::Globals;
use crate::failure::Failure;
use crate::{files, output};

/// Draw figures that were measured before, and compare them at equal recall
///
/// Reads the lines that `bench search --out` writes. Between two points of a system the logarithm of the rate is linear in the
/// recall.
#[derive(Args, Debug)]
pub(crate) struct PlotArgs {
    /// Files of lines
    #[arg(value_name = "FILE.jsonl", required = true)]
    files: Vec<PathBuf>,
    /// The picture to draw
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Its title
    #[arg(long, value_name = "TEXT", default_value = "Recall and queries a second")]
    title: String,
}

/// What to show beside what is measured.
#[derive(Args, Debug)]
pub(super) struct Shown {
    /// Draw the curve: recall and queries a second
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Lines of other systems, to draw and compare
    #[arg(long, value_name = "FILE.jsonl")]
    peers: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Document {
    summary: Vec<Map<String, Value>>,
}

pub(super) fn run(globals: &Globals, args: &PlotArgs) -> Result<(), Failure> {
    let shown = Shown { svg: args.svg.clone(), peers: args.files.clone() };
    let rows = shown.others()?;
    if rows.is_empty() {
        return Err(Error::invalid("there is no figure of any system").at(&args.files[0]).into());
    }
    shown.draw(&rows, &args.title)?;
    let summary = summary(&rows);
    output::print(globals.json, &Document { summary }, |out| write_summary(out, &rows))
}

impl Shown {
    /// The rows of other systems.
    pub(super) fn others(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for path in &self.peers {
            rows.extend(rows::read(path)?);
        }
        Ok(rows)
    }

    /// Draws the picture, if one is asked for.
    pub(super) fn draw(&self, rows: &[Row], title: &str) -> Result<()> {
        let Some(path) = &self.svg else { return Ok(()) };
        let curves: Vec<picture::Curve<'_>> = systems(rows)
            .iter()
            .map(|system| picture::Curve { name: system.name, points: system.batch() })
            .collect();
        files::write(path, picture::draw(title, &curves).as_bytes())
    }
}

/// What each system is worth at the recalls of the comparison.
pub(super) fn summary(rows: &[Row]) -> Vec<Map<String, Value>> {
    systems(rows).iter().map(rows::System::summary).collect()
}

/// The figures of each effort, for people.
pub(super) fn write_rows(out: &mut dyn Write, rows: &[Row]) -> io::Result<()> {
    let cells = rows.iter().map(|row| {
        let found = &row.found;
        let effort = found.search_params.iter().map(|(name, value)| format!("{name}={value}"));
        vec![
            effort.collect::<Vec<_>>().join(" "),
            format!("{:.4}", found.recall),
            format!("{:.0}", found.qps),
            format!("{:.0}", found.p50_us),
            format!("{:.0}", found.p99_us),
        ]
    });
    write_table(out, &["effort", "recall", "queries/s", "p50 µs", "p99 µs"], cells.collect())?;
    let Some(Row { built, found, .. }) = rows.last() else { return Ok(()) };
    let index = built.index_s.map(|index_s| format!(", {index_s:.1} s of it merging and indexing"));
    let disk = output::bytes(built.bytes);
    writeln!(out, "\nbuilt in {:.1} s{}; {disk} on disk", built.build_s, index.unwrap_or_default())?;
    if let Some(resident) = found.resident {
        let (own, mapped) =
            (output::bytes(resident.rss_anonymous_bytes), output::bytes(resident.rss_mapped_bytes));
        writeln!(out, "in memory while searching: {own} of its own, {mapped} of files")?;
    }
    Ok(())
}

/// What each system is worth, for people.
pub(super) fn write_summary(out: &mut dyn Write, rows: &[Row]) -> io::Result<()> {
    let summary = summary(rows);
    let figures = ["qps", "p50_us"].into_iter();
    let names: Vec<String> =
        figures.flat_map(|figure| TARGETS.map(|target| format!("{figure}@{target:.2}"))).collect();
    let columns: Vec<&str> = ["system"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let cell = |value: &Value| value.as_f64().map_or("-".to_owned(), |figure| format!("{figure:.0}"));
    let line = |row: &Map<String, Value>| {
        let figures = names.iter().map(|name| cell(row.get(name).unwrap_or(&Value::Null)));
        let name = row.get("peer").and_then(Value::as_str).unwrap_or_default().to_owned();
        [name].into_iter().chain(figures).collect()
    };
    writeln!(out)?;
    write_table(out, &columns, summary.iter().map(line).collect())
}

/// The first column to the left, the others to the right.
fn write_table(out: &mut dyn Write, columns: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
    let head = columns.iter().map(|column| (*column).to_owned()).collect();
    let lines: Vec<Vec<String>> = [head].into_iter().chain(rows).collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let mut out = Vec::new();
        let rows = vec![vec!["a".into(), "1".into()], vec!["long µ".into(), "12345".into()]];
        write_table(&mut out, &["name", "n"], rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "name        n\na           1\nlong µ  12345\n");
    }
}
