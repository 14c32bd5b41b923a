//! Durable commits: one writer beside the bare disk, and sixteen beside one.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codegraph_vector::vfs::{RealVfs, Vfs};
use codegraph_vector::{Environment, OpenOptions, PersistentVectorStore};

use crate::data::{make, node};
use crate::disk::{SlowSync, write_and_sync, zeroed};
use crate::report::{Goal, Report, median};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const REPEATS: usize = 5;
const PUTS: usize = 400;

fn open(path: &Path, dimension: usize, vfs: Arc<dyn Vfs>) -> codegraph_vector::Result<PersistentVectorStore> {
    let environment = Environment { vfs, ..Environment::default() };
    PersistentVectorStore::open(
        path,
        OpenOptions { dimension: Some(dimension), environment, ..OpenOptions::default() },
    )
}

/// Bytes that one put takes in the log, by what the log says it wrote.
fn log_bytes_of_a_put(folder: &Path, dimension: usize) -> codegraph_vector::Result<usize> {
    let store = open(&folder.join("bytes"), dimension, Arc::new(RealVfs))?;
    store.put(node(0, make(1, dimension, 1).values))?;
    let log = store.stats()?.log;
    Ok((log.bytes / log.commits.max(1)) as usize)
}

/// p50 of a durable put beside p50 of writing and syncing as many bytes, put by put in turn.
pub(crate) fn single(folder: &Path, dimension: usize, report: &mut Report) -> Outcome {
    let bytes = vec![0x5A; log_bytes_of_a_put(folder, dimension)?];
    let vectors = make(PUTS, dimension, 2);
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for repeat in 0..REPEATS {
        let store = open(&folder.join(format!("single-{repeat}")), dimension, Arc::new(RealVfs))?;
        let file = zeroed(&folder.join("bare"), bytes.len() * (PUTS + 1))?;
        let (mut puts, mut writes) = (Vec::new(), Vec::new());
        for at in 0..PUTS {
            let node = node(at as u128, vectors.row(at).to_vec());
            let start = Instant::now();
            let outcome = store.put(node)?;
            puts.push(start.elapsed().as_secs_f64() * 1e6);
            assert!(outcome.receipt.durable, "a put that is not durable is no measure");
            writes.push(write_and_sync(&file, &bytes, (at * bytes.len()) as u64)?);
        }
        let (put, write) = (median(puts), median(writes));
        ours.push(put);
        bare.push(write);
        ratios.push(put / write);
    }
    let (ours, bare) = (format!("p50 {:.0} µs", median(ours)), format!("p50 {:.0} µs", median(bare)));
    let what = format!(
        "single durable put of 1 × {dimension} beside write + fdatasync of its {} bytes",
        bytes.len()
    );
    report.ratio(&what, ours, bare, median(ratios), &Goal::AtMost(1.5));
    Ok(())
}

/// Commits a second with `threads` writers for a while.
fn rate(store: &PersistentVectorStore, threads: usize, dimension: usize, time: Duration) -> f64 {
    let vectors = make(threads, dimension, 3);
    let start = Instant::now();
    let commits: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..threads)
            .map(|thread| {
                let vector = vectors.row(thread);
                scope.spawn(move || {
                    let mut commits = 0;
                    while start.elapsed() < time {
                        let id = (thread * 1_000_000 + commits) as u128;
                        match store.put(node(id, vector.to_vec())) {
                            Ok(outcome) if outcome.receipt.durable => commits += 1,
                            other => {
                                eprintln!("a writer stopped: {other:?}");
                                break;
                            }
                        }
                    }
                    commits
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap_or(0)).sum()
    });
    commits as f64 / start.elapsed().as_secs_f64()
}

/// Sixteen writers beside one, on the disk as it is and with 2 ms added to each sync.
pub(crate) fn many(folder: &Path, dimension: usize, report: &mut Report) -> Outcome {
    let slow = Arc::new(SlowSync { delay: Duration::from_millis(2) });
    let cases: [(&str, Arc<dyn Vfs>, f64); 2] =
        [("", Arc::new(RealVfs), 4.0), (", 2 ms added to each sync", slow, 12.0)];
    for (number, (what, vfs, goal)) in cases.into_iter().enumerate() {
        let (mut one, mut sixteen, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for repeat in 0..REPEATS {
            let store = open(&folder.join(format!("many-{number}-{repeat}")), dimension, vfs.clone())?;
            let alone = rate(&store, 1, dimension, Duration::from_millis(700));
            let together = rate(&store, 16, dimension, Duration::from_millis(700));
            one.push(alone);
            sixteen.push(together);
            ratios.push(together / alone);
        }
        let (ours, yardstick) = (format!("{:.0}/s", median(sixteen)), format!("{:.0}/s", median(one)));
        let what = format!("durable commits of 16 writers beside 1{what}");
        report.ratio(&what, ours, yardstick, median(ratios), &Goal::AtLeast(goal));
    }
    Ok(())
}
