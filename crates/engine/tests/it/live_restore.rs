//! Restores of a store in use: it becomes what it was, at one moment, while others read; or stays what it is.
//!
//! Guards against: a mixture of two states, a restore that ends neither here nor there after a crash, writes that get lost or come
//! back, what was replaced being gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use codegraph_vector::vfs::Vfs;
use codegraph_vector::{
    BackupOptions, CodeNode, ErrorKind, Filter, IsolationLevel, LiveRestoreOptions, OpenOptions,
    PersistentVectorStore, RestorePoint, RestoreReport, RestoreTarget, Result, SeqNo,
};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Rng, SimVfs};

use crate::archive::{archived, pieces, seqno};
use crate::backups::{AGAIN, backup, restore};
use crate::sample::{
    Model, assert_holds, assert_refused, contents, delete, environment, nodes, open_read_only, put, reopen,
};

fn restore_to(store: &PersistentVectorStore, target: impl Into<RestoreTarget>) -> Result<RestoreReport> {
    store.restore_with(&target.into(), &LiveRestoreOptions::default())
}

/// A store with a backup, and commits behind it, some flushed and merged: what it held at each.
fn history(sim: &SimVfs) -> (PersistentVectorStore, Vec<(SeqNo, Model)>) {
    let (store, mut model) = (archived(sim), Model::new());
    let mut rng = Rng::new(11);
    let mut history = Vec::new();
    for round in 0..8 {
        put(&store, &mut model, &nodes(&mut rng, round * 4..round * 4 + 7)).unwrap();
        history.push((seqno(&store), model.clone()));
        delete(&store, &mut model, &[round * 4 + 1]).unwrap();
        history.push((seqno(&store), model.clone()));
        match round {
            1 => drop(backup(&store).unwrap()),
            3 | 5 => store.flush().unwrap(),
            6 => drop(store.merge().unwrap()),
            _ => {}
        }
    }
    // The backup has what the fourth commit left.
    (store, history.split_off(3))
}

#[test]
fn a_store_in_use_becomes_what_it_was_and_what_it_replaced_stays_until_it_is_told_to_go() {
    let sim = SimVfs::new(1);
    let (store, history) = history(&sim);
    let (newest, at_newest) = history.last().unwrap().clone();
    let held = store.snapshot().unwrap();
    let mut lines = vec![];
    for (wanted, model) in [&history[5], &history[0], &history[history.len() - 2]] {
        let before = (seqno(&store), contents(&store).unwrap());
        let report = restore_to(&store, RestorePoint::SeqNo(*wanted)).unwrap();
        assert_eq!((report.seqno, report.now_seqno), (*wanted, SeqNo(before.0.0 + 1)));
        assert_eq!(seqno(&store), report.now_seqno);
        assert_eq!(store.storage_header().timeline, report.timeline);
        assert_holds(&store, model);
        assert!(matches!(report.backup, Some(Ok(_))), "{report:?}");
        lines.push(report.timeline);
        // What it was is a store of its own.
        let replaced = report.replaced.unwrap();
        let options =
            OpenOptions { must_exist: true, environment: environment(&sim), ..OpenOptions::default() };
        let old = PersistentVectorStore::open(&replaced, options).unwrap();
        assert_holds(&old, &before.1);
        assert_ne!(old.storage_header().store_id, store.storage_header().store_id);
    }
    assert_eq!(lines, [1, 2, 3]);
    assert_eq!(held.seqno(), newest);
    let still: Model = held.iter().unwrap().map(|node| node.map(|node| (node.id, node)).unwrap()).collect();
    assert!(still == at_newest, "a snapshot stays what it was");
    drop(held);
    // It goes on, also after a restart, and all of its lines can be restored.
    let (again_at, mut model) = (seqno(&store), history[history.len() - 2].1.clone());
    put(&store, &mut model, &nodes(&mut Rng::new(3), 900..905)).unwrap();
    store.flush().unwrap();
    delete(&store, &mut model, &[900]).unwrap();
    assert_holds(&store, &model);
    assert_eq!(store.discard_replaced().unwrap(), 3);
    assert_eq!(store.discard_replaced().unwrap(), 0);
    let last = seqno(&store);
    assert_eq!(last, SeqNo(again_at.0 + 2));
    drop(store);
    let image = sim.crash(&mut Rng::new(4), CrashStyle::LoseUnsynced);
    let store = reopen(&image).unwrap();
    assert_holds(&store, &model);
    restore_to(&store, RestorePoint::SeqNo(newest)).unwrap();
    assert_holds(&store, &at_newest);
    drop(store);
    let (latest, _) = restore(&sim, RestorePoint::Latest, AGAIN).unwrap();
    assert_holds(&latest, &model);
}

