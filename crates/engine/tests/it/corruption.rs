//! Damage to each byte of a small store, one at a time: right data, or an error naming file and offset.
//!
//! Every byte of every file is flipped twice (all of its bits, and one of them), and every file is cut at every
//! length, but for two places where one byte is like its neighbours: the zeros that pad the header page of a log
//! file, and the zeros written ahead of the log. Of those, the 64 bytes next to anything else are all taken, and
//! every 97th byte of the rest.
//!
//! Half of the cases open the store for writing, half for reading. `corruption_examine` is the judge of each.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use codegraph_vector::{NodeId, OpenOptions, PersistentVectorStore};
use codegraph_vector_base::vfs::{OpenMode, RealVfs, Vfs};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Op, Rng, SimVfs};
use parking_lot::Mutex;

use crate::corruption_examine::{Case, Change, Truth, examine};
use crate::sample::{
    self, Answer, Model, ROOT, assert_holds, delete, nodes, open_undamaged, put, reads, reopen,
};

/// Ids to ask for: those of all rows that there ever were, and one that never was.
fn ids() -> Vec<NodeId> {
    (0..=40).collect()
}

/// Two segments, deaths in both of the ways that they come about, two log files, commits that are in the log alone.
fn build(sim: &SimVfs) -> (PersistentVectorStore, Model) {
    let settings = codegraph_vector::Settings { max_wal_file_bytes: 4 << 10, ..sample::settings() };
    let options = OpenOptions { settings: Some(settings), ..sample::options(sim) };
    let store = PersistentVectorStore::open(ROOT, options).unwrap();
    let (mut model, rng) = (Model::new(), &mut Rng::new(1));
    put(&store, &mut model, &nodes(rng, 0..16)).unwrap();
    store.flush().unwrap();
    put(&store, &mut model, &nodes(rng, 14..26)).unwrap();
    delete(&store, &mut model, &[3]).unwrap();
    store.flush().unwrap();
    put(&store, &mut model, &nodes(rng, 24..30)).unwrap();
    delete(&store, &mut model, &[5, 25]).unwrap();
    for _ in 0..4 {
        put(&store, &mut model, &nodes(rng, 28..34)).unwrap();
    }
    assert_holds(&store, &model);
    (store, model)
}

fn truth(sim: &SimVfs) -> Truth {
    let copy = sim.kill();
    let answers: Vec<Answer> =
        reads(&reopen(&copy).unwrap(), &ids()).into_iter().map(Result::unwrap).collect();
    Truth { answers, ids: ids() }
}

fn closed_store() -> (SimVfs, Truth) {
    let sim = SimVfs::new(1);
    let (store, _) = build(&sim);
    let stats = store.stats().unwrap();
    assert!(stats.segments == 2 && stats.wal_files >= 2 && stats.dead_rows >= 4, "{stats:?}");
    store.close().unwrap();
    drop(store);
    let has =
        |ending: &str| sim.paths().iter().filter(|path| path.to_string_lossy().contains(ending)).count();
    assert!(has("MANIFEST-") == 2 && has(".seg") == 2 && has(".dead") >= 1 && has(".wal") >= 2);
    let truth = truth(&sim);
    (sim, truth)
}

/// The store when its last commit is written and about to be synced; what it holds with and without that one.
fn killed_store(crashed: bool) -> (SimVfs, Vec<Truth>) {
    let sim = SimVfs::new(1);
    let (store, mut model) = build(&sim);
    let without = truth(&sim);
    let caught = Arc::new(Mutex::new(None));
    let catch = caught.clone();
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op == Op::SyncData {
            let copy = if crashed { sim.crash(&mut Rng::new(1), CrashStyle::KeepAll) } else { sim.kill() };
            catch.lock().get_or_insert(copy);
        }
        Action::Proceed
    }));
    put(&store, &mut model, &nodes(&mut Rng::new(2), 33..37)).unwrap();
    sim.clear_observer();
    let caught = caught.lock().take().unwrap();
    let with = truth(&caught);
    (caught, vec![with, without])
}

/// The bytes of a file that are worth damaging.
fn places(path: &Path, bytes: &[u8]) -> Vec<u64> {
    const NEAR: usize = 64;
    const STRIDE: usize = 97;
    let is_log = path.extension().is_some_and(|ending| ending == "wal");
    let mut worth = vec![!is_log; bytes.len()];
    for (at, _) in bytes.iter().enumerate().filter(|(at, byte)| **byte != 0 || *at + 1 == bytes.len()) {
        worth[at.saturating_sub(NEAR)..(at + NEAR).min(bytes.len())].fill(true);
    }
    (0..bytes.len()).filter(|at| worth[*at] || at % STRIDE == 0).map(|at| at as u64).collect()
}

/// Every damage to the store on `sim`.
fn all_cases(sim: &SimVfs) -> Vec<Case> {
    let mut rng = Rng::new(3);
    let mut cases = Vec::new();
    for path in sim.paths() {
        let bytes = sim.read_all(&path).unwrap();
        for at in places(&path, &bytes) {
            let bit = 1 << rng.below(8);
            for change in
                [Change::Flip { at, mask: 0xFF }, Change::Flip { at, mask: bit }, Change::Cut { len: at }]
            {
                let (read_only, refuse) = (rng.chance(0.5), rng.chance(0.3));
                cases.push(Case { path: path.clone(), change, read_only, refuse });
            }
        }
    }
    cases
}

/// Examines all cases on two threads.
fn examine_all(sim: &SimVfs, truths: &[Truth], cases: &[Case]) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    examine(sim, truths, case);
                }
            });
        }
    });
}

