//! Calls that fail, disks that are full, and disks that lie.

use std::path::Path;
use std::sync::Arc;

use codegraph_vector_base::vfs::{OpenMode, Vfs, read_exact_at, read_file};
use codegraph_vector_base::{Error, ErrorKind};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Lies, Op, Rng, SimVfs};
use parking_lot::Mutex;

use super::{create, create_durable};

/// Lets the next calls of kind `op` fail.
fn fail(sim: &SimVfs, op: Op, fault: Fault) {
    sim.set_observer(Arc::new(
        move |_: &SimVfs, call: &Call| {
            if call.op == op { Action::Fail(fault) } else { Action::Proceed }
        },
    ));
}

fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn lose(sim: &SimVfs) -> SimVfs {
    sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced)
}

#[test]
fn every_call_is_counted_and_shown() {
    let sim = SimVfs::new(1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        log.lock().push(call.clone());
        Action::Proceed
    }));
    let (root, a, b) = (Path::new("/"), Path::new("/a"), Path::new("/b"));
    let file = sim.open(a, OpenMode::Create).unwrap();
    file.write_at(b"abc", 5).unwrap();
    file.allocate(0, 10).unwrap();
    file.set_len(9).unwrap();
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    file.read_at(&mut [0; 4], 1).unwrap();
    file.len().unwrap();
    sim.rename(a, b).unwrap();
    sim.sync_dir(root).unwrap();
    sim.list(root).unwrap();
    sim.exists(b).unwrap();
    sim.try_lock(a).unwrap();
    sim.open(b, OpenMode::Read).unwrap().map().unwrap();
    sim.remove_file(b).unwrap();
    sim.create_dir_all(b).unwrap();
    sim.clear_observer();
    sim.exists(a).unwrap();
    let seen = seen.lock();
    let ops: Vec<Op> = seen.iter().map(|call| call.op).collect();
    let (files, names) = (
        [Op::Create, Op::Write, Op::Allocate, Op::SetLen, Op::SyncData, Op::SyncAll, Op::Read, Op::Len],
        [
            Op::Rename,
            Op::SyncDir,
            Op::List,
            Op::Exists,
            Op::Lock,
            Op::Open,
            Op::Map,
            Op::Remove,
            Op::CreateDir,
        ],
    );
    assert_eq!(ops, [&files[..], &names[..]].concat());
    assert!(seen.iter().enumerate().all(|(index, call)| call.index == index as u64));
    assert_eq!(seen[1], Call { index: 1, op: Op::Write, path: "/a".into(), offset: 5, len: 3 });
    assert_eq!(seen[8].path, b);
    assert_eq!(sim.calls(), seen.len() as u64 + 1);
}

#[test]
fn an_observer_may_re_enter() {
    let sim = SimVfs::new(1);
    let depth = Mutex::new(0);
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op == Op::Write {
            *depth.lock() += 1;
            let nested = *depth.lock();
            if nested < 3 {
                create(sim, &format!("/nested{nested}"), b"x").sync_all().unwrap();
                assert_eq!(sim.kill().calls(), 0);
                sim.crash(&mut Rng::new(1), CrashStyle::Subset)
                    .open(Path::new("/q"), OpenMode::Create)
                    .unwrap();
            }
        }
        Action::Proceed
    }));
    create(&sim, "/a", b"content");
    assert_eq!(sim.paths().len(), 3);
}

#[test]
fn faults_look_like_those_of_the_system() {
    let sim = SimVfs::new(1);
    let file = create_durable(&sim, "/a", b"old");
    fail(&sim, Op::Write, Fault::Eio);
    assert_eq!(kind(file.write_at(b"new", 0)), Some(ErrorKind::Io));
    fail(&sim, Op::Write, Fault::Enospc);
    assert_eq!(kind(file.write_at(b"new", 0)), Some(ErrorKind::StorageFull));
    fail(&sim, Op::Read, Fault::ReadEio);
    assert_eq!(kind(read_file(&sim, Path::new("/a"))), Some(ErrorKind::Io));
    fail(&sim, Op::Len, Fault::Eio);
    assert_eq!(kind(read_exact_at(&*file, 0, 3)), Some(ErrorKind::Io), "a failed stat is no end of file");
    fail(&sim, Op::Open, Fault::Eio);
    assert_eq!(kind(sim.open(Path::new("/a"), OpenMode::Read)), Some(ErrorKind::Io));
    fail(&sim, Op::Rename, Fault::Eio);
    assert_eq!(kind(sim.rename(Path::new("/a"), Path::new("/b"))), Some(ErrorKind::Io));
    sim.clear_observer();
    assert_eq!(sim.read_all("/a").unwrap(), b"old", "none of them had an effect");
    assert_eq!(sim.paths(), [Path::new("/a")]);
}

#[test]
fn partial_faults_leave_a_part() {
    let sim = SimVfs::new(1);
    let file = create_durable(&sim, "/a", b"");
    fail(&sim, Op::Write, Fault::TornWrite(2));
    assert_eq!(kind(file.write_at(b"abcd", 0)), Some(ErrorKind::Io));
    assert_eq!(sim.read_all("/a").unwrap(), b"ab");
    fail(&sim, Op::Write, Fault::EnospcAfter(3));
    assert_eq!(kind(file.write_at(b"ABCD", 0)), Some(ErrorKind::StorageFull));
    assert_eq!(sim.read_all("/a").unwrap(), b"ABC");
    fail(&sim, Op::Allocate, Fault::EnospcAfter(7));
    assert_eq!(kind(file.allocate(0, 100)), Some(ErrorKind::StorageFull));
    assert_eq!(sim.read_all("/a").unwrap(), b"ABC\0\0\0\0");
}

