//! Files of vectors and nodes.
//!
//! What always holds: what a header claims is held against the bytes that are there before anything
//! is allocated for it, and files are read piece by piece.

pub(crate) mod fvecs;
pub(crate) mod jsonl;
pub(crate) mod npy;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use codegraph_vector::{Error, Result};

use crate::failure::Failure;
use crate::files::{self, Input};

/// What a file holds, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Npy,
    Fvecs,
    Jsonl,
}

impl Format {
    /// The format of a file of this name.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "npy" => Some(Self::Npy),
            "fvecs" => Some(Self::Fvecs),
            "jsonl" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

/// A file of vectors, all of one dimension.
#[derive(Debug)]
pub(crate) enum Vectors<R> {
    Npy(npy::Matrix<R>),
    Fvecs(fvecs::Fvecs<R>),
}

impl<R: Read> Vectors<R> {
    pub(crate) fn dimension(&self) -> usize {
        match self {
            Self::Npy(file) => file.columns(),
            Self::Fvecs(file) => file.dimension(),
        }
    }

    /// Rows in the file.
    pub(crate) fn rows(&self) -> u64 {
        match self {
            Self::Npy(file) => file.rows(),
            Self::Fvecs(file) => file.rows(),
        }
    }

    /// Reads the next rows, `most` of them unless the file ends, into `block`, one after the other.
    pub(crate) fn read(&mut self, most: usize, block: &mut Vec<f32>) -> Result<()> {
        match self {
            Self::Npy(file) => file.read(most, block),
            Self::Fvecs(file) => file.read(most, block),
        }
    }
}

/// Opens a file of vectors.
pub(crate) fn open_vectors(path: &Path) -> Result<Vectors<BufReader<File>>, Failure> {
    let format = Format::of(path);
    let kind = match format {
        Some(Format::Npy | Format::Fvecs) => format,
        _ => return Err(Failure::Usage(format!("{} is not a .npy or .fvecs file", path.display()))),
    };
    let Input { reader, len, path } = files::open(path)?;
    let len =
        len.ok_or_else(|| Error::invalid("only a regular file can be read as this format").at(&path))?;
    let opened = match kind {
        Some(Format::Fvecs) => fvecs::Fvecs::open(reader, len).map(Vectors::Fvecs),
        _ => npy::Matrix::open(reader, len).map(Vectors::Npy),
    };
    opened.map_err(|error| error.at(path).into())
}

/// A failure to read a file whose name is added further up.
pub(crate) fn unreadable(cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => Error::invalid("the file ends too early"),
        _ => Error::io("read", PathBuf::new(), cause),
    }
}

/// All numbers of a file, read so many rows at a time.
#[cfg(test)]
fn read_all<R: Read>(mut vectors: Vectors<R>, step: usize) -> Result<Vec<f32>> {
    let (mut all, mut block) = (Vec::new(), Vec::new());
    loop {
        vectors.read(step, &mut block)?;
        if block.is_empty() {
            assert_eq!(all.len() as u64, vectors.rows() * vectors.dimension() as u64);
            return Ok(all);
        }
        all.extend_from_slice(&block);
    }
}
