//! What becomes of one file: read, compared with what the store has, parsed, and embedded where that is cheap.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use codegraph_vector::{CodeNode, Error, Result};

use super::Problem;
use super::budget::{Budget, Held};
use super::gather::OwnedText;
use super::origin::{Found, Origin, Reader};
use super::plan::{Plan, Recorded};
use super::rows::{self, FileRows, ReadFile};
use super::source::{Source, Unread};
use crate::embed::{Embedder, NodeText};
use crate::language::Language;
use crate::parse::parse;
use crate::stop::Stop;

/// What all threads of a run share.
pub(crate) struct Run<'a> {
    pub(crate) origin: &'a Origin<'a>,
    pub(crate) plan: &'a Plan,
    pub(crate) embedder: &'a dyn Embedder,
    pub(crate) max_file_bytes: u64,
    pub(crate) budget: Arc<Budget>,
    pub(crate) counters: Counters,
    pub(crate) stop: &'a Stop,
}

/// What is counted where it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Source files that the walk came by.
    pub(crate) found: AtomicU64,
    /// Whether that are all.
    pub(crate) all_found: AtomicBool,
    /// Files that are as they were.
    pub(crate) unchanged: AtomicU64,
    /// Bytes of source that were read.
    pub(crate) bytes: AtomicU64,
    /// Files that were read.
    pub(crate) read: AtomicU64,
}

/// What is to be done about a file.
pub(crate) enum Done {
    /// Store these rows, which are complete.
    Rows(FileRows),
    /// Store the file's own node, whose attributes changed and nothing else.
    Touched(Box<CodeNode>),
    /// Leave it out, for a reason; what the store has of it goes.
    Left(Problem),
    /// Leave it out, for no store can have it. Its path may be shown like that of another file.
    Refused(Problem),
    /// Keep what the store has of it, for a reason.
    Kept(Problem),
    /// Keep what the store has of it, and of all below it, for nobody knows what is there.
    Unknown(Problem),
    /// Remove it.
    Gone(String),
    /// End the run.
    Failed(Error),
}

/// What a worker made of a file.
pub(crate) enum Worked {
    /// Nothing is left to do.
    Unchanged,
    /// All but storing.
    Done(Done),
    /// All but embedding these texts for these rows.
    Wants(FileRows, Vec<(usize, OwnedText)>),
}

impl Run<'_> {
    /// Whether texts are embedded by the worker that has them, or gathered into batches for others.
    pub(crate) fn embeds_at_once(&self) -> bool {
        self.embedder.concurrency() == usize::MAX
    }

    /// Works on a file. `None` if the run is over.
    pub(crate) fn work(&self, reader: &Reader<'_>, found: Found) -> Result<Option<Worked>> {
        let recorded = self.plan.recorded(&found.path);
        let size = reader.size(&found).min(self.max_file_bytes);
        let Some(held) = self.budget.take(size as usize + rows::NODE_BYTES) else {
            return Ok(None);
        };
        let read = reader.read(&found, self.max_file_bytes);
        let path = found.path;
        let source = match read {
            Ok(source) => source,
            Err(unread) => return Ok(Some(Worked::Done(self.unread(path, unread)))),
        };
        self.counters.bytes.fetch_add(source.stamp.size, Ordering::Relaxed);
        self.counters.read.fetch_add(1, Ordering::Relaxed);
        if let Some(recorded) = recorded
            && recorded.is_of(source.stamp, source.hash)
            && let Some(worked) = self.same(&path, recorded, &source)?
        {
            return Ok(Some(worked));
        }
        self.read(path, source, held).map(Some)
    }

    fn unread(&self, path: String, unread: Unread) -> Done {
        match unread {
            Unread::Gone => Done::Gone(path),
            Unread::Unknown(reason) => Done::Kept(Problem { path, reason }),
            Unread::TooLarge => {
                let reason =
                    format!("is larger than {:.1} MiB", self.max_file_bytes as f64 / f64::from(1 << 20));
                Done::Left(Problem { path, reason })
            }
        }
    }

    /// A file with the bytes that it had. `None` if its own node is not in the store after all.
    fn same(&self, path: &str, recorded: &Recorded, source: &Source) -> Result<Option<Worked>> {
        if recorded.has_mark(source.stamp) {
            return Ok(Some(Worked::Unchanged));
        }
        let Some(mut node) = self.plan.node(rows::file_id(path))? else { return Ok(None) };
        rows::set_mark(&mut node.attributes, source.stamp.mark);
        Ok(Some(Worked::Done(Done::Touched(Box::new(node)))))
    }

    fn read(&self, path: String, source: Source, held: Held) -> Result<Worked> {
        let Source { bytes, hash, stamp } = source;
        let leave = |path, reason: String| Ok(Worked::Done(Done::Left(Problem { path, reason })));
        if bytes.contains(&0) {
            return leave(path, "is binary".to_owned());
        }
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => return leave(path, format!("is not UTF-8 at byte {}", error.valid_up_to())),
        };
        let Some(language) = Language::of_file(Path::new(&path), text) else {
            return Ok(Worked::Done(Done::Gone(path)));
        };
        let parsed = parse(text, language);
        let file = ReadFile { path: &path, text, hash, stamp };
        let (mut rows, wants) = rows::rows_of(&file, &parsed, self.plan, self.embedder.dimension(), held)?;
        if wants.is_empty() {
            return Ok(Worked::Done(Done::Rows(rows)));
        }
        if !self.embeds_at_once() {
            let wants = wants.into_iter().map(|(at, text)| (at, OwnedText::from(text))).collect();
            return Ok(Worked::Wants(rows, wants));
        }
        let (places, texts): (Vec<usize>, Vec<NodeText<'_>>) = wants.into_iter().unzip();
        let batch = self.embedder.batch().max(1);
        for (places, texts) in places.chunks(batch).zip(texts.chunks(batch)) {
            for (at, vector) in places.iter().zip(vectors_of(self.embedder, texts)?) {
                rows.nodes[*at].embedding = vector;
            }
        }
        rows.copy_vectors();
        Ok(Worked::Done(Done::Rows(rows)))
    }
}

/// Embeds texts, and holds the embedder to its word.
pub(crate) fn vectors_of(embedder: &dyn Embedder, texts: &[NodeText<'_>]) -> Result<Vec<Vec<f32>>> {
    let vectors = embedder.embed_nodes(texts)?;
    let dimension = embedder.dimension();
    let wrong = vectors.iter().find(|vector| vector.len() != dimension);
    if vectors.len() == texts.len() && wrong.is_none() {
        return Ok(vectors);
    }
    let name = embedder.id().name;
    Err(Error::invalid(match wrong {
        Some(vector) => {
            format!("the embedder {name:?} gave a vector of {} dimensions, not {dimension}", vector.len())
        }
        None => format!("the embedder {name:?} gave {} vectors for {} texts", vectors.len(), texts.len()),
    }))
}
