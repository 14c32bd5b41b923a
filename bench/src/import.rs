//! Bulk import: log and segment of the same vectors, beside writing and syncing their bytes twice.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use codegraph_vector::{OpenOptions, PendingWrite, PersistentVectorStore, Settings, Write};

use crate::data::Vectors;
use crate::disk::write_file;
use crate::report::{Goal, Report, median};

const REPEATS: usize = 5;
const COMMIT_ROWS: usize = 10_000;

/// Seconds to import all rows durably and flush them. Two threads wait for the commits, so that while
/// one of them is applied the next is at the disk, and a third is prepared.
fn import(path: &Path, base: &Vectors, memtable_bytes: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let settings = Settings { memtable_bytes, ..Settings::default() };
    let options =
        OpenOptions { dimension: Some(base.dimension), settings: Some(settings), ..OpenOptions::default() };
    let batches: Vec<_> =
        (0..base.rows()).step_by(COMMIT_ROWS).map(|at| base.nodes(at, COMMIT_ROWS)).collect();
    let start = Instant::now();
    let store = PersistentVectorStore::open(path, options)?;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<PendingWrite>(1);
        let receiver = Arc::new(Mutex::new(receiver));
        let waiters = [receiver.clone(), receiver].map(|receiver| {
            let next = move || receiver.lock().ok()?.recv().ok();
            scope.spawn(move || std::iter::from_fn(next).try_for_each(|pending| pending.wait().map(|_| ())))
        });
        for batch in &batches {
            if sender.send(store.submit(&Write::Put(batch))?).is_err() {
                break; // The waiters have the error.
            }
        }
        drop(sender);
        for waiter in waiters {
            waiter.join().map_err(|_| "a waiter panicked")??;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    store.flush()?;
    let took = start.elapsed().as_secs_f64();
    assert_eq!(store.stats()?.active_vectors, base.rows() as u64, "rows are missing");
    Ok(took)
}

/// The import beside the disk.
pub(crate) fn bulk(
    folder: &Path,
    base: &Vectors,
    report: &mut Report,
) -> Result<(), Box<dyn std::error::Error>> {
    let bytes: Vec<u8> = base.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let memtable_bytes = (bytes.len() / 5) as u64;
    let (mut ours, mut twice, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for repeat in 0..REPEATS {
        let path = folder.join(format!("import-{repeat}"));
        let import = import(&path, base, memtable_bytes)?;
        std::fs::remove_dir_all(&path)?;
        let bare = write_file(&folder.join("log"), &bytes)? + write_file(&folder.join("segment"), &bytes)?;
        ours.push(import);
        twice.push(bare);
        ratios.push(bare / import);
    }
    let mb = bytes.len() as f64 / 1e6;
    let figure = |seconds: f64| format!("{seconds:.2} s, {:.0} MB/s", mb / seconds);
    let what = format!(
        "durable import and flush of {} × {} ({mb:.0} MB, memtable {:.0} MB) beside writing and syncing the bytes twice",
        base.rows(),
        base.dimension,
        memtable_bytes as f64 / 1e6
    );
    report.ratio(&what, figure(median(ours)), figure(median(twice)), median(ratios), &Goal::AtLeast(0.6));
    Ok(())
}
