//! What a search found, for people and for programs.

use std::io::{self, Write};
use std::path::Path;

use clap::builder::styling::{AnsiColor, Style};
use codegraph_vector::{Match, NodeMetadata, Snapshot, node_id_to_json};
use codegraph_vector_indexer::{Snippet, SnippetLine, printable, qualified_name, snippet, terms};
use serde::Serialize;
use serde_json::Value;

use crate::place::Place;

/// Most lines of a node that are shown.
const SNIPPET_LINES: usize = 4;

const PATH: Style = AnsiColor::Magenta.on_default();
const LINE: Style = AnsiColor::Green.on_default();
const NAME: Style = Style::new().bold();
const MATCHED: Style = AnsiColor::Red.on_default().bold();
const ASIDE: Style = Style::new().dimmed();

/// All that was found. The names are kept: other programs read them.
#[derive(Debug, Serialize)]
pub(crate) struct Hits {
    pub(crate) matches: Vec<Hit>,
    /// Whether nodes are left out because they lie in a damaged part of the store.
    pub(crate) degraded: bool,
}

/// A node that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Hit {
    node_id: Value,
    score: f32,
    /// Whether the vector is kept as it was given.
    exact: bool,
    name: Option<String>,
    kind: Option<String>,
    language: Option<String>,
    path: Option<String>,
    start_line: Option<u32>,
    end_line: Option<u32>,
    qualified_name: Option<String>,
    /// Whether the file was written to since, or is gone; `null` if nobody looked.
    changed: Option<bool>,
    /// Lines of it; `null` if there are none that can be shown.
    snippet: Option<Vec<Line>>,
    /// Why not.
    #[serde(skip)]
    without_lines: Option<String>,
}

/// A line of a snippet.
#[derive(Debug, Serialize)]
struct Line {
    line: u32,
    text: String,
    /// Where it has words of the question: first byte, and the one after the last.
    matched: Vec<[usize; 2]>,
}

/// How the lines of a hit are come by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<'a> {
    /// Where the files are.
    pub(crate) root: &'a Path,
    /// What the question asks for.
    pub(crate) terms: &'a [String],
}

impl Hit {
    /// A hit, with lines of it if they are wanted.
    pub(crate) fn of(found: Match, snapshot: &Snapshot, lines: Option<Lines<'_>>) -> Self {
        let metadata = found.metadata.unwrap_or_default();
        let shown = lines.map(|lines| snippet(snapshot, lines.root, &metadata, lines.terms, SNIPPET_LINES));
        let qualified_name = qualified_name(&metadata).map(str::to_owned);
        let NodeMetadata { path, name, kind, language, start_line, end_line, .. } = metadata;
        let mut hit = Self {
            node_id: node_id_to_json(found.node_id),
            score: found.score,
            exact: found.exact,
            name,
            kind,
            language,
            path,
            start_line,
            end_line,
            qualified_name,
            changed: None,
            snippet: None,
            without_lines: None,
        };
        match shown {
            None => {}
            Some(Ok(Some(Snippet { lines, changed: false }))) => {
                hit.changed = Some(false);
                hit.snippet = Some(lines.into_iter().map(Line::of).collect());
            }
            Some(Ok(Some(_))) => {
                hit.changed = Some(true);
                hit.without_lines = Some("changed since it was indexed".to_owned());
            }
            Some(Ok(None)) => {
                hit.changed = Some(true);
                hit.without_lines = Some("gone since it was indexed".to_owned());
            }
            Some(Err(error)) => hit.without_lines = Some(error.to_string()),
        }
        hit
    }

    /// Whether the file is not what was indexed.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed == Some(true)
    }

    /// Whether its lines are all looked through, and neither they nor its names have any of the terms.
    pub(crate) fn lacks(&self, asked: &[String]) -> bool {
        let names = [&self.name, &self.qualified_name, &self.path].into_iter().flatten();
        self.snippet.as_ref().is_some_and(|lines| lines.iter().all(|line| line.matched.is_empty()))
            && !names.flat_map(|name| terms(name)).any(|term| asked.contains(&term))
    }

    /// For people: where it is, what it is, and lines of it.
    pub(crate) fn write(&self, out: &mut dyn Write, place: Option<&Place>, colour: bool) -> io::Result<()> {
        let paint = Paint { colour };
        let path = self.path.as_deref().unwrap_or("?");
        let path = place.map_or_else(|| path.into(), |place| place.shown(path).display().to_string());
        paint.text(out, PATH, &path)?;
        if let Some(line) = self.start_line {
            out.write_all(b":")?;
            paint.text(out, LINE, &line.to_string())?;
        }
        write!(out, "  {} ", printable(self.kind.as_deref().unwrap_or("node")))?;
        let name = self.qualified_name.as_deref().or(self.name.as_deref()).unwrap_or("?");
        paint.text(out, NAME, name)?;
        writeln!(out, "  {:.2}", self.score)?;
        if let Some(why) = &self.without_lines {
            out.write_all(b"    ")?;
            paint.text(out, ASIDE, &format!("({why})"))?;
            out.write_all(b"\n")?;
        }
        let lines = self.snippet.as_deref().unwrap_or_default();
        let margin = common_indent(lines);
        let width = lines.last().map_or(0, |line| line.line.to_string().len());
        lines.iter().try_for_each(|line| line.write(out, paint, width, margin))
    }
}

impl Line {
    fn of(line: SnippetLine) -> Self {
        let SnippetLine { number, text, matched } = line;
        Self {
            line: number,
            text,
            matched: matched.into_iter().map(|range| [range.start, range.end]).collect(),
        }
    }

    fn write(&self, out: &mut dyn Write, paint: Paint, width: usize, margin: usize) -> io::Result<()> {
        out.write_all(b"    ")?;
        paint.text(out, ASIDE, &format!("{:>width$}", self.line))?;
        out.write_all(b"  ")?;
        let mut at = margin.min(self.text.len());
        for [start, end] in &self.matched {
            out.write_all(&self.text.as_bytes()[at..*start])?;
            paint.text(out, MATCHED, &self.text[*start..*end])?;
            at = *end;
        }
        writeln!(out, "{}", &self.text[at..])
    }
}

/// Blanks that all lines begin with.
fn common_indent(lines: &[Line]) -> usize {
    let indent = |line: &Line| line.text.bytes().take_while(|byte| *byte == b' ').count();
    lines.iter().map(indent).min().unwrap_or(0)
}

/// Writes in colours, or does not.
#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    /// Text of a file or its name, which may hold anything.
    fn text(self, out: &mut dyn Write, style: Style, text: &str) -> io::Result<()> {
        let text = printable(text);
        if self.colour { write!(out, "{style}{text}{style:#}") } else { write!(out, "{text}") }
    }
}
