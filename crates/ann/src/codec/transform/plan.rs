//! Which component gets how many bits, and where in the code they stand.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::levels::{Curve, FREE_BITS, Levels, MAX_BITS, MAX_PARTS, Part, parts};

/// Where the parts of a component's index stand in the code, in bits from its start; none crosses the border of a
/// nibble.
pub(super) type Places = [usize; MAX_PARTS];

/// What one more bit would gain a component.
struct Gain {
    gain: f64,
    component: usize,
}

impl Ord for Gain {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.component.cmp(&self.component))
    }
}

impl PartialOrd for Gain {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Gain {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Gain {}

/// Bits of each component, `4 × nibbles` in all, that go into so many nibbles without a gap. One by one they go to
/// where they lessen the error most, times the component's weight.
///
/// There must be components enough: `nibbles <= 2 × curves.len()`.
pub(super) fn allocate(curves: &[Curve], weights: &[f64], nibbles: usize) -> Vec<usize> {
    let gain = |component: usize, bits: usize| Gain {
        gain: weights[component] * (curves[component].errors[bits] - curves[component].errors[bits + 1]),
        component,
    };
    let mut bits = vec![0; curves.len()];
    let mut heap: BinaryHeap<Gain> = (0..curves.len()).map(|at| gain(at, 0)).collect();
    for _ in 0..4 * nibbles {
        let Some(Gain { component, .. }) = heap.pop() else { break };
        bits[component] += 1;
        if bits[component] < MAX_BITS {
            heap.push(gain(component, bits[component]));
        }
    }
    // A part of 3 bits leaves a gap that only one of 1 bit fills. With 4 × nibbles bits in all, nothing else leaves
    // one; and from 3, 3 or 7, 7 bits it is a step to 4, 2 or 8, 6.
    let with_part = |bits: &[usize], part: usize| -> Vec<usize> {
        (0..bits.len()).filter(|&at| bits[at] % 4 == part).collect()
    };
    while with_part(&bits, 3).len() > with_part(&bits, 1).len() {
        let threes = with_part(&bits, 3);
        let up = threes.iter().max_by_key(|&&at| gain(at, bits[at]));
        let Some(&up) = up else { break };
        let others = threes.iter().filter(|&&at| at != up);
        let Some(&down) = others.min_by_key(|&&at| gain(at, bits[at] - 1)) else { break };
        bits[up] += 1;
        bits[down] -= 1;
    }
    bits
}

/// A part of a component's index that wants a place.
struct Piece {
    component: usize,
    part: Part,
    /// How much it tells.
    telling: f64,
}

/// Puts the parts of all components into nibbles, those first that tell most. `variances` and `errors` are of the
/// components.
pub(super) fn place(levels: &[Levels], variances: &[f64], errors: &[f64]) -> Vec<Places> {
    let mut by_bits: [Vec<Piece>; FREE_BITS + 1] = Default::default();
    for (component, levels) in levels.iter().enumerate() {
        // Scores are spread by a component of the query times what is known of the row's: queries vary as rows do.
        let variance = variances[component];
        let mut left = variance - errors[component];
        let step = match levels {
            Levels::Free(_) => 0.0,
            Levels::Even { step, .. } => f64::from(*step),
        };
        // The values of a lower part are all about as frequent. What they do not tell, the uppermost part does.
        let all: Vec<Part> = parts(levels.bits()).collect();
        for part in all.into_iter().rev() {
            let (step, values) = (step * (1_u32 << part.below) as f64, f64::from(1_u32 << part.bits));
            let told = step * step * (values * values - 1.0) / 12.0;
            let told = if part.number == 0 { left } else { told };
            left -= told;
            by_bits[part.bits].push(Piece { component, part, telling: variance * told });
        }
    }
    for pieces in &mut by_bits {
        // The most telling at the end, to be popped.
        pieces.sort_by(|a, b| a.telling.total_cmp(&b.telling).then(b.component.cmp(&a.component)));
    }
    let mut nibbles = Vec::new();
    while let Some(piece) = (1..=FREE_BITS).rev().find_map(|bits| by_bits[bits].pop()) {
        let mut room = FREE_BITS - piece.part.bits;
        let mut nibble = vec![piece];
        while let Some(piece) = (1..=room).rev().find_map(|bits| by_bits[bits].pop()) {
            room -= piece.part.bits;
            nibble.push(piece);
        }
        nibbles.push(nibble);
    }
    let telling = |nibble: &[Piece]| nibble.iter().map(|piece| piece.telling).sum::<f64>();
    nibbles.sort_by(|a, b| telling(b).total_cmp(&telling(a)));
    let mut places = vec![Places::default(); levels.len()];
    for (at, nibble) in nibbles.iter().enumerate() {
        let mut bit = FREE_BITS * at;
        for piece in nibble {
            places[piece.component][piece.part.number] = bit;
            bit += piece.part.bits;
        }
    }
    places
}
