//! Endurance: a store whose nodes are updated many times over, in durable batches. How much room it takes, between merges and at
//! their peak; whether its memory grows; how long writes take; whether deletes give room back.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use codegraph_vector::{CodeNode, Filter, JobKind, NodeId, PersistentVectorStore};

use crate::data::SplitMix;
use crate::memory::memory;
use crate::report::{Goal, Report};
use crate::searching::Outcome;

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    nodes: u64,
    updates: u64,
    dimension: usize,
    /// Updates of a commit.
    batch: u64,
    memtable_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 200_000, updates: 10_000_000, dimension: 384, batch: 100, memtable_bytes: 16 << 20 }
    }
}

impl Options {
    /// Takes an option of the command line; `false` if it is none of these.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let number = || value.parse::<u64>().ok().filter(|number| *number > 0);
        let number = || number().ok_or_else(|| format!("{value} is no number for {name}"));
        match name {
            "--nodes" => self.nodes = number()?,
            "--updates" => self.updates = number()?,
            "--dimension" => self.dimension = number()? as usize,
            "--batch" => self.batch = number()?,
            "--memtable-bytes" => self.memtable_bytes = number()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Nodes of a path.
const OF_PATH: u64 = 50;
/// Each so many batches, the nodes of a path are deleted and stored again.
const DELETE_EVERY: u64 = 50;
/// How often the room is looked at.
const LOOK: Duration = Duration::from_millis(50);

fn path(id: u64) -> String {
    format!("src/module_{}.rs", id / OF_PATH)
}

/// A node with a vector that is not that of any other, nor its own of before.
fn node(id: u64, dimension: usize, random: &mut SplitMix) -> CodeNode {
    let vector = (0..dimension).map(|_| (random.next() >> 40) as f32 / (1_u64 << 24) as f32 - 0.5).collect();
    CodeNode::new(NodeId::from(id), vector)
        .with_name(format!("function_{id}"))
        .with_kind("function")
        .with_language("rust")
        .with_path(path(id))
        .with_lines((id % 900) as u32 + 1, (id % 900) as u32 + 21)
}

/// The most room that was seen, in bytes of live data.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    /// While no merge was at work.
    between: f64,
    peak: f64,
}

/// Looks at the room again and again.
fn watch(
    store: &PersistentVectorStore,
    live_bytes: f64,
    stop: &AtomicBool,
) -> codegraph_vector::Result<Room> {
    let mut room = Room::default();
    while !stop.load(Ordering::Relaxed) {
        let before = store.stats()?;
        let is_merging = |stats: &codegraph_vector::StoreStatistics| {
            stats.maintenance.jobs.iter().any(|job| job.kind != JobKind::Flush)
        };
        let share = before.storage_bytes as f64 / live_bytes;
        room.peak = room.peak.max(share);
        // What a merge has replaced goes a moment after it.
        std::thread::sleep(LOOK);
        if !is_merging(&before) && !is_merging(&store.stats()?) {
            room.between = room.between.max(share);
        }
    }
    Ok(room)
}

/// Bytes that the store takes with nothing in it that need not be.
fn settled(store: &PersistentVectorStore) -> codegraph_vector::Result<f64> {
    store.flush()?;
    store.merge()?;
    store.flush()?;
    Ok(store.stats()?.storage_bytes as f64)
}

fn percentile(sorted: &[u32], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |us| f64::from(*us) / 1e3)
}

