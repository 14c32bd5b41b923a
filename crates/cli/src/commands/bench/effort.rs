//! The efforts that are tried, and when more of it is no use.

use codegraph_vector::SearchRequest;
use serde_json::{Map, Value};

/// Multiples of k, about half an octave apart.
const MULTIPLES: [f64; 17] =
    [1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 16.0, 22.0, 32.0, 45.0, 64.0, 90.0, 128.0, 181.0, 256.0];

/// No rung below this recall is timed.
const FLOOR: f64 = 0.75;
/// The sweep ends at the first rung with this one.
const CEILING: f64 = 0.995;
/// What three more rungs have to add.
const GAIN: f64 = 0.001;

/// From the cheapest to the dearest.
pub(super) fn ladder(k: usize) -> impl ExactSizeIterator<Item = usize> {
    MULTIPLES.iter().map(move |multiple| (k as f64 * multiple).ceil() as usize)
}

/// A search with so much effort, that wants ids alone.
pub(super) fn request(vector: &[f32], k: usize, effort: usize) -> SearchRequest {
    SearchRequest { with_metadata: false, ..SearchRequest::new(vector, k).with_rerank(effort) }
}

/// How rows name an effort.
pub(super) fn params(effort: usize) -> Map<String, Value> {
    Map::from_iter([("rerank".to_owned(), effort.into())])
}

/// A way up the ladder.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    seen: Vec<f64>,
}

/// What to do with a rung.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether it is worth being timed.
    pub(super) is_timed: bool,
    /// Whether it is the last one.
    pub(super) is_end: bool,
}

impl Sweep {
    /// Judges the next rung by its recall.
    pub(super) fn judge(&mut self, recall: f64, is_top: bool) -> Verdict {
        let before = self.seen.len().checked_sub(3).map(|at| self.seen[at]);
        self.seen.push(recall);
        let is_flat = before.is_some_and(|before| recall < before + GAIN);
        Verdict {
            is_timed: recall >= FLOOR || is_flat || is_top,
            is_end: recall >= CEILING || is_flat || is_top,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(recalls: &[f64]) -> Vec<(bool, bool)> {
        let mut sweep = Sweep::default();
        let judge = |(at, recall): (usize, &f64)| sweep.judge(*recall, at + 1 == recalls.len());
        recalls.iter().enumerate().map(judge).map(|verdict| (verdict.is_timed, verdict.is_end)).collect()
    }

    #[test]
    fn a_sweep_ends_at_the_ceiling_the_top_or_where_it_is_flat() {
        assert_eq!(sweep(&[0.5, 0.8, 0.995, 1.0])[..3], [(false, false), (true, false), (true, true)]);
        assert_eq!(sweep(&[0.8, 0.9]), [(true, false), (true, true)]);
        let flat = sweep(&[0.9, 0.9003, 0.9006, 0.9009, 1.0]);
        assert_eq!(flat.iter().position(|(_, is_end)| *is_end), Some(3));
        let rising = sweep(&[0.9, 0.9003, 0.9006, 0.9011, 0.92]);
        assert_eq!(rising.iter().position(|(_, is_end)| *is_end), Some(4));
        // One that never gets anywhere is timed where it ends, so that there is something to show.
        assert_eq!(sweep(&[0.1, 0.1, 0.1, 0.1]).last(), Some(&(true, true)));
    }

    #[test]
    fn efforts_rise_from_k() {
        let efforts: Vec<usize> = ladder(10).collect();
        assert_eq!((efforts[0], efforts[1]), (10, 14));
        assert!(efforts.is_sorted_by(|a, b| a < b), "{efforts:?}");
    }
}
