//! What is said of a node to an embedder: [`NodeText`] from a parsed file, its hash, and its plain rendering.
//!
//! What always holds: a text is a function of the node's own part of the file; it is bounded, whatever the file
//! holds; ranges that do not fit the source give empty text, not a panic.

mod docs;

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_128;

use crate::embed::NodeText;
use crate::node::{NodeKind, ParsedFile, ParsedNode};

/// Part of every content hash: to be raised when what is hashed, or how texts come about, changes.
const TEXT_VERSION: u64 = 1;

/// Most bytes of a node's name.
const MAX_NAME_BYTES: usize = 256;
/// Most bytes of a node's name within its file.
const MAX_QUALIFIED_NAME_BYTES: usize = 2 << 10;
/// Most bytes of a node's documentation.
const MAX_DOCS_BYTES: usize = 16 << 10;
/// Most bytes of a signature.
const MAX_SIGNATURE_BYTES: usize = 8 << 10;
/// Most bytes of a body.
const MAX_BODY_BYTES: usize = 32 << 10;
/// Most bytes of the signatures that stand for a file's body, and of one of them.
const MAX_OUTLINE_BYTES: usize = 8 << 10;
const MAX_OUTLINE_LINE_BYTES: usize = 512;

/// The texts of a file's nodes.
pub struct Texts<'a> {
    source: &'a str,
    parsed: &'a ParsedFile,
    /// For each node, what is left out of its body on behalf of the nodes in it.
    nested: Vec<Vec<Range<usize>>>,
}

impl<'a> Texts<'a> {
    /// The texts of `parsed`, which is of `source`.
    pub fn new(source: &'a str, parsed: &'a ParsedFile) -> Self {
        let mut nested = vec![Vec::new(); parsed.nodes.len()];
        for node in &parsed.nodes {
            if let Some(around) = node.parent.and_then(|parent| nested.get_mut(parent)) {
                around.extend(node.docs.iter().cloned());
                around.push(node.body.clone());
            }
        }
        Self { source, parsed, nested }
    }

    /// The text of the node at this place among the file's nodes.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn node(&self, at: usize) -> NodeText<'a> {
        let node = &self.parsed.nodes[at];
        NodeText {
            language: self.parsed.language,
            kind: node.kind,
            name: short_name(&node.name),
            qualified_name: short_qualified_name(&node.qualified_name),
            docs: self.docs(&node.docs),
            signature: bounded(self.signature(node), MAX_SIGNATURE_BYTES),
            body: self.body(node, &self.nested[at]),
        }
    }

    /// The text of the file itself, which goes by `name`: its own documentation, and what it defines.
    pub(crate) fn file(&self, name: &'a str) -> NodeText<'a> {
        let mut outline = String::new();
        for node in self.parsed.nodes.iter().filter(|node| node.parent.is_none()) {
            if outline.len() >= MAX_OUTLINE_BYTES {
                break;
            }
            for word in bounded(self.signature(node), MAX_OUTLINE_LINE_BYTES).split_whitespace() {
                outline.push_str(word);
                outline.push(' ');
            }
            outline.pop();
            outline.push('\n');
        }
        let name = short_name(name);
        NodeText {
            language: self.parsed.language,
            kind: NodeKind::Module,
            name,
            qualified_name: name,
            docs: self.docs(&self.parsed.docs),
            signature: "",
            body: outline,
        }
    }

    fn signature(&self, node: &ParsedNode) -> &'a str {
        let end = if node.body.is_empty() { node.span.end } else { node.body.start };
        slice(self.source, &(node.span.start..end)).trim_end()
    }

    fn docs(&self, ranges: &[Range<usize>]) -> String {
        let mut text = String::new();
        for range in ranges {
            let comment = bounded(slice(self.source, range), MAX_DOCS_BYTES);
            docs::clean(comment, self.parsed.language, &mut text);
            if text.len() >= MAX_DOCS_BYTES {
                text.truncate(bounded(&text, MAX_DOCS_BYTES).len());
                break;
            }
        }
        text
    }

    fn body(&self, node: &ParsedNode, nested: &[Range<usize>]) -> String {
        let mut cuts: Vec<&Range<usize>> = nested.iter().chain(&node.docs).collect();
        cuts.sort_unstable_by_key(|cut| cut.start);
        let mut text = String::new();
        let mut from = node.body.start;
        let mut take = |range: Range<usize>| {
            let room = MAX_BODY_BYTES - text.len();
            text.push_str(bounded(slice(self.source, &range), room));
            text.len() < MAX_BODY_BYTES
        };
        for cut in cuts {
            if cut.end <= from || cut.start >= node.body.end {
                continue;
            }
            if cut.start > from && !take(from..cut.start) {
                return text;
            }
            from = cut.end;
        }
        if from < node.body.end {
            take(from..node.body.end);
        }
        text
    }
}

/// The part of a name that is stored and embedded.
pub(crate) fn short_name(name: &str) -> &str {
    bounded(name, MAX_NAME_BYTES)
}

/// The part of a name within its file that is stored and embedded.
pub(crate) fn short_qualified_name(name: &str) -> &str {
    bounded(name, MAX_QUALIFIED_NAME_BYTES)
}

/// The text at a range, as far as there is any.
fn slice<'a>(source: &'a str, range: &Range<usize>) -> &'a str {
    source.get(range.clone()).unwrap_or_default()
}

/// As much of the beginning as fits.
fn bounded(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A hash of all that an embedder is told. `scratch` is for its own use.
pub(crate) fn content_hash(text: &NodeText<'_>, scratch: &mut Vec<u8>) -> u128 {
    let NodeText { language, kind, name, qualified_name, docs, signature, body } = text;
    scratch.clear();
    scratch.extend(TEXT_VERSION.to_le_bytes());
    for field in [language.name(), kind.name(), name, qualified_name, docs, signature, body] {
        scratch.extend((field.len() as u64).to_le_bytes());
        scratch.extend(field.as_bytes());
    }
    xxh3_128(scratch)
}

impl NodeText<'_> {
    /// All of it in plain words, as models of language read it: a line `python method Outer.method`, the
    /// documentation, the definition. At most `max_chars` characters.
    pub fn render(&self, max_chars: usize) -> String {
        let mut text = format!("{} {} {}\n", self.language.name(), self.kind.name(), self.qualified_name);
        if !self.docs.is_empty() {
            text.push_str(&self.docs);
            text.push('\n');
        }
        text.push_str(self.signature);
        if !self.signature.is_empty() && !self.body.starts_with(char::is_whitespace) {
            text.push(' ');
        }
        text.push_str(&self.body);
        if let Some((end, _)) = text.char_indices().nth(max_chars) {
            text.truncate(end);
        }
        text
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
