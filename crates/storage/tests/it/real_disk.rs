//! All of it once on the operating system's files: reservation, maps, renames.

use codegraph_vector_base::vfs::{OpenMode, RealVfs, Vfs, read_file, temporary};
use codegraph_vector_base::{Generation, SegmentId};
use codegraph_vector_storage::manifest;
use codegraph_vector_storage::{
    SectionKind, SegmentFile, SegmentWriter, StoreLayout, read_deaths, verify_segment, write_deaths,
};

use crate::sample;

#[test]
fn a_store_is_written_and_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let layout = StoreLayout::new(folder.path().join("nested/store"));
    layout.create_dirs(&RealVfs).expect("folders");

    let data: Vec<u8> = (0..5_000_000_u32).map(|at| (at >> 7) as u8).collect();
    let mut writer = SegmentWriter::create(&RealVfs, &layout, sample::STORE, sample::ID).expect("created");
    writer.section(SectionKind(1), &data).expect("written");
    writer.section(SectionKind(2), b"few").expect("written");
    let file = writer.finish().expect("finished");
    let path = layout.segment_path(sample::ID);
    assert_eq!(read_file(&RealVfs, &path).expect("read").len() as u64, file.file_bytes);

    let opened = SegmentFile::open(&RealVfs, &path, sample::STORE, sample::ID, &file).expect("opened");
    let section = opened.section(SectionKind(1)).expect("there");
    assert!(section.bytes_all().expect("sound") == data);
    assert!((section.bytes_all().expect("sound").as_ptr() as usize).is_multiple_of(64));
    let handle = RealVfs.open(&path, OpenMode::Read).expect("opened");
    assert!(section.read_raw(&*handle, 70_000..90_000).expect("read") == data[70_000..90_000]);
    assert_eq!(opened.scrub(&*handle), vec![]);
    let found = verify_segment(&RealVfs, &path, sample::STORE, sample::ID, &file);
    assert_eq!(found.ok(), Some(vec![]));

    let deaths_path = layout.deaths_path(sample::ID, Generation(1));
    let deaths =
        write_deaths(&RealVfs, &deaths_path, sample::STORE, sample::ID, Generation(1), &sample::DEATHS)
            .expect("written");
    let read = read_deaths(&RealVfs, &deaths_path, sample::STORE, sample::ID, sample::ROWS, &deaths);
    assert_eq!(read.ok().as_deref(), Some(&sample::DEATHS[..]));

    let first = sample::manifest();
    manifest::install(&RealVfs, &layout, None, &first).expect("created");
    let next = first.successor();
    manifest::install(&RealVfs, &layout, Some(&first), &next).expect("installed");
    let loaded = manifest::load_newest(&RealVfs, &layout).expect("loaded");
    assert_eq!((loaded.manifest, loaded.previous), (next.clone(), Some(first)));
    assert_eq!(manifest::prune(&RealVfs, &layout, &[&next]).expect("pruned").len(), 1);
    assert_eq!(layout.leftovers(&RealVfs).expect("listed").len(), 0);
}

#[test]
fn a_dropped_writer_and_a_removed_segment_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let layout = StoreLayout::new(folder.path());
    layout.create_dirs(&RealVfs).expect("folders");
    let mut writer = SegmentWriter::create(&RealVfs, &layout, sample::STORE, SegmentId(8)).expect("created");
    writer.section(SectionKind(1), &[3; 3 << 20]).expect("written");
    assert_eq!(layout.leftovers(&RealVfs).ok(), Some(vec![temporary(&layout.segment_path(SegmentId(8)))]));
    drop(writer);
    assert_eq!(layout.leftovers(&RealVfs).ok(), Some(vec![]));

    let mut writer = SegmentWriter::create(&RealVfs, &layout, sample::STORE, SegmentId(9)).expect("created");
    writer.section(SectionKind(1), &[3; 300_000]).expect("written");
    let file = writer.finish().expect("finished");
    let path = layout.segment_path(SegmentId(9));
    let opened = SegmentFile::open(&RealVfs, &path, sample::STORE, SegmentId(9), &file).expect("opened");
    RealVfs.remove_file(&path).expect("removed");
    let section = opened.section(SectionKind(1)).expect("there");
    assert!(section.bytes_all().expect("the map stays") == [3; 300_000]);
}
