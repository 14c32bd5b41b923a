//! Words in names and text, as the text search has them, for whoever has to agree with it.
//!
//! What always holds: an identifier is as many words as it has parts; other spellings and endings of a word count as
//! the word. A text section says by which `VERSION` of this it was made.

mod spellings;
mod split;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64;

use spellings::SPELLINGS;
pub use split::each_word;

/// To be raised when other terms come out of the same text: text sections are then made anew when they are used, and
/// the built-in embedder needs a new version, too.
pub(crate) const VERSION: u32 = 1;

/// Endings that are taken off, the first that fits. (`ies` and `ied` become `y`.)
const ENDINGS: [&str; 15] = [
    "ations", "ation", "ings", "ing", "ers", "er", "es", "ed", "s", "e", "or", "ion", "ions", "ment", "able",
];
/// Bytes that have to be left of a word.
const SHORTEST_STEM: usize = 3;

/// A map by what [`id`] makes of words: asked for every word of the code.
pub type WordMap<V> = HashMap<u64, V, BuildHasherDefault<AsItIs>>;

/// Hashes what is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsItIs(u64);

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

/// Calls `visit` with where each term of a text is, and the term: the stem of a word, or of what the word is another
/// spelling of.
pub fn each_term(text: &str, mut visit: impl FnMut(Range<usize>, &str)) {
    let mut changed = String::new();
    each_word(text, |range, word| visit(range, term_of(word, &mut changed)));
}

/// The term of a word in lower case. `scratch` is for its own use.
fn term_of<'a>(word: &'a str, scratch: &'a mut String) -> &'a str {
    let word = same_as(word).unwrap_or(word);
    match word.strip_suffix("ies").or_else(|| word.strip_suffix("ied")) {
        Some(rest) if rest.len() >= SHORTEST_STEM => {
            scratch.clear();
            scratch.push_str(rest);
            scratch.push('y');
            scratch
        }
        _ => stem(word),
    }
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

/// The number that stands for a term.
pub fn id(term: &str) -> u64 {
    xxh3_64(term.as_bytes())
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
    fn the_table_names_each_spelling_once() {
        let mut words: Vec<&str> = SPELLINGS.iter().flat_map(|(_, others)| others.split(' ')).collect();
        let spellings = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), spellings);
        assert!(SPELLINGS.iter().all(|(word, _)| same_as(word).is_none()), "a chain of spellings");
    }
}
