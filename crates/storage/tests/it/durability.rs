//! The order in which files become real: write, sync, rename, sync the folder; and what a power cut at any call
//! leaves of it. Both are watched on the simulated disk.

use std::sync::{Arc, Mutex};

use codegraph_vector_base::vfs::{TEMPORARY_SUFFIX, Vfs};
use codegraph_vector_base::{ErrorKind, SegmentId};
use codegraph_vector_storage::manifest::{self, Contents, Manifest, SegmentRef};
use codegraph_vector_storage::{SegmentFile, StoreLayout, read_deaths};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Lies, Op, Rng, SimVfs};

use crate::sample;

fn store() -> (SimVfs, Manifest) {
    let sim = SimVfs::new(1);
    sample::layout().create_dirs(&sim).expect("folders");
    let mut first = sample::manifest();
    first.segments.clear();
    first.contents = Some(Contents::default());
    first.next_segment_id = SegmentId(1);
    manifest::install(&sim, &sample::layout(), None, &first).expect("created");
    (sim, first)
}

/// The calls of `work` that change the disk.
fn changes(sim: &SimVfs, work: impl FnOnce(&SimVfs)) -> Vec<Call> {
    let changes = sim.watch_changes();
    work(sim);
    sim.clear_observer();
    changes.take()
}

/// Writes go to a temporary name and end with a sync of it; then the rename, then the folder's sync, and nothing else.
fn is_published(calls: &[Call]) {
    let ops: Vec<_> = calls.iter().map(|call| call.op).collect();
    let [Op::Create, written @ .., Op::SyncAll, Op::Rename, Op::SyncDir] = &ops[..] else {
        panic!("not write, sync, rename, sync of the folder: {ops:?}");
    };
    assert!(!written.is_empty());
    assert!(written.iter().all(|op| matches!(op, Op::Write | Op::Allocate | Op::SetLen)), "{ops:?}");
    let [in_file @ .., rename, sync_dir] = calls else { return };
    assert!(in_file.iter().all(|call| call.path == in_file[0].path), "{calls:?}");
    assert!(in_file[0].path.to_string_lossy().ends_with(TEMPORARY_SUFFIX));
    assert_eq!(rename.path.parent(), Some(&*sync_dir.path));
}

#[test]
fn each_kind_of_file_is_synced_before_it_is_named_and_its_name_after() {
    let (sim, first) = store();
    is_published(&changes(&sim, |sim| {
        sample::segment(sim, &sample::sections());
    }));
    let large = [(sample::sections()[0].0, vec![7; 5 << 20])];
    is_published(&changes(&sim, |sim| {
        sample::segment(sim, &large);
    }));
    is_published(&changes(&sim, |sim| {
        sample::deaths(sim);
    }));
    is_published(&changes(&sim, |sim| {
        manifest::install(sim, &sample::layout(), Some(&first), &first.successor()).expect("installed");
    }));
}

#[test]
fn a_new_store_s_folders_are_durable() {
    let sim = SimVfs::new(1);
    let layout = StoreLayout::new("/deep/down/store");
    layout.create_dirs(&sim).expect("folders");
    manifest::install(&sim, &layout, None, &sample::manifest()).expect("created");
    let after = sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced);
    assert!(manifest::load_newest(&after, &layout).is_ok());
    for folder in [layout.wal_dir(), layout.segments_dir()] {
        assert_eq!(after.list(&folder).ok(), Some(vec![]));
    }
}

/// A flush as the engine does it: segment, deaths, manifest.
fn flush(sim: &SimVfs, first: &Manifest) -> codegraph_vector_base::Result<Manifest> {
    let (_, file) = sample::segment(sim, &sample::small_sections());
    let (_, deaths) = sample::deaths(sim);
    let mut next = first.successor();
    next.next_segment_id = SegmentId(sample::ID.0 + 1);
    next.segments = vec![SegmentRef { file, deaths: Some(deaths), ..sample::manifest().segments[0].clone() }];
    next.contents = Some(Contents { rows: 7, checksum: 1 });
    manifest::install(sim, &sample::layout(), Some(first), &next)?;
    Ok(next)
}

