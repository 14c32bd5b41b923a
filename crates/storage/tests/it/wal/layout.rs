//! Names, header versions, and the writer's note.

use codegraph_vector_base::vfs::{OpenMode, Vfs};
use codegraph_vector_base::{Crc32c, Lsn};
use codegraph_vector_storage::wal::{SyncNote, parse_wal_name};
use codegraph_vector_testkit::SimVfs;

use super::*;

#[test]
fn only_names_that_the_log_gives_are_its_files() {
    for lsn in [0, 1, u64::MAX] {
        let path = wal_path(lsn);
        let name = path.file_name().expect("a name").to_str().expect("text");
        assert_eq!(parse_wal_name(name), Some(Lsn(lsn)));
    }
    for name in
        ["0.wal", "00000000000000000000", "00000000000000000000.wal.tmp", "+0000000000000000000.wal", ".wal"]
    {
        assert_eq!(parse_wal_name(name), None, "{name}");
    }
    assert_eq!(parse_wal_name("99999999999999999999.wal"), None, "beyond 64 bits");
    let (sim, _) = written(2, 10, ENDLESS);
    sim.write_raw(folder().join("stray.wal"), b"what");
    sim.write_raw(folder().join("00000000000000000009.wal.tmp"), b"what");
    assert_eq!(read(&sim).0, [0, 1]);
}

#[test]
fn a_newer_log_file_is_refused_as_such() {
    let (sim, _) = written(1, 10, ENDLESS);
    let bytes = sim.read_all(wal_path(0)).expect("there");
    // A higher version; a required feature; an optional one, which is none of our business.
    for (at, refused) in [(8, true), (16, true), (23, true), (24, false)] {
        let mut newer = bytes.clone();
        newer[at] += 2;
        let crc = Crc32c::new().update(&newer[..4092]).value();
        newer[4092..4096].copy_from_slice(&crc.to_le_bytes());
        sim.write_raw(wal_path(0), &newer);
        let kind = read_range(&sim, all()).map_err(|error| error.kind()).map(|(found, _)| found);
        assert_eq!(kind, if refused { Err(ErrorKind::Unsupported) } else { Ok(vec![0]) });
    }
}

#[test]
fn the_writer_s_note_comes_back_whole_or_not_at_all() {
    let sim = SimVfs::new(1);
    let file = sim.open("/LOCK".as_ref(), OpenMode::Create).expect("created");
    assert_eq!(SyncNote::read(&*file, STORE).ok(), Some(None), "none yet");
    let note = SyncNote { boot_id: u128::MAX - 7, synced_lsn: Lsn(u64::MAX - 9), epoch: Epoch(0x0102_0304) };
    note.write(&*file, STORE).expect("written");
    assert_eq!(SyncNote::read(&*file, STORE).ok(), Some(Some(note)));
    assert_eq!(SyncNote::read(&*file, StoreId([8; 16])).ok(), Some(None), "another store's");

    let before = sim.read_all("/LOCK").expect("there");
    let later = SyncNote { synced_lsn: Lsn(12345), epoch: Epoch(9), boot_id: 3 };
    later.write(&*file, STORE).expect("written");
    let after = sim.read_all("/LOCK").expect("there");
    for torn in 0..=after.len() {
        let mut bytes = after[..torn].to_vec();
        bytes.extend_from_slice(&before[torn..]);
        sim.write_raw("/LOCK", &bytes);
        let file = sim.open("/LOCK".as_ref(), OpenMode::Read).expect("opened");
        let expected = [Some(note), Some(later)].into_iter().find(|_| bytes == before || bytes == after);
        let found = SyncNote::read(&*file, STORE).expect("read");
        match expected {
            Some(_) => assert!(found == Some(note) || found == Some(later)),
            None => assert_eq!(found, None, "torn at {torn}"),
        }
    }
    for len in 0..32 {
        sim.truncate_durable("/LOCK", len);
        let file = sim.open("/LOCK".as_ref(), OpenMode::Read).expect("opened");
        assert_eq!(SyncNote::read(&*file, STORE).ok(), Some(None));
        sim.write_raw("/LOCK", &after);
    }
}
