//! What a crash may take and what it must leave: each rule of the contract.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use codegraph_vector_base::vfs::{OpenMode, Vfs, publish};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Rng, SimVfs};
use parking_lot::Mutex;

use super::{create, create_durable};

/// What `path` may hold after a crash, over many crashes of the random kinds.
fn outcomes(sim: &SimVfs, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    let mut rng = Rng::new(1);
    (0..400).map(|_| crash(sim, &mut rng).read_all(path)).collect()
}

/// A crash of a random kind.
fn crash(sim: &SimVfs, rng: &mut Rng) -> SimVfs {
    let style = CrashStyle::random(rng);
    sim.crash(rng, style)
}

#[test]
fn synced_bytes_with_a_synced_name_survive() {
    let sim = SimVfs::new(1);
    let file = create_durable(&sim, "/a", b"kept");
    assert_eq!(outcomes(&sim, "/a"), [Some(b"kept".to_vec())].into());
    file.write_at(b"XXXX", 4).unwrap();
    assert!(outcomes(&sim, "/a").iter().flatten().all(|bytes| bytes.starts_with(b"kept")));
    file.sync_data().unwrap();
    assert_eq!(outcomes(&sim, "/a"), [Some(b"keptXXXX".to_vec())].into());
}

#[test]
fn unsynced_bytes_may_be_lost_kept_or_torn_at_any_byte() {
    let sim = SimVfs::new(1);
    let file = create_durable(&sim, "/a", b"........");
    file.write_at(b"abcdefgh", 0).unwrap();
    let seen = outcomes(&sim, "/a");
    for expected in ["........", "abcdefgh", "abc.....", ".....fgh", "...def.."] {
        assert!(seen.contains(&Some(expected.into())), "{expected} never seen");
    }
    for bytes in seen.iter().flatten() {
        let torn = bytes.iter().zip(b"abcdefgh").all(|(got, new)| got == new || *got == b'.');
        assert!(torn && bytes.len() == 8, "{bytes:?} was never written");
    }
}

#[test]
fn unsynced_writes_reach_the_disk_in_any_order() {
    let sim = SimVfs::new(1);
    let file = create_durable(&sim, "/a", b"..");
    file.write_at(b"1", 0).unwrap();
    file.write_at(b"2", 1).unwrap();
    let expected = ["..", "1.", ".2", "12"].map(|text| Some(text.as_bytes().to_vec()));
    assert_eq!(outcomes(&sim, "/a"), expected.into());
}

#[test]
fn large_writes_tear_at_sectors_too() {
    let sim = SimVfs::new(1);
    let file = create_durable(&sim, "/a", &[0; 4096]);
    file.write_at(&[1; 4096], 0).unwrap();
    let holes = |bytes: &Vec<u8>| {
        let sectors: Vec<bool> = bytes.chunks(512).map(|sector| sector == [1; 512]).collect();
        let whole = bytes.chunks(512).all(|sector| sector == [1; 512] || sector == [0; 512]);
        whole && sectors.windows(2).filter(|pair| pair[0] != pair[1]).count() > 2
    };
    assert!(outcomes(&sim, "/a").iter().flatten().any(holes));
}

#[test]
fn a_length_may_survive_without_its_bytes() {
    let sim = SimVfs::new(1);
    create_durable(&sim, "/a", b"").write_at(b"data", 0).unwrap();
    let seen = outcomes(&sim, "/a");
    assert!(seen.contains(&Some(b"".to_vec())));
    assert!(seen.contains(&Some(b"\0\0\0a".to_vec())), "{seen:?}");
    assert!(seen.iter().flatten().any(|bytes| bytes.len() == 4 && bytes.ends_with(b"\0")), "{seen:?}");
}

#[test]
fn emptying_by_create_is_a_change_like_others() {
    let sim = SimVfs::new(1);
    create_durable(&sim, "/a", b"old");
    let file = create(&sim, "/a", b"n");
    let seen = outcomes(&sim, "/a");
    for expected in ["old", "", "n", "nld"] {
        assert!(seen.contains(&Some(expected.into())), "{expected} never seen: {seen:?}");
    }
    file.sync_data().unwrap();
    assert_eq!(outcomes(&sim, "/a"), [Some(b"n".to_vec())].into());
}

#[test]
fn syncing_a_file_does_not_make_its_name_durable() {
    let sim = SimVfs::new(1);
    create(&sim, "/a", b"content").sync_all().unwrap();
    assert_eq!(outcomes(&sim, "/a"), [None, Some(b"content".to_vec())].into());
}

#[test]
fn syncing_a_name_does_not_make_the_content_durable() {
    let sim = SimVfs::new(1);
    create(&sim, "/a", b"content");
    sim.sync_dir(Path::new("/")).unwrap();
    let lost = sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced);
    assert_eq!(lost.read_all("/a"), Some(Vec::new()));
}

