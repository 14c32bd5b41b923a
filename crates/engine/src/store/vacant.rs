//! Making a store in a folder that has none, out of files from elsewhere: a fork, or a restore.
//!
//! Until somebody has opened it, a mark ([`StoreLayout::fork_mark_path`]) lies in the folder, which says that whatever is there may be
//! cleared away and made anew; so what was cut short, wherever, is done again by the same call.

use std::path::PathBuf;

use codegraph_vector_base::vfs::{self, Vfs};
use codegraph_vector_base::{Error, Result};
use codegraph_vector_storage::StoreLayout;

use super::create::check_may_create;
use super::open::take_lock;
use crate::options::OpenOptions;

/// Makes a store at `target`, which must be vacant: `make` brings its files, and its manifest last. `what` is said in the mark.
///
/// # Errors
/// `InvalidInput` if there is something already; `Busy` if somebody is at it; those of `make`.
pub(crate) fn make_at<T>(
    vfs: &dyn Vfs,
    target: &StoreLayout,
    what: &str,
    make: impl FnOnce() -> Result<T>,
) -> Result<T> {
    check_vacant(vfs, target)?;
    target.create_dirs(vfs)?;
    let _nobody_else = take_lock(vfs, target)?;
    // Somebody may have made a store there before the lock was taken.
    check_vacant(vfs, target)?;
    vfs::publish(vfs, &target.fork_mark_path(), |file| {
        file.write_at(format!("{what} that was not finished\n").as_bytes(), 0)
    })?;
    clear(vfs, target)?;
    let made = make();
    if made.is_err() {
        // As far as it goes; the mark stays until the rest is gone.
        let _ = clear(vfs, target).and_then(|()| vfs.remove_file(&target.fork_mark_path()));
    }
    made
}

/// Refuses a place where something is, but for what was cut short there.
pub(super) fn check_vacant(vfs: &dyn Vfs, target: &StoreLayout) -> Result<()> {
    if vfs.exists(&target.fork_mark_path())? {
        return Ok(());
    }
    if target.is_store(vfs)? {
        let message = "there is a store already; name another folder, or remove it";
        return Err(Error::invalid(message).at(target.root()));
    }
    check_may_create(vfs, target, &OpenOptions::default())
}

/// Removes what was cut short, the manifest first: without it, nothing there is a store.
fn clear(vfs: &dyn Vfs, target: &StoreLayout) -> Result<()> {
    let names = vfs.list(target.root())?;
    let manifests = names.iter().filter(|name| StoreLayout::parse_manifest_name(name).is_some());
    let manifests: Vec<PathBuf> = manifests.map(|name| target.root().join(name)).collect();
    if !manifests.is_empty() {
        manifests.iter().try_for_each(|path| vfs.remove_file(path))?;
        vfs.sync_dir(target.root())?;
    }
    let mut removed = target.leftovers(vfs)?;
    for folder in [target.segments_dir(), target.wal_dir()] {
        removed.extend(vfs.list(&folder)?.iter().filter(|name| is_ours(name)).map(|name| folder.join(name)));
    }
    removed.sort_unstable();
    removed.dedup();
    removed.iter().try_for_each(|path| vfs.remove_file(path))
}

fn is_ours(name: &str) -> bool {
    StoreLayout::parse_segment_name(name).is_some()
        || StoreLayout::parse_deaths_name(name).is_some()
        || StoreLayout::parse_wal_name(name).is_some()
}
