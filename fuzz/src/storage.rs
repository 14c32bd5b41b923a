//! Any bytes as a file of the storage crate: the log, a manifest, a segment, a death file, the writer's note.
//!
//! Each is also read with its checksums made right, so that the fuzzer gets behind them. Used by the
//! fuzz targets and, through `#[path]`, by the test that replays the corpus.

use std::path::PathBuf;
use std::sync::Arc;

use codegraph_vector_base::frame::Check;
use codegraph_vector_base::vfs::{OpenMode, Vfs};
use codegraph_vector_base::{Crc32c, Epoch, Generation, Lsn, SegmentId, StoreId, crc32c};
use codegraph_vector_storage::wal::{self, Continuation, ScanRange, SyncNote};
use codegraph_vector_storage::{
    DeathFileRef, SegmentFile, SegmentFileRef, StoreLayout, manifest, read_deaths, verify_segment,
};
use codegraph_vector_testkit::SimVfs;

/// A decoder, by the name of its corpus.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const TARGETS: [Target; 5] =
    [("wal", log), ("manifest", manifests), ("segment", segment), ("deaths", deaths), ("note", note)];

const ENVELOPE_BYTES: usize = 128;
const TRAILER_BYTES: usize = 48;
const WAL_HEADER_BYTES: usize = 4096;

fn layout() -> StoreLayout {
    StoreLayout::new("/store")
}

