//! Batches of nodes, from a file of vectors with its companions or from a file of nodes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use codegraph_vector::{CodeNode, Error, NodeId, Result};

use super::metadata::MetadataFile;
use crate::formats::Vectors;
use crate::formats::jsonl::{Lines, ParsedNode};
use crate::formats::npy::Ids;

/// A commit is not made larger than about this, in bytes, however many rows are asked for.
const BATCH_BYTES: usize = 64 << 20;

/// Rows to import, in order.
pub(crate) struct Rows {
    source: RowSource,
    /// The name of the file, for messages.
    path: PathBuf,
    dimension: usize,
    done: u64,
}

/// Where rows come from.
enum RowSource {
    /// A file of vectors; ids and metadata come from elsewhere.
    Vectors(Box<VectorRows>),
    /// Nodes, one a line.
    Nodes(Box<NodeRows>),
}

struct VectorRows {
    vectors: Vectors<BufReader<File>>,
    ids: Option<(PathBuf, Ids<BufReader<File>>)>,
    metadata: Option<MetadataFile>,
    /// Room for a batch, used again for each.
    block: Vec<f32>,
}

struct NodeRows {
    lines: Lines<Box<dyn BufRead + Send>>,
    /// Read ahead, to know the dimension.
    first: Option<ParsedNode>,
    have_ids: bool,
}

impl Rows {
    /// A file of vectors, with a file of their ids and one of their metadata.
    pub(crate) fn of_vectors(
        path: PathBuf,
        vectors: Vectors<BufReader<File>>,
        ids: Option<(PathBuf, Ids<BufReader<File>>)>,
        mut metadata: Option<MetadataFile>,
    ) -> Result<Self> {
        let rows = vectors.rows();
        if let Some((path, ids)) = ids.as_ref().filter(|(_, ids)| ids.count() != rows) {
            let message = format!("it holds {} ids for {rows} vectors", ids.count());
            return Err(Error::invalid(message).at(path));
        }
        if let Some(metadata) = &mut metadata {
            metadata.check_count(rows)?;
        }
        let dimension = vectors.dimension();
        let source = RowSource::Vectors(Box::new(VectorRows { vectors, ids, metadata, block: Vec::new() }));
        Ok(Self { source, path, dimension, done: 0 })
    }

    /// Nodes, one a line.
    pub(crate) fn of_nodes(path: PathBuf, reader: Box<dyn BufRead + Send>) -> Result<Self> {
        let mut lines = Lines::new(reader);
        let first = match lines.next() {
            Ok(Some(line)) => line.node(),
            Ok(None) => Err(Error::invalid("it holds no node, so the dimension of its vectors is not known")),
            Err(error) => Err(error),
        };
        let first = first.map_err(|error| error.at(&path))?;
        let (dimension, have_ids) = (first.vector.len(), first.id.is_some());
        if dimension == 0 {
            return Err(Error::invalid("the vector of its first node is empty").at(path));
        }
        let source = RowSource::Nodes(Box::new(NodeRows { lines, first: Some(first), have_ids }));
        Ok(Self { source, path, dimension, done: 0 })
    }

    /// Dimension of the vectors.
    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    /// How many there are, if that is known.
    pub(crate) fn count(&self) -> Option<u64> {
        match &self.source {
            RowSource::Vectors(rows) => Some(rows.vectors.rows()),
            RowSource::Nodes(_) => None,
        }
    }

    /// The next nodes, `most` of them unless they are large or the file ends; none at the end.
    pub(crate) fn next_batch(&mut self, most: usize) -> Result<Vec<CodeNode>> {
        let (path, dimension, done) = (&self.path, self.dimension, self.done);
        let batch = match &mut self.source {
            RowSource::Vectors(rows) => {
                let most = most.min((BATCH_BYTES / (dimension * size_of::<f32>())).max(1));
                rows.batch(path, most, done)
            }
            RowSource::Nodes(rows) => rows.batch(dimension, most, done).map_err(|error| error.at(path)),
        }?;
        self.done += batch.len() as u64;
        Ok(batch)
    }
}

impl VectorRows {
    fn batch(&mut self, path: &Path, most: usize, done: u64) -> Result<Vec<CodeNode>> {
        self.vectors.read(most, &mut self.block).map_err(|error| error.at(path))?;
        let dimension = self.vectors.dimension();
        let mut batch = Vec::with_capacity(self.block.len() / dimension);
        for (row, vector) in (done..).zip(self.block.chunks_exact(dimension)) {
            check_finite(vector).map_err(|error| error.context(format_args!("row {row}")).at(path))?;
            let id = match &mut self.ids {
                None => NodeId::from(row),
                Some((path, ids)) => {
                    let id = ids.next().map_err(|error| error.at(&*path))?;
                    // Their number was compared with that of the vectors.
                    NodeId::from(id.ok_or_else(|| Error::invalid("it ends too early").at(&*path))?)
                }
            };
            let metadata = self.metadata.as_mut().map(|metadata| metadata.of_row(row, id)).transpose()?;
            batch.push(CodeNode::from_parts(id, vector.to_vec(), metadata.unwrap_or_default()));
        }
        if batch.is_empty()
            && let Some(metadata) = &mut self.metadata
        {
            metadata.finish()?;
        }
        Ok(batch)
    }
}

impl NodeRows {
    fn batch(&mut self, dimension: usize, most: usize, done: u64) -> Result<Vec<CodeNode>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        if let Some(node) = self.first.take() {
            batch.push(accept(node, done, dimension, self.have_ids)?);
        }
        while batch.len() < most && bytes < BATCH_BYTES {
            let Some(line) = self.lines.next()? else { break };
            bytes += line.text.len() + dimension * size_of::<f32>();
            let row = done + batch.len() as u64;
            let node = accept(line.node()?, row, dimension, self.have_ids);
            batch.push(line.locate(node)?);
        }
        Ok(batch)
    }
}

/// The node of a line, if it is like the first one's.
fn accept(node: ParsedNode, row: u64, dimension: usize, have_ids: bool) -> Result<CodeNode> {
    let ParsedNode { id, vector, metadata } = node;
    if vector.len() != dimension {
        let message = format!("its vector has {} dimensions, and the first has {dimension}", vector.len());
        return Err(Error::invalid(message));
    }
    if id.is_some() != have_ids {
        return Err(Error::invalid("either all nodes have a node_id, or none has and they are numbered"));
    }
    Ok(CodeNode::from_parts(id.unwrap_or(NodeId::from(row)), vector, metadata))
}

fn check_finite(vector: &[f32]) -> Result<()> {
    // Without a way out in the middle, so that many are looked at in one go.
    if vector.iter().fold(true, |finite, number| finite & number.is_finite()) {
        return Ok(());
    }
    let at = vector.iter().position(|number| !number.is_finite()).unwrap_or_default();
    Err(Error::invalid(format!("the number at {at} is {}, not finite", vector[at])))
}