#[test]
fn a_rename_leaves_the_old_file_or_the_new() {
    let sim = SimVfs::new(1);
    create_durable(&sim, "/target", b"old");
    create(&sim, "/tmp", b"new").sync_all().unwrap();
    sim.rename(Path::new("/tmp"), Path::new("/target")).unwrap();
    let seen = outcomes(&sim, "/target");
    assert_eq!(seen, [Some(b"old".to_vec()), Some(b"new".to_vec())].into());
    sim.sync_dir(Path::new("/")).unwrap();
    assert_eq!(outcomes(&sim, "/target"), [Some(b"new".to_vec())].into());
    assert_eq!(outcomes(&sim, "/tmp"), [None].into());
}

#[test]
fn a_renamed_file_has_one_of_its_names_even_across_folders() {
    let sim = SimVfs::new(1);
    for folder in ["/one", "/two"] {
        sim.create_dir_all(Path::new(folder)).unwrap();
    }
    sim.sync_dir(Path::new("/")).unwrap();
    create_durable(&sim, "/one/a", b"content");
    sim.rename(Path::new("/one/a"), Path::new("/two/b")).unwrap();
    let mut rng = Rng::new(1);
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        seen.insert(crash(&sim, &mut rng).paths());
    }
    assert_eq!(seen, [vec!["/one/a".into()], vec!["/two/b".into()]].into());
    sim.sync_dir(Path::new("/two")).unwrap();
    let lost = sim.crash(&mut rng, CrashStyle::LoseUnsynced);
    assert_eq!(lost.paths(), [Path::new("/two/b")], "one of the two folders is enough");
}

#[test]
fn names_survive_independently_but_in_order() {
    let sim = SimVfs::new(1);
    create_durable(&sim, "/old", b"");
    create(&sim, "/new", b"");
    sim.remove_file(Path::new("/old")).unwrap();
    create(&sim, "/old", b"").sync_all().unwrap();
    let mut rng = Rng::new(1);
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        seen.insert(sim.crash(&mut rng, CrashStyle::Subset).paths());
    }
    let (old, new) = (Path::new("/old").to_owned(), Path::new("/new").to_owned());
    let all = [vec![], vec![old.clone()], vec![new.clone()], vec![new, old]];
    assert_eq!(seen, all.into());
}

#[test]
fn a_chain_of_renames_survives_up_to_a_point() {
    let sim = SimVfs::new(1);
    create_durable(&sim, "/a", b"new");
    create_durable(&sim, "/b", b"old");
    sim.rename(Path::new("/a"), Path::new("/b")).unwrap();
    sim.rename(Path::new("/b"), Path::new("/c")).unwrap();
    let mut rng = Rng::new(1);
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        let after = crash(&sim, &mut rng);
        seen.insert(["/a", "/b", "/c"].map(|path| after.read_all(path)));
    }
    let named = |names: [&str; 3]| names.map(|text| (!text.is_empty()).then(|| text.as_bytes().to_vec()));
    assert_eq!(seen, [named(["new", "old", ""]), named(["", "new", ""]), named(["", "", "new"])].into());
}

#[test]
fn syncing_a_folder_settles_what_its_names_build_on() {
    let sim = SimVfs::new(1);
    sim.create_dir_all(Path::new("/one")).unwrap();
    sim.create_dir_all(Path::new("/two")).unwrap();
    sim.sync_dir(Path::new("/")).unwrap();
    create(&sim, "/one/tmp", b"");
    create(&sim, "/one/other", b"");
    sim.rename(Path::new("/one/tmp"), Path::new("/two/b")).unwrap();
    sim.sync_dir(Path::new("/two")).unwrap();
    let lost = sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced);
    assert_eq!(lost.paths(), [Path::new("/two/b")]);
    let kept = sim.crash(&mut Rng::new(1), CrashStyle::KeepAll);
    assert_eq!(kept.paths(), [Path::new("/one/other"), Path::new("/two/b")]);
}

#[test]
fn a_lost_folder_takes_its_files_along() {
    let sim = SimVfs::new(1);
    sim.create_dir_all(Path::new("/db/wal")).unwrap();
    create_durable(&sim, "/db/wal/a", b"content");
    sim.sync_dir(Path::new("/db")).unwrap();
    let lose = |sim: &SimVfs| sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced);
    assert!(!lose(&sim).exists(Path::new("/db")).unwrap());
    sim.sync_dir(Path::new("/")).unwrap();
    assert_eq!(lose(&sim).read_all("/db/wal/a").unwrap(), b"content");
}

#[test]
fn publish_leaves_all_of_the_old_or_all_of_the_new_at_every_call() {
    let sim = SimVfs::new(1);
    publish(&sim, Path::new("/m"), |file| file.write_at(b"old", 0)).unwrap();
    let crashes = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = crashes.clone();
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        let mut rng = Rng::new(call.index);
        seen.lock().extend((0..100).map(|_| crash(sim, &mut rng).read_all("/m").unwrap()));
        Action::Proceed
    }));
    publish(&sim, Path::new("/m"), |file| file.write_at(b"new!", 0)).unwrap();
    sim.clear_observer();
    assert_eq!(*crashes.lock(), [b"old".to_vec(), b"new!".to_vec()].into());
    assert_eq!(outcomes(&sim, "/m"), [Some(b"new!".to_vec())].into());
}