/// The store that a crash left is either generation, whole: every file of it opens and holds what it held.
fn is_whole(after: &SimVfs, first: &Manifest) -> bool {
    let layout = sample::layout();
    let loaded = manifest::load_newest(after, &layout).expect("a store");
    assert!(loaded.fallbacks.is_empty() && loaded.damaged.is_empty(), "{loaded:?}");
    for segment in &loaded.manifest.segments {
        let path = layout.segment_path(segment.id);
        let file = SegmentFile::open(after, &path, sample::STORE, segment.id, &segment.file).expect("opens");
        for (kind, bytes) in sample::small_sections() {
            assert_eq!(file.section(kind).expect("there").bytes_all().ok(), Some(&bytes[..]));
        }
        let deaths = segment.deaths.expect("deaths");
        let path = layout.deaths_path(segment.id, deaths.generation);
        let read = read_deaths(after, &path, sample::STORE, segment.id, segment.rows, &deaths);
        assert_eq!(read.ok().as_deref(), Some(&sample::DEATHS[..]));
    }
    loaded.manifest.generation > first.generation
}

#[test]
fn a_power_cut_at_any_call_of_a_flush_leaves_the_old_or_the_new_store() {
    let (sim, first) = store();
    let seen = Arc::new(Mutex::new((0_u32, 0_u32)));
    let (sink, before) = (Arc::clone(&seen), first.clone());
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op.mutates() {
            for seed in 0..20 {
                let mut rng = Rng::new(call.index * 100 + seed);
                let style = CrashStyle::random(&mut rng);
                let after = sim.crash(&mut rng, style);
                let mut seen = sink.lock().expect("unpoisoned");
                match is_whole(&after, &before) {
                    false => seen.0 += 1,
                    true => seen.1 += 1,
                }
            }
        }
        Action::Proceed
    }));
    let next = flush(&sim, &first).expect("flushed");
    sim.clear_observer();
    let (old, new) = *seen.lock().expect("unpoisoned");
    assert!(old > 100 && new > 0, "the cut that loses or keeps the last rename was not met: {old}, {new}");
    assert!(is_whole(&sim.crash(&mut Rng::new(7), CrashStyle::LoseUnsynced), &first));
    assert_eq!(manifest::load_newest(&sim, &sample::layout()).expect("loaded").manifest, next);
}

#[test]
fn a_store_that_did_not_sync_would_be_noticed() {
    for lies in [
        Lies { ignore_file_sync: true, ignore_dir_sync: false },
        Lies { ignore_file_sync: false, ignore_dir_sync: true },
    ] {
        let (sim, first) = store();
        sim.set_lies(lies);
        let next = flush(&sim, &first).expect("as far as it knows");
        let after = sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced);
        let loaded = manifest::load_newest(&after, &sample::layout()).expect("the old store");
        assert_ne!(loaded.manifest, next, "{lies:?}");
    }
}

#[test]
fn a_switch_that_fails_says_whether_it_may_have_happened() {
    for (op, fault, kind) in [
        (Op::Write, Fault::EnospcAfter(10), ErrorKind::StorageFull),
        (Op::SyncAll, Fault::SyncFails, ErrorKind::Io),
        (Op::Rename, Fault::Eio, ErrorKind::Io),
        (Op::SyncDir, Fault::SyncFails, ErrorKind::OutcomeUnknown),
    ] {
        let (sim, first) = store();
        sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| match call.op == op {
            true => Action::Fail(fault),
            false => Action::Proceed,
        }));
        let next = first.successor();
        let error = manifest::install(&sim, &sample::layout(), Some(&first), &next).expect_err("failed");
        sim.clear_observer();
        assert_eq!(error.kind(), kind, "{op:?}: {error}");
        let loaded = manifest::load_newest(&sim, &sample::layout()).expect("a store");
        let switched = loaded.manifest.generation == next.generation;
        assert_eq!(switched, kind == ErrorKind::OutcomeUnknown, "{op:?}");
    }
}
