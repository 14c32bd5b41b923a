//! Random logs, random crashes, random bytes.

use codegraph_vector_base::{Crc32c, vfs::OpenMode};
use codegraph_vector_storage::wal::Group;
use codegraph_vector_testkit::{CrashStyle, Rng, SimVfs};
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Records of these lengths, in one group.
    Group(Vec<usize>),
    Sync,
    /// A power cut, or only the end of the process; then the log is opened again.
    Crash(Option<CrashStyle>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![8 => 0..300_usize, 1 => 0..20_000_usize, 1 => 250_000..400_000_usize];
    let style = prop::option::of(prop::sample::select(CrashStyle::ALL.to_vec()));
    let step = prop_oneof![
        6 => prop::collection::vec(len, 1..5).prop_map(Step::Group),
        2 => Just(Step::Sync),
        1 => style.prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..40)
}

/// What was told, to hold the log against.
#[derive(Default)]
struct Told {
    /// How many records each group boundary is behind, in order.
    boundaries: Vec<u64>,
    /// Records known to be durable.
    synced: u64,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_leaves_whole_groups_and_all_that_was_synced(
        steps in steps(), seed: u64, max in 200_u64..100_000, sync: bool,
    ) {
        let policy = if sync { SyncPolicy::Sync } else { SyncPolicy::WriteOnly };
        let how = Continuation { max_file_bytes: max, ..unclean() };
        let mut rng = Rng::new(seed);
        let mut sim = SimVfs::new(seed);
        let mut numbers = Numbers::new(create(&sim, max), 0, policy);
        let mut told = Told { boundaries: vec![0], synced: 0 };
        for step in steps.iter().chain([&Step::Crash(Some(CrashStyle::Subset))]) {
            match step {
                Step::Group(lens) => {
                    let tickets: Vec<_> = lens.iter().map(|len| numbers.queue(*len).expect("queued")).collect();
                    let durable = numbers.wait(&tickets[0]).expect("committed").durable;
                    prop_assert_eq!(durable, sync);
                    let count = told.boundaries.last().copied().unwrap_or(0) + lens.len() as u64;
                    told.boundaries.push(count);
                    if durable {
                        told.synced = count;
                    }
                }
                Step::Sync => {
                    numbers.log.sync().expect("synced");
                    told.synced = told.boundaries.last().copied().unwrap_or(0);
                }
                Step::Crash(style) => {
                    sim = style.map_or_else(|| sim.kill(), |style| sim.crash(&mut rng, style));
                    let (reopened, found) = reopened(&sim, how, policy);
                    numbers = reopened;
                    let count = found.len() as u64;
                    prop_assert!(told.boundaries.contains(&count), "half a group: {count} of {:?}", told.boundaries);
                    prop_assert!(count >= told.synced, "{count} of {} synced", told.synced);
                    prop_assert!(style.is_some() || told.boundaries.last() == Some(&count), "lost by a kill");
                    told.boundaries.retain(|boundary| *boundary <= count);
                    told.synced = count; // The resume made it durable.
                }
            }
        }
    }

    #[test]
    fn records_come_back_as_they_were_written(
        groups in prop::collection::vec(
            prop::collection::vec((2_u16..=u16::MAX, prop::collection::vec(any::<u8>(), 0..200)), 1..6), 1..10,
        ),
        max in 1_u64..2_000,
    ) {
        let sim = SimVfs::new(1);
        let numbers = Numbers::create(&sim, max);
        let mut expected = Vec::new();
        for records in &groups {
            let (ticket, ()) = numbers.log.enqueue(|_, group: &mut Group| {
                for (kind, payload) in records {
                    let (front, back) = payload.split_at(payload.len() / 3);
                    expected.push((group.append(*kind, &[front, back]), *kind, payload.clone()));
                }
                Ok((0, ()))
            }).expect("queued");
            numbers.wait(&ticket).expect("acknowledged");
        }
        let mut found = Vec::new();
        let mut ends = Vec::new();
        let scan = scan(&sim, &folder(), STORE, all(), &mut |record| {
            found.push((record.lsn, record.kind, record.payload.to_vec()));
            ends.push(record.group_end);
            Ok(())
        }).expect("sound");
        prop_assert_eq!(found, expected);
        prop_assert_eq!((scan.end, scan.groups), (numbers.end(), groups.len() as u64));
        prop_assert!(ends.is_sorted() && ends.last() == Some(&scan.end));
    }

    #[test]
    fn any_bytes_as_a_log_file_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        any_file(&bytes, Lsn(0));
    }

    #[test]
    fn a_damaged_log_file_is_read_without_a_panic(
        damage in prop::collection::vec((0_usize..6000, any::<u8>()), 1..8), header in any::<(u64, u64)>(), forge: bool,
    ) {
        let (sim, _) = written(6, 41, ENDLESS);
        let mut bytes = sim.read_all(wal_path(0)).expect("there");
        bytes.truncate(6000);
        for (at, byte) in damage {
            bytes[at] = byte;
        }
        let first = if forge {
            // Positions that no log has, under a checksum that fits.
            bytes[48..56].copy_from_slice(&header.0.to_le_bytes());
            bytes[56..64].copy_from_slice(&header.1.to_le_bytes());
            let crc = Crc32c::new().update(&bytes[..4092]).value();
            bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
            Lsn(header.0)
        } else {
            Lsn(0)
        };
        any_file(&bytes, first);
    }
}

/// Reads `bytes` as the log's only file, with and without checksums, and goes on behind it.
fn any_file(bytes: &[u8], first: Lsn) {
    let sim = SimVfs::new(1);
    layout().create_dirs(&sim).expect("folders");
    sim.write_raw(layout().wal_path(first), bytes);
    for (check, proven) in [(Check::Verify, Lsn(0)), (Check::Trust, Lsn(0)), (Check::Verify, Lsn(u64::MAX))] {
        for from in [first, Lsn(first.0.saturating_add(112)), Lsn(u64::MAX)] {
            let range = ScanRange { from, proven, check, ..all() };
            let scanned = scan(&sim, &folder(), STORE, range, &mut |_| Ok(()));
            if let Ok(scanned) = scanned
                && check == Check::Verify
            {
                let copy = sim.kill();
                assert!(copy.open(&layout().wal_path(first), OpenMode::Read).is_ok());
                resume(Arc::new(copy), &folder(), scanned, unclean()).expect("goes on");
            }
        }
    }
}