#[test]
fn prefix_keeps_the_order_of_all_changes() {
    // With a common cut there are no gaps, neither among writes nor between writes and names.
    let sim = SimVfs::new(1);
    let files: Vec<_> = (0..4).map(|i| create_durable(&sim, &format!("/{i}"), b".")).collect();
    for (i, file) in files.iter().enumerate() {
        file.write_at(b"x", 0).unwrap();
        create(&sim, &format!("/new{i}"), b"");
    }
    let mut rng = Rng::new(1);
    let ordered = (0..200).filter(|_| {
        let after = sim.crash(&mut rng, CrashStyle::Prefix);
        let there = (0..4).flat_map(|i| {
            let written = after.read_all(format!("/{i}")).unwrap() == b"x";
            [written, after.read_all(format!("/new{i}")).is_some()]
        });
        there.is_sorted_by(|a, b| a >= b)
    });
    assert!(ordered.count() >= 90, "about half of the crashes cut everything at one moment");
}

#[test]
fn a_crash_changes_the_boot_id_and_a_kill_does_not() {
    let sim = SimVfs::new(1);
    let mut rng = Rng::new(1);
    for style in CrashStyle::ALL {
        assert_ne!(sim.crash(&mut rng, style).boot_id(), sim.boot_id());
    }
    assert_eq!(sim.kill().boot_id(), sim.boot_id());
}

#[test]
fn a_kill_keeps_what_was_written_and_a_later_crash_may_lose_it() {
    let sim = SimVfs::new(1);
    let file = create_durable(&sim, "/a", b"synced");
    file.write_at(b" written", 6).unwrap();
    create(&sim, "/b", b"");
    let killed = sim.kill();
    assert_eq!(killed.read_all("/a").unwrap(), b"synced written");
    let crashed = killed.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced);
    assert_eq!(crashed.read_all("/a").unwrap(), b"synced");
    assert_eq!(crashed.paths(), [Path::new("/a")]);
    let kept = killed.crash(&mut Rng::new(1), CrashStyle::KeepAll);
    assert_eq!(kept.read_all("/a").unwrap(), b"synced written");
    assert_eq!(kept.paths().len(), 2);
    // The successor of the killed process can make it durable.
    killed.open(Path::new("/a"), OpenMode::Read).unwrap().sync_data().unwrap();
    let crashed = killed.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced);
    assert_eq!(crashed.read_all("/a").unwrap(), b"synced written");
}

#[test]
fn locks_and_maps_end_with_the_process() {
    let sim = SimVfs::new(1);
    let path = Path::new("/LOCK");
    let held = sim.try_lock(path).unwrap().unwrap();
    sim.sync_dir(Path::new("/")).unwrap();
    create_durable(&sim, "/a", b"content").map().unwrap();
    for after in [sim.kill(), sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced)] {
        let _next = after.try_lock(path).unwrap().unwrap();
        assert!(after.try_lock(path).unwrap().is_none());
        create(&after, "/a", b"other");
        assert!(sim.try_lock(path).unwrap().is_none(), "the original does not notice");
    }
    drop(held);
    assert!(sim.try_lock(path).unwrap().is_some());
}

#[test]
fn what_a_crash_returns_is_independent() {
    let sim = SimVfs::new(1);
    let file = create_durable(&sim, "/a", b"before");
    let after = sim.crash(&mut Rng::new(1), CrashStyle::KeepAll);
    file.write_at(b"BEFORE", 0).unwrap();
    create_durable(&after, "/b", b"new");
    after.open(Path::new("/a"), OpenMode::ReadWrite).unwrap().write_at(b"after!", 0).unwrap();
    assert_eq!(sim.read_all("/a").unwrap(), b"BEFORE");
    assert_eq!(after.read_all("/a").unwrap(), b"after!");
    assert!(sim.read_all("/b").is_none());
}

#[test]
fn the_same_seeds_give_the_same_crash() {
    let run = || {
        let sim = SimVfs::new(1);
        let file = create_durable(&sim, "/a", &[0; 3000]);
        (0..20_u8).for_each(|i| file.write_at(&[i; 200], u64::from(i) * 77).unwrap());
        sim.crash(&mut Rng::new(9), CrashStyle::Subset).read_all("/a").unwrap()
    };
    assert_eq!(run(), run());
}

#[test]
fn removed_files_are_forgotten_once_nothing_can_bring_them_back() {
    let sim = SimVfs::new(1);
    create_durable(&sim, "/m", b"0");
    for round in 0..500_u32 {
        publish(&sim, Path::new("/m"), |file| file.write_at(&round.to_le_bytes(), 0)).unwrap();
    }
    assert!(sim.nodes() < 100, "{} nodes", sim.nodes());
    assert_eq!(outcomes(&sim, "/m").len(), 1);
}