#[test]
fn wherever_it_is_cut_short_the_store_is_what_it_was_or_what_was_wanted() {
    let sim = SimVfs::new(2);
    let (store, history) = history(&sim);
    let (wanted, old) = (history[6].clone(), history.last().unwrap().1.clone());
    let images = Arc::new(Mutex::new(Vec::new()));
    let (seen, count) = (images.clone(), Arc::new(Mutex::new(0_u64)));
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op.mutates() {
            let mut count = count.lock().unwrap();
            *count += 1;
            let style = CrashStyle::ALL[(*count % 4) as usize];
            seen.lock().unwrap().push(sim.crash(&mut Rng::new(*count), style));
        }
        Action::Proceed
    }));
    restore_to(&store, RestorePoint::SeqNo(wanted.0)).unwrap();
    sim.clear_observer();
    let images = std::mem::take(&mut *images.lock().unwrap());
    assert!(images.len() > 100, "{}", images.len());
    let (mut before, mut after) = (0, 0);
    for image in images {
        let store = reopen(&image).unwrap();
        let found = contents(&store).unwrap();
        assert!(found == old || found == wanted.1, "{} nodes are neither", found.len());
        if found == old {
            before += 1
        } else {
            after += 1
        }
        assert_holds(&store, &found);
        let mut model = found;
        put(&store, &mut model, &nodes(&mut Rng::new(5), 800..803)).unwrap();
        restore_to(&store, RestorePoint::SeqNo(wanted.0)).unwrap();
        assert_holds(&store, &wanted.1);
        drop(store);
        assert_holds(&reopen(&image).unwrap(), &wanted.1);
    }
    assert!(before > 20 && after > 5, "{before} before, {after} after");
}

#[test]
fn what_cannot_be_restored_leaves_the_store_as_it_is() {
    let sim = SimVfs::new(3);
    let (store, history) = history(&sim);
    let mut model = history.last().unwrap().1.clone();
    let wanted = history[8].0;
    store.archive_log().unwrap();
    drop(store);
    let targets: Vec<_> =
        sim.paths().into_iter().filter(|path| path.starts_with(crate::backups::BACKUPS)).collect();
    let mut refused = 0;
    for path in &targets {
        let bytes = sim.read_all(path).unwrap();
        for change in 0..3 {
            let image = sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced);
            match change {
                0 => image.remove_file(path).unwrap(),
                1 => image.flip_bit(path, bytes.len() as u64 / 2, 3),
                _ => image.truncate_durable(path, bytes.len() as u64 / 2),
            }
            let store = reopen(&image).unwrap();
            let restored = restore_to(&store, RestorePoint::SeqNo(wanted));
            let now = if restored.is_ok() { &history[8].1 } else { &model };
            assert_holds(&store, now);
            refused += u64::from(restored.is_err());
            if let Err(error) = &restored {
                let clear = [ErrorKind::Corrupt, ErrorKind::NotFound, ErrorKind::Conflict];
                assert!(clear.contains(&error.kind()), "{}: {error}", path.display());
            }
            let mut now = now.clone();
            put(&store, &mut now, &nodes(&mut Rng::new(6), 700..702)).unwrap();
            drop(store);
            assert_holds(&reopen(&image).unwrap(), &now);
        }
    }
    assert!(refused >= 8, "{refused} of {} were refused", targets.len() * 3);
    // No room for it.
    let store = reopen(&sim).unwrap();
    let mut full = 0;
    for room in [0, 2_000, 8_000, 20_000, 60_000] {
        sim.set_capacity(Some(sim.used() + room));
        let restored = restore_to(&store, RestorePoint::SeqNo(wanted));
        sim.set_capacity(None);
        match restored {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}"),
        }
        full += 1;
        assert_holds(&store, &model);
        put(&store, &mut model, &nodes(&mut Rng::new(6), 600..602)).unwrap();
        assert_holds(&store, &model);
    }
    assert!(full >= 2, "{full}");
    assert!(!pieces(&sim).is_empty());
}

#[test]
fn transactions_streams_and_other_processes_are_told() {
    let sim = SimVfs::new(4);
    let (store, history) = history(&sim);
    let (wanted, model) = &history[4];
    let mut doubtful = store.begin(IsolationLevel::Serializable).unwrap();
    doubtful.put(nodes(&mut Rng::new(1), [500]).remove(0)).unwrap();
    let id = doubtful.id();
    doubtful.prepare().unwrap();
    assert_refused(restore_to(&store, RestorePoint::SeqNo(*wanted)), ErrorKind::Conflict, &[&id.to_string()]);
    drop(doubtful);
    store.rollback_prepared(id).unwrap();
    assert_holds(&store, &history.last().unwrap().1);

    let reader = open_read_only(&sim).unwrap();
    let mut open = store.begin(IsolationLevel::ReadCommitted).unwrap();
    open.put(nodes(&mut Rng::new(1), [501]).remove(0)).unwrap();
    let before = seqno(&store);
    let mut stream = store.changes(before).unwrap();
    store.pin_changes("follower", before).unwrap();
    let report = restore_to(&store, RestorePoint::SeqNo(*wanted)).unwrap();
    assert!(open.commit().is_err(), "it was rolled back");
    assert_holds(&store, model);
    assert_refused(stream.next().unwrap(), ErrorKind::Gone, &["copy the store anew"]);
    assert!(store.change_pins().unwrap().is_empty());
    assert_refused(store.changes(before), ErrorKind::Gone, &[]);
    let mut stream = store.changes(report.now_seqno).unwrap();
    assert!(stream.next().is_none());
    let mut model = model.clone();
    put(&store, &mut model, &nodes(&mut Rng::new(2), 502..504)).unwrap();
    assert_eq!(stream.next().unwrap().unwrap().puts.len(), 2);
    assert!(contents(&reader).unwrap() == history.last().unwrap().1);
    reader.refresh().unwrap();
    assert!(contents(&reader).unwrap() == model);
}

