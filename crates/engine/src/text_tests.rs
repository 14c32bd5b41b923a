//! Terms of nodes and of questions.

use std::collections::BTreeMap;

use super::*;
use crate::node::CodeNode;

fn counts(metadata: &NodeMetadata) -> (BTreeMap<String, u32>, u32) {
    let mut counts = BTreeMap::new();
    let length =
        each_count(metadata, &mut |term, count| *counts.entry(term.to_owned()).or_default() += count);
    (counts, length)
}

#[test]
fn words_count_by_where_they_stand() {
    let node = CodeNode::new(1, vec![])
        .with_path("src/net/config_file.rs")
        .with_name("parseConfig")
        .with_attribute(QUALIFIED_NAME, "Store::parseConfig")
        .with_terms("parsing text text");
    let (counts, length) = counts(&node.metadata());
    let expected = [
        ("/config_file.rs", 1),
        ("=parseconfig", 1),
        ("=store.parseconfig", 1),
        ("config", NAME + QUALIFIED + PATH),
        ("fil", PATH),
        ("net", PATH),
        ("pars", NAME + QUALIFIED + TERM),
        ("rs", PATH),
        ("sourc", PATH),
        ("stor", QUALIFIED),
        ("text", 2 * TERM),
    ];
    assert_eq!(counts.iter().map(|(term, count)| (&**term, *count)).collect::<Vec<_>>(), expected);
    assert_eq!(length, 2 + 3 + 3, "words of names and terms");
}

#[test]
fn a_node_without_words_has_no_terms() {
    assert_eq!(counts(&NodeMetadata::default()), (BTreeMap::new(), 0));
    let (counts, length) = counts(&CodeNode::new(1, vec![]).with_name("+").with_path("-").metadata());
    assert_eq!((counts, length), (BTreeMap::new(), 0));
    let odd = CodeNode::new(1, vec![]).with_name("x".repeat(MAX_WHOLE_BYTES + 1)).metadata();
    assert_eq!(counts_of_whole(&odd), 0, "too long to be kept as a whole");
}

fn counts_of_whole(metadata: &NodeMetadata) -> usize {
    counts(metadata).0.keys().filter(|term| term.starts_with(WHOLE)).count()
}

#[test]
fn identifiers_are_the_same_whichever_way_they_are_joined() {
    for text in ["Store::open", "store.open", "STORE#Open", "Store->open"] {
        assert_eq!(identifier(WHOLE, text).as_deref(), Some("=store.open"), "{text}");
    }
    assert_eq!(identifier(WHOLE, "_größe$").as_deref(), Some("=_größe$"));
    for text in ["", "a b", "::a", "a::", "a..b", "operator==", "<T as U>::f"] {
        assert_eq!(identifier(WHOLE, text), None, "{text}");
    }
}

#[test]
fn a_question_is_its_terms_and_perhaps_a_name() {
    let question = Question::new("Parse the parse_config(), then Store::open it!");
    let terms: Vec<_> = question.terms.iter().map(|(term, times)| (&**term, *times)).collect();
    let whole = [("/parse_config", 1), ("/store.open", 1), ("=parse_config", 1), ("=store.open", 1)];
    let words = [("config", 1), ("it", 1), ("open", 1), ("pars", 2), ("stor", 1), ("the", 1), ("then", 1)];
    assert_eq!(terms, [&whole[..], &words].concat());
    assert!(question.named.is_empty());
    for name in ["Store::open", " `Store::open()` ", "store.open", "\"Store.open\"."] {
        assert_eq!(Question::new(name).named, ["=store.open", "/store.open"], "{name}");
    }
    assert_eq!(Question::new("zebra").named, ["=zebra", "/zebra"]);
    let none = Question::new(" ?! ");
    assert!(none.terms.is_empty() && none.named.is_empty());
}
