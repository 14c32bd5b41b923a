//! Words into terms: other spellings and endings of a word count as the word.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64;

use super::split::each_word;
use super::tables::{COMMON, SPELLINGS};

/// Endings that are taken off, the first that fits. (`ies` and `ied` become `y`.)
const ENDINGS: [&str; 15] = [
    "ations", "ation", "ings", "ing", "ers", "er", "es", "ed", "s", "e", "or", "ion", "ions", "ment", "able",
];
/// Bytes that have to be left of a word.
const SHORTEST_STEM: usize = 3;

/// A map by what [`id`] makes of words: asked for every word of the code.
pub(crate) type WordMap<V> = HashMap<u64, V, BuildHasherDefault<AsItIs>>;

/// Hashes what is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }
}

/// Each spelling, by its number, with the word that it counts as.
static BY_SPELLING: LazyLock<WordMap<(&str, &str)>> = LazyLock::new(|| {
    let each = |&(word, spellings): &(&'static str, &'static str)| {
        spellings.split(' ').map(move |spelling| (id(spelling), (spelling, word)))
    };
    SPELLINGS.iter().flat_map(each).collect()
});

/// The weight of each common term.
static WEIGHTS: LazyLock<WordMap<f32>> = LazyLock::new(|| {
    let each =
        |&(weight, stems): &(f32, &'static str)| stems.split_whitespace().map(move |stem| (id(stem), weight));
    COMMON.iter().flat_map(each).collect()
});

/// Terms of the first two groups.
pub(crate) const MOST_COMMON: usize = 143;

/// The places of the most common terms.
static PLACES: LazyLock<WordMap<usize>> = LazyLock::new(|| {
    let stems = COMMON[..2].iter().flat_map(|(_, stems)| stems.split_whitespace());
    stems.map(id).zip(0..).collect()
});

/// Calls `visit` with where each term of a text is, and the term: the stem of a word, or of what the word is another
/// spelling of.
pub(crate) fn each_term(text: &str, mut visit: impl FnMut(Range<usize>, &str)) {
    let mut changed = String::new();
    each_word(text, |range, word| {
        let word = same_as(word).unwrap_or(word);
        match word.strip_suffix("ies").or_else(|| word.strip_suffix("ied")) {
            Some(rest) if rest.len() >= SHORTEST_STEM => {
                changed.clear();
                changed.push_str(rest);
                changed.push('y');
                visit(range, &changed);
            }
            _ => visit(range, stem(word)),
        }
    });
}

/// The word that this is another spelling of.
fn same_as(spelling: &str) -> Option<&'static str> {
    BY_SPELLING.get(&id(spelling)).filter(|(known, _)| *known == spelling).map(|(_, word)| *word)
}

/// A word without its ending. Cruder than Porter's stemmer, and better at finding code: `parser`, `parsing` and
/// `parse` are one.
fn stem(word: &str) -> &str {
    let cut = |ending: &&str| word.strip_suffix(*ending).filter(|rest| rest.len() >= SHORTEST_STEM);
    ENDINGS.iter().find_map(cut).unwrap_or(word)
}

/// The place of a term among the most common ones (the first two groups of the table), which are so many as
/// [`MOST_COMMON`].
pub(crate) fn place_among_most_common(term: u64) -> Option<usize> {
    PLACES.get(&term).copied()
}

/// The number that stands for a term.
pub(crate) fn id(term: &str) -> u64 {
    xxh3_64(term.as_bytes())
}

/// How much a term says in any code: less than 1 if it is common everywhere.
pub(crate) fn weight(term: u64) -> f32 {
    WEIGHTS.get(&term).copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        each_term(text, |_, term| terms.push(term.to_owned()));
        terms
    }

    #[test]
    fn endings_and_spellings_do_not_matter() {
        for same in ["parse parser parsing parses", "directory dir directories", "config cfg configuration"] {
            let terms = terms(same);
            assert!(terms.iter().all(|term| *term == terms[0]), "{same}: {terms:?}");
        }
        assert_eq!(terms("is the bus"), ["is", "the", "bus"], "short words stay");
        assert_eq!(terms("éés übungen"), ["éés".strip_suffix('s').unwrap(), "übungen"]);
    }

    #[test]
    fn the_tables_name_each_word_once() {
        let mut words: Vec<&str> = SPELLINGS.iter().flat_map(|(_, others)| others.split(' ')).collect();
        let spellings = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), spellings);
        assert!(SPELLINGS.iter().all(|(word, _)| same_as(word).is_none()), "a chain of spellings");
        let stems: usize = COMMON.iter().map(|(_, stems)| stems.split_whitespace().count()).sum();
        assert_eq!(WEIGHTS.len(), stems);
        assert_eq!(PLACES.len(), MOST_COMMON);
        assert!(weight(id("self")) < weight(id("segment")), "self is common");
        assert_eq!(weight(id("zebra")), 1.0);
    }
}
