//! How much a term says in any code, and which terms are the most common ones.

use std::sync::LazyLock;

use codegraph_vector::words::{WordMap, id};

use super::tables::COMMON;

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

/// The place of a term among the most common ones (the first two groups of the table), which are so many as
/// [`MOST_COMMON`].
pub(crate) fn place_among_most_common(term: u64) -> Option<usize> {
    PLACES.get(&term).copied()
}

/// How much a term says in any code: less than 1 if it is common everywhere.
pub(crate) fn weight(term: u64) -> f32 {
    WEIGHTS.get(&term).copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_word_once() {
        let stems: usize = COMMON.iter().map(|(_, stems)| stems.split_whitespace().count()).sum();
        assert_eq!(WEIGHTS.len(), stems);
        assert_eq!(PLACES.len(), MOST_COMMON);
        assert!(weight(id("self")) < weight(id("segment")), "self is common");
        assert_eq!(weight(id("zebra")), 1.0);
    }
}
