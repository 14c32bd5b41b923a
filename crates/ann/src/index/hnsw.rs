//! A graph in layers that is walked by sketches (Malkov, Yashunin, "Hierarchical Navigable Small World", 1603.09320).
//!
//! Every row is linked to rows that are like it, in different directions. A search walks from row to row, always from
//! the nearest that it has seen and not yet walked from, until it has walked from the `ef` nearest that it has seen.
//! Layers above the base hold every *m*-th row of the layer below, and lead to where the walk begins.
//!
//! Places are such that a layer holds the first of them: there is nothing to look up from one layer to the next, and
//! the walk begins at place 0. What always holds beside what the module above says: from place 0 links lead to every
//! row (unless the bytes are damaged); `admit` is asked only about rows that would be among the best, best first.
//!
//! Parts of its kind: numbers (u32: *m*, number of layers above the base, the rows of each, the least first); links of
//! the base (u32 places, 2*m* a row); links of the layers above (*m* a row, the layer of the least rows first). A link
//! that is not taken leads from a row to itself.

mod build;
mod likeness;
mod order;
mod select;
mod walk;

use std::cell::Cell;
use std::ops::RangeInclusive;

use crate::TopK;
use crate::codec::CodecError;
use crate::codec::wire::{Reader, malformed, put_u32s};

use super::parts::Parts;
use super::{Common, IndexQuery};
pub(super) use build::build;
use walk::{Seen, Walk};

/// Links of a row in the layers above the base that make sense.
const LINKS: RangeInclusive<usize> = 4..=64;

/// More layers than any graph has.
const MOST_LAYERS: usize = 32;

mod of_kind {
    use super::super::part::OF_KIND;

    pub(super) const NUMBERS: usize = OF_KIND;
    pub(super) const BASE: usize = OF_KIND + 1;
    pub(super) const UPPER: usize = OF_KIND + 2;
}

/// See the module.
#[derive(Debug)]
pub(super) struct Hnsw {
    m: usize,
    /// Rows of the layers above the base, the least first.
    counts: Vec<usize>,
}

/// A graph that was built.
pub(super) struct Built {
    /// The ordinal of each place: neighbours lie near each other.
    pub(super) order: Vec<u32>,
    /// The parts of its kind.
    pub(super) parts: Vec<Vec<u8>>,
}

/// Where links are, by place.
#[derive(Clone, Copy)]
pub(super) struct Graph<'a> {
    m: usize,
    base: &'a [u32],
    upper: &'a [u32],
    counts: &'a [usize],
}

impl<'a> Graph<'a> {
    fn links(&self, place: u32) -> &'a [u32] {
        &self.base[place as usize * 2 * self.m..][..2 * self.m]
    }

    /// The layers above the base, from the top.
    fn layers(&self) -> impl Iterator<Item = &'a [u32]> {
        self.counts.iter().scan(self.upper, |rest, count| {
            let (layer, below) = rest.split_at(count * self.m);
            *rest = below;
            Some(layer)
        })
    }

    /// See [`VectorIndex::search`](super::VectorIndex::search). Returns how many rows were looked at.
    pub(super) fn search<K: Ord + Copy>(
        &self,
        common: &Common<'_>,
        queries: &[IndexQuery],
        efforts: &[usize],
        admit: &mut impl FnMut(usize, u32) -> Option<K>,
        tops: &mut [TopK<K>],
    ) -> usize {
        let rows = common.ordinals.len();
        if rows == 0 {
            return 0;
        }
        let mut walk = WALK.take();
        let mut looked_at = 0;
        for (number, ((query, effort), top)) in queries.iter().zip(efforts).zip(tops).enumerate() {
            let ef = (*effort).max(top.k()).clamp(1, rows);
            walk.towards(self, rows, ef, &mut |places: &[u32], scores: &mut [f32]| {
                common.score_listed(query, places, scores);
            });
            looked_at += walk.pool.len() + walk.rest.len();
            let mut offer = |seen: &Seen, top: &mut TopK<K>| {
                // All that come after one that is not good enough are no better.
                let good = seen.score >= top.threshold();
                if good && let Some(key) = admit(number, common.ordinals[seen.place as usize]) {
                    top.push(seen.score, key);
                }
                good
            };
            let all_good = walk.pool.iter().all(|seen| offer(seen, top));
            // What fell out of the pool is worse than all in it: it is asked for only where too few are admitted.
            if all_good && top.len() < top.k() {
                walk.rest.sort_unstable_by(Seen::best_first);
                walk.rest.iter().take_while(|seen| offer(seen, top)).for_each(drop);
            }
        }
        WALK.set(walk);
        looked_at
    }
}

