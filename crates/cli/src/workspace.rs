//! The store of a folder of code, opened to be searched or to be indexed.

use std::path::{Path, PathBuf};

use codegraph_vector::{EmbedderId, Error, ErrorKind, OpenOptions, PersistentVectorStore, Result};
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
            None => {
                let recorded = EmbedderSpec::of_store(&store)?.unwrap_or_default();
                recorded.check_recorded()?;
                recorded
            }
        };
        let embedder = spec.open(Some(&store))?;
        check_same(&store, &embedder.id(), &format!("`{spec}`"))?;
        spec.record(&store)?;
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

/// What makes vectors of questions for a store.
///
/// # Errors
/// `InvalidInput` if the store was not indexed, or by an embedder that makes other vectors here; whatever the
/// embedder fails with.
pub(crate) fn embedder_of(store: &PersistentVectorStore) -> Result<Box<dyn Embedder>> {
    let Some(spec) = EmbedderSpec::of_store(store)? else {
        let message = "this store was not made by `cgv index`, so it has no embedder for words: use `cgv query`, \
                       or search --like";
        return Err(Error::invalid(message).at(store.path()));
    };
    spec.check_recorded()?;
    let embedder = spec.open(Some(store)).map_err(|error| {
        error.context(format_args!("the store was indexed with `{spec}`, which is not to be had now"))
    })?;
    check_same(store, &embedder.id(), "this cgv")?;
    Ok(embedder)
}

/// Refuses an embedder whose vectors have nothing to do with those of the store.
fn check_same(store: &PersistentVectorStore, id: &EmbedderId, whose: &str) -> Result<()> {
    let Some(theirs) = store.storage_header().embedder else {
        let message = "this store was not made by `cgv index`; name another one with --store";
        return Err(Error::invalid(message).at(store.path()));
    };
    if theirs == *id {
        return Ok(());
    }
    let named =
        |id: &EmbedderId| format!("{} {} {}", id.name, id.version, id.parameters).trim_end().to_owned();
    let message = format!(
        "this store was indexed with {}, and vectors of {whose} ({}) cannot be compared with those; \
         to change, index into a new store: remove this folder, or name another one with --store",
        named(&theirs),
        named(id)
    );
    Err(Error::invalid(message).at(store.path()))
}
