//! The walk through the blocks: chunk by chunk, and within a chunk the most promising rows first.

use crate::kernels::look_up::{Look, ROWS, Shape, row_of};

use super::*;

/// Blocks of a chunk: their heads stay in the cache while one query after the other looks at them.
const CHUNK_BLOCKS: usize = 64;

/// Blocks of the first chunk, at least. Each of the next is twice as long as the one before, up to [`CHUNK_BLOCKS`]:
/// the sooner the first rows are in `top`, the fewer others need a closer look.
const FIRST_BLOCKS: usize = 4;

/// Rows of the first chunk for each place of `top`, at least.
const FIRST_ROWS_PER_PLACE: usize = 16;

/// Queries that go through the codes together: more would need more tables than the cache holds.
const GROUP_QUERIES: usize = 32;

/// Rows whose tails are requested from memory ahead of their use.
const TAILS_AHEAD: usize = 4;

/// What all rows of a block have in common.
pub(super) struct Facts {
    /// Shortest and longest.
    pub(super) norms: (f32, f32),
    /// Least and greatest number in the side bytes.
    pub(super) sides: [u16; 2],
}

/// A row that may be among the best.
#[derive(Clone, Copy)]
struct Candidate {
    /// Its score is not above this, but for the chance in the estimate.
    score: f32,
    row: u32,
    sum: u16,
}

/// What is found out about a chunk for one query.
struct Found {
    bars: Vec<u16>,
    sums: Vec<[u16; ROWS]>,
    masks: Vec<u64>,
}

