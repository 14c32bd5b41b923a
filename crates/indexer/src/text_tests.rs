use super::*;
use crate::language::Language;

/// A node of `source`, its parts given by the text that they span.
fn node(
    source: &str,
    name: &str,
    span: &str,
    body: &str,
    docs: &[&str],
    parent: Option<usize>,
) -> ParsedNode {
    let find = |part: &str| {
        let start = source.find(part).expect(part);
        start..start + part.len()
    };
    let span = find(span);
    let body = if body.is_empty() { span.end..span.end } else { find(body) };
    ParsedNode {
        kind: NodeKind::Function,
        name: name.to_owned(),
        qualified_name: name.to_owned(),
        ordinal: 0,
        span,
        body,
        docs: docs.iter().map(|part| find(part)).collect(),
        start_line: 1,
        end_line: 1,
        parent,
    }
}

fn file(language: Language, docs: Vec<Range<usize>>, nodes: Vec<ParsedNode>) -> ParsedFile {
    ParsedFile { language, docs, nodes, syntax_errors: 0, given_up: None }
}

/// The range of one comment.
fn one_comment(start: usize, end: usize) -> Vec<Range<usize>> {
    std::iter::once(start..end).collect()
}

const PYTHON: &str = r#""""Of the file."""
class Outer(Base):
    """Outer things.

        Indented.
    """
    LIMIT = 3

    def inner(self):
        r'''Inner things.'''
        return self.LIMIT

    other = 4
"#;

fn python() -> ParsedFile {
    let class = &PYTHON[PYTHON.find("class").unwrap()..PYTHON.len() - 1];
    let class_body = &class[class.find("\"\"\"").unwrap()..];
    let method = &class[class.find("def").unwrap()..class.find("\n\n    other").unwrap()];
    let method_body = &method[method.find("r'''").unwrap()..];
    let outer_docs = &class_body[..class_body.find("LIMIT").unwrap()];
    file(
        Language::Python,
        one_comment(0, 18),
        vec![
            node(PYTHON, "Outer", class, class_body, &[outer_docs.trim_end()], None),
            node(PYTHON, "inner", method, method_body, &["r'''Inner things.'''"], Some(0)),
        ],
    )
}

#[test]
fn a_class_has_its_methods_signatures_but_not_their_bodies_nor_any_docstring() {
    let parsed = python();
    let texts = Texts::new(PYTHON, &parsed);
    let outer = texts.node(0);
    assert_eq!(outer.docs, "Outer things.\n\nIndented.");
    assert_eq!(outer.signature, "class Outer(Base):");
    let words: Vec<&str> = outer.body.split_whitespace().collect();
    assert_eq!(words, ["LIMIT", "=", "3", "def", "inner(self):", "other", "=", "4"]);
    let inner = texts.node(1);
    assert_eq!((&*inner.docs, inner.signature), ("Inner things.", "def inner(self):"));
    assert_eq!(inner.body.trim(), "return self.LIMIT");
}

#[test]
fn a_file_has_its_own_docs_and_the_signatures_of_what_is_directly_in_it() {
    let parsed = python();
    let text = Texts::new(PYTHON, &parsed).file("things");
    assert_eq!((&*text.docs, text.signature, &*text.body), ("Of the file.", "", "class Outer(Base):\n"));
    assert_eq!((text.kind, text.name, text.qualified_name), (NodeKind::Module, "things", "things"));
}

#[test]
fn comments_lose_their_marks_and_their_common_indentation() {
    let clean = |comment: &str, language: Language| {
        let mut text = String::new();
        docs::clean(comment, language, &mut text);
        text
    };
    let cases = [
        ("/// One.\n    ///\n    ///   Two.", Language::Rust, "One.\n\n  Two."),
        ("//! Of the file.", Language::Rust, "Of the file."),
        ("/**\n * Parses.\n *\n * @param x  it\n */", Language::Java, "Parses.\n\n@param x  it"),
        ("/** One line. */", Language::C, "One line."),
        ("/* * */", Language::C, ""),
        ("/*! Doxygen's */", Language::Cpp, "Doxygen's"),
        ("/*\n   Plain\n     text.\n*/", Language::C, "Plain\n  text."),
        ("// Go\r\n// says so.\r\n", Language::Go, "Go\nsays so."),
        ("# Python\n# too!", Language::Python, "Python\ntoo!"),
        ("'''It's \"so\".'''", Language::Python, "It's \"so\"."),
        ("Rb\"bytes\"", Language::Python, "bytes"),
        ("\"\"\"\n    a\n      b\n    \"\"\"", Language::Python, "a\n  b"),
        ("\"\"\"unfinished", Language::Python, "unfinished"),
        ("", Language::Python, ""),
        ("//", Language::Rust, ""),
        ("/*", Language::Rust, ""),
        ("/// ä\n// ö", Language::Rust, "ä\nö"),
    ];
    for (comment, language, said) in cases {
        assert_eq!(clean(comment, language), said, "{comment:?}");
    }
}

