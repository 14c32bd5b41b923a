//! Random histories: concurrent random transactions on a few items, recorded, and judged by the checker of the test kit.
//!
//! Each seed runs transactions of one level or of all, beside single writes, flushes and merges; workers take turns in a random
//! order, or run at once. In some seeds the power goes off meanwhile: what that leaves is a state of the history, what was
//! prepared is in doubt, and the history goes on in the next process. Every read has to find what its state holds
//! ([`resolve`]), and no cycle that a level forbids may be in the whole.
//!
//! `CGV_HISTORIES=n` runs seeds 0 to n-1 (from `CGV_HISTORIES_FIRST` on); `CGV_HISTORY=s` runs one and prints it.

mod record;
mod resolve;
mod run;
mod turns;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use codegraph_vector_testkit::history::{Class, anomalies};
use parking_lot::Mutex;

use self::run::{Did, Outcome, run};

/// Histories of a run in CI.
const SEEDS: u64 = 1000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")))
}

/// What is wrong with the history of a seed, and what was done in it.
fn judge(seed: u64, validates: bool) -> Result<(Did, String), (Vec<Class>, String)> {
    let (ended, outcome) = mpsc::channel();
    let worker = thread::spawn(move || {
        let _ = ended.send(run(seed, validates));
    });
    let outcome = match outcome.recv_timeout(Duration::from_secs(120)) {
        Ok(outcome) => outcome,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("seed {seed}: somebody waits for ever"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let panic = worker.join().expect_err("it sent nothing");
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            return Err((Vec::new(), format!("panic: {}", text.unwrap_or_default())));
        }
    };
    let Outcome { did, recorded, resolved } = outcome.map_err(|error| (Vec::new(), error))?;
    let resolved = resolved.map_err(|error| {
        let recorded: Vec<_> = recorded.iter().map(|one| format!("{one:?}")).collect();
        (Vec::new(), format!("{error}\n{}", recorded.join("\n")))
    })?;
    let history = resolved.history;
    history.check_form().map_err(|error| (Vec::new(), format!("{error}\n{history}")))?;
    let found = anomalies(&history);
    if found.is_empty() {
        return Ok((did, history.to_string()));
    }
    let told: Vec<_> = found.iter().map(ToString::to_string).collect();
    let classes = found.into_iter().map(|anomaly| anomaly.class).collect();
    Err((classes, format!("{}\n{history}", told.join("\n"))))
}

/// Runs seeds on all cores until one fails; the sum of the runs, or the failure.
fn all(seeds: std::ops::Range<u64>) -> Result<Did, (u64, String)> {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let outcome = Mutex::new(Ok(Did::default()));
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let judged = judge(seed, true);
            let outcome = &mut *outcome.lock();
            match (judged, &mut *outcome) {
                (Ok((did, _)), Ok(sum)) => sum.add(&did),
                (Err((_, error)), Ok(_)) => {
                    stop.store(true, Ordering::Relaxed);
                    *outcome = Err((seed, error));
                }
                (_, Err(_)) => {}
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    outcome.into_inner()
}

#[test]
fn no_history_shows_what_its_levels_forbid() {
    if let Some(seed) = number("CGV_HISTORY") {
        match judge(seed, true) {
            Ok((did, history)) => println!("{history}\n{did:?}"),
            Err((_, error)) => panic!("seed {seed}: {error}"),
        }
        return;
    }
    let (first, count) =
        (number("CGV_HISTORIES_FIRST").unwrap_or(0), number("CGV_HISTORIES").unwrap_or(SEEDS));
    let did = all(first..first + count).unwrap_or_else(|(seed, error)| {
        panic!("history of seed {seed}: {error}\n  again: CGV_HISTORY={seed} cargo test -p codegraph-vector --test it no_history -- --nocapture")
    });
    println!("{count} histories: {did:?}");
    // Nothing is proved by histories in which nothing happens.
    assert!(count < 100 || did.least() >= count / 10, "too little happened: {did:?}");
}

#[test]
fn without_validation_histories_show_what_was_forbidden() {
    let mut classes: Vec<Class> = Vec::new();
    for seed in 0..SEEDS {
        if let Err((found, _)) = judge(seed, false) {
            classes.extend(found);
        }
        // Write skew on items, and on predicates.
        if classes.contains(&Class::G2Item) && classes.contains(&Class::G2) {
            return;
        }
    }
    panic!("without validation only {classes:?} were found");
}
