//! Backups and the archive beside the disk's own speed, and what they cost searches.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use codegraph_vector::{BackupOptions, NodeId, OpenOptions, PersistentVectorStore, RestorePoint};

use crate::data::{Vectors, node};
use crate::report::{Goal, Report, median};
use crate::searching::{Kind, Outcome, micros, percentile, put, requests, timed};

/// Rounds of each pair.
const ROUNDS: usize = 5;
/// Bytes that the yardstick copies at a time.
const PIECE_BYTES: usize = 1 << 20;
/// One of so many rows is changed before the second backup.
const CHANGED: usize = 100;
/// Of the archive.
const INTERVAL: Duration = Duration::from_secs(1);
/// Rows of a commit while the archive is measured.
const COMMIT_ROWS: usize = 20;
/// Of so many looks at the lag one is followed by a restore.
const LOOKS: usize = 100;
const QUERIES: usize = 1000;

pub(crate) fn run(
    folder: &Path,
    base: &Vectors,
    queries: &Vectors,
    kind: &Kind,
    seconds: f64,
    report: &mut Report,
) -> Outcome<()> {
    let rows = base.rows();
    let of = |at: usize| node(at as NodeId, base.row(at % rows).to_vec());
    let store = kind.build(&folder.join("store"), base.dimension, rows, of)?;
    speed(folder, &store, &format!("{rows} × {}", base.dimension), report)?;
    second(&store, rows, &of, report)?;
    searches(&store, queries, report)?;
    archive(folder, &store, &of, seconds, report)
}

/// A backup into an empty folder, and a restore of it, beside a copy of the store's segments that is as durable.
fn speed(folder: &Path, store: &PersistentVectorStore, what: &str, report: &mut Report) -> Outcome<()> {
    let (mut backups, mut restores, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let (start, copy) = (Instant::now(), folder.join("copy"));
        fs::create_dir_all(&copy)?;
        bytes = copy_all(&store.path().join("segments"), &copy)?;
        copies.push(start.elapsed().as_secs_f64());
        fs::remove_dir_all(&copy)?;
        let start = Instant::now();
        let made = store.create_backup_with(&BackupOptions::default())?;
        backups.push(start.elapsed().as_secs_f64());
        let (start, again) = (Instant::now(), folder.join("again"));
        PersistentVectorStore::restore(store.backups(), &made.backup_id, &again, OpenOptions::default())?;
        restores.push(start.elapsed().as_secs_f64());
        fs::remove_dir_all(again)?;
        fs::remove_dir_all(store.backups())?;
    }
    let figure = |seconds: f64| format!("{:.0} MB/s", bytes as f64 / 1e6 / seconds);
    let mut tell = |name: &str, times: &[f64]| {
        let ratio = median(copies.iter().zip(times).map(|(copy, ours)| copy / ours).collect());
        let (ours, yardstick) = (median(times.to_vec()), median(copies.clone()));
        let what = format!("{what}, {:.0} MB: {name} beside a durable copy of the files", bytes as f64 / 1e6);
        report.ratio(&what, figure(ours), figure(yardstick), ratio, &Goal::AtLeast(0.7));
    };
    tell("first backup", &backups);
    tell("restore, opened", &restores);
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> Outcome<u64> {
    let (mut bytes, mut buffer) = (0, vec![0; PIECE_BYTES]);
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (mut source, copy) = (File::open(entry.path())?, File::create(to.join(entry.file_name()))?);
        loop {
            let got = source.read(&mut buffer)?;
            if got == 0 {
                break;
            }
            std::io::Write::write_all(&mut &copy, &buffer[..got])?;
            bytes += got as u64;
        }
        copy.sync_all()?;
    }
    File::open(to)?.sync_all()?;
    Ok(bytes)
}

fn second(
    store: &PersistentVectorStore,
    rows: usize,
    of: &impl Fn(usize) -> codegraph_vector::CodeNode,
    report: &mut Report,
) -> Outcome<()> {
    store.create_backup_with(&BackupOptions::default())?;
    let changed = (rows / CHANGED).max(1);
    put(store, changed, |at| {
        let row = at * CHANGED % rows;
        of(row).with_name("changed")
    })?;
    let made = store.create_backup_with(&BackupOptions::default())?;
    let figure = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let ratio = made.new_bytes as f64 / made.bytes as f64;
    let what = format!("new bytes of a backup after 1 in {CHANGED} rows changed, no merge between");
    report.ratio(&what, figure(made.new_bytes), figure(made.bytes), ratio, &Goal::AtMost(0.05));
    Ok(())
}

