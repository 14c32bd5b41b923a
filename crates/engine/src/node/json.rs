//! Node ids and metadata as JSON.
//!
//! Ids below 2^53 are numbers, which every JSON library reads exactly; others are lower-case UUIDs.
//! Metadata is an object of its fields; what is absent is left out, and `null` means absent.

use codegraph_vector_base::{Error, NodeId, Result};
use serde_json::{Map, Value};

use super::{AttributeValue, NodeMetadata};

/// Below this a JSON number is exact everywhere.
const EXACT_NUMBERS: u128 = 1 << 53;

const ID_FORMS: &str = "a number below 2^53, decimal digits in a string, or a UUID";

/// The id as text: decimal below 2^53, else a lower-case UUID. [`parse_node_id`] reads both.
pub fn node_id_text(id: NodeId) -> String {
    if id < EXACT_NUMBERS {
        return id.to_string();
    }
    let part = |from: u32, bits: u32| (id >> from) & ((1 << bits) - 1);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 32),
        part(80, 16),
        part(64, 16),
        part(48, 16),
        part(0, 48)
    )
}

/// The id as JSON: a number below 2^53, else a lower-case UUID.
pub fn node_id_to_json(id: NodeId) -> Value {
    match u64::try_from(id) {
        Ok(number) if id < EXACT_NUMBERS => Value::from(number),
        _ => Value::from(node_id_text(id)),
    }
}

/// The id that a text of decimal digits, or a UUID in either case, stands for.
///
/// # Errors
/// `InvalidInput` if it is neither.
pub fn parse_node_id(text: &str) -> Result<NodeId> {
    let refuse = || {
        let shown: String = text.chars().take(50).collect();
        Error::invalid(format!("{shown:?} is no node id; give {ID_FORMS}"))
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| refuse());
    }
    if text.len() != 36 {
        return Err(refuse());
    }
    let mut id = 0;
    for (place, byte) in text.bytes().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return Err(refuse());
            }
            continue;
        }
        let digit = char::from(byte).to_digit(16).ok_or_else(refuse)?;
        id = id << 4 | NodeId::from(digit);
    }
    Ok(id)
}

/// The id that a JSON value stands for. A number of 2^53 or more is refused: some library on its
/// way here may have rounded it.
///
/// # Errors
/// `InvalidInput` if it is none.
pub fn node_id_from_json(value: &Value) -> Result<NodeId> {
    match value {
        Value::String(text) => parse_node_id(text),
        Value::Number(number) => match number.as_u64().map(NodeId::from) {
            Some(id) if id < EXACT_NUMBERS => Ok(id),
            _ => Err(Error::invalid(format!("{number} is no node id; give {ID_FORMS}"))),
        },
        other => Err(Error::invalid(format!("a node id cannot be {}; give {ID_FORMS}", kind_of(other)))),
    }
}

/// What a JSON value is, for messages.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl AttributeValue {
    /// The value as JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Integer(number) => Value::from(*number),
            Self::Number(number) => Value::from(*number),
            Self::Flag(flag) => Value::from(*flag),
        }
    }

    /// The value of a JSON text, number or flag: whole numbers become integers.
    ///
    /// # Errors
    /// `InvalidInput` for anything else, and for integers beyond 64 bits with a sign.
    pub fn from_json(value: &Value) -> Result<Self> {
        match value {
            Value::String(text) => Ok(Self::Text(text.clone())),
            Value::Bool(flag) => Ok(Self::Flag(*flag)),
            Value::Number(number) => {
                if let Some(integer) = number.as_i64() {
                    return Ok(Self::Integer(integer));
                }
                if number.is_u64() {
                    return Err(Error::invalid(format!("{number} is over {}", i64::MAX)));
                }
                number
                    .as_f64()
                    .filter(|number| number.is_finite())
                    .map(Self::Number)
                    .ok_or_else(|| Error::invalid(format!("{number} is out of range")))
            }
            other => {
                Err(Error::invalid(format!("expected text, a number or true/false, not {}", kind_of(other))))
            }
        }
    }
}

impl NodeMetadata {
    /// The fields that are there, as an object.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let texts = [
            ("name", &self.name),
            ("kind", &self.kind),
            ("language", &self.language),
            ("path", &self.path),
            ("content_hash", &self.content_hash),
            ("terms", &self.terms),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                object.insert(key.to_owned(), Value::from(text.as_str()));
            }
        }
        for (key, line) in [("start_line", self.start_line), ("end_line", self.end_line)] {
            if let Some(line) = line {
                object.insert(key.to_owned(), Value::from(line));
            }
        }
        if !self.attributes.is_empty() {
            let attributes = self.attributes.iter().map(|(name, value)| (name.clone(), value.to_json()));
            object.insert("attributes".to_owned(), Value::Object(attributes.collect()));
        }
        Value::Object(object)
    }

    /// The metadata of an object, checked.
    ///
    /// # Errors
    /// `InvalidInput` naming the key that is unknown or whose value is wrong.
    pub fn from_json(value: &Value) -> Result<Self> {
        let (id, metadata) = Self::from_json_with_id(value)?;
        match id {
            None => Ok(metadata),
            Some(_) => Err(Error::invalid("unknown key \"node_id\" in metadata")),
        }
    }

    /// The same, of an object that may also have a `node_id`, such as a line of `nodes.jsonl`.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_json_with_id(value: &Value) -> Result<(Option<NodeId>, Self)> {
        let Value::Object(object) = value else {
            return Err(Error::invalid(format!("metadata is an object, not {}", kind_of(value))));
        };
        let mut id = None;
        let mut metadata = Self::default();
        for (key, value) in object {
            if value.is_null() {
                continue;
            }
            match key.as_str() {
                "node_id" => id = Some(node_id_from_json(value)?),
                "name" => metadata.name = Some(text(key, value)?),
                "kind" => metadata.kind = Some(text(key, value)?),
                "language" => metadata.language = Some(text(key, value)?),
                "path" => metadata.path = Some(text(key, value)?),
                "content_hash" => metadata.content_hash = Some(text(key, value)?),
                "terms" => metadata.terms = Some(text(key, value)?),
                "start_line" => metadata.start_line = Some(line(key, value)?),
                "end_line" => metadata.end_line = Some(line(key, value)?),
                "attributes" => metadata.attributes = attributes(value)?,
                _ => {
                    let shown: String = key.chars().take(80).collect();
                    return Err(Error::invalid(format!(
                        "unknown key {shown:?} in metadata; free attributes belong under \"attributes\""
                    )));
                }
            }
        }
        metadata.check()?;
        Ok((id, metadata))
    }
}

fn text(key: &str, value: &Value) -> Result<String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::invalid(format!("{key:?} is text, not {}", kind_of(value))))
}

fn line(key: &str, value: &Value) -> Result<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).ok_or_else(|| match value {
        Value::Number(number) => Error::invalid(format!("{key:?} is a line number, not {number}")),
        _ => Error::invalid(format!("{key:?} is a line number, not {}", kind_of(value))),
    })
}

fn attributes(value: &Value) -> Result<std::collections::BTreeMap<String, AttributeValue>> {
    let Value::Object(object) = value else {
        return Err(Error::invalid(format!("\"attributes\" is an object, not {}", kind_of(value))));
    };
    let present = object.iter().filter(|(_, value)| !value.is_null());
    present
        .map(|(name, value)| {
            let value = AttributeValue::from_json(value)
                .map_err(|error| error.context(format!("attribute {name:?}")))?;
            Ok((name.clone(), value))
        })
        .collect()
}
