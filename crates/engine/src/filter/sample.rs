//! Random metadata and filters for tests, of few enough values that they meet.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::Filter;
use crate::node::{AttributeValue, NodeMetadata};

const PATHS: [&str; 9] = [
    "src/a.rs",
    "src/a.rs.orig",
    "src/b.rs",
    "src/deep/er/a.py",
    "srcs/a.rs",
    "lib/ü.rs",
    "README",
    "a",
    "\u{10ffff}/z.rs",
];
const TEXTS: [&str; 7] = ["rust", "python", "", "é", "function", "fun", "src/a.rs"];
const ATTRIBUTES: [&str; 4] = ["a", "b", "deep.er", "a\u{1}b"];
const PATTERNS: [&str; 10] =
    ["**/*.rs", "src/*.rs", "src/**", "*", "**", "src/{a,b}.rs", "[!s]*/*.rs", "f*n", "README", "s?c/a.rs"];
const PREFIXES: [&str; 6] = ["", "src/", "src/a", "fun", "\u{10ffff}", "zz"];

pub(crate) fn any_text() -> impl Strategy<Value = String> {
    select(TEXTS.as_slice()).prop_map(str::to_owned)
}

pub(crate) fn any_value() -> impl Strategy<Value = AttributeValue> {
    let integers = vec![-3, 0, 1, 2, 7, i64::MIN, i64::MAX, 1 << 53, (1 << 53) + 1];
    let numbers =
        vec![-0.0, 0.0, 1.0, 1.5, -3.25, 2.0f64.powi(53), 2.0f64.powi(63), -1e300, f64::MIN_POSITIVE];
    prop_oneof![
        any_text().prop_map(AttributeValue::Text),
        select(integers).prop_map(AttributeValue::Integer),
        select(numbers).prop_map(AttributeValue::Number),
        any::<bool>().prop_map(AttributeValue::Flag),
    ]
}

fn any_line() -> impl Strategy<Value = u32> {
    prop_oneof![0..12u32, select(vec![100, u32::MAX - 1])]
}

pub(crate) fn any_metadata() -> impl Strategy<Value = NodeMetadata> {
    let texts =
        (option::of(any_text()), option::of(any_text()), option::of(any_text()), option::of(any_text()));
    let lines = (option::of(any_line()), option::of(any_line()));
    let path = option::of(select(PATHS.as_slice()).prop_map(str::to_owned));
    let attributes = btree_map(select(ATTRIBUTES.as_slice()).prop_map(str::to_owned), any_value(), 0..4);
    let terms = option::of(any_text());
    (path, texts, lines, attributes, terms).prop_map(|(path, texts, lines, attributes, terms)| {
        let (name, kind, language, content_hash) = texts;
        let (start_line, end_line) = match lines {
            (Some(a), Some(b)) => (Some(a.min(b)), Some(a.max(b))),
            lines => lines,
        };
        NodeMetadata { path, name, kind, language, start_line, end_line, content_hash, attributes, terms }
    })
}

/// Ids that the tests' rows have, and one that none has.
fn any_ids() -> impl Strategy<Value = Filter> {
    vec(0..80u128, 0..6).prop_map(Filter::ids)
}

fn on_text(field: String) -> impl Strategy<Value = Filter> {
    let text = || prop_oneof![any_text(), select(PATHS.as_slice()).prop_map(str::to_owned)];
    prop_oneof![
        Just(Filter::missing(&field)),
        text().prop_map({
            let field = field.clone();
            move |text| Filter::eq(&field, text)
        }),
        vec(text(), 0..4).prop_map({
            let field = field.clone();
            move |texts| Filter::any_of(&field, texts)
        }),
        select(PREFIXES.as_slice()).prop_map({
            let field = field.clone();
            move |prefix| Filter::prefix(&field, prefix)
        }),
        select(PATTERNS.as_slice()).prop_map({
            let field = field.clone();
            move |pattern| Filter::glob(&field, pattern)
        }),
        (text(), text()).prop_map({
            let field = field.clone();
            move |(a, b)| Filter::range(&field, a..b)
        }),
        text().prop_map(move |text| Filter::range(&field, ..=text)),
    ]
}

fn on_number(field: String) -> impl Strategy<Value = Filter> {
    let number = || {
        prop_oneof![
            any_line().prop_map(AttributeValue::from),
            any_value().prop_filter("a number", |value| {
                matches!(value, AttributeValue::Integer(_) | AttributeValue::Number(_))
            })
        ]
    };
    prop_oneof![
        Just(Filter::missing(&field)),
        number().prop_map({
            let field = field.clone();
            move |number| Filter::eq(&field, number)
        }),
        vec(number(), 0..4).prop_map({
            let field = field.clone();
            move |numbers| Filter::any_of(&field, numbers)
        }),
        (number(), number()).prop_map({
            let field = field.clone();
            move |(a, b)| Filter::range(&field, a..b)
        }),
        (number(), any::<bool>()).prop_map(move |(number, above)| match above {
            true => Filter::range(&field, number..),
            false => Filter::range(&field, ..=number),
        }),
    ]
}

fn on_attribute() -> impl Strategy<Value = Filter> {
    let field = select(vec!["attributes.a", "attributes.b", "attributes.deep.er", "attributes.none"]);
    field.prop_flat_map(|field| {
        prop_oneof![
            on_text(field.to_owned()),
            on_number(field.to_owned()),
            vec(any_value(), 0..5).prop_map(move |values| Filter::any_of(field, values)),
        ]
    })
}

/// Filters over all fields; with `indexed`, only over those that the payload index knows.
pub(crate) fn any_filter(indexed: bool) -> impl Strategy<Value = Filter> {
    let mut texts = vec!["kind", "language", "path", "path"];
    if !indexed {
        texts.extend(["name", "content_hash"]);
    }
    let leaf = prop_oneof![
        3 => select(texts).prop_flat_map(|field| on_text(field.to_owned())),
        2 => select(vec!["start_line", "end_line"]).prop_flat_map(|field| on_number(field.to_owned())),
        2 => on_attribute(),
        1 => any_ids(),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Filter::all),
            vec(inner.clone(), 0..4).prop_map(Filter::any),
            inner.prop_map(|filter| !filter),
        ]
    })
}