thread_local! {
    /// What a walk needs to remember is as big as the graph, and used again by the next.
    static WALK: Cell<Walk> = Cell::default();
}

impl Hnsw {
    /// Reads its parts and checks them.
    ///
    /// # Errors
    /// [`CodecError::Malformed`] for what a search could fall over.
    pub(super) fn open(bytes: &[u8], parts: &Parts, common: &Common<'_>) -> Result<Self, CodecError> {
        let rows = common.ordinals.len();
        let mut numbers = Reader::new(parts.bytes(bytes, of_kind::NUMBERS));
        let [m, layer_count] = [numbers.u32s(1)?[0] as usize, numbers.u32s(1)?[0] as usize];
        if !LINKS.contains(&m) || layer_count > MOST_LAYERS {
            return Err(malformed("a graph of so many links or layers there is not"));
        }
        let counts: Vec<usize> = numbers.u32s(layer_count)?.iter().map(|count| *count as usize).collect();
        numbers.end()?;
        if counts.iter().any(|count| !(1..=rows).contains(count)) || !counts.is_sorted() {
            return Err(malformed("a layer has not as many rows as it could"));
        }
        let check = |part: &[u8], links: usize, rows: usize| {
            let (words, rest) = part.as_chunks::<4>();
            if !rest.is_empty() || Some(words.len()) != rows.checked_mul(links) {
                return Err(malformed("a layer has not as many links as it should"));
            }
            // Without a branch for each, since there are many.
            let greatest = words.iter().fold(0, |most, word| u32::from_le_bytes(*word).max(most));
            if greatest as usize >= rows && rows > 0 {
                return Err(malformed("a link leads nowhere"));
            }
            Ok(())
        };
        check(parts.bytes(bytes, of_kind::BASE), 2 * m, rows)?;
        let mut upper = Reader::new(parts.bytes(bytes, of_kind::UPPER));
        for count in &counts {
            let bytes = count.checked_mul(4 * m).ok_or_else(|| malformed("a layer is too big"))?;
            check(upper.bytes(bytes)?, m, *count)?;
        }
        upper.end()?;
        Ok(Self { m, counts })
    }

    /// The graph where it lies.
    pub(super) fn graph<'a>(&'a self, bytes: &'a [u8], parts: &Parts) -> Graph<'a> {
        Graph {
            m: self.m,
            base: parts.u32s(bytes, of_kind::BASE),
            upper: parts.u32s(bytes, of_kind::UPPER),
            counts: &self.counts,
        }
    }
}

/// The parts of a graph, as [`Hnsw::open`] reads them.
fn write(graph: &Graph<'_>) -> Vec<Vec<u8>> {
    let mut numbers = Vec::new();
    put_u32s(&mut numbers, &[graph.m as u32, graph.counts.len() as u32]);
    put_u32s(&mut numbers, &graph.counts.iter().map(|count| *count as u32).collect::<Vec<_>>());
    let part = |links: &[u32]| {
        let mut bytes = Vec::with_capacity(4 * links.len());
        put_u32s(&mut bytes, links);
        bytes
    };
    vec![numbers, part(graph.base), part(graph.upper)]
}

#[cfg(test)]
#[path = "hnsw_tests.rs"]
mod tests;
