//! Batches of ten vectors, submitted and waited for, while one merge follows the other, in turn with a bare write and
//! `fdatasync` of as many bytes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use codegraph_vector::{
    CodeNode, IncrementalConfig, IncrementalOperation, IncrementalUpdateManager, NodeId,
    PersistentVectorStore,
};

use super::DIMENSION;
use crate::data::{Vectors, make};
use crate::disk::{write_and_sync, zeroed};
use crate::report::{Goal, Report, median};
use crate::searching::{Kind, Outcome, put};

/// Rows of a commit.
const BATCH: usize = 10;
/// Rows that are merged time and again.
const ROWS: usize = 60_000;
const ROUNDS: usize = 5;
/// Bytes of the file that is written barely, before it starts over.
const BARE_BYTES: usize = 64 << 20;

/// Times in microseconds, in order.
struct Times(Vec<f64>);

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    fn part(&self, share: f64) -> f64 {
        self.0.get(((self.0.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    }
}

pub(super) fn run(folder: &Path, seconds: f64, report: &mut Report) -> Outcome<()> {
    measure(folder, ROWS, seconds / ROUNDS as f64, report)
}

fn measure(folder: &Path, rows: usize, seconds: f64, report: &mut Report) -> Outcome<()> {
    std::fs::create_dir_all(folder)?;
    let store = Kind::default().create(&folder.join("store"), DIMENSION)?;
    let vectors = make(rows.min(20_000), DIMENSION, 13);
    put(&store, rows, |at| CodeNode::new(at as NodeId, vectors.row(at % vectors.rows()).to_vec()))?;
    store.flush()?;
    let manager = IncrementalUpdateManager::new(IncrementalConfig::for_store(&store))?;
    let (mut p50, mut p99, mut bare50, mut bare99, mut ratios) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut next, mut merges) = (rows as NodeId, 0);
    for _ in 0..ROUNDS {
        let (ours, bare, merged) = round(folder, &manager, &vectors, &mut next, seconds)?;
        merges += merged;
        ratios.push(ours.part(0.99) / bare.part(0.99));
        p50.push(ours.part(0.5));
        p99.push(ours.part(0.99));
        bare50.push(bare.part(0.5));
        bare99.push(bare.part(0.99));
    }
    let what = format!(
        "durable batches of {BATCH} × {DIMENSION} through the manager while {rows} rows are merged ({merges} merges)"
    );
    let middle = median(p50);
    report.ratio(
        &format!("{what}, p50"),
        format!("{middle:.0} µs"),
        format!("1000 µs (bare p50 {:.0} µs)", median(bare50)),
        middle / 1e3,
        &Goal::AtMost(1.0),
    );
    report.ratio(
        &format!("{what}, p99 beside that of a bare write and fdatasync of the bytes"),
        format!("{:.0} µs", median(p99)),
        format!("{:.0} µs", median(bare99)),
        median(ratios),
        &Goal::AtMost(3.0),
    );
    Ok(())
}

/// So many seconds of commits and bare writes in turn; and how many merges were made meanwhile.
fn round(
    folder: &Path,
    manager: &IncrementalUpdateManager,
    vectors: &Vectors,
    next: &mut NodeId,
    seconds: f64,
) -> Outcome<(Times, Times, u64)> {
    let store: &PersistentVectorStore = manager.store();
    let before = store.stats()?;
    let bytes = vec![0x5A; log_bytes(manager, vectors, next)?];
    let file = zeroed(&folder.join("bare"), BARE_BYTES)?;
    let stop = AtomicBool::new(false);
    let (ours, bare) = std::thread::scope(|scope| -> Outcome<_> {
        let merging = scope.spawn(|| -> codegraph_vector::Result<()> {
            while !stop.load(Ordering::Relaxed) {
                store.flush()?;
                store.merge()?;
            }
            Ok(())
        });
        let measured = in_turn(manager, vectors, next, &file, &bytes, seconds);
        stop.store(true, Ordering::Relaxed);
        merging.join().map_err(|_| "the merging thread panicked")??;
        measured
    })?;
    let merges = store.stats()?.merges - before.merges;
    if merges == 0 {
        return Err("nothing was merged meanwhile".into());
    }
    Ok((Times::of(ours), Times::of(bare), merges))
}

fn in_turn(
    manager: &IncrementalUpdateManager,
    vectors: &Vectors,
    next: &mut NodeId,
    file: &std::fs::File,
    bytes: &[u8],
    seconds: f64,
) -> Outcome<(Vec<f64>, Vec<f64>)> {
    let (mut ours, mut bare, begin) = (Vec::new(), Vec::new(), Instant::now());
    while begin.elapsed().as_secs_f64() < seconds {
        ours.push(submit(manager, vectors, next)?);
        let offset = bare.len() * bytes.len() % (BARE_BYTES - bytes.len());
        bare.push(write_and_sync(file, bytes, offset as u64)?);
    }
    Ok((ours, bare))
}

/// Microseconds from the submission of a batch until its ticket says that it is durable.
fn submit(manager: &IncrementalUpdateManager, vectors: &Vectors, next: &mut NodeId) -> Outcome<f64> {
    let ids = *next..*next + BATCH as NodeId;
    *next = ids.end;
    let vector = |id: NodeId| vectors.row(id as usize % vectors.rows()).to_vec();
    let operations: Vec<_> =
        ids.map(|node_id| IncrementalOperation::Insert { node_id, vector: vector(node_id) }).collect();
    let start = Instant::now();
    let outcome = manager.submit_batch(operations)?.wait().all()?;
    let took = start.elapsed().as_secs_f64() * 1e6;
    if !outcome.receipt.durable {
        return Err("a batch that is not durable is no measure".into());
    }
    Ok(took)
}

/// Bytes that one batch takes in the log, by what the log says that it wrote.
fn log_bytes(manager: &IncrementalUpdateManager, vectors: &Vectors, next: &mut NodeId) -> Outcome<usize> {
    let before = manager.store().stats()?.log.bytes;
    submit(manager, vectors, next)?;
    Ok((manager.store().stats()?.log.bytes - before) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_timed_while_rows_are_merged() {
        let folder = tempfile::tempdir().unwrap();
        let mut report = Report::default();
        measure(folder.path(), 300, 0.05, &mut report).unwrap();
        assert_eq!(report.to_string().lines().count(), 2 + 2, "{report}");
    }
}
