use codegraph_vector_base::ErrorKind;
use codegraph_vector_testkit::SimVfs;
use proptest::prelude::*;

use super::*;

const STORE: StoreId = StoreId([7; 16]);
const ID: SegmentId = SegmentId(3);
const GENERATION: Generation = Generation(9);

fn path() -> &'static Path {
    Path::new("/3.dead")
}

fn write(sim: &SimVfs, deaths: &[(RowOrdinal, SeqNo)]) -> Result<DeathFileRef> {
    write_deaths(sim, path(), STORE, ID, GENERATION, deaths)
}

fn refused(result: Result<Vec<(RowOrdinal, SeqNo)>>) {
    let error = result.expect_err("refused");
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(path())));
    assert!(error.offset().is_some(), "{error}");
}

#[test]
fn deaths_out_of_order_are_not_written() {
    let sim = SimVfs::new(1);
    for deaths in [[(2, SeqNo(1)), (1, SeqNo(2))], [(2, SeqNo(1)), (2, SeqNo(2))]] {
        assert_eq!(write(&sim, &deaths).map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));
    }
    assert_eq!(sim.paths().len(), 0);
}

#[test]
fn only_the_very_file_of_the_manifest_is_read() {
    let sim = SimVfs::new(1);
    let deaths = [(0, SeqNo(5)), (7, SeqNo(4))];
    let good = write(&sim, &deaths).expect("written");
    assert_eq!(good.file_bytes, 128 + 8 + 2 * 12);
    let read =
        |store, id, rows, expected: &DeathFileRef| read_deaths(&sim, path(), store, id, rows, expected);
    assert_eq!(read(STORE, ID, 8, &good).ok().as_deref(), Some(&deaths[..]));
    refused(read(StoreId([8; 16]), ID, 8, &good));
    refused(read(STORE, SegmentId(4), 8, &good));
    refused(read(STORE, ID, 7, &good));
    refused(read(STORE, ID, 8, &DeathFileRef { generation: Generation(8), ..good }));
    refused(read(STORE, ID, 8, &DeathFileRef { file_bytes: good.file_bytes + 12, ..good }));
    refused(read(STORE, ID, 8, &DeathFileRef { count: 3, ..good }));
    refused(read(STORE, ID, 8, &DeathFileRef { count: u32::MAX, ..good }));
    refused(read(STORE, ID, 8, &DeathFileRef { crc: !good.crc, ..good }));
}

#[test]
fn rows_out_of_order_are_refused_though_checksums_fit() {
    let sim = SimVfs::new(1);
    let mut body = 2_u64.to_le_bytes().to_vec();
    [5_u32, 5].iter().for_each(|ordinal| body.extend_from_slice(&ordinal.to_le_bytes()));
    body.extend_from_slice(&[1; 16]);
    let envelope = Envelope::around(&KIND, STORE, ID, GENERATION, &body);
    let crc = write_file(&sim, path(), &KIND, &envelope, &body).expect("written");
    let expected = DeathFileRef { generation: GENERATION, file_bytes: 128 + 32, crc, count: 2 };
    let error = read_deaths(&sim, path(), STORE, ID, 9, &expected).expect_err("a repeated row");
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(128 + 8 + 4)));
}

proptest! {
    #[test]
    fn round_trip(deaths in proptest::collection::btree_map(0..u32::MAX - 1, any::<u64>(), 0..50)) {
        let deaths: Vec<_> = deaths.into_iter().map(|(row, seqno)| (row, SeqNo(seqno))).collect();
        let sim = SimVfs::new(1);
        let written = write(&sim, &deaths)?;
        prop_assert_eq!(written.count as usize, deaths.len());
        prop_assert_eq!(read_deaths(&sim, path(), STORE, ID, u32::MAX - 1, &written)?, deaths);
    }
}
