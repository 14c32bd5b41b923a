//! The log file of each released format version, checked in, which opens for ever. See `../golden.rs`.

use std::path::Path;

use codegraph_vector_base::vfs::{OpenMode, RealVfs, Vfs, read_file};
use codegraph_vector_testkit::SimVfs;

use super::*;

fn golden_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wal-1.wal")
}

/// Three groups, of one, two and one records, without the zeros behind them.
fn written_now() -> Vec<u8> {
    let sim = SimVfs::new(1);
    let numbers = Numbers::create(&sim, ENDLESS);
    numbers.put(3).expect("acknowledged");
    let tickets = [numbers.queue(0).expect("queued"), numbers.queue(20).expect("queued")];
    numbers.wait(&tickets[0]).expect("acknowledged");
    numbers.put(100).expect("acknowledged");
    let mut bytes = sim.read_all(wal_path(0)).expect("there");
    assert!(bytes.split_off((FILE_HEADER + numbers.end().0) as usize).iter().all(|byte| *byte == 0));
    bytes
}

#[test]
#[ignore = "writes into the source tree, for a new format version only"]
fn write_golden_log_file() {
    let path = golden_path();
    assert!(!RealVfs.exists(&path).expect("looked up"), "{} is released, it stays", path.display());
    let file = RealVfs.open(&path, OpenMode::Create).expect("created");
    file.write_at(&written_now(), 0).expect("written");
}

#[test]
fn log_files_are_written_as_ever() {
    assert!(written_now() == read_file(&RealVfs, &golden_path()).expect("checked in"), "a new version?");
}

#[test]
fn wal_1_opens() {
    let sim = SimVfs::new(1);
    layout().create_dirs(&sim).expect("folders");
    sim.write_raw(wal_path(0), &read_file(&RealVfs, &golden_path()).expect("checked in"));
    let (found, scan) = read(&sim);
    assert_eq!((found, scan.groups, scan.cut), (vec![0, 1, 2, 3], 3, None));
    let (numbers, _) = reopened(&sim, unclean(), SyncPolicy::Sync);
    numbers.put(5).expect("and goes on");
    assert_eq!(read(&sim).0.len(), 5);
}
