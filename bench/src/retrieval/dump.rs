//! The documents and questions as JSON lines, to look at and to try ideas on.

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;

use super::Outcome;
use super::documents::Documents;

/// Writes a line for each document.
pub(crate) fn write(corpora: &[Documents], path: &Path) -> Outcome<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    for corpus in corpora {
        let targets: HashSet<usize> = corpus.queries.iter().map(|query| query.target).collect();
        for (id, document) in corpus.documents.iter().enumerate() {
            let line = json!({
                "id": id,
                "language": document.language.name(),
                "kind": document.kind.name(),
                "name": document.name,
                "qualified_name": document.qualified_name,
                "path": document.path,
                "signature": document.signature,
                "body": document.body,
                "doc_first_sentence": document.sentence,
                "is_query": targets.contains(&id),
                "is_candidate": corpus.candidates.contains(&id),
            });
            writeln!(out, "{line}")?;
        }
    }
    Ok(out.flush()?)
}
