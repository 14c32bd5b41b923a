//! From a parsed file to its rows: ids, hashes, metadata, and which texts still need a vector.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use codegraph_vector::{AttributeValue, CodeNode, NodeId, NodeMetadata, QUALIFIED_NAME, Result};
use gix::ObjectId;
use xxhash_rust::xxh3::xxh3_128;

use super::budget::Held;
use super::plan::Plan;
use super::source::{Mark, Stamp};
use crate::embed::NodeText;
use crate::node::ParsedFile;
use crate::text::{self, Texts};
use crate::words::content_terms;

/// Part of every file's own node: to be raised when parsing or texts change, so that all files are read again.
pub(crate) const INDEX_VERSION: i64 = 2;

/// Attributes of a file's own node: [`INDEX_VERSION`], bytes, hash of the bytes; then the time of the last change of a
/// file in a folder, or the id of the blob of a file in a commit.
pub(crate) const VERSION: &str = "index_version";
pub(crate) const FILE_BYTES: &str = "file_bytes";
pub(crate) const FILE_HASH: &str = "file_hash";
pub(crate) const MODIFIED_US: &str = "modified_us";
pub(crate) const GIT_BLOB: &str = "git_blob";

/// Stands for a file's own node in its id, where it cannot be taken for a module within the file.
const FILE: &str = "file";

/// Most nodes of a file, and most bytes that they take in a commit, about.
const MAX_NODES: usize = 50_000;
const MAX_COMMIT_BYTES: usize = 128 << 20;
/// What a node takes beside its vector, about.
pub(crate) const NODE_BYTES: usize = 1 << 10;

/// All rows of a file. The vectors of those that are still to be embedded are empty.
pub(crate) struct FileRows {
    pub(crate) path: String,
    pub(crate) nodes: Vec<CodeNode>,
    /// Rows whose vector is that of another row, by their places.
    pub(crate) copies: Vec<(usize, usize)>,
    /// Rows that took a vector out of the store.
    pub(crate) reused: u64,
    /// Whether there are places that the grammar did not understand.
    pub(crate) syntax_errors: bool,
    /// Why not all of the file is there.
    pub(crate) problem: Option<String>,
    /// The memory that all this takes.
    pub(crate) held: Held,
}

impl FileRows {
    /// Gives the rows that share a vector theirs, now that it is there.
    pub(crate) fn copy_vectors(&mut self) {
        for (to, from) in std::mem::take(&mut self.copies) {
            self.nodes[to].embedding = self.nodes[from].embedding.clone();
        }
    }
}

/// A file that was read.
pub(crate) struct ReadFile<'a> {
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
    pub(crate) hash: u128,
    pub(crate) stamp: Stamp,
}

