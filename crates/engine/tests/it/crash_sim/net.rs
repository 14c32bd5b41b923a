//! The net is proved: with a part of the safety switched off, the simulation must fail, and for that
//! part's reason.
//!
//! Guards against: a simulation that would pass whatever the store does.

use codegraph_vector::TestSwitches;
use codegraph_vector_testkit::Lies;

use super::guarded;
use super::run::Sabotage;

/// Seeds within which a fault has to be found.
const SEEDS: u64 = 40;

/// Runs seeds, and asks that some fail with what such a fault must lead to. Others may fail earlier for
/// something else that follows from it.
fn notices(sabotage: Sabotage, symptoms: &[&str]) {
    let failures: Vec<(u64, String)> = (0..SEEDS)
        .filter_map(|seed| guarded(seed, sabotage, false).err().map(|error| (seed, error)))
        .collect();
    let right = |(_, error): &&(u64, String)| symptoms.iter().any(|symptom| error.contains(symptom));
    let fitting = failures.iter().filter(right).count();
    println!("{fitting} of {SEEDS} seeds notice it, {} fail", failures.len());
    let first = failures.iter().find(right);
    let (seed, error) =
        first.unwrap_or_else(|| panic!("none of {SEEDS} seeds notices {sabotage:?}: {failures:?}"));
    println!("seed {seed}: {error}");
}

fn lies(lies: Lies) -> Sabotage {
    Sabotage { lies, ..Sabotage::default() }
}

fn switches(switches: TestSwitches) -> Sabotage {
    Sabotage { switches, ..Sabotage::default() }
}

#[test]
fn net_notices_missing_file_sync() {
    notices(lies(Lies { ignore_file_sync: true, ..Lies::default() }), &["lost:"]);
}

#[test]
fn net_notices_missing_directory_sync() {
    notices(lies(Lies { ignore_dir_sync: true, ..Lies::default() }), &["lost:"]);
}

#[test]
fn net_notices_ignored_crc() {
    notices(
        switches(TestSwitches { ignore_crc: true, ..TestSwitches::default() }),
        // What is torn is taken for whole: its rows are wrong, or its commits do not follow one another.
        &["content:", "lacks a part", "resurrected:", " follows "],
    );
}

#[test]
fn net_notices_locks_freed_early() {
    notices(switches(TestSwitches { free_locks_early: true, ..TestSwitches::default() }), &["content:"]);
}

#[test]
fn net_notices_kept_tail() {
    notices(switches(TestSwitches { keep_tail: true, ..TestSwitches::default() }), &["lost:"]);
}
