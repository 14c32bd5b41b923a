//! What is kept of vectors is read as it was written, and damage to any of it is seen.

use codegraph_vector_ann::codec::CodecReport;
use codegraph_vector_base::ErrorKind;
use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_testkit::{Rng, SimVfs, generators};

use super::sample::*;
use super::*;
use crate::cache::Caches;
use crate::compression::{Encoding, Keep, TrainedCodec, direction};
use crate::options::CacheConfig;
use crate::rows::{SAMPLE_ROWS, sample_key};

fn vectors(rows: usize, dimension: usize) -> Vec<Vec<f32>> {
    let rng = &mut Rng::new(5);
    let mut vectors: Vec<_> = (0..rows).map(|_| generators::vector(rng, dimension)).collect();
    vectors[1].fill(0.0); // No direction, no norm.
    vectors[2].iter_mut().for_each(|x| *x *= 1e30);
    vectors[3].iter_mut().for_each(|x| *x *= 1e-30);
    vectors
}

/// What a row is read as, worked out from the codec alone.
fn expected(trained: &TrainedCodec, vector: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let norm = codegraph_vector_ann::norm(vector);
    let mut input = Vec::new();
    trained.push_input(vector, norm, &mut input);
    let mut code = vec![0; trained.code_bytes()];
    trained.codec.encode(&input, &mut code);
    let mut decoded = vec![0.0; vector.len()];
    trained.codec.decode(&code, &mut decoded);
    if trained.codec.input() == codegraph_vector_ann::codec::Input::Direction {
        decoded.iter_mut().for_each(|x| *x *= norm);
    }
    (code, decoded)
}

/// Vectors, groups and sample of a segment are those of the rows.
fn check(segment: &Segment, given: &[Vec<f32>], codec: Option<&Arc<TrainedCodec>>) {
    let all = segment.vectors(0..segment.rows()).expect("sound");
    for (row, vector) in given.iter().enumerate() {
        let read = segment.vector(row as RowOrdinal).expect("sound");
        assert_eq!(&all[row * vector.len()..][..vector.len()], &*read, "row {row}");
        assert!(read.iter().all(|x| x.is_finite()));
        match segment.keep() {
            Keep::Full => assert_eq!(&*read, &vector[..]),
            Keep::F16 => {
                let norm = codegraph_vector_ann::norm(vector);
                let near = |(x, y): (&f32, &f32)| (x - y).abs() <= x.abs() / 2000.0 + norm * 1e-7;
                assert!(vector.iter().zip(&*read).all(near), "row {row}: {vector:?} {read:?}");
            }
            Keep::None => assert_eq!(read, expected(codec.expect("a codec"), vector).1, "row {row}"),
        }
    }
    let codes = codes(segment);
    assert_eq!((codes.len(), segment.is_coded()), (codec.map_or(0, |_| given.len()), codec.is_some()));
    for (vector, (id, code)) in given.iter().zip(codes) {
        let codec = codec.expect("codes have a codec");
        assert_eq!((id, code), (codec.id.0, expected(codec, vector).0));
    }
}

#[test]
fn every_keep_with_every_codec_is_read_as_it_was_written() {
    let given = vectors(130, 12);
    let codecs = [4, 8, 16, 32].map(|nbits| Some(trained(&spec(nbits), 12, &given)));
    for codec in codecs.iter().chain([&None]) {
        for keep in [Keep::Full, Keep::F16, Keep::None] {
            if codec.is_none() && keep == Keep::None {
                continue;
            }
            let (sim, info) = segment_of(&given, keep, codec.as_ref());
            let segment = open(&sim, &info, 12).expect("opened");
            assert_eq!((segment.keep(), segment.is_exact()), (keep, keep == Keep::Full));
            check(&segment, &given, codec.as_ref());
            segment.verify_rows(&caches(&sim)).expect("sound");
            // An older version refuses what it would take for damage.
            let file = sim.read_all(layout().segment_path(ID)).expect("there");
            assert_eq!(file[16..24], u64::from(keep != Keep::Full).to_le_bytes());
            let kept = segment.kept(0).expect("sound");
            assert_eq!(kept.codec, codec.as_ref().map(|codec| codec.codec.spec().to_string()));
        }
    }
}

fn caches(sim: &SimVfs) -> Caches {
    Caches::new(Arc::new(sim.clone()), layout(), &CacheConfig::default())
}

#[test]
fn codes_only_need_a_codec_and_segments_share_it() {
    let given = vectors(8, 4);
    let encoding = Encoding { keep: Keep::None, codec: None };
    let built = build_from(&folder(), &rows_of(&given), &Given(given.clone()), 4, encoding);
    assert_eq!(built.expect_err("no codes").kind(), ErrorKind::InvalidInput);
    let codec = trained(&spec(8), 4, &given);
    let segments = [Keep::None, Keep::Full].map(|keep| {
        let (sim, info) = segment_of(&given, keep, Some(&codec));
        open(&sim, &info, 4).expect("opened")
    });
    let [a, b] = segments.each_ref().map(|segment| segment.groups().expect("sound").remove(0));
    assert!(Arc::ptr_eq(&a.trained, &b.trained) && a.trained.report == codec.report);
    assert!(a.ordinals.is_none() && a.codes.rows() == 8);
}

