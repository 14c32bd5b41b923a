//! The source text of nodes, from the files as they are now.
//!
//! What always holds: nothing is read that does not lie in the root, wherever links lead; memory is bounded.

#![allow(clippy::disallowed_methods)] // The user's own sources, which are no store's files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path};

use codegraph_vector::{Error, Filter, NodeMetadata, Result, Snapshot};

use crate::index::FILE_HASH;
use crate::language::Language;
use crate::search::{attribute, file_node};
use crate::snippet::{comment_start, is_of};

/// Longer files are not read. No file is indexed that comes near it.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// The text of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its lines as they are in the file, the comments and attributes before it included; bytes that are no
    /// UTF-8 are replaced.
    pub text: String,
    /// The number of the first of them, from 1.
    pub first_line: u32,
    /// Lines at its end that are not in `text`, for it would be too many.
    pub lines_left_out: usize,
    /// The file is not what it was when it was indexed, so these may be other lines.
    pub changed: bool,
}

/// The text of a node, `max_lines` at most. `None` if the file is gone, or is none that may be read.
///
/// # Errors
/// `Io` or `ReadOnly` if the file cannot be read; whatever the store fails with.
pub fn source(
    snapshot: &Snapshot,
    root: &Path,
    metadata: &NodeMetadata,
    max_lines: usize,
) -> Result<Option<Source>> {
    let Some(path) = &metadata.path else { return Ok(None) };
    let bytes = match read_within(root, path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(cause) if is_gone(&cause) => return Ok(None),
        Err(cause) => return Err(Error::io("read", root.join(path), cause)),
    };
    let file = file_node(snapshot, path)?;
    let changed = !file.is_some_and(|(_, file)| is_of(&bytes, &file));
    // Whoever made the store may have made up root and path; what it does not know, it gets only of source files.
    if changed && Language::of_path(Path::new(path)).is_none() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let start = metadata.start_line.map_or(0, |line| line.saturating_sub(1) as usize).min(lines.len());
    let end = metadata.end_line.map_or(lines.len(), |line| line as usize).clamp(start, lines.len());
    let first = comment_start(&lines, start, metadata.language.as_deref());
    let last = end.min(first.saturating_add(max_lines));
    Ok(Some(Source {
        text: lines[first..last].concat(),
        first_line: u32::try_from(first + 1).unwrap_or(u32::MAX),
        lines_left_out: end - last,
        changed,
    }))
}

/// The bytes of a file in the root. `None` for what is no file, such as a pipe that would never end, and for what
/// lies elsewhere.
pub(crate) fn read_within(root: &Path, path: &str) -> io::Result<Option<Vec<u8>>> {
    let path = Path::new(path);
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(None);
    }
    // Where it is once all links are followed.
    let full_path = root.join(path).canonicalize()?;
    if !full_path.starts_with(root.canonicalize()?) || !full_path.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(full_path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_FILE_BYTES).then_some(bytes))
}

/// Whether a file that could not be read is not there.
pub(crate) fn is_gone(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Number of files that were indexed.
///
/// # Errors
/// Whatever the store fails with.
pub fn files(snapshot: &Snapshot) -> Result<u64> {
    snapshot.count(&!Filter::missing(&attribute(FILE_HASH)))
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
