//! Merges by hand and in the background: what they leave, what keeps them waiting, and what a full disk does to them.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector::{
    CodeNode, ErrorKind, Filter, JobKind, MaintenanceStatistics, NodeId, OpenOptions, PersistentVectorStore,
    Settings,
};
use codegraph_vector_base::vfs::{RealVfs, Vfs};
use codegraph_vector_testkit::{Action, Call, Fault, Op, Rng, SimClock, SimVfs};

use crate::sample::{self, Model, assert_holds, assert_refused, delete, nodes, open, put, reopen, until};

fn maintenance(store: &PersistentVectorStore) -> MaintenanceStatistics {
    store.stats().unwrap().maintenance
}

fn segments(store: &PersistentVectorStore) -> u64 {
    store.stats().unwrap().segments
}

/// A store in the background of which things happen, on a simulated disk.
fn busy(sim: &SimVfs, clock: &SimClock, change: impl FnOnce(&mut Settings)) -> PersistentVectorStore {
    let mut settings = Settings { memtable_bytes: 8 << 10, merge_fanout: 3, ..Settings::default() };
    change(&mut settings);
    let environment =
        codegraph_vector::Environment { clock: Arc::new(clock.clone()), ..sample::environment(sim) };
    let options = OpenOptions { settings: Some(settings), environment, ..sample::options(sim) };
    PersistentVectorStore::open(sample::ROOT, options).unwrap()
}

/// Fills a memtable some times over.
fn write_some(store: &PersistentVectorStore, model: &mut Model, rng: &mut Rng, first: NodeId) {
    for batch in 0..24 {
        let ids = (0..8).map(|at| first + (batch * 8 + at) % 150);
        put(store, model, &nodes(rng, ids)).unwrap();
    }
}

/// A disk with a store of some segments, some of whose rows are dead, on which nothing happens by itself.
fn with_segments(count: u128) -> (SimVfs, PersistentVectorStore, Model) {
    let (sim, mut model, mut rng) = (SimVfs::new(1), Model::new(), Rng::new(2));
    let store = open(&sim).unwrap();
    store.configure(|settings| settings.merge_fanout = 100).unwrap();
    for at in 0..count {
        put(&store, &mut model, &nodes(&mut rng, at * 10..at * 10 + 12 + at)).unwrap();
        store.flush().unwrap();
    }
    delete(&store, &mut model, &[3, 4, 15]).unwrap();
    (sim, store, model)
}

#[test]
fn by_hand_some_are_merged_and_nothing_is_lost() {
    let (sim, store, model) = with_segments(6);
    assert_refused(store.merge_segments(0), ErrorKind::InvalidInput, &["at least one"]);
    let dead = store.stats().unwrap().dead_rows;
    let mut dropped = 0;
    while segments(&store) > 1 {
        let before = segments(&store) as usize;
        let report = store.merge_segments(3).unwrap();
        assert!((1..=3).contains(&report.merged), "{report:?}");
        assert_eq!(
            (report.segments, segments(&store) as usize),
            (before + 1 - report.merged, report.segments)
        );
        assert!(report.bytes_before > 0 && report.bytes_after > 0 && report.rows > 0, "{report:?}");
        assert!(report.merged > 1 || report.dropped_rows > 0, "{report:?} gains nothing");
        dropped += report.dropped_rows;
        assert_holds(&store, &model);
    }
    assert_eq!((dropped, store.stats().unwrap().dead_rows), (dead, 0));
    let report = store.merge_segments(9).unwrap();
    assert_eq!((report.merged, report.segments), (0, 1), "there is nothing to gain");
    store.close().unwrap();
    drop(store);
    assert_holds(&reopen(&sim).unwrap(), &model);
}

#[test]
fn one_segment_alone_is_merged_for_its_dead_rows() {
    let (_, store, model) = with_segments(4);
    let before = store.stats().unwrap();
    let report = store.merge_segments(1).unwrap();
    assert_eq!((report.merged, report.segments), (1, 4));
    assert_eq!(store.stats().unwrap().dead_rows, before.dead_rows - report.dropped_rows);
    assert!(report.dropped_rows > 0 && report.bytes_after < report.bytes_before, "{report:?}");
    assert_holds(&store, &model);
}

