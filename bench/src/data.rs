//! Vectors to measure with: a float16 or float32 `.npy` in C order, or made ones.

use std::path::Path;

use codegraph_vector::{CodeNode, NodeId};

/// Row-major vectors.
pub(crate) struct Vectors {
    pub(crate) dimension: usize,
    pub(crate) values: Vec<f32>,
}

impl Vectors {
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.dimension
    }

    pub(crate) fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.dimension..][..self.dimension]
    }

    /// Rows as nodes with ids from `first`, metadata of the usual size.
    pub(crate) fn nodes(&self, first: usize, count: usize) -> Vec<CodeNode> {
        let end = (first + count).min(self.rows());
        (first..end).map(|at| node(at as NodeId, self.row(at).to_vec())).collect()
    }
}

/// A node such as an indexer makes.
pub(crate) fn node(id: NodeId, vector: Vec<f32>) -> CodeNode {
    let line = (id % 900) as u32 + 1;
    CodeNode::new(id, vector)
        .with_name(format!("function_{id}"))
        .with_kind("function")
        .with_language("rust")
        .with_path(format!("crates/part-{}/src/module_{}.rs", id / 400, id / 12))
        .with_lines(line, line + 20)
        .with_content_hash(format!("{:016x}", id as u64 ^ 0x9E37_79B9_7F4A_7C15))
}

/// Reads a file, or makes `rows` clustered unit vectors if there is none.
pub(crate) fn load_or_make(path: Option<&Path>, rows: usize, dimension: usize) -> Result<Vectors, String> {
    match path {
        Some(path) => load(path),
        None => Ok(make(rows, dimension, 7)),
    }
}

/// Reads a file.
pub(crate) fn load(path: &Path) -> Result<Vectors, String> {
    let Table { columns, kind, body } = table(path)?;
    let values = match kind {
        Kind::Half => {
            body.as_chunks().0.iter().map(|half| half::f16::from_le_bytes(*half).to_f32()).collect()
        }
        Kind::Float => body.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
        Kind::Int => return Err("not floats".into()),
    };
    Ok(Vectors { dimension: columns, values })
}

/// Reads a file of row numbers, as int32.
pub(crate) fn load_ids(path: &Path) -> Result<Vec<Vec<u32>>, String> {
    let Table { columns, kind, body } = table(path)?;
    let Kind::Int = kind else { return Err("not int32".into()) };
    let ids: Vec<u32> = body.as_chunks().0.iter().map(|id| u32::from_le_bytes(*id)).collect();
    Ok(ids.chunks_exact(columns.max(1)).map(<[u32]>::to_vec).collect())
}

/// What a file holds.
struct Table {
    columns: usize,
    kind: Kind,
    body: Vec<u8>,
}

/// Of what its numbers are.
enum Kind {
    Half,
    Float,
    Int,
}

fn table(path: &Path) -> Result<Table, String> {
    let mut bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let len = bytes.get(8..10).ok_or("too short")?;
    let body = 10 + usize::from(u16::from_le_bytes([len[0], len[1]]));
    let header = String::from_utf8_lossy(bytes.get(10..body).ok_or("too short")?).into_owned();
    let shape =
        header.split("'shape': (").nth(1).and_then(|rest| rest.split(')').next()).ok_or("no shape")?;
    let sizes: Vec<usize> = shape.split(',').filter_map(|part| part.trim().parse().ok()).collect();
    let [_, columns] = sizes[..] else { return Err("not a table".into()) };
    let kinds = [("<f2", Kind::Half), ("<f4", Kind::Float), ("<i4", Kind::Int)];
    let kind =
        kinds.into_iter().find(|(name, _)| header.contains(name)).ok_or("no float16, float32 or int32")?.1;
    bytes.drain(..body);
    Ok(Table { columns, kind, body: bytes })
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Made vectors around one centre for each 50 rows.
pub(crate) fn make(rows: usize, dimension: usize, seed: u64) -> Vectors {
    let mut random = SplitMix(seed);
    let mut next = move || (random.next() >> 40) as f32 / (1 << 23) as f32 - 1.0;
    let mut values = Vec::with_capacity(rows * dimension);
    let mut centre: Vec<f32> = Vec::new();
    for row in 0..rows {
        if row % 50 == 0 {
            centre = (0..dimension).map(|_| next()).collect();
        }
        values.extend(centre.iter().map(|value| value + 0.5 * next()));
    }
    Vectors { dimension, values }
}
