//! Writes section *payload index*, whose layout [`super::index`] describes.

use std::collections::{BTreeMap, HashMap};

use codegraph_vector_base::limits::MAX_SEGMENT_ROWS;
use codegraph_vector_base::{Error, ErrorKind, Result, RowOrdinal};
use roaring::RoaringBitmap;

use super::bytes::{Batch, Sink};
use super::index::{ALL_NAMES, FORMAT, HEAD_BYTES, PARTS, Term, put_key};
use super::strings::StringTableBuilder;
use crate::filter::Field;
use crate::node::{AttributeValue, MAX_ATTRIBUTE_NAME_BYTES, NO_LINE, NodeMetadata};

/// Most distinct values of a free attribute in a segment that are indexed.
pub(crate) const MAX_ATTRIBUTE_VALUES: usize = 4096;

/// Most free attributes, by name, of a segment that are indexed.
pub(crate) const MAX_ATTRIBUTE_NAMES: usize = 1024;

/// A field with a longer text somewhere has its values left out.
pub(crate) const MAX_TEXT_BYTES: usize = 1024;

/// The rows of each value of one field.
#[derive(Debug)]
struct Values {
    present: RoaringBitmap,
    /// By the value's part of the key; none once there were too many.
    rows: Option<HashMap<Vec<u8>, RoaringBitmap>>,
    limit: usize,
}

impl Values {
    fn new(limit: usize) -> Self {
        Self { present: RoaringBitmap::new(), rows: Some(HashMap::new()), limit }
    }

    fn push(&mut self, ordinal: RowOrdinal, term: Term<'_>, scratch: &mut Vec<u8>) {
        self.present.insert(ordinal);
        let Some(rows) = &mut self.rows else { return };
        scratch.clear();
        term.put(scratch);
        if let Some(rows) = rows.get_mut(scratch.as_slice()) {
            rows.insert(ordinal);
        } else if scratch.len() > MAX_TEXT_BYTES || rows.len() >= self.limit {
            self.rows = None;
        } else {
            rows.insert(scratch.clone(), RoaringBitmap::from_iter([ordinal]));
        }
    }

    fn into_terms(self, field: &Field, terms: &mut Vec<(Vec<u8>, RoaringBitmap)>) {
        if self.present.is_empty() {
            return;
        }
        let mut add = |term: Term<'_>, rows| {
            let mut key = Vec::new();
            put_key(&mut key, field);
            term.put(&mut key);
            terms.push((key, rows));
        };
        add(Term::Present, self.present);
        match self.rows {
            None => add(Term::Incomplete, RoaringBitmap::new()),
            Some(rows) => rows.into_iter().for_each(|(value, rows)| add(Term::Raw(&value), rows)),
        }
    }
}

/// Takes the rows of a segment in order and writes their index.
#[derive(Debug)]
pub(crate) struct PayloadIndexBuilder {
    paths: StringTableBuilder,
    /// The first row of each path.
    starts: Vec<u32>,
    path: Option<String>,
    start_lines: Vec<u32>,
    end_lines: Vec<u32>,
    kinds: Values,
    languages: Values,
    attributes: BTreeMap<String, Values>,
    all_names: bool,
    scratch: Vec<u8>,
}

impl PayloadIndexBuilder {
    pub(crate) fn new() -> Self {
        Self {
            paths: StringTableBuilder::default(),
            starts: Vec::new(),
            path: None,
            start_lines: Vec::new(),
            end_lines: Vec::new(),
            kinds: Values::new(usize::MAX),
            languages: Values::new(usize::MAX),
            attributes: BTreeMap::new(),
            all_names: true,
            scratch: Vec::new(),
        }
    }

