//! Objects in a folder: on a simulated disk that loses what is not synced, and on a real one.

use std::sync::Mutex;
use std::thread;

use codegraph_vector_base::SystemRandom;
use codegraph_vector_base::vfs::RealVfs;
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Op, Rng, SeededRandom, SimVfs};

use super::*;
use crate::get_all;

fn target(sim: &SimVfs) -> LocalTarget {
    LocalTarget::new("/backups", Arc::new(sim.clone()), Arc::new(SeededRandom::new(1)))
}

fn put(target: &LocalTarget, name: &str, content: &[u8], how: Put) -> Result<Written> {
    target.put(name, &content.to_vec(), how)
}

fn names(target: &LocalTarget, folder: &str) -> Vec<String> {
    target.list(folder).unwrap().objects.into_iter().map(|object| object.name).collect()
}

#[test]
fn what_was_put_is_there_and_durable() {
    let sim = SimVfs::new(1);
    let first = target(&sim);
    assert_eq!((names(&first, ""), first.info("a/b").unwrap()), (vec![], None));
    assert_eq!(put(&first, "a/b", b"one", Put::Create).unwrap(), Written::Created);
    assert_eq!(put(&first, "a/c/d", b"", Put::Create).unwrap(), Written::Created);
    assert_eq!(put(&first, "e", b"two", Put::Replace).unwrap(), Written::Created);
    let after = target(&sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced));
    assert_eq!(
        (names(&after, ""), names(&after, "a/"), names(&after, "a/c/")),
        (vec!["e".into()], vec!["a/b".into()], vec!["a/c/d".into()])
    );
    assert_eq!(
        (after.list("").unwrap().folders, after.list("a/").unwrap().folders),
        (vec!["a/".to_owned()], vec!["a/c/".to_owned()])
    );
    assert_eq!(get_all(&after, "a/b", 3).unwrap(), b"one");
    assert_eq!(get_all(&after, "a/b", 2).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!((after.get("a/b", 1..9).unwrap(), after.get("a/b", 9..12).unwrap()), (b"ne".to_vec(), vec![]));
    assert_eq!(after.info("e").unwrap(), Some(ObjectInfo { name: "e".to_owned(), bytes: 3 }));
    after.delete("e").unwrap();
    after.delete("e").unwrap();
    assert_eq!(after.get("e", 0..1).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_name_is_given_once_and_the_same_content_is_no_conflict() {
    let target = target(&SimVfs::new(1));
    assert_eq!(put(&target, "a", b"one", Put::Create).unwrap(), Written::Created);
    assert_eq!(put(&target, "a", b"one", Put::Create).unwrap(), Written::Created);
    for other in [&b"two"[..], b"on", b"ones"] {
        assert_eq!(put(&target, "a", other, Put::Create).unwrap(), Written::Existed);
    }
    assert_eq!(get_all(&target, "a", 9).unwrap(), b"one");
    assert_eq!(put(&target, "a", b"two", Put::Replace).unwrap(), Written::Created);
    assert_eq!(
        (get_all(&target, "a", 9).unwrap(), names(&target, "")),
        (b"two".to_vec(), vec!["a".to_owned()])
    );
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let target = target(&SimVfs::new(1));
    for name in ["", "/a", "a/", "a//b", "..", "a/../b", ".", "a b", "a\\b", "ä", "a.tmp", "a.tmp/b"] {
        assert_eq!(
            put(&target, name, b"x", Put::Create).unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{name}"
        );
        assert!(target.get(name, 0..1).is_err() && target.delete(name).is_err(), "{name}");
    }
    assert!(target.list("../").is_err());
}

#[test]
fn a_put_that_is_cut_short_anywhere_leaves_the_object_whole_or_none_and_may_be_done_again() {
    for how in [Put::Create, Put::Replace] {
        let sim = SimVfs::new(7);
        let before = target(&sim);
        put(&before, "a/old", b"old", Put::Create).unwrap();
        let images: Arc<Mutex<Vec<SimVfs>>> = Arc::default();
        let keep = images.clone();
        sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
            if call.op.mutates() {
                let mut images = keep.lock().unwrap();
                let mut rng = Rng::new(images.len() as u64);
                images.extend(CrashStyle::ALL.map(|style| sim.crash(&mut rng, style)));
                images.push(sim.kill());
            }
            Action::Proceed
        }));
        put(&before, "a/new", b"new", how).unwrap();
        sim.clear_observer();
        let images = std::mem::take(&mut *images.lock().unwrap());
        assert!(images.len() >= 5 * 5, "{}", images.len());
        for image in images {
            let after = target(&image);
            if after.info("a/new").unwrap().is_some() {
                assert_eq!(get_all(&after, "a/new", 9).unwrap(), b"new");
            }
            assert_eq!(get_all(&after, "a/old", 9).unwrap(), b"old");
            assert!(names(&after, "a/").len() <= 2, "what is not finished is not listed");
            after.sweep("a/").unwrap();
            assert_eq!(put(&after, "a/new", b"new", how).unwrap(), Written::Created);
            let again = target(&image.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced));
            assert_eq!((names(&again, "a/"), image.paths().len()), (vec!["a/new".into(), "a/old".into()], 2));
        }
    }
}

#[test]
fn of_many_creators_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::new(folder.path().join("t"), Arc::new(RealVfs), Arc::new(SystemRandom));
    for round in 0..20 {
        let name = format!("{round}/n");
        let won: Vec<bool> = thread::scope(|scope| {
            let put = |who: u8| put(&target, &name, &[who; 1000], Put::Create).unwrap() == Written::Created;
            let threads: Vec<_> = (0..8).map(|who| scope.spawn(move || put(who))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winner = won.iter().position(|won| *won).unwrap();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
        assert_eq!(get_all(&target, &name, 1000).unwrap(), [winner as u8; 1000]);
    }
    assert_eq!(target.list("").unwrap().folders.len(), 20);
}

#[test]
fn where_there_are_no_links_a_name_is_given_once_too() {
    let sim = SimVfs::new(1);
    sim.set_observer(Arc::new(|_: &SimVfs, call: &Call| match call.op {
        Op::Link => Action::Fail(Fault::Exdev),
        _ => Action::Proceed,
    }));
    let target = target(&sim);
    assert_eq!(put(&target, "a/b", b"one", Put::Create).unwrap(), Written::Created);
    assert_eq!(put(&target, "a/b", b"two", Put::Create).unwrap(), Written::Existed);
    assert_eq!(
        (get_all(&target, "a/b", 9).unwrap(), names(&target, "a/")),
        (b"one".to_vec(), vec!["a/b".to_owned()])
    );
    sim.clear_observer();
}