#[test]
fn a_failed_sync_forgets_what_a_later_sync_will_not_write() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let sim = SimVfs::new(seed);
        let file = create_durable(&sim, "/a", b"....");
        file.write_at(b"ab", 0).unwrap();
        fail(&sim, Op::SyncData, Fault::SyncFails);
        assert_eq!(kind(file.sync_data()), Some(ErrorKind::Io));
        sim.clear_observer();
        file.write_at(b"cd", 2).unwrap();
        file.sync_data().unwrap();
        assert_eq!(sim.read_all("/a").unwrap(), b"abcd", "reads go on showing it");
        assert_eq!(sim.kill().read_all("/a").unwrap(), b"abcd");
        assert_eq!(
            lose(&sim).read_all("/a"),
            sim.crash(&mut Rng::new(1), CrashStyle::KeepAll).read_all("/a")
        );
        seen.insert(lose(&sim).read_all("/a").unwrap());
    }
    let expected = ["..cd", "a.cd", ".bcd", "abcd"].map(|text| text.as_bytes().to_vec());
    assert_eq!(seen, expected.into(), "what came after the failure is durable, what was before is luck");
}

#[test]
fn a_failed_folder_sync_forgets_names() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let sim = SimVfs::new(seed);
        create(&sim, "/a", b"");
        fail(&sim, Op::SyncDir, Fault::SyncFails);
        assert_eq!(kind(sim.sync_dir(Path::new("/"))), Some(ErrorKind::Io));
        sim.clear_observer();
        sim.sync_dir(Path::new("/")).unwrap();
        assert_eq!(sim.paths().len(), 1);
        seen.insert(lose(&sim).paths().len());
    }
    assert_eq!(seen, [0, 1].into());
}

#[test]
fn a_disk_that_lies_loses_what_was_synced() {
    let sim = SimVfs::new(1);
    sim.set_lies(Lies { ignore_file_sync: true, ignore_dir_sync: false });
    create_durable(&sim, "/a", b"content");
    assert_eq!(lose(&sim).read_all("/a").unwrap(), b"");
    sim.set_lies(Lies { ignore_file_sync: false, ignore_dir_sync: true });
    create_durable(&sim, "/b", b"content");
    assert!(lose(&sim).read_all("/b").is_none());
}

#[test]
fn a_full_disk_takes_what_fits_and_reservations_count() {
    let sim = SimVfs::new(1);
    let file = create(&sim, "/a", b"");
    sim.set_capacity(Some(3 * 4096));
    file.allocate(0, 2 * 4096).unwrap();
    assert_eq!(sim.used(), 2 * 4096);
    let other = create(&sim, "/b", &[1; 4096]);
    assert_eq!(kind(other.write_at(&[2; 5000], 4000)), Some(ErrorKind::StorageFull));
    assert_eq!(other.len().unwrap(), 4096, "the part that fits is written");
    assert_eq!(kind(file.allocate(0, 3 * 4096)), Some(ErrorKind::StorageFull));
    file.write_at(&[3; 2 * 4096], 0).unwrap();
    sim.remove_file(Path::new("/b")).unwrap();
    assert_eq!(kind(file.write_at(&[3; 4096], 2 * 4096)), Some(ErrorKind::StorageFull), "it is still open");
    drop(other);
    file.write_at(&[3; 4096], 2 * 4096).unwrap();
    file.set_len(0).unwrap();
    assert_eq!(sim.used(), 0);
}

#[test]
fn a_read_only_disk_changes_nothing() {
    let sim = SimVfs::new(1);
    let file = create_durable(&sim, "/a", b"content");
    sim.set_read_only(true);
    let (a, b) = (Path::new("/a"), Path::new("/b"));
    let results = [
        kind(sim.open(b, OpenMode::Create)),
        kind(sim.open(a, OpenMode::ReadWrite)),
        kind(file.write_at(b"x", 0)),
        kind(file.allocate(0, 100)),
        kind(file.set_len(0)),
        kind(sim.rename(a, b)),
        kind(sim.remove_file(a)),
        kind(sim.create_dir_all(b)),
        kind(sim.try_lock(b)),
    ];
    assert!(results.iter().all(|kind| *kind == Some(ErrorKind::ReadOnly)), "{results:?}");
    assert_eq!(read_file(&sim, a).unwrap(), b"content");
    sim.create_dir_all(Path::new("/")).unwrap();
    assert_eq!(sim.paths(), [a]);
    sim.set_read_only(false);
    file.write_at(b"x", 0).unwrap();
}

#[test]
#[should_panic(expected = "/a was written while mapped")]
fn writing_a_mapped_file_panics() {
    let sim = SimVfs::new(1);
    let file = create(&sim, "/tmp", b"content");
    sim.rename(Path::new("/tmp"), Path::new("/a")).unwrap();
    let _map = file.map().unwrap();
    let _ = sim.open(Path::new("/a"), OpenMode::ReadWrite).unwrap().write_at(b"x", 0);
}

#[test]
#[should_panic(expected = "/a was emptied while mapped")]
fn emptying_a_mapped_file_panics() {
    let sim = SimVfs::new(1);
    create(&sim, "/a", b"content").map().unwrap();
    let _ = sim.open(Path::new("/a"), OpenMode::Create);
}

#[test]
fn a_mapped_file_may_be_removed_and_replaced() {
    let sim = SimVfs::new(1);
    let map = create(&sim, "/a", b"content").map().unwrap();
    create(&sim, "/b", b"next");
    sim.rename(Path::new("/b"), Path::new("/a")).unwrap();
    sim.remove_file(Path::new("/a")).unwrap();
    create(&sim, "/a", b"another");
    assert_eq!(&*map, b"content");
}
