//! What the operating system tells of a folder, as far as it matters.
//!
//! Where folders are watched one by one (inotify), those that the walk goes into are, each before it is looked into:
//! what git ignores costs nothing, and no file that is made in a new folder goes unseen. Elsewhere the root is
//! watched with all below it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector::{Error, ErrorKind, Result};
use notify::event::{CreateKind, ModifyKind, RemoveKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, WatcherKind};
use parking_lot::Mutex;

use super::Inbox;
use super::pending::Change;
use crate::index::{Entering, below};
use crate::language::Language;

/// Listens until it is dropped.
pub(crate) struct Ears {
    /// `None` where the root is watched as a whole.
    one_by_one: Option<Arc<OneByOne>>,
    _watcher: Arc<Mutex<RecommendedWatcher>>,
}

/// Folders that are watched each by itself.
struct OneByOne {
    watcher: Arc<Mutex<RecommendedWatcher>>,
    /// The first that could not be.
    failed: Mutex<Option<Error>>,
}

/// What is not the user's doing: where the root and the store are.
struct Place {
    root: PathBuf,
    store: PathBuf,
}

impl Ears {
    /// Listens to a folder, a canonical path, and hands on what matters.
    pub(crate) fn open(root: &Path, store: &Path, inbox: Arc<Inbox>) -> Result<Self> {
        let store = store.canonicalize().unwrap_or_else(|_| store.to_owned());
        let place = Place { root: root.to_owned(), store };
        let handle = move |told: notify::Result<Event>| match told {
            Ok(event) => place.changes(&event).into_iter().for_each(|change| inbox.note(change)),
            Err(_) => inbox.note(Change::Everything),
        };
        let watcher = notify::recommended_watcher(handle).map_err(|error| failure(root, error))?;
        let watcher = Arc::new(Mutex::new(watcher));
        let is_one_by_one = RecommendedWatcher::kind() == WatcherKind::Inotify;
        let mode = if is_one_by_one { RecursiveMode::NonRecursive } else { RecursiveMode::Recursive };
        watcher.lock().watch(root, mode).map_err(|error| failure(root, error))?;
        let one_by_one =
            is_one_by_one.then(|| Arc::new(OneByOne { watcher: watcher.clone(), failed: Mutex::default() }));
        Ok(Self { one_by_one, _watcher: watcher })
    }

    /// What the walk is to tell of each folder that it goes into.
    pub(crate) fn entering(&self) -> Option<Entering> {
        let one_by_one = self.one_by_one.clone()?;
        Some(Arc::new(move |folder| one_by_one.add(folder)))
    }

    /// Whether all folders could be watched that there are.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self) -> Result<()> {
        let failed = self.one_by_one.as_ref().and_then(|one_by_one| one_by_one.failed.lock().clone());
        failed.map_or(Ok(()), Err)
    }
}

impl OneByOne {
    fn add(&self, folder: &Path) {
        match self.watcher.lock().watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {}
            // It is gone, which the folder above has told or tells.
            Err(error) if is_gone(&error) => {}
            Err(error) => drop(self.failed.lock().get_or_insert_with(|| failure(folder, error))),
        }
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(cause) => cause.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn failure(folder: &Path, error: notify::Error) -> Error {
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => Error::new(
            ErrorKind::TooLarge,
            "the system watches no more folders for this user; raise fs.inotify.max_user_watches",
        )
        .at(folder),
        notify::ErrorKind::Io(cause) => Error::io("watch", folder, cause),
        _ => Error::io("watch", folder, io::Error::other(error.to_string())),
    }
}

impl Place {
    /// What an event says to be looked at.
    fn changes(&self, event: &Event) -> Vec<Change> {
        if event.need_rescan() {
            return vec![Change::Everything];
        }
        // Of a file, rather than of what may be a folder.
        let of_file = match event.kind {
            EventKind::Access(_) => return Vec::new(),
            EventKind::Create(CreateKind::File)
            | EventKind::Remove(RemoveKind::File)
            | EventKind::Modify(ModifyKind::Data(_)) => true,
            _ => false,
        };
        event.paths.iter().filter_map(|path| self.change(path, of_file)).collect()
    }

    fn change(&self, path: &Path, of_file: bool) -> Option<Change> {
        if path.starts_with(&self.store) {
            return None;
        }
        let is_text = below(&self.root, path).is_some();
        // One whose name is not UTF-8 is told of by its folder.
        let below = path.ancestors().find_map(|path| below(&self.root, path))?;
        let (folder, name) = below.rsplit_once('/').unwrap_or(("", &below));
        let is_hidden = |name: &str| name.starts_with('.');
        if folder.split('/').any(is_hidden) {
            return None;
        }
        if is_hidden(name) {
            return matches!(name, ".gitignore" | ".ignore").then_some(Change::Everything);
        }
        if of_file && is_text && Language::of_path(path).is_none() {
            return None;
        }
        Some(Change::Path(below))
    }
}

#[cfg(test)]
#[path = "ears_tests.rs"]
mod tests;
