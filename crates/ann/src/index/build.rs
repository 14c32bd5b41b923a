//! Builds an index: trains on a sample, reads all rows once, puts them in order, measures what effort finds.

use crate::codec::{CodecError, TrainControl};
use crate::linear::in_parallel;
use crate::{Metric, TopK};

use super::calibrate::{Asked, Calibration};
use super::ivf::{self, Cells, Heads};
use super::parts::{Head, Parts, PartsWriter};
use super::sketch::Sketcher;
use super::{IndexError, IndexKind, IndexSource, IndexSpec, Reuse, VectorIndex, hnsw, part};

/// Rows that axes are learned from.
const AXES_SAMPLE: usize = 16_384;

/// Rows that cells are learned from: so many for each, and at most.
const ROWS_PER_CELL: usize = 20;
const SAMPLE: usize = 65_536;

/// Rows that are read at once.
pub(super) const ROWS: usize = 1024;

/// What is learned of rows for cells.
pub(super) struct Trained {
    pub(super) heads: Heads,
    pub(super) cells: Cells,
}

/// What becomes of some rows.
pub(super) struct Block {
    pub(super) sketches: Vec<u8>,
    /// The cell of each row, and its code; nothing without cells.
    pub(super) cells: Vec<u32>,
    pub(super) heads: Vec<u8>,
    /// The nearest to each query that is measured by.
    pub(super) nearest: Vec<TopK<u32>>,
}

/// The bytes of an index of these rows. `queries` are real ones, row-major, by which it is measured beside held-out rows;
/// there may be none. With an index to take over from, what was learned and measured for that stays, and only rows that
/// are new to it are read; whether that is worth it tells [`Reuse::is_worth`].
///
/// # Errors
/// [`IndexError::Source`] if rows cannot be read; [`IndexError::Training`] if there are none, or `control` said to stop.
///
/// # Panics
/// If `queries` are no whole number of vectors, or there is not a norm for each row.
pub fn build<S: IndexSource>(
    spec: &IndexSpec,
    metric: Metric,
    dim: usize,
    source: &S,
    queries: &[f32],
    reuse: Option<&Reuse<'_>>,
    control: &TrainControl<'_>,
) -> Result<Vec<u8>, IndexError<S::Error>> {
    let (rows, norms) = (source.rows(), source.norms());
    assert!(queries.len().is_multiple_of(dim) && norms.len() == rows, "vectors, and a norm for each row");
    if rows == 0 {
        return Err(CodecError::Sample("there is nothing to make an index of".to_owned()).into());
    }
    let reuse = reuse.filter(|reuse| spec.kind == IndexKind::Ivf && reuse.is_worth());
    let (sketcher, trained) = match reuse {
        Some(reuse) => {
            reuse.check(rows, dim)?;
            (reuse.index.sketcher.clone(), reuse.trained())
        }
        None => train(spec, dim, source, control)?,
    };
    (control.progress)(0.3);
    let row = |at: usize, out: &mut [f32]| source.directions(at..at + 1, out);
    let asked = match reuse {
        Some(_) => Asked::nothing(dim),
        None => Asked::choose(dim, norms, queries, control.seed, row).map_err(IndexError::Source)?,
    };
    let mut blocks = read(metric, dim, source, &sketcher, trained.as_ref(), &asked, reuse, control)?;
    control.check()?;
    (control.progress)(0.6);
    let nearest = nearest(&mut blocks);
    let added = reuse.map_or(0, Reuse::added);
    let bytes = match trained {
        Some(trained) => {
            let (order, starts) = by_cells(&blocks, trained.cells.len(), rows);
            let ordered = ordered(&blocks, &order, sketcher.bytes(), |block| &block.sketches);
            let heads = ordered_heads(&blocks, &order, &trained.heads);
            drop(blocks);
            let norms = ordered_norms(metric, norms, &order);
            let rows = ivf::Rows {
                sketches: &ordered,
                heads: &heads,
                norms: &norms,
                starts: &starts,
                step: sketcher.step(),
            };
            let parts = ivf::parts(&trained.heads, &rows, sketcher.bytes());
            drop(heads);
            assemble(spec, metric, dim, &sketcher, (&order, ordered, &norms), parts, added)
        }
        None => {
            let sketches: Vec<u8> = blocks.into_iter().flat_map(|block| block.sketches).collect();
            let built = hnsw::build(spec, metric, &sketcher, &sketches, norms, control)?;
            let mut ordered = Vec::with_capacity(sketches.len());
            for &ordinal in &built.order {
                ordered.extend(&sketches[ordinal as usize * sketcher.bytes()..][..sketcher.bytes()]);
            }
            drop(sketches);
            let norms = ordered_norms(metric, norms, &built.order);
            assemble(spec, metric, dim, &sketcher, (&built.order, ordered, &norms), built.parts, added)
        }
    };
    (control.progress)(0.8);
    let calibrated = match reuse {
        Some(reuse) => put_calibration(bytes, reuse.index.calibration())?,
        None => calibrate(bytes, &asked, nearest, control)?,
    };
    (control.progress)(1.0);
    Ok(calibrated)
}

