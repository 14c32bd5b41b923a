use std::sync::Arc;

use codegraph_vector_base::ErrorKind;
use codegraph_vector_testkit::{Action, Call, Fault, Op, SimVfs};
use proptest::prelude::*;

use super::*;
use crate::segment::sample::{ID, STORE, Sample, bytes, layout};
use crate::segment::{SegmentWriter, verify_segment};

const KIND: SectionKind = SectionKind(1);

/// Four blocks, the last one of 100 bytes, and a second section.
fn four_blocks() -> (Sample, Vec<u8>) {
    let data = bytes(3 * BLOCK_BYTES + 100);
    (Sample::of(&[(1, &data), (2, b"other")]), data)
}

#[test]
fn sections_are_found_aligned_and_in_place() {
    let (sample, data) = four_blocks();
    let file = sample.open().expect("opened");
    assert!(file.section(SectionKind(3)).is_none());
    let section = file.section(KIND).expect("there");
    assert_eq!((section.kind(), section.len(), section.is_empty()), (KIND, data.len(), false));
    assert_eq!(section.bytes_all().ok(), Some(&data[..]));
    assert_eq!(section.bytes(70_000..140_000).ok(), Some(&data[70_000..140_000]));
    assert_eq!(section.bytes(9..9).ok(), Some(&[][..]));
    assert_eq!(file.position(SectionKind(3)), None);
    for section in file.sections() {
        let position = file.position(section.kind()).expect("there");
        assert_eq!(file.section_at(position).kind(), section.kind());
        let bytes = section.bytes_all().expect("sound");
        assert!((bytes.as_ptr() as usize).is_multiple_of(64));
    }
    assert_eq!((file.id(), file.path(), file.file_ref()), (ID, &*sample.path, sample.file_ref));
    assert_eq!((file.quarantined(), sample.verify()), (0, vec![]));
}

#[test]
fn a_segment_of_nothing_and_an_empty_section_are_fine() {
    let sample = Sample::of(&[]);
    assert_eq!(sample.open().expect("opened").sections().count(), 0);
    assert_eq!(sample.verify(), vec![]);
    let sample = Sample::of(&[(1, b""), (2, b"x"), (3, b"")]);
    let file = sample.open().expect("opened");
    let read = |kind| file.section(SectionKind(kind)).map(|section| section.bytes_all().ok());
    assert_eq!([read(1), read(2), read(3)], [Some(Some(&b""[..])), Some(Some(b"x")), Some(Some(b""))]);
    assert_eq!(sample.verify(), vec![]);
}

#[test]
fn a_range_beyond_the_section_is_an_error() {
    let (sample, data) = four_blocks();
    let file = sample.open().expect("opened");
    let handle = sample.sim.open(&sample.path, OpenMode::Read).expect("opened");
    let section = file.section(KIND).expect("there");
    #[allow(clippy::reversed_empty_ranges)] // What a bad offset table asks for.
    for range in [0..data.len() + 1, data.len() + 1..data.len() + 1, 5..4, usize::MAX..usize::MAX] {
        for error in [section.bytes(range.clone()).err(), section.read_raw(&*handle, range).err()] {
            let error = error.expect("refused");
            assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*sample.path)));
        }
    }
}

#[test]
fn a_bad_block_is_quarantined_and_the_others_keep_answering() {
    let (sample, data) = four_blocks();
    sample.sim.flip_bit(&sample.path, 128 + 2 * BLOCK_BYTES as u64 + 7, 1);
    let file = sample.open().expect("opening touches no section");
    let section = file.section(KIND).expect("there");
    assert!(section.bytes(0..2 * BLOCK_BYTES).is_ok());
    assert!(section.bytes(3 * BLOCK_BYTES..data.len()).is_ok());
    assert_eq!(file.quarantined(), 0);
    for _ in 0..2 {
        for range in [0..data.len(), 2 * BLOCK_BYTES..2 * BLOCK_BYTES + 1, 3 * BLOCK_BYTES - 1..data.len()] {
            let error = section.bytes(range).expect_err("damaged");
            assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*sample.path)));
            assert_eq!(error.offset(), Some(128 + 2 * BLOCK_BYTES as u64));
        }
        assert_eq!(file.quarantined(), 1);
    }
    assert!(file.section(SectionKind(2)).expect("there").bytes_all().is_ok());
    let found = sample.verify();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].offset, found[0].len), (128 + 2 * BLOCK_BYTES as u64, BLOCK_BYTES as u64));
    assert_eq!(found[0].section, Some(KIND));
}

