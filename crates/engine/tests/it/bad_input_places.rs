//! Places where a store cannot be, or not be written: a full disk, a file, someone else's folder, a newer
//! format, a second writer, a read-only file system.

use std::path::{Path, PathBuf};

use codegraph_vector::{ErrorKind, OpenOptions, PersistentVectorStore, Settings, StoreStatistics};
use codegraph_vector_base::crc32c;
use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_testkit::{CrashStyle, Rng, SimVfs};

use crate::sample::{
    self, DIMENSION, Model, ROOT, assert_holds, assert_refused, nodes, open, open_read_only, put,
};

/// Two segments, deaths, and commits that are in the log alone.
fn some_store(sim: &SimVfs, settings: Settings) -> (PersistentVectorStore, Model) {
    let options = OpenOptions { settings: Some(settings), ..sample::options(sim) };
    let store = PersistentVectorStore::open(ROOT, options).unwrap();
    let (mut model, rng) = (Model::new(), &mut Rng::new(1));
    put(&store, &mut model, &nodes(rng, 0..40)).unwrap();
    store.flush().unwrap();
    put(&store, &mut model, &nodes(rng, 30..60)).unwrap();
    store.flush().unwrap();
    put(&store, &mut model, &nodes(rng, 50..70)).unwrap();
    (store, model)
}

fn leftovers(sim: &SimVfs) -> Vec<PathBuf> {
    sim.paths().into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "tmp")).collect()
}

/// Reopened, killed or crashed, nothing that was acknowledged is missing.
fn assert_lasts(sim: &SimVfs, store: PersistentVectorStore, model: &Model) {
    for style in CrashStyle::ALL {
        assert_holds(&open(&sim.crash(&mut Rng::new(5), style)).unwrap(), model);
    }
    store.close().unwrap();
    drop(store);
    assert_holds(&open(sim).unwrap(), model);
}

#[test]
fn a_full_disk_fails_the_write_and_nothing_else() {
    let sim = SimVfs::new(1);
    let (store, mut model) = some_store(&sim, sample::settings());
    sim.set_capacity(Some(sim.used()));
    let rng = &mut Rng::new(2);
    let mut accepted = 0;
    let refused = loop {
        match put(&store, &mut model, &nodes(rng, 100 + accepted..110 + accepted)) {
            Ok(()) => accepted += 10,
            Err(error) => break error,
        }
        assert!(accepted < 10_000, "the disk never fills up");
    };
    assert_refused(Err::<(), _>(refused), ErrorKind::StorageFull, &["/store/wal/"]);
    for _ in 0..3 {
        let again = store.put_batch(&nodes(rng, 5000..5200));
        assert_refused(again, ErrorKind::StorageFull, &[]);
    }
    assert_holds(&store, &model);
    assert_holds(&open(&sim.kill()).unwrap_or_else(|_| open_read_only(&sim).unwrap()), &model);
    sim.set_capacity(None);
    put(&store, &mut model, &nodes(rng, 5000..5200)).unwrap();
    assert_holds(&store, &model);
    assert_lasts(&sim, store, &model);
}

/// Runs `work` with less and less missing until it succeeds; each failure must be clean.
fn fill_up_during(work: impl Fn(&PersistentVectorStore) -> codegraph_vector::Result<()>, settings: Settings) {
    let mut failures = 0;
    for spare_pages in 0.. {
        let sim = SimVfs::new(1);
        let (store, mut model) = some_store(&sim, settings.clone());
        sim.set_capacity(Some(sim.used() + spare_pages * 4096));
        let outcome = work(&store);
        assert_holds(&store, &model);
        let Err(error) = outcome else { break };
        failures += 1;
        assert_refused(Err::<(), _>(error), ErrorKind::StorageFull, &[ROOT]);
        assert_eq!(leftovers(&sim), Vec::<PathBuf>::new(), "what was begun is taken away");
        sim.set_capacity(None);
        work(&store).unwrap();
        put(&store, &mut model, &nodes(&mut Rng::new(3), 60..80)).unwrap();
        assert_holds(&store, &model);
        assert_lasts(&sim, store, &model);
    }
    assert!(failures >= 2, "the disk was full only {failures} times");
}

#[test]
fn a_disk_that_fills_up_during_a_flush() {
    fill_up_during(PersistentVectorStore::flush, sample::settings());
}

#[test]
fn a_disk_that_fills_up_during_a_merge() {
    fill_up_during(|store| store.merge().map(drop), sample::settings());
}

