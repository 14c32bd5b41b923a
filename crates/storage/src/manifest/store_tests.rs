use codegraph_vector_base::{Lsn, SegmentId, limits};
use codegraph_vector_testkit::SimVfs;

use super::*;
use crate::manifest::sample::manifest;
use crate::manifest::{Contents, FORMAT_VERSION, check_successor, read};

fn store() -> (SimVfs, StoreLayout) {
    let (sim, layout) = (SimVfs::new(1), StoreLayout::new("/data/store"));
    layout.create_dirs(&sim).expect("folders");
    (sim, layout)
}

/// Generation 1 and `count - 1` more.
fn grow(sim: &SimVfs, layout: &StoreLayout, count: u64) -> Vec<Manifest> {
    let mut first = manifest();
    first.segments.clear();
    first.contents = Some(Contents::default());
    let mut all = vec![Manifest { generation: Generation(1), ..first }];
    install(sim, layout, None, &all[0]).expect("created");
    for _ in 1..count {
        let next = all[all.len() - 1].successor();
        install(sim, layout, all.last(), &next).expect("installed");
        all.push(next);
    }
    all
}

fn damage(sim: &SimVfs, layout: &StoreLayout, generation: u64) {
    sim.flip_bit(layout.manifest_path(Generation(generation)), 150, 3);
}

#[test]
fn a_manifest_is_read_back_whole() {
    let (sim, layout) = store();
    install(&sim, &layout, None, &manifest()).expect("installed");
    assert_eq!(read(&sim, &layout, Generation(41)).ok(), Some(manifest()));
    let loaded = load_newest(&sim, &layout).expect("loaded");
    assert_eq!(loaded.manifest, manifest());
    assert!(loaded.previous.is_none() && loaded.fallbacks.is_empty() && loaded.damaged.is_empty());
}

#[test]
fn nothing_is_not_a_store() {
    let (sim, layout) = store();
    for layout in [layout, StoreLayout::new("/nowhere")] {
        let error = load_newest(&sim, &layout).expect_err("no store");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.path(), Some(layout.root()));
    }
}

#[test]
fn the_newest_wins_and_the_one_before_is_known() {
    let (sim, layout) = store();
    let all = grow(&sim, &layout, 3);
    let loaded = load_newest(&sim, &layout).expect("loaded");
    assert_eq!((&loaded.manifest, loaded.previous.as_ref()), (&all[2], Some(&all[1])));
}

#[test]
fn a_damaged_newest_is_a_reported_fallback() {
    let (sim, layout) = store();
    let all = grow(&sim, &layout, 4);
    damage(&sim, &layout, 4);
    damage(&sim, &layout, 3);
    let loaded = load_newest(&sim, &layout).expect("loaded");
    assert_eq!((&loaded.manifest, loaded.previous.as_ref()), (&all[1], Some(&all[0])));
    let paths: Vec<_> = loaded.fallbacks.iter().map(|fallback| fallback.path.clone()).collect();
    assert_eq!(paths, [layout.manifest_path(Generation(4)), layout.manifest_path(Generation(3))]);
    assert!(loaded.fallbacks.iter().all(|fallback| fallback.error.path() == Some(&*fallback.path)));

    // Going on from there replaces the damaged ones in time.
    let next = all[1].successor();
    install(&sim, &layout, Some(&all[1]), &next).expect("installed over the damaged one");
    assert_eq!(load_newest(&sim, &layout).expect("loaded").fallbacks.len(), 1);
    let removed = prune(&sim, &layout, &[&next, &all[1]]).expect("pruned");
    assert_eq!(removed, [layout.manifest_path(Generation(4)), layout.manifest_path(Generation(1))]);
    let loaded = load_newest(&sim, &layout).expect("loaded");
    assert_eq!((loaded.manifest, loaded.fallbacks.len()), (next, 0));
}

#[test]
fn a_damaged_older_one_is_told_apart_from_a_fallback() {
    let (sim, layout) = store();
    let all = grow(&sim, &layout, 3);
    damage(&sim, &layout, 2);
    let loaded = load_newest(&sim, &layout).expect("loaded");
    assert_eq!((&loaded.manifest, loaded.previous.as_ref()), (&all[2], Some(&all[0])));
    assert_eq!((loaded.fallbacks.len(), loaded.damaged.len()), (0, 1));
}

#[test]
fn if_none_is_valid_the_newest_is_named() {
    let (sim, layout) = store();
    grow(&sim, &layout, 2);
    damage(&sim, &layout, 1);
    damage(&sim, &layout, 2);
    let error = load_newest(&sim, &layout).expect_err("none valid");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.path(), Some(&*layout.manifest_path(Generation(2))));
    assert!(error.message().contains("none of 2"), "{error}");
}

