//! `.fvecs` files: for each row its dimension as an int32, then as many float32. (Format: the TEXMEX
//! corpora of Jégou et al.)

use std::io::Read;

use codegraph_vector::{Error, Result};

use super::unreadable;

const WORD_BYTES: u64 = 4;

/// A file of rows.
#[derive(Debug)]
pub(crate) struct Fvecs<R> {
    reader: R,
    dimension: usize,
    rows: u64,
    read: u64,
    /// One row with its dimension in front. The first one is there after opening.
    row: Vec<f32>,
}

impl<R: Read> Fvecs<R> {
    /// Reads the first row's dimension from a file of `len` bytes.
    pub(crate) fn open(mut reader: R, len: u64) -> Result<Self> {
        let mut first = [0; WORD_BYTES as usize];
        reader
            .read_exact(&mut first)
            .map_err(|_| Error::invalid("the file is too short to hold a vector"))?;
        let claimed = i32::from_le_bytes(first);
        let dimension = u64::try_from(claimed).unwrap_or(0);
        let row_bytes = WORD_BYTES * (1 + dimension);
        if dimension == 0 || !len.is_multiple_of(row_bytes) {
            let message = format!(
                "its first row claims {claimed} dimensions, which its {len} bytes do not divide into"
            );
            return Err(Error::invalid(message));
        }
        // At most the file's length, by the check above.
        let mut row = vec![0.0; dimension as usize + 1];
        row[0] = f32::from_le_bytes(first);
        Ok(Self { reader, dimension: dimension as usize, rows: len / row_bytes, read: 0, row })
    }

    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Reads the next rows into `block`.
    pub(crate) fn read(&mut self, most: usize, block: &mut Vec<f32>) -> Result<()> {
        let rows = (self.rows - self.read).min(most as u64);
        block.clear();
        block.reserve_exact(rows as usize * self.dimension);
        for _ in 0..rows {
            // The first row's dimension was read by `open`.
            let from = usize::from(self.read == 0);
            self.reader.read_exact(bytemuck::cast_slice_mut(&mut self.row[from..])).map_err(unreadable)?;
            let claimed = self.row[0].to_bits() as i32;
            if i64::from(claimed) != self.dimension as i64 {
                let message =
                    format!("row {} has {claimed} dimensions, and row 0 has {}", self.read, self.dimension);
                return Err(Error::invalid(message));
            }
            block.extend_from_slice(&self.row[1..]);
            self.read += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::{self, Vectors};

    fn file(rows: &[Vec<f32>]) -> Vec<u8> {
        let row = |row: &Vec<f32>| {
            let numbers = row.iter().flat_map(|number| number.to_le_bytes());
            (row.len() as i32).to_le_bytes().into_iter().chain(numbers).collect::<Vec<u8>>()
        };
        rows.iter().flat_map(row).collect()
    }

    fn read_all(bytes: &[u8], step: usize) -> Result<Vec<f32>> {
        formats::read_all(Vectors::Fvecs(Fvecs::open(bytes, bytes.len() as u64)?), step)
    }

    #[test]
    fn rows_come_back() {
        let rows = [vec![1.0, -0.0, 1e-40], vec![4.0, 5.0, f32::MAX], vec![7.0, 8.0, 9.0]];
        assert_eq!(read_all(&file(&rows), 2).unwrap(), rows.concat());
    }

    #[test]
    fn lies_are_told() {
        let message = |bytes: &[u8]| read_all(bytes, 10).unwrap_err().to_string();
        assert!(message(b"").contains("too short"));
        assert!(message(&i32::MAX.to_le_bytes()).contains("claims 2147483647 dimensions"));
        assert!(message(&(-1i32).to_le_bytes()).contains("claims -1 dimensions"));
        let mut bytes = file(&[vec![1.0, 2.0], vec![3.0, 4.0]]);
        bytes[12] = 3;
        assert!(message(&bytes).contains("row 1 has 3 dimensions, and row 0 has 2"));
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_an_error(bytes in prop::collection::vec(0u8..4, 0..200)) {
            let _ = read_all(&bytes, 3);
        }
    }
}