/// The rows of a file, and the texts whose vectors they lack, each with the place of its row.
pub(crate) fn rows_of<'a>(
    file: &ReadFile<'a>,
    parsed: &'a ParsedFile,
    plan: &Plan,
    dimension: usize,
    held: Held,
) -> Result<(FileRows, Vec<(usize, NodeText<'a>)>)> {
    let texts = Texts::new(file.text, parsed);
    let most = MAX_NODES.min(MAX_COMMIT_BYTES / (dimension * size_of::<f32>() + NODE_BYTES)).max(1);
    let kept = parsed.nodes.len().min(most - 1);
    let mut problem = parsed.given_up.map(str::to_owned);
    if kept < parsed.nodes.len() {
        problem =
            Some(format!("has {} definitions, of which the first {kept} are stored", parsed.nodes.len()));
    }
    let mut wants = Vec::new();
    let mut wanted_at = HashMap::new();
    let mut rows = FileRows {
        path: file.path.to_owned(),
        nodes: Vec::with_capacity(kept + 1),
        copies: Vec::new(),
        reused: 0,
        syntax_errors: parsed.syntax_errors > 0,
        problem,
        held,
    };
    let mut scratch = Vec::new();
    for at in 0..=kept {
        // The file's own node is the first row.
        let (id, text, mut metadata) = match at.checked_sub(1) {
            None => (file_id(file.path), texts.file(stem(file.path)), own_metadata(file)),
            Some(node) => {
                let (id, metadata) = node_metadata(file.path, parsed, node);
                (id, texts.node(node), metadata)
            }
        };
        let hash = text::content_hash(&text, &mut scratch);
        metadata.path = Some(file.path.to_owned());
        metadata.name = Some(text.name.to_owned());
        metadata.kind = Some(text.kind.name().to_owned());
        metadata.language = Some(text.language.name().to_owned());
        metadata.content_hash = Some(hash_text(hash));
        metadata.terms = content_terms(&text);
        metadata.attributes.insert(QUALIFIED_NAME.to_owned(), text.qualified_name.into());
        let mut vector = Vec::new();
        if let Some(known) = plan.vector(id, hash)? {
            (vector, rows.reused) = (known, rows.reused + 1);
        } else if let Some(from) = wanted_at.get(&hash) {
            rows.copies.push((at, *from));
        } else {
            wanted_at.insert(hash, at);
            wants.push((at, text));
        }
        rows.nodes.push(CodeNode::from_parts(id, vector, metadata));
    }
    rows.held.grow(rows.nodes.len() * (dimension * size_of::<f32>() + NODE_BYTES));
    Ok((rows, wants))
}

fn own_metadata(file: &ReadFile<'_>) -> NodeMetadata {
    let mut metadata =
        NodeMetadata { start_line: Some(1), end_line: Some(lines(file.text)), ..NodeMetadata::default() };
    let bytes = i64::try_from(file.stamp.size).unwrap_or(i64::MAX);
    metadata.attributes.extend([
        (VERSION.to_owned(), INDEX_VERSION.into()),
        (FILE_BYTES.to_owned(), bytes.into()),
        (FILE_HASH.to_owned(), hash_text(file.hash).into()),
    ]);
    set_mark(&mut metadata.attributes, file.stamp.mark);
    metadata
}

/// Notes what a file is known by among the attributes of its own node.
pub(crate) fn set_mark(attributes: &mut BTreeMap<String, AttributeValue>, mark: Mark) {
    attributes.remove(MODIFIED_US);
    attributes.remove(GIT_BLOB);
    match mark {
        Mark::Modified(us) => attributes.insert(MODIFIED_US.to_owned(), us.into()),
        Mark::Blob(id) => attributes.insert(GIT_BLOB.to_owned(), id.to_string().into()),
    };
}

/// What is noted there.
pub(crate) fn mark_of(attributes: &BTreeMap<String, AttributeValue>) -> Option<Mark> {
    match (attributes.get(MODIFIED_US), attributes.get(GIT_BLOB)) {
        (Some(AttributeValue::Integer(us)), None) => Some(Mark::Modified(*us)),
        (None, Some(AttributeValue::Text(id))) => ObjectId::from_hex(id.as_bytes()).ok().map(Mark::Blob),
        _ => None,
    }
}

fn node_metadata(path: &str, parsed: &ParsedFile, at: usize) -> (NodeId, NodeMetadata) {
    let node = &parsed.nodes[at];
    let lines = NodeMetadata {
        start_line: Some(node.start_line),
        end_line: Some(node.end_line.max(node.start_line)),
        ..NodeMetadata::default()
    };
    (node_id(path, node.kind.name(), &node.qualified_name, node.ordinal), lines)
}

/// The last line of a text, from 1.
fn lines(text: &str) -> u32 {
    let breaks = text.bytes().filter(|byte| *byte == b'\n').count();
    let last = usize::from(!text.ends_with('\n'));
    u32::try_from(breaks + last).unwrap_or(u32::MAX - 1).max(1)
}

/// A file's name without its folder and its extension.
fn stem(path: &str) -> &str {
    Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or(path)
}

/// The id of a file's own node.
pub(crate) fn file_id(path: &str) -> NodeId {
    node_id(path, FILE, "", 0)
}

/// The id of a node: where it is, what it is, and which of its name.
fn node_id(path: &str, kind: &str, qualified_name: &str, ordinal: u32) -> NodeId {
    let mut bytes = Vec::with_capacity(path.len() + kind.len() + qualified_name.len() + 28);
    for field in [path, kind, qualified_name] {
        bytes.extend((field.len() as u64).to_le_bytes());
        bytes.extend(field.as_bytes());
    }
    bytes.extend(ordinal.to_le_bytes());
    xxh3_128(&bytes)
}

/// A hash as rows carry it.
pub(crate) fn hash_text(hash: u128) -> String {
    format!("{hash:032x}")
}

/// The hash that a row carries. `None`: not one of ours.
pub(crate) fn parse_hash(text: &str) -> Option<u128> {
    if text.len() == 32 { u128::from_str_radix(text, 16).ok() } else { None }
}
