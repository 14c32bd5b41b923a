//! What a node says, as the words that text search goes by: few enough to keep, and no text.

use codegraph_vector::words::{WordMap, each_term, id};

use crate::embed::NodeText;

/// Most different words of a node that are kept: those that come first.
const MAX_WORDS: usize = 128;
/// A word counts so many times at most: more of it says no more.
const MAX_TIMES: u32 = 6;
/// Longer words are none that anyone would ask for.
const MAX_WORD_BYTES: usize = 32;
/// What a word counts in each part of a node.
const DOCS: u32 = 2;
const SIGNATURE: u32 = 2;
const BODY: u32 = 1;

/// The words of a node's documentation, signature and body, in the order in which they come up, as often as each counts.
/// `None` if there are none.
pub(crate) fn content_terms(text: &NodeText<'_>) -> Option<String> {
    let mut places: WordMap<usize> = WordMap::default();
    let mut words: Vec<(String, u32)> = Vec::new();
    for (part, count) in [(&*text.docs, DOCS), (text.signature, SIGNATURE), (&text.body, BODY)] {
        each_term(part, |range, term| {
            let word = &part[range];
            if let Some(place) = places.get(&id(term)) {
                words[*place].1 += count;
            } else if words.len() < MAX_WORDS && word.len() <= MAX_WORD_BYTES {
                places.insert(id(term), words.len());
                words.push((word.to_lowercase(), count));
            }
        });
    }
    let mut terms = String::new();
    for (word, count) in &words {
        for _ in 0..(*count).min(MAX_TIMES) {
            terms.push_str(word);
            terms.push(' ');
        }
    }
    terms.pop();
    (!terms.is_empty()).then_some(terms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::node::NodeKind;

    fn node<'a>(docs: &str, signature: &'a str, body: &str) -> NodeText<'a> {
        NodeText {
            language: Language::Rust,
            kind: NodeKind::Function,
            name: "named",
            qualified_name: "Of::named",
            docs: docs.to_owned(),
            signature,
            body: body.to_owned(),
        }
    }

    #[test]
    fn words_are_kept_once_and_told_as_often_as_they_count() {
        let text = node("Parses it.", "fn parseHTTP(x: u8)", "{ parsed(x); PARSER; y }");
        let terms = content_terms(&text).unwrap();
        assert_eq!(
            terms, "parses parses parses parses parses parses it it fn fn http http x x x u u 8 8 y",
            "all of one stem are the first; none more often than {MAX_TIMES} times"
        );
        assert_eq!(content_terms(&node("", "", "+ {}")), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let words: Vec<String> = (0..5000).map(|at| format!("w{}", "x".repeat(at % 40 + at / 40))).collect();
        let long: Vec<String> = (0..26u8)
            .flat_map(|a| (0..26u8).map(move |b| [a, b]))
            .map(|[a, b]| format!("q{}{}z", (b'a' + a) as char, (b'a' + b) as char))
            .collect();
        let terms = content_terms(&node(&long.join(" "), "fn", &words.join(" "))).unwrap();
        let mut different: Vec<&str> = terms.split(' ').collect();
        different.dedup();
        assert_eq!(different.len(), MAX_WORDS, "the first ones");
        assert!(different.iter().all(|word| word.len() <= MAX_WORD_BYTES));
        assert!(terms.starts_with("qaaz qaaz qabz"));
    }
}
