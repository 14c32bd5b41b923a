use codegraph_vector_base::ErrorKind;

use super::*;
use crate::segment::sample::{ID, STORE, Sample, bytes, folder, layout};
use crate::segment::{SegmentFile, SegmentWriter, verify_segment};

const LEN: u64 = BLOCK_BYTES as u64 + 10;

fn entry(kind: u16, offset: u64, len: u64, crcs_offset: u64) -> SectionEntry {
    SectionEntry { kind: SectionKind(kind), reserved: 0, offset, len, crcs_offset }
}

/// The same segment with another table, all checksums made to fit, as only a bug or an attacker would.
fn forged(change: impl FnOnce(&mut Vec<SectionEntry>, &mut Trailer)) -> Sample {
    let mut sample = Sample::of(&[(1, &bytes(LEN as usize)), (2, &bytes(5))]);
    let file = sample.sim.read_all(&sample.path).expect("there");
    let trailer_at = file.len() - TRAILER_BYTES;
    let mut trailer = Trailer::decode(&file[trailer_at..], &sample.file_ref, &sample.path).expect("sound");
    let tables = &file[trailer.crcs_offset as usize..trailer_at];
    let mut entries = decode_table(&file[..ENVELOPE_BYTES], tables, &trailer, &sample.path).expect("sound");
    change(&mut entries, &mut trailer);
    let table = wire::encode(&entries).expect("encoded");
    let mut file = file[..trailer_at - 8 - 2 * 28].to_vec();
    if let Some(crcs) = file.get(trailer.crcs_offset as usize..) {
        trailer.table_crc = table_crc(&file[..ENVELOPE_BYTES], crcs, &table);
    }
    file.extend_from_slice(&table);
    trailer.file_bytes = (file.len() + TRAILER_BYTES) as u64;
    file.extend_from_slice(&trailer.encode());
    sample.sim.write_raw(&sample.path, &file);
    sample.file_ref = SegmentFileRef { file_bytes: file.len() as u64, table_crc: trailer.table_crc };
    sample
}

#[test]
fn blocks_are_cut_to_the_section() {
    let entry = entry(1, 128, LEN, 0);
    assert_eq!(entry.blocks(), 2);
    assert_eq!(entry.block(0), (128, BLOCK_BYTES));
    assert_eq!(entry.block(1), (128 + BLOCK_BYTES as u64, 10));
}

#[test]
fn an_impossible_table_is_refused_though_checksums_fit() {
    forged(|_, _| {}).open().expect("the forgery itself is sound");
    let changes: [fn(&mut Vec<SectionEntry>, &mut Trailer); 11] = [
        |entries, _| entries[0].offset = u64::MAX,
        |entries, _| entries[0].len = u64::MAX,
        |entries, _| entries[1].offset += 64,
        |entries, _| entries[1].len += 64,
        |entries, _| entries[1].kind = entries[0].kind,
        |entries, _| entries[1].reserved = 1,
        |entries, _| entries[1].crcs_offset = 0,
        |entries, _| entries[0].crcs_offset = u64::MAX,
        |entries, _| entries.truncate(1),
        |entries, _| entries.push(entry(3, 0, 0, 0)),
        |entries, _| entries.clear(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let sample = forged(change);
        let error = sample.open().expect_err("impossible");
        assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*sample.path)), "change {index}");
        assert!(error.offset().is_some());
        assert_eq!(sample.verify().len(), 1, "change {index}");
    }
}

#[test]
fn an_impossible_trailer_is_refused_though_checksums_fit() {
    let changes: [fn(&mut Vec<SectionEntry>, &mut Trailer); 5] = [
        |_, trailer| trailer.crcs_offset = 0,
        |_, trailer| trailer.crcs_offset = u64::MAX,
        |_, trailer| trailer.table_offset = u64::MAX,
        |_, trailer| trailer.table_offset = trailer.crcs_offset - 1,
        |_, trailer| trailer.table_offset += 1,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let sample = forged(change);
        let error = sample.open().expect_err("impossible");
        assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*sample.path)), "change {index}");
        assert_eq!(sample.verify().len(), 1, "change {index}");
    }
}

#[test]
fn only_the_very_file_of_the_manifest_is_opened() {
    let sample = Sample::of(&[(1, b"x")]);
    let refused = |store, id, file_ref: SegmentFileRef| {
        let error = SegmentFile::open(&sample.sim, &sample.path, store, id, &file_ref).expect_err("refused");
        assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*sample.path)));
        let found = verify_segment(&sample.sim, &sample.path, store, id, &file_ref).expect("looked at");
        assert_eq!(found.len(), 1);
    };
    let good = sample.file_ref;
    refused(StoreId([8; 16]), ID, good);
    refused(STORE, SegmentId(4), good);
    refused(STORE, ID, SegmentFileRef { table_crc: !good.table_crc, ..good });
    for file_bytes in [0, 1, good.file_bytes - 1, good.file_bytes + 1, u64::MAX] {
        refused(STORE, ID, SegmentFileRef { file_bytes, ..good });
    }
    sample.open().expect("the right one");
}

#[test]
fn a_newer_format_is_unsupported_not_corrupt() {
    let sample = Sample::of(&[(1, b"x")]);
    let good = sample.sim.read_all(&sample.path).expect("there");
    for (at, value) in [(8, 2_u8), (16, 2), (23, 0x80)] {
        let mut file = good.clone();
        file[at] = value;
        let crc = crc32c(&file[..124]);
        file[124..128].copy_from_slice(&crc.to_le_bytes());
        sample.sim.write_raw(&sample.path, &file);
        let error = sample.open().expect_err("newer");
        assert_eq!((error.kind(), error.path()), (ErrorKind::Unsupported, Some(&*sample.path)));
        assert!(error.message().contains("upgrade"), "{error}");
        let error =
            verify_segment(&sample.sim, &sample.path, STORE, ID, &sample.file_ref).expect_err("newer");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn a_known_feature_is_no_reason_to_refuse_and_an_unknown_one_is() {
    for (required, known) in [(LOSSY_VECTORS, true), (LOSSY_VECTORS | 2, false)] {
        let sim = folder();
        let mut writer =
            SegmentWriter::create_requiring(&sim, &layout(), STORE, ID, required).expect("created");
        writer.section(SectionKind(1), b"x").expect("written");
        let file_ref = writer.finish().expect("finished");
        let path = layout().segment_path(ID);
        let opened = SegmentFile::open(&sim, &path, STORE, ID, &file_ref);
        assert_eq!(opened.map_err(|error| error.kind()).err(), (!known).then_some(ErrorKind::Unsupported));
    }
}
