//! Links rows, many at a time, yet always the same.
//!
//! Rows are taken in an order of chance. A batch of them looks for neighbours in the graph of those before, on all
//! threads, and only then is linked, in order: so the graph does not depend on how many threads there are. A batch is
//! no more than a part of what is linked already, so that few miss each other (as in ParlayANN, 2305.04359).
//!
//! A layer above the base is what the base was when there were as many rows as it has, with half the links: rows of
//! chance, linked to each other. That is what the paper comes to with another way of counting: there a row's layers
//! are drawn, here it is how many rows a layer has.

use std::sync::{Mutex, PoisonError};

use crate::Metric;
use crate::codec::{CodecError, TrainControl};
use crate::linear::in_parallel;
use crate::random::Random;

use super::super::IndexSpec;
use super::super::sketch::Sketcher;
use super::likeness::{Held, Likeness};
use super::select::select;
use super::walk::{Seen, Walk};
use super::{Built, Graph, LINKS, order};

/// A batch is at most this share of the rows that are linked, and at most so many.
const SHARE: usize = 16;
const MOST_IN_BATCH: usize = 4096;

/// Rows that one thread takes at a time.
const PIECE: usize = 16;

/// What chance is for.
const ORDER_STREAM: u64 = 0x6772_6170;

/// Links rows by their sketches, which are by ordinal.
///
/// # Errors
/// [`CodecError::Spec`] if there are too few or too many links to a row; [`CodecError::Stopped`] if `control` said so.
pub(in super::super) fn build(
    spec: &IndexSpec,
    metric: Metric,
    sketcher: &Sketcher,
    sketches: &[u8],
    norms: &[f32],
    control: &TrainControl<'_>,
) -> Result<Built, CodecError> {
    if !LINKS.contains(&spec.m) {
        return Err(CodecError::Spec("links of a row: from 4 to 64".to_owned()));
    }
    let rows = sketches.len() / sketcher.bytes();
    let mut by_chance: Vec<u32> = (0..rows as u32).collect();
    Random::new(control.seed, ORDER_STREAM).shuffle_first(rows, &mut by_chance);
    let likeness = Likeness::new(metric, sketcher, &by_chance, sketches, norms, control.threads);
    let mut growing = Growing::new(spec, &likeness);
    growing.grow(control)?;
    growing.reach_all();
    let (places, links) = order::near_together(&growing.graph(), &growing.begun);
    Ok(Built {
        order: places.iter().map(|row| by_chance[*row as usize]).collect(),
        parts: super::write(&links.graph(spec.m)),
    })
}

/// A graph on the way. Rows are in the order in which they are linked.
struct Growing<'a> {
    likeness: &'a Likeness,
    m: usize,
    ef: usize,
    /// Rows that are linked.
    linked: usize,
    base: Vec<u32>,
    /// Where the walk that linked a row came into the base.
    begun: Vec<u32>,
    upper: Vec<u32>,
    /// Rows of the layers that there are.
    counts: Vec<usize>,
    /// What threads work with, while none does.
    tools: Mutex<Vec<Tools>>,
}

#[derive(Default)]
struct Tools {
    walk: Walk,
    held: Held,
}

impl<'a> Growing<'a> {
    fn new(spec: &IndexSpec, likeness: &'a Likeness) -> Self {
        // Rows are linked to themselves, which is to nothing.
        let base = (0..likeness.rows() as u32).flat_map(|row| std::iter::repeat_n(row, 2 * spec.m)).collect();
        Self {
            likeness,
            m: spec.m,
            ef: spec.ef_construction.max(spec.m),
            linked: 0,
            base,
            begun: vec![0; likeness.rows()],
            upper: Vec::new(),
            counts: Vec::new(),
            tools: Mutex::default(),
        }
    }

