//! Backups: each can be restored as it was made, whatever happened to the store, to other backups, or to the machine since.
//!
//! Guards against: a backup that lacks rows, one that is listed and not whole, objects that go while a backup needs them,
//! a restore that leaves half a store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use codegraph_vector::vfs::Vfs;
use codegraph_vector::{
    BackupCheck, BackupOptions, BackupReport, CodeNode, ErrorKind, IsolationLevel, NodeId, OpenOptions,
    PersistentVectorStore, PruneOptions, RestoreReport, RestoreTarget, Result, Retention,
};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Rng, SimVfs};

use crate::sample::{
    self, Model, ROOT, assert_holds, assert_refused, contents, delete, environment, node, nodes, open, put,
    reopen,
};

/// Where backups are unless something else is said.
pub(crate) const BACKUPS: &str = "/store.backups";
/// Where stores are restored to.
pub(crate) const AGAIN: &str = "/again";

/// In the order of the calls: a simulation is one thread.
fn in_turn() -> BackupOptions {
    BackupOptions { threads: 1, ..BackupOptions::default() }
}

pub(crate) fn backup(store: &PersistentVectorStore) -> Result<BackupReport> {
    store.create_backup_with(&in_turn())
}

pub(crate) fn restore(
    sim: &SimVfs,
    target: impl Into<RestoreTarget>,
    path: &str,
) -> Result<(PersistentVectorStore, RestoreReport)> {
    let options = OpenOptions { environment: environment(sim), ..OpenOptions::default() };
    PersistentVectorStore::restore(BACKUPS, target, path, options)
}

/// Removes a store that nobody has open.
pub(crate) fn remove(sim: &SimVfs, folder: &str) {
    for path in sim.paths().iter().filter(|path| path.starts_with(folder)) {
        sim.remove_file(path).unwrap();
    }
}

fn objects(sim: &SimVfs) -> Vec<PathBuf> {
    let is_object = |path: &PathBuf| path.parent().is_some_and(|folder| folder.ends_with("objects"));
    sim.paths().into_iter().filter(is_object).collect()
}

/// Two segments with deaths, and rows that are not flushed.
fn source(sim: &SimVfs) -> (PersistentVectorStore, Model) {
    let (store, mut model) = (open(sim).unwrap(), Model::new());
    let mut rng = Rng::new(3);
    for round in 0..2 {
        put(&store, &mut model, &nodes(&mut rng, round * 20..round * 20 + 30)).unwrap();
        store.flush().unwrap();
        delete(&store, &mut model, &[round * 20, round * 20 + 7]).unwrap();
    }
    put(&store, &mut model, &nodes(&mut rng, 100..105)).unwrap();
    (store, model)
}

#[test]
fn every_backup_of_a_random_life_is_restored_as_it_was_made() {
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let sim = SimVfs::new(seed);
        let (store, mut model) = (open(&sim).unwrap(), Model::new());
        let mut made: Vec<(BackupReport, Model)> = Vec::new();
        for _ in 0..rng.between(10, 40) {
            match rng.below(7) {
                0 => store.flush().unwrap(),
                1 => drop(store.merge().unwrap()),
                2 => {
                    let id = rng.below(60) as NodeId;
                    delete(&store, &mut model, &[id, id + 1]).unwrap();
                }
                3 if made.len() < 5 => made.push((backup(&store).unwrap(), model.clone())),
                _ => {
                    let first = rng.below(60) as NodeId;
                    let some = nodes(&mut rng, first..first + 5);
                    put(&store, &mut model, &some).unwrap();
                }
            }
        }
        drop(store);
        remove(&sim, ROOT);
        for (number, (report, model)) in made.iter().enumerate() {
            let (again, restored) = restore(&sim, &report.backup_id, AGAIN).unwrap();
            assert_holds(&again, model);
            assert_eq!((restored.seqno, restored.bytes), (report.seqno, report.bytes));
            assert_eq!(restored.timeline, number as u64 + 1, "nobody takes a line of history twice");
            assert_eq!(again.storage_header().timeline, restored.timeline);
            // It goes on, and has backups of its own.
            let mut own = model.clone();
            put(&again, &mut own, &nodes(&mut rng, 500..510)).unwrap();
            drop(again);
            let options = OpenOptions {
                must_exist: true,
                backups: Some(BACKUPS.into()),
                environment: environment(&sim),
                ..OpenOptions::default()
            };
            let again = PersistentVectorStore::open(AGAIN, options).unwrap();
            assert_holds(&again, &own);
            let of_own = backup(&again).unwrap();
            assert!(again.verify_backup(&of_own.backup_id, BackupCheck::Full).unwrap().is_sound());
            again.all_backups().unwrap().delete(&of_own.backup_id).unwrap();
            drop(again);
            remove(&sim, AGAIN);
        }
    }
}