    /// The next row.
    ///
    /// # Errors
    /// `InvalidInput` if it is not the next ordinal or its path is before that of the last row; `TooLarge`
    /// for more rows than a segment may have.
    pub(crate) fn push(&mut self, ordinal: RowOrdinal, metadata: &NodeMetadata) -> Result<()> {
        if ordinal as usize != self.start_lines.len() {
            return Err(Error::invalid(format!("row {ordinal} after {} rows", self.start_lines.len())));
        }
        if ordinal as usize >= MAX_SEGMENT_ROWS {
            return Err(Error::new(ErrorKind::TooLarge, "too many rows for a segment"));
        }
        if metadata.path != self.path {
            let path = metadata.path.as_deref();
            let path = path.ok_or_else(|| Error::invalid("a row without a path after one with a path"))?;
            self.paths.push(path.as_bytes())?;
            self.starts.push(ordinal);
            self.path = metadata.path.clone();
        }
        self.start_lines.push(metadata.start_line.unwrap_or(NO_LINE));
        self.end_lines.push(metadata.end_line.unwrap_or(NO_LINE));
        for (values, text) in [(&mut self.kinds, &metadata.kind), (&mut self.languages, &metadata.language)] {
            if let Some(text) = text {
                values.push(ordinal, Term::Text(text), &mut self.scratch);
            }
        }
        metadata.attributes.iter().for_each(|(name, value)| self.push_attribute(ordinal, name, value));
        Ok(())
    }

    fn push_attribute(&mut self, ordinal: RowOrdinal, name: &str, value: &AttributeValue) {
        let known = self.attributes.len();
        let values = match self.attributes.get_mut(name) {
            Some(values) => values,
            None => {
                let odd = name.len() > MAX_ATTRIBUTE_NAME_BYTES || name.contains('\0');
                if odd || known >= MAX_ATTRIBUTE_NAMES {
                    self.all_names = false;
                    return;
                }
                self.attributes.entry(name.to_owned()).or_insert(Values::new(MAX_ATTRIBUTE_VALUES))
            }
        };
        values.push(ordinal, Term::from(value), &mut self.scratch);
    }

    /// Writes the section.
    ///
    /// # Errors
    /// `TooLarge` if there are too many values; those of the sink.
    pub(crate) fn finish(mut self, sink: &mut Sink<'_>) -> Result<()> {
        let rows = self.start_lines.len() as u32;
        self.starts.push(rows);
        let mut terms = Vec::new();
        self.kinds.into_terms(&Field::Kind, &mut terms);
        self.languages.into_terms(&Field::Language, &mut terms);
        for (name, values) in self.attributes {
            values.into_terms(&Field::Attribute(name), &mut terms);
        }
        terms.sort_unstable_by(|a, b| a.0.cmp(&b.0));

        let mut keys = StringTableBuilder::default();
        let (mut ends, mut end) = (Vec::with_capacity(terms.len() * 8), 0u64);
        for (key, rows) in &mut terms {
            keys.push(key)?;
            rows.optimize();
            end += rows.serialized_size() as u64;
            ends.extend_from_slice(&end.to_le_bytes());
        }
        let (paths, keys) = (self.paths.finish(), keys.finish());
        let columns = [self.starts, self.start_lines, self.end_lines];

        let mut batch = Batch::new(sink);
        let flags = if self.all_names { ALL_NAMES } else { 0 };
        [FORMAT, rows, flags, 0].iter().try_for_each(|number| batch.put(&number.to_le_bytes()))?;
        let [starts, start_lines, end_lines] = columns.each_ref().map(|column| column.len() * 4);
        let lengths = [paths.len(), starts, start_lines, end_lines, keys.len(), ends.len(), end as usize];
        let _: &[usize; PARTS] = &lengths;
        let mut offset = HEAD_BYTES;
        for length in lengths {
            batch.put(&(offset as u64).to_le_bytes())?;
            batch.put(&(length as u64).to_le_bytes())?;
            offset = (offset + length).next_multiple_of(codegraph_vector_base::limits::SECTION_ALIGNMENT);
        }
        batch.align()?;
        put_part(&mut batch, &paths)?;
        for column in columns {
            column.iter().try_for_each(|number| batch.put(&number.to_le_bytes()))?;
            batch.align()?;
        }
        put_part(&mut batch, &keys)?;
        put_part(&mut batch, &ends)?;
        let mut bytes = Vec::new();
        for (_, rows) in terms {
            bytes.clear();
            rows.serialize_into(&mut bytes).map_err(|cause| Error::io("write a bitmap", "memory", cause))?;
            batch.put(&bytes)?;
        }
        batch.finish()
    }
}

fn put_part(batch: &mut Batch<'_, '_>, part: &[u8]) -> Result<()> {
    batch.put(part)?;
    batch.align()
}
