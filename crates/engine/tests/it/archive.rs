//! The archive of the log: the store can be restored to every commit, however its log was shipped, and whatever became of it.
//!
//! Guards against: a moment that cannot be reached, one that comes out as another, a gap that nobody is told of, two histories
//! that mix.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codegraph_vector::vfs::Vfs;
use codegraph_vector::{
    BackupOptions, Backups, CodeNode, ErrorKind, IsolationLevel, NodeId, OpenOptions, PersistentVectorStore,
    PruneOptions, RestorePoint, RestoreTarget, Result, Retention, SeqNo,
};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Rng, SimClock, SimVfs};

use crate::backups::{AGAIN, BACKUPS, backup, remove, restore};
use crate::sample::{self, Model, ROOT, assert_holds, assert_refused, contents, delete, nodes, put, reopen};

/// Opens the store, or creates it, where this clock tells the time.
fn open_by(sim: &SimVfs, clock: &SimClock) -> PersistentVectorStore {
    let mut options = sample::options(sim);
    options.environment.clock = Arc::new(clock.clone());
    options.settings = None;
    PersistentVectorStore::open(ROOT, options).unwrap()
}

/// A store whose log is archived when that is asked for.
pub(crate) fn archived(sim: &SimVfs) -> PersistentVectorStore {
    archived_by(sim, &SimClock::default())
}

/// The same by a clock.
fn archived_by(sim: &SimVfs, clock: &SimClock) -> PersistentVectorStore {
    let store = open_by(sim, clock);
    store.configure(|settings| settings.background = false).unwrap();
    store.configure(|settings| settings.archive.enabled = true).unwrap();
    store
}

pub(crate) fn seqno(store: &PersistentVectorStore) -> SeqNo {
    store.stats().unwrap().seqno
}

pub(crate) fn pieces(sim: &SimVfs) -> Vec<PathBuf> {
    let is_piece =
        |path: &PathBuf| path.starts_with(BACKUPS) && path.extension().is_some_and(|end| end == "log");
    sim.paths().into_iter().filter(is_piece).collect()
}

/// The same disk, for a restore that the others do not see.
fn copy(sim: &SimVfs) -> SimVfs {
    sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced)
}

#[test]
fn a_store_is_restored_to_every_commit_of_a_random_life_and_between_them_by_time() {
    for seed in 0..8 {
        let mut rng = Rng::new(seed);
        let sim = SimVfs::new(seed);
        let clock = SimClock::default();
        let (mut store, mut model) = (archived_by(&sim, &clock), Model::new());
        let mut moments = 0;
        if seed % 2 == 0 {
            // Some groups of several files, and files of several pieces.
            store.configure(|settings| settings.max_wal_file_bytes = 8 << 10).unwrap();
        }
        backup(&store).unwrap();
        let mut history = vec![(seqno(&store), 0, model.clone())];
        for _ in 0..rng.between(20, 45) {
            // Some commits share a moment.
            clock.advance(Duration::from_micros(rng.below(4) as u64));
            match rng.below(9) {
                0 => store.flush().unwrap(),
                1 => drop(store.merge().unwrap()),
                2 => drop(store.archive_log().unwrap()),
                3 if rng.chance(0.5) => drop(backup(&store).unwrap()),
                4 if rng.chance(0.3) => {
                    drop(store);
                    store = open_by(&sim, &clock);
                }
                5 => {
                    let id = rng.below(60) as NodeId;
                    delete(&store, &mut model, &[id, id + 1]).unwrap();
                }
                6 => {
                    let mut transaction = store.begin(IsolationLevel::Serializable).unwrap();
                    let node = nodes(&mut rng, [700]).remove(0);
                    transaction.put(node.clone()).unwrap();
                    transaction.prepare().unwrap();
                    transaction.commit().unwrap();
                    model.insert(700, node);
                }
                _ => {
                    let first = rng.below(60) as NodeId;
                    put(&store, &mut model, &nodes(&mut rng, first..first + 5)).unwrap();
                }
            }
            let now = seqno(&store);
            if now > history.last().unwrap().0 {
                let written = model.keys().map(|id| store.vector_metadata(*id).unwrap().unwrap());
                let at = written.filter(|row| row.seqno == now).map(|row| row.updated_us).max();
                history.push((now, at.unwrap_or(0), model.clone()));
            }
        }
        store.archive_log().unwrap();
        drop(store);
        remove(&sim, ROOT);
        for (seqno, at, model) in &history {
            let image = copy(&sim);
            let (again, report) = restore(&image, RestorePoint::SeqNo(*seqno), AGAIN).unwrap();
            assert_eq!(report.seqno, *seqno);
            assert_holds(&again, model);
            drop(again);
            let next = history.iter().find(|(_, later, _)| later > at && *at > 0);
            if let Some((_, next, _)) = next.filter(|(of, _, _)| of.0 == seqno.0 + 1) {
                for moment in [*at, next - 1] {
                    moments += 1;
                    let image = copy(&sim);
                    let (again, report) = restore(&image, RestorePoint::Time(moment), AGAIN).unwrap();
                    assert_eq!((report.seqno, report.commit_time_us), (*seqno, *at), "seed {seed}");
                    assert!(contents(&again).unwrap() == *model);
                }
            }
        }
        let (again, report) = restore(&sim, RestorePoint::Latest, AGAIN).unwrap();
        assert_eq!(report.seqno, history.last().unwrap().0);
        assert_holds(&again, &model);
        assert!(moments > 5, "seed {seed}: {moments} moments");
    }
}