#[test]
fn files_that_were_merged_go_at_once_unless_a_snapshot_reads_them() {
    let (sim, store, model) = with_segments(4);
    let files = || sim.paths().iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).count();
    store.flush().unwrap();
    let snapshot = store.snapshot().unwrap();
    let before = sim.used();
    store.merge().unwrap();
    let held = maintenance(&store);
    assert_eq!((files(), held.retired_segments), (5, 4), "the snapshot reads the old ones");
    assert!(held.retired_bytes > 0);
    let read = |id: NodeId| snapshot.get(id).unwrap();
    assert!(model.iter().all(|(id, node)| read(*id).as_ref() == Some(node)));
    drop(snapshot);
    assert_eq!(maintenance(&store).retired_segments, 0);
    store.flush().unwrap();
    assert_eq!(files(), 1);
    assert!(sim.used() < before, "{} of {before}", sim.used());
    assert_holds(&store, &model);
}

#[test]
fn during_a_pause_writes_go_on_and_merges_do_not() {
    let (sim, mut model, mut rng) = (SimVfs::new(1), Model::new(), Rng::new(3));
    let store = busy(&sim, &SimClock::default(), |_| {});
    store.pause_maintenance().unwrap();
    write_some(&store, &mut model, &mut rng, 0);
    until("flushes", || store.stats().unwrap().flushes > 5);
    let paused = maintenance(&store);
    assert!(
        paused.paused && paused.due_merges > 0 && paused.debt_bytes > 0 && paused.work_bytes > 0,
        "{paused:?}"
    );
    assert_eq!((store.stats().unwrap().merges, paused.merged_bytes), (0, 0));
    assert_holds(&store, &model);
    store.resume_maintenance().unwrap();
    until("nothing is due", || maintenance(&store).due_merges == 0);
    let resumed = maintenance(&store);
    assert!(!resumed.paused && resumed.merged_bytes > 0 && resumed.failures == 0, "{resumed:?}");
    assert!(resumed.write_amplification.is_some_and(|times| times > 1.0), "{resumed:?}");
    assert_eq!((resumed.debt_bytes, resumed.seconds_left), (0, Some(0.0)));
    assert_holds(&store, &model);
}

#[test]
fn outside_of_windows_the_background_waits_until_there_is_too_much_to_do() {
    let (sim, mut model, mut rng) = (SimVfs::new(1), Model::new(), Rng::new(4));
    // The clock starts at 22:13 in UTC.
    let clock = SimClock::default();
    let store = busy(&sim, &clock, |settings| {
        settings.maintenance.windows = "02:00-05:00,13:00-14:00".parse().unwrap();
        settings.maintenance.time_zone = "+01:30".parse().unwrap();
        settings.maintenance.max_debt_percent = 1_000_000;
    });
    write_some(&store, &mut model, &mut rng, 0);
    until("flushes", || store.stats().unwrap().flushes > 5);
    let waiting = maintenance(&store);
    assert!(!waiting.in_window && waiting.due_merges > 0 && waiting.merged_bytes == 0, "{waiting:?}");
    // 02:13 there.
    clock.advance(Duration::from_secs(150 * 60));
    store.configure(|_| {}).unwrap();
    until("nothing is due", || maintenance(&store).due_merges == 0);
    assert!(maintenance(&store).in_window);
    clock.advance(Duration::from_secs(3 * 3600));
    let merged = maintenance(&store).merged_bytes;
    write_some(&store, &mut model, &mut rng, 60);
    until("something is due", || maintenance(&store).due_merges > 0);
    assert_eq!(maintenance(&store).merged_bytes, merged);
    store.configure(|settings| settings.maintenance.max_debt_percent = 2).unwrap();
    until("there is less to do", || maintenance(&store).debt_percent <= 2);
    assert!(!maintenance(&store).in_window && maintenance(&store).merged_bytes > merged);
    assert_holds(&store, &model);
}

