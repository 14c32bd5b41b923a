//! Searches while a writer commits and merges run: how long they take, and that none sees a part of a batch.
//!
//! Each batch rewrites a *pair*, two rows that always get the same version in one commit, among ordinary rows. Now and
//! then the reader asks for all rows of a pair: it has to find both, of one version.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use codegraph_vector::{AttributeValue, CodeNode, Filter, NodeId, PersistentVectorStore, SearchRequest};

use crate::data::{SplitMix, Vectors, node};
use crate::report::{Goal, Report};
use crate::searching::{Kind, Outcome, micros, percentile, request};

/// Rows that are replaced each second, in so many commits.
const UPSERTS: usize = 1000;
const COMMITS: usize = 20;
/// Pairs, rewritten by turns.
const PAIRS: usize = 64;
/// A pair is asked for after so many searches.
const LOOK_EVERY: usize = 10;
/// So small that there are flushes and merges within a run.
const MEMTABLE_BYTES: u64 = 4 << 20;
/// Microseconds that the 99th percentile may take.
const GOAL_US: f64 = 10_000.0;

/// What the writer did.
#[derive(Default)]
struct Written {
    rows: AtomicUsize,
    /// Batches that were acknowledged.
    batches: AtomicUsize,
    /// Whether there will be no more.
    is_over: AtomicBool,
}

/// Searches for so many seconds without a writer, then as many beside one.
pub(crate) fn run(
    folder: &Path,
    base: &Vectors,
    queries: &Vectors,
    kind: &Kind,
    seconds: f64,
    report: &mut Report,
) -> Outcome<()> {
    let kind = Kind { memtable_bytes: Some(MEMTABLE_BYTES), ..kind.clone() };
    let rows = base.rows();
    let store = kind.build(&folder.join("live"), base.dimension, rows, |at| ordinary(base, at, at))?;
    let quiet = search(&store, queries, seconds, None)?;
    let before = store.stats()?;
    let (written, stop) = (Written::default(), AtomicBool::new(false));
    let start = Instant::now();
    let (live, outcome) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let outcome = write(&store, base, &written, &stop).map_err(|error| error.to_string());
            written.is_over.store(true, Ordering::Relaxed);
            outcome
        });
        let live = search(&store, queries, seconds, Some(&written));
        stop.store(true, Ordering::Relaxed);
        (live, writer.join().map_err(|_| "the writer panicked".to_owned()))
    });
    let took = start.elapsed().as_secs_f64();
    outcome??;
    let (live, after) = (live?, store.stats()?);
    let rate = written.rows.load(Ordering::Relaxed) as f64 / took;
    let (flushes, merges) = (after.flushes - before.flushes, after.merges - before.merges);
    let what = format!(
        "{rows} × {}: p99 of a search beside {rate:.0} upserts/s, {flushes} flushes and {merges} merges in {took:.0} s",
        base.dimension
    );
    let p99 = percentile(&live, 99);
    let figures = |times: &[f64]| {
        let [p50, p99] = [50, 99].map(|percent| micros(percentile(times, percent)));
        format!("{p99}, p50 {p50}, {} searches", times.len())
    };
    report.ratio(&what, figures(&live), micros(GOAL_US), p99 / GOAL_US, &Goal::AtMost(1.0));
    report.ratio(
        &format!("{rows} × {}: the same without a writer", base.dimension),
        figures(&quiet),
        micros(GOAL_US),
        percentile(&quiet, 99) / GOAL_US,
        &Goal::AtMost(1.0),
    );
    let late = rate / UPSERTS as f64;
    report.ratio("upserts/s", format!("{rate:.0}"), UPSERTS.to_string(), late, &Goal::AtLeast(0.95));
    Ok(())
}

/// A row, with the vector of another one.
fn ordinary(base: &Vectors, id: usize, vector: usize) -> CodeNode {
    node(id as NodeId, base.row(vector).to_vec())
}

