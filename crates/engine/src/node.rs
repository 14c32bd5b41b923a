//! What a node of the code graph says about itself: [`CodeNode`], its [`NodeMetadata`], and the
//! forms both take as bytes and as JSON.
//!
//! What always holds:
//! - metadata is checked before it is encoded ([`NodeMetadata::check`]), so that what is stored has
//!   relative, `/`-separated paths, finite numbers, and fits [`MAX_METADATA_BYTES`];
//! - the path is the first field of the encoding, so that it can be read alone;
//! - terms, which came later, follow all else if they are there: without them the encoding is what it was before;
//! - an absent field costs nothing in JSON and one byte in the encoding.
//!
//! It knows nothing of rows, versions or vectors' dimensions.

use std::collections::BTreeMap;

use codegraph_vector_base::limits::{MAX_METADATA_BYTES, MAX_PATH_BYTES};
use codegraph_vector_base::{Error, ErrorKind, NodeId, Result, wire};
use wincode::{SchemaRead, SchemaWrite};

mod json;

pub(crate) use json::kind_of as json_kind;
pub use json::{node_id_from_json, node_id_text, node_id_to_json, parse_node_id};

/// Most bytes of an attribute's name.
pub(crate) const MAX_ATTRIBUTE_NAME_BYTES: usize = 128;

/// What stands for "no line" in packed columns, and so cannot be a line.
pub(crate) const NO_LINE: u32 = u32::MAX;

/// The value of a free attribute.
#[derive(Clone, Debug, PartialEq, SchemaRead, SchemaWrite)]
pub enum AttributeValue {
    /// Any text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any finite number.
    Number(f64),
    /// True or false.
    Flag(bool),
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for AttributeValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for AttributeValue {
    fn from(number: i32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u32> for AttributeValue {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<f64> for AttributeValue {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for AttributeValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// Everything known of a node but its id and its vector. Every field may be absent.
///
/// The order of the fields is the order of the encoding; the path stays first.
#[derive(Clone, Debug, Default, PartialEq, SchemaRead, SchemaWrite)]
pub struct NodeMetadata {
    /// The file, relative to the root of what was indexed, `/`-separated.
    pub path: Option<String>,
    /// The name of the function, type, module …
    pub name: Option<String>,
    /// What it is: `function`, `struct`, `module` …
    pub kind: Option<String>,
    /// The programming language, in lower case.
    pub language: Option<String>,
    /// The first line in the file, from 1.
    pub start_line: Option<u32>,
    /// The last line in the file, not before the first.
    pub end_line: Option<u32>,
    /// A hash of the text that was embedded, to tell whether it changed.
    pub content_hash: Option<String>,
    /// Anything else, by name.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Words to be found by in a text search, beside those of path and name, with blanks between them; one that is
    /// there more often counts more. They stand for the node's content, which is not kept.
    #[wincode(skip)]
    pub terms: Option<String>,
}

impl NodeMetadata {
    /// Checks what every stored row keeps to.
    ///
    /// # Errors
    /// `InvalidInput` with a sentence that names the field and its value.
    pub fn check(&self) -> Result<()> {
        if let Some(path) = &self.path {
            check_path(path)?;
        }
        for (line, name) in [(self.start_line, "start_line"), (self.end_line, "end_line")] {
            if line == Some(NO_LINE) {
                return Err(Error::invalid(format!("{name} {NO_LINE} is not a line number")));
            }
        }
        if let (Some(start), Some(end)) = (self.start_line, self.end_line)
            && start > end
        {
            return Err(Error::invalid(format!("start_line {start} is after end_line {end}")));
        }
        self.attributes.iter().try_for_each(|(name, value)| check_attribute(name, value))
    }

    /// Checks and encodes.
    ///
    /// # Errors
    /// `InvalidInput` as [`check`](Self::check); `TooLarge` over [`MAX_METADATA_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>> {
        self.check()?;
        let mut bytes = wire::encode(self)?;
        if let Some(terms) = &self.terms {
            bytes.extend(wire::encode(terms)?);
        }
        if bytes.len() > MAX_METADATA_BYTES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("metadata of {} bytes is over the limit of {MAX_METADATA_BYTES}", bytes.len()),
            ));
        }
        Ok(bytes)
    }

    /// The metadata that `bytes` hold, all of them.
    ///
    /// # Errors
    /// `Corrupt` if they are not exactly one metadata.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let decode = || {
            let (mut metadata, rest) = wire::decode_front::<Self>(bytes)?;
            metadata.terms = if rest.is_empty() { None } else { Some(wire::decode(rest)?) };
            Ok(metadata)
        };
        decode().map_err(|error: Error| error.context("metadata"))
    }
}

