//! What a tool answers: the same twice, as text that reads well and as JSON with a schema, both kept short since an
//! assistant pays for each word.

use codegraph_vector::{NodeId, NodeMetadata, node_id_text};
use codegraph_vector_indexer::{printable, qualified_name};
use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use rmcp::schemars::{JsonSchema, Schema};
use serde::Serialize;

/// Most bytes of either half of an answer, as JSON: both halves and what is around them stay under 100 KiB.
pub(crate) const MAX_HALF_BYTES: usize = 48 << 10;
/// Most characters of a name that are shown.
const MAX_NAME_CHARS: usize = 200;

/// What can be answered.
pub(crate) trait Document: Serialize {
    /// The same for a reader.
    fn text(&self) -> String;
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply<T>(pub(crate) T);

impl<T: Document> IntoCallToolResult for Reply<T> {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let document = serde_json::to_value(&self.0).map_err(|error| {
            ErrorData::internal_error(format!("the answer cannot be JSON: {error}"), None)
        })?;
        let mut result = CallToolResult::success(vec![ContentBlock::text(self.0.text())]);
        result.structured_content = Some(document);
        Ok(result.into())
    }
}

/// Takes formats that are not JSON Schema's own (`uint32`) out of a schema: some clients refuse tools for them.
pub(crate) fn plain_numbers(schema: &mut Schema) {
    schema.remove("format");
}

/// Bytes of a text as JSON, without the quotes.
pub(crate) fn json_bytes(text: &str) -> usize {
    let escaped = |char| match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        char if char < ' ' => 6,
        char => char.len_utf8(),
    };
    text.chars().map(escaped).sum()
}

/// A definition, and where it is.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Node {
    /// Its id, for get_node and similar_code
    pub(crate) node_id: String,
    /// Its file, relative to the index's root
    pub(crate) path: String,
    /// Its first line, from 1
    pub(crate) start_line: u32,
    /// Its last line
    pub(crate) end_line: u32,
    /// What it is: function, method, class …
    pub(crate) kind: String,
    /// Its name within the file
    pub(crate) name: String,
    /// Its language
    pub(crate) language: String,
}

impl Node {
    pub(crate) fn of(id: NodeId, metadata: &NodeMetadata) -> Self {
        let text =
            |text: Option<&str>| printable(text.unwrap_or_default()).chars().take(MAX_NAME_CHARS).collect();
        Self {
            node_id: node_id_text(id),
            path: metadata.path.clone().unwrap_or_default(),
            start_line: metadata.start_line.unwrap_or(0),
            end_line: metadata.end_line.unwrap_or(0),
            kind: text(metadata.kind.as_deref()),
            name: text(qualified_name(metadata).or(metadata.name.as_deref())),
            language: text(metadata.language.as_deref()),
        }
    }

    /// `src/a.rs:3-9 method Store::open (rust`, for the rest to be put behind.
    pub(crate) fn line(&self) -> String {
        let Self { path, start_line, end_line, kind, name, language, .. } = self;
        format!("{}:{start_line}-{end_line} {kind} {name} ({language}", printable(path))
    }
}
