//! The walk through a graph: what a search does, and what a build does to find out where to link a row.
//!
//! The rows seen are kept in order in a pool of `ef`, rather than in two heaps as the paper has it: the next to walk
//! from is the first that was not walked from, and where that may be is known from what has come in since.

use std::cmp::Ordering;

use super::Graph;
use crate::Kernels;

/// A row that was looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    /// Higher is nearer.
    pub(super) score: f32,
    pub(super) place: u32,
    walked: bool,
}

impl Seen {
    pub(super) fn new(score: f32, place: u32) -> Self {
        Self { score, place, walked: false }
    }

    /// The higher score first, the lower place among equals.
    pub(super) fn best_first(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.place.cmp(&other.place))
    }
}

/// What a walk remembers.
#[derive(Default)]
pub(super) struct Walk {
    /// The best that were seen, the best first.
    pub(super) pool: Vec<Seen>,
    /// All others that were seen.
    pub(super) rest: Vec<Seen>,
    /// Where it came into the base.
    pub(super) begun: u32,
    /// By place: the last round in which it was seen.
    seen: Vec<u8>,
    round: u8,
    fresh: Vec<u32>,
    scores: Vec<f32>,
}

/// Scores listed places; never NaN.
pub(super) trait Scorer: FnMut(&[u32], &mut [f32]) {}

impl<F: FnMut(&[u32], &mut [f32])> Scorer for F {}

impl Walk {
    /// Fills the pool with the `ef` nearest, of all that are seen on the way, of the first `rows` rows of a graph.
    pub(super) fn towards(&mut self, graph: &Graph<'_>, rows: usize, ef: usize, score: &mut impl Scorer) {
        self.begin(rows);
        let [first, start] = self.start(graph, score);
        self.begun = start.place;
        // From place 0 every row can be reached, from another perhaps not.
        for seen in [first, start] {
            if std::mem::replace(&mut self.seen[seen.place as usize], self.round) != self.round {
                self.keep(seen, ef);
            }
        }
        let mut next = 0;
        while let Some(at) = self.pool.get_mut(next) {
            at.walked = true;
            let place = at.place;
            self.fresh.clear();
            for &link in graph.links(place) {
                let seen = &mut self.seen[link as usize];
                if *seen != self.round {
                    *seen = self.round;
                    self.fresh.push(link);
                }
            }
            next += 1;
            next += self.pool[next..].iter().take_while(|seen| seen.walked).count();
            // Where the walk goes on if nothing nearer comes in.
            if let Some(seen) = self.pool.get(next) {
                fetch(graph.links(seen.place));
            }
            self.scores.resize(self.fresh.len(), 0.0);
            score(&self.fresh, &mut self.scores);
            for at in 0..self.fresh.len() {
                let new = Seen::new(self.scores[at], self.fresh[at]);
                let place = self.keep(new, ef);
                if place <= next {
                    fetch(graph.links(new.place));
                    next = place;
                }
            }
        }
    }

    fn begin(&mut self, rows: usize) {
        self.pool.clear();
        self.rest.clear();
        if self.round == u8::MAX {
            self.seen.fill(0);
            self.round = 0;
        }
        self.round += 1;
        if self.seen.len() < rows {
            self.seen.resize(rows, 0);
        }
    }

    /// Place 0, and the nearest that walks from it through the layers above come to, one row at a time.
    fn start(&mut self, graph: &Graph<'_>, score: &mut impl Scorer) -> [Seen; 2] {
        let mut scores = [0.0];
        score(&[0], &mut scores);
        let first = Seen::new(scores[0], 0);
        let mut best = first;
        for layer in graph.layers() {
            loop {
                let links = &layer[best.place as usize * graph.m..][..graph.m];
                self.scores.resize(links.len(), 0.0);
                score(links, &mut self.scores);
                let near = links.iter().zip(&self.scores).map(|(place, score)| Seen::new(*score, *place));
                match near.min_by(Seen::best_first) {
                    Some(near) if near.score > best.score => best = near,
                    _ => break,
                }
            }
        }
        [first, best]
    }

    /// Puts a row where it belongs; its number in the pool, or the pool's length where it is too far.
    fn keep(&mut self, new: Seen, ef: usize) -> usize {
        if self.pool.len() == ef {
            match self.pool.last() {
                Some(last) if new.score > last.score => self.rest.extend(self.pool.pop()),
                _ => {
                    self.rest.push(new);
                    return self.pool.len();
                }
            }
        }
        let at = self.pool.partition_point(|seen| seen.score >= new.score);
        self.pool.insert(at, new);
        at
    }
}

/// Asks for links that are soon to be followed.
fn fetch(links: &[u32]) {
    Kernels::best().prefetch(links);
}