/// Learns from a sample.
fn train<S: IndexSource>(
    spec: &IndexSpec,
    dim: usize,
    source: &S,
    control: &TrainControl<'_>,
) -> Result<(Sketcher, Option<Trained>), IndexError<S::Error>> {
    let rows = source.rows();
    let read = |count: usize, work: &(dyn Fn(Vec<f32>) -> Vec<f32> + Sync)| {
        let pieces = in_parallel(control.threads, count.div_ceil(ROWS), |piece| {
            let held = piece * ROWS..count.min((piece + 1) * ROWS);
            let mut out = vec![0.0; held.len() * dim];
            for (at, out) in held.zip(out.chunks_exact_mut(dim)) {
                let row = (at as u64 * rows as u64 / count as u64) as usize;
                source.directions(row..row + 1, out)?;
            }
            Ok(work(out))
        });
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(piece.map_err(IndexError::Source)?);
        }
        Ok::<_, IndexError<S::Error>>(all)
    };
    let sketcher = Sketcher::train(&read(rows.min(AXES_SAMPLE), &|rows| rows)?, dim, control)?;
    (control.progress)(0.1);
    if spec.kind == IndexKind::Hnsw {
        return Ok((sketcher, None));
    }
    let (axes, cells) = (sketcher.bytes(), ivf::count_for(rows));
    let count = rows.min((ROWS_PER_CELL * cells).clamp(AXES_SAMPLE, SAMPLE));
    let rotated = read(count, &|rows| {
        let mut rotated = vec![0.0; rows.len() / dim * axes];
        sketcher.rotate(&rows, &mut rotated);
        rotated
    })?;
    let heads = Heads::train(&rotated, axes, control)?;
    (control.progress)(0.15);
    let cells = Cells::train(&rotated, axes, cells, control)?;
    Ok((sketcher, Some(Trained { heads, cells })))
}

/// Reads all rows, but for those that are taken over.
#[expect(clippy::too_many_arguments, reason = "all that is known by then")]
fn read<S: IndexSource>(
    metric: Metric,
    dim: usize,
    source: &S,
    sketcher: &Sketcher,
    trained: Option<&Trained>,
    asked: &Asked,
    reuse: Option<&Reuse<'_>>,
    control: &TrainControl<'_>,
) -> Result<Vec<Block>, IndexError<S::Error>> {
    let rows = source.rows();
    let axes = sketcher.bytes();
    let blocks = in_parallel(control.threads, rows.div_ceil(ROWS), |at| {
        control.check()?;
        let held = at * ROWS..rows.min((at + 1) * ROWS);
        let norms = &source.norms()[held.clone()];
        let mut directions = Vec::new();
        for rows in reuse.map_or_else(|| vec![held.clone()], |reuse| reuse.new_rows(held.clone())) {
            let start = directions.len();
            directions.resize(start + rows.len() * dim, 0.0);
            source.directions(rows, &mut directions[start..]).map_err(IndexError::Source)?;
        }
        let read = directions.len() / dim;
        let mut rotated = vec![0.0; read * axes];
        sketcher.rotate(&directions, &mut rotated);
        let mut sketches = vec![0; read * axes];
        sketcher.sketch(&rotated, &mut sketches);
        let block = Block {
            sketches,
            cells: trained.map_or_else(Vec::new, |trained| trained.cells.assign(&rotated)),
            heads: trained.map_or_else(Vec::new, |trained| trained.heads.encode(&rotated, axes)),
            nearest: asked.nearest(metric, held.start, &directions, norms),
        };
        Ok(match reuse {
            Some(reuse) => reuse.fill(held, block),
            None => block,
        })
    });
    blocks.into_iter().collect()
}

