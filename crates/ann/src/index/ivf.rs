//! Cells around centroids: the nearest are scanned by short codes, the best of those by sketches.
//!
//! Rows lie in the order of their cells, without gaps: a block of 64 rows may hold the end of one cell and the beginning
//! of the next. A search looks at all rows of the blocks in which its cells are. Cells are ranked by the products of the
//! query and their centroids, which are coded as rows are, and how far their rows are spread.

mod cells;
mod heads;
mod search;

pub(super) use cells::{Cells, count_for};
pub(super) use heads::{Heads, Sums, Unit};

use crate::Metric;
use crate::codec::{BLOCK_ROWS, CodecError};
use crate::kernels::look_up::lane_of;

use super::Common;
use super::parts::Parts;

/// The parts of this kind, behind those that every index has.
mod part {
    use crate::index::part::OF_KIND;

    /// What `Heads::write` wrote.
    pub(super) const CODEC: usize = OF_KIND;
    /// Codes of rows by place, in blocks.
    pub(super) const HEADS: usize = OF_KIND + 1;
    /// The place of the first row of each cell, and the number of rows, u32.
    pub(super) const STARTS: usize = OF_KIND + 2;
    /// Codes of centroids, in blocks.
    pub(super) const CENTROIDS: usize = OF_KIND + 3;
    /// By how much the rows of a cell may be nearer than its centroid, f32; by block and lane.
    pub(super) const BONUSES: usize = OF_KIND + 4;
    /// The shortest and the longest norm that rows of a cell commonly have, f32 each; nothing for cosine.
    pub(super) const NORMS: usize = OF_KIND + 5;
}

/// What of a cell's spread is added to the product with its centroid, since the best of its rows lie on the query's side.
/// Measured on embeddings of code, with questions in words: 0.3 finds a little more than 0.2 or 0.4.
const SPREAD: f32 = 0.3;

/// Norms that differ by less than this factor are taken for one: codes could not tell such products apart.
const ALIKE: f32 = 1.001;

/// See the module.
#[derive(Debug)]
pub(super) struct Ivf {
    heads: Heads,
    cells: usize,
    /// The shortest and the longest norm in each block; nothing if all rows are about as long as each other: then the
    /// nearest are those of the greatest products.
    norms: Vec<(f32, f32)>,
}

/// What the rows of cells come to, cell by cell.
pub(super) struct Rows<'a> {
    /// By place.
    pub(super) sketches: &'a [u8],
    /// Codes of rows by place, one after the other.
    pub(super) heads: &'a [u8],
    /// By place; empty for cosine.
    pub(super) norms: &'a [f32],
    /// The place of the first row of each cell, and the number of rows.
    pub(super) starts: &'a [u32],
    /// What one more in a sketch stands for.
    pub(super) step: f32,
}

/// The parts of its kind.
pub(super) fn parts(heads: &Heads, rows: &Rows<'_>, dim: usize) -> Vec<Vec<u8>> {
    let layout = heads.layout();
    let cells = rows.starts.len() - 1;
    let mut centroids = Vec::with_capacity(cells * dim);
    let mut bonuses = vec![0.0_f32; cells.next_multiple_of(BLOCK_ROWS)];
    let mut norms = Vec::new();
    for (cell, ends) in rows.starts.windows(2).enumerate() {
        let places = ends[0] as usize..ends[1] as usize;
        let sketches = &rows.sketches[places.start * dim..places.end * dim];
        let (centroid, square) = centre(sketches, dim);
        centroids.extend(centroid.iter().map(|x| rows.step * x));
        bonuses[cell / BLOCK_ROWS * BLOCK_ROWS + lane_of(cell % BLOCK_ROWS)] =
            SPREAD * rows.step * square.sqrt();
        if let Some(norms_here) = rows.norms.get(places) {
            norms.extend(common_norms(norms_here));
        }
    }
    vec![
        heads.write(),
        layout.pack(rows.heads),
        bytemuck::cast_slice(rows.starts).to_vec(),
        layout.pack(&heads.encode(&centroids, dim)),
        bytemuck::cast_slice(&bonuses).to_vec(),
        bytemuck::cast_slice(&norms).to_vec(),
    ]
}

