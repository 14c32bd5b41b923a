//! What holds of every text in every language: no panic, and a list that agrees with itself and the text.

use std::collections::HashMap;
use std::ops::Range;

use proptest::prelude::*;

use super::golden_tests::sources;
use crate::language::Language;
use crate::node::ParsedFile;
use crate::parse::parse;

pub(super) const LANGUAGES: [Language; 9] = [
    Language::C,
    Language::Cpp,
    Language::Go,
    Language::Java,
    Language::JavaScript,
    Language::Python,
    Language::Rust,
    Language::TypeScript,
    Language::Tsx,
];

fn newlines(source: &str, until: usize) -> u32 {
    let count = source.as_bytes()[..until].iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(count).expect("a small text")
}

fn inside(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Panics unless the list agrees with itself and the text.
pub(super) fn check(source: &str, file: &ParsedFile) {
    let is_text = |range: &Range<usize>| source.get(range.clone()).is_some();
    assert!(file.docs.iter().all(is_text), "docs of the file: {:?}", file.docs);
    // Where the last node directly in another one, or in the file, ended.
    let mut ended: HashMap<Option<usize>, usize> = HashMap::new();
    let mut twins = HashMap::new();
    let mut start = 0;
    for (place, node) in file.nodes.iter().enumerate() {
        assert!(!node.name.is_empty() && node.qualified_name.contains(&node.name), "{node:?}");
        assert!(is_text(&node.span) && !node.span.is_empty(), "{node:?}");
        assert!(is_text(&node.body) && inside(&node.span, &node.body), "{node:?}");
        assert!(node.docs.iter().all(|docs| is_text(docs) && !docs.is_empty()), "{node:?}");
        assert!(node.span.start >= start, "not in order: {node:?}");
        start = node.span.start;
        if let Some(parent) = node.parent {
            assert!(parent < place, "{node:?}");
            assert!(inside(&file.nodes[parent].span, &node.span), "{node:?} in {:?}", file.nodes[parent]);
        }
        let before = ended.insert(node.parent, node.span.end).unwrap_or_default();
        assert!(before <= node.span.start, "overlaps the one before it: {node:?}");
        assert_eq!(node.start_line, 1 + newlines(source, node.span.start), "{node:?}");
        assert_eq!(node.end_line, 1 + newlines(source, node.span.end - 1), "{node:?}");
        let twins = twins.entry((node.kind, &node.qualified_name)).or_insert(0);
        assert_eq!(node.ordinal, *twins, "{node:?}");
        *twins += 1;
    }
}

fn language() -> impl Strategy<Value = Language> {
    prop::sample::select(&LANGUAGES[..])
}

/// The byte at a fraction of the text, moved to the next character.
fn place(text: &str, fraction: f64) -> usize {
    let wanted = (text.len() as f64 * fraction) as usize;
    (wanted..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// What is done to a text; places are fractions of its length.
#[derive(Clone, Debug)]
enum Change {
    /// Takes a part out.
    Cut(f64, f64),
    /// Puts a part in at another place.
    Copy(f64, f64, f64),
    /// Puts something else in.
    Insert(f64, String),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || 0.0..1.0;
    let odd = [
        "{", "}", "(", ")", "\"", "'", "\"\"\"", "/*", "*/", "//", "#", "\n", "\r\n", "\t", "\0", "\u{feff}",
    ];
    let odd = prop::sample::select(odd.map(str::to_owned).to_vec());
    prop_oneof![
        // Short cuts, for those leave more to be found.
        (at(), 0.0..0.1).prop_map(|(from, length)| Change::Cut(from, length)),
        (at(), 0.0..0.2, at()).prop_map(|(from, length, to)| Change::Copy(from, length, to)),
        (at(), odd).prop_map(|(to, text)| Change::Insert(to, text)),
        (at(), ".{1,3}").prop_map(|(to, text)| Change::Insert(to, text)),
    ]
}

fn changed(text: &mut String, change: &Change) {
    let part = |text: &str, from: f64, length: f64| place(text, from)..place(text, from + length);
    match change {
        Change::Cut(from, length) => text.replace_range(part(text, *from, *length), ""),
        Change::Copy(from, length, to) => {
            let copy = text[part(text, *from, *length)].to_owned();
            text.insert_str(place(text, *to), &copy);
        }
        Change::Insert(to, insert) => text.insert_str(place(text, *to), insert),
    }
}

#[test]
fn golden_sources_are_listed_as_they_should() {
    for (path, language, source) in sources() {
        let file = parse(&source, language);
        check(&source, &file);
        assert!(!file.nodes.is_empty(), "{}", path.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_language(bytes in prop::collection::vec(any::<u8>(), 0..400), language in language()) {
        let source = String::from_utf8_lossy(&bytes);
        check(&source, &parse(&source, language));
    }

    #[test]
    fn any_changes_to_a_golden_source(
        pick in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..8),
        other in prop::option::weighted(0.1, language()),
    ) {
        let sources = sources();
        let (_, language, mut source) = sources[pick.index(sources.len())].clone();
        for change in &changes {
            changed(&mut source, change);
        }
        let language = other.unwrap_or(language);
        check(&source, &parse(&source, language));
    }

    #[test]
    fn any_splice_of_two_golden_sources(
        picks in any::<(prop::sample::Index, prop::sample::Index)>(),
        cut in 0.0..1.0,
        join in 0.0..1.0,
    ) {
        let sources = sources();
        let (_, language, head) = &sources[picks.0.index(sources.len())];
        let (_, _, tail) = &sources[picks.1.index(sources.len())];
        let source = format!("{}{}", &head[..place(head, cut)], &tail[place(tail, join)..]);
        check(&source, &parse(&source, *language));
    }
}
