use codegraph_vector_base::vfs::{OpenMode, RealVfs, temporary};
use proptest::prelude::*;

use super::*;

fn name(path: impl AsRef<Path>) -> String {
    path.as_ref().file_name().and_then(|name| name.to_str()).expect("a name").to_owned()
}

#[test]
fn names_are_as_promised() {
    let layout = StoreLayout::new("s");
    assert_eq!(layout.lock_path(), Path::new("s/LOCK"));
    assert_eq!(layout.manifest_path(Generation(7)), Path::new("s/MANIFEST-00000000000000000007"));
    assert_eq!(layout.wal_path(Lsn(64)), Path::new("s/wal/00000000000000000064.wal"));
    assert_eq!(layout.segment_path(SegmentId(3)), Path::new("s/segments/0000000003.seg"));
    assert_eq!(
        layout.deaths_path(SegmentId(3), Generation(9)),
        Path::new("s/segments/0000000003.00000000000000000009.dead")
    );
}

#[test]
fn anything_else_is_none_of_ours() {
    for name in [
        "MANIFEST-7",
        "MANIFEST-00000000000000000007.tmp",
        "MANIFEST-000000000000000000007",
        "MANIFEST-+0000000000000000007",
        "MANIFEST-99999999999999999999",
        "manifest-00000000000000000007",
        " MANIFEST-00000000000000000007",
        "MANIFEST-0000000000000000000７",
        "",
    ] {
        assert_eq!(StoreLayout::parse_manifest_name(name), None, "{name:?}");
    }
    for name in ["3.seg", "00000000003.seg", "0000000003.segs", "000000000x.seg", "-000000003.seg", ".seg"] {
        assert_eq!(StoreLayout::parse_segment_name(name), None, "{name:?}");
    }
    for name in ["0000000003.dead", "0000000003.9.dead", "0000000003.00000000000000000009.x.dead"] {
        assert_eq!(StoreLayout::parse_deaths_name(name), None, "{name:?}");
    }
    assert_eq!(StoreLayout::parse_wal_name("64.wal"), None);
}

#[test]
fn folders_are_made_and_leftovers_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let layout = StoreLayout::new(folder.path().join("a/b/store"));
    assert_eq!(layout.is_store(&RealVfs).ok(), Some(false));
    assert_eq!(layout.leftovers(&RealVfs).ok(), Some(Vec::new()));
    layout.create_dirs(&RealVfs).expect("made");
    layout.create_dirs(&RealVfs).expect("made again");
    assert_eq!(layout.is_store(&RealVfs).ok(), Some(false));

    let mut unfinished = vec![
        temporary(&layout.manifest_path(Generation(1))),
        temporary(&layout.wal_path(Lsn(0))),
        temporary(&layout.deaths_path(SegmentId(1), Generation(2))),
        temporary(&layout.segment_path(SegmentId(1))),
    ];
    for path in &unfinished {
        RealVfs.open(path, OpenMode::Create).expect("created");
    }
    RealVfs.open(&layout.root().join("notes.tmp"), OpenMode::Create).expect("created");
    let mut found = layout.leftovers(&RealVfs).expect("listed");
    found.sort();
    unfinished.sort();
    assert_eq!(found, unfinished);
    assert_eq!(layout.is_store(&RealVfs).ok(), Some(false));
    RealVfs.open(&layout.manifest_path(Generation(1)), OpenMode::Create).expect("created");
    assert_eq!(layout.is_store(&RealVfs).ok(), Some(true));
}

proptest! {
    #[test]
    fn names_are_read_back(number: u64, other: u64, small in 0u64..20) {
        let layout = StoreLayout::new("");
        for (number, other) in [(number, other), (small, other), (number, small)] {
            let (id, generation, lsn) = (SegmentId(number), Generation(other), Lsn(number));
            prop_assert_eq!(
                StoreLayout::parse_manifest_name(&name(layout.manifest_path(generation))), Some(generation));
            prop_assert_eq!(StoreLayout::parse_wal_name(&name(layout.wal_path(lsn))), Some(lsn));
            prop_assert_eq!(StoreLayout::parse_segment_name(&name(layout.segment_path(id))), Some(id));
            prop_assert_eq!(
                StoreLayout::parse_deaths_name(&name(layout.deaths_path(id, generation))), Some((id, generation)));
        }
    }

    #[test]
    fn what_is_parsed_is_what_would_be_built(text in "[0-9]{8,22}") {
        let layout = StoreLayout::new("");
        let segment = format!("{text}.seg");
        if let Some(id) = StoreLayout::parse_segment_name(&segment) {
            prop_assert_eq!(name(layout.segment_path(id)), segment);
        }
        let wal = format!("{text}.wal");
        if let Some(lsn) = StoreLayout::parse_wal_name(&wal) {
            prop_assert_eq!(name(layout.wal_path(lsn)), wal);
        }
    }
}