/// All rows, or those that are listed in ascending order, for all queries.
pub(super) fn all<K: Ord + Copy>(
    scans: &[CodeScan<'_>],
    rows: CodedRows<'_>,
    listed: Option<&[u32]>,
    admit: &mut impl FnMut(usize, u32) -> Option<K>,
    tops: &mut [TopK<K>],
) {
    let mut ready = Vec::with_capacity(scans.len());
    for (number, scan) in scans.iter().enumerate() {
        let top = &mut tops[number];
        if top.k() == 0 {
            continue;
        }
        match scan.tables() {
            Some((estimate, tables)) => ready.push(Walker { number, scan, estimate, tables }),
            None => {
                let all = 0..rows.codes.rows() as u32;
                super::walk::listed(scan, rows, all, |row| admit(number, row), top);
            }
        }
    }
    for group in ready.chunks(GROUP_QUERIES) {
        chunks(group, rows, listed, admit, tops);
    }
}

/// Listed rows, each looked at by itself.
pub(super) fn listed<K: Ord + Copy>(
    scan: &CodeScan<'_>,
    rows: CodedRows<'_>,
    listed: impl Iterator<Item = u32>,
    mut admit: impl FnMut(u32) -> Option<K>,
    top: &mut TopK<K>,
) {
    if top.k() == 0 {
        return;
    }
    let mut code = Vec::new();
    for row in listed {
        let score = scan.score_unchecked(rows, row as usize, &mut code);
        if score >= top.threshold()
            && let Some(key) = admit(row)
        {
            top.push(score, key);
        }
    }
}

/// A scan with its tables at hand.
struct Walker<'s, 'c> {
    number: usize,
    scan: &'s CodeScan<'c>,
    estimate: &'s Estimate,
    tables: &'s NibbleTables,
}

fn chunks<K: Ord + Copy>(
    group: &[Walker<'_, '_>],
    rows: CodedRows<'_>,
    mut listed: Option<&[u32]>,
    admit: &mut impl FnMut(usize, u32) -> Option<K>,
    tops: &mut [TopK<K>],
) {
    let Some(first) = group.first() else { return };
    let layout = first.scan.layout;
    let shape = Shape { columns: layout.head, block_bytes: layout.block_bytes() };
    let places = group.iter().map(|walker| tops[walker.number].k()).max().unwrap_or(0);
    let mut length =
        places.saturating_mul(FIRST_ROWS_PER_PLACE).div_ceil(ROWS).clamp(FIRST_BLOCKS, CHUNK_BLOCKS);
    let mut found = [Found::new(), Found::new()];
    let (mut facts, mut selected, mut candidates) = (Vec::new(), Vec::new(), Vec::new());
    let by_norms = group.iter().any(|walker| walker.scan.metric != Metric::Cosine);
    let blocks = rows.codes.blocks().len() / shape.block_bytes;
    let mut block = 0;
    while block < blocks {
        let count = length.min(blocks - block);
        let bytes = &rows.codes.blocks()[block * shape.block_bytes..][..count * shape.block_bytes];
        facts.clear();
        facts.extend((block..block + count).map(|block| Facts::of(rows, block, by_norms)));
        selected.clear();
        selected.extend((block..block + count).map(|block| lanes_of(rows, block, &mut listed)));
        for pair in group.chunks(found.len()) {
            let mut looks = Vec::with_capacity(found.len());
            for (walker, found) in pair.iter().zip(&mut found) {
                let threshold = tops[walker.number].threshold();
                looks.push(found.look(walker, &facts, threshold));
            }
            first.scan.kernels.scan(shape, bytes, &mut looks);
            for (walker, found) in pair.iter().zip(&found) {
                let top = &mut tops[walker.number];
                candidates.clear();
                walker.collect(rows, block, found, &selected, top.threshold(), &mut candidates);
                let ahead = if block == 0 || top.threshold() > f32::NEG_INFINITY { 4 * top.k() } else { 0 };
                let (best, others) = best_first(&mut candidates, ahead);
                walker.visit(rows, best, admit, top);
                walker.visit(rows, others, admit, top);
            }
        }
        block += count;
        length = (2 * length).min(CHUNK_BLOCKS);
    }
}

/// The `ahead` best, in order, and the others.
fn best_first(candidates: &mut [Candidate], ahead: usize) -> (&[Candidate], &[Candidate]) {
    let better = |a: &Candidate, b: &Candidate| b.score.total_cmp(&a.score);
    let ahead = ahead.min(candidates.len());
    if 0 < ahead && ahead < candidates.len() {
        candidates.select_nth_unstable_by(ahead, better);
    }
    let (best, others) = candidates.split_at_mut(ahead);
    best.sort_unstable_by(better);
    (best, others)
}

/// The lanes of a block that are rows, and listed ones, if there is a list; it is shortened by what was taken.
fn lanes_of(rows: CodedRows<'_>, block: usize, listed: &mut Option<&[u32]>) -> u64 {
    let first = block * ROWS;
    if let Some(listed) = listed {
        let count = listed.iter().take_while(|&&row| (row as usize) < first + ROWS).count();
        let (here, later) = listed.split_at(count);
        *listed = later;
        return here.iter().fold(0, |lanes, &row| lanes | 1 << lane_of(row as usize - first));
    }
    match rows.codes.rows() - first {
        ROWS.. => u64::MAX,
        count => (0..count).fold(0, |lanes, row| lanes | 1 << lane_of(row)),
    }
}

impl Facts {
    fn of(rows: CodedRows<'_>, block: usize, by_norms: bool) -> Self {
        let layout = rows.codes.layout();
        let mut norms = (1.0, 1.0);
        if by_norms {
            let from = block * ROWS;
            let here = &rows.norms[from..(from + ROWS).min(rows.norms.len())];
            let lowest = here.iter().copied().fold(f32::INFINITY, f32::min);
            norms = (lowest, here.iter().copied().fold(0.0, f32::max));
        }
        let column = |at: usize| &rows.block_of(block * ROWS)[(layout.head + at) * ROWS..][..ROWS];
        let range = |at: usize| {
            let (mut low, mut high) = (u8::MAX, 0);
            for &byte in column(at) {
                (low, high) = (low.min(byte), high.max(byte));
            }
            [low, high]
        };
        let sides = match layout.side {
            0 => [0, 0],
            1 => range(0).map(u16::from),
            // By the high byte alone.
            _ => {
                let [low, high] = range(1);
                [u16::from_le_bytes([0, low]), u16::from_le_bytes([u8::MAX, high])]
            }
        };
        Self { norms, sides }
    }
}

impl Found {
    const fn new() -> Self {
        Self { bars: Vec::new(), sums: Vec::new(), masks: Vec::new() }
    }

    fn look<'a>(&'a mut self, walker: &Walker<'a, '_>, facts: &[Facts], threshold: f32) -> Look<'a> {
        let bar = |facts: &Facts| walker.scan.bar(walker.estimate, walker.tables, threshold, facts);
        self.bars.clear();
        self.bars.extend(facts.iter().map(bar));
        self.sums.resize(facts.len(), [0; ROWS]);
        self.masks.resize(facts.len(), 0);
        Look {
            tables: &walker.estimate.tables,
            bars: &self.bars,
            sums: &mut self.sums[..facts.len()],
            masks: &mut self.masks[..facts.len()],
        }
    }
}

