//! Filtered searches: from half of the rows to one of ten thousand, in one group with the query and not.
//!
//! Rows have flags: `u…` of so many rows by chance, `c…` of those nearest to one row, the *centre*. Queries near the centre
//! want what the filter lets through, those far from it what the filter takes away.

use std::path::Path;

use codegraph_vector::{CodeNode, Filter, NodeId, SearchRequest};

use crate::beside::table;
use crate::data::{SplitMix, Vectors, node};
use crate::report::Goal;
use crate::searching::{Kind, Outcome, exactly, micros, percentile, recall, request, timed};

/// Shares of rows that a filter lets through, by name.
const SHARES: [(&str, f64); 5] = [("50", 0.5), ("10", 0.1), ("1", 0.01), ("0.1", 0.001), ("0.01", 0.0001)];
/// Queries of each kind.
const QUERIES: usize = 200;
const RECALL_GOAL: f64 = 0.95;
/// A search is to take at most so many times what it takes without a filter, or so many microseconds.
const TIMES_GOAL: f64 = 2.0;
const LEAST_US: f64 = 2000.0;

/// Measures each, and prints a table.
pub(crate) fn run(folder: &Path, base: &Vectors, queries: &Vectors, kind: &Kind) -> Outcome<String> {
    let flags = Flags::of(base);
    let store =
        kind.build(&folder.join("filtered"), base.dimension, base.rows(), |at| flags.node(base, at))?;
    let near = by_distance(queries, base.row(flags.centre));
    let count = QUERIES.min(near.len());
    let all: Vec<usize> = (0..count).collect();
    let far: Vec<usize> = near.iter().rev().take(count).copied().collect();
    let groups = [
        ("by chance", 'u', &all[..]),
        ("near what matches", 'c', &near[..count]),
        ("far from what matches", 'c', &far[..]),
    ];
    let mut lines = Vec::new();
    for (name, flag, which) in groups {
        let plain: Vec<SearchRequest> = which.iter().map(|at| request(queries.row(*at))).collect();
        let (found, times) = timed(&store, &plain)?;
        let unfiltered = percentile(&times, 50);
        let least = recall(&found, &exactly(&store.snapshot()?, &plain)?);
        lines.push(line(name, "100", base.rows(), least, &times, None));
        for (share, _) in SHARES {
            let filter = Filter::eq(&format!("attributes.{}", label(flag, share)), true);
            let matching = store.count(&filter)?;
            let some: Vec<SearchRequest> =
                plain.iter().map(|request| request.clone().with_filter(filter.clone())).collect();
            let (found, times) = timed(&store, &some)?;
            let recall = recall(&found, &exactly(&store.snapshot()?, &some)?);
            let most = (TIMES_GOAL * unfiltered).max(LEAST_US);
            lines.push(line(name, share, matching as usize, recall, &times, Some(most)));
            eprintln!("{}", lines.last().map(|line| line.join(" | ")).unwrap_or_default());
        }
    }
    let columns =
        ["queries", "% that match", "rows", "recall", "goal", "p50", "p99", "most allowed", "p50, goal"];
    Ok(table(&columns, lines))
}

/// A line of the table; without a limit, of searches without a filter.
fn line(name: &str, share: &str, rows: usize, recall: f64, times: &[f64], most: Option<f64>) -> Vec<String> {
    let p50 = percentile(times, 50);
    let dash = || "–".to_owned();
    let mut cells = vec![name.to_owned(), share.to_owned(), rows.to_string(), format!("{recall:.4}")];
    cells.push(most.map_or_else(dash, |_| Goal::AtLeast(RECALL_GOAL).verdict(recall)));
    cells.extend([micros(p50), micros(percentile(times, 99)), most.map_or_else(dash, micros)]);
    cells.push(most.map_or_else(dash, |most| Goal::AtMost(1.0).verdict(p50 / most)));
    cells
}

/// The name of a flag.
fn label(flag: char, share: &str) -> String {
    format!("{flag}{}", share.replace('.', "_"))
}

/// Which rows have which flags.
struct Flags {
    centre: usize,
    /// By row: its place by chance, and by distance from the centre, both from 0 to 1.
    places: Vec<[f64; 2]>,
}

impl Flags {
    fn of(base: &Vectors) -> Self {
        let mut random = SplitMix(11);
        let centre = (random.next() % base.rows() as u64) as usize;
        let mut by_chance: Vec<usize> = (0..base.rows()).collect();
        by_chance.sort_by_cached_key(|_| random.next());
        let mut places = vec![[0.0; 2]; base.rows()];
        for (which, order) in [by_chance, by_distance(base, base.row(centre))].iter().enumerate() {
            for (rank, row) in order.iter().enumerate() {
                places[*row][which] = rank as f64 / base.rows() as f64;
            }
        }
        Self { centre, places }
    }

    fn node(&self, base: &Vectors, at: usize) -> CodeNode {
        let mut row = node(at as NodeId, base.row(at).to_vec());
        for (flag, place) in ['u', 'c'].iter().zip(self.places[at]) {
            for (name, _) in SHARES.iter().filter(|(_, share)| place < *share) {
                row = row.with_attribute(label(*flag, name), true);
            }
        }
        row
    }
}

/// Rows by the angle to a vector, the nearest first.
fn by_distance(vectors: &Vectors, from: &[f32]) -> Vec<usize> {
    let cosine = |at: usize| {
        let row = vectors.row(at);
        let dot: f32 = row.iter().zip(from).map(|(a, b)| a * b).sum();
        dot / row.iter().map(|a| a * a).sum::<f32>().sqrt().max(f32::MIN_POSITIVE)
    };
    let mut scored: Vec<(f32, usize)> = (0..vectors.rows()).map(|at| (cosine(at), at)).collect();
    scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::make;

    #[test]
    fn flags_are_of_so_many_rows_and_those_of_the_centre_are_near_it() {
        let base = make(20_000, 8, 2);
        let flags = Flags::of(&base);
        let with = |label: &str| -> Vec<usize> {
            (0..base.rows()).filter(|at| flags.node(&base, *at).attributes.contains_key(label)).collect()
        };
        for (name, share) in SHARES {
            for flag in ['u', 'c'] {
                assert_eq!(with(&label(flag, name)).len(), (20_000.0 * share) as usize, "{flag}{name}");
            }
        }
        let nearest = with("c0_01");
        let order = by_distance(&base, base.row(flags.centre));
        assert_eq!(order[0], flags.centre);
        assert!(nearest.iter().all(|at| order[..2].contains(at)), "{nearest:?}");
        assert_ne!(with("u1"), with("c1"));
    }

    #[test]
    fn every_group_and_share_has_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let table = run(folder.path(), &make(3000, 8, 2), &make(30, 8, 3), &Kind::default()).unwrap();
        assert_eq!(table.lines().count(), 2 + 3 * (1 + SHARES.len()), "{table}");
        // Without codes or an index everything is found.
        assert!(table.contains("| far from what matches | 0.1 | 3 | 1.0000 | ≥ 0.95 met |"), "{table}");
    }
}
