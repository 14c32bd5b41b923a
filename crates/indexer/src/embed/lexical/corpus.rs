//! How common words are in the indexed code, which questions are weighed with.
//!
//! Vectors of nodes do not depend on it: they stay right while the code changes, and what an interrupted index
//! run left needs no redoing. Only a question's words are weighed by how rare they are here.

use std::collections::HashMap;
use std::fmt::Write as _;

use codegraph_vector::words::{WordMap, each_term, id};
use codegraph_vector::{PersistentVectorStore, Result};

/// The property of a store that keeps the statistics.
const PROPERTY: &str = "index.corpus";
/// Lines of a file that are counted as one document: about as many as a node has.
const WINDOW_LINES: usize = 30;
/// Most terms that are kept, the most common ones; what is not among them is rare.
const MAX_TERMS: usize = 4096;
/// Longer terms are no words that anyone would ask for.
const MAX_TERM_BYTES: usize = 32;

/// In how many pieces of the code each term is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CorpusStatistics {
    /// Nodes in the store when this was counted, to tell when it is out of date.
    pub(crate) nodes: u64,
    /// Pieces that were counted.
    windows: u64,
    /// Number of pieces by term.
    terms: HashMap<String, u32>,
    /// The same by the term's number, for lookups.
    by_id: WordMap<u32>,
    /// What terms count that are not there.
    rare: u32,
}

/// Counts terms, until there is no more to count.
#[derive(Debug, Default)]
pub(crate) struct CorpusCounter {
    windows: u64,
    terms: WordMap<Counted>,
}

/// A term that is counted.
#[derive(Debug)]
struct Counted {
    term: Box<str>,
    /// Number of windows that it is in.
    windows: u32,
    /// The last of them.
    last: u64,
}

impl CorpusCounter {
    /// Counts a file's text.
    pub(crate) fn add(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let breaks = rest.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            let end = breaks.map(|(at, _)| at + 1).nth(WINDOW_LINES - 1).unwrap_or(rest.len());
            let (window, behind) = rest.split_at(end);
            rest = behind;
            self.windows += 1;
            each_term(window, |_, term| self.count(term));
        }
    }

    /// Counts a term of the last window.
    fn count(&mut self, term: &str) {
        if term.len() > MAX_TERM_BYTES {
            return;
        }
        let new = || Counted { term: term.into(), windows: 0, last: 0 };
        let counted = self.terms.entry(id(term)).or_insert_with(new);
        counted.windows += u32::from(counted.last != self.windows);
        counted.last = self.windows;
    }

    /// The statistics of a store of so many nodes, as they are kept: the most common terms.
    pub(crate) fn finish(self, nodes: u64) -> CorpusStatistics {
        let terms = self.terms.into_values().map(|counted| (counted.term.into_string(), counted.windows));
        let mut terms: Vec<(String, u32)> = terms.collect();
        terms.sort_unstable_by(|(a, count_a), (b, count_b)| count_b.cmp(count_a).then_with(|| a.cmp(b)));
        terms.truncate(MAX_TERMS);
        CorpusStatistics::of(nodes, self.windows, terms)
    }
}

impl CorpusStatistics {
    fn of(nodes: u64, windows: u64, terms: Vec<(String, u32)>) -> Self {
        let least = terms.last().map_or(0, |(_, count)| *count);
        let rare = if terms.len() < MAX_TERMS { 0 } else { least / 2 };
        let by_id = terms.iter().map(|(term, count)| (id(term), *count)).collect();
        Self { nodes, windows, terms: terms.into_iter().collect(), by_id, rare }
    }

    /// The inverse document frequency of a term, as BM25 has it (Robertson and Zaragoza, 2009); more than 0.
    pub(super) fn inverse_frequency(&self, term: u64) -> f32 {
        let count = f64::from(self.by_id.get(&term).copied().unwrap_or(self.rare));
        let windows = (self.windows as f64).max(count);
        (1.0 + (windows - count + 0.5) / (count + 0.5)).ln() as f32
    }

    /// What a store keeps. `None` if it has none, or none that this version can read: the next run counts anew.
    ///
    /// # Errors
    /// Whatever the store fails with.
    pub(crate) fn of_store(store: &PersistentVectorStore) -> Result<Option<Self>> {
        Ok(store.property(PROPERTY)?.and_then(|text| Self::parse(&text)))
    }

    /// Keeps it in a store.
    ///
    /// # Errors
    /// Whatever the store fails with.
    pub(crate) fn record(&self, store: &PersistentVectorStore) -> Result<()> {
        store.set_property(PROPERTY, Some(&self.to_text()))
    }

    /// `nodes windows`, then a line for each term, most common first: `count term`.
    fn to_text(&self) -> String {
        let mut terms: Vec<(&String, &u32)> = self.terms.iter().collect();
        terms.sort_unstable_by(|(a, count_a), (b, count_b)| count_b.cmp(count_a).then_with(|| a.cmp(b)));
        let mut text = format!("{} {}\n", self.nodes, self.windows);
        for (term, count) in terms {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{count} {term}");
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (nodes, windows) = lines.next()?.split_once(' ')?;
        let term = |line: &str| {
            let (count, term) = line.split_once(' ')?;
            Some((term.to_owned(), count.parse().ok()?))
        };
        let terms = lines.map(term).collect::<Option<Vec<_>>>()?;
        Some(Self::of(nodes.parse().ok()?, windows.parse().ok()?, terms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_terms_weigh_more_and_the_text_form_is_exact() {
        let mut corpus = CorpusCounter::default();
        for at in 0..100 {
            corpus.add(&format!("let self = parse();\nfn unique{}() {{}}\n", "x".repeat(at % 40)));
        }
        corpus.add(&"line self\n".repeat(WINDOW_LINES * 2 + 1));
        let corpus = corpus.finish(7);
        assert_eq!((corpus.nodes, corpus.windows), (7, 103));
        let [common, rare, absent] =
            ["self", "line", "zebra"].map(|term| corpus.inverse_frequency(id(term.trim_end_matches('e'))));
        assert!(0.0 < common && common < rare && rare < absent, "{common} {rare} {absent}");
        assert_eq!(CorpusStatistics::parse(&corpus.to_text()), Some(corpus));
    }

    #[test]
    fn only_the_most_common_terms_are_kept() {
        let mut corpus = CorpusCounter::default();
        for first in 'a'..='z' {
            for second in 'a'..='z' {
                for third in 'a'..='i' {
                    corpus.add(&format!("common q{first}{second}{third}"));
                }
            }
        }
        let corpus = corpus.finish(1);
        assert_eq!(corpus.terms.len(), MAX_TERMS);
        assert!(corpus.terms.contains_key("common"));
        assert!(corpus.to_text().len() < 256 << 10, "it fits a property");
        assert!(corpus.inverse_frequency(id("neverseen")).is_finite());
    }

    #[test]
    fn damaged_text_is_refused() {
        for text in ["", "1", "1 x\n", "1 2\nself", "1 2\nx self"] {
            assert_eq!(CorpusStatistics::parse(text), None, "{text:?}");
        }
    }
}