/// Searches while backups into empty folders are made, beside searches alone.
fn searches(store: &PersistentVectorStore, queries: &Vectors, report: &mut Report) -> Outcome<()> {
    let requests = requests(queries, QUERIES);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(percentile(&timed(store, &requests)?.1, 99));
        let over = AtomicBool::new(false);
        let times = thread::scope(|scope| -> Outcome<Vec<f64>> {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    let _ = fs::remove_dir_all(store.backups());
                    store.create_backup_with(&BackupOptions::default()).expect("a backup");
                }
            });
            let times = timed(store, &requests);
            over.store(true, Ordering::Release);
            Ok(times?.1)
        })?;
        beside.push(percentile(&times, 99));
    }
    let ratio = median(alone.iter().zip(&beside).map(|(alone, beside)| beside / alone).collect());
    let what = "p99 of searches during backups, beside searches alone";
    report.ratio(what, micros(median(beside)), micros(median(alone)), ratio, &Goal::AtMost(1.3));
    Ok(())
}

/// How far the archive is behind a busy writer, and what is lost if all of the store but its archive is, at once.
fn archive(
    folder: &Path,
    store: &PersistentVectorStore,
    of: &(impl Fn(usize) -> codegraph_vector::CodeNode + Sync),
    seconds: f64,
    report: &mut Report,
) -> Outcome<()> {
    store.configure(|settings| {
        settings.archive.enabled = true;
        settings.archive.interval_ms = INTERVAL.as_millis() as u64;
    })?;
    store.create_backup_with(&BackupOptions::default())?;
    store.archive_log()?;
    let (over, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut lags, mut lost) = (Vec::new(), Vec::new());
    thread::scope(|scope| -> Outcome<()> {
        scope.spawn(|| {
            for first in (0..).step_by(COMMIT_ROWS) {
                let nodes: Vec<_> = (first..first + COMMIT_ROWS).map(of).collect();
                store.put_batch(&nodes).expect("a commit");
                let id = nodes[0].id;
                let written = store.vector_metadata(id).expect("read").expect("there").updated_us;
                acknowledged.store(written, Ordering::Release);
                if over.load(Ordering::Acquire) {
                    break;
                }
            }
        });
        let start = Instant::now();
        let measured = (|| {
            while start.elapsed().as_secs_f64() < seconds || lost.is_empty() {
                lags.push(store.stats()?.archive.lag_us.unwrap_or(u64::MAX) as f64);
                thread::sleep(Duration::from_millis(10));
                if lags.len() % LOOKS == 0 {
                    // What was acknowledged now, of what is in the archive now.
                    let last = acknowledged.load(Ordering::Acquire);
                    let again = folder.join("again");
                    let options = OpenOptions::default();
                    let (_, restored) = PersistentVectorStore::restore(
                        store.backups(),
                        RestorePoint::Latest,
                        &again,
                        options,
                    )?;
                    lost.push(last.saturating_sub(restored.commit_time_us) as f64);
                    fs::remove_dir_all(again)?;
                }
            }
            Outcome::Ok(())
        })();
        over.store(true, Ordering::Release);
        measured
    })?;
    lags.sort_unstable_by(f64::total_cmp);
    lost.sort_unstable_by(f64::total_cmp);
    let interval = INTERVAL.as_secs_f64() * 1e6;
    let lag = percentile(&lags, 99);
    let what = "p99 of the archive's lag behind a busy writer, beside its interval and a second";
    report.ratio(what, micros(lag), micros(interval + 1e6), lag / (interval + 1e6), &Goal::AtMost(1.0));
    let worst = lost.last().copied().unwrap_or(f64::NAN);
    let what = format!("most that was lost with the folder, of {} times, beside the interval", lost.len());
    report.ratio(&what, micros(worst), micros(interval), worst / interval, &Goal::AtMost(1.0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::make;

    #[test]
    fn a_small_store_has_every_figure() {
        let folder = tempfile::tempdir().unwrap();
        let mut report = Report::default();
        run(folder.path(), &make(2000, 8, 5), &make(20, 8, 6), &Kind::default(), 0.1, &mut report).unwrap();
        assert_eq!(report.to_string().lines().count(), 2 + 6, "{report}");
        assert!(!report.to_string().contains("NaN"), "{report}");
    }
}
