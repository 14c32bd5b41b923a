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

/// Opens a file to write behind what it holds; makes it if it is not there.
pub(crate) fn append(path: &Path) -> Result<BufWriter<File>> {
    let opened = File::options().append(true).create(true).open(path);
    opened.map(BufWriter::new).map_err(|cause| Error::io("open", path, cause))
}

/// A path without links, from the root.
pub(crate) fn in_full(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|cause| Error::io("find", path, cause))
}

/// Makes a file of these bytes.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|cause| Error::io("write", path, cause))
}

/// A text file, whole.
pub(crate) fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|cause| Error::io("read", path, cause))
}

/// Makes a folder, and those that it lies in.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|cause| Error::io("create", path, cause))
}

/// Bytes that the files of a folder and of those below it take on the disk.
pub(crate) fn disk_bytes(path: &Path) -> Result<u64> {
    let fail = |cause| Error::io("list", path, cause);
    let mut bytes = 0;
    for entry in fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let metadata = entry.metadata().map_err(fail)?;
        bytes += if metadata.is_dir() { disk_bytes(&entry.path())? } else { allocated(&metadata) };
    }
    Ok(bytes)
}

#[cfg(unix)]
fn allocated(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    // Whatever the size of the file system's own blocks.
    const BLOCK_BYTES: u64 = 512;
    metadata.blocks() * BLOCK_BYTES
}

#[cfg(not(unix))]
fn allocated(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}

/// A folder that is gone when this is dropped, in the one that is given or where the system has such.
pub(crate) fn scratch(within: Option<&Path>) -> Result<tempfile::TempDir> {
    let made = within.map_or_else(tempfile::tempdir, tempfile::tempdir_in);
    made.map_err(|cause| Error::io("create", "a temporary folder", cause))
}

/// Names in a folder.
pub(crate) fn names(path: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(path).map_err(|cause| Error::io("list", path, cause))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}
