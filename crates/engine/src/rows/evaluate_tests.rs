//! The payload index agrees with `Filter::matches`, whatever the rows and the filter.

use proptest::prelude::*;

use super::super::index_build::{MAX_ATTRIBUTE_NAMES, MAX_ATTRIBUTE_VALUES, MAX_TEXT_BYTES};
use super::super::tests::{in_order, payload_index};
use super::*;
use crate::filter::sample::{any_filter, any_metadata};
use crate::node::{CodeNode, NodeMetadata};

type Rows = Vec<(NodeId, NodeMetadata)>;

fn open(rows: &Rows) -> PayloadIndex<Vec<u8>> {
    PayloadIndex::open(payload_index(rows), rows.len()).expect("index")
}

fn evaluate(index: &PayloadIndex<Vec<u8>>, rows: &Rows, filter: &Filter) -> Candidates {
    let lookup = |id| Ok(rows.iter().position(|row| row.0 == id).map(|row| row as u32));
    index.evaluate(filter, &lookup).expect("evaluated")
}

/// Checks the candidates against the meaning of the filter; gives the matching rows.
fn agree(index: &PayloadIndex<Vec<u8>>, rows: &Rows, filter: &Filter) -> (Vec<u32>, Candidates) {
    let found = evaluate(index, rows, filter);
    assert!(found.unsure.is_subset(&found.bitmap));
    let mut matching = Vec::new();
    for (ordinal, (id, metadata)) in (0..).zip(rows) {
        let expected = filter.matches(*id, metadata);
        if expected {
            matching.push(ordinal);
        }
        let certain = found.bitmap.contains(ordinal);
        assert!(
            found.unsure.contains(ordinal) || certain == expected,
            "row {ordinal} {metadata:?} of {filter:?}"
        );
    }
    assert!(found.bitmap.max().is_none_or(|row| (row as usize) < rows.len()));
    (matching, found)
}

fn nodes(nodes: impl IntoIterator<Item = CodeNode>) -> Rows {
    in_order(nodes.into_iter().map(|node| node.metadata()).collect())
}

#[test]
fn rows_of_a_path_are_a_range() {
    let paths = ["b", "a/x", "a", "b", "a/x", "b"];
    let rows = nodes((0..6).zip(paths).map(|(id, path)| CodeNode::new(id, vec![]).with_path(path)));
    let rows = [nodes([CodeNode::new(0, vec![])]), rows].concat();
    let index = open(&rows);
    assert_eq!(index.rows_without_path().expect("good"), 0..1);
    for (path, range) in [("a", 1..2), ("a/x", 2..4), ("b", 4..7), ("", 0..0), ("c", 0..0), ("a/", 0..0)] {
        assert_eq!(index.rows_of_path(path).expect("good"), range, "{path}");
    }
    let mut seen = Vec::new();
    let visit = |path: &str, rows: Range<u32>| {
        seen.push((path.to_owned(), rows));
        Ok(())
    };
    index.each_path("a", visit).expect("good");
    assert_eq!(seen, [("a".to_owned(), 1..2), ("a/x".to_owned(), 2..4)]);
}

#[test]
fn rows_have_to_come_in_order() {
    let with_path = |path: &str| CodeNode::new(0, vec![]).with_path(path).metadata();
    let mut builder = super::super::PayloadIndexBuilder::new();
    assert!(builder.push(1, &with_path("a")).is_err());
    builder.push(0, &with_path("b")).expect("first");
    assert!(builder.push(1, &with_path("a")).is_err());
    assert!(builder.push(1, &NodeMetadata::default()).is_err());
}

