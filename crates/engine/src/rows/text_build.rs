//! Writes section *text*, whose layout [`super::text`] describes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use codegraph_vector_base::limits::{MAX_SEGMENT_ROWS, SECTION_ALIGNMENT};
use codegraph_vector_base::{Error, ErrorKind, Result, hash64};

use super::bytes::{Batch, Sink};
use super::strings::StringTableBuilder;
use super::text::{FORMAT, HEAD_BYTES, put_number, put_place};
use crate::node::NodeMetadata;
use crate::text;

/// Takes the rows of a segment in order and writes the postings of their terms.
#[derive(Debug, Default)]
pub(crate) struct TextIndexBuilder {
    /// Numbers of the terms, in the order in which they came up.
    terms: HashMap<Box<str>, u32, BuildHasherDefault<TermHasher>>,
    postings: Vec<TermPostings>,
    lengths: Vec<u32>,
    /// The terms of the row at hand, with what they count.
    row: Vec<(u32, u32)>,
}

/// XXH3 of terms, quicker than what guards maps against keys that somebody chose: such keys would make a merge slow, no more.
#[derive(Debug, Default)]
struct TermHasher(u64);

impl Hasher for TermHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash64(bytes, self.0);
    }

    /// What ends a text: a term is hashed alone.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The rows of one term so far, as they are written.
#[derive(Debug, Default)]
struct TermPostings {
    rows: u32,
    /// The row after the last one.
    next: u32,
    bytes: Vec<u8>,
}

impl TextIndexBuilder {
    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// The next row.
    ///
    /// # Errors
    /// `TooLarge` for more rows than a segment may have.
    pub(crate) fn push(&mut self, metadata: &NodeMetadata) -> Result<()> {
        let ordinal = self.lengths.len();
        if ordinal >= MAX_SEGMENT_ROWS {
            return Err(Error::new(ErrorKind::TooLarge, "too many rows for a segment"));
        }
        let Self { terms, postings, row, .. } = self;
        row.clear();
        let length = text::each_count(metadata, &mut |term, count| {
            let number = match terms.get(term) {
                Some(number) => *number,
                None => {
                    let number = postings.len() as u32;
                    terms.insert(term.into(), number);
                    postings.push(TermPostings::default());
                    number
                }
            };
            row.push((number, count));
        });
        row.sort_unstable();
        for of_term in row.chunk_by(|a, b| a.0 == b.0) {
            let count = of_term.iter().fold(0u32, |sum, (_, count)| sum.saturating_add(*count));
            postings[of_term[0].0 as usize].push(ordinal as u32, count);
        }
        self.lengths.push(length);
        Ok(())
    }

    /// Writes the section.
    ///
    /// # Errors
    /// `TooLarge` if there are too many terms; those of the sink.
    pub(crate) fn finish(self, sink: &mut Sink<'_>) -> Result<()> {
        let Self { terms, mut postings, lengths, .. } = self;
        let mut order: Vec<(Box<str>, u32)> = terms.into_iter().collect();
        order.sort_unstable();
        let mut table = StringTableBuilder::default();
        let (mut ends, mut end) = (Vec::with_capacity(order.len() * 8), 0);
        for (term, number) in &order {
            table.push(term.as_bytes())?;
            end += postings[*number as usize].len();
            ends.extend_from_slice(&(end as u64).to_le_bytes());
        }
        let table = table.finish();

        let mut head = [0; HEAD_BYTES];
        let numbers = [FORMAT, lengths.len() as u32, text::VERSION];
        head[..12].copy_from_slice(bytemuck::cast_slice(&numbers));
        let total: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
        head[16..24].copy_from_slice(&total.to_le_bytes());
        let mut offset = HEAD_BYTES;
        for (part, length) in [table.len(), ends.len(), lengths.len() * 4, end].into_iter().enumerate() {
            put_place(&mut head, part, offset, length);
            offset = (offset + length).next_multiple_of(SECTION_ALIGNMENT);
        }
        let mut batch = Batch::new(sink);
        for part in [&head, &table[..], &ends, bytemuck::cast_slice(&lengths)] {
            batch.put(part)?;
            batch.align()?;
        }
        for (_, number) in &order {
            let TermPostings { rows, bytes, .. } = std::mem::take(&mut postings[*number as usize]);
            let mut count = Vec::new();
            put_number(&mut count, rows.into());
            batch.put(&count)?;
            batch.put(&bytes)?;
        }
        batch.finish()
    }
}

impl TermPostings {
    /// Appends a row, in which the term counts so much.
    fn push(&mut self, row: u32, count: u32) {
        let passed_over = u64::from(row - self.next);
        put_number(&mut self.bytes, passed_over << 1 | u64::from(count == 1));
        if count != 1 {
            put_number(&mut self.bytes, u64::from(count) - 2);
        }
        (self.rows, self.next) = (self.rows + 1, row + 1);
    }

    /// Bytes of all of it.
    fn len(&self) -> usize {
        let mut count = Vec::new();
        put_number(&mut count, self.rows.into());
        count.len() + self.bytes.len()
    }
}
