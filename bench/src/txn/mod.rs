//! Transactions: durable ones beside other databases', not durable ones, snapshots, and what levels cost.

mod peers;
mod stall;

use std::path::Path;
use std::time::{Duration, Instant};

use codegraph_vector::{Durability, IsolationLevel};

use crate::data::{Vectors, make};
use crate::report::{Goal, Report, median};
use crate::searching::Outcome;
use peers::{Fjall, Ours, Peer, Redb, Session, Sqlite};

const DIMENSION: usize = 384;
const ROWS: u64 = 10_000;
const ROUNDS: usize = 5;
/// How long a rate is taken.
const TIME: Duration = Duration::from_millis(700);
/// Transactions that a time is taken of.
const TRANSACTIONS: u64 = 20_000;
const SNAPSHOTS: u32 = 1_000_000;

/// All of it; `rows` in the store whose searches are validated.
pub(crate) fn run(folder: &Path, rows: usize, report: &mut Report) -> Outcome<()> {
    let vectors = make(ROWS as usize, DIMENSION, 7);
    durable(folder, &vectors, TIME, report)?;
    volatile(folder, &vectors, TIME, report)?;
    snapshots(folder, &vectors, SNAPSHOTS, report)?;
    levels(folder, &vectors, TRANSACTIONS, report)?;
    stall::run(folder, rows, DIMENSION, report)
}

/// Rows of one of several threads, by turns: nobody touches another's.
fn own(thread: u64, threads: u64, turn: u64) -> u64 {
    (turn * threads + thread) % (ROWS - ROWS % threads)
}

/// Transactions a second with so many threads. Fails if one was counted that is not there.
fn rate(peer: &dyn Peer, threads: u64, time: Duration) -> Outcome<f64> {
    let sum = |peer: &dyn Peer| -> Outcome<i64> {
        let mut session = peer.session()?;
        (0..ROWS).map(|id| session.counter(id)).sum()
    };
    let before = sum(peer)?;
    let start = Instant::now();
    let work = |thread: u64| -> Outcome<u64> {
        let mut session: Box<dyn Session + '_> = peer.session()?;
        let mut done = 0;
        while start.elapsed() < time {
            session.bump(own(thread, threads, done))?;
            done += 1;
        }
        Ok(done)
    };
    let done = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || work(thread).map_err(|error| error.to_string())))
            .collect();
        let done =
            workers.into_iter().map(|worker| worker.join().map_err(|_| "a worker panicked".to_owned())?);
        done.sum::<Result<u64, String>>()
    })?;
    let took = start.elapsed().as_secs_f64();
    let counted = sum(peer)? - before;
    if counted != done as i64 {
        return Err(format!("{}: {done} transactions were made, {counted} are there", peer.name()).into());
    }
    Ok(done as f64 / took)
}

/// Durable transactions of one thread and of sixteen, beside the best of the others.
fn durable(folder: &Path, vectors: &Vectors, time: Duration, report: &mut Report) -> Outcome<()> {
    let ours = Ours::new(&folder.join("ours"), vectors, ROWS, Durability::Sync)?;
    let others: [Box<dyn Peer>; 3] = [
        Box::new(Sqlite::new(&folder.join("sqlite"), vectors, ROWS)?),
        Box::new(Redb::new(&folder.join("redb"), vectors, ROWS)?),
        Box::new(Fjall::new(&folder.join("fjall"), vectors, ROWS)?),
    ];
    for (threads, goal) in [(1, 0.9), (16, 3.0)] {
        let (mut of_ours, mut of_others, mut ratios) =
            (Vec::new(), vec![Vec::new(); others.len()], Vec::new());
        for _ in 0..ROUNDS {
            let here = rate(&ours, threads, time)?;
            let there =
                others.iter().map(|peer| rate(&**peer, threads, time)).collect::<Outcome<Vec<f64>>>()?;
            ratios.push(here / there.iter().copied().fold(f64::MIN, f64::max));
            of_ours.push(here);
            of_others.iter_mut().zip(there).for_each(|(all, one)| all.push(one));
        }
        let told: Vec<String> = others
            .iter()
            .zip(of_others)
            .map(|(peer, rates)| format!("{} {:.0}/s", peer.name(), median(rates)))
            .collect();
        let who = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        let what = format!(
            "durable transactions that read and write a row of {DIMENSION} floats, {who}, beside the best of the others"
        );
        let ours = format!("{:.0}/s", median(of_ours));
        report.ratio(&what, ours, told.join(", "), median(ratios), &Goal::AtLeast(goal));
    }
    Ok(())
}

