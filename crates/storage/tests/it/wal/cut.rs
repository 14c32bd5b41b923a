//! Where recovery ends the log, and when that is corruption instead.

use codegraph_vector_storage::wal::Cut;
use codegraph_vector_testkit::SimVfs;

use super::*;

const LEN: usize = 41;

/// A copy with one bit of byte `at` of the file turned.
fn flipped(sim: &SimVfs, first: u64, at: u64) -> SimVfs {
    let copy = sim.kill();
    copy.flip_bit(wal_path(first), at, (at % 8) as u8);
    copy
}

fn corrupt(vfs: &SimVfs, range: ScanRange) -> (PathBuf, u64) {
    let error = read_range(vfs, range).expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    (error.path().expect("names the file").to_owned(), error.offset().expect("names the byte"))
}

#[test]
fn the_log_ends_at_the_first_bad_frame_and_the_cut_is_reported() {
    let (sim, starts) = written(3, LEN, ENDLESS);
    let (last, end) = (FILE_HEADER + starts[2].0, FILE_HEADER + starts[3].0);
    for at in last..end {
        let (found, scan) = read(&flipped(&sim, 0, at));
        assert_eq!((found, scan.end, scan.groups, scan.records), (vec![0, 1], starts[2], 2, 2));
        // The zeros at the end of a frame are its padding, which its checksum covers too.
        let Some(Cut { path, offset, lsn, bytes }) = scan.cut else {
            panic!("the cut at {at} was not reported")
        };
        assert_eq!((path, offset, lsn), (wal_path(0), last, starts[2]));
        assert!(bytes <= end - last && bytes + 8 > end - last, "{bytes}");
    }
    let (found, scan) = read(&sim);
    assert_eq!((found.len(), scan.cut, scan.end), (3, None, starts[3]));
}

#[test]
fn a_file_that_ends_early_ends_the_log_at_a_whole_group() {
    let (sim, starts) = written(3, LEN, ENDLESS);
    for len in FILE_HEADER + starts[2].0..FILE_HEADER + starts[3].0 {
        sim.truncate_durable(wal_path(0), len);
        let (found, scan) = read(&sim);
        assert_eq!((found, scan.end), (vec![0, 1], starts[2]));
        sim.truncate_durable(wal_path(0), FILE_HEADER + starts[3].0); // Longer again, by zeros.
        assert_eq!(read(&sim).0, [0, 1]);
    }
}

#[test]
fn a_later_group_proves_that_bad_bytes_had_been_durable() {
    let (sim, starts) = written(3, LEN, ENDLESS);
    let record = FILE_HEADER + starts[1].0 + GROUP_HEADER;
    for at in FILE_HEADER + starts[1].0..FILE_HEADER + starts[2].0 {
        let bad = if at < record { FILE_HEADER + starts[1].0 } else { record };
        assert_eq!(corrupt(&flipped(&sim, 0, at), all()), (wal_path(0), bad));
    }
}

#[test]
fn a_later_group_that_was_written_unsynced_proves_nothing() {
    let sim = SimVfs::new(1);
    let numbers = Numbers::new(create(&sim, ENDLESS), 0, SyncPolicy::WriteOnly);
    for _ in 0..3 {
        numbers.put(LEN).expect("written");
    }
    let (found, scan) = read(&flipped(&sim, 0, FILE_HEADER + 3));
    assert_eq!((found.len(), scan.end), (0, Lsn(0)));
    assert!(scan.cut.is_some_and(|cut| cut.bytes > 200));
}

#[test]
fn the_manifest_proves_that_bad_bytes_had_been_durable() {
    let (sim, starts) = written(3, LEN, ENDLESS);
    let (last, end) = (FILE_HEADER + starts[2].0, FILE_HEADER + starts[3].0);
    let range = ScanRange { proven: starts[3], ..all() };
    for at in last..end {
        let (path, offset) = corrupt(&flipped(&sim, 0, at), range);
        assert!(path == wal_path(0) && (last..end).contains(&offset));
    }
    for len in FILE_HEADER..end {
        let copy = sim.kill();
        copy.truncate_durable(wal_path(0), len);
        assert_eq!(corrupt(&copy, range).0, wal_path(0));
    }
    assert!(read_range(&sim, range).is_ok());
}