#[test]
fn a_disk_that_fills_up_during_closing_and_reopening() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim, sample::settings());
    sim.set_capacity(Some(0));
    assert_refused(store.close(), ErrorKind::StorageFull, &[ROOT]);
    drop(store);
    assert_refused(open(&sim), ErrorKind::StorageFull, &[ROOT]);
    assert_holds(&open_read_only(&sim).unwrap(), &model);
    sim.set_capacity(None);
    assert_holds(&open(&sim).unwrap(), &model);
}

#[test]
fn a_disk_that_fills_up_when_the_log_goes_on_in_another_file() {
    let settings = Settings { max_wal_file_bytes: 4 << 10, ..sample::settings() };
    let sim = SimVfs::new(1);
    let (store, mut model) = some_store(&sim, settings);
    let rng = &mut Rng::new(4);
    let files = |store: &PersistentVectorStore| store.stats().unwrap().wal_files;
    let mut refused = 0;
    for round in 0..40_u128 {
        let spare = if round % 4 == 3 { u64::MAX } else { sim.used() + (round as u64 % 4) * 4096 };
        sim.set_capacity(Some(spare));
        match put(&store, &mut model, &nodes(rng, 10 * round..10 * round + 10)) {
            Ok(()) => {}
            Err(error) => {
                refused += 1;
                assert_refused(Err::<(), _>(error), ErrorKind::StorageFull, &["/store/wal/"]);
                assert_eq!(leftovers(&sim), Vec::<PathBuf>::new());
            }
        }
        assert_holds(&store, &model);
    }
    assert!(refused >= 5 && files(&store) >= 5, "refused {refused} times, {} files", files(&store));
    sim.set_capacity(None);
    assert_lasts(&sim, store, &model);
}

#[test]
fn a_full_disk_in_the_background_is_told_by_the_statistics_and_gets_over() {
    let settings = Settings { memtable_bytes: 64 << 10, background: true, ..Settings::default() };
    let sim = SimVfs::new(1);
    let (store, mut model) = some_store(&sim, settings);
    let rng = &mut Rng::new(6);
    sim.set_capacity(Some(sim.used()));
    let wait_for = |what: &str, reached: &dyn Fn(&StoreStatistics) -> bool| {
        for _ in 0..500 {
            if reached(&store.stats().unwrap()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{what}: {:?}", store.stats().unwrap());
    };
    for start in (1000..).step_by(20) {
        if put(&store, &mut model, &nodes(rng, start..start + 20)).is_err() {
            break;
        }
    }
    wait_for("the failure shows", &|stats| stats.background_error.is_some());
    assert_holds(&store, &model);
    sim.set_capacity(None);
    // The next writes set the flush going again.
    for start in (5000..7000).step_by(20) {
        put(&store, &mut model, &nodes(rng, start..start + 20)).unwrap();
    }
    wait_for("the failure is over", &|stats| stats.background_error.is_none() && stats.flushes > 2);
    assert_holds(&store, &model);
    store.close().unwrap();
    drop(store);
    assert_holds(&open(&sim).unwrap(), &model);
}

#[test]
fn a_file_or_a_foreign_folder_is_not_made_a_store() {
    for read_only in [false, true] {
        let sim = SimVfs::new(1);
        sim.write_raw("/a-file", b"text");
        sim.write_raw("/photos/cat.jpg", b"cat");
        sim.write_raw("/photos/MANIFEST-1", b"of something else");
        let options = OpenOptions { read_only, ..sample::options(&sim) };
        let (kind, pieces) = match read_only {
            false => (ErrorKind::InvalidInput, ["folder", "/a-file"]),
            true => (ErrorKind::NotFound, ["not a store", "/a-file"]),
        };
        assert_refused(PersistentVectorStore::open("/a-file", options.clone()), kind, &pieces);
        let (kind, pieces) = match read_only {
            false => (ErrorKind::InvalidInput, ["not a store", "MANIFEST-1"]),
            true => (ErrorKind::NotFound, ["not a store", "/photos"]),
        };
        assert_refused(PersistentVectorStore::open("/photos", options.clone()), kind, &pieces);
        let missing = PersistentVectorStore::open("/nowhere", OpenOptions { must_exist: true, ..options });
        assert_refused(missing, ErrorKind::NotFound, &["/nowhere", "store"]);
        let expected = ["/a-file", "/photos/MANIFEST-1", "/photos/cat.jpg"].map(PathBuf::from);
        assert_eq!(sim.paths(), expected, "nothing was left there");
    }
}

#[test]
fn a_new_store_needs_a_dimension_that_can_be() {
    let sim = SimVfs::new(1);
    for (dimension, piece) in [(None, "needs the dimension"), (Some(0), "is 0"), (Some(65_537), "65537")] {
        let options = OpenOptions { dimension, ..sample::options(&sim) };
        assert_refused(PersistentVectorStore::open(ROOT, options), ErrorKind::InvalidInput, &[piece]);
    }
    // And the attempts do not stand in the way of the right one.
    assert_holds(&open(&sim).unwrap(), &Model::new());
}

/// Sets the format version of a file one higher, and its header's checksum right.
fn make_newer(sim: &SimVfs, path: &Path, header_bytes: usize) {
    let mut bytes = sim.read_all(path).unwrap();
    bytes[8] += 1;
    let crc = crc32c(&bytes[..header_bytes - 4]);
    bytes[header_bytes - 4..header_bytes].copy_from_slice(&crc.to_le_bytes());
    sim.write_raw(path, &bytes);
}

#[test]
fn files_of_a_newer_format_are_refused_and_left_alone() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim, sample::settings());
    store.close().unwrap();
    drop(store);
    let last = |ending: &str| {
        let fits = |path: &&PathBuf| path.to_string_lossy().contains(ending);
        sim.paths().iter().rfind(fits).unwrap_or_else(|| panic!("no {ending}")).clone()
    };
    for (part, header_bytes) in [("MANIFEST-", 128), (".seg", 128), (".dead", 128), (".wal", 4096)] {
        let newer = sim.kill();
        let path = last(part);
        make_newer(&newer, &path, header_bytes);
        let before: Vec<_> = newer.paths().iter().map(|path| newer.read_all(path)).collect();
        for opened in [open(&newer), open_read_only(&newer)] {
            assert_refused(opened, ErrorKind::Unsupported, &["newer", path.to_str().unwrap()]);
        }
        let after: Vec<_> = newer.paths().iter().map(|path| newer.read_all(path)).collect();
        assert!(before == after, "a refused store was changed");
    }
    assert_holds(&open(&sim).unwrap(), &model);
}

