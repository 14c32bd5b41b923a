//! What only the inside of the log can set up; the rules of durability are tested in `tests/it/wal`.

use std::path::PathBuf;
use std::sync::Arc;

use codegraph_vector_base::frame::{Check, Damage, Seal};
use codegraph_vector_base::vfs::{OpenMode, Vfs};
use codegraph_vector_base::{Epoch, ErrorKind, Lsn, StoreId};
use codegraph_vector_testkit::{Rng, SimVfs};

use super::appender::FIRST_BLANK_BYTES;
use super::file::{HEADER_BYTES, WalFile};
use super::group::{self, GroupHeader, parse_records};
use super::*;

const SEAL: Seal = Seal { store: StoreId([7; 16]), epoch: Epoch(3) };

fn folder() -> PathBuf {
    PathBuf::from("/wal")
}

fn all() -> ScanRange {
    ScanRange { from: Lsn(0), proven: Lsn(0), limit: Lsn(u64::MAX), check: Check::Verify }
}

/// A sealed group of one record.
fn group(start: Lsn, synced: Lsn, payload: &[u8]) -> Vec<u8> {
    let mut group = Group::new(SEAL, start);
    group.append(20, &[payload]);
    group.seal(synced).to_vec()
}

/// A file system with one log file that holds `frames` at their positions, and zeros.
fn file_of(frames: &[(Lsn, &[u8])], len: u64) -> SimVfs {
    let sim = SimVfs::new(1);
    sim.create_dir_all(&folder()).expect("a folder");
    let path = wal_path(&folder(), Lsn(0));
    let file = WalFile::create(&sim, path, SEAL, Lsn(0), &[], len).expect("created");
    for (lsn, bytes) in frames {
        file.file.write_at(bytes, file.header.offset_of(*lsn)).expect("written");
    }
    sim
}

#[test]
fn a_proof_is_found_wherever_it_lies_behind_the_cut() {
    const CHUNK: u64 = 1 << 20; // What is searched at a time.
    let places = [40, 48, 1 << 16]
        .into_iter()
        .chain((CHUNK - 96..CHUNK + 96).step_by(8))
        .chain((2 * CHUNK - 160..2 * CHUNK + 160).step_by(8));
    for place in places {
        let later = group(Lsn(place), Lsn(place), b"later");
        let sim = file_of(&[(Lsn(place), &later[..group::HEADER_BYTES])], 3 << 20);
        let error = scan(&sim, &folder(), SEAL.store, all(), &mut |_| Ok(())).expect_err("had been durable");
        assert_eq!(
            (error.kind(), error.offset()),
            (ErrorKind::Corrupt, Some(HEADER_BYTES as u64)),
            "{place}"
        );
        // The same frame, not synced beyond the cut: this is how an unsynced end looks.
        let later = group(Lsn(place), Lsn(0), b"later");
        let sim = file_of(&[(Lsn(place), &later)], 3 << 20);
        let cut =
            scan(&sim, &folder(), SEAL.store, all(), &mut |_| Ok(())).expect("a cut").cut.expect("reported");
        assert_eq!((cut.lsn, cut.bytes), (Lsn(0), place + later.len() as u64 - 3), "three bytes of padding");
    }
}

#[test]
fn a_group_header_says_nothing_that_cannot_be() {
    let sealed = group(Lsn(800), Lsn(800), b"payload");
    let header = GroupHeader::parse(&sealed[..group::HEADER_BYTES], &SEAL, Lsn(800), Check::Verify);
    assert_eq!(header, Ok(GroupHeader { synced_lsn: Lsn(800), body_bytes: 24, records: 1 }));
    let from_the_future = group(Lsn(800), Lsn(808), b"payload");
    let header = GroupHeader::parse(&from_the_future, &SEAL, Lsn(800), Check::Verify);
    assert_eq!(header, Err(Damage::Header), "synced beyond itself");
    let record = &sealed[group::HEADER_BYTES..];
    assert_eq!(
        GroupHeader::parse(record, &SEAL, Lsn(840), Check::Verify),
        Err(Damage::Header),
        "a record is not a header"
    );
}

