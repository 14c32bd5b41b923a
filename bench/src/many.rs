//! Thousands of small stores in one process, under one limit: what they take, and how soon any of them answers.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use codegraph_vector::{OpenOptions, SearchRequest, StoreSet, StoreSetConfig};

use crate::data::{SplitMix, make, node};
use crate::memory::memory;
use crate::report::{Goal, Report};
use crate::searching::Outcome;

const DIMENSION: usize = 384;
/// Rows of a store.
const ROWS: usize = 500;
/// Touches of the child, for each store.
const TOUCHES: usize = 2;

/// Fills `stores` stores and measures a fresh process that searches and writes them in no order.
pub(crate) fn run(folder: &Path, stores: usize, report: &mut Report) -> Outcome<()> {
    let root = folder.join("many");
    let set = set_of(&root)?;
    let vectors = make(ROWS + stores, DIMENSION, 5);
    let start = Instant::now();
    for at in 0..stores {
        let store = set.create(&name(at), |options| options.dimension = Some(DIMENSION))?;
        let nodes: Vec<_> = (0..ROWS).map(|row| node(row as u128, vectors.row(at + row).to_vec())).collect();
        store.put_batch(&nodes)?;
    }
    set.close_all()?;
    eprintln!("{stores} stores were made in {:.1} s", start.elapsed().as_secs_f64());
    drop(set);
    let output = Command::new(std::env::current_exe()?)
        .args(["many-child", "--dir"])
        .arg(&root)
        .args(["--rows", &stores.to_string()])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [anonymous, files, slowest_ms, p99_ms, p50_ms, open] = figures[..] else {
        return Err(format!("the child said {text:?} {}", String::from_utf8_lossy(&output.stderr)).into());
    };
    let what = format!("{stores} stores of {ROWS} × {DIMENSION} in one process");
    let touched = format!(
        "each touched {TOUCHES} times in no order by two threads, half of the touches write; {open} open at the end"
    );
    let goal = &Goal::AtMost(1.0);
    report.ratio(
        &format!("{what}, {touched}: most anonymous memory"),
        format!("{:.0} MB", anonymous / 1e6),
        "300 MB".into(),
        anonymous / 3e8,
        goal,
    );
    report.ratio(
        &format!("{what}: most files open at once"),
        format!("{files}"),
        "500".into(),
        files / 500.0,
        goal,
    );
    report.ratio(
        &format!("{what}: first touch, opening the store and a search in it, slowest"),
        format!("{slowest_ms:.1} ms (p50 {p50_ms:.2}, p99 {p99_ms:.2})"),
        "20 ms".into(),
        slowest_ms / 20.0,
        goal,
    );
    Ok(())
}

fn set_of(root: &Path) -> Outcome<StoreSet> {
    let options = OpenOptions::default();
    Ok(StoreSet::new(root, StoreSetConfig { options, ..StoreSetConfig::default() })?)
}

fn name(at: usize) -> String {
    format!("store-{at:05}")
}

/// What the child has seen.
#[derive(Default)]
struct Seen {
    anonymous: f64,
    files: usize,
    /// First touches that only read, in milliseconds.
    first_ms: Vec<f64>,
}

impl Seen {
    fn look(&mut self) -> Outcome<()> {
        self.anonymous = self.anonymous.max(memory("RssAnon:")?);
        self.files = self.files.max(std::fs::read_dir("/proc/self/fd")?.count());
        Ok(())
    }
}

/// Searches and writes the stores of a folder; prints the figures for the parent.
pub(crate) fn child(root: &Path, stores: usize) -> Outcome<()> {
    let set = set_of(root)?;
    let halves: Vec<_> =
        [0, 1].into_iter().map(|half| (half..stores).step_by(2).collect::<Vec<_>>()).collect();
    let seen = std::thread::scope(|scope| {
        let workers: Vec<_> = halves
            .into_iter()
            .map(|half| scope.spawn(|| touch_all(&set, half).map_err(|error| error.to_string())))
            .collect();
        let joined =
            workers.into_iter().map(|worker| worker.join().map_err(|_| "a worker panicked".to_owned())?);
        joined.collect::<Result<Vec<Seen>, String>>()
    })?;
    let most = |figure: fn(&Seen) -> f64| seen.iter().map(figure).fold(0.0, f64::max);
    let mut first: Vec<f64> = seen.iter().flat_map(|seen| seen.first_ms.clone()).collect();
    first.sort_by(f64::total_cmp);
    let part = |share: f64| first[((first.len() - 1) as f64 * share) as usize];
    println!(
        "{} {} {} {} {} {}",
        most(|seen| seen.anonymous),
        most(|seen| seen.files as f64),
        part(1.0),
        part(0.99),
        part(0.5),
        set.statistics().open
    );
    eprintln!("{:?}", set.statistics());
    Ok(set.close_all()?)
}

/// All stores of one thread, several times, in another order each time.
fn touch_all(set: &StoreSet, mut mine: Vec<usize>) -> Outcome<Seen> {
    let (mut seen, mut random) = (Seen::default(), SplitMix(mine.len() as u64));
    let queries = make(64, DIMENSION, 9);
    for touch in 0..TOUCHES {
        for at in (1..mine.len()).rev() {
            mine.swap(at, (random.next() % (at as u64 + 1)) as usize);
        }
        for (number, at) in mine.iter().enumerate() {
            let query = queries.row(number % queries.rows());
            let start = Instant::now();
            let store = set.store(&name(*at))?;
            let found = store.search(&SearchRequest::new(query, 10))?.matches.len();
            let took = start.elapsed().as_secs_f64() * 1e3;
            if found != 10 {
                return Err(format!("{found} were found").into());
            }
            if touch == 0 {
                seen.first_ms.push(took);
            }
            if number % 2 == touch % 2 {
                let id = (ROWS + touch) as u128;
                store.put(node(id, query.to_vec()))?;
            }
            if number % 8 == 0 {
                seen.look()?;
            }
        }
    }
    seen.look()?;
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stores_are_touched_and_what_is_seen_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let set = set_of(folder.path()).unwrap();
        let vectors = make(ROWS, DIMENSION, 5);
        for at in 0..3 {
            let store = set.create(&name(at), |options| options.dimension = Some(DIMENSION)).unwrap();
            let nodes: Vec<_> = (0..20).map(|row| node(row as u128, vectors.row(row).to_vec())).collect();
            store.put_batch(&nodes).unwrap();
        }
        let seen = touch_all(&set, vec![0, 1, 2]).unwrap();
        assert!(seen.first_ms.len() == 3 && seen.files > 0 && seen.anonymous > 0.0);
        drop(set);
        child(folder.path(), 3).unwrap();
    }
}
