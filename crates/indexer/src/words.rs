//! Words in names and text: what a question asks for, and where a line of code has it.

use std::ops::Range;

use rust_stemmers::{Algorithm, Stemmer};

use crate::embed::each_place;

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

/// Where the words of a text are, names taken apart.
fn parts(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    each_place(text, |part| parts.push(part));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

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
