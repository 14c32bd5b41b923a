//! The store of a folder of code, opened to be searched or to be indexed.

use std::path::{Path, PathBuf};

use codegraph_vector::{ErrorKind, OpenOptions, PersistentVectorStore, Result};
use codegraph_vector_indexer::{Embedder, EmbedderSpec};

use crate::args::Globals;
use crate::failure::Failure;
use crate::location::{self, Location};

/// Where the store of a folder of code is, whether it is there or not.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    location: Location,
    backups: Option<PathBuf>,
}

impl Workspace {
    /// The store that was named, else the nearest one in `folder` or above, else one in it.
    pub(crate) fn of(globals: &Globals, folder: &Path) -> Result<Self, Failure> {
        let location = location::locate_from(globals, || Ok(folder.to_owned()))?;
        let backups = globals.backups.clone().filter(|path| !path.as_os_str().is_empty());
        Ok(Self { location, backups })
    }

    /// The store's folder.
    pub(crate) fn store(&self) -> &Path {
        &self.location.path
    }

    /// Opens it to search, beside whoever writes.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub(crate) fn open_reading(&self) -> Result<PersistentVectorStore> {
        self.open(OpenOptions { read_only: true, must_exist: true, ..OpenOptions::default() })
    }

    /// Opens it to index, with the embedder that is asked for, else the one that it was indexed with, else the
    /// built-in one; makes it if there is none.
    ///
    /// # Errors
    /// `Busy` if another process writes to it.
    pub(crate) fn open_indexing(
        &self,
        embedder: Option<&EmbedderSpec>,
    ) -> Result<(PersistentVectorStore, Box<dyn Embedder>)> {
        let store = match self.open(OpenOptions { must_exist: true, ..OpenOptions::default() }) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.make(embedder)?,
            opened => opened?,
        };
        let spec = match embedder {
            Some(embedder) => embedder.clone(),
            None => EmbedderSpec::of_store(&store)?.unwrap_or_default(),
        };
        let embedder = spec.open(Some(&store))?;
        // Another embedder than that of the vectors is refused by whoever indexes, and changes nothing.
        if store.storage_header().embedder == Some(embedder.id()) {
            spec.record(&store)?;
        }
        Ok((store, embedder))
    }

    /// Makes a store for the vectors of an embedder, else of the built-in one.
    fn make(&self, embedder: Option<&EmbedderSpec>) -> Result<PersistentVectorStore> {
        let embedder = embedder.cloned().unwrap_or_default().open(None)?;
        let (dimension, id) = (Some(embedder.dimension()), Some(embedder.id()));
        self.open(OpenOptions { dimension, embedder: id, ..OpenOptions::default() })
    }

    fn open(&self, options: OpenOptions) -> Result<PersistentVectorStore> {
        self.location.open(OpenOptions { backups: self.backups.clone(), ..options })
    }
}
