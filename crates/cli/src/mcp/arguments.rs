//! What an assistant may ask: the tools' arguments, their schemas and their limits.
//!
//! What always holds: whatever comes out of a `check` is within the limits and safe to use; whatever does not
//! is answered with a sentence that says what to mend.

use std::path::{Component, Path, PathBuf};

use codegraph_vector::{Filter, NodeId, parse_node_id};
use codegraph_vector_indexer::SearchOptions;
use rmcp::schemars::transform::RecursiveTransform;
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;

use super::refusal::Refusal;
use super::reply::plain_numbers;

/// Results of a search that does not say how many it wants.
const DEFAULT_LIMIT: u32 = 10;
/// Most results of a search.
const MAX_LIMIT: u32 = 50;
/// Most bytes of a question.
const MAX_QUERY_BYTES: usize = 8 << 10;
/// Most bytes of any other text.
const MAX_TEXT_BYTES: usize = 4 << 10;

/// Arguments of `search_code`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = RecursiveTransform(plain_numbers))]
pub(crate) struct SearchCode {
    /// What to find, in plain words or by words of its name, e.g. "retry a request with back-off"; at most 8 KiB
    query: String,
    /// How many results, from 1 to 50
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    limit: Option<u32>,
    /// Only code in this language: c, cpp, go, java, javascript, python, rust, typescript
    language: Option<String>,
    /// Only this kind: function, method, class, struct, enum, union, trait, interface, type, macro, module
    kind: Option<String>,
    /// Only files whose path, relative to the index's root, begins with this, e.g. "src/net/"
    path_prefix: Option<String>,
}

/// Arguments of `similar_code`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = RecursiveTransform(plain_numbers))]
pub(crate) struct SimilarCode {
    /// The definition, by the node_id of an earlier result. Either this, or path and line
    node_id: Option<String>,
    /// The file with the definition, relative to the index's root
    path: Option<String>,
    /// A line within the definition, from 1
    #[schemars(range(min = 1))]
    line: Option<u32>,
    /// How many results, from 1 to 50
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    limit: Option<u32>,
}

/// Arguments of `get_node`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = RecursiveTransform(plain_numbers))]
pub(crate) struct GetNode {
    /// The definition, by the node_id of an earlier result. Either this, or path and line
    node_id: Option<String>,
    /// The file with the definition, relative to the index's root
    path: Option<String>,
    /// A line within the definition, from 1
    #[schemars(range(min = 1))]
    line: Option<u32>,
    /// Whether to read its source text, too
    #[serde(default = "with_source")]
    with_source: Option<bool>,
}

/// Arguments of a tool that takes none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = RecursiveTransform(plain_numbers))]
pub(crate) struct Nothing {}

#[allow(clippy::unnecessary_wraps)] // Serde wants the field's type.
fn default_limit() -> Option<u32> {
    Some(DEFAULT_LIMIT)
}

#[allow(clippy::unnecessary_wraps)] // As above.
fn with_source() -> Option<bool> {
    Some(true)
}

/// A question that may be asked.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) text: String,
    limit: usize,
    language: Option<String>,
    kind: Option<String>,
    path_prefix: Option<String>,
}

/// A definition that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// By its id.
    Id(NodeId),
    /// By where it is. The path may still be an absolute one.
    Place { path: String, line: u32 },
}

impl SearchCode {
    pub(crate) fn check(self) -> Result<Question, Refusal> {
        let text = self.query.trim().to_owned();
        if text.is_empty() {
            return Err(Refusal::arguments("query is empty; say in plain words what to find"));
        }
        if text.len() > MAX_QUERY_BYTES {
            let bytes = text.len();
            return Err(Refusal::arguments(format!(
                "query has {bytes} bytes, over the limit of {MAX_QUERY_BYTES}; a sentence is enough"
            )));
        }
        Ok(Question {
            text,
            limit: check_limit(self.limit)?,
            language: check_text("language", self.language)?.map(|name| name.to_lowercase()),
            kind: check_text("kind", self.kind)?.map(|name| name.to_lowercase()),
            path_prefix: check_text("path_prefix", self.path_prefix)?,
        })
    }
}

