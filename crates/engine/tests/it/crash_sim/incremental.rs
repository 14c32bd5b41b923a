//! The incremental update manager on a simulated disk, with a crash at many of its calls.
//!
//! Guards against: a ticket that said durable of what a power cut takes; operations on a node in another order than that of
//! their submission; half a replacement of a path.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use codegraph_vector::vfs::Vfs;
use codegraph_vector::{
    CodeNode, Durability, IncrementalConfig, IncrementalOperation, IncrementalUpdateManager, Metric, NodeId,
    PersistentVectorStore, Priority, Settings, TestSwitches, Ticket,
};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Op, Rng, SimClock, SimVfs};
use parking_lot::Mutex;

use super::image::{Setup, abandon};
use super::model::Check;

const SEEDS: u64 = 60;
const PATHS: [&str; 3] = ["a.rs", "b.rs", "c.rs"];
const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];
/// The numbers that tell vectors apart are in the first component.
const DIMENSION: usize = 2;

/// A node as it is to be found: the number of the operation that gave it its vector, and its path.
type Shown = Option<(u64, Option<String>)>;

/// What was submitted so far, and what it comes to.
#[derive(Default)]
struct Log {
    now: BTreeMap<NodeId, (u64, Option<String>)>,
    /// Of each node the operations that change it, in order, and what it is after them.
    lines: BTreeMap<NodeId, Vec<(usize, Shown)>>,
    /// Of each operation the nodes that it changes.
    touched: Vec<Vec<NodeId>>,
    /// Submissions, by the operations that they begin with.
    tickets: Vec<(usize, Ticket)>,
    acknowledged: Vec<bool>,
}

impl Log {
    fn operation(&mut self, rng: &mut Rng) -> IncrementalOperation {
        let (at, id) = (self.touched.len(), rng.below(6) as NodeId);
        let number = at as u64 + 1;
        let vector = vec![number as f32, 1.0];
        let path = rng.pick(&PATHS).to_string();
        let (operation, changed) = match rng.below(10) {
            0..3 => (IncrementalOperation::Insert { node_id: id, vector }, vec![(id, Some((number, None)))]),
            3..5 => {
                let path = self.now.get(&id).and_then(|(_, path)| path.clone());
                let operation = IncrementalOperation::Update { node_id: id, new_vector: vector };
                (operation, vec![(id, Some((number, path)))])
            }
            5..6 => (IncrementalOperation::Delete { node_id: id }, vec![(id, None)]),
            6..8 => {
                let node = CodeNode::new(id, vector).with_path(&path);
                (IncrementalOperation::Put(node), vec![(id, Some((number, Some(path))))])
            }
            _ => {
                let mut changed: BTreeMap<NodeId, Shown> = BTreeMap::new();
                for (id, (_, own)) in &self.now {
                    if own.as_ref() == Some(&path) {
                        changed.insert(*id, None);
                    }
                }
                let ids: std::collections::BTreeSet<NodeId> =
                    (0..rng.below(4)).map(|_| rng.below(6) as NodeId).collect();
                let nodes = ids.iter().map(|id| CodeNode::new(*id, vector.clone())).collect();
                changed.extend(ids.iter().map(|id| (*id, Some((number, Some(path.clone()))))));
                (IncrementalOperation::ReplacePath { path, nodes }, changed.into_iter().collect())
            }
        };
        self.touched.push(changed.iter().map(|(id, _)| *id).collect());
        self.acknowledged.push(false);
        for (id, shown) in changed {
            self.lines.entry(id).or_default().push((at, shown.clone()));
            match shown {
                Some(shown) => self.now.insert(id, shown),
                None => self.now.remove(&id),
            };
        }
        operation
    }