#[test]
fn attributes_of_too_many_values_are_checked_row_by_row() {
    let many = MAX_ATTRIBUTE_VALUES as u32 + 1;
    let rows = nodes((0..many * 2).map(|id| {
        let node = CodeNode::new(id.into(), vec![]).with_attribute("few", id % 7);
        if id % 2 == 0 { node.with_attribute("many", id) } else { node }
    }));
    let index = open(&rows);
    let (matching, found) = agree(&index, &rows, &Filter::range("attributes.many", 10..20));
    assert_eq!((matching.len(), found.bitmap.len()), (5, u64::from(many)));
    let (matching, found) = agree(&index, &rows, &Filter::missing("attributes.many"));
    assert!(found.exact() && matching.len() == many as usize);
    let (matching, found) = agree(&index, &rows, &!Filter::eq("attributes.many", 4));
    assert!(!found.exact() && matching.len() == rows.len() - 1);
    let both = Filter::eq("attributes.many", 14).and(Filter::eq("attributes.few", 0));
    let (matching, found) = agree(&index, &rows, &both);
    assert_eq!((matching.len(), found.bitmap.len()), (1, u64::from(many).div_ceil(7)));
}

#[test]
fn long_texts_and_many_names_are_checked_row_by_row() {
    let long = "x".repeat(MAX_TEXT_BYTES + 1);
    let node =
        |id: u32| CodeNode::new(id.into(), vec![]).with_kind(&long).with_attribute(format!("n{id:05}"), id);
    let rows = nodes((0..MAX_ATTRIBUTE_NAMES as u32 + 2).map(node));
    let index = open(&rows);
    for (filter, exact, count) in [
        (Filter::eq("kind", long.as_str()), false, rows.len()),
        (Filter::missing("kind"), true, 0),
        (Filter::eq("attributes.n00003", 3), true, 1),
        (Filter::eq("attributes.n01025", 1025), false, 1),
        (Filter::missing("attributes.n01025"), false, rows.len() - 1),
        (Filter::missing("language"), true, rows.len()),
    ] {
        let (matching, found) = agree(&index, &rows, &filter);
        assert_eq!((found.exact(), matching.len()), (exact, count), "{filter:?}");
    }
}

#[test]
fn lines_are_scanned_in_large_segments_and_probed_for_few_rows() {
    let rows = nodes((0..5000u32).map(|id| {
        let node = CodeNode::new(id.into(), vec![]).with_path(format!("f{:03}.rs", id / 10));
        if id % 11 == 0 { node } else { node.with_lines(id % 97, id % 97 + 5) }
    }));
    let index = open(&rows);
    for filter in [
        Filter::range("start_line", 10..20),
        Filter::range("end_line", 10.5..),
        Filter::range("end_line", ..=-1),
        Filter::range("start_line", (Bound::Included(30), Bound::Excluded(20))),
        Filter::eq("start_line", 96),
        Filter::eq("start_line", -1),
        Filter::eq("start_line", i64::from(NO_LINE)),
        Filter::any_of("end_line", [6.0, 7.5, 9.0]),
        Filter::missing("start_line"),
    ] {
        for filter in [filter.clone(), !filter.clone(), Filter::path_prefix("f00").and(filter)] {
            let (_, found) = agree(&index, &rows, &filter);
            assert!(found.exact());
        }
    }
}

#[test]
fn a_mistaken_filter_finds_nothing_but_its_mistake() {
    let rows = nodes([CodeNode::new(0, vec![])]);
    let error = open(&rows).evaluate(&!Filter::eq("langage", "x"), &|_| Ok(None)).expect_err("mistaken");
    assert!(error.message().contains("langage"));
}

#[test]
fn the_string_after_a_prefix() {
    assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
    assert_eq!(after_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
    assert_eq!(after_prefix(b"\xff"), None);
    assert_eq!(after_prefix(b""), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn the_index_agrees_with_the_meaning(
        metadata in proptest::collection::vec(any_metadata(), 0..60),
        filters in proptest::collection::vec(any_filter(false), 4),
        indexed in any_filter(true),
    ) {
        let rows = in_order(metadata);
        let index = open(&rows);
        for filter in &filters {
            agree(&index, &rows, filter);
        }
        let (matching, found) = agree(&index, &rows, &indexed);
        prop_assert!(found.exact());
        prop_assert!(found.bitmap.iter().eq(matching));
    }
}