/// The mean of sketches, less 128, and the mean squared distance from it, in steps.
fn centre(sketches: &[u8], dim: usize) -> (Vec<f32>, f32) {
    let (mut sums, mut squares) = (vec![0_u32; dim], 0_u64);
    for sketch in sketches.chunks_exact(dim) {
        let mut here = 0;
        for (sum, byte) in sums.iter_mut().zip(sketch) {
            let from_middle = i32::from(*byte) - 128;
            *sum += u32::from(*byte);
            here += (from_middle * from_middle) as u64;
        }
        squares += here;
    }
    let count = (sketches.len() / dim).max(1) as f64;
    let centre: Vec<f32> = sums.iter().map(|sum| (f64::from(*sum) / count - 128.0) as f32).collect();
    let own: f64 = centre.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    (centre, (squares as f64 / count - own).max(0.0) as f32)
}

/// A standard deviation around the mean.
fn common_norms(norms: &[f32]) -> [f32; 2] {
    let count = norms.len().max(1) as f64;
    let mean = norms.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let variance = norms.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    let spread = variance.sqrt();
    [(mean - spread).max(0.0) as f32, (mean + spread).min(f64::from(f32::MAX)) as f32]
}

/// The least and the greatest.
fn range(norms: &[f32]) -> (f32, f32) {
    norms.iter().fold((f32::INFINITY, 0.0), |(least, greatest), &norm| (least.min(norm), greatest.max(norm)))
}

impl Ivf {
    /// Reads its parts and checks them.
    pub(super) fn open(bytes: &[u8], parts: &Parts, common: &Common<'_>) -> Result<Self, CodecError> {
        let malformed = |why: &str| CodecError::Malformed(format!("the cells of an index {why}"));
        let rows = common.ordinals.len();
        let heads = Heads::read(parts.bytes(bytes, part::CODEC), common.sketcher.bytes())?;
        let layout = heads.layout();
        let starts = parts.numbers::<u32>(bytes, part::STARTS)?;
        let in_order = starts.is_sorted() && starts.first() == Some(&0);
        if !in_order || starts.len() < 2 || starts.last() != Some(&(rows as u32)) {
            return Err(malformed("do not hold its rows"));
        }
        let cells = starts.len() - 1;
        let lengths = [(part::HEADS, rows), (part::CENTROIDS, cells)];
        if lengths.iter().any(|&(part, rows)| parts.bytes(bytes, part).len() != layout.packed_bytes(rows)) {
            return Err(malformed("have not as many codes as rows and cells"));
        }
        let bonuses = parts.numbers::<f32>(bytes, part::BONUSES)?;
        let norms = parts.numbers::<f32>(bytes, part::NORMS)?;
        let of_norms = if common.metric == Metric::Cosine { 0 } else { 2 * cells };
        if bonuses.len() != cells.next_multiple_of(BLOCK_ROWS) || norms.len() != of_norms {
            return Err(malformed("are not all described"));
        }
        let sizes = |numbers: &[f32]| numbers.iter().all(|x| (0.0..f32::INFINITY).contains(x));
        if !sizes(bonuses) || !sizes(norms) || norms.chunks(2).any(|range| !range.is_sorted()) {
            return Err(malformed("have a size that is none"));
        }
        let all = range(common.norms);
        let even = common.metric == Metric::Cosine || all.1 <= ALIKE * all.0;
        let blocks = if even { &[] } else { common.norms };
        Ok(Self { heads, cells, norms: blocks.chunks(BLOCK_ROWS).map(range).collect() })
    }

    /// What makes the codes.
    pub(super) fn heads(&self) -> &Heads {
        &self.heads
    }

    /// The codes of rows by place, in blocks; the place of the first row of each cell, and the number of rows.
    pub(super) fn codes<'a>(&self, bytes: &'a [u8], parts: &Parts) -> (&'a [u8], &'a [u32]) {
        (parts.bytes(bytes, part::HEADS), parts.u32s(bytes, part::STARTS))
    }

    /// The cells, around the means of the rows that they have.
    pub(super) fn cells_again(&self, bytes: &[u8], parts: &Parts, common: &Common<'_>) -> Cells {
        let dim = common.sketcher.bytes();
        let ends = parts.u32s(bytes, part::STARTS).windows(2);
        let centroids = ends.flat_map(|ends| {
            let sketches = &common.sketches[ends[0] as usize * dim..ends[1] as usize * dim];
            centre(sketches, dim).0.into_iter().map(|x| common.sketcher.step() * x)
        });
        Cells::around(centroids.collect(), dim)
    }

    /// Number of cells.
    pub(super) fn cells(&self) -> usize {
        self.cells
    }
}

#[cfg(test)]
#[path = "ivf_tests.rs"]
mod tests;