#[test]
fn a_second_writer_is_told_to_read_instead() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim, sample::settings());
    assert_refused(open(&sim), ErrorKind::Busy, &["read-only", ROOT]);
    let snapshot = store.snapshot().unwrap();
    drop(store);
    // Whoever still reads through this process's store keeps it open.
    assert_refused(open(&sim), ErrorKind::Busy, &[]);
    drop(snapshot);
    assert_holds(&open(&sim).unwrap(), &model);
}

#[test]
fn a_read_only_file_system_can_be_read() {
    for clean in [true, false] {
        let sim = SimVfs::new(1);
        let (store, model) = some_store(&sim, sample::settings());
        let sim = if clean {
            store.close().unwrap();
            drop(store);
            sim
        } else {
            sim.crash(&mut Rng::new(3), CrashStyle::KeepAll)
        };
        sim.set_read_only(true);
        assert_refused(open(&sim), ErrorKind::ReadOnly, &["read-only", ROOT]);
        let reader = open_read_only(&sim).unwrap();
        reader.refresh().unwrap();
        assert_holds(&reader, &model);
        let elsewhere = PersistentVectorStore::open("/other", sample::options(&sim));
        assert_refused(elsewhere, ErrorKind::ReadOnly, &["/other"]);
        drop(reader);
        sim.set_read_only(false);
        assert_holds(&open(&sim).unwrap(), &model);
    }
}

#[test]
fn a_file_system_that_turns_read_only_stops_writes_and_no_reads() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim, sample::settings());
    sim.set_read_only(true);
    let refused = store.put(sample::node(&mut Rng::new(8), 900));
    assert!(refused.is_err());
    assert_refused(store.flush(), ErrorKind::ReadOnly, &[]);
    assert_holds(&store, &model);
    drop(store);
    sim.set_read_only(false);
    let store = open(&sim).unwrap();
    assert_eq!(sim.list(Path::new(ROOT)).unwrap().iter().filter(|name| name.ends_with(".tmp")).count(), 0);
    assert_holds(&store, &model);
    assert_eq!(store.storage_header().dimension, DIMENSION);
}
