//! The real binary, killed at random moments, and on a disk whose syncs fail: every receipt that it
//! printed holds, and no batch is there in part.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use codegraph_vector::{CodeNode, NodeId, OpenOptions, PersistentVectorStore, Settings};
use serde::Deserialize;

use crate::sample::Folder;

/// Rows in a batch.
const BATCH: u64 = 8;
const DIMENSION: usize = 16;
/// The id of the row that all batches may share. Batches count from 1.
const SHARED: NodeId = 0;
const KILLS: u64 = 50;

#[derive(Deserialize)]
struct Receipt {
    seqno: u64,
    first_row: u64,
    rows: u64,
    durable: bool,
}

/// What the receipts of all processes so far promise.
#[derive(Default)]
struct Promised {
    /// Whether the first row of every batch has the id 0, so that each replaces a row of the one before:
    /// then a batch cannot be queued before the one before it is through.
    shared_row: bool,
    /// Batches that were acknowledged, each with its commit.
    batches: BTreeMap<u64, u64>,
    /// The last batch that may be there.
    sent: u64,
    /// The last batch that was seen to be there. Those behind it that were not may still turn up: a reader
    /// shows no more than what is known to be synced, recovery keeps what is whole.
    newest: u64,
    /// The first batch of each process.
    firsts: BTreeSet<u64>,
}

/// Batches are numbered over all processes; the rows of one are found again by it.
fn row_id(batch: u64, row: u64) -> NodeId {
    NodeId::from(batch * BATCH + row)
}

fn vector(batch: u64, row: u64) -> Vec<f32> {
    (0..DIMENSION as u64).map(|at| (batch * 31 + row * 7 + at + 1) as f32).collect()
}

fn batch_lines(batch: u64, shared_row: bool) -> String {
    let line = |row| {
        let id = if row == 0 && shared_row { SHARED } else { row_id(batch, row) };
        let vector = vector(batch, row);
        format!("{{\"node_id\":{id},\"vector\":{vector:?},\"start_line\":{batch}}}\n")
    };
    (0..BATCH).map(line).collect()
}

