use super::*;
use proptest::prelude::*;

#[test]
fn crc32c_matches_the_published_check_value() {
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
}

#[test]
fn a_row_checksum_depends_on_id_vector_and_metadata() {
    let row = RowChecksum::of(7, &[1, 2, 3, 4], b"meta");
    assert_ne!(row.vector, RowChecksum::of(8, &[1, 2, 3, 4], b"meta").vector);
    assert_ne!(row.metadata, RowChecksum::of(8, &[1, 2, 3, 4], b"meta").metadata);
    assert_ne!(row.vector, RowChecksum::of(7, &[1, 2, 3, 5], b"meta").vector);
    assert_ne!(row.metadata, RowChecksum::of(7, &[1, 2, 3, 4], b"metb").metadata);
}

proptest! {
    #[test]
    fn crc_in_pieces_is_crc_of_the_whole(bytes: Vec<u8>, cut in 0usize..100) {
        let cut = cut.min(bytes.len());
        let pieces = Crc32c::new().update(&bytes[..cut]).update(&bytes[cut..]);
        prop_assert_eq!(pieces.value(), crc32c(&bytes));
    }

    #[test]
    fn the_sum_ignores_order_and_undoes(rows in proptest::collection::vec((any::<u128>(), any::<u32>()), 0..20)) {
        let sums: Vec<_> = rows.iter().map(|(id, v)| RowChecksum::of(*id, &v.to_le_bytes(), b"")).collect();
        let (mut forward, mut backward) = (RowChecksumSum::default(), RowChecksumSum::default());
        sums.iter().for_each(|row| forward += *row);
        sums.iter().rev().for_each(|row| backward += *row);
        prop_assert_eq!(forward, backward);
        sums.iter().for_each(|row| forward -= *row);
        prop_assert_eq!(forward, RowChecksumSum::default());
    }
}
