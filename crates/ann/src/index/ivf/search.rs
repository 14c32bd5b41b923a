//! The search: cells by rank, their blocks by codes, the best rows of those by sketches.

use std::cell::Cell;
use std::ops::Range;

use crate::TopK;
use crate::codec::BLOCK_ROWS;
use crate::index::parts::Parts;
use crate::index::{Common, IndexQuery};
use crate::kernels::look_up::{ROWS, lane_of, row_of};

use super::heads::Sums;
use super::heads::Unit;
use super::{Ivf, part};

/// Rows that are scored by their sketches, for each candidate that is wanted; at least; and of so many that are looked at,
/// one: the more there are, the more lie between the best by their codes and the best.
const KEPT_PER_CANDIDATE: usize = 2;
const LEAST_KEPT: usize = 80;
const LOOKED_AT_PER_KEPT: usize = 256;

/// Blocks that are scanned before rows are picked: few at first, so that there soon is a bar.
const FIRST_BLOCKS: usize = 8;
const BLOCKS: usize = 32;

/// Cells that are scanned first, as they probably hold the best rows.
const FIRST_CELLS: usize = 4;

/// What one search after the other uses again.
#[derive(Default)]
struct Scratch {
    floats: Vec<[f32; 16]>,
    tables: Vec<[u8; 16]>,
    /// What scans found, by block.
    found: Sums,
    /// Cells, the best at the front as far as they are in order: the rank, then the number.
    cells: Vec<u64>,
    /// Blocks, a bit each: those of the cells that were chosen, and those that were scanned.
    wanted: Vec<u64>,
    scanned: Vec<u64>,
    blocks: Vec<u32>,
    places: Vec<u32>,
    dots: Vec<f32>,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// A row that may be among the best.
struct Found<K> {
    /// By what it is estimated to be, greater is better; no two rows have the same.
    rank: u64,
    /// Not known until the row was asked for.
    key: Option<K>,
}

impl<K> Found<K> {
    fn place(&self) -> u32 {
        !(self.rank as u32)
    }
}

/// One query on its way.
struct Walk<'a> {
    ivf: &'a Ivf,
    common: &'a Common<'a>,
    query: &'a IndexQuery,
    unit: Unit,
    heads: &'a [u8],
    kept: usize,
    /// The lanes of each block that may be found, if not all of them may.
    among: Option<&'a [u64]>,
}

impl Ivf {
    /// The lanes of each block that hold these rows, for [`Ivf::search`].
    pub(in crate::index) fn lanes_of(places: &[u32], ordinals: impl IntoIterator<Item = u32>) -> Vec<u64> {
        let mut lanes = vec![0; places.len().div_ceil(ROWS)];
        for ordinal in ordinals {
            let place = places[ordinal as usize] as usize;
            lanes[place / ROWS] |= 1 << lane_of(place % ROWS);
        }
        lanes
    }

    /// See [`VectorIndex::search`](crate::index::VectorIndex::search); `among` is of [`Ivf::lanes_of`]. Returns the number of rows that were looked at.
    #[expect(clippy::too_many_arguments, reason = "what the caller has at hand")]
    pub(in crate::index) fn search<K: Ord + Copy>(
        &self,
        bytes: &[u8],
        parts: &Parts,
        common: &Common<'_>,
        queries: &[IndexQuery],
        efforts: &[usize],
        among: Option<&[u64]>,
        admit: &mut impl FnMut(usize, u32) -> Option<K>,
        tops: &mut [TopK<K>],
    ) -> usize {
        let mut scratch = SCRATCH.take();
        let mut found = Vec::new();
        let mut looked_at = 0;
        let each = queries.iter().zip(efforts).zip(tops);
        for (number, ((query, &effort), top)) in each.enumerate().filter(|(_, (_, top))| top.k() > 0) {
            let tables = self.heads.tables(&query.sketch.rotated, &mut scratch.floats, &mut scratch.tables);
            let unit = Unit { least: tables.least + query.sketch.base, ..tables };
            let looked_at_about = common.ordinals.len() / self.cells * effort.min(self.cells);
            let kept = top.k().saturating_mul(KEPT_PER_CANDIDATE).max(LEAST_KEPT);
            let kept = kept.max(looked_at_about / LOOKED_AT_PER_KEPT);
            let heads = parts.bytes(bytes, part::HEADS);
            let walk = Walk { ivf: self, common, query, unit, heads, kept, among };
            walk.rank_cells(bytes, parts, &mut scratch);
            let starts = parts.u32s(bytes, part::STARTS);
            let mut admit = |ordinal| admit(number, ordinal);
            looked_at += walk.scan_cells(effort, starts, &mut scratch, &mut found, &mut admit, top.k());
            walk.score(&mut scratch, &found, top);
        }
        SCRATCH.set(scratch);
        looked_at
    }
}