/// A store on a disk, with segments that are to be merged and are larger than what is written in one go, at next to
/// nothing a second.
fn throttled(folder: &std::path::Path) -> (PersistentVectorStore, Vec<CodeNode>) {
    const DIMENSION: usize = 256;
    let store = PersistentVectorStore::new(folder.join("s"), folder.join("b"), DIMENSION).unwrap();
    store
        .configure(|settings| {
            settings.maintenance.max_bytes_per_s = 1;
            settings.merge_fanout = 2;
        })
        .unwrap();
    let node = |id: u32| CodeNode::new(NodeId::from(id), vec![id as f32 + 1.0; DIMENSION]);
    let nodes: Vec<CodeNode> = (0..2400).map(node).collect();
    for half in nodes.chunks(1200) {
        store.put_batch(half).unwrap();
        store.flush().unwrap();
    }
    store.configure(|_| {}).unwrap(); // Which has what is due done.
    until("a merge at work", || {
        let now = maintenance(&store);
        now.jobs.iter().any(|job| job.kind == JobKind::Merge && job.bytes_written > 0 && job.rows == 2400)
    });
    (store, nodes)
}

fn all(store: &PersistentVectorStore) -> Vec<CodeNode> {
    store.snapshot().unwrap().iter().unwrap().map(|node| node.unwrap()).collect()
}

#[test]
fn a_merge_that_is_throttled_holds_up_no_write_and_hurries_for_who_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (store, mut nodes) = throttled(folder.path());
    let job = maintenance(&store).jobs[0];
    assert!(job.bytes_written < job.bytes_total && job.segments == 2, "{job:?}");
    // Writes and flushes, and what they clear away, do not wait for it.
    nodes.push(CodeNode::new(5000, vec![1.0; 256]));
    store.put_batch(&nodes[2400..]).unwrap();
    store.flush().unwrap();
    assert_eq!((segments(&store), store.stats().unwrap().merges), (3, 0));
    store.merge().unwrap();
    assert_eq!(segments(&store), 1);
    assert!(all(&store) == nodes);
}

#[test]
fn a_merge_that_is_paused_gives_way_to_one_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let (store, nodes) = throttled(folder.path());
    store.pause_maintenance().unwrap();
    let report = store.merge_segments(2).unwrap();
    assert_eq!((report.merged, report.segments, report.rows), (2, 1, 2400));
    until("the one in the background has given way", || maintenance(&store).jobs.is_empty());
    let now = maintenance(&store);
    assert!(now.paused && now.failures == 0, "{now:?}");
    assert!(all(&store) == nodes);
}

#[test]
fn closing_does_not_wait_for_a_merge_that_is_throttled_and_leaves_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, nodes) = throttled(folder.path());
    store.close().unwrap();
    let names = RealVfs.list(&folder.path().join("s/segments")).unwrap();
    assert!(!names.iter().any(|name| name.ends_with(".tmp")), "{names:?}");
    let store = PersistentVectorStore::new(folder.path().join("s"), folder.path().join("b"), 256).unwrap();
    assert!(all(&store) == nodes);
}

#[test]
fn a_memtable_that_is_old_enough_is_flushed() {
    let (sim, clock) = (SimVfs::new(1), SimClock::default());
    let store = busy(&sim, &clock, |settings| settings.memtable_age_ms = 60_000);
    store.put(sample::node(&mut Rng::new(5), 1)).unwrap();
    // As long as it is not old enough, nothing happens, however often that is looked at.
    store.configure(|settings| settings.memtable_age_ms = 50_000).unwrap();
    assert_eq!((segments(&store), store.stats().unwrap().memtable_rows), (0, 1));
    clock.advance(Duration::from_secs(50));
    store.configure(|settings| settings.memtable_age_ms = 49_000).unwrap();
    until("a flush", || segments(&store) == 1);
    assert_eq!(store.stats().unwrap().memtable_rows, 0);
}

/// Has merges, and only them, find the disk full from the `when`th write of one on.
fn fill_up_for_merges(sim: &SimVfs, own: u64) {
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        let segment = call.path.to_string_lossy().ends_with(".seg.tmp");
        let full = segment && matches!(call.op, Op::Write | Op::Allocate) && call.len >= own;
        if full { Action::Fail(Fault::EnospcAfter(call.len as usize / 2)) } else { Action::Proceed }
    }));
}

