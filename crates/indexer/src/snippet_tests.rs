#![allow(clippy::disallowed_methods)] // The files of a user, who is a test.

use codegraph_vector::{CodeNode, PersistentVectorStore};
use tempfile::TempDir;

use super::*;
use crate::index::file_id;
use crate::words::terms;

const SOURCE: &str = "\
use std::fs;

/// Reads the settings of a user.
#[inline]
pub fn load(path: &str) -> Settings {
    let text = fs::read(path);
    // Nothing of it is needed.
    let first = text.lines();
\tlet parsedConfig = parse_config(first);

    parsedConfig
}
";

/// A root with a file, its store, and the metadata of a function on the lines `lines`.
fn indexed(source: &[u8], lines: (u32, u32)) -> (TempDir, Snapshot, NodeMetadata) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.rs"), source).unwrap();
    let store = PersistentVectorStore::new(folder.path().join("s"), folder.path().join("b"), 1).unwrap();
    let hash = hash_text(xxh3_128(source));
    let file = CodeNode::new(file_id("a.rs"), vec![1.0]).with_path("a.rs").with_attribute(FILE_HASH, hash);
    let node = CodeNode::new(2, vec![1.0])
        .with_path("a.rs")
        .with_language("rust")
        .with_name("load")
        .with_lines(lines.0, lines.1);
    let metadata = node.metadata();
    store.put_batch(&[file, node]).unwrap();
    let snapshot = store.snapshot().unwrap();
    (folder, snapshot, metadata)
}

fn numbers(snippet: &Snippet) -> Vec<u32> {
    snippet.lines.iter().map(|line| line.number).collect()
}

#[test]
fn the_first_line_and_those_with_most_terms_are_shown() {
    let (folder, snapshot, metadata) = indexed(SOURCE.as_bytes(), (5, 12));
    let show = |question: &str, max_lines| {
        snippet(&snapshot, folder.path(), &metadata, &terms(question), max_lines).unwrap().unwrap()
    };
    let shown = show("parse the config", 2);
    assert_eq!(numbers(&shown), [5, 9]);
    let line = &shown.lines[1];
    assert_eq!(line.text, "    let parsedConfig = parse_config(first);");
    let matched: Vec<&str> = line.matched.iter().map(|range| &line.text[range.clone()]).collect();
    assert_eq!(matched, ["parsed", "Config", "parse", "config"]);
    assert_eq!(numbers(&show("parse the config", 3)), [5, 9, 11]);
    assert_eq!(numbers(&show("settings of the user", 4)), [3, 5], "what is written before it is of it");
    assert_eq!(numbers(&show("fs", 4)), [5, 6], "what is before that is not");
    assert_eq!(numbers(&show("zebra", 4)), [5]);
    assert_eq!(numbers(&show("", 3)), [5, 6, 7]);
    assert_eq!(numbers(&show("", 99)), [5, 6, 7, 8, 9, 11, 12], "without empty lines");
    assert_eq!(numbers(&show("config", 0)), [5]);
    let whole = NodeMetadata { start_line: None, end_line: None, ..metadata.clone() };
    let shown = snippet(&snapshot, folder.path(), &whole, &terms("first"), 9).unwrap().unwrap();
    assert_eq!(numbers(&shown), [1, 8, 9]);
}

#[test]
fn lines_of_another_file_than_was_indexed_are_not_shown() {
    let (folder, snapshot, metadata) = indexed(SOURCE.as_bytes(), (5, 12));
    let path = folder.path().join("a.rs");
    let show = || snippet(&snapshot, folder.path(), &metadata, &terms("config"), 3).unwrap();
    let changed = Some(Snippet { lines: Vec::new(), changed: true });
    assert!(!show().unwrap().changed);
    std::fs::write(&path, SOURCE.replace("fs", "sf")).unwrap();
    assert_eq!(show(), changed);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(show(), None);
    std::fs::create_dir(&path).unwrap();
    assert_eq!(show(), changed, "a folder of that name");
    let other = NodeMetadata { path: None, ..metadata.clone() };
    assert_eq!(snippet(&snapshot, folder.path(), &other, &[], 3).unwrap(), None);
    let other = NodeMetadata { path: Some("a.rs/b.rs".into()), ..metadata.clone() };
    assert_eq!(snippet(&snapshot, folder.path(), &other, &[], 3).unwrap(), None);
}

#[test]
fn a_long_line_is_cut_around_its_match() {
    let long = format!("fn f() {{ {} needle {} }}\n", "a + ".repeat(500), "é - ".repeat(500));
    let (folder, snapshot, metadata) = indexed(long.as_bytes(), (1, 1));
    let show = |question: &str| {
        let shown = snippet(&snapshot, folder.path(), &metadata, &terms(question), 3).unwrap().unwrap();
        shown.lines.into_iter().next().unwrap()
    };
    let line = show("needle");
    assert!(line.text.starts_with('…') && line.text.ends_with('…'), "{}", line.text);
    assert_eq!(line.text.chars().count(), MAX_LINE_CHARS + 2);
    assert_eq!(line.matched.len(), 1);
    assert_eq!(&line.text[line.matched[0].clone()], "needle");
    let line = show("zebra");
    assert!(line.text.starts_with("fn f() { a + ") && line.text.ends_with('…'), "{}", line.text);
}

#[test]
fn nothing_of_a_file_reaches_a_terminal_but_characters() {
    let source = "fn \x1b]0;title\x07f() { \"\x1b[31mred\x1b[0m \u{9b}31m \u{202e}neddih\" }\r\n";
    let (folder, snapshot, metadata) = indexed(source.as_bytes(), (1, 1));
    let shown = snippet(&snapshot, folder.path(), &metadata, &terms("red"), 1).unwrap().unwrap();
    let text = &shown.lines[0].text;
    assert!(!text.contains(is_active), "{text:?}");
    assert!(text.contains("␛[31mred␛[0m") && text.ends_with('}'), "{text:?}");
    assert_eq!(printable("plain ü"), "plain ü");
    assert_eq!(printable("a\tb\n"), "a    b␊");
}
