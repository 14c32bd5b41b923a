//! What the style asks of every file in the repository, checked: layers, file sizes, module docs,
//! `unsafe`, leftovers, dead links, paths of somebody's machine.
#![allow(clippy::disallowed_methods)] // It reads the source tree, not a store.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file, in lines.
const MAX_LINES: usize = 500;

/// Packages by layer: one may depend on those above it in this list, not on those beside or below it.
const LAYERS: [&[&str]; 6] = [
    &["codegraph-vector-base"],
    &[
        "codegraph-vector-ann",
        "codegraph-vector-objects",
        "codegraph-vector-storage",
        "codegraph-vector-testkit",
    ],
    &["codegraph-vector"],
    &["codegraph-vector-indexer", "codegraph-vector-server"],
    &["codegraph-vector-cli"],
    &["codegraph-vector-bench", "codegraph-vector-fuzz"],
];
const TESTKIT: &str = "codegraph-vector-testkit";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// All files of the repository that are text, with what they say, by their path in it.
fn texts() -> Vec<(String, String)> {
    const SKIPPED: [&str; 5] = ["target", "corpus", "artifacts", "golden", "shared"];
    let root = root();
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("listed") {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("an entry");
            let name = name.to_string_lossy();
            let hidden = name.starts_with('.') && name != ".ci" && name != ".github";
            if path.is_dir() && !hidden && !SKIPPED.contains(&&*name) {
                folders.push(path);
            } else if path.is_file()
                && !hidden
                && let Ok(text) = fs::read_to_string(&path)
            {
                let path = path.strip_prefix(&root).expect("below the root");
                found.push((path.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    assert!(found.len() > 100, "this is not the repository");
    found
}

fn sources() -> impl Iterator<Item = (String, String)> {
    texts().into_iter().filter(|(path, _)| path.ends_with(".rs"))
}

/// Fails with every complaint at once.
fn complain(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The lines of a source file, without line comments and doc comments, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines().map(|line| line.split("//").next().unwrap_or_default()))
}

fn layer_of(package: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&package))
}

#[test]
fn nothing_imports_upward() {
    let mut complaints = Vec::new();
    for (path, text) in texts().iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        let Some(name) = text.lines().find_map(|line| line.strip_prefix("name = ")) else { continue };
        let name = name.trim_matches('"');
        let Some(layer) = layer_of(name) else {
            complaints.push(format!("{path}: {name} has no layer in tidy.rs"));
            continue;
        };
        let mut section = "";
        for line in text.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let package = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let Some(below) = layer_of(package).filter(|_| section.contains("dependencies")) else {
                continue;
            };
            let tests_only = section == "[dev-dependencies]";
            let own = package == name && tests_only;
            if !own && below >= layer && !(tests_only && package == TESTKIT) {
                complaints.push(format!("{path}: {name} depends upward or sideways on {package}"));
            }
            if package == TESTKIT && !tests_only && layer + 1 < LAYERS.len() {
                complaints.push(format!("{path}: {name} ships {TESTKIT}"));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn files_are_short_and_say_what_they_own() {
    let mut complaints = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            complaints.push(format!("{path}: {lines} lines, over {MAX_LINES}"));
        }
        let module_docs =
            text.lines().find(|line| !line.starts_with("#!")).is_some_and(|line| line.starts_with("//!"));
        if !module_docs && !path.ends_with("tests.rs") && !path.ends_with("sample.rs") {
            complaints.push(format!("{path}: does not open with //!"));
        }
    }
    complain(&complaints);
}

#[test]
fn unsafe_is_where_it_belongs_and_says_why_it_is_sound() {
    let mut complaints = Vec::new();
    for (path, text) in sources() {
        let allowed = path.starts_with("crates/ann/src/kernels/") || path == "crates/base/src/mmap.rs";
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in code(&text) {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if !words.clone().any(|word| word == "unsafe") || line.contains('"') {
                continue;
            }
            if !allowed {
                complaints.push(format!("{path}:{number}: unsafe"));
            }
            let before = &lines[number.saturating_sub(8)..number];
            let explained = before.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety"));
            if !explained && line.contains("unsafe {") {
                complaints.push(format!("{path}:{number}: unsafe without SAFETY:"));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn nothing_is_left_over() {
    let leftovers = ["todo!", "unimplemented!", "dbg!", concat!("FIX", "ME"), concat!("XX", "X:")];
    let mut complaints = Vec::new();
    for (path, text) in sources().filter(|(path, _)| !path.ends_with("tidy.rs")) {
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(leftover) = leftovers.iter().find(|leftover| line.contains(**leftover)) {
                complaints.push(format!("{path}:{number}: {leftover}"));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn no_file_knows_somebody_s_machine() {
    let machines =
        [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
    let mut complaints = Vec::new();
    for (path, text) in texts() {
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(machine) = machines.iter().find(|machine| line.contains(**machine)) {
                complaints.push(format!("{path}:{number}: {machine}"));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn links_lead_somewhere() {
    let mut complaints = Vec::new();
    for (path, text) in texts().iter().filter(|(path, _)| path.ends_with(".md")) {
        let file = root().join(path);
        let mut fenced = false;
        for (number, line) in (1..).zip(text.lines()) {
            fenced ^= line.trim_start().starts_with("```");
            for target in line.split("](").skip(1).filter(|_| !fenced) {
                let target = target.split([')', '#', ' ']).next().unwrap_or_default();
                let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
                if !outside && !file.parent().is_some_and(|folder| folder.join(target).exists()) {
                    complaints.push(format!("{path}:{number}: {target} is not there"));
                }
            }
        }
    }
    complain(&complaints);
}