/// The nearest to each query.
fn nearest(blocks: &mut [Block]) -> Vec<TopK<u32>> {
    let mut blocks = blocks.iter_mut().map(|block| std::mem::take(&mut block.nearest));
    let mut nearest = blocks.next().unwrap_or_default();
    for block in blocks {
        nearest.iter_mut().zip(block).for_each(|(nearest, here)| nearest.merge(here));
    }
    nearest
}

/// Rows in the order of their cells, and where each cell with any begins, and where the last ends.
fn by_cells(blocks: &[Block], cells: usize, rows: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0_u32; cells + 1];
    let all = || blocks.iter().flat_map(|block| &block.cells);
    for &cell in all() {
        starts[cell as usize + 1] += 1;
    }
    for cell in 0..cells {
        starts[cell + 1] += starts[cell];
    }
    let mut next = starts.clone();
    let mut order = vec![0; rows];
    for (ordinal, &cell) in all().enumerate() {
        order[next[cell as usize] as usize] = ordinal as u32;
        next[cell as usize] += 1;
    }
    starts.dedup();
    (order, starts)
}

/// What blocks have of each row, so many bytes, in another order.
fn ordered<'b>(
    blocks: &'b [Block],
    order: &[u32],
    bytes: usize,
    of: impl Fn(&'b Block) -> &'b [u8],
) -> Vec<u8> {
    let mut ordered = Vec::with_capacity(order.len() * bytes);
    for &ordinal in order {
        let (block, row) = (ordinal as usize / ROWS, ordinal as usize % ROWS);
        ordered.extend_from_slice(&of(&blocks[block])[row * bytes..][..bytes]);
    }
    ordered
}

fn ordered_heads(blocks: &[Block], order: &[u32], heads: &Heads) -> Vec<u8> {
    ordered(blocks, order, heads.bytes(), |block| &block.heads)
}

/// Norms in another order, where they count.
fn ordered_norms(metric: Metric, norms: &[f32], order: &[u32]) -> Vec<f32> {
    match metric {
        Metric::Cosine => Vec::new(),
        Metric::Dot | Metric::Euclidean => order.iter().map(|&ordinal| norms[ordinal as usize]).collect(),
    }
}

/// All of an index, but for what is measured. `rows` are ordinals, sketches and norms by place.
fn assemble(
    spec: &IndexSpec,
    metric: Metric,
    dim: usize,
    sketcher: &Sketcher,
    (order, sketches, norms): (&[u32], Vec<u8>, &[f32]),
    of_kind: Vec<Vec<u8>>,
    added: u64,
) -> Vec<u8> {
    let mut places = vec![0_u32; order.len()];
    for (place, &ordinal) in order.iter().enumerate() {
        places[ordinal as usize] = place as u32;
    }
    let mut writer = PartsWriter::default();
    writer.push(sketcher.write());
    writer.push(sketches);
    writer.push(bytemuck::cast_slice(order).to_vec());
    writer.push(bytemuck::cast_slice(&places).to_vec());
    writer.push(bytemuck::cast_slice(norms).to_vec());
    writer.push(Calibration::default().write());
    for part in of_kind {
        writer.push(part);
    }
    writer.finish(Head { kind: spec.kind as u32, metric: metric as u32, dim, rows: order.len(), added })
}

/// Measures an index, and puts what it found into its bytes.
fn calibrate(
    mut bytes: Vec<u8>,
    asked: &Asked,
    nearest: Vec<TopK<u32>>,
    control: &TrainControl<'_>,
) -> Result<Vec<u8>, CodecError> {
    let index = VectorIndex::open(&bytes)?;
    let measured = asked.measure(&index, &bytes, nearest, control)?;
    bytes[index.parts.range(part::CALIBRATION)].copy_from_slice(&measured.write());
    Ok(bytes)
}

/// Puts what was measured before into the bytes of an index.
fn put_calibration(mut bytes: Vec<u8>, measured: &Calibration) -> Result<Vec<u8>, CodecError> {
    let (_, parts) = Parts::open(&bytes)?;
    bytes[parts.range(part::CALIBRATION)].copy_from_slice(&measured.write());
    Ok(bytes)
}
