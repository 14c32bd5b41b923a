//! The efforts that are tried, and when more of it is no use.

use codegraph_vector::{IndexStatistics, SearchRequest};
use serde_json::{Map, Value};

/// Multiples of k, about half an octave apart.
const MULTIPLES: [f64; 17] =
    [1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 16.0, 22.0, 32.0, 45.0, 64.0, 90.0, 128.0, 181.0, 256.0];
/// Cells.
const PROBES: [usize; 20] =
    [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];

/// No rung below this recall is timed.
const FLOOR: f64 = 0.75;
/// The sweep ends at the first rung with this one.
const CEILING: f64 = 0.995;
/// What three more rungs have to add.
const GAIN: f64 = 0.001;

/// How much is asked of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effort {
    /// Of an index.
    pub(super) ef: Option<usize>,
    /// Candidates that are ranked anew; with an index, as many as it was found to need unless said.
    pub(super) rerank: Option<usize>,
}

impl Effort {
    /// A search with so much effort, that wants ids alone.
    pub(super) fn request(self, vector: &[f32], k: usize) -> SearchRequest {
        let Self { ef, rerank } = self;
        SearchRequest { with_metadata: false, ef, rerank, ..SearchRequest::new(vector, k) }
    }

    /// How rows name it.
    pub(super) fn params(self) -> Map<String, Value> {
        let known = [("ef", self.ef), ("rerank", self.rerank)];
        known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
    }
}

/// Efforts for a store whose rows are indexed so, from the cheapest to the dearest: of the index with candidates as it was
/// found to need, and then with each of some other numbers of candidates; of codes by candidates alone.
pub(super) fn ladders(stats: &IndexStatistics, k: usize, reranks: &[usize]) -> Vec<Vec<Effort>> {
    let sizes = || MULTIPLES.iter().map(|multiple| (k as f64 * multiple).ceil() as usize);
    let efs: Vec<usize> = if stats.hnsw_rows > 0 {
        sizes().collect()
    } else if stats.ivf_rows > 0 {
        PROBES.to_vec()
    } else {
        return vec![sizes().map(|size| Effort { ef: None, rerank: Some(size) }).collect()];
    };
    let all = [None].into_iter().chain(reranks.iter().map(|rerank| Some(*rerank)));
    all.map(|rerank| efs.iter().map(|ef| Effort { ef: Some(*ef), rerank }).collect()).collect()
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
    fn efforts_are_those_of_the_index() {
        let stats = |ivf_rows, hnsw_rows| IndexStatistics {
            policy: "auto".to_owned(),
            ivf_rows,
            hnsw_rows,
            flat_rows: 1,
            bytes: 0,
            waiting_segments: 0,
        };
        let first = |ivf, hnsw| ladders(&stats(ivf, hnsw), 10, &[])[0][0];
        assert_eq!(first(0, 0), Effort { ef: None, rerank: Some(10) });
        assert_eq!(first(9, 0), Effort { ef: Some(1), rerank: None });
        assert_eq!(first(0, 9), Effort { ef: Some(10), rerank: None });
        let ladders = ladders(&stats(9, 0), 10, &[40]);
        assert_eq!((ladders.len(), ladders[1][1]), (2, Effort { ef: Some(2), rerank: Some(40) }));
        for ladder in &ladders {
            assert!(ladder.is_sorted_by(|a, b| a.ef < b.ef), "{ladder:?}");
        }
    }

    #[test]
    fn an_effort_is_asked_for_and_named() {
        let effort = Effort { ef: Some(7), rerank: Some(40) };
        let request = effort.request(&[1.0], 10);
        assert_eq!((request.ef, request.rerank, request.limit), (Some(7), Some(40), 10));
        assert_eq!(Value::Object(effort.params()).to_string(), r#"{"ef":7,"rerank":40}"#);
        assert!(Effort::default().params().is_empty());
    }
}
