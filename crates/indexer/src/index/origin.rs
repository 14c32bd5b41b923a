//! Where files come from: a folder as it is now, or a commit. All else of a run is the same for both.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use codegraph_vector::{AttributeValue, NodeMetadata, Result};
use gix::{ObjectId, Repository};

use super::git::{self, Changes, Commit};
use super::rows::GIT_BLOB;
use super::scope::Paths;
use super::source::{self, Hook, Mark, Source, Stamp, Unread};
use super::walk::{Entering, Seen, walk};

/// Where the files of a run come from.
pub(crate) enum Origin<'a> {
    /// From a folder.
    Folder {
        root: &'a Path,
        /// The folder of the store, which is left out wherever it lies.
        store: &'a Path,
        /// The part of it that is looked at.
        paths: Option<Arc<Paths>>,
        /// Is told of each folder before it is looked into.
        entering: Option<Entering>,
        hook: Hook<'a>,
    },
    /// From a commit.
    Commit {
        commit: &'a Commit,
        /// What it has otherwise than the commit that the store has; `None` if that is not known.
        changes: Option<Changes>,
    },
}

/// A file to be read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: String,
    /// Its blob, if it is one of a commit.
    pub(crate) blob: Option<ObjectId>,
    /// Its bytes, as far as they are known by now.
    pub(crate) size: u64,
}

impl Found {
    /// The file that a file's own node is of.
    pub(crate) fn of_node(path: &str, metadata: &NodeMetadata) -> Self {
        let blob = match metadata.attributes.get(GIT_BLOB) {
            Some(AttributeValue::Text(id)) => ObjectId::from_hex(id.as_bytes()).ok(),
            _ => None,
        };
        Self { path: path.to_owned(), blob, size: 0 }
    }
}

/// What one thread reads files with.
pub(crate) enum Reader<'a> {
    Folder(&'a Path, Hook<'a>),
    Commit(Box<Repository>),
}

impl Origin<'_> {
    /// Calls `each` for all files that are to be looked at, until it breaks.
    ///
    /// # Errors
    /// Those of [`walk`] and [`Commit::walk`].
    pub(crate) fn walk(&self, each: &mut dyn FnMut(Seen) -> ControlFlow<()>) -> Result<()> {
        match self {
            Self::Folder { root, store, paths, entering, .. } => {
                walk(root, store, paths.clone(), entering.clone(), each)
            }
            Self::Commit { commit, changes: None } => commit.walk(each),
            Self::Commit { changes: Some(changes), .. } => {
                let _ = changes.files.iter().cloned().try_for_each(each);
                Ok(())
            }
        }
    }

    /// Something to read files with, for one thread.
    pub(crate) fn reader(&self) -> Reader<'_> {
        match self {
            Self::Folder { root, hook, .. } => Reader::Folder(root, hook),
            Self::Commit { commit, .. } => Reader::Commit(Box::new(commit.repository())),
        }
    }
}

impl Reader<'_> {
    /// Bytes that a file has, if it can be read.
    pub(crate) fn size(&self, found: &Found) -> u64 {
        match (self, found.blob) {
            (Self::Commit(repository), Some(id)) => git::blob_bytes(repository, id).unwrap_or_default(),
            _ => found.size,
        }
    }

    /// Reads a file of at most `limit` bytes.
    pub(crate) fn read(&self, found: &Found, limit: u64) -> Result<Source, Unread> {
        let (repository, id) = match (self, found.blob) {
            (Self::Folder(root, hook), _) => return source::read(&root.join(&found.path), limit, hook),
            (Self::Commit(_), None) => return Err(Unread::Gone),
            (Self::Commit(repository), Some(id)) => (repository, id),
        };
        let unknown = |error: codegraph_vector::Error| Unread::Unknown(error.message().to_owned());
        if git::blob_bytes(repository, id).map_err(unknown)? > limit {
            return Err(Unread::TooLarge);
        }
        let bytes = git::blob(repository, id).map_err(unknown)?;
        let stamp = Stamp { size: bytes.len() as u64, mark: Mark::Blob(id) };
        Ok(Source::of(bytes, stamp))
    }
}