/// Checks that a path is one that a node may have.
pub(crate) fn check_path(path: &str) -> Result<()> {
    let refuse = |why: &str| {
        let shown: String = path.chars().take(200).collect();
        Err(Error::invalid(format!("path {shown:?} {why}")))
    };
    if path.is_empty() {
        return refuse("is empty; leave it out instead");
    }
    if path.len() > MAX_PATH_BYTES {
        return refuse(&format!("has {} bytes, over the limit of {MAX_PATH_BYTES}", path.len()));
    }
    if path.contains('\0') {
        return refuse("holds a NUL");
    }
    if path.contains('\\') {
        return refuse("holds a backslash; components are separated by '/'");
    }
    let drive = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if path.starts_with('/') || drive && matches!(path.as_bytes().get(2), None | Some(b'/')) {
        return refuse("is absolute; paths are relative to the root of what is indexed");
    }
    match path.split('/').find(|component| matches!(*component, "" | "." | "..")) {
        Some("") => refuse("has an empty component"),
        Some(component) => refuse(&format!("has the component {component:?}")),
        None => Ok(()),
    }
}

fn check_attribute(name: &str, value: &AttributeValue) -> Result<()> {
    if name.is_empty() || name.contains('\0') {
        return Err(Error::invalid(format!("attribute name {name:?} is empty or holds a NUL")));
    }
    if name.len() > MAX_ATTRIBUTE_NAME_BYTES {
        let shown: String = name.chars().take(40).collect();
        return Err(Error::invalid(format!(
            "attribute name {shown:?}… has {} bytes, over the limit of {MAX_ATTRIBUTE_NAME_BYTES}",
            name.len()
        )));
    }
    match value {
        AttributeValue::Number(number) if !number.is_finite() => {
            Err(Error::invalid(format!("attribute {name:?} is {number}, which is not a finite number")))
        }
        _ => Ok(()),
    }
}

/// A node to store: an id, its embedding, and whatever is known of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CodeNode {
    /// The caller's name for the node.
    pub id: NodeId,
    /// As many numbers as the store has dimensions.
    pub embedding: Vec<f32>,
    /// See [`NodeMetadata::path`].
    pub path: Option<String>,
    /// See [`NodeMetadata::name`].
    pub name: Option<String>,
    /// See [`NodeMetadata::kind`].
    pub kind: Option<String>,
    /// See [`NodeMetadata::language`].
    pub language: Option<String>,
    /// See [`NodeMetadata::start_line`].
    pub start_line: Option<u32>,
    /// See [`NodeMetadata::end_line`].
    pub end_line: Option<u32>,
    /// See [`NodeMetadata::content_hash`].
    pub content_hash: Option<String>,
    /// See [`NodeMetadata::attributes`].
    pub attributes: BTreeMap<String, AttributeValue>,
    /// See [`NodeMetadata::terms`].
    pub terms: Option<String>,
}

impl CodeNode {
    /// A node of which nothing but the embedding is known.
    pub fn new(id: NodeId, embedding: Vec<f32>) -> Self {
        Self { id, embedding, ..Self::default() }
    }

    /// A node of these parts.
    pub fn from_parts(id: NodeId, embedding: Vec<f32>, metadata: NodeMetadata) -> Self {
        let NodeMetadata {
            path,
            name,
            kind,
            language,
            start_line,
            end_line,
            content_hash,
            attributes,
            terms,
        } = metadata;
        Self {
            id,
            embedding,
            path,
            name,
            kind,
            language,
            start_line,
            end_line,
            content_hash,
            attributes,
            terms,
        }
    }

    /// The id, the embedding and the metadata.
    pub fn into_parts(self) -> (NodeId, Vec<f32>, NodeMetadata) {
        let Self {
            id,
            embedding,
            path,
            name,
            kind,
            language,
            start_line,
            end_line,
            content_hash,
            attributes,
            terms,
        } = self;
        let metadata = NodeMetadata {
            path,
            name,
            kind,
            language,
            start_line,
            end_line,
            content_hash,
            attributes,
            terms,
        };
        (id, embedding, metadata)
    }

    /// A copy of the metadata.
    pub fn metadata(&self) -> NodeMetadata {
        NodeMetadata {
            path: self.path.clone(),
            name: self.name.clone(),
            kind: self.kind.clone(),
            language: self.language.clone(),
            start_line: self.start_line,
            end_line: self.end_line,
            content_hash: self.content_hash.clone(),
            attributes: self.attributes.clone(),
            terms: self.terms.clone(),
        }
    }

    /// The same node, in this file.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The same node, of this name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same node, of this kind.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// The same node, in this language.
    #[must_use]
    pub fn with_language(mut self, language: impl Into<String>) -> Self {
        self.language = Some(language.into());
        self
    }

    /// The same node, on the lines `start..=end`, counted from 1.
    #[must_use]
    pub fn with_lines(mut self, start: u32, end: u32) -> Self {
        self.start_line = Some(start);
        self.end_line = Some(end);
        self
    }

    /// The same node, of this content.
    #[must_use]
    pub fn with_content_hash(mut self, hash: impl Into<String>) -> Self {
        self.content_hash = Some(hash.into());
        self
    }

    /// The same node, to be found by these words; see [`NodeMetadata::terms`].
    #[must_use]
    pub fn with_terms(mut self, terms: impl Into<String>) -> Self {
        self.terms = Some(terms.into());
        self
    }

    /// The same node, with a free attribute.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