#[test]
fn what_a_backup_has_is_not_put_again() {
    let sim = SimVfs::new(1);
    let (store, mut model) = source(&sim);
    let first = backup(&store).unwrap();
    assert_eq!(
        (first.new_bytes, first.path.clone()),
        (
            first.bytes,
            Path::new(BACKUPS).join(format!(
                "{}/{}.backup",
                store.storage_header().store_id,
                first.backup_id
            ))
        )
    );
    assert!(sim.read_all(&first.path).is_some());
    let same = backup(&store).unwrap();
    assert_eq!((same.new_bytes, same.bytes, same.seqno), (0, first.bytes, first.seqno));
    assert_ne!(same.backup_id, first.backup_id);
    put(&store, &mut model, &[node(&mut Rng::new(8), 900)]).unwrap();
    let more = backup(&store).unwrap();
    assert!(0 < more.new_bytes && more.new_bytes < first.bytes, "{more:?}");
    let listed = store.list_backups().unwrap();
    let ids: Vec<&str> = listed.iter().map(|(id, _)| &**id).collect();
    assert_eq!(ids, [&first.backup_id, &same.backup_id, &more.backup_id]);
    let newest = listed[2].1.as_ref().unwrap();
    assert_eq!(
        (newest.parent.as_ref(), newest.bytes, newest.seqno()),
        (Some(&same.backup_id), more.bytes, more.seqno)
    );
    // The catalog tells the same.
    let catalog = sim.read_all(first.path.with_file_name("catalog.json")).unwrap();
    let catalog: serde_json::Value = serde_json::from_slice(&catalog).unwrap();
    let told: Vec<_> =
        catalog["backups"].as_array().unwrap().iter().map(|backup| backup["backup_id"].as_str()).collect();
    assert_eq!(told, ids.into_iter().map(Some).collect::<Vec<_>>());
    // Without anything that says so: the newest.
    assert_holds(&restore(&sim, "latest", AGAIN).unwrap().0, &model);
}

/// What the disk may hold after a crash or kill at each call that `work` makes.
fn images(sim: &SimVfs, work: impl FnOnce()) -> Vec<(SimVfs, String)> {
    let images: Arc<Mutex<Vec<(SimVfs, String)>>> = Arc::default();
    let keep = images.clone();
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op.mutates() {
            let mut images = keep.lock().unwrap();
            let mut rng = Rng::new(images.len() as u64);
            let style = CrashStyle::random(&mut rng);
            let place = format!("{:?} of {}", call.op, call.path.display());
            images.push((sim.crash(&mut rng, style), format!("crash, {style:?}, at {place}")));
            images.push((sim.kill(), format!("kill at {place}")));
        }
        Action::Proceed
    }));
    work();
    sim.clear_observer();
    let images = std::mem::take(&mut *images.lock().unwrap());
    assert!(images.len() > 20, "{}", images.len());
    images
}