#[test]
fn a_restored_store_goes_on_along_a_line_of_its_own_and_both_can_be_restored() {
    let sim = SimVfs::new(1);
    let (store, mut model) = (archived(&sim), Model::new());
    let mut rng = Rng::new(5);
    backup(&store).unwrap();
    put(&store, &mut model, &nodes(&mut rng, 0..9)).unwrap();
    let (good, at_good) = (seqno(&store), model.clone());
    let named = store.create_restore_point("good").unwrap();
    assert_eq!((named.seqno, named.timeline), (good.0, 0));
    assert_refused(store.create_restore_point("good"), ErrorKind::InvalidInput, &["good"]);
    assert_refused(store.create_restore_point("../good"), ErrorKind::InvalidInput, &[]);
    delete(&store, &mut model, &[1, 2, 3]).unwrap();
    let (bad, at_bad) = (seqno(&store), model.clone());
    drop(store); // Ships the rest.
    remove(&sim, ROOT);

    let later = SimClock::default();
    later.advance(Duration::from_secs(60));
    let (again, report) = restore(&sim, RestorePoint::Name("good".into()), ROOT).unwrap();
    assert_eq!((report.seqno, report.timeline, report.replayed_commits), (good, 1, 1));
    assert_holds(&again, &at_good);
    assert!(again.settings().archive.enabled);
    drop(again);
    let again = open_by(&sim, &later);
    let mut own = at_good.clone();
    put(&again, &mut own, &nodes(&mut rng, 100..104)).unwrap();
    let newest = seqno(&again);
    assert_eq!(newest, bad, "both lines have such a commit");
    drop(again);
    // The newest line has no backup of its own, and does not need one.
    let (newer, _) = restore(&copy(&sim), RestorePoint::SeqNo(newest), AGAIN).unwrap();
    assert_holds(&newer, &own);
    let (newer, _) = restore(&copy(&sim), RestorePoint::Latest, AGAIN).unwrap();
    assert_holds(&newer, &own);
    // The old one is followed from its backup.
    let image = copy(&sim);
    let first = Backups::open(BACKUPS, None, sample::environment(&sim)).unwrap().list().unwrap();
    let target = RestoreTarget { backup: Some(first[0].0.clone()), to: RestorePoint::SeqNo(bad) };
    let (older, _) = restore(&image, target, AGAIN).unwrap();
    assert_holds(&older, &at_bad);
    let (older, _) = restore(&copy(&sim), RestorePoint::Name("good".into()), AGAIN).unwrap();
    assert_holds(&older, &at_good);

    // A backup of the new line, and all of the old one may go, but for what the name needs.
    let again = open_by(&sim, &later);
    backup(&again).unwrap();
    let keep_one = Retention { last: 1, ..Retention::default() };
    let pruned = again.prune_backups(&keep_one, PruneOptions::default()).unwrap();
    assert_eq!((pruned.kept.len(), pruned.deleted.len()), (2, 0));
    assert!(again.all_backups().unwrap().delete_point("good").unwrap());
    assert!(!again.all_backups().unwrap().delete_point("good").unwrap());
    let pruned = again.prune_backups(&keep_one, PruneOptions::default()).unwrap();
    assert_eq!((pruned.kept.len(), pruned.deleted.len()), (1, 1));
    drop(again);
    let (newer, _) = restore(&copy(&sim), RestorePoint::Latest, AGAIN).unwrap();
    assert_holds(&newer, &own);
    assert_refused(restore(&sim, RestorePoint::SeqNo(good), AGAIN), ErrorKind::NotFound, &["the oldest"]);
    assert!(sim.paths().iter().all(|path| !path.starts_with(AGAIN)), "nothing is left of what was refused");
}

