//! Which folder a store is the index of.
//!
//! The store's property [`PROPERTY`] says it: relative to the store's own folder where both have a folder in
//! common, so that both can move together, else absolute.

use std::path::{Path, PathBuf};

use codegraph_vector::{Error, ErrorKind, Filter, PersistentVectorStore, Result};

use crate::ways::{normal, way};

const PROPERTY: &str = "index.root";

/// The folder that a store was indexed from, wherever both have moved to together. `None` if it was not indexed.
///
/// # Errors
/// Whatever the store fails with.
pub fn root_of(store: &PersistentVectorStore) -> Result<Option<PathBuf>> {
    let Some(recorded) = store.property(PROPERTY)? else { return Ok(None) };
    let recorded = Path::new(&recorded);
    if recorded.is_absolute() {
        return Ok(Some(recorded.to_owned()));
    }
    Ok(Some(normal(&absolute(store.path())?.join(recorded))))
}

/// The folder to be indexed, without links, as it is from the root of the file system.
pub(crate) fn open_root(root: &Path) -> Result<PathBuf> {
    let found = root.canonicalize().map_err(|cause| Error::io("index the folder", root, cause))?;
    if !found.is_dir() {
        return Err(Error::invalid("only a folder can be indexed, and this is none").at(root));
    }
    Ok(found)
}

/// Whether the store is already the index of `root`, as [`open_root`] gave it.
pub(crate) fn is_claimed(store: &PersistentVectorStore, root: &Path) -> Result<bool> {
    Ok(root_of(store)?.is_some_and(|recorded| recorded == root))
}

/// Whether a store that is not the index of `root` may become that.
///
/// # Errors
/// `Conflict` if it is of another folder that is still there, unless `reroot`; `InvalidInput` if it was filled by
/// something else.
pub(crate) fn check_claim(store: &PersistentVectorStore, root: &Path, reroot: bool) -> Result<()> {
    match root_of(store)? {
        None if store.count(&Filter::everything())? > 0 => {
            let message =
                "this store has nodes, and was not made by `cgv index`; take another, or an empty one";
            Err(Error::invalid(message).at(store.path()))
        }
        Some(other) if !reroot && other.canonicalize().is_ok_and(|other| other.is_dir() && other != root) => {
            let message = format!(
                "this store is the index of {}, not of {}; take another store, or `--reroot` to have it index \
                 the latter instead",
                other.display(),
                root.display()
            );
            Err(Error::new(ErrorKind::Conflict, message))
        }
        _ => Ok(()),
    }
}

/// Makes `root` the one that the store is the index of.
pub(crate) fn claim(store: &PersistentVectorStore, root: &Path) -> Result<()> {
    let text = recordable(&absolute(store.path())?, root);
    let text =
        text.to_str().ok_or_else(|| Error::invalid("the path of this folder is not UTF-8").at(root))?;
    store.set_property(PROPERTY, Some(text))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|cause| Error::io("find the store's folder", path, cause))
}

/// How to get from `store` to `root`; `root` itself if they have nothing but the file system in common.
fn recordable(store: &Path, root: &Path) -> PathBuf {
    match way(store, root) {
        Some(way) if way.as_os_str().is_empty() => PathBuf::from("."),
        Some(way) => way,
        None => root.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_root_is_found_again_from_the_store() {
        let cases = [
            ("/src/a/code/.cgv", "/src/a/code", ".."),
            ("/src/a/stores/code", "/src/a/code", "../../code"),
            ("/src/a", "/src/a/code", "code"),
            ("/src/a", "/src/a", "."),
            ("/stores/code", "/src/a/code", "/src/a/code"),
        ];
        for (store, root, recorded) in cases {
            let way = recordable(Path::new(store), Path::new(root));
            assert_eq!(way, Path::new(recorded));
            assert_eq!(normal(&Path::new(store).join(way)), Path::new(root));
        }
    }
}
