//! Files of each released format version, checked in, which open for ever.
//!
//! A golden file is never rewritten. For a NEW version, raise the version in the format's module, add the new files'
//! names to `write_golden_files`, and run
//! `cargo test -p codegraph-vector-storage --test it write_golden_files -- --ignored`; it refuses to touch a file
//! that exists. The tests of the older versions stay as they are.

use std::path::{Path, PathBuf};

use codegraph_vector_base::vfs::{OpenMode, RealVfs, Vfs, read_file};
use codegraph_vector_storage::manifest::Manifest;
use codegraph_vector_storage::{
    DeathFileRef, SegmentFile, SegmentFileRef, manifest, read_deaths, verify_segment,
};
use codegraph_vector_testkit::SimVfs;

use crate::sample;

const MANIFEST_1: &str = "manifest-1";
const MANIFEST_2: &str = "manifest-2";
const SEGMENT_1: &str = "segment-1.seg";
const DEATHS_1: &str = "deaths-1.dead";

/// What the manifests of their time said of these files.
const SEGMENT_1_REF: SegmentFileRef = SegmentFileRef { file_bytes: 66_904, table_crc: 0x0E40_ECB1 };
const DEATHS_1_REF: DeathFileRef =
    DeathFileRef { generation: sample::DEATHS_GENERATION, file_bytes: 172, crc: 0x3DFD_979E, count: 3 };

fn golden_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden(name: &str) -> Vec<u8> {
    read_file(&RealVfs, &golden_path(name)).expect("checked in")
}

/// What this version writes, by golden file name.
fn written_now() -> [(&'static str, Vec<u8>); 3] {
    let sim = SimVfs::new(1);
    sample::layout().create_dirs(&sim).expect("folders");
    manifest::install(&sim, &sample::layout(), None, &sample::manifest()).expect("installed");
    let read = |path: PathBuf| sim.read_all(path).expect("there");
    [
        (MANIFEST_2, read(sample::layout().manifest_path(sample::GENERATION))),
        (SEGMENT_1, read(sample::segment(&sim, &sample::sections()).0)),
        (DEATHS_1, read(sample::deaths(&sim).0)),
    ]
}

#[test]
#[ignore = "writes into the source tree, for a new format version only"]
fn write_golden_files() {
    for (name, bytes) in written_now() {
        let path = golden_path(name);
        if RealVfs.exists(&path).expect("looked up") {
            println!("{} is released, it stays", path.display());
            continue;
        }
        let file = RealVfs.open(&path, OpenMode::Create).expect("created");
        file.write_at(&bytes, 0).expect("written");
    }
}

#[test]
fn the_current_version_is_written_as_ever() {
    for (name, bytes) in written_now() {
        assert!(bytes == golden(name), "the bytes of {name} changed without a new version");
    }
}

#[test]
fn manifest_1_opens() {
    let sim = SimVfs::new(1);
    sim.write_raw(sample::layout().manifest_path(sample::GENERATION), &golden(MANIFEST_1));
    let loaded = manifest::load_newest(&sim, &sample::layout()).expect("loaded");
    assert_eq!(loaded.manifest, Manifest { contents: None, ..sample::manifest() });
}

#[test]
fn manifest_2_opens() {
    let sim = SimVfs::new(1);
    sim.write_raw(sample::layout().manifest_path(sample::GENERATION), &golden(MANIFEST_2));
    let loaded = manifest::load_newest(&sim, &sample::layout()).expect("loaded");
    assert_eq!(loaded.manifest, sample::manifest());
}

#[test]
fn segment_1_opens() {
    let sim = SimVfs::new(1);
    let path = sample::layout().segment_path(sample::ID);
    sim.write_raw(&path, &golden(SEGMENT_1));
    let expected = SEGMENT_1_REF;
    let file = SegmentFile::open(&sim, &path, sample::STORE, sample::ID, &expected).expect("opened");
    for (kind, bytes) in sample::sections() {
        let section = file.section(kind).expect("there");
        assert!(section.bytes_all().expect("sound") == bytes, "section {kind}");
    }
    assert_eq!(file.sections().count(), 3);
    assert_eq!(verify_segment(&sim, &path, sample::STORE, sample::ID, &expected).ok(), Some(vec![]));
}

#[test]
fn deaths_1_open() {
    let sim = SimVfs::new(1);
    let path = sample::layout().deaths_path(sample::ID, sample::DEATHS_GENERATION);
    sim.write_raw(&path, &golden(DEATHS_1));
    let expected = DEATHS_1_REF;
    let read = read_deaths(&sim, &path, sample::STORE, sample::ID, sample::ROWS, &expected).expect("read");
    assert_eq!(read, sample::DEATHS);
}
