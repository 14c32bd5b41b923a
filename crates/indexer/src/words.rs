//! Words in names and text: what a question asks for, and where a line of code has it.

mod content;
mod tables;
mod terms;

use std::ops::Range;

use codegraph_vector::words::{each_term, each_word, id};

pub(crate) use content::content_terms;
pub(crate) use terms::{MOST_COMMON, place_among_most_common, weight};

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
    each_word(question, |_, word| {
        if !all.iter().any(|known| known == word) {
            all.push(word.to_owned());
        }
    });
    let telling: Vec<String> = all.iter().filter(|word| !FILLERS.contains(&&***word)).cloned().collect();
    if telling.is_empty() { all } else { telling }
}

/// Finds the terms of one question in lines.
pub(crate) struct Finder {
    terms: Vec<u64>,
}

impl Finder {
    pub(crate) fn new(words: &[String]) -> Self {
        let mut terms = Vec::new();
        for word in words {
            each_term(word, |_, term| terms.push(id(term)));
        }
        terms.sort_unstable();
        terms.dedup();
        Self { terms }
    }

    /// Where a line has one of the terms, in order; and how many different ones it has.
    pub(crate) fn find(&self, line: &str) -> (Vec<Range<usize>>, usize) {
        let mut seen = vec![false; self.terms.len()];
        let mut found = Vec::new();
        each_term(line, |range, term| {
            if let Ok(at) = self.terms.binary_search(&id(term)) {
                seen[at] = true;
                found.push(range);
            }
        });
        (found, seen.iter().filter(|seen| **seen).count())
    }

    /// Whether there is nothing to find.
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
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
