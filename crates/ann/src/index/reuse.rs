//! An index that is made of another one: rows that are in both are copied, what was learned and measured stays.

use std::ops::Range;

use crate::codec::{BLOCK_ROWS, CodecError};

use super::build::{Block, ROWS, Trained};
use super::{Body, VectorIndex};

/// No row of the other index.
const NONE: u32 = u32::MAX;

/// An index to take over from.
#[derive(Clone, Copy, Debug)]
pub struct Reuse<'a> {
    /// The other index.
    pub index: &'a VectorIndex,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// For each row of the new index its ordinal in the other one; `u32::MAX` if it is not in that.
    pub ordinals: &'a [u32],
}

impl Reuse<'_> {
    /// The share of rows that may have come since all was learned: with more, cells and axes fit too little.
    const MOST_ADDED: f64 = 0.3;

    /// Whether to take over from that index is worth it: it has cells, and not too many rows are new to it.
    #[must_use]
    pub fn is_worth(&self) -> bool {
        let of_cells = matches!(self.index.body, Body::Ivf(_));
        of_cells && self.added() as f64 <= Self::MOST_ADDED * self.ordinals.len() as f64
    }

    /// Rows that came since all was learned, at most.
    pub(super) fn added(&self) -> u64 {
        let new = self.ordinals.iter().filter(|&&ordinal| ordinal == NONE).count() as u64;
        self.index.added() + new
    }

    /// What was learned for the other index.
    pub(super) fn trained(&self) -> Option<Trained> {
        match &self.index.body {
            Body::Ivf(ivf) => Some(Trained {
                heads: ivf.heads().clone(),
                cells: ivf.cells_again(self.bytes, &self.index.parts, &self.index.common(self.bytes)),
            }),
            Body::Hnsw(_) => None,
        }
    }

    /// Those of some rows that are not in the other index, run by run.
    pub(super) fn new_rows(&self, rows: Range<usize>) -> Vec<Range<usize>> {
        let mut at = rows.start;
        let runs = self.ordinals[rows].chunk_by(|a, b| (*a == NONE) == (*b == NONE));
        let runs = runs.filter_map(|run| {
            let here = at..at + run.len();
            at = here.end;
            (run[0] == NONE).then_some(here)
        });
        runs.collect()
    }

    /// Puts those of some rows that are in the other index among those that are not, which `new` holds.
    pub(super) fn fill(&self, rows: Range<usize>, new: Block) -> Block {
        let common = self.index.common(self.bytes);
        let Body::Ivf(ivf) = &self.index.body else { return new };
        let (axes, code_bytes) = (common.sketcher.bytes(), ivf.heads().bytes());
        let (codes, starts) = ivf.codes(self.bytes, &self.index.parts);
        let mut block = Block {
            sketches: Vec::with_capacity(rows.len() * axes),
            cells: Vec::with_capacity(rows.len()),
            heads: Vec::with_capacity(rows.len() * code_bytes),
            nearest: new.nearest,
        };
        let mut next = 0;
        for &ordinal in &self.ordinals[rows] {
            if ordinal == NONE {
                block.sketches.extend_from_slice(&new.sketches[next * axes..][..axes]);
                block.heads.extend_from_slice(&new.heads[next * code_bytes..][..code_bytes]);
                block.cells.push(new.cells[next]);
                next += 1;
                continue;
            }
            let place = common.places[ordinal as usize] as usize;
            block.sketches.extend_from_slice(&common.sketches[place * axes..][..axes]);
            let of_block = &codes[place / BLOCK_ROWS * BLOCK_ROWS * code_bytes..][..BLOCK_ROWS * code_bytes];
            block.heads.extend(of_block.iter().skip(place % BLOCK_ROWS).step_by(BLOCK_ROWS));
            block.cells.push(starts.partition_point(|&start| start as usize <= place) as u32 - 1);
        }
        block
    }

    /// Refuses ordinals that are not in the other index.
    pub(super) fn check(&self, rows: usize, dim: usize) -> Result<(), CodecError> {
        let known = |&ordinal: &u32| ordinal == NONE || (ordinal as usize) < self.index.rows();
        if self.ordinals.len() == rows && self.index.dim() == dim && self.ordinals.iter().all(known) {
            return Ok(());
        }
        Err(CodecError::Sample("the index to take over from is of other rows".to_owned()))
    }
}

const _: () = assert!(ROWS.is_multiple_of(BLOCK_ROWS), "blocks of rows are whole blocks of codes");