fn half_files(sim: &SimVfs) -> usize {
    sim.paths().iter().filter(|path| path.extension().is_some_and(|end| end == "tmp")).count()
}

#[test]
fn a_merge_that_fills_the_disk_is_as_if_it_had_not_been() {
    let (sim, store, mut model) = with_segments(5);
    let (used, paths) = (sim.used(), sim.paths());
    fill_up_for_merges(&sim, 0);
    assert_refused(store.merge(), ErrorKind::StorageFull, &[]);
    assert_eq!((sim.used(), sim.paths(), half_files(&sim)), (used, paths, 0));
    let failed = maintenance(&store);
    assert_eq!((failed.failures, failed.jobs.len()), (1, 0));
    assert!(failed.last_failure.is_some_and(|(why, _)| why.contains("space")));
    put(&store, &mut model, &nodes(&mut Rng::new(6), 500..510)).unwrap();
    assert_holds(&store, &model);
    sim.clear_observer();
    assert_eq!(store.merge().unwrap(), 5);
    assert_holds(&store, &model);
}

#[test]
fn at_every_capacity_a_merge_is_whole_or_nothing_and_writes_go_on() {
    let (mut whole, mut refused) = (0, 0);
    for step in 0..12 {
        let (sim, store, mut model) = with_segments(5);
        store.flush().unwrap();
        sim.set_capacity(Some(sim.used() + step * 8_000));
        match store.merge() {
            Ok(merged) => whole += merged / 5,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                refused += 1;
            }
        }
        assert_eq!(half_files(&sim), 0);
        sim.set_capacity(None);
        assert_holds(&store, &model);
        delete(&store, &mut model, &[1, 2]).unwrap();
        store.merge().unwrap();
        assert_holds(&store, &model);
        store.close().unwrap();
        drop(store);
        assert_holds(&reopen(&sim).unwrap(), &model);
    }
    assert!(whole > 0 && refused > 2, "{whole} merges were whole, {refused} found no room");
}

#[test]
fn merges_that_fail_in_the_background_are_not_tried_again_at_every_flush() {
    let (sim, mut model, mut rng) = (SimVfs::new(1), Model::new(), Rng::new(7));
    let store = busy(&sim, &SimClock::default(), |_| {});
    // Twice what a flush writes.
    fill_up_for_merges(&sim, 24 << 10);
    for round in 0..12 {
        write_some(&store, &mut model, &mut rng, round * 10);
    }
    until("a merge that fails", || maintenance(&store).failures > 0);
    let (stats, failed) = (store.stats().unwrap(), maintenance(&store));
    assert!(failed.failures * 4 < stats.flushes, "{} of {} flushes", failed.failures, stats.flushes);
    until("it is told", || store.stats().unwrap().background_error.is_some_and(|why| why.contains("space")));
    assert_holds(&store, &model);
    sim.clear_observer();
    until("it is tried again", || maintenance(&store).due_merges == 0 && store.stats().unwrap().merges > 0);
    assert_eq!(store.stats().unwrap().background_error, None);
    assert_eq!(half_files(&sim), 0);
    assert_eq!(store.count(&Filter::everything()).unwrap(), model.len() as u64);
    assert_holds(&store, &model);
}

#[test]
fn who_is_about_to_end_does_what_is_due_where_that_is_allowed() {
    let (sim, clock) = (SimVfs::new(1), SimClock::default());
    let store = busy(&sim, &clock, |settings| settings.merge_fanout = 4);
    store.pause_maintenance().unwrap();
    let mut rng = Rng::new(5);
    for round in 0..6 {
        store.put_batch(&nodes(&mut rng, round * 10..round * 10 + 10)).unwrap();
        store.flush().unwrap();
    }
    store.maintain().unwrap();
    assert_eq!((segments(&store), maintenance(&store).due_merges), (6, 1), "a pause is heeded");
    store.resume_maintenance().unwrap();
    store.maintain().unwrap();
    assert_eq!((segments(&store), maintenance(&store).due_merges), (3, 0));
    assert_refused(sample::open_read_only(&sim).unwrap().maintain(), ErrorKind::ReadOnly, &[]);
}