    /// Takes down what tickets say by now.
    fn listen(&mut self) -> Check {
        let told: Vec<_> =
            self.tickets.iter().filter_map(|(first, ticket)| Some((*first, ticket.try_outcome()?))).collect();
        for (first, outcome) in told {
            for (at, outcome) in outcome.outcomes.iter().enumerate() {
                match outcome {
                    Ok(_) => self.acknowledged[first + at] = true,
                    Err(error) if error.message().contains("log") || error.message().contains("sync") => {}
                    Err(error) => return Err(format!("operation {}: {error:?}", first + at)),
                }
            }
        }
        Ok(())
    }
}

/// What must be in a store that was recovered.
struct Image {
    sim: SimVfs,
    /// Operations submitted by then, and whether each had been acknowledged.
    acknowledged: Vec<bool>,
    place: String,
}

impl Image {
    fn check(&self, setup: &Setup, log: &Log, rng: &mut Rng) -> Check {
        let settings = Settings { background: false, ..Settings::default() };
        let opened = setup.open(&self.sim, rng, Some(settings), &SimClock::default());
        let store = opened.map_err(|error| format!("open: {error:?}"))?;
        let outcome = self.look(&shown(&store)?, log);
        abandon(store, &self.sim);
        outcome.map_err(|error| format!("{error}\n  after a crash at {}", self.place))
    }

    fn look(&self, found: &BTreeMap<NodeId, Shown>, log: &Log) -> Check {
        let submitted = self.acknowledged.len();
        // Of each node how many of its operations may have come about.
        let mut possible: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for (id, line) in &log.lines {
            let line: Vec<_> = line.iter().take_while(|(at, _)| *at < submitted).collect();
            let least = line.iter().rposition(|(at, _)| self.acknowledged[*at]).map_or(0, |at| at + 1);
            let shown = found.get(id).cloned().flatten();
            let after = |count: &usize| count.checked_sub(1).and_then(|last| line[last].1.clone());
            let counts: Vec<usize> = (least..=line.len()).filter(|count| after(count) == shown).collect();
            if counts.is_empty() {
                return Err(format!("node {id} is {shown:?}, of {line:?}, of which {least} were durable"));
            }
            possible.insert(*id, counts);
        }
        if let Some(id) = found.keys().find(|id| !log.lines.contains_key(id)) {
            return Err(format!("node {id} never was"));
        }
        for (at, touched) in log.touched.iter().enumerate().take(submitted) {
            let place = |id: &NodeId| log.lines[id].iter().position(|(other, _)| *other == at).unwrap_or(0);
            let whole = touched.iter().all(|id| possible[id].iter().any(|count| *count > place(id)));
            let none = touched.iter().all(|id| possible[id].iter().any(|count| *count <= place(id)));
            if !whole && !none {
                return Err(format!("operation {at} on {touched:?} came about in part: {possible:?}"));
            }
        }
        Ok(())
    }
}

fn shown(store: &PersistentVectorStore) -> Check<BTreeMap<NodeId, Shown>> {
    let nodes = store.snapshot().and_then(|snapshot| snapshot.iter()?.collect::<Result<Vec<_>, _>>());
    let nodes = nodes.map_err(|error| format!("read: {error}"))?;
    Ok(nodes.into_iter().map(|node| (node.id, Some((node.embedding[0] as u64, node.path)))).collect())
}

