//! A segment's text, whole, damaged, and from before there was any.

use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_testkit::SimVfs;

use super::super::sample::*;
use super::*;
use crate::compression::Keep;
use crate::options::CacheConfig;

fn vectors() -> Vec<Vec<f32>> {
    (0..40).map(|row| vec![1.0, row as f32]).collect()
}

fn caches(sim: &SimVfs) -> Caches {
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    Caches::new(vfs, layout(), &CacheConfig::default())
}

/// Rows that have a term.
pub(in super::super) fn rows_of(text: &Text, term: &str) -> Vec<RowOrdinal> {
    let mut rows = Vec::new();
    if let Some(mut postings) = text.find(term).expect("sound") {
        while let Some((row, _)) = text.step(&mut postings).expect("sound") {
            rows.push(row);
        }
    }
    rows
}

#[test]
fn the_section_is_read_in_place() {
    let (sim, info) = segment_of(&vectors(), Keep::Full, None);
    let segment = open(&sim, &info, 2).expect("opened");
    let text = segment.text(&caches(&sim)).expect("sound");
    assert_eq!((text.rows(), text.version()), (40, text::VERSION));
    assert_eq!(rows_of(&text, "=f7"), [7]);
    assert_eq!(rows_of(&text, "f").len(), 40);
    assert!(segment.text_bytes() > 40 * 4);
    segment.verify_rows(&caches(&sim)).expect("sound");
}

#[test]
fn damage_to_it_is_met_by_those_who_ask_for_it_alone() {
    let (sim, info) = segment_of(&vectors(), Keep::Full, None);
    // The number of rows.
    let (sim, info) = resealed(&sim, &info, kind::TEXT, 4);
    let segment = open(&sim, &info, 2).expect("opened all the same");
    segment.vector(3).expect("sound");
    let error = segment.text(&caches(&sim)).expect_err("damaged");
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(segment.file().path())));
    assert_eq!(segment.verify_rows(&caches(&sim)).expect_err("damaged").kind(), ErrorKind::Corrupt);
}

#[test]
fn one_of_another_version_is_made_anew() {
    let (sim, info) = segment_of(&vectors(), Keep::Full, None);
    for at in [0, 8] {
        // The format, and the version of the terms.
        let (sim, info) = resealed(&sim, &info, kind::TEXT, at);
        let segment = open(&sim, &info, 2).expect("opened");
        let text = segment.text(&caches(&sim)).expect("made");
        assert_eq!((text.version(), rows_of(&text, "=f7")), (text::VERSION, vec![7]));
    }
}
