//! MiniLM vectors of the same code, where somebody has them: what a small neural model would find.
//!
//! The folder holds `nodes.jsonl.gz` (name, path and first line of each row), `base.f16.npy` (their vectors),
//! `queries.jsonl` and `queries.f16.npy` (questions and their vectors). Only definitions and questions that
//! the corpus has, too, count, so that every system answers the same questions over the same documents.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;

use codegraph_vector_indexer::{Embedder, EmbedderSpec};
use serde_json::Value;

use super::Outcome;
use super::bm25;
use super::compare::compare;
use super::documents::{Document, Documents, Query};
use super::sentence::normal;
use super::systems::{Embedded, System, Text, Vectors};
use crate::data;

/// Lines that the start of a definition may differ by: decorators count for some.
const LINES_APART: u32 = 5;

/// Fewer questions than this say nothing.
const MIN_QUESTIONS: usize = 20;

/// MiniLM as a system: it knows the vectors of these questions only.
struct MiniLm {
    vectors: Vectors,
    questions: HashMap<String, Vec<f32>>,
}

impl System for MiniLm {
    fn name(&self) -> &str {
        "MiniLM"
    }

    fn find(&self, question: &str, limit: usize) -> Outcome<Vec<usize>> {
        let query = self.questions.get(question).ok_or("a question without a vector")?;
        Ok(self.vectors.find(query, limit))
    }
}

/// Objects of a JSON-lines file.
fn lines(text: &str) -> Outcome<Vec<Value>> {
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Prints a table of all systems over what the corpus and the folder have in common.
pub(crate) fn measure(
    folder: &Path,
    corpus: &Documents,
    embedder: &dyn Embedder,
    spec: &EmbedderSpec,
) -> Outcome<()> {
    let base = data::load(&folder.join("base.f16.npy"))?;
    let unpacked = Command::new("gzip").arg("-dc").arg(folder.join("nodes.jsonl.gz")).output()?;
    let rows = rows_by_name(&lines(&String::from_utf8(unpacked.stdout)?)?);
    let (mut documents, mut values) = (Vec::new(), Vec::new());
    for document in &corpus.documents {
        if let Some(row) = row_of(&rows, document) {
            documents.push(document.clone());
            values.extend_from_slice(base.row(row));
        }
    }
    let asked = data::load(&folder.join("queries.f16.npy"))?;
    let texts = lines(&std::fs::read_to_string(folder.join("queries.jsonl"))?)?;
    let texts: Vec<&str> = texts.iter().filter_map(|line| line["text"].as_str()).collect();
    let queries = questions(&texts, &documents);
    let title = format!(
        "{} definitions and {} questions that MiniLM vectors are at hand of",
        documents.len(),
        queries.len()
    );
    if queries.len() < MIN_QUESTIONS {
        println!("{title}: too few to compare.\n");
        return Ok(());
    }
    println!(
        "Of these, {title} (MiniLM's texts may have held the very documentation; ranks near 1 say that they did):\n"
    );
    let questions =
        (0..).zip(&texts).map(|(at, text)| ((*text).to_owned(), asked.row(at).to_vec())).collect();
    let minilm = MiniLm { vectors: Vectors::new(values, base.dimension), questions };
    let split = Text::new("BM25, identifiers split", &documents, bm25::split_words);
    let plain = Text::new("BM25, plain words", &documents, bm25::plain_words);
    let embedded = Embedded::new(format!("{spec}, vectors alone"), embedder, &documents)?;
    println!("{}", compare(&[&split, &plain, &embedded, &minilm], &queries)?.table());
    Ok(())
}

/// First lines and rows by path and name. A path loses the folder that it was collected in.
fn rows_by_name(nodes: &[Value]) -> HashMap<(String, String), Vec<(u32, usize)>> {
    let mut rows: HashMap<_, Vec<(u32, usize)>> = HashMap::new();
    for (row, node) in nodes.iter().enumerate() {
        let (Some(path), Some(name)) = (node["path"].as_str(), node["name"].as_str()) else { continue };
        let path =
            ["crates/", "site-packages/"].iter().find_map(|part| path.strip_prefix(part)).unwrap_or(path);
        let line = node["start_line"].as_u64().unwrap_or_default() as u32;
        rows.entry((path.to_owned(), name.to_owned())).or_default().push((line, row));
    }
    rows
}

/// The row of a document: of those with its path and name the one that starts nearest.
fn row_of(rows: &HashMap<(String, String), Vec<(u32, usize)>>, document: &Document) -> Option<usize> {
    let candidates = rows.get(&(document.path.clone(), document.name.clone()))?;
    let apart = |line: u32| line.abs_diff(document.start_line);
    let &(line, row) = candidates.iter().min_by_key(|(line, _)| apart(*line))?;
    (apart(line) <= LINES_APART).then_some(row)
}

/// The questions that are the first sentence of one document, or the beginning of one.
fn questions(texts: &[&str], documents: &[Document]) -> Vec<Query> {
    let sentence = |document: &Document| document.sentence.as_deref().map(normal).unwrap_or_default();
    let sentences: Vec<String> = documents.iter().map(sentence).collect();
    let (mut queries, mut seen) = (Vec::new(), HashSet::new());
    for text in texts {
        let question = normal(text);
        if question.split(' ').count() < 4 || !seen.insert(question.clone()) {
            continue;
        }
        let mut targets = (0..).zip(&sentences).filter(|(_, sentence)| sentence.starts_with(&question));
        if let (Some((target, _)), None) = (targets.next(), targets.next()) {
            queries.push(Query { text: (*text).to_owned(), target });
        }
    }
    queries
}
