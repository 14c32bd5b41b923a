//! Which of the rows that are near a row it is linked to: those nearer to it than to one that was chosen before
//! (algorithm 4 of the paper). So links lead in different directions, and none where another leads as well.
//!
//! Of rows that are the same only one is linked: many of them would leave no link that leads away.

use super::likeness::{Held, Likeness};
use super::walk::Seen;

/// Chosen rows that a candidate is held against at a time: the nearest tell most, and one that tells is enough.
const AT_ONCE: usize = 8;

/// Up to `most` of `candidates`, which are in order, the best first.
pub(super) fn select(likeness: &Likeness, candidates: &[Seen], most: usize, held: &mut Held) -> Vec<u32> {
    let mut chosen: Vec<u32> = Vec::with_capacity(most);
    let mut scores = [0.0; AT_ONCE];
    for candidate in candidates {
        if chosen.len() == most {
            break;
        }
        likeness.hold(candidate.place, held);
        let apart = chosen.chunks(AT_ONCE).all(|chosen| {
            let scores = &mut scores[..chosen.len()];
            likeness.scores(held, chosen, scores);
            let apart = |(score, row): (&f32, &u32)| {
                *score < candidate.score
                    || *score == candidate.score && !likeness.are_same(candidate.place, *row)
            };
            scores.iter().zip(chosen).all(apart)
        });
        if apart {
            chosen.push(candidate.place);
        }
    }
    chosen
}