impl Walk<'_> {
    /// Ranks all cells, by their centroids' codes.
    fn rank_cells(&self, bytes: &[u8], parts: &Parts, scratch: &mut Scratch) {
        let codes = parts.bytes(bytes, part::CENTROIDS);
        let (bonuses, norms) = (parts.f32s(bytes, part::BONUSES), parts.f32s(bytes, part::NORMS));
        let blocks = self.ivf.cells.div_ceil(BLOCK_ROWS);
        scratch.blocks.clear();
        scratch.blocks.extend(0..blocks as u32);
        self.look_up(codes, 0..blocks, |_| u16::MAX, scratch);
        scratch.cells.clear();
        for (block, (sums, bonuses)) in
            scratch.found.sums.iter().zip(bonuses.as_chunks::<ROWS>().0).enumerate()
        {
            for (lane, (sum, bonus)) in sums.iter().zip(bonuses).enumerate() {
                let cell = block * ROWS + row_of(lane);
                if cell < self.ivf.cells {
                    let dot = self.unit.least + self.unit.unit * f32::from(*sum) + bonus;
                    let score = match norms.get(2 * cell..2 * cell + 2) {
                        Some(norms) if !self.ivf.norms.is_empty() => self.best_of_norms(dot, norms),
                        _ => dot,
                    };
                    scratch.cells.push(rank(score, cell as u32));
                }
            }
        }
    }

    /// The best score that a row of a length between these has.
    fn best_of_norms(&self, dot: f32, norms: &[f32]) -> f32 {
        let (metric, query_norm) = (self.common.metric, self.query.norm);
        let best = (query_norm * f64::from(dot)).clamp(f64::from(norms[0]), f64::from(norms[1])) as f32;
        let scores = [norms[0], best, norms[1]].map(|norm| metric.of_directions(dot, query_norm, norm));
        scores.into_iter().fold(f32::MIN, f32::max)
    }

    /// Scans the best cells, and more if too few rows are admitted; what is found is in no order.
    fn scan_cells<K: Ord + Copy>(
        &self,
        effort: usize,
        starts: &[u32],
        scratch: &mut Scratch,
        found: &mut Vec<Found<K>>,
        admit: &mut impl FnMut(u32) -> Option<K>,
        enough: usize,
    ) -> usize {
        let rows = self.common.ordinals.len();
        let words = rows.div_ceil(ROWS).div_ceil(64);
        scratch.scanned.clear();
        scratch.scanned.resize(words, 0);
        scratch.wanted.clear();
        scratch.wanted.resize(words, 0);
        found.clear();
        let mut bar = f32::NEG_INFINITY;
        let mut looked_at = 0;
        let effort = effort.clamp(1, self.ivf.cells);
        best_first(&mut scratch.cells, effort);
        let first = FIRST_CELLS.min(effort);
        best_first(&mut scratch.cells[..effort], first);
        for cells in [0..first, first..effort] {
            bar = self.scan(cells, starts, bar, scratch, found, admit, &mut looked_at);
        }
        self.shrink(found, admit);
        if found.len() < enough {
            scratch.cells[effort..].sort_unstable_by(|a, b| b.cmp(a));
            // One by one, so that no search that began with more ends with less.
            for cell in effort..self.ivf.cells {
                self.scan(cell..cell + 1, starts, bar, scratch, found, admit, &mut looked_at);
                self.shrink(found, admit);
                if found.len() >= enough {
                    break;
                }
            }
        }
        looked_at.min(rows)
    }

    /// Scans the blocks of some cells, as far as they were not scanned before. Returns the new bar.
    #[expect(clippy::too_many_arguments, reason = "what one search has at hand")]
    fn scan<K: Copy>(
        &self,
        cells: Range<usize>,
        starts: &[u32],
        mut bar: f32,
        scratch: &mut Scratch,
        found: &mut Vec<Found<K>>,
        admit: &mut impl FnMut(u32) -> Option<K>,
        looked_at: &mut usize,
    ) -> f32 {
        for &cell in &scratch.cells[cells] {
            let cell = !(cell as u32) as usize;
            let places = starts[cell] as usize..starts[cell + 1] as usize;
            if !places.is_empty() {
                for block in places.start / ROWS..=(places.end - 1) / ROWS {
                    let may_hold = self.among.is_none_or(|among| among[block] != 0);
                    scratch.wanted[block / 64] |= u64::from(may_hold) << (block % 64);
                }
            }
        }
        scratch.blocks.clear();
        for (word, (wanted, scanned)) in scratch.wanted.iter().zip(&mut scratch.scanned).enumerate() {
            let mut new = wanted & !*scanned;
            *scanned |= wanted;
            while new != 0 {
                scratch.blocks.push((word * 64) as u32 + new.trailing_zeros());
                new &= new - 1;
            }
        }
        *looked_at += scratch.blocks.len() * ROWS;
        let mut at = 0;
        while at < scratch.blocks.len() {
            let chunk = if bar == f32::NEG_INFINITY { FIRST_BLOCKS } else { BLOCKS };
            let end = scratch.blocks.len().min(at + chunk);
            self.look_up(self.heads, at..end, |block| self.least_sum(block, bar), scratch);
            for (block, (sums, mask)) in
                scratch.blocks[at..end].iter().zip(scratch.found.sums.iter().zip(&scratch.found.masks))
            {
                let lanes = self.among.map_or(*mask, |among| mask & among[*block as usize]);
                self.collect(*block as usize, sums, lanes, found);
            }
            if found.len() >= 2 * self.kept {
                self.shrink(found, admit);
                bar = self.bar(found);
            }
            at = end;
        }
        bar
    }

    /// Adds up what the codes of some of the blocks in `scratch.blocks` come to. `bar` tells the least sum of a block that
    /// is worth a look.
    fn look_up(&self, codes: &[u8], blocks: Range<usize>, bar: impl Fn(u32) -> u16, scratch: &mut Scratch) {
        let Scratch { found, tables, blocks: places, .. } = scratch;
        self.ivf.heads.look_up(tables, codes, &places[blocks], bar, found);
    }

    /// Adds the rows of a block that are in these lanes.
    #[inline]
    fn collect<K>(&self, block: usize, sums: &[u16; ROWS], mut lanes: u64, found: &mut Vec<Found<K>>) {
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize;
            lanes &= lanes - 1;
            let place = block * ROWS + row_of(lane);
            if place < self.common.ordinals.len() {
                let sum = sums[lane];
                let score = if self.ivf.norms.is_empty() {
                    f32::from(sum)
                } else {
                    let dot = self.unit.least + self.unit.unit * f32::from(sum);
                    self.common.metric.of_directions(dot, self.query.norm, self.common.norm(place))
                };
                found.push(Found { rank: rank(score, place as u32), key: None });
            }
        }
    }

    /// Leaves the best that are admitted, as many as are kept.
    fn shrink<K: Copy>(&self, found: &mut Vec<Found<K>>, admit: &mut impl FnMut(u32) -> Option<K>) {
        let mut admitted = 0;
        while admitted < self.kept.min(found.len()) {
            let wanted = self.kept - admitted;
            if wanted < found.len() - admitted {
                found[admitted..].select_nth_unstable_by(wanted, |a, b| b.rank.cmp(&a.rank));
            }
            let asked = found.len().min(self.kept);
            let mut good = admitted;
            for at in admitted..asked {
                let place = found[at].place() as usize;
                let key = found[at].key.or_else(|| admit(self.common.ordinals[place]));
                if key.is_some() {
                    found[at].key = key;
                    found.swap(good, at);
                    good += 1;
                }
            }
            found.drain(good..asked);
            admitted = good;
        }
        found.truncate(self.kept);
    }

    /// The estimate that a row must come to, to be better than the worst of those found.
    fn bar<K>(&self, found: &[Found<K>]) -> f32 {
        let worst = found.iter().map(|found| found.rank).min().filter(|_| found.len() >= self.kept);
        worst.map_or(f32::NEG_INFINITY, score_of)
    }

    /// The sum below which no row of a block comes to that estimate.
    #[inline]
    fn least_sum(&self, block: u32, bar: f32) -> u16 {
        let Some(&norms) = self.ivf.norms.get(block as usize) else { return bar as u16 };
        let least = self.common.metric.least_dot(bar, self.query.norm, norms);
        ((least - f64::from(self.unit.least)) / f64::from(self.unit.unit) - 1.0) as u16
    }

    /// Scores what was found by sketches, and pushes it to `top`.
    fn score<K: Ord + Copy>(&self, scratch: &mut Scratch, found: &[Found<K>], top: &mut TopK<K>) {
        let Scratch { places, dots, .. } = scratch;
        places.clear();
        places.extend(found.iter().map(Found::place));
        dots.resize(places.len(), 0.0);
        self.query.sketch.dot_listed(self.common.sketches, places, dots);
        for ((found, &place), &dot) in found.iter().zip(&*places).zip(&*dots) {
            let norm = self.common.norm(place as usize);
            let score = self.common.metric.of_directions(dot, self.query.norm, norm);
            if let Some(key) = found.key {
                top.push(score, key);
            }
        }
    }
}

/// Puts the best `count` to the front.
fn best_first(ranks: &mut [u64], count: usize) {
    if 0 < count && count < ranks.len() {
        ranks.select_nth_unstable_by(count, |a, b| b.cmp(a));
    }
}

/// A number that is the greater the greater the score is, and, among equal scores, the smaller the number.
#[inline]
fn rank(score: f32, number: u32) -> u64 {
    let bits = score.to_bits();
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ordered) << 32 | u64::from(!number)
}

/// The score of a rank.
fn score_of(rank: u64) -> f32 {
    let ordered = (rank >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}