    fn graph(&self) -> Graph<'_> {
        Graph { m: self.m, base: &self.base, upper: &self.upper, counts: &self.counts }
    }

    fn grow(&mut self, control: &TrainControl<'_>) -> Result<(), CodecError> {
        let rows = self.likeness.rows();
        let mut layers = layer_counts(rows, self.m);
        // The first has nothing to be linked to.
        self.linked = rows.min(1);
        while self.linked < rows {
            control.check()?;
            let end = layers.last().copied().unwrap_or(rows);
            let batch = (self.linked / SHARE).clamp(1, MOST_IN_BATCH).min(end - self.linked);
            self.link(batch, control.threads);
            if self.linked == end && layers.pop().is_some() {
                self.keep_as_layer(control.threads);
            }
            (control.progress)(self.linked as f32 / rows as f32);
        }
        Ok(())
    }

    /// Links the next rows.
    fn link(&mut self, batch: usize, threads: usize) {
        let first = self.linked;
        let found = in_parallel(threads, batch.div_ceil(PIECE), |at| {
            let rows = first + at * PIECE..first + batch.min((at + 1) * PIECE);
            self.with_tools(|tools| rows.map(|row| self.neighbours(row as u32, tools)).collect::<Vec<_>>())
        });
        let mut back: Vec<(u32, u32)> = Vec::with_capacity(batch * self.m);
        for (row, (begun, neighbours)) in (first..).zip(found.iter().flatten()) {
            self.begun[row] = *begun;
            self.base[row * 2 * self.m..][..neighbours.len()].copy_from_slice(neighbours);
            back.extend(neighbours.iter().map(|to| (*to, row as u32)));
        }
        back.sort_unstable();
        let back: Vec<&[(u32, u32)]> = back.chunk_by(|a, b| a.0 == b.0).collect();
        let relinked = in_parallel(threads, back.len().div_ceil(PIECE), |at| {
            let some = &back[at * PIECE..back.len().min((at + 1) * PIECE)];
            self.with_tools(|tools| {
                some.iter().map(|back| self.with_links_back(back, tools)).collect::<Vec<_>>()
            })
        });
        for (back, links) in back.iter().zip(relinked.iter().flatten()) {
            let row = back[0].0;
            let room = &mut self.base[row as usize * 2 * self.m..][..2 * self.m];
            room.fill(row);
            room[..links.len()].copy_from_slice(links);
        }
        self.linked += batch;
    }

    /// Where the walk that links a row came into the base, and the rows that it is linked to.
    fn neighbours(&self, row: u32, tools: &mut Tools) -> (u32, Vec<u32>) {
        let Tools { walk, held } = tools;
        self.likeness.hold(row, held);
        walk.towards(
            &self.graph(),
            self.likeness.rows(),
            self.ef,
            &mut |rows: &[u32], scores: &mut [f32]| {
                self.likeness.scores(held, rows, scores);
            },
        );
        (walk.begun, select(self.likeness, &walk.pool, self.m, held))
    }

    /// The links of a row, with those back to the rows that were linked to it: all of them, or those that lead in
    /// different directions where they are too many.
    fn with_links_back(&self, back: &[(u32, u32)], tools: &mut Tools) -> Vec<u32> {
        let row = back[0].0;
        let mut links: Vec<u32> = self.links(row).collect();
        links.extend(back.iter().map(|(_, from)| *from));
        if links.len() > 2 * self.m { self.best_links(row, &links, 2 * self.m, tools) } else { links }
    }

    fn links(&self, row: u32) -> impl Iterator<Item = u32> {
        self.graph().links(row).iter().copied().filter(move |to| *to != row)
    }

    fn best_links(&self, row: u32, links: &[u32], most: usize, tools: &mut Tools) -> Vec<u32> {
        let mut scores = vec![0.0; links.len()];
        self.likeness.hold(row, &mut tools.held);
        self.likeness.scores(&mut tools.held, links, &mut scores);
        let mut seen: Vec<Seen> = links.iter().zip(scores).map(|(to, score)| Seen::new(score, *to)).collect();
        seen.sort_unstable_by(Seen::best_first);
        select(self.likeness, &seen, most, &mut tools.held)
    }

    /// Makes what there is a layer above what will be.
    fn keep_as_layer(&mut self, threads: usize) {
        let links = in_parallel(threads, self.linked.div_ceil(PIECE), |at| {
            let rows = at * PIECE..self.linked.min((at + 1) * PIECE);
            self.with_tools(|tools| {
                let mut all = Vec::with_capacity(rows.len() * self.m);
                for row in rows {
                    let links: Vec<u32> = self.links(row as u32).collect();
                    let links = self.best_links(row as u32, &links, self.m, tools);
                    all.extend_from_slice(&links);
                    all.extend(std::iter::repeat_n(row as u32, self.m - links.len()));
                }
                all
            })
        });
        self.upper.extend(links.into_iter().flatten());
        self.counts.push(self.linked);
    }

    /// Sees to it that links lead from the first row to all others.
    fn reach_all(&mut self) {
        order::reach_all(&mut self.base, self.m);
    }

    fn with_tools<T>(&self, work: impl FnOnce(&mut Tools) -> T) -> T {
        let lock = || self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tools = lock().pop().unwrap_or_default();
        let result = work(&mut tools);
        lock().push(tools);
        result
    }
}

/// The rows of the layers above the base, the greatest first: every m-th row of the layer below, as long as there are two.
fn layer_counts(rows: usize, m: usize) -> Vec<usize> {
    std::iter::successors(Some(rows / m), |count| Some(count / m)).take_while(|count| *count >= 2).collect()
}
