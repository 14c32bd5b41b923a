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

#[cfg(test)]
mod tests {
    use codegraph_vector::CodeNode;
    use crossbeam_channel::unbounded;

    use super::*;
    use crate::index::budget::Budget;

    fn file(wants: usize) -> (FileRows, Vec<(usize, OwnedText)>) {
        let rows = FileRows {
            path: wants.to_string(),
            nodes: vec![CodeNode::default(); wants + 1],
            copies: vec![(wants, 0)],
            reused: 0,
            syntax_errors: false,
            problem: None,
            held: Budget::new(1).take(0).unwrap(),
        };
        let text = |_| NodeText {
            language: Language::Go,
            kind: NodeKind::Type,
            name: "name",
            qualified_name: "of.name",
            docs: "docs".to_owned(),
            signature: "type",
            body: "body".to_owned(),
        };
        (rows, (0..wants).map(|at| (at, text(at).into())).collect())
    }

    #[test]
    fn batches_are_full_but_for_the_last_and_a_file_goes_on_with_its_last_vector() {
        let (files_in, files) = unbounded();
        [3, 9, 1].into_iter().for_each(|wants| files_in.send(file(wants)).unwrap());
        drop(files_in);
        let (batches_in, batches) = unbounded();
        gather(&files, &batches_in, 4);
        drop(batches_in);
        let mut whole = Vec::new();
        let mut sizes = Vec::new();
        for mut batch in batches {
            sizes.push(batch.len());
            assert_eq!(batch[0].text.lend(), file(1).1[0].1.lend());
            for item in batch {
                whole.extend(item.file.lock().take(item.at, vec![item.at as f32]));
            }
        }
        assert_eq!(sizes, [4, 4, 4, 1]);
        assert_eq!(whole.iter().map(|rows| &*rows.path).collect::<Vec<_>>(), ["3", "9", "1"]);
        for rows in &mut whole {
            rows.copy_vectors();
            let last = rows.nodes.len() - 1;
            let vectors = (0..last).map(|at| vec![at as f32]).chain([vec![0.0]]);
            assert!(rows.nodes.iter().map(|node| node.embedding.clone()).eq(vectors));
        }
    }
}
