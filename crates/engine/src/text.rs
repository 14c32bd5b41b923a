//! What a text search goes by: the terms of a node, and those of a question.
//!
//! What always holds: a node's terms are a function of its metadata; an identifier is found by its words and, where
//! it is asked for as a whole, by itself, whatever its case and whichever way its parts are joined.

use crate::node::{AttributeValue, NodeMetadata};
use crate::words::{self, each_term, each_word};

/// What made terms and counts of nodes: to be raised when other ones come out of the same metadata. Text sections of
/// another version are made anew when they are used.
pub(crate) const VERSION: u32 = words::VERSION << 16 | 1;

/// The attribute that is searched as a name, too, if it is a text: a node's name within its file.
pub const QUALIFIED_NAME: &str = "qualified_name";

/// What a word counts for where it stands. All were measured, on other code than figures are reported of.
const NAME: u32 = 20;
const QUALIFIED: u32 = 6;
const TERM: u32 = 1;
const PATH: u32 = 1;
/// What a word counts that is there once, as BM25 has it.
pub(crate) const ONCE: f32 = 10.0 / 3.0;
/// Leads an identifier as a whole, which no word begins with.
const WHOLE: char = '=';
/// Leads the name of a file as a whole.
const FILE: char = '/';
/// Longer identifiers are not kept as a whole.
const MAX_WHOLE_BYTES: usize = 256;

/// Calls `visit` with each term of a node and what it counts; a term may come several times. Returns the length of the
/// node's text, in words; those of its path are not among them.
pub(crate) fn each_count(metadata: &NodeMetadata, visit: &mut dyn FnMut(&str, u32)) -> u32 {
    let mut length = 0u32;
    let mut words = |text: &str, count: u32, visit: &mut dyn FnMut(&str, u32)| {
        each_term(text, |_, term| {
            length = length.saturating_add(1);
            visit(term, count);
        });
    };
    let name = metadata.name.as_deref().unwrap_or_default();
    words(name, NAME, visit);
    let qualified = match metadata.attributes.get(QUALIFIED_NAME) {
        Some(AttributeValue::Text(qualified)) => qualified,
        _ => name,
    };
    words(qualified, QUALIFIED, visit);
    words(metadata.terms.as_deref().unwrap_or_default(), TERM, visit);
    let path = metadata.path.as_deref().unwrap_or_default();
    each_term(path, |_, term| visit(term, PATH));
    let mut whole = |lead, text: &str| {
        if let Some(identifier) = identifier(lead, text) {
            visit(&identifier, 1);
        }
    };
    whole(WHOLE, name);
    if qualified != name {
        whole(WHOLE, qualified);
    }
    whole(FILE, path.rsplit('/').next().unwrap_or_default());
    length
}

/// An identifier as a term: in lower case, its parts joined by a point. `None`: it is none, or too long.
fn identifier(lead: char, text: &str) -> Option<String> {
    let mut term = String::from(lead);
    let mut rest = text;
    loop {
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        if part.is_empty() || text.len() > MAX_WHOLE_BYTES {
            return None;
        }
        term.extend(part.chars().flat_map(char::to_lowercase));
        if behind.is_empty() {
            return Some(term);
        }
        rest = JOINTS.iter().find_map(|joint| behind.strip_prefix(joint))?;
        term.push('.');
    }
}

/// What joins the parts of an identifier.
const JOINTS: [&str; 4] = ["::", "->", ".", "#"];

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    /// The terms, in order, each once, and how often each is there.
    pub(crate) terms: Vec<(String, u32)>,
    /// If all of it is one identifier: what a node has that is named so.
    pub(crate) named: Vec<String>,
}

impl Question {
    pub(crate) fn new(text: &str) -> Self {
        let mut all = Vec::new();
        each_term(text, |_, term| all.push(term.to_owned()));
        for token in text.split_whitespace() {
            let token = bare(token);
            let mut parts = 0;
            each_word(token, |_, _| parts += 1);
            // A single word may be any word; it is among the terms.
            if parts > 1 {
                all.extend(wholes(token));
            }
        }
        all.sort_unstable();
        let terms = all.chunk_by(|a, b| a == b).map(|same| (same[0].clone(), same.len() as u32)).collect();
        Self { terms, named: wholes(bare(text.trim())) }
    }
}

/// What a node has that is named so, if it is an identifier.
fn wholes(text: &str) -> Vec<String> {
    [WHOLE, FILE].into_iter().filter_map(|lead| identifier(lead, text)).collect()
}

/// A word as people write it, without what is around it: quotes, a call's brackets, a full stop.
fn bare(token: &str) -> &str {
    let token = token.trim_matches(|c: char| !is_part(c) && c != '(' && c != ')');
    token.trim_end_matches("()").trim_matches(|c: char| !is_part(c))
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