/// Transactions that are not synced.
fn volatile(folder: &Path, vectors: &Vectors, time: Duration, report: &mut Report) -> Outcome<()> {
    const GOAL: f64 = 100_000.0;
    for threads in [1, 2] {
        let mut rates = Vec::new();
        for round in 0..ROUNDS {
            let path = folder.join(format!("volatile-{threads}-{round}"));
            rates.push(rate(&Ours::new(&path, vectors, ROWS, Durability::None)?, threads, time)?);
            std::fs::remove_dir_all(&path)?;
        }
        let rate = median(rates);
        let what = format!("the same, not durable, {threads} of our threads");
        report.ratio(&what, format!("{rate:.0}/s"), format!("{GOAL}/s"), rate / GOAL, &Goal::AtLeast(1.0));
    }
    Ok(())
}

/// Opening a snapshot, and closing it.
fn snapshots(folder: &Path, vectors: &Vectors, count: u32, report: &mut Report) -> Outcome<()> {
    const GOAL_NS: f64 = 1000.0;
    let ours = Ours::new(&folder.join("snapshots"), vectors, ROWS, Durability::None)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..count {
            std::hint::black_box(ours.store.snapshot()?);
        }
        times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(count));
    }
    let ns = median(times);
    let goal = &Goal::AtMost(1.0);
    report.ratio("opening a snapshot", format!("{ns:.0} ns"), format!("{GOAL_NS} ns"), ns / GOAL_NS, goal);
    Ok(())
}

/// What Serializable costs beside Read Committed where nobody gets in the way, not durable, so that it shows.
fn levels(folder: &Path, vectors: &Vectors, count: u64, report: &mut Report) -> Outcome<()> {
    let ours = Ours::new(&folder.join("levels"), vectors, ROWS, Durability::None)?;
    let at = |level| Ours { store: ours.store.clone(), level };
    let (loose, strict) = (at(IsolationLevel::ReadCommitted), at(IsolationLevel::Serializable));
    let micros = |ours: &Ours| -> Outcome<f64> {
        let (mut session, start) = (ours.session()?, Instant::now());
        (0..count).try_for_each(|id| session.bump(id % ROWS))?;
        Ok(start.elapsed().as_secs_f64() * 1e6 / count as f64)
    };
    let (mut of_loose, mut of_strict, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (read_committed, serializable) = (micros(&loose)?, micros(&strict)?);
        ratios.push(serializable / read_committed);
        of_loose.push(read_committed);
        of_strict.push(serializable);
    }
    let told = |times| format!("{:.2} µs", median(times));
    let what = "Serializable beside Read Committed, the same transaction, not durable, no conflicts";
    report.ratio(what, told(of_strict), told(of_loose), median(ratios), &Goal::AtMost(2.0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_measured_on_a_small_scale() {
        let folder = tempfile::tempdir().unwrap();
        let (vectors, time) = (make(100, 8, 3), Duration::from_millis(5));
        let mut report = Report::default();
        durable(folder.path(), &vectors, time, &mut report).unwrap();
        volatile(folder.path(), &vectors, time, &mut report).unwrap();
        snapshots(folder.path(), &vectors, 100, &mut report).unwrap();
        levels(folder.path(), &vectors, 50, &mut report).unwrap();
        assert_eq!(report.to_string().lines().count(), 2 + 6, "{report}");
    }

    #[test]
    fn threads_have_rows_of_their_own() {
        let rows = |thread| {
            (0..ROWS).map(move |turn| own(thread, 16, turn)).collect::<std::collections::BTreeSet<_>>()
        };
        assert!((0..15).all(|thread| rows(thread).is_disjoint(&rows(thread + 1))));
        assert!(rows(15).last().is_some_and(|last| *last < ROWS));
    }
}