pub(crate) fn run(folder: &Path, options: &Options, report: &mut Report) -> Outcome<()> {
    let Options { nodes, updates, dimension, batch, memtable_bytes } = *options;
    let store = PersistentVectorStore::new(folder.join("endurance"), folder.join("backups"), dimension)?;
    store.configure(|settings| {
        (settings.memtable_bytes, settings.max_wal_file_bytes) = (memtable_bytes, memtable_bytes);
    })?;
    let mut random = SplitMix(11);
    for first in (0..nodes).step_by(1000) {
        let batch: Vec<CodeNode> =
            (first..nodes.min(first + 1000)).map(|id| node(id, dimension, &mut random)).collect();
        store.put_batch(&batch)?;
    }
    let live_bytes = settled(&store)?;
    let (mut anonymous, mut took_us) = (Vec::new(), Vec::new());
    let (stop, start) = (AtomicBool::new(false), Instant::now());
    let before = store.stats()?;
    let room = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&store, live_bytes, &stop));
        let written = write(&store, options, &mut random, &mut took_us, &mut anonymous);
        stop.store(true, Ordering::Relaxed);
        let room = watcher.join().map_err(|_| "looking at the room failed")??;
        written.map(|()| room)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let stats = store.stats()?;
    if stats.active_vectors != nodes {
        return Err(format!("{} nodes are there, not {nodes}", stats.active_vectors).into());
    }
    took_us.sort_unstable();
    let what = format!("{updates} updates of {nodes} × {dimension}, {batch} a commit");
    let of_live = |share: f64| format!("{share:.2} × {:.0} MB", live_bytes / 1e6);
    let goal = Goal::AtMost(1.0);
    report.ratio(
        &format!("{what}, {:.0}/s: room between merges", updates as f64 / seconds),
        of_live(room.between),
        of_live(1.5),
        room.between / 1.5,
        &goal,
    );
    report.ratio("room at the peak of a merge", of_live(room.peak), of_live(2.2), room.peak / 2.2, &goal);
    let ms = |ms: f64| format!("{ms:.1} ms");
    let times = [0.5, 0.99, 0.999].map(|share| percentile(&took_us, share));
    let longest = percentile(&took_us, 1.0);
    let others =
        format!("{}, p50 {}, p99 {}, longest {}", ms(times[2]), ms(times[0]), ms(times[1]), ms(longest));
    report.ratio("p99.9 of a write", others, ms(100.0), times[2] / 100.0, &goal);
    // The first tenth fills memtables and caches.
    let (early, late) = anonymous.split_at(anonymous.len() / 2);
    let most = |figures: &[f64]| figures.iter().copied().fold(f64::NAN, f64::max);
    let (early, late) = (most(&early[early.len() / 5..]), most(late));
    let mb = |bytes: f64| format!("{:.0} MB", bytes / 1e6);
    report.ratio(
        "most anonymous memory in the second half, beside the first",
        mb(late),
        mb(early),
        late / early,
        &Goal::AtMost(1.1),
    );
    let maintained = &stats.maintenance;
    let amplified = maintained.write_amplification.unwrap_or(f64::NAN);
    report.ratio(
        &format!("bytes written to segments for each flushed, {} merges", stats.merges - before.merges),
        format!("{amplified:.1}"),
        "10.5".into(),
        amplified / 10.5,
        &goal,
    );
    delete_half(&store, nodes, live_bytes, report)
}

/// Updates until there were enough; tells how long each commit took, in µs, and looks at the memory.
fn write(
    store: &PersistentVectorStore,
    options: &Options,
    random: &mut SplitMix,
    took_us: &mut Vec<u32>,
    anonymous: &mut Vec<f64>,
) -> Outcome<()> {
    let Options { nodes, updates, dimension, batch, .. } = *options;
    let batches = updates / batch;
    // Room for all of it from the start: what is measured is not to grow by it.
    took_us.reserve(batches as usize + (batches / DELETE_EVERY) as usize + 1);
    for number in 0..batches {
        let mut ids: Vec<u64> = (0..batch).map(|_| random.next() % nodes).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut one: Vec<CodeNode> = ids.iter().map(|id| node(*id, dimension, random)).collect();
        let mut timed = |write: &dyn Fn() -> codegraph_vector::Result<()>| -> Outcome<()> {
            let start = Instant::now();
            write()?;
            took_us.push(u32::try_from(start.elapsed().as_micros())?);
            Ok(())
        };
        if number % DELETE_EVERY == 0 {
            let first = ids[0] / OF_PATH * OF_PATH;
            let filter = Filter::path(path(first));
            timed(&|| store.delete_by_filter(&filter).map(|_| ()))?;
            one.retain(|node| node.id < NodeId::from(first) || node.id >= NodeId::from(first + OF_PATH));
            one.extend((first..nodes.min(first + OF_PATH)).map(|id| node(id, dimension, random)));
        }
        timed(&|| store.put_batch(&one).map(|_| ()))?;
        if number % (batches / 200).max(1) == 0 {
            anonymous.push(memory("RssAnon:")?);
        }
    }
    Ok(())
}

/// Deletes half of the paths, and waits until the background has given back what it can.
fn delete_half(
    store: &PersistentVectorStore,
    nodes: u64,
    live_bytes: f64,
    report: &mut Report,
) -> Outcome<()> {
    for first in (0..nodes).step_by(OF_PATH as usize * 2) {
        store.delete_by_filter(&Filter::path(path(first)))?;
    }
    store.flush()?;
    store.configure(|_| {})?; // Which has what is due done.
    let end = Instant::now() + Duration::from_secs(120);
    while store.stats()?.maintenance.due_merges > 0 && Instant::now() < end {
        std::thread::sleep(LOOK);
    }
    std::thread::sleep(LOOK * 4);
    let left = store.stats()?.storage_bytes as f64;
    let of_live = |bytes: f64| format!("{:.0} MB", bytes / 1e6);
    let half = live_bytes / 2.0;
    report.ratio(
        "room after half was deleted, beside half",
        of_live(left),
        of_live(half),
        left / half,
        &Goal::AtMost(1.5),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_measures_all_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::default();
        for (name, value) in
            [("--nodes", "400"), ("--updates", "2000"), ("--dimension", "8"), ("--memtable-bytes", "65536")]
        {
            assert!(options.set(name, value).unwrap());
        }
        assert!(!options.set("--colour", "red").unwrap() && options.set("--batch", "none").is_err());
        let mut report = Report::default();
        run(folder.path(), &options, &mut report).unwrap();
        assert_eq!(report.to_string().lines().count(), 8, "{report}");
    }
}
