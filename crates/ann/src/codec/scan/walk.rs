//! The walk through the blocks: chunk by chunk, in each the heads of all blocks, then the tails of fewer and fewer, then
//! the rows that are left, the most promising first.

use crate::kernels::look_up::{Look, SOME, Shape, row_of};

use super::*;

/// Blocks of a chunk: what of them is read stays in the cache while one query after the other looks at it.
const CHUNK_BLOCKS: usize = 64;

/// Blocks of the first chunk, at least. Each of the next is twice as long as the one before, up to [`CHUNK_BLOCKS`]:
/// the sooner the first rows are in `top`, the fewer others need a closer look.
const FIRST_BLOCKS: usize = 4;

/// Rows of the first chunk for each place of `top`, at least.
const FIRST_ROWS_PER_PLACE: usize = 16;

/// Queries that go through the codes together: more would need more tables than the cache holds.
const GROUP_QUERIES: usize = 32;

/// Blocks, evenly spread, from which it is learned what tails may add.
const LEARNED_BLOCKS: usize = 4;

/// With fewer blocks than this nothing is learned, and tails are looked at as heads are.
const LEAST_BLOCKS: usize = 32;

/// Blocks of which it is asked together what their rows have in common.
const SPAN_BLOCKS: usize = 16;

/// What all rows of some blocks have in common.
pub(super) struct Facts {
    /// Shortest and longest.
    pub(super) norms: (f32, f32),
    /// Least and greatest number in the side bytes.
    pub(super) sides: [u16; 2],
}

/// A scan with its tables at hand.
pub(super) struct Ready<'s> {
    number: usize,
    scan: &'s CodeScan<'s>,
    pub(super) estimate: &'s Estimate,
    pub(super) tables: &'s NibbleTables,
    bounds: Vec<Bound>,
}

/// A row that may be among the best.
#[derive(Clone, Copy)]
struct Candidate {
    /// Its score is not above this, but for the chance in the estimate.
    score: f32,
    row: u32,
}

/// What is found out about a chunk for one query.
#[derive(Default)]
struct Found {
    bars: Vec<u16>,
    sums: Vec<[u16; ROWS]>,
    masks: Vec<u64>,
}

/// Some blocks, one behind the other, and what is known of them all.
struct Chunk<'a> {
    rows: CodedRows<'a>,
    blocks: Range<usize>,
    /// One a span.
    facts: Vec<Facts>,
    /// The lanes that may be seen.
    selected: Vec<u64>,
    /// All of the blocks, from 0.
    places: Vec<u32>,
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
            Some((estimate, tables)) => ready.push(Ready::new(number, scan, estimate, tables, rows)),
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

