//! The only door to the caller's own files. (A store's files are the library's, which has its own door.)

#![allow(clippy::disallowed_methods)] // This is the door that everyone else here is sent to.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use codegraph_vector::{Error, Result};

/// Bytes read in one go.
const READ_BYTES: usize = 256 << 10;

/// A file to read from its beginning.
#[derive(Debug)]
pub(crate) struct Input {
    /// The bytes.
    pub(crate) reader: BufReader<File>,
    /// How many; `None` for what is no regular file, such as a pipe.
    pub(crate) len: Option<u64>,
    /// Its name.
    pub(crate) path: PathBuf,
}

/// Opens a file to read.
pub(crate) fn open(path: &Path) -> Result<Input> {
    let fail = |cause| Error::io("open", path, cause);
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(Error::invalid("this is a folder, not a file").at(path));
    }
    let len = metadata.is_file().then_some(metadata.len());
    Ok(Input { reader: BufReader::with_capacity(READ_BYTES, file), len, path: path.to_owned() })
}

/// Makes a file, or empties the one of this name.
pub(crate) fn create(path: &Path) -> Result<BufWriter<File>> {
    File::create(path).map(BufWriter::new).map_err(|cause| Error::io("create", path, cause))
}

/// Makes a file of these bytes.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|cause| Error::io("write", path, cause))
}

/// Names in a folder.
pub(crate) fn names(path: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(path).map_err(|cause| Error::io("list", path, cause))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}
