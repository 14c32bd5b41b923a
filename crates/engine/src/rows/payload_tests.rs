//! Rows come back from their blocks; damaged blocks are told, and huge claims are not believed.

use proptest::prelude::*;

use super::super::tests::written;
use super::*;

fn write(rows: &[Vec<u8>]) -> Vec<u8> {
    written(|sink| {
        let mut writer = PayloadWriter::new(sink);
        rows.iter().try_for_each(|row| writer.push(row))?;
        assert_eq!(writer.finish()?, rows.len() as u32);
        Ok(())
    })
}

fn row(number: usize) -> Vec<u8> {
    format!("src/module_{}/file.rs function_{number} {}", number / 20, "x".repeat(number % 300)).into_bytes()
}

/// Changes a block's entry in the directory and makes its checksum right again.
fn forge(bytes: &mut [u8], at: usize, to: u32) {
    let tail = bytes.len() - TAIL_BYTES;
    let directory = u64::from_le_bytes(*bytes[tail..].first_chunk().expect("a tail")) as usize;
    bytes[directory + at..directory + at + 4].copy_from_slice(&to.to_le_bytes());
    let crc = crc32c(&bytes[directory..tail]);
    bytes[tail + 16..tail + 20].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn rows_come_back_from_many_blocks() {
    let rows: Vec<_> = (0..3000).map(row).collect();
    let bytes = write(&rows);
    let raw: usize = rows.iter().map(Vec::len).sum();
    assert!(bytes.len() * 3 < raw);
    let reader = PayloadReader::open(&bytes[..], rows.len()).expect("payload");
    assert!(reader.blocks() > raw / BLOCK_BYTES / 2);
    let mut next = 0;
    for number in 0..reader.blocks() {
        let block =
            reader.decode_block(number, &bytes[reader.block_range(number).expect("a range")]).expect("good");
        assert_eq!(block.rows().start, next);
        assert!(block.memory_bytes() >= BLOCK_BYTES || number + 1 == reader.blocks());
        for ordinal in block.rows() {
            assert_eq!(reader.locate(ordinal).expect("a row"), number);
            assert_eq!(block.row(ordinal).expect("a row"), rows[ordinal as usize]);
        }
        assert!(block.row(block.rows().end).is_none() && (next == 0 || block.row(next - 1).is_none()));
        next = block.rows().end;
    }
    assert_eq!(next as usize, rows.len());
    assert!(reader.locate(next).is_err() && reader.read_block(reader.blocks()).is_err());
}

#[test]
fn no_rows_and_empty_rows_and_the_largest_row() {
    let reader = PayloadReader::open(write(&[]), 0).expect("payload");
    assert_eq!(reader.blocks(), 0);
    assert!(reader.locate(0).is_err());
    let rows = vec![vec![], vec![7; BLOCK_BYTES - 9], vec![8; MAX_METADATA_BYTES], vec![]];
    let reader = PayloadReader::open(write(&rows), rows.len()).expect("payload");
    for (ordinal, row) in (0..).zip(&rows) {
        let block = reader.read_block(reader.locate(ordinal).expect("a row")).expect("good");
        assert_eq!(block.row(ordinal).expect("a row"), row);
    }
    let mut sink = |_: &[u8]| Ok(());
    let mut writer = PayloadWriter::new(&mut sink);
    let error = writer.push(&vec![0; MAX_METADATA_BYTES + 1]).expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn a_bad_block_is_told_and_the_others_answer() {
    let rows: Vec<_> = (0..1000).map(row).collect();
    let mut bytes = write(&rows);
    let range =
        PayloadReader::open(&bytes[..], rows.len()).expect("payload").block_range(1).expect("a block");
    bytes[range.start + 100] ^= 1;
    let reader = PayloadReader::open(&bytes[..], rows.len()).expect("payload");
    let error = reader.read_block(1).expect_err("damaged");
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(range.start as u64)));
    assert!(error.message().contains("payload block 1: wrong checksum"));
    assert!(reader.read_block(0).is_ok() && reader.read_block(2).is_ok());
    assert!(reader.decode_block(0, &bytes[..10]).is_err());
}

#[test]
fn claims_of_the_directory_are_not_believed() {
    let rows: Vec<_> = (0..1000).map(row).collect();
    let good = write(&rows);
    for (at, to) in [
        (4, 1),         // beyond 4 GiB
        (8, 1),         // the first block does not begin with row 0
        (12, u32::MAX), // compressed bytes
        (16, u32::MAX), // raw bytes: over the limit
        (16, 1 << 20),  // within the limit, but not what comes out
        (16, 1),        // too few for its rows
        (32, 0),        // the next block begins at row 0
        (32, u32::MAX), // or after all rows
    ] {
        let mut bytes = good.clone();
        forge(&mut bytes, at, to);
        let reader = PayloadReader::open(bytes, rows.len()).expect("payload");
        assert_eq!(reader.read_block(0).expect_err("damaged").kind(), ErrorKind::Corrupt, "{at} {to}");
    }
    let mut bytes = good.clone();
    let tail = bytes.len() - TAIL_BYTES;
    bytes[tail - 1] ^= 1;
    assert!(PayloadReader::open(&bytes[..], rows.len()).is_err());
    assert!(PayloadReader::open(&good[..], rows.len() + 1).is_err());
    bytes.clone_from(&good);
    bytes[tail + 20] = 2;
    assert_eq!(PayloadReader::open(bytes, rows.len()).expect_err("newer").kind(), ErrorKind::Unsupported);
}

proptest! {
    #[test]
    fn rows_come_back(rows in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2000), 0..100)) {
        let reader = PayloadReader::open(write(&rows), rows.len()).unwrap();
        for (ordinal, row) in (0..).zip(&rows) {
            let block = reader.read_block(reader.locate(ordinal).unwrap()).unwrap();
            prop_assert_eq!(block.row(ordinal).unwrap(), &row[..]);
        }
    }
}
