//! The metadata of rows, from a `.jsonl` file beside them.
//!
//! Lines without `node_id` go with the rows in order, one each. Lines with `node_id` go with the rows of
//! that id: read side by side as long as they are in the same order, by an index of the file's lines
//! (40 bytes each) from the first that is not.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use codegraph_vector::{Error, NodeId, NodeMetadata, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::files::{self, Input};
use crate::formats::jsonl::Lines;
use crate::formats::unreadable;

/// A file of metadata.
#[derive(Debug)]
pub(crate) struct MetadataFile {
    path: PathBuf,
    is_regular: bool,
    lines: Lines<BufReader<File>>,
    /// The line that comes next, if it was looked at already.
    ahead: Option<Entry>,
    by_id: bool,
    index: Option<Index>,
}

#[derive(Debug)]
struct Entry {
    id: Option<NodeId>,
    metadata: NodeMetadata,
    offset: u64,
}

/// Where the lines are that no row has had yet.
#[derive(Debug)]
struct Index {
    offsets: HashMap<NodeId, u64>,
    reader: BufReader<File>,
}

impl MetadataFile {
    /// Opens a file, and sees from its first line how it goes with the rows.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let Input { reader, len, path } = files::open(path)?;
        let lines = Lines::new(reader);
        let mut file =
            Self { path, is_regular: len.is_some(), lines, ahead: None, by_id: false, index: None };
        file.ahead = file.read()?;
        file.by_id = file.ahead.as_ref().is_some_and(|entry| entry.id.is_some());
        Ok(file)
    }

    /// Refuses a file that cannot go with so many rows, before any of them is stored.
    pub(crate) fn check_count(&mut self, rows: u64) -> Result<()> {
        if self.by_id || !self.is_regular {
            return Ok(());
        }
        let mut lines = Lines::new(files::open(&self.path)?.reader);
        let mut count = 0u64;
        while lines.next().map_err(|error| error.at(&self.path))?.is_some() {
            count += 1;
        }
        if count == rows { Ok(()) } else { Err(self.miscounted(count, rows)) }
    }

    fn miscounted(&self, lines: u64, rows: u64) -> Error {
        let message =
            format!("it holds {lines} lines without node_id for {rows} rows, and they go together in order");
        Error::invalid(message).at(&self.path)
    }

    /// The metadata of the next row; a row whose id no line has gets none.
    pub(crate) fn of_row(&mut self, row: u64, id: NodeId) -> Result<NodeMetadata> {
        if !self.by_id {
            let entry = self.take()?.ok_or_else(|| self.miscounted(row, row + 1))?;
            return Ok(entry.metadata);
        }
        if self.index.is_none() {
            match self.take()? {
                Some(entry) if entry.id == Some(id) => return Ok(entry.metadata),
                None => return Ok(NodeMetadata::default()),
                Some(entry) => self.index = Some(self.index_from(entry)?),
            }
        }
        self.look_up(id)
    }

    /// After the last row: lines that are left over are an error where they go by order.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if !self.by_id && self.take()?.is_some() {
            return Err(Error::invalid("it holds more lines than there are rows").at(&self.path));
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Option<Entry>> {
        match self.ahead.take() {
            Some(entry) => Ok(Some(entry)),
            None => {
                let entry = self.read()?;
                if entry.as_ref().is_some_and(|entry| entry.id.is_some() != self.by_id) {
                    return Err(
                        Error::invalid("either all of its lines have a node_id, or none").at(&self.path)
                    );
                }
                Ok(entry)
            }
        }
    }

    fn read(&mut self) -> Result<Option<Entry>> {
        let path = &self.path;
        let Some(line) = self.lines.next().map_err(|error| error.at(path))? else { return Ok(None) };
        let (id, metadata) = line.metadata().map_err(|error| error.at(path))?;
        Ok(Some(Entry { id, metadata, offset: line.offset }))
    }

    /// Notes where each line is, from `first` on.
    fn index_from(&mut self, first: Entry) -> Result<Index> {
        if !self.is_regular {
            let message = "its lines are not in the order of the rows, so it has to be a regular file";
            return Err(Error::invalid(message).at(&self.path));
        }
        let mut offsets: HashMap<_, _> = first.id.map(|id| (id, first.offset)).into_iter().collect();
        while let Some(line) = self.lines.next().map_err(|error| error.at(&self.path))? {
            let read = || {
                let OnlyId { node_id } = line.parse()?;
                line.locate(codegraph_vector::node_id_from_json(&node_id))
            };
            let id = read().map_err(|error| error.at(&self.path))?;
            if offsets.insert(id, line.offset).is_some() {
                let message = format!(
                    "line {}: node_id {node_id} is there twice",
                    line.number,
                    node_id = codegraph_vector::node_id_text(id)
                );
                return Err(Error::invalid(message).at(&self.path));
            }
        }
        Ok(Index { offsets, reader: files::open(&self.path)?.reader })
    }

    fn look_up(&mut self, id: NodeId) -> Result<NodeMetadata> {
        let Some(index) = &mut self.index else { return Ok(NodeMetadata::default()) };
        let Some(offset) = index.offsets.get(&id) else { return Ok(NodeMetadata::default()) };
        let fail = |error: Error| error.at(&self.path);
        index.reader.seek(SeekFrom::Start(*offset)).map_err(unreadable).map_err(fail)?;
        let mut lines = Lines::new(&mut index.reader);
        let line = lines
            .next()
            .map_err(fail)?
            .ok_or_else(|| fail(Error::invalid("it changed while it was read")))?;
        Ok(line.metadata().map_err(fail)?.1)
    }
}

/// A line of which only the id matters now.
#[derive(Deserialize)]
struct OnlyId {
    #[serde(default)]
    node_id: Value,
}
