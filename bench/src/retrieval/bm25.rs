//! BM25 (Robertson and others 1994), exact: the yardstick of the retrieval benchmark.

use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};

/// How fast more of the same word stops to count.
const K1: f64 = 1.2;

/// How much long texts are held against.
const B: f64 = 0.75;

/// How a text becomes words.
pub(crate) type Words = fn(&str) -> Vec<String>;

/// An index of texts.
pub(crate) struct Bm25 {
    words: Words,
    /// For each word the texts that have it, and how often.
    postings: HashMap<String, Vec<(u32, u32)>>,
    /// What `K1` is multiplied with, a text.
    lengths: Vec<f64>,
}

impl Bm25 {
    pub(crate) fn new(texts: impl Iterator<Item = String>, words: Words) -> Self {
        let mut postings: HashMap<String, Vec<(u32, u32)>> = HashMap::new();
        let mut counts = Vec::new();
        for (at, text) in (0..).zip(texts) {
            let words = words(&text);
            counts.push(words.len() as f64);
            for word in words {
                let list = postings.entry(word).or_default();
                match list.last_mut() {
                    Some((last, count)) if *last == at => *count += 1,
                    _ => list.push((at, 1)),
                }
            }
        }
        let mean = counts.iter().sum::<f64>() / counts.len().max(1) as f64;
        let lengths = counts.iter().map(|count| 1.0 - B + B * count / mean.max(1.0)).collect();
        Self { words, postings, lengths }
    }

    /// The score of each text that shares a word with the question.
    fn scores(&self, query: &str) -> HashMap<u32, f64> {
        let mut scores: HashMap<u32, f64> = HashMap::new();
        for word in (self.words)(query) {
            let Some(list) = self.postings.get(&word) else { continue };
            let (having, all) = (list.len() as f64, self.lengths.len() as f64);
            let weight = (1.0 + (all - having + 0.5) / (having + 0.5)).ln();
            for &(text, count) in list {
                let count = f64::from(count);
                let score = weight * count * (K1 + 1.0) / (count + K1 * self.lengths[text as usize]);
                *scores.entry(text).or_default() += score;
            }
        }
        scores
    }

    /// The best texts that share a word with the question, best first; equal ones in order.
    pub(crate) fn search(&self, query: &str, limit: usize) -> Vec<usize> {
        let mut best: Vec<(u32, f64)> = self.scores(query).into_iter().collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        best.into_iter().take(limit).map(|(text, _)| text as usize).collect()
    }
}

/// Words in lower case, split at everything but letters and digits, and within `camelCase` and `snake_case`.
pub(crate) fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in text.split(|c: char| !c.is_alphanumeric()) {
        let chars: Vec<char> = run.chars().collect();
        let mut word = String::new();
        for (at, &c) in chars.iter().enumerate() {
            let after_small = at > 0 && !chars[at - 1].is_uppercase();
            let before_small = chars.get(at + 1).is_some_and(|next| next.is_lowercase());
            // `HTTPServer` is `http` and `server`: the last capital begins the next word.
            if c.is_uppercase() && !word.is_empty() && (after_small || before_small) {
                words.push(std::mem::take(&mut word));
            }
            word.extend(c.to_lowercase());
        }
        if !word.is_empty() {
            words.push(word);
        }
    }
    words
}

/// As [`split_words`], without endings (Porter 2001).
pub(crate) fn stemmed_words(text: &str) -> Vec<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    split_words(text).iter().map(|word| stemmer.stem(word).into_owned()).collect()
}

/// Words in lower case as a text search has them: an identifier is one word.
pub(crate) fn plain_words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_split_where_words_meet() {
        assert_eq!(split_words("readFile_at HTTPServer2x"), ["read", "file", "at", "http", "server2x"]);
        assert_eq!(plain_words("readFile_at(x)"), ["readfile_at", "x"]);
        assert_eq!(stemmed_words("returnsFiles"), ["return", "file"]);
    }

    #[test]
    fn scores_are_those_of_the_formula() {
        let texts = ["a b", "a a b", "c", "b b b b b b b b a"].map(str::to_owned);
        let index = Bm25::new(texts.into_iter(), split_words);
        // By hand: four texts, three have the word; lengths 2, 3, 1 and 9 beside their mean, 3.75.
        let weight = (1.0_f64 + 1.5 / 3.5).ln();
        let by_hand =
            [(0, 2.2 / (1.0 + 1.2 * 0.65)), (1, 4.4 / (2.0 + 1.2 * 0.85)), (3, 2.2 / (1.0 + 1.2 * 2.05))];
        let scores = index.scores("A");
        assert_eq!(scores.len(), by_hand.len());
        for (text, score) in by_hand {
            assert!((scores[&text] - weight * score).abs() < 1e-12, "{text}: {scores:?}");
        }
        assert!(
            (index.scores("a a")[&1] - 2.0 * scores[&1]).abs() < 1e-12,
            "each word of the question counts"
        );
    }

    #[test]
    fn the_best_come_first() {
        let texts = ["a b", "a a b", "c", "b b b b b b b b a", "c"].map(str::to_owned);
        let index = Bm25::new(texts.into_iter(), split_words);
        assert_eq!(index.search("a", 10), [1, 0, 3]);
        assert_eq!(index.search("a", 1), [1]);
        assert_eq!(index.search("c", 10), [2, 4], "equal ones in order");
        assert!(index.search("absent", 10).is_empty());
    }
}