impl Question {
    /// What the library is asked, for an index of `root`.
    pub(crate) fn options(&self, root: Option<&Path>) -> Result<SearchOptions, Refusal> {
        let mut filters = Vec::new();
        filters.extend(self.language.as_deref().map(|name| Filter::eq("language", name)));
        filters.extend(self.kind.as_deref().map(|name| Filter::eq("kind", name)));
        if let Some(prefix) = &self.path_prefix {
            let slash = if prefix.ends_with('/') { "/" } else { "" };
            let prefix = relative("path_prefix", prefix, root)?;
            if !prefix.is_empty() {
                filters.push(Filter::path_prefix(prefix + slash));
            }
        }
        Ok(SearchOptions { limit: self.limit, filter: Filter::all(filters), exact: false })
    }

    /// Whether it asks for less than everything.
    pub(crate) fn is_narrowed(&self) -> bool {
        self.language.is_some() || self.kind.is_some() || self.path_prefix.is_some()
    }
}

impl SimilarCode {
    pub(crate) fn check(self) -> Result<(Target, SearchOptions), Refusal> {
        let options =
            SearchOptions { limit: check_limit(self.limit)?, filter: Filter::everything(), exact: false };
        Ok((check_target(self.node_id, self.path, self.line)?, options))
    }
}

impl GetNode {
    /// The node, and whether its source is wanted.
    pub(crate) fn check(self) -> Result<(Target, bool), Refusal> {
        Ok((check_target(self.node_id, self.path, self.line)?, self.with_source.unwrap_or(true)))
    }
}

fn check_limit(limit: Option<u32>) -> Result<usize, Refusal> {
    match limit.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit as usize),
        limit => Err(Refusal::arguments(format!("limit is {limit}, and must be from 1 to {MAX_LIMIT}"))),
    }
}

/// A text that is not too long. An empty one counts as left out.
fn check_text(name: &str, text: Option<String>) -> Result<Option<String>, Refusal> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > MAX_TEXT_BYTES {
        let bytes = text.len();
        return Err(Refusal::arguments(format!(
            "{name} has {bytes} bytes, over the limit of {MAX_TEXT_BYTES}"
        )));
    }
    Ok(Some(text))
}

fn check_target(id: Option<String>, path: Option<String>, line: Option<u32>) -> Result<Target, Refusal> {
    let (id, path) = (check_text("node_id", id)?, check_text("path", path)?);
    match (id, path, line) {
        (Some(id), None, None) => parse_node_id(&id)
            .map(Target::Id)
            .map_err(|_| Refusal::arguments(format!("node_id {id:?} is neither a number nor a UUID"))),
        (None, Some(_), Some(0)) => Err(Refusal::arguments("line is 0; lines count from 1")),
        (None, Some(path), Some(line)) => Ok(Target::Place { path, line }),
        (None, Some(_), None) => Err(Refusal::arguments("path needs a line, too")),
        (None, None, _) => Err(Refusal::arguments("say which definition: node_id, or path and line")),
        (Some(_), _, _) => Err(Refusal::arguments("give node_id alone, or path and line; not both")),
    }
}

/// A path as nodes carry it: relative to the root, `/`-separated, without `.` and `..`. The root itself is empty.
/// An absolute path is taken if it lies in the root.
pub(crate) fn relative(name: &str, path: &str, root: Option<&Path>) -> Result<String, Refusal> {
    let refuse = |why: &str| Refusal::arguments(format!("{name} {path:?} {why}"));
    if path.contains('\0') {
        return Err(refuse("holds a NUL"));
    }
    let given = PathBuf::from(path);
    let within = match root {
        Some(root) if given.is_absolute() => given.strip_prefix(root).map_err(|_| {
            refuse(&format!("is outside of the index's root {}; give a path relative to it", root.display()))
        })?,
        _ => &given,
    };
    let mut parts = Vec::new();
    for component in within.components() {
        match component {
            Component::Normal(part) => parts.extend(part.to_str()),
            Component::CurDir => {}
            _ => {
                return Err(refuse(
                    "is not below the index's root; give a path relative to it, without \"..\"",
                ));
            }
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