#[test]
fn a_backup_that_is_cut_short_anywhere_hurts_nothing_and_is_made_again() {
    let sim = SimVfs::new(5);
    let (store, mut model) = source(&sim);
    let first = backup(&store).unwrap();
    let before = model.clone();
    put(&store, &mut model, &nodes(&mut Rng::new(8), 200..210)).unwrap();
    let (mut whole, mut none) = (0, 0);
    for (image, place) in images(&sim, || drop(backup(&store).unwrap())) {
        let listed = {
            let store = reopen(&image).unwrap();
            assert_holds(&store, &model);
            let listed = store.list_backups().unwrap();
            for (id, _) in &listed {
                let report = store.verify_backup(id, BackupCheck::Full).unwrap();
                assert!(report.is_sound(), "{place}: {report:?}");
            }
            // What it left counts: the next one puts no more than there is.
            let again = backup(&store).unwrap();
            assert!(again.new_bytes <= again.bytes);
            listed.len()
        };
        *(if listed == 2 { &mut whole } else { &mut none }) += 1;
        assert!((1..=2).contains(&listed), "{place}");
        assert_holds(&restore(&image, "latest", AGAIN).unwrap().0, &model);
        assert_holds(&restore(&image, &first.backup_id, "/older").unwrap().0, &before);
    }
    assert!(whole > 3 && none > 10, "{whole} whole, {none} not");
}

#[test]
fn a_restore_that_is_cut_short_anywhere_leaves_a_whole_store_or_none_and_is_done_again() {
    let sim = SimVfs::new(5);
    let (store, model) = source(&sim);
    backup(&store).unwrap();
    drop(store);
    remove(&sim, ROOT);
    let images = images(&sim, || drop(restore(&sim, "latest", AGAIN).unwrap()));
    let mut whole = 0;
    for (image, place) in images {
        let options =
            OpenOptions { must_exist: true, environment: environment(&image), ..OpenOptions::default() };
        // As after a crash that nobody has looked at yet.
        match PersistentVectorStore::open(AGAIN, OpenOptions { read_only: true, ..options }) {
            Ok(found) => {
                assert!(contents(&found).unwrap() == model, "{place}");
                whole += 1;
            }
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput),
                "{place}: {error:?}"
            ),
        }
        match restore(&image, "latest", AGAIN) {
            Ok((again, _)) => assert_holds(&again, &model),
            // It was finished, and has been used since.
            Err(error) => assert!(error.message().contains("there is a store already"), "{place}: {error:?}"),
        }
    }
    assert!(whole > 3, "{whole}");
}

#[test]
fn damage_is_told_and_nothing_is_restored_from_it() {
    let sim = SimVfs::new(1);
    let (store, model) = source(&sim);
    let made = backup(&store).unwrap();
    drop(store);
    let found = objects(&sim);
    assert!(found.len() >= 4, "{found:?}");
    let sizes = |path: &Path| sim.read_all(path).unwrap();
    type Harm = fn(&SimVfs, &Path, &[u8], &[u8]);
    let harms: [(&str, Harm, bool); 5] = [
        ("missing", |sim, path, _, _| sim.remove_file(path).unwrap(), true),
        ("cut off", |sim, path, bytes, _| sim.write_raw(path, &bytes[..bytes.len() / 2]), true),
        ("flipped", |sim, path, bytes, _| sim.flip_bit(path, bytes.len() as u64 / 2, 3), false),
        ("longer", |sim, path, bytes, _| sim.write_raw(path, &[bytes, b"x"].concat()), true),
        (
            "another's",
            |sim, path, bytes, other| {
                let mut taken = other.to_vec();
                taken.resize(bytes.len(), 0);
                sim.write_raw(path, &taken);
            },
            false,
        ),
    ];
    for (what, harm, shows_at_once) in harms {
        for at in 0..found.len() {
            let (bytes, other) = (sizes(&found[at]), sizes(&found[(at + 1) % found.len()]));
            harm(&sim, &found[at], &bytes, &other);
            let store = reopen(&sim).unwrap();
            let look = |check| store.verify_backup("latest", check).unwrap();
            let (quick, full) = (look(BackupCheck::Quick), look(BackupCheck::Full));
            assert_eq!(quick.is_sound(), !shows_at_once, "{what}: {quick:?}");
            assert_eq!(full.problems.len(), 1, "{what}: {full:?}");
            drop(store);
            assert_refused(restore(&sim, "latest", AGAIN), ErrorKind::Corrupt, &["object of this backup"]);
            assert!(
                !sim.paths().iter().any(|path| path.starts_with(AGAIN) && !path.ends_with("LOCK")),
                "{what}"
            );
            sim.write_raw(&found[at], &bytes);
        }
    }
    // A manifest that is damaged, or of a format that is yet to come.
    let bytes = sizes(&made.path);
    for at in 0..bytes.len() {
        sim.flip_bit(&made.path, at as u64, (at % 8) as u8);
        let error = restore(&sim, "latest", AGAIN).expect_err("this is not the manifest that was written");
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "byte {at}: {error:?}");
        sim.write_raw(&made.path, &bytes);
    }
    sim.write_raw(&made.path, &[&bytes[..8], &[2], &bytes[9..]].concat());
    assert_refused(restore(&sim, "latest", AGAIN), ErrorKind::Unsupported, &["newer version"]);
    sim.write_raw(&made.path, &bytes);
    assert_refused(restore(&sim, "latest", ROOT), ErrorKind::InvalidInput, &["there is a store already"]);
    assert_refused(restore(&sim, "20000101T000000.000Z-1", AGAIN), ErrorKind::NotFound, &["no backup"]);
    // A full disk.
    sim.set_capacity(Some(sim.used() + 4096));
    assert_refused(restore(&sim, "latest", AGAIN), ErrorKind::StorageFull, &[]);
    sim.set_capacity(None);
    assert_holds(&restore(&sim, "latest", AGAIN).unwrap().0, &model);
}