#[test]
fn what_the_archive_lacks_or_has_damaged_is_an_error_and_nothing_is_restored() {
    let sim = SimVfs::new(2);
    let (store, mut model) = (archived(&sim), Model::new());
    let mut rng = Rng::new(6);
    backup(&store).unwrap();
    for round in 0..4 {
        put(&store, &mut model, &nodes(&mut rng, round * 3..round * 3 + 3)).unwrap();
        store.archive_log().unwrap();
    }
    let last = seqno(&store);
    drop(store);
    let pieces = pieces(&sim);
    assert!(pieces.len() >= 4, "{pieces:?}");
    let refused = |image: &SimVfs, kind: ErrorKind, pieces: &[&str]| {
        assert_refused(restore(image, RestorePoint::SeqNo(last), AGAIN), kind, pieces);
        let is_store =
            |path: &PathBuf| path.starts_with(AGAIN) && path.to_string_lossy().contains("MANIFEST");
        assert!(!image.paths().iter().any(is_store));
        // Nor is the store itself touched.
        assert_holds(&reopen(image).unwrap(), &model);
    };
    let image = copy(&sim);
    let middle = &pieces[pieces.len() / 2];
    image.remove_file(middle).unwrap();
    refused(&image, ErrorKind::Corrupt, &["gap"]);
    let bytes = sim.read_all(middle).unwrap();
    for byte in [3, 9, 60, 100, bytes.len() as u64 - 1] {
        let image = copy(&sim);
        image.flip_bit(middle, byte, 4);
        refused(&image, if byte == 9 { ErrorKind::Unsupported } else { ErrorKind::Corrupt }, &[]);
    }
    let image = copy(&sim);
    image.truncate_durable(middle, bytes.len() as u64 - 5);
    refused(&image, ErrorKind::Corrupt, &["cut off"]);
    let image = copy(&sim);
    image.write_raw(middle, &sim.read_all(&pieces[1]).unwrap());
    refused(&image, ErrorKind::Corrupt, &[]);
    // The end is not known to be missing, but the commit is.
    let image = copy(&sim);
    image.remove_file(pieces.last().unwrap()).unwrap();
    refused(&image, ErrorKind::NotFound, &["ends at commit"]);
    let ahead = RestorePoint::SeqNo(SeqNo(last.0 + 1));
    assert_refused(restore(&copy(&sim), ahead, AGAIN), ErrorKind::NotFound, &["ends at commit"]);
}