#[test]
fn more_rows_than_are_held_at_once_and_a_sample_of_the_least_keys() {
    let given = vectors(2500, 48);
    let codec = trained(&spec(8), 48, &given);
    assert!(codec.codec.layout().tail > 0, "the tails are what is made twice");
    let (sim, info) = segment_of(&given, Keep::None, Some(&codec));
    let segment = open(&sim, &info, 48).expect("opened");
    check(&segment, &given, Some(&codec));
    let Calibration { ordinals, vectors } = segment.calibration().expect("sound").expect("a sample");
    let mut by_key: Vec<_> = (0..given.len()).collect();
    by_key.sort_by_key(|row| sample_key(id(*row)));
    by_key.truncate(SAMPLE_ROWS);
    by_key.sort_unstable();
    assert!(by_key.iter().eq(ordinals.iter().map(|row| *row as usize).collect::<Vec<_>>().iter()));
    for (row, vector) in by_key.iter().zip(vectors.chunks_exact(48)) {
        assert_eq!(vector, &given[*row][..]);
    }
}

/// Rows of a segment, as a merge would read them, but by one number.
struct Reread<'a>(&'a Segment, Option<CodeReader<'a>>);

impl RowSource<usize> for Reread<'_> {
    fn keep(&self, _: usize) -> Keep {
        self.0.keep()
    }

    fn vector(&self, row: usize, read: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        read(&self.0.vector(row as RowOrdinal)?)
    }

    fn half(&self, row: usize, read: &mut dyn FnMut(&[half::f16]) -> Result<()>) -> Result<()> {
        read(self.0.half(row as RowOrdinal)?)
    }

    fn codec(&self, row: usize) -> Result<Option<&Arc<TrainedCodec>>> {
        self.1.as_ref().map(|reader| reader.codec(row as RowOrdinal)).transpose()
    }

    fn code(&self, row: usize, code: &mut Vec<u8>) -> Result<()> {
        self.1.as_ref().expect("codes").read(row as RowOrdinal, code).map(|_| ())
    }

    fn has_raw(&self, row: usize) -> bool {
        row.is_multiple_of(3)
    }

    fn raw(&self, row: usize, read: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        self.vector(row, read)
    }

    fn metadata(&self, row: usize, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        Given(Vec::new()).metadata(row, read)
    }
}

#[test]
fn half_floats_and_codes_are_copied_bit_for_bit_and_nothing_is_made_up() {
    let given = vectors(70, 6);
    let (old, new) = (trained(&spec(4), 6, &given), trained(&spec(8), 6, &given));
    let rows = rows_of(&given);
    for keep in [Keep::F16, Keep::None] {
        let (sim, info) = segment_of(&given, keep, Some(&old));
        let first = open(&sim, &info, 6).expect("opened");
        let source = Reread(&first, first.code_reader().expect("sound"));
        let encoding = |keep| Encoding { keep, codec: Some(new.clone()) };
        let sim = folder();
        let info = build_from(&sim, &rows, &source, 6, encoding(keep)).expect("built");
        let second = open(&sim, &info, 6).expect("opened");
        match keep {
            Keep::None => {
                assert_eq!(codes(&second), codes(&first));
                let sample = second.calibration().expect("sound").expect("a sample");
                assert!(sample.ordinals.iter().all(|row| row % 3 == 0) && sample.ordinals.len() == 24);
            }
            _ => {
                for row in 0..second.rows() {
                    assert_eq!(second.half(row).expect("sound"), first.half(row).expect("sound"));
                }
                assert!(codes(&second).iter().all(|(id, _)| *id == new.id.0));
            }
        }
        let more = build_from(&folder(), &rows, &source, 6, encoding(Keep::Full));
        assert_eq!(more.expect_err("lost is lost").kind(), ErrorKind::InvalidInput);
    }
}

/// All that can be asked about vectors, with what goes wrong.
fn answers(segment: &Segment) -> Vec<Result<Vec<u8>>> {
    let bytes = |floats: &[f32]| bytemuck::cast_slice::<f32, u8>(floats).to_vec();
    let mut answers: Vec<_> =
        (0..segment.rows()).map(|row| segment.vector(row).map(|vector| bytes(&vector))).collect();
    answers.push(segment.vectors(0..segment.rows()).map(|vectors| bytes(&vectors)));
    let sample = segment.calibration();
    answers.push(sample.map(|sample| sample.map_or(Vec::new(), |sample| bytes(sample.vectors))));
    let groups = segment.groups().map(|groups| {
        let described = |group: &CodeGroup<'_>| {
            let CodecReport { rows, recall_at_10, .. } = group.trained.report;
            format!("{:?} {:?} {rows} {recall_at_10} {:?}", group.trained.id, group.ordinals, group.codes)
        };
        groups.iter().map(described).collect::<String>().into_bytes()
    });
    answers.push(groups);
    answers
}

