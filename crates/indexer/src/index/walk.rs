//! Finding the source files below a folder, as ripgrep would.
//!
//! Hidden files, and what `.gitignore`, `.ignore`, `.git/info/exclude` or git's global excludes name, are left out;
//! links are not followed. So are stores, wherever they lie. The order is the file system's.

use std::error::Error as _;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use codegraph_vector::{Error, NodeMetadata, Result};
use gix::ObjectId;
use ignore::{DirEntry, WalkBuilder};

use super::Problem;
use super::scope::{Paths, below};
use super::source::{Stamp, changed_us};
use crate::language::Language;
use crate::source::is_gone;

/// What is wrong with a path that no store can have.
const NO_TEXT: &str = "has a path that is not UTF-8";

/// Is told of each folder before it is looked into.
pub(crate) type Entering = Arc<dyn Fn(&Path) + Send + Sync>;

/// What the walk came by.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// A source file, by its path below the root.
    File(String, At),
    /// A source file with a path that no node can have.
    Refused(Problem),
    /// A file or folder that could not be looked at: what is there, and below it, is unknown.
    Unknown(Problem),
}

/// What tells the state that a file is in, without reading it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    /// Its stamp and [`changed_us`], if it has them to tell.
    Folder(Option<(Stamp, i64)>),
    /// Its blob in a commit.
    Blob(ObjectId),
}

/// Calls `each` for everything that there is, or that `paths` cover, until it breaks.
///
/// # Errors
/// `Io` and its kin if the root itself cannot be listed.
pub(crate) fn walk(
    root: &Path,
    store: &Path,
    paths: Option<Arc<Paths>>,
    entering: Option<Entering>,
    each: &mut dyn FnMut(Seen) -> ControlFlow<()>,
) -> Result<()> {
    let own = store.canonicalize().unwrap_or_else(|_| store.to_owned());
    let top = root.to_owned();
    let enters = move |entry: &DirEntry| {
        if entry.depth() == 0 {
            return true;
        }
        let enters =
            !is_store(entry, &own) && paths.as_ref().is_none_or(|paths| is_wanted(paths, &top, entry.path()));
        if let Some(entering) = entering.as_ref().filter(|_| enters && is_folder(entry)) {
            entering(entry.path());
        }
        enters
    };
    let walk = WalkBuilder::new(root).require_git(false).filter_entry(enters).build();
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

/// Whether the way to what `paths` cover leads by this one, or it is among that. One without a name that can be told
/// is what its folder is.
fn is_wanted(paths: &Paths, root: &Path, path: &Path) -> bool {
    let told = path.ancestors().find_map(|path| below(root, path));
    told.is_some_and(|path| paths.covers(&path) || paths.leads_through(&path))
}

fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_dir())
}

/// Whether this is the folder of the store at hand, or of any other.
fn is_store(entry: &DirEntry, own: &Path) -> bool {
    if !is_folder(entry) {
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
    let Some(path) = below(root, entry.path()) else {
        let path = shown(entry.path().strip_prefix(root).unwrap_or(entry.path()));
        return Some(Seen::Refused(Problem { path, reason: NO_TEXT.to_owned() }));
    };
    file(path.as_bytes(), At::Folder(stamp))
}

/// A source file with this path, if nodes can have that.
pub(crate) fn file(path: &[u8], at: At) -> Option<Seen> {
    let refuse =
        |reason| Some(Seen::Refused(Problem { path: String::from_utf8_lossy(path).into_owned(), reason }));
    let Ok(path) = std::str::from_utf8(path) else { return refuse(NO_TEXT.to_owned()) };
    let metadata = NodeMetadata { path: Some(path.to_owned()), ..NodeMetadata::default() };
    match (metadata.check(), metadata.path) {
        (Ok(()), Some(path)) => Some(Seen::File(path, at)),
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
