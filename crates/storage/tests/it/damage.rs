//! Any byte flipped, any cut, any surplus: an error that names the file, or a finding of `verify`, never a panic and
//! never other bytes than were written.

use codegraph_vector_base::{Error, ErrorKind, Result};
use codegraph_vector_storage::manifest::{self, Manifest};
use codegraph_vector_storage::{SegmentFile, read_deaths, verify_segment};
use codegraph_vector_testkit::SimVfs;
use proptest::prelude::*;
use std::path::Path;

use crate::sample;

/// Whole file contents with one thing wrong, and what.
fn damaged(good: &[u8]) -> impl Iterator<Item = (Vec<u8>, String)> {
    let flips = (0..good.len()).flat_map(move |at| {
        [0x01, 0x80, 0xFF].map(|mask| {
            let mut bytes = good.to_vec();
            bytes[at] ^= mask;
            (bytes, format!("byte {at} ^ {mask:#x}"))
        })
    });
    let cuts = (0..good.len()).map(|len| (good[..len].to_vec(), format!("cut to {len} bytes")));
    let surplus = [1, 64, 5000].into_iter().map(|more| {
        let mut bytes = good.to_vec();
        bytes.resize(good.len() + more, 0);
        (bytes, format!("{more} bytes more"))
    });
    let zeroed = std::iter::once((vec![0; good.len()], "all zeros".to_owned()));
    flips.chain(cuts).chain(surplus).chain(zeroed)
}

fn is_corrupt(error: &Error, path: &Path, what: &str) {
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(path)), "{what}: {error}");
    assert!(error.offset().is_some(), "{what}: {error} has no offset");
}

#[test]
fn of_a_manifest() {
    let sim = SimVfs::new(1);
    sample::layout().create_dirs(&sim).expect("folders");
    manifest::install(&sim, &sample::layout(), None, &sample::manifest()).expect("installed");
    let path = sample::layout().manifest_path(sample::GENERATION);
    let good = sim.read_all(&path).expect("there");
    for (bytes, what) in damaged(&good) {
        sim.write_raw(&path, &bytes);
        is_corrupt(&manifest::load_newest(&sim, &sample::layout()).expect_err(&what), &path, &what);
    }
}

#[test]
fn of_a_death_file() {
    let sim = SimVfs::new(1);
    sample::layout().create_dirs(&sim).expect("folders");
    let (path, expected) = sample::deaths(&sim);
    let good = sim.read_all(&path).expect("there");
    for (bytes, what) in damaged(&good) {
        sim.write_raw(&path, &bytes);
        let read = read_deaths(&sim, &path, sample::STORE, sample::ID, sample::ROWS, &expected);
        is_corrupt(&read.expect_err(&what), &path, &what);
    }
}

/// The contents of all sections, or the first error on the way to them.
fn read_segment(
    sim: &SimVfs,
    path: &Path,
    expected: &codegraph_vector_storage::SegmentFileRef,
) -> Result<Vec<Vec<u8>>> {
    let file = SegmentFile::open(sim, path, sample::STORE, sample::ID, expected)?;
    file.sections().map(|section| section.bytes_all().map(<[u8]>::to_vec)).collect()
}

#[test]
fn of_a_segment() {
    let sim = SimVfs::new(1);
    sample::layout().create_dirs(&sim).expect("folders");
    let sections = sample::small_sections();
    let (path, expected) = sample::segment(&sim, &sections);
    let contents: Vec<_> = sections.iter().map(|(_, bytes)| bytes.clone()).collect();
    assert_eq!(read_segment(&sim, &path, &expected).ok().as_ref(), Some(&contents));
    let good = sim.read_all(&path).expect("there");
    let mut only_padding = 0;
    for (bytes, what) in damaged(&good) {
        sim.write_raw(&path, &bytes);
        let found = verify_segment(&sim, &path, sample::STORE, sample::ID, &expected).expect(&what);
        assert!(!found.is_empty(), "{what} was not found");
        assert!(found.iter().all(|bad| bad.path == path && bad.offset <= good.len() as u64), "{what}");
        match read_segment(&sim, &path, &expected) {
            Err(error) => is_corrupt(&error, &path, &what),
            Ok(read) => {
                assert_eq!(read, contents, "{what}");
                only_padding += 1;
            }
        }
    }
    // 128 + 100 bytes are filled up to 256, and 11 more to 64.
    assert_eq!(only_padding, 3 * (28 + 53));
}