#[test]
fn pruning_leaves_whole_backups_wherever_it_is_cut_short() {
    let sim = SimVfs::new(5);
    let (store, mut model) = source(&sim);
    let mut made = Vec::new();
    for round in 0..4 {
        put(&store, &mut model, &nodes(&mut Rng::new(round), 0..40)).unwrap();
        if round % 2 == 1 {
            store.merge().unwrap();
        }
        let options = BackupOptions { name: (round == 1).then(|| "release 1".to_owned()), ..in_turn() };
        made.push((store.create_backup_with(&options).unwrap().backup_id, model.clone()));
    }
    let all = objects(&sim).len() as u64;
    let last = Retention { last: 1, ..Retention::default() };
    assert_refused(
        store.prune_backups(&Retention::default(), PruneOptions::default()),
        ErrorKind::InvalidInput,
        &[],
    );
    let told = store.prune_backups(&last, PruneOptions { dry_run: true, force: false }).unwrap();
    assert_eq!(
        (told.kept, told.deleted),
        (vec![made[1].0.clone(), made[3].0.clone()], vec![made[0].0.clone(), made[2].0.clone()])
    );
    assert!(0 < told.objects && told.objects < all && told.bytes > 0);
    assert_eq!(
        (objects(&sim).len() as u64, store.list_backups().unwrap().len()),
        (all, 4),
        "nothing is removed by telling"
    );
    let images = images(&sim, || {
        let done = store.prune_backups(&last, PruneOptions::default()).unwrap();
        assert_eq!((done.objects, done.bytes), (told.objects, told.bytes));
    });
    assert_eq!(objects(&sim).len() as u64, all - told.objects);
    for (image, place) in images {
        let store = reopen(&image).unwrap();
        let listed = store.list_backups().unwrap();
        for (id, model) in &made {
            let is_listed = listed.iter().any(|(listed, _)| listed == id);
            assert!(is_listed || [&made[0].0, &made[2].0].contains(&id), "{place}");
            if is_listed {
                assert!(store.verify_backup(id, BackupCheck::Full).unwrap().is_sound(), "{place}");
                assert_holds(&restore(&image, id, AGAIN).unwrap().0, model);
                remove(&image, AGAIN);
            }
        }
        // What was killed may have left its claim: it does not count against another of its kind.
        store.prune_backups(&last, PruneOptions::default()).unwrap();
        assert_eq!(objects(&image).len() as u64, all - told.objects, "{place}");
    }
    store.all_backups().unwrap().delete(&made[1].0).unwrap();
    assert_refused(store.all_backups().unwrap().delete(&made[1].0), ErrorKind::NotFound, &[]);
    assert_holds(&restore(&sim, &made[3].0, AGAIN).unwrap().0, &made[3].1);
}

