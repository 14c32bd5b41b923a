//! Segments of each keep, checked in, which open for ever.
//!
//! A golden file is never rewritten. For a new one, add its name to [`NAMES`] and run
//! `cargo test -p codegraph-vector --lib write_golden_files -- --ignored`; it leaves alone what is there.

use std::path::{Path, PathBuf};

use codegraph_vector_base::vfs::{OpenMode, RealVfs, Vfs, read_file};
use codegraph_vector_base::wire;

use codegraph_vector_testkit::SimVfs;

use super::sample::*;
use super::text::tests::rows_of;
use super::*;
use crate::compression::{Keep, TrainedCodec};
use crate::options::CacheConfig;

const DIMENSION: usize = 5;
/// Name and keep; with each go what the manifest said of it, and what its vectors are read as. Those that end in 1 are
/// from before there was a text section.
const NAMES: [(&str, Keep); 6] = [
    ("full-1", Keep::Full),
    ("f16-1", Keep::F16),
    ("none-1", Keep::None),
    ("full-2", Keep::Full),
    ("f16-2", Keep::F16),
    ("none-2", Keep::None),
];

/// Those that this version writes.
fn written_by_this_version() -> impl Iterator<Item = (&'static str, Keep)> {
    NAMES.into_iter().filter(|(name, _)| name.ends_with("-2"))
}

fn golden_path(name: &str, part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("segment-{name}.{part}"))
}

fn golden(name: &str, part: &str) -> Vec<u8> {
    read_file(&RealVfs, &golden_path(name, part)).expect("checked in")
}

fn vectors() -> Vec<Vec<f32>> {
    let number = |row: usize, at: usize| ((row * 31 + at * 17) % 29) as f32 / 8.0 - 1.5;
    (0..70).map(|row| (0..DIMENSION).map(|at| number(row, at)).collect()).collect()
}

/// Bytes of the file, what the manifest says of it, and its vectors as they are read.
fn written_now(keep: Keep, codec: &Arc<TrainedCodec>) -> [(&'static str, Vec<u8>); 3] {
    let (sim, info) = segment_of(&vectors(), keep, Some(codec));
    let segment = open(&sim, &info, DIMENSION).expect("opened");
    let read = segment.vectors(0..segment.rows()).expect("sound");
    let file = sim.read_all(layout().segment_path(ID)).expect("there");
    let info = wire::encode(&info).expect("encoded");
    [("seg", file), ("ref", info), ("vectors", bytemuck::cast_slice(&read).to_vec())]
}

fn open_golden(name: &str) -> Segment {
    open_golden_on(&folder(), name)
}

fn open_golden_on(sim: &SimVfs, name: &str) -> Segment {
    sim.write_raw(layout().segment_path(ID), &golden(name, "seg"));
    let info: SegmentRef = wire::decode(&golden(name, "ref")).expect("decoded");
    open(sim, &info, DIMENSION).expect("opened")
}

#[test]
fn golden_segments_are_searched_by_text_whether_they_have_a_section_or_not() {
    for (name, _) in NAMES {
        let sim = folder();
        let segment = open_golden_on(&sim, name);
        assert_eq!(segment.text_bytes() > 0, name.ends_with("-2"), "{name}");
        let caches = Caches::new(Arc::new(sim), layout(), &CacheConfig::default());
        let text = segment.text(&caches).expect("sound");
        for row in [0, 7, 69] {
            assert_eq!(rows_of(&text, &format!("=f{row}")), [row], "{name}");
        }
    }
}

#[test]
#[ignore = "writes into the source tree, for new golden files only"]
fn write_golden_files() {
    let codec = trained(&spec(8), DIMENSION, &vectors());
    for (name, keep) in written_by_this_version() {
        for (part, bytes) in written_now(keep, &codec) {
            let path = golden_path(name, part);
            if !RealVfs.exists(&path).expect("looked up") {
                RealVfs.create_dir_all(path.parent().expect("a folder")).expect("created");
                let file = RealVfs.open(&path, OpenMode::Create).expect("created");
                file.write_at(&bytes, 0).expect("written");
            }
        }
    }
}

#[test]
fn golden_segments_open_and_are_read_as_ever() {
    for (name, keep) in NAMES {
        let segment = open_golden(name);
        assert_eq!((segment.keep(), segment.rows()), (keep, 70));
        let read = segment.vectors(0..70).expect("sound");
        assert_eq!(bytemuck::cast_slice::<f32, u8>(&read), golden(name, "vectors"), "{name}");
        for row in 0..70 {
            segment.vector(row).expect("its checksum fits");
        }
        let sample = segment.calibration().expect("sound").map(|sample| sample.vectors.to_vec());
        assert_eq!(sample, (keep == Keep::None).then(|| vectors().concat()), "{name}");
    }
}

#[test]
fn the_same_codec_writes_the_same_segment_as_ever() {
    for (name, keep) in written_by_this_version() {
        let segment = open_golden(name);
        let codec = segment.groups().expect("sound").remove(0).trained;
        for (part, bytes) in written_now(keep, &codec) {
            assert!(bytes == golden(name, part), "{name}.{part} changed without a new version");
        }
    }
}