fn writer(folder: &Folder, through: Option<Command>) -> Child {
    let batch = BATCH.to_string();
    let cgv = folder.cgv(&["import", "-", "--receipts", "--commit-rows", &batch]);
    let mut command = match through {
        None => cgv,
        Some(mut through) => {
            through.arg(cgv.get_program()).args(cgv.get_args()).current_dir(folder.path());
            through
        }
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cgv runs")
}

impl Promised {
    /// Feeds a process batches until it takes no more, and collects its receipts meanwhile.
    fn collect(&mut self, child: &mut Child, end: impl FnOnce(&mut Child)) {
        let mut input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (first, shared_row) = (self.sent + 1, self.shared_row);
        let feeder = thread::spawn(move || {
            let mut sent = first;
            while input
                .write_all(batch_lines(sent, shared_row).as_bytes())
                .and_then(|()| input.flush())
                .is_ok()
            {
                sent += 1;
            }
            sent
        });
        let reader = thread::spawn(move || {
            let whole = |line: &String| line.ends_with('}');
            output.lines().map_while(Result::ok).filter(whole).collect::<Vec<_>>()
        });
        end(child);
        self.firsts.insert(first);
        self.sent = feeder.join().unwrap();
        let mut expected = 0;
        for line in reader.join().unwrap() {
            let receipt: Receipt = serde_json::from_str(&line).expect("a receipt");
            assert!(receipt.durable && receipt.rows == BATCH && receipt.first_row == expected, "{line}");
            self.batches.insert(first + receipt.first_row / BATCH, receipt.seqno);
            expected += receipt.rows;
        }
    }

    /// Holds the store against the receipts of the batches that were not seen yet.
    fn check(&mut self, store: &PersistentVectorStore) {
        let snapshot = store.snapshot().unwrap();
        if let Some((_, seqno)) = self.batches.last_key_value() {
            assert!(
                snapshot.seqno().0 >= *seqno,
                "commit {seqno} was acknowledged, and {} is the last",
                snapshot.seqno()
            );
        }
        let mut newest = self.newest;
        let mut ended = false;
        for batch in self.newest + 1..=self.sent + 1 {
            // What one process did not get done says nothing about the next.
            ended &= !self.firsts.contains(&batch);
            let rows: Vec<CodeNode> =
                (1..BATCH).filter_map(|row| snapshot.get(row_id(batch, row)).unwrap()).collect();
            match rows.len() as u64 {
                0 => {
                    assert!(!self.batches.contains_key(&batch), "batch {batch} was acknowledged and is gone");
                    ended = true;
                }
                present => {
                    assert_eq!(present, BATCH - 1, "batch {batch} is there in part");
                    assert!(!ended, "batch {batch} is there, and one before it is not");
                    newest = batch;
                }
            }
            for (row, node) in (1..).zip(&rows) {
                assert_eq!((&node.embedding, node.start_line), (&vector(batch, row), Some(batch as u32)));
            }
        }
        if newest > 0 && self.shared_row {
            let shared = snapshot.get(SHARED).unwrap().expect("every batch has it");
            assert_eq!(
                shared.embedding,
                vector(newest, 0),
                "the shared row is of another batch than {newest}"
            );
        }
        self.newest = newest;
    }
}

fn open(path: &Path, read_only: bool) -> PersistentVectorStore {
    PersistentVectorStore::open(path, OpenOptions { must_exist: true, read_only, ..OpenOptions::default() })
        .unwrap()
}

/// A store whose memtables and log files are small, so that flushes, merges and new files happen all the time.
fn restless_store(path: &Path) {
    let settings = Settings { memtable_bytes: 64 << 10, max_wal_file_bytes: 64 << 10, ..Settings::default() };
    let options =
        OpenOptions { dimension: Some(DIMENSION), settings: Some(settings), ..OpenOptions::default() };
    PersistentVectorStore::open(path, options).unwrap().close().unwrap();
}

#[test]
fn every_receipt_survives_a_kill() {
    let folder = Folder::new();
    restless_store(&folder.store());
    let mut promised = Promised::default();
    let mut kills_with_receipts = 0;
    for round in 0..KILLS {
        // Half of the rounds: the check of the shared row needs that the batch before had it too.
        promised.shared_row = round < KILLS / 2;
        let receipts = promised.batches.len();
        let mut child = writer(&folder, None);
        promised.collect(&mut child, |child| {
            thread::sleep(Duration::from_millis(5) + random_up_to(Duration::from_millis(250)));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        kills_with_receipts += u64::from(promised.batches.len() > receipts);
        // A reader finds the store as the kill left it; what recovers it is this process, or the next to be killed.
        promised.check(&open(&folder.store(), true));
        if round % 2 == 0 {
            let store = open(&folder.store(), false);
            promised.check(&store);
            store.close().unwrap();
        }
    }
    assert!(kills_with_receipts > KILLS / 4, "only {kills_with_receipts} of {KILLS} had written anything");
    // The shared row was looked at each time; everything else once more, at the end.
    let store = open(&folder.store(), false);
    for batch in promised.batches.keys() {
        for row in 1..BATCH {
            let node = store.get(row_id(*batch, row)).unwrap().expect("acknowledged");
            assert_eq!(node.embedding, vector(*batch, row));
        }
    }
    store.close().unwrap();
    drop(store);
    assert!(folder.ok(&["verify"]).starts_with("ok: "));
    println!("{KILLS} kills, {} of {} batches acknowledged", promised.batches.len(), promised.sent);
}

pub(crate) fn random_up_to(most: Duration) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mixed = (now ^ (now >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    most.mul_f64((mixed >> 40) as f64 / (1u64 << 24) as f64)
}

/// `strace`, with every sync of a thread failing from the `when`th on; `None` where it cannot trace.
fn failing_syncs(log: &Path, when: u32) -> Option<Command> {
    let strace = |extra: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-f", "-o"]).arg(log).args(extra);
        command
    };
    let works = strace(&["-e", "inject=fdatasync:error=EIO", "true"]).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        return None;
    }
    let inject = format!("inject=fdatasync,fsync:error=EIO:when={when}+");
    Some(strace(&["-y", "-e", "trace=fdatasync,fsync,write", "-e", &inject, "--"]))
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    let mut unknown = 0;
    for when in [1, 2, 3, 5, 9, 17, 33] {
        let folder = Folder::new();
        restless_store(&folder.store());
        let log = folder.path().join("trace");
        let Some(strace) = failing_syncs(&log, when) else {
            eprintln!("skipped: strace is missing, or may not trace here");
            return;
        };
        let mut promised = Promised::default();
        let mut child = writer(&folder, Some(strace));
        let mut said = String::new();
        let mut err = child.stderr.take().unwrap();
        promised.collect(&mut child, |child| {
            // It ends by itself, although its input does not.
            std::io::Read::read_to_string(&mut err, &mut said).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
        });
        assert!(said.contains("error: "), "{said}");
        unknown += u32::from(said.contains("may or may not be there"));
        let trace = std::fs::read_to_string(&log).unwrap();
        assert_eq!(trace.lines().filter(|line| is_receipt(line)).count(), promised.batches.len());
        check_order(&trace, &said);
        promised.check(&open(&folder.store(), true));
        let store = open(&folder.store(), false);
        promised.check(&store);
        assert!(store.verify().unwrap().is_clean());
        store.close().unwrap();
        println!("EIO from sync {when} on: {} batches acknowledged; {}", promised.batches.len(), said.trim());
    }
    assert!(unknown > 2, "only {unknown} runs ended in the middle of a sync");
}

/// In the order of the system calls, no receipt is printed after the sync of a commit failed. (Batches that
/// share no row are written by one thread, the one that prints.)
fn check_order(trace: &str, said: &str) {
    let failed = trace.lines().position(|line| line.contains(".wal>") && line.contains("(INJECTED)"));
    let Some(failed) = failed else { return };
    let late = trace.lines().skip(failed).find(|line| is_receipt(line));
    assert!(late.is_none(), "{late:?} after a sync had failed; {said}");
}

/// Whether a system call prints a receipt.
fn is_receipt(line: &str) -> bool {
    line.contains(r#""{\"seqno\":"#)
}