#[test]
fn a_copy_of_a_stores_files_cannot_archive_beside_it() {
    let sim = SimVfs::new(3);
    let (store, mut model) = (archived(&sim), Model::new());
    let mut rng = Rng::new(7);
    put(&store, &mut model, &nodes(&mut rng, 0..3)).unwrap();
    store.archive_log().unwrap();
    let other = sim.kill();
    let copied = reopen(&other).unwrap();
    put(&store, &mut model, &nodes(&mut rng, 3..6)).unwrap();
    store.archive_log().unwrap();
    // The two disks have one target.
    for path in pieces(&sim) {
        other.write_raw(&path, &sim.read_all(&path).unwrap());
    }
    copied.put(nodes(&mut rng, [50]).remove(0)).unwrap();
    assert_refused(copied.archive_log(), ErrorKind::Conflict, &["line of history"]);
    assert_refused(copied.archive_log(), ErrorKind::Conflict, &[]);
    assert!(copied.stats().unwrap().archive.failure.is_some());
}

#[test]
fn a_crash_at_any_call_of_the_archive_loses_nothing_that_was_shipped_and_ships_nothing_twice() {
    let sim = SimVfs::new(4);
    let (store, mut model) = (archived(&sim), Model::new());
    let mut rng = Rng::new(8);
    backup(&store).unwrap();
    put(&store, &mut model, &nodes(&mut rng, 0..3)).unwrap();
    store.archive_log().unwrap();
    put(&store, &mut model, &nodes(&mut rng, 3..6)).unwrap();
    let images = Arc::new(Mutex::new(Vec::new()));
    let seen = images.clone();
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op.mutates() {
            for style in [CrashStyle::LoseUnsynced, CrashStyle::KeepAll] {
                seen.lock().unwrap().push(sim.crash(&mut Rng::new(9), style));
            }
        }
        Action::Proceed
    }));
    store.archive_log().unwrap();
    sim.clear_observer();
    let images = std::mem::take(&mut *images.lock().unwrap());
    assert!(images.len() >= 10, "{}", images.len());
    for image in images {
        let store = reopen(&image).unwrap();
        assert_holds(&store, &model);
        let mut model = model.clone();
        put(&store, &mut model, &nodes(&mut Rng::new(10), 6..9)).unwrap();
        let last = store.archive_log().unwrap();
        assert_eq!(last, seqno(&store));
        assert!(image.paths().iter().all(|path| !path.to_string_lossy().ends_with(".tmp")));
        drop(store);
        let (again, _) = restore(&image, RestorePoint::SeqNo(last), AGAIN).unwrap();
        assert_holds(&again, &model);
    }
}

#[test]
fn the_log_waits_for_the_archive_and_what_it_could_not_wait_for_is_a_gap_that_is_told() {
    let sim = SimVfs::new(5);
    let (store, mut model) = (archived(&sim), Model::new());
    let mut rng = Rng::new(9);
    backup(&store).unwrap();
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        let at_target = call.path.starts_with(BACKUPS) && call.op.mutates();
        if at_target && is_broken.load(Ordering::Relaxed) {
            return Action::Fail(Fault::Eio);
        }
        Action::Proceed
    }));
    let churn = |store: &PersistentVectorStore, model: &mut Model, rng: &mut Rng| {
        for round in 0..4 {
            put(store, model, &nodes(rng, round * 5..round * 5 + 5)).unwrap();
            store.flush().unwrap();
        }
    };
    churn(&store, &mut model, &mut rng);
    assert!(store.archive_log().is_err());
    let stats = store.stats().unwrap().archive;
    assert!(stats.failure.is_some() && stats.gap.is_none(), "{stats:?}");
    broken.store(false, Ordering::Relaxed);
    let last = store.archive_log().unwrap();
    assert_eq!(last, seqno(&store));
    let stats = store.stats().unwrap().archive;
    assert_eq!((stats.lag_bytes, stats.lag_us, stats.failure, stats.gap), (0, Some(0), None, None));
    let (again, _) = restore(&copy(&sim), RestorePoint::SeqNo(last), AGAIN).unwrap();
    assert_holds(&again, &model);

    broken.store(true, Ordering::Relaxed);
    store
        .configure(|settings| (settings.max_pinned_log_bytes, settings.max_wal_file_bytes) = (0, 4 << 10))
        .unwrap();
    for _ in 0..4 {
        churn(&store, &mut model, &mut rng);
    }
    broken.store(false, Ordering::Relaxed);
    assert!(store.archive_log().is_err(), "the log is gone");
    store.archive_log().unwrap();
    let stats = store.stats().unwrap().archive;
    assert!(stats.gap.is_some(), "{stats:?}");
    let behind = seqno(&store);
    assert_refused(restore(&copy(&sim), RestorePoint::SeqNo(behind), AGAIN), ErrorKind::Corrupt, &["gap"]);
    // A backup behind it can be restored from, and what comes then.
    backup(&store).unwrap();
    put(&store, &mut model, &nodes(&mut rng, 90..93)).unwrap();
    let last = store.archive_log().unwrap();
    let (again, _) = restore(&copy(&sim), RestorePoint::SeqNo(last), AGAIN).unwrap();
    assert_holds(&again, &model);
}

