//! Which store is meant, and opening it.

use std::path::{Path, PathBuf};

use codegraph_vector::{
    Backups, Environment, Error, ErrorKind, OpenOptions, PersistentVectorStore, Result, Snapshot, backups_of,
};

use crate::args::Globals;
use crate::failure::{Failure, eprintln_quiet};
use crate::files;

/// The name of a store's folder that nobody named.
const FOLDER: &str = ".cgv";
/// Keeps a store out of the repository that it lies in.
const IGNORE_ALL: &str = "*\n";

/// The folder of the store that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// The store's folder.
    pub(crate) path: PathBuf,
    /// It was neither named nor found: a new one would be made by default.
    by_default: bool,
}

/// The store that was named, else the nearest one in the working folder or above.
pub(crate) fn locate(globals: &Globals) -> Result<Location, Failure> {
    locate_from(globals, working_folder)
}

/// The store that was named, else the nearest one in a folder or above.
pub(crate) fn locate_from(
    globals: &Globals,
    folder: impl FnOnce() -> Result<PathBuf>,
) -> Result<Location, Failure> {
    match &globals.store {
        Some(path) if path.as_os_str().is_empty() => Err(Failure::Usage(
            "the name of the store is empty; give a folder, or leave --store out and CGV_STORE unset"
                .to_owned(),
        )),
        Some(path) => Ok(Location { path: path.clone(), by_default: false }),
        None => Ok(find_upward(&folder()?)),
    }
}

/// The folder that the process was started in.
pub(crate) fn working_folder() -> Result<PathBuf> {
    std::env::current_dir().map_err(|cause| Error::io("find", "the working folder", cause))
}

fn find_upward(here: &Path) -> Location {
    let found = here.ancestors().map(|folder| folder.join(FOLDER)).find(|path| path.is_dir());
    let by_default = found.is_none();
    Location { path: found.unwrap_or_else(|| here.join(FOLDER)), by_default }
}

/// Opens the store to read, beside whoever writes.
pub(crate) fn open_reading(globals: &Globals) -> Result<PersistentVectorStore, Failure> {
    let options = OpenOptions { read_only: true, must_exist: true, ..common(globals) };
    Ok(locate(globals)?.open(options)?)
}

/// Opens a store that is there, to write.
pub(crate) fn open_writing(globals: &Globals) -> Result<PersistentVectorStore, Failure> {
    open_with(globals, OpenOptions { must_exist: true, ..OpenOptions::default() })
}

/// Opens the store to write, as the options say; makes it if they allow it.
pub(crate) fn open_with(globals: &Globals, options: OpenOptions) -> Result<PersistentVectorStore, Failure> {
    Ok(locate(globals)?.open(OpenOptions { backups: common(globals).backups, ..options })?)
}

impl Location {
    /// Opens the store as the options say; makes it if they allow it.
    pub(crate) fn open(&self, options: OpenOptions) -> Result<PersistentVectorStore> {
        let writes = !options.read_only;
        let store = PersistentVectorStore::open(&self.path, options).map_err(|error| explain(error, self))?;
        if writes {
            self.ignore()?;
            tell_of_recovery(&store);
        }
        Ok(store)
    }

    /// Keeps a store of the usual name out of the repository that it lies in. Whoever made it may not have got so far.
    fn ignore(&self) -> Result<()> {
        let path = self.path.join(".gitignore");
        if self.path.file_name().is_some_and(|name| name == FOLDER) && !path.exists() {
            files::write(&path, IGNORE_ALL.as_bytes())?;
        }
        Ok(())
    }
}

/// Where the store's backups are.
pub(crate) fn backups_place(globals: &Globals) -> Result<PathBuf, Failure> {
    match common(globals).backups {
        Some(place) => Ok(place),
        None => Ok(backups_of(locate(globals)?.path)),
    }
}

/// The store's backups; if it is lost, those of the only store that has some there.
pub(crate) fn backups(globals: &Globals) -> Result<Backups, Failure> {
    let store = open_reading(globals).ok().map(|store| store.storage_header().store_id);
    Ok(Backups::open(backups_place(globals)?, store, Environment::default())?)
}

/// What every opening has in common.
fn common(globals: &Globals) -> OpenOptions {
    let backups = globals.backups.clone().filter(|path| !path.as_os_str().is_empty());
    OpenOptions { backups, ..OpenOptions::default() }
}

/// A store that is missing gets a sentence about where it was looked for.
fn explain(error: Error, location: &Location) -> Error {
    let missing = error.kind() == ErrorKind::NotFound;
    if location.path.is_file() {
        return Error::invalid("a store is a folder, and this is a file; name another one")
            .at(&location.path);
    }
    if missing && location.by_default {
        let message =
            "there is no store: no .cgv here or above; `cgv index PATH` makes one, --store names another";
        return Error::new(ErrorKind::NotFound, message);
    }
    if missing && !holds_manifest(&location.path) {
        let message =
            "there is no store here; `cgv index PATH` or `cgv import` makes one, --store names another";
        return Error::new(ErrorKind::NotFound, message).at(&location.path);
    }
    error
}

pub(crate) fn holds_manifest(path: &Path) -> bool {
    let is_manifest = |name: &str| name.starts_with("MANIFEST-");
    files::names(path).is_ok_and(|names| names.iter().any(|name| is_manifest(name)))
}

/// A word on standard error if the last process did not get to close the store.
fn tell_of_recovery(store: &PersistentVectorStore) {
    let report = store.recovery_report();
    for (path, fault) in &report.fallbacks {
        eprintln_quiet(&format!("warning: {} is damaged ({fault}); the one before was used", path.display()));
    }
    for (path, fault) in &report.damaged_manifests {
        eprintln_quiet(&format!(
            "warning: {} is damaged ({fault}); nothing is lost, but there is nothing to fall back to",
            path.display()
        ));
    }
    for bad in store.quarantined() {
        eprintln_quiet(&format!(
            "warning: {} is damaged at byte {} ({}); its segment is left out, see cgv verify --repair",
            bad.path.display(),
            bad.offset,
            bad.what
        ));
    }
    if let Some(cut) = &report.cut {
        eprintln_quiet(&format!(
            "note: the store was not closed; {} bytes behind byte {} of {} had never been acknowledged and were left out",
            cut.bytes,
            cut.offset,
            cut.path.display()
        ));
    }
}

/// Reads from one moment of the store; moves on to the next if the writer cleared its files away.
pub(crate) fn read<T>(store: &PersistentVectorStore, read: impl Fn(&Snapshot) -> Result<T>) -> Result<T> {
    match read(&store.snapshot()?) {
        Err(error) if error.kind() == ErrorKind::Stale => {
            store.refresh()?;
            read(&store.snapshot()?)
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)] // Folders to look for, not a store.
    fn the_nearest_store_upward_is_meant() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(find_upward(&deep), Location { path: deep.join(".cgv"), by_default: true });
        std::fs::create_dir_all(top.path().join("a/.cgv")).unwrap();
        assert_eq!(find_upward(&deep), Location { path: top.path().join("a/.cgv"), by_default: false });
    }
}
