//! What becomes of a store whose rows are replaced again and again, and what a merge costs beside a rebuild.

use std::path::Path;
use std::time::Instant;

use codegraph_vector::{NodeId, PersistentVectorStore, SearchRequest};

use crate::data::{Vectors, node};
use crate::report::{Goal, Report};
use crate::searching::{Kind, Outcome, exactly, put, recall, requests, timed};

/// Rounds, in each of which so many percent of the rows are replaced.
const ROUNDS: usize = 10;
const PERCENT: usize = 10;
/// Percent of the rows that are replaced before the merge that is timed.
const MERGE_PERCENT: usize = 2;
/// What recall may lose, and what such a merge may cost of a rebuild.
const LOSS_GOAL: f64 = 0.01;
const MERGE_GOAL: f64 = 0.15;
/// Searches.
const QUERIES: usize = 500;

/// Half of the rows are there at first, the other half replace them.
pub(crate) fn run(
    folder: &Path,
    base: &Vectors,
    queries: &Vectors,
    kind: &Kind,
    report: &mut Report,
) -> Outcome<()> {
    let rows = base.rows() / 2;
    let of = |id: usize, vector: usize| node(id as NodeId, base.row(vector).to_vec());
    let requests = requests(queries, QUERIES);
    let store = kind.build(&folder.join("churned"), base.dimension, rows, |at| of(at, at))?;
    let share = (rows * PERCENT / 100).max(1);
    for round in 0..ROUNDS {
        put(&store, share, |at| {
            let row = spread(round * share + at, rows);
            of(row, rows + row)
        })?;
        store.flush()?;
    }
    let mut now: Vec<usize> = (0..rows).collect();
    (0..ROUNDS * share).map(|number| spread(number, rows)).for_each(|row| now[row] = rows + row);
    let anew = kind.anew(rows, base.dimension);
    let fresh = anew.build(&folder.join("fresh"), base.dimension, rows, |at| of(at, now[at]))?;
    let truth_of = |store: &PersistentVectorStore| exactly(&store.snapshot()?, &requests);
    let truth = truth_of(&fresh)?;
    if truth != truth_of(&store)? {
        return Err("the two stores do not hold the same".into());
    }
    let measure =
        |store: &PersistentVectorStore| -> Outcome<f64> { Ok(recall(&timed(store, &requests)?.0, &truth)) };
    let yardstick = measure(&fresh)?;
    let mut tell = |what: &str, found: f64| {
        let what = format!("{rows} × {}: recall {what} beside a fresh build", base.dimension);
        let figure = |recall: f64| format!("{recall:.4}");
        report.ratio(&what, figure(found), figure(yardstick), found - yardstick, &Goal::AtLeast(-LOSS_GOAL));
    };
    tell(&format!("after {ROUNDS} rounds of replacing {PERCENT} % of the rows"), measure(&store)?);
    kind.settle(&store)?;
    tell("after that and a merge", measure(&store)?);
    drop((store, fresh));
    merge(folder, base, &requests, kind, report)
}

/// Times a merge after few updates, and one that makes everything anew.
fn merge(
    folder: &Path,
    base: &Vectors,
    requests: &[SearchRequest],
    kind: &Kind,
    report: &mut Report,
) -> Outcome<()> {
    let rows = base.rows();
    let kind = kind.anew(rows, base.dimension);
    let store = kind.create(&folder.join("merged"), base.dimension)?;
    // From rows in memory to everything indexed.
    let settle = || -> Outcome<f64> {
        let start = Instant::now();
        store.flush()?;
        kind.settle(&store)?;
        Ok(start.elapsed().as_secs_f64())
    };
    put(&store, rows, |at| node(at as NodeId, base.row(at).to_vec()))?;
    let rebuild = settle()?;
    let updates = (rows * MERGE_PERCENT / 100).max(1);
    put(&store, updates, |at| {
        let id = spread(at, rows);
        node(id as NodeId, base.row(spread(at + updates, rows)).to_vec())
    })?;
    let merge = settle()?;
    let found = recall(&timed(&store, requests)?.0, &exactly(&store.snapshot()?, requests)?);
    let what = format!(
        "{rows} × {}: merge after {MERGE_PERCENT} % of updates beside a rebuild (recall {found:.4} after it)",
        base.dimension
    );
    let figure = |seconds: f64| format!("{seconds:.2} s");
    report.ratio(&what, figure(merge), figure(rebuild), merge / rebuild, &Goal::AtMost(MERGE_GOAL));
    Ok(())
}

/// A row for each number, spread over all: a step that has no divisor in common with their count comes to each once.
fn spread(number: usize, rows: usize) -> usize {
    (number as u128 * step(rows) as u128 % rows as u128) as usize
}

fn step(rows: usize) -> usize {
    let coprime = |step: &usize| {
        let (mut a, mut b) = (*step, rows);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a == 1
    };
    // About the golden section.
    (rows * 618 / 1000 + 1..).find(coprime).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::make;

    #[test]
    fn every_row_is_replaced_once() {
        for rows in [1, 2, 7, 100, 1001] {
            let mut all: Vec<usize> = (0..rows).map(|number| spread(number, rows)).collect();
            all.sort_unstable();
            assert_eq!(all, (0..rows).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_small_store_is_as_good_as_new() {
        let folder = tempfile::tempdir().unwrap();
        let mut report = Report::default();
        run(folder.path(), &make(2001, 8, 5), &make(20, 8, 6), &Kind::default(), &mut report).unwrap();
        let text = report.to_string();
        assert_eq!(text.lines().count(), 5, "{text}");
        assert_eq!(text.matches("| 1.0000 | 1.0000 | 0.00 | ≥ -0.01 met |").count(), 2, "{text}");
    }
}