#[test]
fn a_prune_waits_for_backups_and_a_backup_for_prunes_but_not_for_ever() {
    let sim = SimVfs::new(5);
    let (store, _) = source(&sim);
    backup(&store).unwrap();
    let last = Retention { last: 1, ..Retention::default() };
    let prune = |force| store.prune_backups(&last, PruneOptions { dry_run: false, force });
    let now = environment(&sim).clock.now_us();
    let claim = |who: &str, at: u64| {
        let id = store.storage_header().store_id;
        format!("{BACKUPS}/{id}/claims/{who}/{at:020}-0000000000000001")
    };
    // A backup that somebody makes now, or that was killed.
    let theirs = claim("backup", now);
    sim.create_dir_all(Path::new(&theirs).parent().unwrap()).unwrap();
    sim.write_raw(&theirs, b"");
    assert_refused(prune(false), ErrorKind::Busy, &["a backup has been at work since"]);
    prune(true).unwrap();
    assert!(sim.read_all(&theirs).is_some());
    sim.remove_file(Path::new(&theirs)).unwrap();
    let theirs = claim("prune", now);
    sim.create_dir_all(Path::new(&theirs).parent().unwrap()).unwrap();
    sim.write_raw(&theirs, b"");
    assert_refused(backup(&store), ErrorKind::Busy, &["a prune has been at work since"]);
    assert_eq!(store.list_backups().unwrap().len(), 1);
    sim.remove_file(Path::new(&theirs)).unwrap();
    // One that was killed long ago counts no more.
    let theirs = claim("prune", now.saturating_sub(1_000_000_000));
    sim.write_raw(&theirs, b"");
    backup(&store).unwrap();
    assert!(sim.read_all(&theirs).is_none());
}

#[test]
fn what_is_in_doubt_stays_so_in_a_restore() {
    let sim = SimVfs::new(1);
    let (store, mut model) = source(&sim);
    let mut transaction = store.begin(IsolationLevel::Serializable).unwrap();
    let written = node(&mut Rng::new(4), 700);
    transaction.put(written.clone()).unwrap();
    let number = transaction.id();
    transaction.prepare().unwrap();
    backup(&store).unwrap();
    drop((transaction, store));
    let (again, _) = restore(&sim, "latest", AGAIN).unwrap();
    assert_holds(&again, &model);
    let manager = again.consistency_manager();
    assert_eq!(
        manager.in_doubt().unwrap().iter().map(|known| known.transaction).collect::<Vec<_>>(),
        [number]
    );
    manager.commit_transaction(number).unwrap();
    model.insert(700, written);
    assert_holds(&again, &model);
}

#[test]
fn backups_are_made_while_others_write_flush_and_merge() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions { dimension: Some(sample::DIMENSION), ..OpenOptions::default() };
    let store = PersistentVectorStore::open(folder.path().join("s"), options).unwrap();
    store.configure(|settings| settings.merge_fanout = 2).unwrap();
    let (rounds, backups) = (40, 8);
    // Each commit writes the same number to both nodes.
    let write = |rng: &mut Rng, round: u32| {
        let pair = [1, 2].map(|id| CodeNode { start_line: Some(round + 1), end_line: None, ..node(rng, id) });
        store.put_batch(&pair).unwrap();
    };
    write(&mut Rng::new(0), 0);
    let made: Vec<BackupReport> = thread::scope(|scope| {
        scope.spawn(|| {
            let mut rng = Rng::new(1);
            for round in 1..rounds {
                write(&mut rng, round);
                store.put_batch(&nodes(&mut rng, 10..30)).unwrap();
                store.flush().unwrap();
                if round % 5 == 0 {
                    store.merge().unwrap();
                }
            }
        });
        (0..backups).map(|_| store.create_backup_with(&BackupOptions::default()).unwrap()).collect()
    });
    assert!(store.verify().unwrap().is_clean());
    for report in made {
        let path = folder.path().join(format!("again-{}", report.backup_id));
        let (again, _) =
            PersistentVectorStore::restore(store.backups(), &report.backup_id, path, OpenOptions::default())
                .unwrap();
        let pair = [1, 2].map(|id| again.get(id).unwrap().unwrap().start_line);
        assert_eq!(pair[0], pair[1], "a commit is there in part");
        assert_eq!(again.stats().unwrap().seqno, report.seqno);
        assert!(again.verify().unwrap().is_clean());
    }
}
