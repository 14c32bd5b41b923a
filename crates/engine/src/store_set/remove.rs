//! Removing a store for good.
//!
//! Its folder gets another name first, in one step: at any moment, and after a crash, the store is there as a whole or not at
//! all. What lies under such a name is rubbish, which this removal or a later one clears away.

use codegraph_vector_base::vfs;
use codegraph_vector_base::{Error, ErrorKind, Result};
use codegraph_vector_storage::StoreLayout;

use super::keep::Kept;

/// How the names of folders begin that are to be removed. No store's does.
const REMOVED_PREFIX: &str = ".removed-";

impl Kept {
    /// Closes a store of the set's folder for all its users, and removes it.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        let vfs = &*self.config.options.environment.vfs;
        {
            let (core, _busy) = self.take_out(&path);
            if let Some(core) = core {
                // What it could not write any more is not wanted any more.
                let _ = core.close();
            }
            if !StoreLayout::new(&path).is_store(vfs)? {
                return Err(Error::new(ErrorKind::NotFound, "there is no store here").at(&path));
            }
            let rubbish = self.root.join(format!("{REMOVED_PREFIX}{name}"));
            vfs::remove_tree(vfs, &rubbish)?;
            vfs.rename(&path, &rubbish)?;
            vfs.sync_dir(&self.root)?;
        }
        // Others may make another store of that name meanwhile.
        for name in vfs.list(&self.root)?.iter().filter(|name| name.starts_with(REMOVED_PREFIX)) {
            vfs::remove_tree(vfs, &self.root.join(name))?;
        }
        Ok(())
    }
}