fn disk(path: PathBuf, bytes: &[u8]) -> SimVfs {
    let sim = SimVfs::new(1);
    layout().create_dirs(&sim).expect("folders");
    sim.write_raw(path, bytes);
    sim
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn store_of(bytes: &[u8], at: usize) -> Option<StoreId> {
    Some(StoreId(*bytes.get(at..)?.first_chunk()?))
}

fn put(bytes: &mut [u8], at: usize, crc: u32) {
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The bytes as they are, and with `mend` applied where they are long enough for it.
fn both(bytes: &[u8], least: usize, mend: impl FnOnce(&mut Vec<u8>), mut read: impl FnMut(&[u8])) {
    read(bytes);
    if bytes.len() >= least {
        let mut mended = bytes.to_vec();
        mend(&mut mended);
        read(&mended);
    }
}

/// A file of the log.
pub(crate) fn log(bytes: &[u8]) {
    let mend = |bytes: &mut Vec<u8>| {
        let crc = crc32c(&bytes[..WAL_HEADER_BYTES - 4]);
        put(bytes, WAL_HEADER_BYTES - 4, crc);
        mend_frames(bytes);
    };
    both(bytes, WAL_HEADER_BYTES, mend, |bytes| {
        let (Some(store), Some(first)) = (store_of(bytes, 32), long(bytes, 48).map(Lsn)) else { return };
        let (sim, folder) = (disk(layout().wal_path(first), bytes), layout().wal_dir());
        for check in [Check::Trust, Check::Verify] {
            let range = ScanRange { from: first, proven: Lsn(0), limit: Lsn(u64::MAX), check };
            let mut payloads = 0;
            let scanned = wal::scan(&sim, &folder, store, range, &mut |record| {
                payloads += record.payload.len();
                Ok(())
            });
            assert!(payloads <= bytes.len());
            if let (Ok(scanned), Check::Verify) = (scanned, check) {
                let end = scanned.end;
                let how = Continuation {
                    clean_close: None,
                    epoch: Epoch(0),
                    max_file_bytes: 1 << 20,
                    rewrite_tail: true,
                };
                // A forged header may prove a position inside a group: that is told, not passed over.
                let Ok(resumed) = wal::resume(Arc::new(sim.clone()), &folder, scanned, how) else { continue };
                assert_eq!(resumed.end(), end);
                let again = wal::scan(&sim, &folder, store, range, &mut |_| Ok(()));
                assert_eq!(again.map(|scanned| scanned.end).ok(), Some(end));
            }
        }
    });
}

/// Makes the checksums of what has the shape of frames right, one behind the other.
fn mend_frames(bytes: &mut [u8]) {
    let (Some(store), Some(first)) = (store_of(bytes, 32), long(bytes, 48)) else { return };
    let epoch: [u8; 4] = *bytes[12..].first_chunk().expect("four bytes");
    let mut at = WAL_HEADER_BYTES;
    while let Some(len) = long(bytes, at).map(|word| (word >> 32) as usize) {
        let Some(end) = len.checked_add(at + 16).map(|end| end.next_multiple_of(8)) else { return };
        if end > bytes.len() {
            return;
        }
        bytes[at + 12..at + 16].copy_from_slice(&epoch);
        let lsn = first.wrapping_add((at - WAL_HEADER_BYTES) as u64);
        let seal = Crc32c::new().update(&store.0).update(&epoch).update(&lsn.to_le_bytes());
        let crc = seal.update(&bytes[at + 4..end]).value();
        put(bytes, at, crc);
        at = end;
    }
}

/// Makes length and checksums of an envelope and its body right.
fn mend_envelope(bytes: &mut [u8]) {
    let body = bytes.len() - ENVELOPE_BYTES;
    bytes[64..72].copy_from_slice(&(body as u64).to_le_bytes());
    let crc = crc32c(&bytes[ENVELOPE_BYTES..]);
    put(bytes, 72, crc);
    let crc = crc32c(&bytes[..124]);
    put(bytes, 124, crc);
}

/// A manifest.
pub(crate) fn manifests(bytes: &[u8]) {
    both(
        bytes,
        ENVELOPE_BYTES,
        |bytes| mend_envelope(bytes),
        |bytes| {
            let generation = Generation(long(bytes, 56).unwrap_or(1));
            let sim = disk(layout().manifest_path(generation), bytes);
            let read = manifest::read(&sim, &layout(), generation);
            let loaded = manifest::load_newest(&sim, &layout());
            assert_eq!(read.is_ok(), loaded.is_ok());
            if let Ok(manifest) = read {
                assert!(manifest::check(&manifest).is_ok());
                let _ = manifest::check_successor(&manifest, &manifest.successor());
            }
        },
    );
}

/// A death file.
pub(crate) fn deaths(bytes: &[u8]) {
    both(
        bytes,
        ENVELOPE_BYTES,
        |bytes| mend_envelope(bytes),
        |bytes| {
            let (Some(store), Some(segment), Some(generation)) =
                (store_of(bytes, 32), long(bytes, 48), long(bytes, 56))
            else {
                return;
            };
            let path = layout().deaths_path(SegmentId(segment), Generation(generation));
            let sim = disk(path.clone(), bytes);
            let crc =
                bytes.get(124..).and_then(|crc| crc.first_chunk()).map_or(0, |crc| u32::from_le_bytes(*crc));
            for count in [0, 3, long(bytes, ENVELOPE_BYTES).unwrap_or(0) as u32] {
                let expected = DeathFileRef {
                    generation: Generation(generation),
                    file_bytes: bytes.len() as u64,
                    crc,
                    count,
                };
                if let Ok(deaths) = read_deaths(&sim, &path, store, SegmentId(segment), 1000, &expected) {
                    assert!(
                        deaths.len() == count as usize && deaths.iter().all(|(ordinal, _)| *ordinal < 1000)
                    );
                }
            }
        },
    );
}

/// A segment.
pub(crate) fn segment(bytes: &[u8]) {
    let mend = |bytes: &mut Vec<u8>| {
        let crc = crc32c(&bytes[..124]);
        put(bytes, 124, crc);
        let (len, trailer) = (bytes.len(), bytes.len() - TRAILER_BYTES);
        bytes[trailer + 16..trailer + 24].copy_from_slice(&(len as u64).to_le_bytes());
        let checksums = long(bytes, trailer).and_then(|at| usize::try_from(at).ok());
        if let Some(tables) = checksums.and_then(|at| bytes.get(at..trailer)) {
            let crc = Crc32c::new().update(&bytes[..ENVELOPE_BYTES]).update(tables).value();
            put(bytes, trailer + 24, crc);
        }
        let crc = crc32c(&bytes[trailer..len - 4]);
        put(bytes, len - 4, crc);
    };
    both(bytes, ENVELOPE_BYTES + TRAILER_BYTES, mend, |bytes| {
        let (Some(store), Some(id)) = (store_of(bytes, 32), long(bytes, 48).map(SegmentId)) else { return };
        let path = layout().segment_path(id);
        let sim = disk(path.clone(), bytes);
        let at = bytes.len().saturating_sub(TRAILER_BYTES - 24);
        let table_crc =
            bytes.get(at..).and_then(|crc| crc.first_chunk()).map_or(0, |crc| u32::from_le_bytes(*crc));
        let expected = SegmentFileRef { file_bytes: bytes.len() as u64, table_crc };
        let Ok(file) = SegmentFile::open(&sim, &path, store, id, &expected) else { return };
        for section in file.sections() {
            let len = section.len();
            for range in [0..1, 0..len, len.saturating_sub(1)..len, len..len, len..len + 1] {
                let _ = section.bytes(range);
            }
            assert!(section.bytes_all().is_ok_and(|bytes| bytes.len() == len) || file.quarantined() > 0);
        }
        let _ = verify_segment(&sim, &path, store, id, &expected);
    });
}

/// The writer's note.
pub(crate) fn note(bytes: &[u8]) {
    let store = StoreId([7; 16]);
    let mend = |bytes: &mut Vec<u8>| {
        let crc = Crc32c::new().update(&bytes[..28]).update(&store.0).value();
        put(bytes, 28, crc);
    };
    both(bytes, 32, mend, |bytes| {
        let sim = disk(layout().lock_path(), bytes);
        let file = sim.open(&layout().lock_path(), OpenMode::ReadWrite).expect("there");
        if let Some(note) = SyncNote::read(&*file, store).expect("readable") {
            note.write(&*file, store).expect("written");
            assert_eq!(SyncNote::read(&*file, store).ok(), Some(Some(note)));
        }
    });
}