/// Runs a seed; returns how many crashes were recovered from. With `unsynced`, tickets are told too early.
fn run(seed: u64, unsynced: bool) -> Check<usize> {
    let mut rng = Rng::new(seed);
    let setup = Setup { dimension: DIMENSION, metric: Metric::Dot, switches: TestSwitches::default() };
    let sim = SimVfs::new(rng.next_u64());
    sim.create_dir_all(Path::new("/data")).map_err(|error| error.to_string())?;
    sim.sync_dir(Path::new("/")).map_err(|error| error.to_string())?;
    let durability = *rng.pick(&[Durability::Sync, Durability::None, Durability::Interval(1_000_000)]);
    let settings = Settings { durability, background: false, ..Settings::default() };
    let store = setup
        .open(&sim, &mut rng, Some(settings), &SimClock::default())
        .map_err(|error| format!("open: {error}"))?;
    let manager = IncrementalUpdateManager::new(IncrementalConfig {
        worker_threads: 0,
        max_batch_size: rng.between(1, 8),
        max_segment_size: 4 << 10,
        retry_backoff: Duration::ZERO,
        wal_flush_interval: if unsynced { Duration::from_secs(1_000) } else { Duration::ZERO },
        ..IncrementalConfig::for_store(&store)
    })
    .map_err(|error| error.to_string())?;
    let log = Arc::new(Mutex::new(Log::default()));
    let images = Arc::new(Mutex::new((Vec::new(), rng.split(), Check::Ok(()))));
    let breaks = rng.chance(0.3);
    let (seen, keep) = (log.clone(), images.clone());
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        let (images, rng, outcome) = &mut *keep.lock();
        if call.op.mutates() && rng.chance(0.5) {
            let mut log = seen.lock();
            *outcome = std::mem::replace(outcome, Ok(())).and_then(|()| log.listen());
            let style = CrashStyle::random(rng);
            let place = format!("{:?} of {}, {style:?}", call.op, call.path.display());
            let sim = if rng.chance(0.2) { sim.kill() } else { sim.crash(rng, style) };
            images.push(Image { sim, acknowledged: log.acknowledged.clone(), place });
        }
        let log_sync = call.op == Op::SyncData && call.path.extension().is_some_and(|end| end == "wal");
        let fails = breaks && log_sync && rng.chance(0.1);
        if fails { Action::Fail(Fault::SyncFails) } else { Action::Proceed }
    }));
    for _ in 0..rng.between(8, 25) {
        let mut locked = log.lock();
        let first = locked.touched.len();
        let operations = (0..rng.between(1, 5)).map(|_| locked.operation(&mut rng)).collect();
        let Ok(ticket) = manager.submit_batch_with(operations, *rng.pick(&PRIORITIES)) else {
            break; // The log has failed. No image is checked for what was not taken in.
        };
        let waits = rng.chance(0.3);
        if !waits {
            locked.tickets.push((first, ticket));
            drop(locked);
        } else {
            drop(locked);
            let outcome = ticket.wait();
            let mut locked = log.lock();
            for (at, outcome) in outcome.outcomes.iter().enumerate() {
                locked.acknowledged[first + at] = outcome.is_ok();
            }
        }
        // If the log fails in one of these, the next submission is refused.
        match rng.below(8) {
            0 | 1 => drop(manager.flush()),
            2 => drop(store.flush()),
            3 => drop(store.merge()),
            _ => {}
        }
    }
    let ended = manager.shutdown();
    sim.clear_observer();
    let (images, mut rng, outcome) =
        std::mem::replace(&mut *images.lock(), (Vec::new(), Rng::new(0), Ok(())));
    outcome?;
    let mut log = log.lock();
    log.listen()?;
    if ended.is_ok() && !unsynced {
        let (place, acknowledged) = ("the end".to_owned(), vec![true; log.touched.len()]);
        let sim = sim.crash(&mut rng, CrashStyle::LoseUnsynced);
        Image { sim, acknowledged, place }.check(&setup, &log, &mut rng)?;
    }
    drop(manager);
    abandon(store, &sim);
    for image in &images {
        image.check(&setup, &log, &mut rng)?;
    }
    Ok(images.len())
}

#[test]
fn what_a_ticket_calls_durable_is_there_in_its_order_and_whole() {
    let only = super::number("CGV_SIM_SEED");
    let mut images = 0;
    for seed in only.map_or(0..SEEDS, |seed| seed..seed + 1) {
        images += run(seed, false).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    assert!(images > 500 || only.is_some(), "{images} crashes");
}

#[test]
fn a_ticket_that_is_told_too_early_is_noticed() {
    assert!((0..SEEDS).any(|seed| run(seed, true).is_err_and(|error| error.contains("were durable"))));
}
