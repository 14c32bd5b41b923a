//! The store as it is searched: opened to read, so that no other window is kept from indexing, and moved on to what
//! others have stored before each answer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use codegraph_vector::{Error, ErrorKind, PersistentVectorStore, SeqNo, Snapshot};
use codegraph_vector_indexer::{Embedder, EmbedderSpec, root_of};

use super::refusal::Refusal;
use crate::workspace::Workspace;
use crate::{location, workspace};

/// Opens the store when it is first needed, and keeps it open.
pub(crate) struct Reader {
    workspace: Workspace,
    held: Mutex<Option<Held>>,
}

/// The store, open.
struct Held {
    store: PersistentVectorStore,
    /// When its folder was made, which tells whether it was deleted and made again. `None` if nobody knows.
    born: Option<SystemTime>,
    /// Since when the embedder is as it is.
    embedder: Option<(SeqNo, Arc<dyn Embedder>)>,
}

/// The store as it is now.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) store: PersistentVectorStore,
    /// The folder that it is the index of, if it was indexed.
    pub(crate) root: Option<PathBuf>,
}

impl Reader {
    pub(crate) fn new(workspace: Workspace) -> Self {
        Self { workspace, held: Mutex::new(None) }
    }

    /// The store as it is now.
    pub(crate) fn view(&self) -> Result<View, Refusal> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let store = self.refreshed(&mut held).inspect_err(|_| *held = None)?;
        let root = root_of(&store)?;
        Ok(View { store, root })
    }

    fn refreshed(&self, held: &mut Option<Held>) -> Result<PersistentVectorStore, Refusal> {
        let born = self.born();
        if let Some(Held { store, .. }) = held.as_ref().filter(|held| held.born == born)
            && store.refresh().is_ok()
        {
            return Ok(store.clone());
        }
        let store = self.workspace.open_reading().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Refusal::failed(
                "there is no index here yet. Call the tool `reindex` to make it, then ask again",
            ),
            _ => error.into(),
        })?;
        *held = Some(Held { store: store.clone(), born, embedder: None });
        Ok(store)
    }

    fn born(&self) -> Option<SystemTime> {
        self.workspace.store().metadata().ok()?.created().ok()
    }

    /// What makes vectors of questions for the store as it is now.
    pub(crate) fn embedder(&self, view: &View) -> Result<Arc<dyn Embedder>, Refusal> {
        let seqno = view.store.snapshot()?.seqno();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Held { embedder: Some((since, embedder)), .. }) = &*held
            && *since == seqno
        {
            return Ok(embedder.clone());
        }
        if EmbedderSpec::of_store(&view.store)?.is_none() {
            return Err(Refusal::failed(
                "this store was not made by indexing code, so there is nothing to search it by words with. \
                 `similar_code` and `get_node` work by node_id",
            ));
        }
        let embedder: Arc<dyn Embedder> = workspace::embedder_of(&view.store)?.into();
        if let Some(held) = &mut *held {
            held.embedder = Some((seqno, embedder.clone()));
        }
        Ok(embedder)
    }
}

impl View {
    /// Reads from one moment of the store.
    pub(crate) fn read<T>(&self, read: impl Fn(&Snapshot) -> Result<T, Error>) -> Result<T, Refusal> {
        Ok(location::read(&self.store, read)?)
    }
}