#[test]
fn a_scrub_finds_what_went_bad_after_it_was_seen_good() {
    let (sample, data) = four_blocks();
    let file = sample.open().expect("opened");
    let section = file.section(KIND).expect("there");
    assert!(section.bytes_all().is_ok());
    let handle = sample.sim.open(&sample.path, OpenMode::Read).expect("opened");
    assert_eq!(file.scrub(&*handle), vec![]);
    sample.sim.flip_bit(&sample.path, 128 + data.len() as u64 - 1, 0);
    let found = file.scrub(&*handle);
    assert_eq!(
        found.iter().map(|bad| (bad.offset, bad.len)).collect::<Vec<_>>(),
        [(128 + 3 * BLOCK_BYTES as u64, 100)]
    );
    assert!(found[0].to_string().contains("0000000003.seg at byte 196736, 100 bytes"), "{}", found[0]);
    assert_eq!(file.quarantined(), 1);
    section.bytes_all().expect_err("quarantined");
    assert!(section.bytes(0..3 * BLOCK_BYTES).is_ok());
    assert_eq!(section.bad_blocks(&*handle).len(), 1);
    assert_eq!(file.quarantined(), 1);
}

#[test]
fn a_failing_disk_is_a_finding_of_the_scrub_and_an_error_of_the_read() {
    let (sample, _) = four_blocks();
    let file = sample.open().expect("opened");
    let handle = sample.sim.open(&sample.path, OpenMode::Read).expect("opened");
    sample.sim.set_observer(Arc::new(|_: &SimVfs, call: &Call| match call.op {
        Op::Read if call.offset == 128 + BLOCK_BYTES as u64 => Action::Fail(Fault::ReadEio),
        _ => Action::Proceed,
    }));
    let section = file.section(KIND).expect("there");
    let error = section.read_raw(&*handle, BLOCK_BYTES..BLOCK_BYTES + 10).expect_err("unreadable");
    assert_eq!(error.kind(), ErrorKind::Io);
    for found in [sample.verify(), file.scrub(&*handle)] {
        assert_eq!(found.iter().map(|bad| bad.offset).collect::<Vec<_>>(), [128 + BLOCK_BYTES as u64]);
    }
    assert_eq!(file.quarantined(), 1);
    sample.sim.clear_observer();
}

#[test]
fn padding_is_zero_or_it_is_found() {
    let sample = Sample::of(&[(1, b"x"), (2, b"y")]);
    sample.sim.flip_bit(&sample.path, 128 + 63, 0);
    let found = sample.verify();
    assert_eq!(found.iter().map(|bad| (bad.offset, bad.len)).collect::<Vec<_>>(), [(129, 63)]);
}

#[test]
fn a_segment_outlives_its_name() {
    let (sample, data) = four_blocks();
    let file = sample.open().expect("opened");
    sample.sim.remove_file(&sample.path).expect("removed");
    assert_eq!(file.section(KIND).and_then(|section| section.bytes_all().ok()), Some(&data[..]));
    assert_eq!(sample.open().map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    let gone = verify_segment(&sample.sim, &sample.path, STORE, ID, &sample.file_ref);
    assert_eq!(gone.map_err(|error| error.kind()), Err(ErrorKind::NotFound));
}

#[test]
fn many_threads_may_touch_the_same_blocks_first() {
    let (sample, data) = four_blocks();
    sample.sim.flip_bit(&sample.path, 130, 1);
    let file = sample.open().expect("opened");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let section = file.section(KIND).expect("there");
                assert!(section.bytes(0..1).is_err());
                assert_eq!(section.bytes(BLOCK_BYTES..data.len()).ok(), Some(&data[BLOCK_BYTES..]));
            });
        }
    });
    assert_eq!(file.quarantined(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn round_trip_in_any_pieces(
        sections in proptest::collection::vec(proptest::collection::vec(0usize..100_000, 0..6), 0..5),
        ranges in proptest::collection::vec((0usize..400_000, 0usize..400_000), 1..8),
    ) {
        let data = bytes(100_000);
        let sim = crate::segment::sample::folder();
        let mut writer = SegmentWriter::create(&sim, &layout(), STORE, ID)?;
        for (kind, pieces) in sections.iter().enumerate() {
            writer.begin(SectionKind(kind as u16))?;
            pieces.iter().try_for_each(|len| writer.write(&data[..*len]))?;
            writer.end()?;
        }
        let file_ref = writer.finish()?;
        let sample = Sample { sim, path: layout().segment_path(ID), file_ref };
        let file = sample.open()?;
        for (kind, pieces) in sections.iter().enumerate() {
            let whole: Vec<u8> = pieces.iter().flat_map(|len| &data[..*len]).copied().collect();
            let section = file.section(SectionKind(kind as u16)).expect("there");
            for (a, b) in &ranges {
                let range = (*a.min(b)).min(whole.len())..(*a.max(b)).min(whole.len());
                prop_assert!(section.bytes(range.clone())? == &whole[range]);
            }
            prop_assert!(section.bytes_all()? == &whole[..]);
        }
        prop_assert_eq!(sample.verify(), vec![]);
    }
}