#[test]
fn the_next_file_proves_that_bad_bytes_had_been_durable() {
    let (sim, starts) = written(3, LEN, 150);
    assert_eq!(files(&sim), [0, starts[2].0]);
    for at in FILE_HEADER..FILE_HEADER + starts[2].0 {
        let (path, offset) = corrupt(&flipped(&sim, 0, at), all());
        assert!(path == wal_path(0) && (FILE_HEADER..=at).contains(&offset), "{at}: {offset}");
    }
    for len in 0..FILE_HEADER + starts[2].0 {
        let copy = sim.kill();
        copy.truncate_durable(wal_path(0), len);
        assert_eq!(corrupt(&copy, all()).0, wal_path(0));
    }
}

#[test]
fn a_damaged_file_header_is_corruption() {
    let (sim, _) = written(1, LEN, ENDLESS);
    for at in 0..FILE_HEADER {
        assert_eq!(corrupt(&flipped(&sim, 0, at), all()), (wal_path(0), 0));
    }
}

#[test]
fn a_missing_file_is_corruption() {
    let (sim, starts) = written(6, LEN, 150);
    assert_eq!(files(&sim), [0, starts[2].0, starts[4].0]);
    for (gone, named) in [(0, 0), (starts[2].0, 0)] {
        let copy = sim.kill();
        copy.remove_file(&wal_path(gone)).expect("removed");
        assert_eq!(corrupt(&copy, all()).0, wal_path(named));
    }
    let copy = sim.kill();
    copy.remove_file(&wal_path(starts[4].0)).expect("removed");
    assert_eq!(corrupt(&copy, ScanRange { proven: starts[5], ..all() }).0, wal_path(starts[2].0));
    let copy = sim.kill();
    files(&sim).iter().for_each(|first| copy.remove_file(&wal_path(*first)).expect("removed"));
    corrupt(&copy, all());
}

#[test]
fn checksums_cover_store_epoch_and_position() {
    let (sim, starts) = written(3, LEN, ENDLESS);
    let place =
        |group: usize| (FILE_HEADER + starts[group].0) as usize..(FILE_HEADER + starts[group + 1].0) as usize;
    let file = sim.read_all(wal_path(0)).expect("there");
    let with_last = |bytes: &[u8]| {
        let copy = sim.kill();
        let mut changed = file.clone();
        changed[place(2)].copy_from_slice(bytes);
        copy.write_raw(wal_path(0), &changed);
        read(&copy).0
    };
    assert_eq!(with_last(&file[place(2)]), [0, 1, 2]);
    assert_eq!(with_last(&file[place(1)]), [0, 1], "another position");
    for other in [Seal { store: StoreId([8; 16]), ..seal(1) }, seal(2)] {
        let sim = SimVfs::new(1);
        layout().create_dirs(&sim).expect("folders");
        let appender = Appender::create(Arc::new(sim.clone()), folder(), other, ENDLESS).expect("created");
        let numbers = Numbers::new(appender, 0, SyncPolicy::Sync);
        (0..3).for_each(|_| assert!(numbers.put(LEN).is_ok()));
        let others = sim.read_all(wal_path(0)).expect("there");
        assert_eq!(with_last(&others[place(2)]), [0, 1], "{other:?}");
    }
}

#[test]
fn a_file_of_another_store_or_position_is_refused() {
    let (sim, starts) = written(3, LEN, 150);
    let error = scan(&sim, &folder(), StoreId([8; 16]), all(), &mut |_| Ok(())).expect_err("another store");
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*wal_path(0))));
    let first = sim.read_all(wal_path(0)).expect("there");
    sim.write_raw(wal_path(starts[2].0), &first);
    assert_eq!(corrupt(&sim, all()).0, wal_path(starts[2].0));
}

#[test]
fn a_reader_goes_no_further_than_its_limit() {
    let (sim, starts) = written(5, LEN, 150);
    for (groups, start) in starts.iter().enumerate() {
        for limit in start.0..start.0 + 3 {
            let (found, scan) = read_range(&sim, ScanRange { limit: Lsn(limit), ..all() }).expect("sound");
            assert_eq!((found.len(), scan.end, scan.cut), (groups, *start, None));
        }
    }
    let (found, _) = read_range(&sim, ScanRange { from: starts[3], ..all() }).expect("sound");
    assert_eq!(found, [3, 4]);
}

#[test]
fn a_file_that_lost_zeros_it_was_born_with_was_cut_short() {
    let (sim, starts) = written(2, LEN, ENDLESS);
    assert!(read(&sim).1.check_uncut().is_ok());
    let whole = sim.read_all(wal_path(0)).expect("there").len() as u64;
    for len in [whole - 1, FILE_HEADER + starts[2].0, FILE_HEADER] {
        sim.truncate_durable(wal_path(0), len);
        let error = read(&sim).1.check_uncut().expect_err("cut short");
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(len)));
        sim.truncate_durable(wal_path(0), whole);
    }
}