impl Walker<'_, '_> {
    /// The rows of a chunk that may come to the threshold, by what is known of their heads.
    fn collect(
        &self,
        rows: CodedRows<'_>,
        first_block: usize,
        found: &Found,
        selected: &[u64],
        threshold: f32,
        candidates: &mut Vec<Candidate>,
    ) {
        for (block, (&mask, &selected)) in found.masks.iter().zip(selected).enumerate() {
            let mut lanes = mask & selected;
            while lanes != 0 {
                let lane = lanes.trailing_zeros() as usize;
                lanes &= lanes - 1;
                let row = (first_block + block) * ROWS + row_of(lane);
                let sum = found.sums[block][lane];
                let score = self.at_most(rows, row, sum, 0.0, 0);
                if score >= threshold {
                    candidates.push(Candidate { score, row: row as u32, sum });
                }
            }
        }
    }

    /// What a row's score will hardly exceed, so many steps of its tail being known to make `tail`.
    fn at_most(&self, rows: CodedRows<'_>, row: usize, sum: u16, tail: f32, steps: usize) -> f32 {
        let scale = self.scan.scale_of(self.tables, rows, row);
        let sum = self.estimate.unit * f32::from(sum) + (tail + self.estimate.rests[steps]);
        let dot = if scale < 0.0 { f32::MAX } else { self.tables.offset + scale * sum };
        self.scan.score_of(dot, rows.norm(row))
    }

    fn visit<K: Ord + Copy>(
        &self,
        rows: CodedRows<'_>,
        candidates: &[Candidate],
        admit: &mut impl FnMut(usize, u32) -> Option<K>,
        top: &mut TopK<K>,
    ) {
        for (at, candidate) in candidates.iter().enumerate() {
            if let Some(later) = candidates.get(at + TAILS_AHEAD) {
                self.scan.kernels.prefetch(rows.codes.tail(later.row as usize));
            }
            let threshold = top.threshold();
            if threshold == f32::NEG_INFINITY {
                // Any score would enter: so the question, which is often answered by no, comes first.
                if let Some(key) = admit(self.number, candidate.row)
                    && let Some(score) = self.score(rows, candidate, threshold)
                {
                    top.push(score, key);
                }
            } else if candidate.score >= threshold
                && let Some(score) = self.score(rows, candidate, threshold)
                && score >= threshold
                && let Some(key) = admit(self.number, candidate.row)
            {
                top.push(score, key);
            }
        }
    }

    /// The score of a candidate, unless part of its tail shows that it will hardly come to the threshold.
    fn score(&self, rows: CodedRows<'_>, candidate: &Candidate, threshold: f32) -> Option<f32> {
        let row = candidate.row as usize;
        let mut tail = 0.0;
        for (step, (tables, bytes)) in tail_steps(self.tables, rows, row).enumerate() {
            tail += nibbles::sum(tables, bytes);
            if self.at_most(rows, row, candidate.sum, tail, step + 1) < threshold {
                return None;
            }
        }
        let dot = self.scan.dot_of(self.tables, rows, row, tail);
        Some(self.scan.score_of(dot, rows.norm(row)))
    }
}