/// Commits on time, batch by batch, until told to stop.
fn write(store: &PersistentVectorStore, base: &Vectors, written: &Written, stop: &AtomicBool) -> Outcome<()> {
    let mut random = SplitMix(5);
    let mut any = || (random.next() % base.rows() as u64) as usize;
    let start = Instant::now();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut batch: Vec<CodeNode> = Vec::new();
        while batch.len() < UPSERTS / COMMITS - 2 {
            let row = ordinary(base, any(), any());
            if batch.iter().all(|other| other.id != row.id) {
                batch.push(row);
            }
        }
        batch.extend(pair(base, number, any()));
        store.put_batch(&batch)?;
        written.rows.fetch_add(batch.len(), Ordering::Relaxed);
        written.batches.fetch_add(1, Ordering::Release);
        let due = start + Duration::from_secs(1) * (number as u32 + 1) / COMMITS as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// Both rows of a batch's pair.
fn pair(base: &Vectors, number: usize, vector: usize) -> [CodeNode; 2] {
    let pair = number % PAIRS;
    [0, 1].map(|side| {
        let id = base.rows() + 2 * pair + side;
        ordinary(base, id, vector)
            .with_attribute("pair", pair as i64)
            .with_attribute("version", number as i64)
    })
}

/// Searches one at a time for so long; sorted microseconds. In between it looks at pairs that were written.
fn search(
    store: &PersistentVectorStore,
    queries: &Vectors,
    seconds: f64,
    writer: Option<&Written>,
) -> Outcome<Vec<f64>> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let (mut times, mut looks) = (Vec::new(), 0);
    for at in (0..queries.rows()).cycle() {
        let request = request(queries.row(at));
        let start = Instant::now();
        store.search(&request)?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        let batches = writer.map_or(0, |writer| writer.batches.load(Ordering::Acquire));
        if batches > 0 && times.len() % LOOK_EVERY == 0 {
            look(store, queries.row(at), batches, looks % batches.min(PAIRS))?;
            looks += 1;
        }
        // Beside a writer, at least one look.
        let is_idle = writer.is_none_or(|writer| writer.is_over.load(Ordering::Relaxed));
        if Instant::now() > end && (looks > 0 || is_idle) {
            break;
        }
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok(times)
}

/// Fails unless both rows of a pair are there, of one version, which is none that was replaced before.
fn look(store: &PersistentVectorStore, vector: &[f32], batches: usize, pair: usize) -> Outcome<()> {
    let filter = Filter::eq("attributes.pair", pair as i64);
    let found = store.search(&SearchRequest::new(vector, 10).with_filter(filter))?;
    let versions: Vec<i64> = found
        .matches
        .iter()
        .filter_map(|found| match found.metadata.as_ref()?.attributes.get("version")? {
            AttributeValue::Integer(version) => Some(*version),
            _ => None,
        })
        .collect();
    // The last of those that were acknowledged before this search.
    let newest = (0..batches).rev().find(|number| number % PAIRS == pair).map_or(-1, |number| number as i64);
    match versions[..] {
        [one, other] if one == other && one >= newest => Ok(()),
        _ => Err(format!("a search saw a part of a batch: versions {versions:?} of pair {pair}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::make;

    #[test]
    fn whole_pairs_pass_and_torn_or_old_ones_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let base = make(100, 8, 3);
        let store =
            Kind::default().build(&folder.path().join("s"), 8, 100, |at| ordinary(&base, at, at)).unwrap();
        let looks = |batches| look(&store, base.row(0), batches, 0).is_ok();
        store.put_batch(&pair(&base, 0, 1)).unwrap();
        assert!(looks(1) && looks(PAIRS));
        // An acknowledged batch that is not seen.
        assert!(!looks(PAIRS + 1));
        let [one, other] = pair(&base, PAIRS, 2);
        store.put(one).unwrap();
        assert!(!looks(1));
        store.put(other).unwrap();
        assert!(looks(1) && looks(PAIRS + 1));
    }

    #[test]
    fn a_short_run_measures_and_finds_nothing_torn() {
        let folder = tempfile::tempdir().unwrap();
        let (base, queries) = (make(500, 8, 3), make(20, 8, 4));
        let mut report = Report::default();
        run(folder.path(), &base, &queries, &Kind::default(), 0.3, &mut report).unwrap();
        assert_eq!(report.to_string().lines().count(), 5, "{report}");
    }
}
