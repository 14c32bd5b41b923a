//! Finding the source files below a folder, as ripgrep would.
//!
//! Hidden files, and what `.gitignore`, `.ignore`, `.git/info/exclude` or git's global excludes name, are left out;
//! links are not followed. So are stores, wherever they lie. The order is the file system's.

use std::error::Error as _;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use codegraph_vector::{Error, NodeMetadata, Result};
use ignore::{DirEntry, WalkBuilder};

use super::Problem;
use super::source::{Stamp, changed_us};
use crate::language::Language;
use crate::source::is_gone;

/// What the walk came by.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A source file, by its path below the root, with its stamp and [`changed_us`] if it has them to tell.
    File(String, Option<(Stamp, i64)>),
    /// A source file with a path that no node can have.
    Refused(Problem),
    /// A file or folder that could not be looked at: what is there, and below it, is unknown.
    Unknown(Problem),
}

/// Calls `each` for everything that there is, until it breaks.
///
/// # Errors
/// `Io` and its kin if the root itself cannot be listed.
pub(crate) fn walk(root: &Path, store: &Path, mut each: impl FnMut(Seen) -> ControlFlow<()>) -> Result<()> {
    let own = store.canonicalize().unwrap_or_else(|_| store.to_owned());
    let walk = WalkBuilder::new(root)
        .require_git(false)
        .filter_entry(move |entry| entry.depth() == 0 || !is_store(entry, &own))
        .build();
    for entry in walk {
        let seen = match entry {
            Ok(entry) => look_at(root, &entry),
            Err(error) if error.depth() == Some(0) => {
                let cause = error.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into());
                return Err(Error::io("list the folder", root, cause));
            }
            Err(error) => lost(root, &error),
        };
        if let Some(seen) = seen
            && each(seen).is_break()
        {
            break;
        }
    }
    Ok(())
}

/// Whether this is the folder of the store at hand, or of any other.
fn is_store(entry: &DirEntry, own: &Path) -> bool {
    if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return false;
    }
    let path = entry.path();
    path == own || path.join("LOCK").is_file() && path.join("wal").is_dir() || entry.file_name() == ".cgv"
}

fn look_at(root: &Path, entry: &DirEntry) -> Option<Seen> {
    if !entry.file_type().is_some_and(|kind| kind.is_file()) {
        return None;
    }
    Language::of_path(entry.path())?;
    let stamp = entry.metadata().ok().map(|metadata| (Stamp::of(&metadata), changed_us(&metadata)));
    let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
    let refuse = |reason| Some(Seen::Refused(Problem { path: shown(below), reason }));
    let Some(path) = below.to_str() else { return refuse("has a path that is not UTF-8".to_owned()) };
    let path = if cfg!(windows) { path.replace('\\', "/") } else { path.to_owned() };
    let metadata = NodeMetadata { path: Some(path), ..NodeMetadata::default() };
    match (metadata.check(), metadata.path) {
        (Ok(()), Some(path)) => Some(Seen::File(path, stamp)),
        (Err(error), _) => refuse(format!("cannot be stored: {}", error.message())),
        (Ok(()), None) => None,
    }
}

/// What an error of the walk is about. What is not there any more is no error.
fn lost(root: &Path, error: &ignore::Error) -> Option<Seen> {
    if error.io_error().is_some_and(is_gone) {
        return None;
    }
    let path = path_of(error).unwrap_or(root);
    let reason = match error.io_error() {
        // The walk's own words around it repeat the path.
        Some(cause) => {
            let cause = cause.source().map_or_else(|| cause.to_string(), ToString::to_string);
            format!("cannot be looked at: {cause}")
        }
        None => format!("cannot be looked at: {error}"),
    };
    Some(Seen::Unknown(Problem { path: shown(path.strip_prefix(root).unwrap_or(path)), reason }))
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        ignore::Error::Loop { child, .. } => Some(child),
        _ => None,
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
