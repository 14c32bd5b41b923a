//! `get_node`: one definition, whole.

use codegraph_vector_indexer::{Source, source};
use rmcp::schemars::transform::RecursiveTransform;
use rmcp::schemars::{self, JsonSchema};
use serde::Serialize;

use super::arguments::Target;
use super::found::find;
use super::reader::Reader;
use super::refusal::Refusal;
use super::reply::{Document, MAX_HALF_BYTES, Node, json_bytes, plain_numbers};

/// Most lines of source.
const MAX_LINES: usize = 400;
/// Most bytes of source, as JSON: the rest is for what is around it.
const MAX_SOURCE_BYTES: usize = MAX_HALF_BYTES - (8 << 10);

/// A definition.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(transform = RecursiveTransform(plain_numbers))]
pub(crate) struct Shown {
    #[serde(flatten)]
    node: Node,
    /// Its source text, comments before it included
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// The line that the source begins with
    #[serde(skip_serializing_if = "Option::is_none")]
    source_start_line: Option<u32>,
    /// What to know of the source: that the file changed or is gone, that lines were left out
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// Shows a definition, with its source or without.
pub(crate) fn get(reader: &Reader, target: &Target, with_source: bool) -> Result<Shown, Refusal> {
    let view = reader.view()?;
    let (id, metadata) = find(&view, target)?;
    let mut shown =
        Shown { node: Node::of(id, &metadata), source: None, source_start_line: None, notes: Vec::new() };
    if !with_source {
        return Ok(shown);
    }
    let Some(root) = &view.root else {
        shown.notes.push("the store does not know where its files are, so there is no source".to_owned());
        return Ok(shown);
    };
    match view.read(|snapshot| source(snapshot, root, &metadata, MAX_LINES)) {
        Ok(Some(source)) => shown.put(&source),
        Ok(None) => shown.notes.push("the file is gone since it was indexed; call reindex".to_owned()),
        Err(Refusal(why)) => shown.notes.push(format!("no source: {why}")),
    }
    Ok(shown)
}

impl Shown {
    /// As much of the source as an answer may have.
    fn put(&mut self, source: &Source) {
        if source.changed {
            let note = "the file changed since it was indexed: these may be other lines; call reindex";
            self.notes.push(note.to_owned());
        }
        let (mut text, mut bytes, mut left_out) = (String::new(), 0, source.lines_left_out);
        for line in source.text.split_inclusive('\n') {
            bytes += json_bytes(line);
            if bytes <= MAX_SOURCE_BYTES {
                text.push_str(line);
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 {
            self.notes.push(format!("{left_out} more lines were left out; read the file for them"));
        }
        (self.source, self.source_start_line) = (Some(text), Some(source.first_line));
    }
}

impl Document for Shown {
    fn text(&self) -> String {
        let mut text = format!("{})\nnode_id {}\n", self.node.line(), self.node.node_id);
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        if let (Some(source), Some(first)) = (&self.source, self.source_start_line) {
            text.push_str(&format!("source from line {first}:\n{source}"));
        }
        text
    }
}
