//! `cgv index --git`: commits of a repository that is never checked out.

use std::fs;

use codegraph_vector_testkit::repository::Repository;
use serde_json::{Value, json};

use crate::sample::{Folder, run};
use crate::search::found;

const BREW: &str = "/// Brews the tea.\npub fn brew() {\n    boil();\n}\n";
const STEEP: &str = "/// Steeps the leaves.\npub fn steep() {\n    wait();\n}\n";

/// A folder with a repository of two commits: the first brews, the second also steeps.
fn repository() -> (Folder, [String; 2]) {
    let folder = Folder::new();
    let repository = Repository::make(folder.path(), false);
    let first = repository.commit([("src/brew.rs", BREW), ("src/notes.md", "# Tea")]);
    let second = repository.commit([("src/brew.rs", BREW), ("src/steep.rs", STEEP)]);
    (folder, [first, second])
}

fn export(folder: &Folder, store: &str) -> String {
    folder.here(&["export", "--store", store]).out
}

#[test]
fn commits_are_indexed_one_after_the_other() {
    let (folder, [first, second]) = repository();
    let summary = folder.json_here(&["index", "--git", "HEAD~1", "."]);
    assert_eq!((&summary["commit"], &summary["since"]), (&json!(first), &Value::Null));
    assert_eq!((&summary["files"], &summary["files_indexed"]), (&json!(1), &json!(1)));
    assert_eq!(folder.json_here(&["stats"])["commit"], json!(first));
    assert!(!folder.path().join("src").exists(), "nothing is checked out");
    assert!(!found(&folder, &["steep the leaves"]).contains(&"steep".to_owned()));

    let summary = folder.json_here(&["index", "--git", "HEAD"]);
    assert_eq!((&summary["commit"], &summary["since"]), (&json!(second), &json!(first)));
    assert_eq!((&summary["files"], &summary["bytes_read"]), (&json!(1), &json!(STEEP.len())));
    assert_eq!(found(&folder, &["steep the leaves"])[0], "steep");
    let line = format!("\nat commit         {second}\n");
    assert!(folder.here(&["stats"]).out.contains(&line));
    folder.here(&["index", "--git", &second, "--store", "fresh"]);
    assert_eq!(export(&folder, ".cgv"), export(&folder, "fresh"));
    assert!(folder.here(&["verify"]).out.starts_with("ok: "));
}

#[test]
fn a_run_says_which_commit_it_was_about() {
    let (folder, [first, second]) = repository();
    let [short, next] = [&first[..12], &second[..12]];
    let out = folder.here(&["index", "--git", "HEAD~1", "."]).out;
    assert!(out.starts_with("1 source file in ") && out.contains(&format!(" at commit {short}\n")), "{out}");
    let out = folder.here(&["index", "--git", "HEAD"]).out;
    let line = format!(" at commit {next}, since {short}\n");
    assert!(out.starts_with("1 source file new or changed in ") && out.contains(&line), "{out}");
    let out = folder.here(&["index", "--git", "HEAD"]).out;
    assert!(out.contains(&format!(" is indexed at commit {next} already\n")), "{out}");
    let out = folder.here(&["index", "--git", &first]).out;
    assert!(out.contains("  removed    1 file, gone from the commit\n"), "{out}");
}

#[test]
fn the_folder_and_a_commit_take_turns() {
    let (folder, [_, second]) = repository();
    folder.here(&["index", "--git", "HEAD", "."]);
    folder.source("src/brew.rs", BREW).source("src/pour.rs", "pub fn pour() {}\n");
    let summary = folder.json_here(&["index"]);
    assert_eq!((&summary["files_unchanged"], &summary["files_indexed"]), (&json!(1), &json!(1)));
    assert_eq!((&summary["files_removed"], &summary["commit"]), (&json!(1), &Value::Null));
    assert_eq!(folder.json_here(&["stats"])["commit"], Value::Null);
    folder.here(&["index", ".", "--store", "fresh"]);
    assert_eq!(export(&folder, ".cgv"), export(&folder, "fresh"));
    folder.here(&["index", "--git", "HEAD"]);
    fs::remove_dir_all(folder.path().join("fresh")).unwrap();
    folder.here(&["index", "--git", &second, "--store", "fresh"]);
    assert_eq!(export(&folder, ".cgv"), export(&folder, "fresh"));
}

#[test]
fn what_is_no_commit_is_refused() {
    let (folder, _) = repository();
    let said = folder.fails_here(1, &["index", ".", "--git", "v9"]);
    assert!(said.contains("there is no commit \"v9\""), "{said}");
    let elsewhere = Folder::new();
    let said = elsewhere.fails_here(1, &["index", ".", "--git", "HEAD"]);
    assert!(said.contains("no git repository"), "{said}");
    let ran = run(&mut folder.cgv_anywhere(&["index", ".", "--git", "HEAD", "--watch"]));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
}