#[test]
fn several_comments_follow_each_other_on_lines_of_their_own() {
    let source = "/// One.\n/// Two.\nfn f() {}";
    let parsed = file(
        Language::Rust,
        Vec::new(),
        vec![node(source, "f", "fn f() {}", "{}", &["/// One.", "/// Two."], None)],
    );
    assert_eq!(Texts::new(source, &parsed).node(0).docs, "One.\nTwo.");
}

#[test]
fn texts_are_bounded_on_character_boundaries() {
    let long = "ä".repeat(100_000);
    let source = format!("/// {long}\nfn {long}() {{ {long} }}");
    let start = source.find("fn").unwrap();
    let body = source.find('{').unwrap();
    let mut long_node = node("f", "f", "f", "f", &[], None);
    long_node.name = long.clone();
    long_node.qualified_name = long.clone();
    (long_node.span, long_node.body) = (start..source.len(), body..source.len());
    long_node.docs = one_comment(0, start - 1);
    let parsed = file(Language::Rust, one_comment(0, start - 1), vec![long_node; 100]);
    let texts = Texts::new(&source, &parsed);
    let text = texts.node(0);
    let near = |length: usize, bound: usize| length <= bound && length + 4 > bound;
    assert!(
        near(text.name.len(), MAX_NAME_BYTES) && near(text.qualified_name.len(), MAX_QUALIFIED_NAME_BYTES)
    );
    assert!(near(text.docs.len(), MAX_DOCS_BYTES - 4) || near(text.docs.len(), MAX_DOCS_BYTES));
    assert!(near(text.signature.len(), MAX_SIGNATURE_BYTES) && near(text.body.len(), MAX_BODY_BYTES));
    let whole = texts.file("long").body.len();
    assert!((MAX_OUTLINE_BYTES..MAX_OUTLINE_BYTES + MAX_OUTLINE_LINE_BYTES + 2).contains(&whole), "{whole}");
}

#[test]
fn ranges_that_do_not_fit_give_empty_text() {
    let source = "ä = 1";
    let mut wrong = node(source, "a", "ä", "", &[], Some(7));
    (wrong.span, wrong.body) = (1..40, 3..90);
    wrong.docs = vec![1..2, 50..60, Range { start: 4, end: 2 }];
    let parsed = file(Language::Rust, one_comment(9, 12), vec![wrong]);
    let texts = Texts::new(source, &parsed);
    let text = texts.node(0);
    assert_eq!((&*text.docs, text.signature, &*text.body), ("", "", ""));
    assert_eq!(texts.file("a").docs, "");
}

#[test]
fn the_hash_is_of_every_field_and_of_nothing_else() {
    let base = || NodeText {
        language: Language::Rust,
        kind: NodeKind::Function,
        name: "a",
        qualified_name: "b",
        docs: "c".to_owned(),
        signature: "d",
        body: "e".to_owned(),
    };
    let hash = |text: &NodeText<'_>| content_hash(text, &mut Vec::new());
    let others = [
        NodeText { language: Language::Go, ..base() },
        NodeText { kind: NodeKind::Method, ..base() },
        NodeText { name: "x", ..base() },
        NodeText { qualified_name: "x", ..base() },
        NodeText { docs: String::new(), ..base() },
        NodeText { signature: "de", body: String::new(), ..base() },
        NodeText { signature: "", body: "de".to_owned(), ..base() },
        NodeText { body: "x".to_owned(), ..base() },
    ];
    let mut hashes: Vec<u128> = others.iter().map(hash).collect();
    hashes.push(hash(&base()));
    assert_eq!(hash(&base()), hash(&base()));
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), others.len() + 1);
}

#[test]
fn a_rendering_names_the_node_and_is_cut_between_characters() {
    let parsed = python();
    let text = Texts::new(PYTHON, &parsed).node(1);
    let whole = text.render(10_000);
    assert_eq!(
        whole.lines().map(str::trim).collect::<Vec<_>>(),
        ["python function inner", "Inner things.", "def inner(self):", "return self.LIMIT"]
    );
    assert_eq!(text.render(6), "python");
    let umlauts = NodeText { docs: "äöü".to_owned(), ..text };
    assert_eq!(umlauts.render(24), "python function inner\näö");
}
