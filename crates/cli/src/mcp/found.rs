//! `search_code` and `similar_code`: definitions, best first, with the lines that tell what each is.

use std::path::Path;

use codegraph_vector::{Filter, NodeId, NodeMetadata, Snapshot};
use codegraph_vector_indexer::{
    Found as Answer, SearchBy, SearchOptions, node_at, search_like, search_text, snippet, terms,
};
use rmcp::schemars::transform::RecursiveTransform;
use rmcp::schemars::{self, JsonSchema};
use serde::Serialize;

use super::arguments::{Question, Target, relative};
use super::reader::{Reader, View};
use super::refusal::Refusal;
use super::reply::{Document, MAX_HALF_BYTES, Node, json_bytes, plain_numbers};

/// Most lines of a definition that are shown.
const SNIPPET_LINES: usize = 4;
/// What a result costs as JSON beside its texts, at most: names, numbers, an id.
const RESULT_BYTES: usize = 256;
/// What is said where something is damaged.
const DEGRADED: &str =
    "a part of the index is damaged and was left out of this; `cgv verify --repair` mends it";

/// What a search found.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(transform = RecursiveTransform(plain_numbers))]
pub(crate) struct Found {
    /// Best first
    matches: Vec<Hit>,
    /// Whether definitions are left out because they lie in a damaged part of the index
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    /// What to know of the results as a whole
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// A definition that was found.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(transform = RecursiveTransform(plain_numbers))]
struct Hit {
    #[serde(flatten)]
    node: Node,
    /// How well it fits; higher is better, 1 at the most
    score: f64,
    /// Its lines that fit best, with their numbers
    #[serde(skip_serializing_if = "String::is_empty")]
    snippet: String,
    /// Whether its file changed since it was indexed, so that its lines may be elsewhere
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    changed: bool,
}

/// Finds what answers a question.
pub(crate) fn search(reader: &Reader, question: &Question) -> Result<Found, Refusal> {
    let view = reader.view()?;
    let embedder = reader.embedder(&view)?;
    let options = question.options(view.root.as_deref())?;
    let words = terms(&question.text);
    let (found, count) = view.read(|snapshot| {
        let found = search_text(snapshot, SearchBy::Both(&*embedder), &question.text, &options)?;
        let count = if found.degraded { 1 } else { snapshot.count(&Filter::everything())? };
        Ok((Found::of(snapshot, view.root.as_deref(), found, &words), count))
    })?;
    Ok(found.noting(count, question.is_narrowed()))
}

/// Finds what is like a definition.
pub(crate) fn similar(reader: &Reader, target: &Target, options: &SearchOptions) -> Result<Found, Refusal> {
    let view = reader.view()?;
    let (id, _) = find(&view, target)?;
    view.read(|snapshot| {
        let found = search_like(snapshot, id, options)?;
        Ok(Found::of(snapshot, view.root.as_deref(), found, &[]))
    })
}

/// The definition that is meant.
pub(crate) fn find(view: &View, target: &Target) -> Result<(NodeId, NodeMetadata), Refusal> {
    match target {
        Target::Id(id) => view.read(|snapshot| snapshot.get(*id))?.map(|node| (*id, node.metadata())).ok_or_else(|| {
            Refusal::failed(
                "there is no definition of this node_id; it may have been renamed, moved or deleted since. Search again",
            )
        }),
        Target::Place { path, line } => {
            let path = relative("path", path, view.root.as_deref())?;
            view.read(|snapshot| node_at(snapshot, &path, *line))?.ok_or_else(|| {
                let root = view.root.as_deref().map_or("the index".to_owned(), |root| root.display().to_string());
                Refusal::failed(format!(
                    "nothing is indexed at {path}:{line}. Paths are relative to {root}; a new or renamed file needs `reindex`"
                ))
            })
        }
    }
}

impl Found {
    /// As many of the matches as an answer may have.
    fn of(snapshot: &Snapshot, root: Option<&Path>, found: Answer, words: &[String]) -> Self {
        let Answer { matches, degraded } = found;
        let (mut hits, mut bytes, all) = (Vec::new(), 0, matches.len());
        for found in matches {
            let metadata = found.metadata.unwrap_or_default();
            let mut hit = Hit {
                node: Node::of(found.node_id, &metadata),
                score: (f64::from(found.score) * 1000.0).round() / 1000.0,
                snippet: String::new(),
                changed: false,
            };
            bytes += hit.node_bytes();
            if bytes > MAX_HALF_BYTES {
                break;
            }
            hit.show(snapshot, root, &metadata, words);
            bytes += json_bytes(&hit.snippet);
            if bytes > MAX_HALF_BYTES {
                bytes -= json_bytes(&hit.snippet);
                hit.snippet.clear();
            }
            hits.push(hit);
        }
        let left_out = all - hits.len();
        let note = (left_out > 0).then(|| format!("{left_out} more were left out to keep the answer short"));
        let damaged = degraded.then(|| DEGRADED.to_owned());
        Self { matches: hits, degraded, note: damaged.or(note) }
    }

    /// Says what to do if there is nothing.
    fn noting(mut self, count: u64, narrowed: bool) -> Self {
        if self.matches.is_empty() && !self.degraded {
            let note = match (count, narrowed) {
                (0, _) => "the index is empty; call `reindex` after code was added",
                (_, true) => "nothing fits with these filters; try without language, kind or path_prefix",
                (_, false) => "no word of the question is known; say it in other words",
            };
            self.note = Some(note.to_owned());
        }
        self
    }
}

impl Hit {
    /// Bytes of everything but the snippet, as JSON.
    fn node_bytes(&self) -> usize {
        let Node { path, kind, name, language, .. } = &self.node;
        RESULT_BYTES + [path, kind, name, language].map(|text| json_bytes(text)).iter().sum::<usize>()
    }

    /// Looks at the file. What cannot be read is not shown.
    fn show(&mut self, snapshot: &Snapshot, root: Option<&Path>, metadata: &NodeMetadata, words: &[String]) {
        let Some(root) = root else { return };
        match snippet(snapshot, root, metadata, words, SNIPPET_LINES) {
            Ok(Some(snippet)) => {
                self.changed = snippet.changed;
                let lines = snippet.lines.iter().map(|line| format!("{}: {}", line.number, line.text));
                self.snippet = lines.collect::<Vec<_>>().join("\n");
            }
            Ok(None) | Err(_) => self.changed = true,
        }
    }
}

impl Document for Found {
    fn text(&self) -> String {
        let mut text = String::new();
        for (at, hit) in self.matches.iter().enumerate() {
            text.push_str(&format!("{}. {}, {})\n", at + 1, hit.node.line(), hit.score));
            for line in hit.snippet.lines() {
                text.push_str(&format!("   {line}\n"));
            }
            if hit.changed {
                text.push_str("   (its file changed since it was indexed: `reindex`)\n");
            }
        }
        text.extend(self.note.as_deref());
        text
    }
}
