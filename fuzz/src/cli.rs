//! Any bytes as a file that `cgv` reads. Its parsers are private to the program and stand alone, so
//! their sources are taken in as they are.

use std::io;

use codegraph_vector::Error;

#[path = "../../crates/cli/src/formats/fvecs.rs"]
mod fvecs;
#[allow(dead_code)]
#[path = "../../crates/cli/src/formats/jsonl.rs"]
mod jsonl;
#[allow(dead_code)]
#[path = "../../crates/cli/src/formats/npy.rs"]
mod npy;

/// A decoder, by the name of its corpus.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const TARGETS: [Target; 3] = [("npy", numpy), ("fvecs", float_vectors), ("jsonl", json_lines)];

const ROWS: usize = 7;

/// What the parsers' own parent has.
fn unreadable(cause: io::Error) -> Error {
    Error::io("read", "", cause)
}

fn numpy(bytes: &[u8]) {
    let len = bytes.len() as u64;
    if let Ok(mut matrix) = npy::Matrix::open(bytes, len) {
        let (mut rows, mut block) = (0, Vec::new());
        while matrix.read(ROWS, &mut block).is_ok() && !block.is_empty() {
            assert!(block.len() <= ROWS * matrix.columns() && block.len() <= bytes.len() / 2);
            rows += block.len() / matrix.columns();
        }
        assert!(rows as u64 <= matrix.rows());
    }
    if let Ok(mut ids) = npy::Ids::open(bytes, len) {
        let mut count = 0;
        while let Ok(Some(_)) = ids.next() {
            count += 1;
        }
        assert!(count <= ids.count() && count <= len / 8);
    }
}

fn float_vectors(bytes: &[u8]) {
    let Ok(mut file) = fvecs::Fvecs::open(bytes, bytes.len() as u64) else { return };
    let (mut rows, mut block) = (0, Vec::new());
    while file.read(ROWS, &mut block).is_ok() && !block.is_empty() {
        assert!(block.len() * 4 <= bytes.len());
        rows += block.len() / file.dimension();
    }
    assert!(rows as u64 <= file.rows());
}

fn json_lines(bytes: &[u8]) {
    let mut lines = jsonl::Lines::new(bytes);
    while let Ok(Some(line)) = lines.next() {
        assert!(line.offset as usize + line.text.len() <= bytes.len());
        let _ = (line.metadata().map(|_| ()), line.node().map(|_| ()));
    }
}
