//! A corpus as it is measured: definitions whose documentation is gone, and first sentences to find them by.
//!
//! Documentation is blanked in the source itself, byte by byte, so that lines stay where they are and
//! whatever reads the source afterwards, the pipeline too, cannot see any of it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use codegraph_vector_indexer::{Language, NodeKind, NodeText, ParsedFile, ParsedNode, Texts, parse};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::corpus::Source;
use super::sentence::{asks, first_sentence, normal};

/// Most questions that are asked of a corpus.
const MAX_QUERIES: usize = 2000;

/// Which of them are taken.
const SEED: u64 = 384;

/// Rounds of blanking: what was no documentation may become it when what stood in between is gone.
const ROUNDS: usize = 4;

/// A definition.
#[derive(Clone)]
pub(crate) struct Document {
    pub(crate) path: String,
    pub(crate) language: Language,
    pub(crate) kind: NodeKind,
    pub(crate) name: String,
    pub(crate) qualified_name: String,
    pub(crate) start_line: u32,
    pub(crate) signature: String,
    pub(crate) body: String,
    /// First sentence of the documentation that it had.
    pub(crate) sentence: Option<String>,
}

impl Document {
    /// What an embedder is told of it.
    pub(crate) fn text(&self) -> NodeText<'_> {
        NodeText {
            language: self.language,
            kind: self.kind,
            name: &self.name,
            qualified_name: &self.qualified_name,
            docs: String::new(),
            signature: &self.signature,
            body: self.body.clone(),
        }
    }
}

/// A question, and the only right answer.
pub(crate) struct Query {
    pub(crate) text: String,
    /// Place among the documents.
    pub(crate) target: usize,
}

/// What is searched and asked.
pub(crate) struct Documents {
    /// The corpus without documentation.
    pub(crate) sources: Vec<Source>,
    pub(crate) documents: Vec<Document>,
    pub(crate) queries: Vec<Query>,
    /// Targets of all questions that could be asked, of which `queries` are some.
    pub(crate) candidates: HashSet<usize>,
}

impl Documents {
    pub(crate) fn of(sources: Vec<Source>) -> Self {
        let (mut blanked, mut documents) = (Vec::new(), Vec::new());
        for source in sources {
            let parsed = parse(&source.text, source.language);
            let sentences = sentences(&source.text, parsed.clone());
            let source = blank_all(source, parsed);
            let parsed = parse(&source.text, source.language);
            let texts = Texts::new(&source.text, &parsed);
            for (at, node) in parsed.nodes.iter().enumerate().filter(|(_, n)| n.kind != NodeKind::Module) {
                let NodeText { kind, name, qualified_name, signature, body, .. } = texts.node(at);
                documents.push(Document {
                    path: source.path.clone(),
                    language: source.language,
                    kind,
                    name: name.to_owned(),
                    qualified_name: qualified_name.to_owned(),
                    start_line: node.start_line,
                    signature: signature.to_owned(),
                    body,
                    sentence: sentences.get(&(node.span.start, node.kind)).cloned(),
                });
            }
            blanked.push(source);
        }
        let mut queries = queries(&documents);
        let candidates = queries.iter().map(|query| query.target).collect();
        queries.truncate(MAX_QUERIES);
        queries.sort_by_key(|query| query.target);
        Self { sources: blanked, documents, queries, candidates }
    }

    /// Questions that stand word for word in the text of their target: a comment may say it again.
    pub(crate) fn leaks(&self) -> usize {
        let leaks = |query: &&Query| {
            let document = &self.documents[query.target];
            normal(&document.body).contains(&normal(&query.text))
        };
        self.queries.iter().filter(leaks).count()
    }
}

/// Every question that may be asked, in an order drawn by the seed. A sentence that several
/// definitions of the corpus share has no right answer, and is left out.
fn queries(documents: &[Document]) -> Vec<Query> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for sentence in documents.iter().filter_map(|document| document.sentence.as_deref()) {
        *seen.entry(normal(sentence)).or_default() += 1;
    }
    let mut drawn: Vec<(u64, Query)> = Vec::new();
    for (target, document) in documents.iter().enumerate() {
        let function = matches!(document.kind, NodeKind::Function | NodeKind::Method);
        let Some(text) = document.sentence.clone().filter(|text| function && asks(text)) else { continue };
        if seen.get(&normal(&text)) == Some(&1) {
            drawn.push((xxh3_64_with_seed(text.as_bytes(), SEED), Query { text, target }));
        }
    }
    drawn.sort_by_key(|(order, query)| (*order, query.target));
    drawn.into_iter().map(|(_, query)| query).collect()
}

/// First sentences of the documentation, by where the definition starts. Of Python, that is the docstring:
/// a comment before a definition is often about something else.
fn sentences(text: &str, mut parsed: ParsedFile) -> HashMap<(usize, NodeKind), String> {
    if parsed.language == Language::Python {
        for node in &mut parsed.nodes {
            node.docs.retain(|docs| node.span.contains(&docs.start));
        }
    }
    let texts = Texts::new(text, &parsed);
    let of = |(at, node): (usize, &ParsedNode)| {
        first_sentence(&texts.node(at).docs).map(|sentence| ((node.span.start, node.kind), sentence))
    };
    parsed.nodes.iter().enumerate().filter_map(of).collect()
}

/// The source with all documentation blanked.
fn blank_all(mut source: Source, mut parsed: ParsedFile) -> Source {
    for _ in 0..ROUNDS {
        let node_docs = parsed.nodes.iter().flat_map(|node| node.docs.iter().cloned());
        let docs: Vec<Range<usize>> = parsed.docs.iter().cloned().chain(node_docs).collect();
        if docs.is_empty() {
            break;
        }
        let mut bytes = source.text.clone().into_bytes();
        for docs in &docs {
            blank(&mut bytes, docs);
        }
        if source.language == Language::Python {
            for node in &parsed.nodes {
                keep_a_statement(&mut bytes, node);
            }
        }
        // Whole characters were replaced by spaces, so it is still UTF-8.
        source.text = String::from_utf8(bytes).unwrap_or_default();
        parsed = parse(&source.text, source.language);
    }
    source
}

fn blank(bytes: &mut [u8], range: &Range<usize>) {
    for byte in bytes[range.clone()].iter_mut().filter(|byte| !matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

/// Puts a statement where a docstring was all that a definition had.
fn keep_a_statement(bytes: &mut [u8], node: &ParsedNode) {
    let body = String::from_utf8_lossy(&bytes[node.body.clone()]).into_owned();
    let says_nothing = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let Some(docstring) = node.docs.iter().find(|docs| node.body.contains(&docs.start)) else { return };
    if body.lines().all(says_nothing) {
        let place = &mut bytes[docstring.clone()];
        let statement: &[u8] = if place.len() < 4 { b"0" } else { b"pass" };
        place[..statement.len()].copy_from_slice(statement);
    }
}

#[cfg(test)]
#[path = "documents_tests.rs"]
mod tests;
