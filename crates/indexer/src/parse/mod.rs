//! Parsing: a file's text into the definitions in it.

use crate::language::Language;
use crate::node::ParsedFile;

/// The definitions of a file. Never fails: what cannot be understood is counted and left out.
pub fn parse(source: &str, language: Language) -> ParsedFile {
    let _ = source;
    ParsedFile { language, docs: Vec::new(), nodes: Vec::new(), syntax_errors: 0, given_up: None }
}
