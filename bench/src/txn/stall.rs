//! How long others' commits are held up while a Serializable transaction's nearest-neighbour search is validated in a large store.
//!
//! A transaction searches, others commit for a while, it writes and commits: all those commits are to be held against its search.
//! Another thread goes on committing without a pause, and the longest of its commits within that time is taken; beside it the
//! longest of the milliseconds before, in which nothing is validated, since a busy machine has stalls of its own. Nothing is
//! synced: a sync would hide what is looked for.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use codegraph_vector::{Durability, ErrorKind, IsolationLevel, PersistentVectorStore};

use super::peers::row;
use crate::data::{Vectors, make};
use crate::report::{Goal, Report, median};
use crate::searching::{Kind, Outcome, put, request};

/// Validations; the goal is about the longest stall that is usual, the longest of all is told.
const ROUNDS: usize = 15;
/// Commits that the transaction has to be held against, fewer than are remembered; in a small store a hundredth of its rows.
const COMMITS: usize = 1_000;
/// How long others commit before the validation begins.
const BEFORE: Duration = Duration::from_millis(5);
const GOAL: Duration = Duration::from_millis(1);

pub(super) fn run(folder: &Path, rows: usize, dimension: usize, report: &mut Report) -> Outcome<()> {
    let vectors = make(rows.min(100_000), dimension, 11);
    let kind = Kind { no_background: true, ..Kind::default() };
    let store = kind.create(&folder.join("stall"), dimension)?;
    put(&store, rows, |at| row(&vectors, at as u64))?;
    store.flush()?;
    store.merge()?;
    store.configure(|settings| {
        (settings.durability, settings.memtable_bytes) = (Durability::None, 1 << 30);
        settings.max_wal_file_bytes = 1 << 30;
    })?;
    let (mut beside, mut quiet) = (Vec::new(), Vec::new());
    let mut round = 0;
    while beside.len() < ROUNDS {
        round += 1;
        // Now and then a row that was replaced was one that had been found.
        let Some(Stalls { longest, longest_without }) = one(&store, &vectors, rows as u64, round)? else {
            if round > 3 * ROUNDS {
                return Err("most transactions met a conflict, or nobody whom they could have stalled".into());
            }
            continue;
        };
        beside.push(longest.as_secs_f64() * 1e6);
        quiet.push(longest_without.as_secs_f64() * 1e6);
    }
    let told = |times: &[f64]| {
        let most = times.iter().copied().fold(f64::MIN, f64::max);
        format!("{:.0} µs, once {most:.0}", median(times.to_vec()))
    };
    let what = format!(
        "longest commit of another while a Serializable search in {rows} × {dimension} is validated against {} commits; \
         the longest of {BEFORE:?} without: {}",
        commits(rows),
        told(&quiet)
    );
    let (longest, goal) = (median(beside.clone()), GOAL.as_secs_f64() * 1e6);
    report.ratio(&what, told(&beside), format!("{goal} µs"), longest / goal, &Goal::AtMost(1.0));
    Ok(())
}

fn commits(rows: usize) -> u64 {
    COMMITS.min(rows / 100) as u64
}

struct Stalls {
    longest: Duration,
    longest_without: Duration,
}

/// When a commit of the other thread began and how long it took.
type Commit = (Instant, Duration);

/// The stalls of one validation; none if there was a conflict, or nobody else committed meanwhile.
fn one(store: &PersistentVectorStore, vectors: &Vectors, rows: u64, round: usize) -> Outcome<Option<Stalls>> {
    let mut txn = store.begin(IsolationLevel::Serializable)?;
    let query = vectors.row(round % vectors.rows());
    txn.search(&request(query))?;
    // Rows all over the store are replaced by such that point the other way, so that the search is held against what they were
    // and what they are, and found to be right.
    let away: Vec<f32> = query.iter().map(|value| -value).collect();
    let other = |at: u64| {
        let mut node = row(vectors, (round as u64 * 7_919 + at * 104_729) % rows);
        node.embedding.clone_from(&away);
        node
    };
    for at in 0..commits(rows as usize) {
        store.put(other(at))?;
    }
    let mut own = other(0);
    own.id = u128::from(rows);
    txn.put(own)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let committing = scope.spawn(|| {
            let mut commits: Vec<Commit> = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                store.put(other(0)).map_err(|error| error.to_string())?;
                commits.push((start, start.elapsed()));
            }
            Ok::<_, String>(commits)
        });
        thread::sleep(BEFORE);
        let start = Instant::now();
        let outcome = txn.commit();
        let end = Instant::now();
        stop.store(true, Ordering::Relaxed);
        let commits = committing.join().map_err(|_| "the other thread panicked")??;
        if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict) {
            return Ok(None);
        }
        outcome?;
        let within = |from: Instant, to: Instant| {
            let over = |(at, took): &&Commit| *at <= to && *at + *took >= from;
            commits.iter().filter(over).map(|(_, took)| *took).max()
        };
        // On a machine with much else to do the other thread may not have come to it.
        let stalls = within(start, end).zip(within(start - BEFORE, start));
        Ok(stalls.map(|(longest, longest_without)| Stalls { longest, longest_without }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_validated_and_measured() {
        let folder = tempfile::tempdir().unwrap();
        let mut report = Report::default();
        run(folder.path(), 300, 8, &mut report).unwrap();
        assert_eq!(report.to_string().lines().count(), 3, "{report}");
    }
}
