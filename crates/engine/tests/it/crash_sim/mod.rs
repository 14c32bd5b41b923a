//! Crash simulation: nothing acknowledged is ever lost, nothing read is ever taken back.
//!
//! Each seed is a short workload on a simulated disk, with a crash at every call that changes the
//! disk, with readers and writers in between, and in some runs with calls that fail. What each crash leaves is
//! recovered, examined, crashed during the recovery, and recovered again.
//!
//! `CGV_SIM_SEEDS=n` runs seeds 0 to n-1 (from `CGV_SIM_FIRST` on); `CGV_SIM_SEED=s` replays one, step by step.

mod compare;
mod faults;
mod feed;
mod forks;
mod found;
mod generate;
mod image;
mod incremental;
mod lossy;
mod model;
mod net;
mod prepared;
mod property;
mod run;
mod settle;
mod two_phases;
mod world;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use self::run::{Sabotage, Summary, run};

/// Seeds of a run in CI.
const SEEDS: u64 = 1000;
/// Recoveries nest three deep, each with its buffers.
const STACK_BYTES: usize = 16 << 20;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")))
}

/// A run on a thread of its own; a panic is a failure like any other.
fn guarded(seed: u64, sabotage: Sabotage, verbose: bool) -> Result<Summary, String> {
    let caught = std::panic::catch_unwind(|| run(seed, sabotage, verbose));
    caught.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Runs seeds on all cores until one fails; returns the failure of the least seed, and the sum of the runs.
fn all(seeds: std::ops::Range<u64>, sabotage: Sabotage) -> (Summary, Option<(u64, String)>) {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let outcome = Mutex::new((Summary::default(), None::<(u64, String)>));
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let result = guarded(seed, sabotage, false);
            let (sum, failure) = &mut *outcome.lock();
            match result {
                Ok(summary) => sum.add(summary),
                Err(error) => {
                    if number("CGV_SIM_KEEP_GOING").is_some() {
                        println!("seed {seed}: {error}");
                    } else {
                        stop.store(true, Ordering::Relaxed);
                    }
                    if failure.as_ref().is_none_or(|(least, _)| seed < *least) {
                        *failure = Some((seed, error));
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, work).expect("a thread");
        }
    });
    outcome.into_inner()
}

impl Summary {
    fn add(&mut self, other: Self) {
        self.trace ^= other.trace;
        self.images += other.images;
        self.commits += other.commits;
        self.submitted += other.submitted;
        self.faults += other.faults;
        self.rotations += other.rotations;
        self.segments += other.segments;
        self.death_files += other.death_files;
        self.opened += other.opened;
        self.properties += other.properties;
        self.encoded += other.encoded;
        self.prepared += other.prepared;
        self.decided += other.decided;
        self.held_up += other.held_up;
        self.followed += other.followed;
    }
}

#[test]
fn a_crash_at_any_call_keeps_every_promise() {
    let (first, one) = (number("CGV_SIM_FIRST").unwrap_or(0), number("CGV_SIM_SEED"));
    if let Some(seed) = one {
        let summary =
            guarded(seed, Sabotage::default(), true).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        println!("seed {seed}: {summary:?}");
        return;
    }
    let count = number("CGV_SIM_SEEDS").unwrap_or(SEEDS);
    let (sum, failure) = all(first..first + count, Sabotage::default());
    if let Some((seed, error)) = failure {
        panic!(
            "crash simulation, seed {seed}: {error}\n  replay: CGV_SIM_SEED={seed} cargo test -p codegraph-vector --test it crash_sim -- --nocapture a_crash"
        );
    }
    println!("{count} seeds: {sum:?}");
    // Nothing is proved by workloads in which nothing happens.
    let Summary {
        images,
        commits,
        submitted,
        faults,
        rotations,
        segments,
        death_files,
        opened,
        properties,
        encoded,
        prepared,
        decided,
        held_up,
        followed,
        ..
    } = sum;
    let did = [
        images / 50,
        commits / 5,
        submitted,
        faults,
        rotations,
        segments,
        death_files,
        opened,
        properties,
        encoded,
        prepared,
        decided,
        held_up,
        followed / 5,
    ];
    let least = did.into_iter().min();
    assert!(count < 50 || least >= Some(count / 10), "too little happened");
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..8 {
        let runs = [(); 2].map(|()| guarded(seed, Sabotage::default(), false));
        assert_eq!(runs[0], runs[1], "seed {seed}");
    }
}