#[test]
fn readers_see_one_state_or_the_other_while_writers_wait() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        PersistentVectorStore::new(folder.path().join("store"), folder.path().join("backups"), 4).unwrap();
    store.configure(|settings| settings.archive.enabled = true).unwrap();
    let row = |id: u128, round: f32| CodeNode::new(id, vec![round + 1.0, id as f32, 1.0, 0.5]);
    let round = |number: u32| -> Vec<CodeNode> { (0..40).map(|id| row(id, number as f32)).collect() };
    store.put_batch(&round(0)).unwrap();
    store.create_backup_with(&BackupOptions::default()).unwrap();
    let good = store.put_batch(&round(1)).unwrap().receipt.seqno;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut looks = 0_u64;
                while !done.load(Ordering::Acquire) || looks < 10 {
                    let snapshot = store.snapshot().unwrap();
                    let rows: Vec<f32> =
                        snapshot.iter().unwrap().map(|node| node.unwrap().embedding[0]).collect();
                    assert_eq!(rows.len(), 40);
                    assert!(rows.iter().all(|round| *round == rows[0]), "{rows:?}");
                    assert_eq!(store.count(&Filter::everything()).unwrap(), 40);
                    looks += 1;
                }
            });
        }
        scope.spawn(|| {
            for number in 2.. {
                store.put_batch(&round(number)).unwrap();
                if done.load(Ordering::Acquire) {
                    break;
                }
            }
        });
        for _ in 0..4 {
            store.restore_with(&RestorePoint::SeqNo(good).into(), &LiveRestoreOptions::default()).unwrap();
        }
        done.store(true, Ordering::Release);
    });
    let report =
        store.restore_with(&RestorePoint::SeqNo(good).into(), &LiveRestoreOptions::default()).unwrap();
    assert_eq!(report.seqno, good);
    assert!(store.snapshot().unwrap().iter().unwrap().all(|node| node.unwrap().embedding[0] == 2.0));
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn a_damaged_store_is_restored_in_place_and_a_copy_gets_a_line_of_its_own() {
    for section in [0_u64, 30] {
        let sim = SimVfs::new(9);
        let (store, history) = history(&sim);
        let made = backup(&store).unwrap();
        let at_backup = history.last().unwrap().1.clone();
        drop(store);
        let is_segment = |path: &&std::path::PathBuf| {
            path.starts_with(crate::sample::ROOT) && path.extension().is_some_and(|end| end == "seg")
        };
        let path = sim.paths().iter().find(is_segment).unwrap().clone();
        let len = sim.read_all(&path).unwrap().len() as u64;
        // Its header, so that it cannot be opened; or somewhere in it.
        sim.flip_bit(&path, len * section / 100, 2);
        let store = reopen(&sim).unwrap();
        let _ = store.verify().unwrap();
        assert!(!store.quarantined().is_empty(), "{section}");
        assert_refused(restore_to(&store, &made.backup_id), ErrorKind::Corrupt, &["--discard"]);
        let discard = LiveRestoreOptions { keep_replaced: false, ..LiveRestoreOptions::default() };
        let report = store.restore_with(&RestoreTarget::backup(&made.backup_id), &discard).unwrap();
        assert_eq!(report.replaced, None);
        assert!(store.quarantined().is_empty());
        assert_holds(&store, &at_backup);
        let mut model = at_backup;
        put(&store, &mut model, &nodes(&mut Rng::new(5), 400..405)).unwrap();
        drop(store);
        assert_holds(&reopen(&sim).unwrap(), &model);
    }
    // A copy of the files may not archive, but be restored.
    let sim = SimVfs::new(10);
    let (store, history) = history(&sim);
    store.archive_log().unwrap();
    let other = sim.kill();
    put(&store, &mut history.last().unwrap().1.clone(), &nodes(&mut Rng::new(1), 600..602)).unwrap();
    store.archive_log().unwrap();
    for path in pieces(&sim) {
        other.write_raw(&path, &sim.read_all(&path).unwrap());
    }
    let copied = reopen(&other).unwrap();
    copied.put(nodes(&mut Rng::new(2), [700]).remove(0)).unwrap();
    assert_refused(copied.archive_log(), ErrorKind::Conflict, &["restore a backup"]);
    restore_to(&copied, "latest").unwrap();
    copied.archive_log().unwrap();
    assert_eq!(copied.stats().unwrap().archive.seqno, seqno(&copied), "nothing was committed since");
    // A point is where the store is, whether or not this line of history has a log yet.
    assert_eq!(copied.create_restore_point("here").unwrap().seqno, seqno(&copied).0);
    copied.put(nodes(&mut Rng::new(2), [701]).remove(0)).unwrap();
    assert_eq!(copied.archive_log().unwrap(), seqno(&copied));
}