#[test]
fn a_turned_bit_anywhere_is_an_error_that_says_where_or_changes_nothing() {
    let given = vectors(9, 4);
    let codec = trained(&spec(8), 4, &given);
    for keep in [Keep::Full, Keep::F16, Keep::None] {
        let (sim, info) = segment_of(&given, keep, Some(&codec));
        let path = layout().segment_path(ID);
        let sound = answers(&open(&sim, &info, 4).expect("opened"));
        let mut refused = 0;
        for at in 0..sim.read_all(&path).expect("there").len() {
            let sim = sim.kill();
            sim.flip_bit(&path, at as u64, (at % 8) as u8);
            let failed = |error: &Error| {
                assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*path)), "{at}: {error}");
                assert!(error.offset().is_some(), "{at}: {error}");
            };
            let segment = match open(&sim, &info, 4) {
                Ok(segment) => segment,
                Err(error) => {
                    failed(&error);
                    continue;
                }
            };
            let found = answers(&segment);
            for (found, sound) in found.iter().zip(&sound) {
                match found {
                    Ok(found) => assert_eq!(Some(found), sound.as_ref().ok(), "{at}"),
                    Err(error) => failed(error),
                }
            }
            let of = |kind| {
                let section = segment.file.section(kind);
                section.is_some_and(|section| {
                    (section.file_offset()..section.file_offset() + section.len() as u64)
                        .contains(&(at as u64))
                })
            };
            let damaged = [kind::VECTORS, kind::VECTORS_F16, kind::CODES, kind::CODEBOOKS, kind::RAW_SAMPLE];
            if damaged.into_iter().chain([kind::STORED_CHECKSUMS]).any(of) {
                refused += 1;
                assert!(found.iter().any(Result::is_err), "{at}: nobody sees it");
                assert!(segment.verify_rows(&caches(&sim)).is_err(), "{at}: verify does not see it");
            }
            if keep > Keep::None && (of(kind::CODES) || of(kind::CODEBOOKS)) {
                // What is kept beside the codes is as good as ever.
                assert!(found[..=given.len()].iter().all(Result::is_ok) && found[given.len() + 2].is_err());
            }
        }
        assert!(refused > 500, "{keep}: {refused}");
    }
}

#[test]
fn what_blocks_do_not_tell_the_rows_and_codebooks_do() {
    let given = vectors(9, 4);
    let codec = trained(&spec(8), 4, &given);
    let damaged = |keep, kind, at| {
        let (sim, info) = segment_of(&given, keep, Some(&codec));
        let (sim, info) = resealed(&sim, &info, kind, at);
        assert!(sim.exists(&layout().segment_path(ID)).expect("looked up"));
        open(&sim, &info, 4).expect("opened")
    };
    let refused = |segment: &Segment, row| {
        let error = segment.vector(row).expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.path().is_some() && error.offset().is_some(), "{error}");
        assert!(segment.verify_rows(&caches(&SimVfs::new(1))).is_err());
    };
    let half_bytes = 4 * 2;
    let segment = damaged(Keep::F16, kind::VECTORS_F16, 5 * half_bytes + 1);
    refused(&segment, 5);
    assert!(segment.vector(4).is_ok() && segment.vector(6).is_ok());
    for keep in [Keep::F16, Keep::None] {
        let segment = damaged(keep, kind::STORED_CHECKSUMS, 4 * 7);
        refused(&segment, 7);
        assert!(segment.vector(6).is_ok());
    }
    // Behind head and table: byte 0 of the first block's codes, row by row.
    let segment = damaged(Keep::None, kind::CODES, 64 + 64 + 2);
    refused(&segment, 2);
    assert!(segment.vector(3).is_ok());
    for keep in [Keep::Full, Keep::None] {
        let segment = damaged(keep, kind::CODEBOOKS, 64 + 64 + 70);
        let error = segment.groups().expect_err("not of that hash");
        assert_eq!((error.kind(), error.offset().is_some()), (ErrorKind::Corrupt, true), "{error}");
        assert_eq!(segment.vector(0).is_ok(), keep == Keep::Full);
    }
}

#[test]
fn directions_have_the_length_of_one_or_none() {
    for vector in vectors(20, 7) {
        let of: Vec<f32> = direction(&vector, codegraph_vector_ann::norm(&vector)).collect();
        let length = codegraph_vector_ann::norm(&of);
        assert!((length - 1.0).abs() < 1e-5 || (length == 0.0 && vector.iter().all(|x| *x == 0.0)));
    }
}
