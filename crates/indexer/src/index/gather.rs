//! Embedding apart from parsing: the texts of many files in full batches, so many at a time as the embedder wants.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;

use super::rows::FileRows;
use super::work::{Done, vectors_of};
use crate::embed::{Embedder, NodeText};
use crate::language::Language;
use crate::node::NodeKind;

/// A batch that is not full goes out after so long without another text: whoever waits for memory waits for it.
const PATIENCE: Duration = Duration::from_millis(20);

/// A [`NodeText`] that needs no source.
pub(crate) struct OwnedText {
    language: Language,
    kind: NodeKind,
    name: String,
    qualified_name: String,
    docs: String,
    signature: String,
    body: String,
}

impl From<NodeText<'_>> for OwnedText {
    fn from(text: NodeText<'_>) -> Self {
        let NodeText { language, kind, name, qualified_name, docs, signature, body } = text;
        let (name, qualified_name) = (name.to_owned(), qualified_name.to_owned());
        Self { language, kind, name, qualified_name, docs, signature: signature.to_owned(), body }
    }
}

impl OwnedText {
    /// The text, whose longest parts move.
    fn lend(&mut self) -> NodeText<'_> {
        NodeText {
            language: self.language,
            kind: self.kind,
            name: &self.name,
            qualified_name: &self.qualified_name,
            docs: std::mem::take(&mut self.docs),
            signature: &self.signature,
            body: std::mem::take(&mut self.body),
        }
    }
}

/// A file that waits for vectors.
struct Waiting {
    /// `None` once it went on.
    rows: Option<FileRows>,
    missing: usize,
}

/// A text on its way to the embedder.
pub(crate) struct Item {
    file: Arc<Mutex<Waiting>>,
    at: usize,
    text: OwnedText,
}

/// Makes batches of the texts of files, until there are no more or nobody takes them.
pub(crate) fn gather(
    files: &Receiver<(FileRows, Vec<(usize, OwnedText)>)>,
    batches: &Sender<Vec<Item>>,
    batch_size: usize,
) {
    let mut batch = Vec::new();
    loop {
        match files.recv_timeout(PATIENCE) {
            Ok((rows, wants)) => {
                let file = Arc::new(Mutex::new(Waiting { rows: Some(rows), missing: wants.len() }));
                for (at, text) in wants {
                    batch.push(Item { file: file.clone(), at, text });
                    if batch.len() >= batch_size && batches.send(std::mem::take(&mut batch)).is_err() {
                        return;
                    }
                }
            }
            Err(outcome) => {
                if !batch.is_empty() && batches.send(std::mem::take(&mut batch)).is_err()
                    || outcome == RecvTimeoutError::Disconnected
                {
                    return;
                }
            }
        }
    }
}

/// Embeds batches, and hands on the files that have all their vectors, until there are no more or one fails.
pub(crate) fn embed(batches: &Receiver<Vec<Item>>, embedder: &dyn Embedder, done: &Sender<Done>) {
    for mut batch in batches {
        let texts: Vec<NodeText<'_>> = batch.iter_mut().map(|item| item.text.lend()).collect();
        let vectors = match vectors_of(embedder, &texts) {
            Ok(vectors) => vectors,
            Err(error) => {
                let _ = done.send(Done::Failed(error));
                return;
            }
        };
        drop(texts);
        for (item, vector) in batch.into_iter().zip(vectors) {
            if let Some(mut rows) = item.file.lock().take(item.at, vector) {
                rows.copy_vectors();
                if done.send(Done::Rows(rows)).is_err() {
                    return;
                }
            }
        }
    }
}

impl Waiting {
    /// Takes a vector; gives the rows away with the last one.
    fn take(&mut self, at: usize, vector: Vec<f32>) -> Option<FileRows> {
        self.rows.as_mut()?.nodes[at].embedding = vector;
        self.missing -= 1;
        if self.missing == 0 { self.rows.take() } else { None }
    }
}
