//! The fields that a filter can name, and the types that their values have.

use std::fmt;

use codegraph_vector_base::{Error, Result};

use super::condition::{Class, Condition, Operand};
use crate::node::NodeMetadata;

const ATTRIBUTE_PREFIX: &str = "attributes.";

/// A field of a node's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Name,
    Kind,
    Language,
    Path,
    ContentHash,
    StartLine,
    EndLine,
    Attribute(String),
}

impl Field {
    pub(crate) fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "name" => Self::Name,
            "kind" => Self::Kind,
            "language" => Self::Language,
            "path" => Self::Path,
            "content_hash" => Self::ContentHash,
            "start_line" => Self::StartLine,
            "end_line" => Self::EndLine,
            _ => match name.strip_prefix(ATTRIBUTE_PREFIX) {
                Some(attribute) if !attribute.is_empty() => Self::Attribute(attribute.to_owned()),
                _ => {
                    let shown: String = name.chars().take(80).collect();
                    return Err(Error::invalid(format!(
                        "unknown field {shown:?}; fields are name, kind, language, path, content_hash, start_line, \
                         end_line, node_id, and free attributes as \"{ATTRIBUTE_PREFIX}NAME\""
                    )));
                }
            },
        })
    }

    /// The field's value in a node's metadata.
    pub(crate) fn of<'a>(&self, metadata: &'a NodeMetadata) -> Option<Operand<'a>> {
        let text = |text: &'a Option<String>| text.as_deref().map(Operand::Text);
        let line = |line: Option<u32>| line.map(|line| Operand::Integer(line.into()));
        match self {
            Self::Name => text(&metadata.name),
            Self::Kind => text(&metadata.kind),
            Self::Language => text(&metadata.language),
            Self::Path => text(&metadata.path),
            Self::ContentHash => text(&metadata.content_hash),
            Self::StartLine => line(metadata.start_line),
            Self::EndLine => line(metadata.end_line),
            Self::Attribute(name) => metadata.attributes.get(name).map(Operand::from),
        }
    }

    /// Refuses conditions that no value of this field can meet, for they are mistakes.
    pub(crate) fn check(&self, condition: &Condition) -> Result<()> {
        let wanted = match self {
            Self::StartLine | Self::EndLine => Class::Number,
            Self::Attribute(_) => return Ok(()),
            _ => Class::Text,
        };
        match condition.classes().find(|class| *class != wanted) {
            None => Ok(()),
            Some(class) => Err(Error::invalid(format!("{self}: expected {wanted}, not {class}"))),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Kind => "kind",
            Self::Language => "language",
            Self::Path => "path",
            Self::ContentHash => "content_hash",
            Self::StartLine => "start_line",
            Self::EndLine => "end_line",
            Self::Attribute(name) => return write!(f, "{ATTRIBUTE_PREFIX}{name}"),
        })
    }
}