#[test]
fn of_a_segment_of_several_blocks() {
    let sim = SimVfs::new(1);
    sample::layout().create_dirs(&sim).expect("folders");
    let (path, expected) = sample::segment(&sim, &sample::sections());
    let len = sim.read_all(&path).expect("there").len() as u64;
    for at in (0..len).step_by(997) {
        sim.flip_bit(&path, at, (at % 8) as u8);
        let found = verify_segment(&sim, &path, sample::STORE, sample::ID, &expected).expect("looked at");
        assert_eq!(found.len(), 1, "byte {at}");
        assert!((found[0].offset..found[0].offset + found[0].len).contains(&at), "byte {at}: {}", found[0]);
        sim.flip_bit(&path, at, (at % 8) as u8);
    }
    assert_eq!(verify_segment(&sim, &path, sample::STORE, sample::ID, &expected).ok(), Some(vec![]));
}

proptest! {
    #[test]
    fn any_manifest_body_under_sound_checksums_is_read_without_panic(
        body in proptest::collection::vec(any::<u8>(), 0..400), flips: [(u16, u8); 3], keep in any::<bool>(),
    ) {
        let sim = SimVfs::new(1);
        let layout = sample::layout();
        layout.create_dirs(&sim)?;
        manifest::install(&sim, &layout, None, &sample::manifest())?;
        let path = layout.manifest_path(sample::GENERATION);
        let mut bytes = sim.read_all(&path).expect("there");
        if !keep {
            bytes.truncate(128);
            bytes.extend_from_slice(&body);
        }
        for (at, mask) in flips {
            if let Some(byte) = bytes.get_mut(128..).and_then(|body| body.get_mut(at as usize)) {
                *byte ^= mask;
            }
        }
        reseal(&mut bytes);
        sim.write_raw(&path, &bytes);
        match manifest::load_newest(&sim, &layout) {
            Ok(loaded) => manifest::check(&loaded.manifest)?,
            Err(error) => is_corrupt(&error, &path, "a forged body"),
        }
    }

    #[test]
    fn any_bytes_are_not_a_file_of_ours(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let sim = SimVfs::new(1);
        let path = Path::new("/some");
        sim.write_raw(path, &bytes);
        let file_bytes = bytes.len() as u64;
        let segment = codegraph_vector_storage::SegmentFileRef { file_bytes, table_crc: 0 };
        is_corrupt(&read_segment(&sim, path, &segment).expect_err("noise"), path, "noise");
        let deaths = codegraph_vector_storage::DeathFileRef {
            generation: sample::DEATHS_GENERATION, file_bytes, crc: 0, count: 1,
        };
        let read = read_deaths(&sim, path, sample::STORE, sample::ID, sample::ROWS, &deaths);
        is_corrupt(&read.expect_err("noise"), path, "noise");
    }
}

/// Makes length and checksums of a manifest's header fit its body.
fn reseal(bytes: &mut [u8]) {
    let (head, body) = bytes.split_at_mut(128);
    head[64..72].copy_from_slice(&(body.len() as u64).to_le_bytes());
    head[72..76].copy_from_slice(&codegraph_vector_base::crc32c(body).to_le_bytes());
    let crc = codegraph_vector_base::crc32c(&head[..124]);
    head[124..].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_newer_manifest_is_refused_even_over_sound_older_ones() {
    let sim = SimVfs::new(1);
    let layout = sample::layout();
    layout.create_dirs(&sim).expect("folders");
    let first = sample::manifest();
    manifest::install(&sim, &layout, None, &first).expect("installed");
    let next: Manifest = first.successor();
    manifest::install(&sim, &layout, Some(&first), &next).expect("installed");
    let path = layout.manifest_path(next.generation);
    let mut bytes = sim.read_all(&path).expect("there");
    bytes[8] = manifest::FORMAT_VERSION as u8 + 1;
    reseal(&mut bytes);
    sim.write_raw(&path, &bytes);
    let error = manifest::load_newest(&sim, &layout).expect_err("newer");
    assert_eq!((error.kind(), error.path()), (ErrorKind::Unsupported, Some(&*path)));
}