#[test]
fn a_newer_format_is_never_passed_over() {
    let (sim, layout) = store();
    grow(&sim, &layout, 2);
    let path = layout.manifest_path(Generation(2));
    let good = sim.read_all(&path).expect("there");
    for (at, value) in [(8, FORMAT_VERSION as u8 + 1), (16, 1)] {
        let mut bytes = good.clone();
        bytes[at] = value;
        let crc = codegraph_vector_base::crc32c(&bytes[..124]);
        bytes[124..128].copy_from_slice(&crc.to_le_bytes());
        sim.write_raw(&path, &bytes);
        let error = load_newest(&sim, &layout).expect_err("newer");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.path(), Some(&*path));
        assert!(error.message().contains("upgrade"), "{error}");
    }
    // An optional feature that we lack is no reason to refuse.
    let mut bytes = good;
    bytes[31] = 0x80;
    let crc = codegraph_vector_base::crc32c(&bytes[..124]);
    bytes[124..128].copy_from_slice(&crc.to_le_bytes());
    sim.write_raw(&path, &bytes);
    assert_eq!(load_newest(&sim, &layout).expect("loaded").manifest.generation, Generation(2));
}

#[test]
fn a_name_that_lies_is_damage() {
    let (sim, layout) = store();
    grow(&sim, &layout, 2);
    let bytes = sim.read_all(layout.manifest_path(Generation(1))).expect("there");
    sim.write_raw(layout.manifest_path(Generation(9)), &bytes);
    let loaded = load_newest(&sim, &layout).expect("loaded");
    assert_eq!((loaded.manifest.generation, loaded.fallbacks.len()), (Generation(2), 1));
    assert!(loaded.fallbacks[0].error.message().contains("generation"));
}

#[test]
fn a_manifest_that_breaks_the_rules_is_neither_written_nor_believed() {
    let (sim, layout) = store();
    let all = grow(&sim, &layout, 1);
    let mut wrong = all[0].successor();
    wrong.checkpoint.lsn = Lsn(1 << 40);
    let error = install(&sim, &layout, Some(&all[0]), &wrong).expect_err("a rule");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let path = layout.manifest_path(Generation(2));
    assert_eq!(sim.read_all(&path), None);

    file::write(&sim, &path, &wrong).expect("written past the rules");
    let loaded = load_newest(&sim, &layout).expect("loaded");
    assert_eq!((loaded.manifest.generation, loaded.fallbacks.len()), (Generation(1), 1));
    let gap = Manifest { generation: Generation(3), ..all[0].clone() };
    check_successor(&all[0], &gap).expect_err("a gap");
    install(&sim, &layout, None, &all[0]).expect_err("a store is there");
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let (sim, layout) = store();
    let all = grow(&sim, &layout, 1);
    let mut large = all[0].successor();
    large.prepared = vec![vec![1; 5 << 20]];
    let error = install(&sim, &layout, Some(&all[0]), &large).expect_err("over the wire format's limit");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    large.prepared = vec![vec![1; 4 << 20]; 3];
    install(&sim, &layout, Some(&all[0]), &large).expect("within it");
    assert!(read(&sim, &layout, Generation(2)).expect("read") == large);
}

#[test]
fn all_properties_at_their_largest_can_be_read_back() {
    let (sim, layout) = store();
    let all = grow(&sim, &layout, 1);
    let mut large = all[0].successor();
    for number in 0..limits::MAX_PROPERTIES {
        let name = format!("{number:0width$}", width = limits::MAX_PROPERTY_NAME_BYTES);
        large.set_property(&name, Some(&"v".repeat(limits::MAX_PROPERTY_BYTES)));
    }
    install(&sim, &layout, Some(&all[0]), &large).expect("installed");
    assert!(read(&sim, &layout, Generation(2)).expect("read") == large);
}

#[test]
fn orphans_are_found() {
    let (sim, layout) = store();
    let (mut older, mut newer) = (manifest(), manifest().successor());
    older.segments.truncate(1);
    newer.segments.remove(0);
    for path in [
        layout.segment_path(SegmentId(4)),
        layout.segment_path(SegmentId(5)),
        layout.segment_path(SegmentId(9)),
        layout.deaths_path(SegmentId(4), Generation(40)),
        layout.deaths_path(SegmentId(9), Generation(39)),
        layout.segments_dir().join("notes.txt"),
    ] {
        sim.write_raw(path, b"x");
    }
    let expected = [layout.segment_path(SegmentId(5)), layout.deaths_path(SegmentId(9), Generation(39))];
    assert_eq!(unreferenced(&sim, &layout, &[&older, &newer]).expect("listed"), expected);
    prune(&sim, &layout, &[]).expect_err("nothing to keep");
}