#[test]
fn a_group_holds_records_only_and_as_many_as_its_header_says() {
    let at = Lsn(40);
    let sealed = group(Lsn(0), Lsn(0), b"payload");
    let body = &sealed[group::HEADER_BYTES..];
    let header = |records| GroupHeader { synced_lsn: Lsn(0), body_bytes: body.len() as u64, records };
    assert_eq!(parse_records(&header(1), body, &SEAL, at, Check::Verify).map(|records| records.len()), Ok(1));
    for records in [0, 2, u64::MAX] {
        assert!(parse_records(&header(records), body, &SEAL, at, Check::Verify).is_err());
    }
    // A group header where a record should be.
    let nested = &group(at, Lsn(0), b"")[..group::HEADER_BYTES];
    let found = parse_records(&header(1), nested, &SEAL, at, Check::Verify);
    assert_eq!(found.map(|records| records.len()), Err((at, Damage::Header)));
}

#[test]
fn a_group_without_records_is_one_all_the_same() {
    let mut empty = Group::new(SEAL, Lsn(0));
    assert!(empty.is_empty());
    let sealed = empty.seal(Lsn(0)).to_vec();
    let sim = file_of(&[(Lsn(0), &sealed)], 1000);
    let scanned = scan(&sim, &folder(), SEAL.store, all(), &mut |_| Ok(())).expect("sound");
    assert_eq!((scanned.end, scanned.groups, scanned.records, scanned.cut), (Lsn(40), 1, 0, None));
}

#[test]
fn a_buffer_can_be_used_for_another_group() {
    let mut used = Group::new(SEAL, Lsn(0));
    used.append(30, &[&[1; 1000]]);
    let other = Seal { epoch: Epoch(4), ..SEAL };
    used.reset(other, Lsn(64));
    assert_eq!((used.start(), used.end(), used.is_empty()), (Lsn(64), Lsn(104), true));
    used.append(31, &[b"a", b"", b"bc"]);
    let sealed = used.seal(Lsn(8)).to_vec();
    let header =
        GroupHeader::parse(&sealed[..group::HEADER_BYTES], &other, Lsn(64), Check::Verify).expect("sound");
    let records = parse_records(&header, &sealed[group::HEADER_BYTES..], &other, Lsn(104), Check::Verify);
    let records = records.expect("sound");
    assert_eq!((records[0].0, records[0].1.kind, records[0].1.payload), (Lsn(104), 31, &b"abc"[..]));
}

#[test]
fn a_tail_as_long_as_its_file_is_rewritten_byte_for_byte_but_for_the_seal() {
    let mut rng = Rng::new(5);
    let sim = SimVfs::new(1);
    sim.create_dir_all(&folder()).expect("a folder");
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    let mut appender = Appender::create(vfs.clone(), folder(), SEAL, u64::MAX).expect("created");
    for _ in 0..50 {
        let len = rng.below(3000);
        let payload = rng.bytes(len);
        let sealed = group(appender.end(), appender.synced(), &payload);
        appender.append(&sealed).expect("written");
    }
    let read = |vfs: &SimVfs| {
        let mut found = Vec::new();
        let scanned = scan(vfs, &folder(), SEAL.store, all(), &mut |record| {
            found.push((record.lsn, record.group_end, record.kind, record.payload.to_vec()));
            Ok(())
        });
        (found, scanned.expect("sound"))
    };
    let (before, scanned) = read(&sim);
    let how =
        Continuation { clean_close: None, epoch: Epoch(0), max_file_bytes: u64::MAX, rewrite_tail: true };
    let resumed = resume(vfs, &folder(), scanned, how).expect("resumed");
    assert_eq!(
        (resumed.end(), resumed.synced(), resumed.epoch()),
        (appender.end(), appender.end(), Epoch(4))
    );
    let (after, scanned) = read(&sim);
    assert_eq!((after, scanned.end), (before, appender.end()));
    // Blank space follows the tail, as in a new file.
    let file = sim.open(&wal_path(&folder(), Lsn(0)), OpenMode::Read).expect("there");
    assert_eq!(file.len().expect("known"), HEADER_BYTES as u64 + appender.end().0 + FIRST_BLANK_BYTES);
}
