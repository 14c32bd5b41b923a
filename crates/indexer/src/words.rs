//! Words in names and text: what a question asks for, and where a line of code has it.

use std::ops::Range;

use rust_stemmers::{Algorithm, Stemmer};

/// Words that say nothing of what is looked for.
const FILLERS: [&str; 44] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "has", "have",
    "how", "i", "if", "in", "into", "is", "it", "its", "of", "on", "or", "so", "than", "that", "the",
    "their", "then", "there", "this", "to", "was", "what", "when", "where", "which", "who", "why", "with",
    "you",
];

/// The words of a question, each once, without those that say nothing unless there are no others. A name is
/// as many words as it has parts: `parseConfig` is `parse` and `config`.
pub fn terms(question: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for part in parts(question) {
        let word = question[part].to_lowercase();
        if !all.contains(&word) {
            all.push(word);
        }
    }
    let telling: Vec<String> = all.iter().filter(|word| !FILLERS.contains(&&***word)).cloned().collect();
    if telling.is_empty() { all } else { telling }
}

/// Finds the terms of one question in lines.
pub(crate) struct Finder {
    stemmer: Stemmer,
    stems: Vec<String>,
}

impl Finder {
    pub(crate) fn new(terms: &[String]) -> Self {
        let mut finder = Self { stemmer: Stemmer::create(Algorithm::English), stems: Vec::new() };
        // Whoever calls may not have split names.
        for term in terms {
            for part in parts(term) {
                let stem = finder.stem(&term[part]);
                if !finder.stems.contains(&stem) {
                    finder.stems.push(stem);
                }
            }
        }
        finder
    }

    /// Where a line has one of the terms, in order; and how many different ones it has.
    pub(crate) fn find(&self, line: &str) -> (Vec<Range<usize>>, usize) {
        let mut seen = vec![false; self.stems.len()];
        let mut found = Vec::new();
        for part in parts(line) {
            let stem = self.stem(&line[part.clone()]);
            if let Some(at) = self.stems.iter().position(|term| *term == stem) {
                seen[at] = true;
                found.push(part);
            }
        }
        (found, seen.iter().filter(|seen| **seen).count())
    }

    /// Whether there is nothing to find.
    pub(crate) fn is_empty(&self) -> bool {
        self.stems.is_empty()
    }

    fn stem(&self, word: &str) -> String {
        self.stemmer.stem(&word.to_lowercase()).into_owned()
    }
}

/// The parts of names in a text, as ranges of its bytes: `parseHTTPHeader_v2` has `parse`, `HTTP`, `Header`, `v2`.
pub(crate) fn parts(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut chars = text.char_indices().peekable();
    let mut start = None;
    let mut before: Option<char> = None;
    std::iter::from_fn(move || {
        while let Some((at, here)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            if !here.is_alphanumeric() {
                before = None;
                if let Some(start) = start.take() {
                    return Some(start..at);
                }
                continue;
            }
            let begins = before.is_none_or(|before| {
                let word_ends = here.is_uppercase() && !before.is_uppercase();
                // The last capital of several belongs to what follows.
                let capitals_end =
                    here.is_uppercase() && before.is_uppercase() && next.is_some_and(char::is_lowercase);
                word_ends || capitals_end
            });
            before = Some(here);
            if begins && let Some(start) = start.replace(at) {
                return Some(start..at);
            }
        }
        start.take().map(|start| start..text.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        parts(text).map(|part| &text[part]).collect()
    }

    #[test]
    fn names_have_parts() {
        assert_eq!(split("parseHTTPHeader_v2(a)"), ["parse", "HTTP", "Header", "v2", "a"]);
        assert_eq!(split("PARSE_CONFIG"), ["PARSE", "CONFIG"]);
        assert_eq!(split("  été über-Größe "), ["été", "über", "Größe"]);
        assert_eq!(split("X"), ["X"]);
        assert!(split("").is_empty() && split("-> {}").is_empty());
    }

    #[test]
    fn a_question_is_its_telling_words() {
        assert_eq!(terms("How does the store parse parseConfig?"), ["store", "parse", "config"]);
        assert_eq!(terms("what is this"), ["what", "is", "this"]);
        assert!(terms(" ?! ").is_empty());
    }

    #[test]
    fn a_term_is_found_in_every_form() {
        let finder = Finder::new(&terms("parsing configs"));
        for line in ["let parseConfig", "PARSE_CONFIG", "parsed the config"] {
            let (found, different) = finder.find(line);
            assert_eq!((found.len(), different), (2, 2), "{line}");
        }
        assert_eq!(finder.find("fn parse(parsed) {}"), (vec![3..8, 9..15], 1));
        assert_eq!(finder.find("sparse"), (vec![], 0));
        assert!(Finder::new(&[]).is_empty() && !finder.is_empty());
    }
}
