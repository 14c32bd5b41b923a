//! Columns come back, in as few bytes as their spread needs.

use proptest::prelude::*;

use super::super::tests::written;
use super::*;

fn any_columns() -> impl Strategy<Value = RowColumns> {
    let time = prop_oneof![Just(0u64), 1_000_000..1_000_300u64, any::<u64>()];
    (any::<u64>(), time.clone(), time, any::<f32>(), any::<(u64, u64)>()).prop_map(
        |(seqno, created_us, updated_us, norm, (vector, metadata))| RowColumns {
            seqno: SeqNo(seqno % 1000),
            created_us,
            updated_us,
            norm: if norm.is_nan() { 0.0 } else { norm },
            checksum: RowChecksum { vector, metadata },
        },
    )
}

fn of_seqnos(seqnos: &[u64]) -> Vec<u8> {
    let rows = seqnos.iter().map(|&seqno| RowColumns { seqno: SeqNo(seqno), ..RowColumns::default() });
    written(|sink| write_columns(rows, sink))
}

#[test]
fn widths_fit_the_spread() {
    for (seqnos, width) in [
        (vec![], 0),
        (vec![7, 7], 0),
        (vec![7, 262], 1),
        (vec![7, 263], 2),
        (vec![u64::MAX, 0], 8),
        (vec![1 << 32, 0], 5),
    ] {
        let bytes = of_seqnos(&seqnos);
        assert_eq!(bytes[24], width, "{seqnos:?}");
        let columns = Columns::open(bytes, seqnos.len()).expect("columns");
        for (row, &seqno) in (0..).zip(&seqnos) {
            assert_eq!(columns.seqno(row).expect("a row"), SeqNo(seqno));
        }
        assert_eq!(columns.max_seqno().0, seqnos.iter().copied().max().unwrap_or(0));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let bytes = of_seqnos(&[1, 2, 300]);
    assert_eq!(Columns::open(&bytes[..], 2).expect_err("rows").kind(), ErrorKind::Corrupt);
    assert_eq!(Columns::open(&bytes[..bytes.len() - 1], 3).expect_err("short").kind(), ErrorKind::Corrupt);
    assert_eq!(Columns::open(&[][..], 0).expect_err("empty").kind(), ErrorKind::Corrupt);
    let change = |at: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = to;
        bytes
    };
    assert_eq!(Columns::open(change(0, 2), 3).expect_err("newer").kind(), ErrorKind::Unsupported);
    assert_eq!(Columns::open(change(24, 9), 3).expect_err("wide").kind(), ErrorKind::Corrupt);
    let beyond = Columns::open(change(HEAD_BYTES + 1, 9), 3).expect("opens");
    assert_eq!(beyond.seqno(0).expect_err("over the largest").kind(), ErrorKind::Corrupt);
    assert!(beyond.norm(3).is_err() && beyond.get(u32::MAX).is_err());
}

proptest! {
    #[test]
    fn columns_come_back(rows in proptest::collection::vec(any_columns(), 0..200), shift in 0..8usize) {
        let bytes = written(|sink| write_columns(rows.iter().copied(), sink));
        // In place at any address.
        let shifted = [vec![0; shift], bytes].concat();
        let columns = Columns::open(&shifted[shift..], rows.len()).unwrap();
        let mut sum = RowChecksumSum::default();
        for (ordinal, row) in (0..).zip(&rows) {
            prop_assert_eq!(&columns.get(ordinal).unwrap(), row);
            sum += row.checksum;
        }
        prop_assert_eq!(columns.checksum_sum().unwrap(), sum);
        let norms: Vec<_> = rows.iter().map(|row| row.norm).collect();
        prop_assert_eq!(columns.norms().unwrap().into_owned(), norms);
        prop_assert!(columns.get(rows.len() as u32).is_err());
    }
}

proptest! {
    #[test]
    fn what_is_fetched_ahead_is_what_is_read(rows in prop::collection::vec(any_columns(), 1..40)) {
        let bytes = written(|sink| write_columns(rows.iter().copied(), sink));
        let columns = Columns::open(bytes, rows.len()).expect("columns");
        for (at, row) in (0..).zip(&rows) {
            let [norm, checksum] = columns.norm_and_checksum(at).expect("a row");
            prop_assert_eq!(norm, row.norm.to_le_bytes());
            prop_assert_eq!(&checksum[..8], row.checksum.vector.to_le_bytes());
            prop_assert_eq!(&checksum[8..], row.checksum.metadata.to_le_bytes());
        }
        prop_assert!(columns.norm_and_checksum(rows.len() as RowOrdinal).is_err());
    }
}