#[test]
fn a_closed_store_with_one_damaged_byte_is_right_or_says_where() {
    let (sim, truth) = closed_store();
    let cases = all_cases(&sim);
    assert!(cases.len() > 20_000, "{} cases", cases.len());
    examine_all(&sim, &[truth], &cases);
}

#[test]
fn of_a_killed_store_only_the_last_group_may_be_cut() {
    for crashed in [false, true] {
        let (sim, truths) = killed_store(crashed);
        let cases = all_cases(&sim);
        // What is not the log was examined above, and is the same files.
        let of_log = |case: &Case| case.path.extension().is_some_and(|ending| ending == "wal");
        let (log, rest): (Vec<_>, Vec<_>) = cases.into_iter().partition(of_log);
        // After a power cut the log is judged the same way, but for the note that counts no more.
        let log = log.into_iter().step_by(if crashed { 5 } else { 1 });
        let sampled = rest.into_iter().step_by(7);
        examine_all(&sim, &truths, &log.chain(sampled).collect::<Vec<_>>());
    }
}

#[test]
fn files_that_only_the_manifest_before_needs_are_verified_too() {
    let sim = SimVfs::new(1);
    let (store, model) = build(&sim);
    let before: Vec<PathBuf> = sim.paths();
    // A moment after the merge, a second manifest lets go of what was merged; killed between the two, both are needed.
    let (manifests, killed) = (AtomicUsize::new(0), Arc::new(Mutex::new(None)));
    let keep = killed.clone();
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op == Op::Rename
            && call.path.to_string_lossy().contains("MANIFEST-")
            && manifests.fetch_add(1, Ordering::Relaxed) == 1
        {
            *keep.lock() = Some(sim.kill());
        }
        Action::Proceed
    }));
    store.merge().unwrap();
    sim.clear_observer();
    let sim = killed.lock().take().expect("a second manifest");
    let of_segments = |path: &&PathBuf| path.starts_with(Path::new(ROOT).join("segments"));
    let insurance: Vec<_> =
        before.iter().filter(of_segments).filter(|path| sim.paths().contains(path)).collect();
    assert!(insurance.len() >= 3, "{insurance:?}");
    for path in insurance {
        let damaged = sim.kill();
        damaged.flip_bit(path, 130, 2);
        let store = reopen(&damaged).unwrap();
        assert!(sample::contents(&store).unwrap() == model);
        let report = store.verify().unwrap();
        assert!(report.bad_blocks.iter().any(|bad| bad.path == *path), "{}: {report:?}", path.display());
    }
}

#[test]
fn a_missing_file_is_named() {
    let (sim, truth) = closed_store();
    for path in sim.paths() {
        let damaged = sim.kill();
        damaged.remove_file(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        match open_undamaged(&damaged, false) {
            Ok(store) => {
                // The older manifest, the lock, and a log file that only the older manifest needs.
                let found: Vec<Answer> = reads(&store, &truth.ids).into_iter().map(Result::unwrap).collect();
                assert!(found == truth.answers, "without {name}");
                assert!(!name.ends_with(".seg") && !name.ends_with(".dead"), "{name} was not missed");
            }
            Err(error) => {
                assert_eq!(error.kind(), codegraph_vector::ErrorKind::Corrupt, "{name}: {error}");
                assert!(error.path().is_some_and(|path| path.starts_with(ROOT)), "{name}: {error}");
                let of_segment = name.ends_with(".seg") || name.ends_with(".dead");
                let served = reopen(&damaged).map(|store| store.quarantined());
                assert_eq!(
                    served.is_ok_and(|bad| bad.iter().any(|bad| bad.path == path)),
                    of_segment,
                    "{name}"
                );
            }
        }
    }
}

/// Copies the store on `sim` into a folder of the real disk.
fn copy_to(sim: &SimVfs, folder: &Path) {
    for path in sim.paths() {
        let target = folder.join(path.strip_prefix(ROOT).unwrap());
        RealVfs.create_dir_all(target.parent().unwrap()).unwrap();
        let file = RealVfs.open(&target, OpenMode::Create).unwrap();
        file.write_at(&sim.read_all(&path).unwrap(), 0).unwrap();
    }
}

#[test]
fn on_a_real_disk_it_is_the_same() {
    let (sim, truth) = closed_store();
    let cases = all_cases(&sim);
    let folder = tempfile::tempdir().unwrap();
    for (number, case) in cases.iter().step_by(cases.len() / 150).enumerate() {
        let damaged = sim.kill();
        case.damage(&damaged);
        let root = folder.path().join(number.to_string());
        copy_to(&damaged, &root);
        let (read_only, refuse_damaged) = (case.read_only, true);
        let options = OpenOptions { read_only, refuse_damaged, ..OpenOptions::default() };
        let place =
            |path: Option<&Path>| path.and_then(|path| path.strip_prefix(&root).ok()).map(Path::to_owned);
        let named = case.path.strip_prefix(ROOT).unwrap();
        let check = |error: codegraph_vector::Error| {
            assert_eq!(error.kind(), codegraph_vector::ErrorKind::Corrupt, "{case:?}: {error}");
            assert_eq!(place(error.path()).as_deref(), Some(named), "{case:?}: {error}");
        };
        match PersistentVectorStore::open(&root, options) {
            Err(error) => check(error),
            Ok(store) => {
                for (answer, expected) in reads(&store, &truth.ids).into_iter().zip(&truth.answers) {
                    match answer {
                        Ok(Answer::Degraded(_)) => assert_eq!(store.quarantined().len(), 1, "{case:?}"),
                        Ok(answer) => assert_eq!(answer, *expected, "{case:?}"),
                        Err(error) => check(error),
                    }
                }
            }
        }
    }
}
