//! What is found in small, awkward files, held against lists that were read by a person.
//!
//! Sources lie in `tests/golden/LANGUAGE/`, each with its list beside it: `awkward.rs` has `awkward.rs.nodes`.
//! With `CGV_REWRITE_GOLDEN=1` in the environment, the test writes the lists anew instead: read the difference
//! before it is committed.
#![allow(clippy::disallowed_methods)] // It reads and writes the source tree, not a store.

use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::language::Language;
use crate::node::{ParsedFile, ParsedNode};
use crate::parse::parse;

/// All golden sources, with their language.
pub(super) fn sources() -> Vec<(PathBuf, Language, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut found = Vec::new();
    for folder in fs::read_dir(root).expect("golden files") {
        for file in fs::read_dir(folder.expect("an entry").path()).expect("a folder a language") {
            let path = file.expect("an entry").path();
            let source = fs::read_to_string(&path).expect("text");
            if let Some(language) = Language::of_file(&path, &source) {
                found.push((path, language, source));
            }
        }
    }
    found.sort();
    found
}

/// The start of a text, on one line.
fn short(source: &str, range: Range<usize>) -> String {
    let text = source[range].replace('\r', "␍").replace('\n', "⏎");
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

fn listed_docs(list: &mut String, indent: &str, source: &str, docs: &[Range<usize>]) {
    for docs in docs {
        writeln!(list, "{indent}    | {}", short(source, docs.clone())).expect("a string takes it");
    }
}

fn depth(nodes: &[ParsedNode], node: &ParsedNode) -> usize {
    node.parent.map_or(0, |parent| 1 + depth(nodes, &nodes[parent]))
}

/// A list of what was found: of each node its kind, name, ordinal, lines, the starts of its span and body, and
/// its documentation below.
fn listed(source: &str, file: &ParsedFile) -> String {
    let mut list = format!("file: {} syntax errors", file.syntax_errors);
    if let Some(why) = file.given_up {
        write!(list, ", {why}").expect("a string takes it");
    }
    list.push('\n');
    listed_docs(&mut list, "", source, &file.docs);
    for node in &file.nodes {
        let indent = "  ".repeat(depth(&file.nodes, node));
        let ParsedNode { qualified_name, ordinal, start_line, end_line, .. } = node;
        let kind = node.kind.name();
        let last = qualified_name.ends_with(&node.name);
        let own = if last { String::new() } else { format!(" ({})", node.name) };
        let ordinal = if *ordinal == 0 { String::new() } else { format!(" #{ordinal}") };
        writeln!(list, "{indent}{kind} {qualified_name}{own}{ordinal}, lines {start_line}-{end_line}")
            .expect("a string takes it");
        writeln!(list, "{indent}    < {}", short(source, node.span.clone())).expect("a string takes it");
        if !node.body.is_empty() {
            writeln!(list, "{indent}    > {}", short(source, node.body.clone())).expect("a string takes it");
        }
        listed_docs(&mut list, &indent, source, &node.docs);
    }
    list
}

/// The lines that differ, with what is around them.
fn difference(golden: &str, found: &str) -> String {
    let (golden, found): (Vec<&str>, Vec<&str>) = (golden.lines().collect(), found.lines().collect());
    let same = golden.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let golden_left = golden.iter().rev().zip(found.iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = golden_left.min(golden.len() - same).min(found.len() - same);
    let mut text = String::new();
    for (mark, lines, until) in
        [(' ', &golden, same), ('-', &golden, golden.len() - tail), ('+', &found, found.len() - tail)]
    {
        let from = if mark == ' ' { same.saturating_sub(3) } else { same };
        for line in &lines[from..until] {
            writeln!(text, "{mark} {line}").expect("a string takes it");
        }
    }
    text
}

#[test]
fn finds_what_the_golden_lists_say() {
    let sources = sources();
    assert!(!sources.is_empty(), "no golden sources");
    let mut wrong = String::new();
    for (path, language, source) in sources {
        let list = PathBuf::from(format!("{}.nodes", path.display()));
        let found = listed(&source, &parse(&source, language));
        if std::env::var_os("CGV_REWRITE_GOLDEN").is_some() {
            fs::write(&list, found).expect("written");
            continue;
        }
        let golden = fs::read_to_string(&list).unwrap_or_default();
        if golden != found {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path);
            write!(wrong, "\n{}:\n{}", name.display(), difference(&golden, &found))
                .expect("a string takes it");
        }
    }
    assert!(wrong.is_empty(), "- golden, + found{wrong}");
}
