//! `.jsonl` files: one JSON object a line. A node is
//! `{"node_id":…,"vector":[…],"path":…,"name":…,…}`, its metadata's fields beside id and vector.
//!
//! What always holds: a vector that was written here is read back bit for bit, since each number is
//! written in the fewest digits that tell it from its neighbours, and read as a float32 at once.

use std::fmt;
use std::io::{BufRead, Read};

use codegraph_vector::{CodeNode, Error, NodeId, NodeMetadata, Result, node_id_to_json};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::unreadable;

/// Longest line that is read, in bytes: the largest vector and the largest metadata fit.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// The lines of a file, empty ones left out.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    number: u64,
    offset: u64,
}

/// A line of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Without its end.
    pub(crate) text: &'a [u8],
    /// Counted from 1, as editors do.
    pub(crate) number: u64,
    /// Where it begins in the file.
    pub(crate) offset: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, line: Vec::new(), number: 0, offset: 0 }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            let mut limited = self.reader.by_ref().take(MAX_LINE_BYTES + 1);
            let bytes = limited.read_until(b'\n', &mut self.line).map_err(unreadable)? as u64;
            if bytes == 0 {
                return Ok(None);
            }
            let offset = self.offset;
            self.offset += bytes;
            self.number += 1;
            if bytes > MAX_LINE_BYTES {
                return Err(Error::invalid(format!(
                    "line {} is longer than {MAX_LINE_BYTES} bytes",
                    self.number
                )));
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(Line { text: self.line.trim_ascii(), number: self.number, offset }));
            }
        }
    }
}

impl Line<'_> {
    /// What the line says.
    pub(crate) fn parse<T: for<'de> Deserialize<'de>>(&self) -> Result<T> {
        serde_json::from_slice(self.text).map_err(|fault| {
            // Its own line number is always 1.
            let text = fault.to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            Error::invalid(format!("line {}, column {}: {text}", self.number, fault.column()))
        })
    }

    /// The metadata on the line, and the id if there is one.
    pub(crate) fn metadata(&self) -> Result<(Option<NodeId>, NodeMetadata)> {
        let value: Value = self.parse()?;
        self.locate(NodeMetadata::from_json_with_id(&value))
    }

    /// The node on the line.
    pub(crate) fn node(&self) -> Result<ParsedNode> {
        let ObjectWithVector { vector, others } = self.parse()?;
        let (id, metadata) = self.locate(NodeMetadata::from_json_with_id(&Value::Object(others)))?;
        Ok(ParsedNode { id, vector, metadata })
    }

    /// Adds the line to what is wrong with it.
    pub(crate) fn locate<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| error.context(format_args!("line {}", self.number)))
    }
}

/// A node as it was read.
#[derive(Debug, PartialEq)]
pub(crate) struct ParsedNode {
    pub(crate) id: Option<NodeId>,
    pub(crate) vector: Vec<f32>,
    pub(crate) metadata: NodeMetadata,
}

/// An object whose `vector` is read as float32 at once: by way of a float64 it might be rounded twice.
struct ObjectWithVector {
    vector: Vec<f32>,
    others: Map<String, Value>,
}

impl<'de> Deserialize<'de> for ObjectWithVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = ObjectWithVector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with node_id and vector")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut vector, mut others) = (None, Map::new());
                let mut exact: Option<bool> = None;
                while let Some(key) = map.next_key::<String>()? {
                    let is_new = match key.as_str() {
                        "vector" => vector.replace(map.next_value()?).is_none(),
                        // It tells of the store that the vector comes from; here it is as given.
                        "exact" => exact.replace(map.next_value()?).is_none(),
                        _ => others.insert(key, map.next_value()?).is_none(),
                    };
                    if !is_new {
                        return Err(de::Error::custom("a key is there twice"));
                    }
                }
                let vector = vector.ok_or_else(|| de::Error::missing_field("vector"))?;
                Ok(ObjectWithVector { vector, others })
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// A node as a line: id, metadata, whether the vector is what was given unless it is, vector.
#[derive(Debug)]
pub(crate) struct NodeLine<'a> {
    pub(crate) node: &'a CodeNode,
    pub(crate) exact: bool,
}

impl Serialize for NodeLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("node_id", &node_id_to_json(self.node.id))?;
        if let Value::Object(fields) = self.node.metadata().to_json() {
            for (name, value) in &fields {
                map.serialize_entry(name, value)?;
            }
        }
        if !self.exact {
            map.serialize_entry("exact", &false)?;
        }
        map.serialize_entry("vector", &self.node.embedding)?;
        map.end()
    }
}

#[cfg(test)]
#[path = "jsonl_tests.rs"]
mod tests;