fn chunks<K: Ord + Copy>(
    group: &[Ready<'_>],
    rows: CodedRows<'_>,
    mut listed: Option<&[u32]>,
    admit: &mut impl FnMut(usize, u32) -> Option<K>,
    tops: &mut [TopK<K>],
) {
    let places = group.iter().map(|ready| tops[ready.number].k()).max().unwrap_or(0);
    let first = places.saturating_mul(FIRST_ROWS_PER_PLACE).div_ceil(ROWS);
    let mut length = first.clamp(FIRST_BLOCKS, CHUNK_BLOCKS);
    let by_norms = group.iter().any(|ready| ready.scan.metric != Metric::Cosine);
    let mut found: [Found; SOME] = Default::default();
    let (mut some, mut candidates) = (Vec::new(), Vec::new());
    let blocks = rows.codes.rows().div_ceil(ROWS);
    let mut block = 0;
    while block < blocks {
        let chunk = Chunk::new(rows, block..blocks.min(block + length), by_norms, &mut listed);
        for some_ready in group.chunks(found.len()) {
            for found in &mut found {
                found.reset(chunk.blocks.len());
            }
            for stage in 0..some_ready[0].estimate.head_stages {
                let mut looks = Vec::with_capacity(found.len());
                for (ready, found) in some_ready.iter().zip(&mut found) {
                    let threshold = tops[ready.number].threshold();
                    looks.push(found.look(ready, stage, &chunk.places, &chunk, threshold));
                }
                some_ready[0].look_up(stage, &chunk.places, &chunk, &mut looks);
            }
            for (ready, found) in some_ready.iter().zip(&mut found) {
                let top = &mut tops[ready.number];
                for stage in ready.estimate.head_stages..ready.estimate.stages.len() {
                    some.clear();
                    some.extend(chunk.places.iter().filter(|&&place| {
                        let place = place as usize;
                        found.masks[place] & chunk.selected[place] != 0
                    }));
                    let look = found.look(ready, stage, &some, &chunk, top.threshold());
                    ready.look_up(stage, &some, &chunk, &mut [look]);
                }
                candidates.clear();
                ready.collect(&chunk, found, top.threshold(), &mut candidates);
                let in_order = block == 0 || top.threshold() > f32::NEG_INFINITY;
                let (best, others) = best_first(&mut candidates, if in_order { 4 * top.k() } else { 0 });
                ready.visit(rows, best, admit, top);
                ready.visit(rows, others, admit, top);
            }
        }
        block += length;
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

impl<'a> Chunk<'a> {
    fn new(rows: CodedRows<'a>, blocks: Range<usize>, by_norms: bool, listed: &mut Option<&[u32]>) -> Self {
        let spans = blocks.clone().step_by(SPAN_BLOCKS);
        let span = |first: usize| first..blocks.end.min(first + SPAN_BLOCKS);
        let facts = spans.map(|first| Facts::of(rows, span(first), by_norms)).collect();
        let selected = blocks.clone().map(|block| lanes_of(rows, block, listed)).collect();
        let places = (0..blocks.len() as u32).collect();
        Self { rows, blocks, facts, selected, places }
    }
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
    fn of(rows: CodedRows<'_>, blocks: Range<usize>, by_norms: bool) -> Self {
        let CodeLayout { head, side, .. } = rows.codes.layout();
        let mut norms = (1.0, 1.0);
        if by_norms {
            let (from, to) = (blocks.start * ROWS, blocks.end * ROWS);
            norms = range(&rows.norms[from..to.min(rows.norms.len())], f32::INFINITY, 0.0);
        }
        // Of two bytes the high one alone.
        let (mut low, mut high) = (u8::MAX, 0);
        if side > 0 {
            for block in blocks {
                let at = (block * (head + side) + head + side - 1) * ROWS;
                let (least, greatest) = range(&rows.codes.blocks()[at..at + ROWS], u8::MAX, 0);
                (low, high) = (low.min(least), high.max(greatest));
            }
        }
        let sides = match side {
            0 => [0, 0],
            1 => [u16::from(low), u16::from(high)],
            _ => [u16::from_le_bytes([0, low]), u16::from_le_bytes([u8::MAX, high])],
        };
        Self { norms, sides }
    }
}

/// The least and the greatest of these and those; what is not a number is neither. In lanes, for the compiler.
fn range<T: Copy + PartialOrd>(numbers: &[T], above: T, below: T) -> (T, T) {
    const LANES: usize = 16;
    let (mut lows, mut highs) = ([above; LANES], [below; LANES]);
    let (chunks, rest) = numbers.as_chunks::<LANES>();
    for chunk in chunks {
        for ((low, high), &x) in lows.iter_mut().zip(&mut highs).zip(chunk) {
            *low = if x < *low { x } else { *low };
            *high = if x > *high { x } else { *high };
        }
    }
    for ((low, high), &x) in lows.iter_mut().zip(&mut highs).zip(rest) {
        *low = if x < *low { x } else { *low };
        *high = if x > *high { x } else { *high };
    }
    let low = lows.into_iter().fold(above, |a, b| if b < a { b } else { a });
    (low, highs.into_iter().fold(below, |a, b| if b > a { b } else { a }))
}

impl Found {
    fn reset(&mut self, blocks: usize) {
        self.bars.resize(blocks, 0);
        self.masks.resize(blocks, 0);
        self.sums.resize(blocks, [0; ROWS]);
    }

    fn look<'a>(
        &'a mut self,
        ready: &'a Ready<'_>,
        stage: usize,
        places: &[u32],
        chunk: &Chunk<'_>,
        threshold: f32,
    ) -> Look<'a> {
        let mut known = (usize::MAX, 0);
        // Within the head nobody asks for the mask.
        let places = if stage + 1 < ready.estimate.head_stages { &[] } else { places };
        for &place in places {
            let span = place as usize / SPAN_BLOCKS;
            if known.0 != span {
                known = (span, ready.scan.bar(ready, ready.bounds[stage], threshold, &chunk.facts[span]));
            }
            self.bars[place as usize] = known.1;
        }
        let (tables, shift) = (ready.estimate.tables_of(stage), ready.estimate.stages[stage].shift);
        Look { tables, shift, bars: &self.bars, sums: &mut self.sums, masks: &mut self.masks }
    }
}

impl<'s> Ready<'s> {
    fn new(
        number: usize,
        scan: &'s CodeScan<'_>,
        estimate: &'s Estimate,
        tables: &'s NibbleTables,
        rows: CodedRows<'_>,
    ) -> Self {
        let mut ready = Self { number, scan, estimate, tables, bounds: estimate.unlearned() };
        // The last block may not be full.
        let full = rows.codes.rows() / ROWS;
        if estimate.stages.len() > estimate.head_stages && full >= LEAST_BLOCKS {
            ready.bounds = estimate.learn(&ready.some_sums(rows, full));
        }
        ready
    }

    /// The sums of some rows after each stage.
    fn some_sums(&self, rows: CodedRows<'_>, full: usize) -> Vec<Vec<u16>> {
        let mut sums = vec![Vec::new(); self.estimate.stages.len()];
        let mut here = [[0; ROWS]];
        for part in 0..LEARNED_BLOCKS {
            let block = (2 * part + 1) * full / (2 * LEARNED_BLOCKS);
            let chunk = Chunk {
                rows,
                blocks: block..block + 1,
                facts: Vec::new(),
                selected: Vec::new(),
                places: vec![0],
            };
            for (stage, sums) in sums.iter_mut().enumerate() {
                let (tables, shift) = (self.estimate.tables_of(stage), self.estimate.stages[stage].shift);
                let look = Look { tables, shift, bars: &[0], sums: &mut here, masks: &mut [0] };
                self.look_up(stage, &[0], &chunk, &mut [look]);
                sums.extend_from_slice(&here[0]);
            }
        }
        sums
    }

    /// Adds up the columns of a stage, of some blocks of a chunk.
    fn look_up(&self, stage: usize, places: &[u32], chunk: &Chunk<'_>, looks: &mut [Look<'_>]) {
        let (layout, columns) = (self.scan.layout, &self.estimate.stages[stage].columns);
        let (bytes, block_bytes, before) = if columns.start < layout.head {
            (chunk.rows.codes.blocks(), layout.block_bytes(), 0)
        } else {
            (chunk.rows.codes.tails(), layout.tail * ROWS, layout.head)
        };
        let bytes = &bytes[chunk.blocks.start * block_bytes..chunk.blocks.end * block_bytes];
        let columns = columns.start - before..columns.end - before;
        let shape = Shape { block_bytes, columns, dense: false };
        self.scan.kernels.scan(&shape, bytes, places, looks);
    }

    /// The rows of a chunk that may come to the threshold, all of their bytes being looked up.
    fn collect(&self, chunk: &Chunk<'_>, found: &Found, threshold: f32, candidates: &mut Vec<Candidate>) {
        let Some(&bound) = self.bounds.last() else { return };
        for (block, (&mask, &selected)) in found.masks.iter().zip(&chunk.selected).enumerate() {
            let mut lanes = mask & selected;
            while lanes != 0 {
                let lane = lanes.trailing_zeros() as usize;
                lanes &= lanes - 1;
                let row = (chunk.blocks.start + block) * ROWS + row_of(lane);
                let scale = scale_of(self.tables, chunk.rows, row);
                let sum = bound.of(found.sums[block][lane]);
                let dot = if scale < 0.0 { f32::MAX } else { self.tables.offset + scale * sum };
                let score = self.scan.score_of(dot, chunk.rows.norm(row));
                if score >= threshold {
                    candidates.push(Candidate { score, row: row as u32 });
                }
            }
        }
    }

    fn visit<K: Ord + Copy>(
        &self,
        rows: CodedRows<'_>,
        candidates: &[Candidate],
        admit: &mut impl FnMut(usize, u32) -> Option<K>,
        top: &mut TopK<K>,
    ) {
        let mut code = Vec::new();
        let mut score = |row: u32| self.scan.score_unchecked(rows, row as usize, &mut code);
        for &Candidate { score: at_most, row } in candidates {
            let threshold = top.threshold();
            if threshold == f32::NEG_INFINITY {
                // Any score would enter: so the question, which is often answered by no, comes first.
                if let Some(key) = admit(self.number, row) {
                    top.push(score(row), key);
                }
            } else if at_most >= threshold {
                let score = score(row);
                if score >= threshold
                    && let Some(key) = admit(self.number, row)
                {
                    top.push(score, key);
                }
            }
        }
    }
}