#[test]
fn the_log_is_shipped_in_the_background_and_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (path, backups) = (folder.path().join("store"), folder.path().join("backups"));
    let store = PersistentVectorStore::new(&path, &backups, 2).unwrap();
    store
        .configure(|settings| {
            settings.archive.enabled = true;
            settings.archive.interval_ms = 50;
        })
        .unwrap();
    store.create_backup_with(&BackupOptions::default()).unwrap();
    store.put(CodeNode::new(1, vec![0.5, 1.0])).unwrap();
    sample::until("the commit is in the archive", || {
        let archive = store.stats().unwrap().archive;
        archive.seqno == seqno(&store) && archive.lag_bytes == 0
    });
    // All that there is of the store is lost, while it is in use.
    let restored = |name: &str, to: RestorePoint| -> Result<PersistentVectorStore> {
        let options = OpenOptions::default();
        PersistentVectorStore::restore(&backups, to, folder.path().join(name), options)
            .map(|(store, _)| store)
    };
    assert!(restored("one", RestorePoint::Latest).unwrap().get(1).unwrap().is_some());
    store.put(CodeNode::new(2, vec![0.5, 1.0])).unwrap();
    let last = seqno(&store);
    store.close().unwrap();
    let again = restored("two", RestorePoint::SeqNo(last)).unwrap();
    assert!(again.get(2).unwrap().is_some());
}

#[test]
fn a_rehearsal_finds_what_a_restore_would_and_leaves_nothing_behind() {
    let sim = SimVfs::new(6);
    let (store, mut model) = (archived(&sim), Model::new());
    let mut rng = Rng::new(12);
    put(&store, &mut model, &nodes(&mut rng, 0..9)).unwrap();
    let made = backup(&store).unwrap();
    put(&store, &mut model, &nodes(&mut rng, 9..15)).unwrap();
    store.archive_log().unwrap();
    let (stats, backups) = (store.stats().unwrap(), store.all_backups().unwrap());
    let before = sim.paths();
    let report = backups.rehearse(RestorePoint::Latest, AGAIN).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.restored, Some((stats.seqno, 15, stats.content_hash)));
    assert_eq!(report.backup_id, made.backup_id);
    let report = backups.rehearse(&made.backup_id, AGAIN).unwrap();
    assert_eq!(report.restored.map(|(seqno, rows, _)| (seqno, rows)), Some((made.seqno, 9)));
    assert_eq!(sim.paths(), before, "no line of history is taken, and nothing is left");
    // Somebody's folder is not for rehearsals.
    assert_refused(backups.rehearse("latest", ROOT), ErrorKind::InvalidInput, &["another folder"]);
    assert_holds(&store, &model);
    assert_refused(backups.rehearse("no-such", AGAIN), ErrorKind::NotFound, &[]);
    let piece = pieces(&sim).pop().unwrap();
    sim.flip_bit(&piece, 200, 1);
    assert!(!backups.rehearse(RestorePoint::Latest, AGAIN).unwrap().is_sound());
    assert!(backups.rehearse("latest", AGAIN).unwrap().is_sound(), "the backup itself is");
    assert!(sim.paths().iter().all(|path| !path.starts_with(AGAIN)));
}
