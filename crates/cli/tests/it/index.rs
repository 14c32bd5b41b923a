//! `cgv index` in a repository that is edited, and on stores that it should leave alone.

use std::fs;
#[cfg(unix)]
use std::process::Command;

use codegraph_vector::{EmbedderId, OpenOptions, PersistentVectorStore};
use codegraph_vector_indexer::EmbedderSpec;
use serde_json::{Value, json};

use crate::sample::{Folder, Ran, npy_rows, rows, run};
use crate::search::{found, repository};

/// The counts of a summary that say what happened to files.
fn counts(summary: &Value) -> [u64; 4] {
    ["files", "files_unchanged", "files_indexed", "files_removed"]
        .map(|name| summary[name].as_u64().expect("a count"))
}

#[test]
fn what_was_edited_renamed_and_deleted_is_found_as_it_is_now() {
    let folder = repository();
    let summary = folder.json_here(&["index", "."]);
    assert_eq!(counts(&summary), [4, 0, 4, 0]);
    assert_eq!(summary["nodes_embedded"], summary["nodes"]);
    assert_eq!(summary["problems"], json!([]));
    let rename = "rotate the encryption keys";
    assert!(!found(&folder, &[rename]).contains(&"rotate_keys".to_owned()));

    folder.source(
        "src/keys.py",
        "def rotate_keys(ring):\n    \"\"\"Rotates the encryption keys.\"\"\"\n    return ring\n",
    );
    assert_eq!(counts(&folder.json_here(&["index", "."])), [5, 4, 1, 0]);
    assert_eq!(found(&folder, &[rename])[0], "rotate_keys");

    let edited = "def replace_keys(ring):\n    \"\"\"Replaces the secrets.\"\"\"\n    return ring\n";
    folder.source("src/keys.py", edited);
    assert_eq!(counts(&folder.json_here(&["index", "."])), [5, 4, 1, 0]);
    let names = found(&folder, &["replace the secrets"]);
    assert!(names[0] == "replace_keys" && !names.contains(&"rotate_keys".to_owned()), "{names:?}");

    fs::rename(folder.path().join("src/keys.py"), folder.path().join("src/vault.py")).unwrap();
    let summary = folder.json_here(&["index", "."]);
    assert_eq!(counts(&summary), [5, 4, 1, 1]);
    assert!(summary["nodes_reused"].as_u64() >= Some(1), "a function that moves keeps its vector: {summary}");
    let hit = &folder.json_here(&["search", "replace the secrets"])["matches"][0];
    assert_eq!((&hit["name"], &hit["path"]), (&json!("replace_keys"), &json!("src/vault.py")));

    fs::remove_file(folder.path().join("src/vault.py")).unwrap();
    assert_eq!(counts(&folder.json_here(&["index", "."])), [4, 4, 0, 1]);
    assert!(!found(&folder, &["replace the secrets"]).contains(&"replace_keys".to_owned()));
    assert_eq!(folder.json_here(&["verify"])["clean"], json!(true));
}

#[test]
fn the_statistics_name_the_folder_and_agree_with_the_summary() {
    let folder = repository();
    let summary = folder.json_here(&["index", "."]);
    let stats = folder.json_here(&["stats"]);
    assert_eq!(stats["active_vectors"], summary["nodes"]);
    assert_eq!(folder.here(&["export"]).out.lines().count() as u64, summary["nodes"].as_u64().unwrap());
    assert_eq!(stats["root"].as_str().map(Into::into), folder.path().canonicalize().ok());
    assert!(folder.here(&["stats"]).out.contains("\nindex of          /"));
}

#[test]
fn a_run_says_what_it_did_and_how_to_go_on() {
    let folder = repository();
    folder.source("big.rs", &format!("// {}\nfn big() {{}}\n", "x".repeat(3000)));
    for number in 0..14 {
        fs::write(folder.path().join(format!("binary{number}.c")), b"int \0 \xff\xfe;").unwrap();
    }
    let ran = folder.here(&["index", ".", "--max-file-bytes", "2000", "--threads", "2"]);
    assert!(ran.err.is_empty(), "no progress where there is no terminal: {:?}", ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with("19 source files in "), "{}", ran.out);
    assert!(lines.iter().any(|line| line.starts_with("  indexed    4 files")), "{}", ran.out);
    assert!(lines.iter().any(|line| line.starts_with("  left out   15 files")), "{}", ran.out);
    assert!(ran.out.contains("  … and 5 more; --json lists them\n"), "{}", ran.out);
    assert_eq!(
        folder.json_here(&["index", "--max-file-bytes", "2000"])["problems"].as_array().unwrap().len(),
        15
    );
    assert!(ran.out.contains(" nodes\n") && !ran.out.contains("kept the vector"), "{}", ran.out);
    let again = folder.here(&["index", ".", "--max-file-bytes", "2000"]).out;
    assert!(again.contains("  unchanged  4 files\n") && !again.contains("a second"), "{again}");
    assert_eq!(folder.read(".cgv/.gitignore"), b"*\n");

    let elsewhere = Folder::new();
    let path = folder.path().to_str().unwrap();
    let ran = elsewhere.here(&["index", path]);
    assert!(ran.out.contains("unchanged"), "the store is looked for from PATH: {}", ran.out);
    assert!(ran.out.trim_end().ends_with("/.cgv") && ran.out.contains("\" --store "), "{}", ran.out);
    assert!(!elsewhere.path().join(".cgv").exists());
}

#[cfg(unix)]
#[test]
fn the_search_that_it_proposes_works_as_it_stands_there() {
    use std::os::unix::process::CommandExt as _;

    let folder = repository();
    for name in ["src/tests/config_test.rs", "it's a \"$HOME\"/tea.rs", "-dash/tea.rs"] {
        folder.source(name, "pub fn steep_the_green_leaves() {}\n");
    }
    let run_proposal = |ran: &Ran| {
        let proposal = ran.out.lines().last().unwrap().strip_prefix("search it:  ").expect("a proposal");
        // As one types it who has no `cgv` on the PATH, too.
        let mut shell = Command::new("sh");
        shell.args(["-c", proposal]).current_dir(folder.path());
        let found = run(shell.env_remove("CGV_STORE").env("PATH", "/usr/bin:/bin"));
        assert!(
            found.code == Some(0) && found.out.contains(".rs:1  "),
            "{proposal}: {}{}",
            found.out,
            found.err
        );
        proposal.to_owned()
    };
    for path in ["./it's a \"$HOME\"", "./-dash"] {
        run_proposal(&folder.here(&["index", path]));
        run_proposal(&folder.here(&["index", path, "--store=-s"]));
        fs::remove_dir_all(folder.path().join("-s")).unwrap();
    }
    let proposal = run_proposal(&folder.here(&["index", "."]));
    assert!(proposal.starts_with(env!("CARGO_BIN_EXE_cgv")) && !proposal.contains("--store"), "{proposal}");
    let ran = run(folder.cgv_anywhere(&["index", "."]).arg0("cgv"));
    assert!(ran.out.contains("\nsearch it:  cgv search \""), "{}", ran.out);
}

#[test]
fn the_store_is_found_from_within_the_repository() {
    let folder = repository();
    folder.here(&["index", "."]);
    folder.source("src/more.go", "package more\n\nfunc Brew() {}\n");
    // Without a PATH it is the store's own folder that is indexed, from wherever that is said.
    let ran = folder.below("src", &["index", "--json"]);
    let summary: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(counts(&summary), [5, 4, 1, 0]);
    assert!(!folder.path().join("src/.cgv").exists());
    let said = folder.fails_here(1, &["index", "src"]);
    assert!(
        said.contains("is the index of") && said.contains("--reroot") && !said.contains("help:"),
        "{said}"
    );
    assert!(said.contains("`cgv index` without a PATH"), "{said}");
    folder.here(&["index", "src", "--store", "src/.cgv"]);
    assert_eq!(folder.read("src/.cgv/.gitignore"), b"*\n");
    let below = folder.below("src", &["search", "brew", "-k", "1"]);
    assert!(below.out.starts_with("more.go:3  function Brew"), "{}", below.out);
    folder.here(&["index", "src", "--store", "named"]);
    assert!(!folder.path().join("named/.gitignore").exists());
}

#[test]
fn a_store_becomes_the_index_of_another_folder_only_if_told_to() {
    let folder = repository();
    folder.source("other/tea.js", "export function steepLeaves() {}\n");
    folder.here(&["index", "src", "--store", "s"]);
    let said = folder.fails_here(1, &["index", "other", "--store", "s"]);
    assert!(said.contains("is the index of"), "{said}");
    let summary = folder.json_here(&["index", "other", "--store", "s", "--reroot"]);
    assert_eq!(summary["files"], json!(1));
    let names = folder.json_here(&["search", "steep leaves", "--store", "s"]);
    assert_eq!(names["matches"][0]["path"], json!("tea.js"));
    assert!(names["matches"].as_array().unwrap().iter().all(|hit| hit["path"] == json!("tea.js")));
}

#[test]
fn a_folder_without_code_is_no_failure() {
    let folder = Folder::new();
    folder.source("notes/README.md", "# Tea\n");
    let ran = folder.here(&["index", "."]);
    assert!(
        ran.out.starts_with("0 source files in ")
            && ran.out.contains("nothing to search: no file here is in"),
        "{}",
        ran.out
    );
    fs::write(folder.path().join("binary.c"), b"int \0").unwrap();
    let ran = folder.here(&["index", "."]);
    assert!(ran.out.contains("nothing to search: no file could be stored"), "{}", ran.out);
    fs::remove_file(folder.path().join("binary.c")).unwrap();
    let ran = folder.here(&["search", "tea"]);
    assert!(
        ran.out.is_empty() && ran.err.contains("the store is empty; `cgv index PATH` fills it"),
        "{}",
        ran.err
    );
    assert_eq!(folder.json_here(&["search", "tea"]), json!({ "matches": [], "degraded": false }));
}

#[test]
fn what_cannot_be_indexed_is_refused() {
    let folder = repository();
    let said = folder.fails_here(1, &["index", "missing"]);
    assert!(said.contains("there is no such folder (missing)"), "{said}");
    assert!(folder.fails_here(1, &["index", "src/config.rs"]).contains("index the folder that it is in"));
    for args in [
        &["index", "a", "b"][..],
        &["index", ".", "--embedder", "magic"],
        &["index", ".", "--embedder", "openai:"],
        &["index", ".", "--threads", "-1"],
        &["--store", "", "index", "."],
    ] {
        assert_eq!(run(&mut folder.cgv_anywhere(args)).code, Some(2), "{args:?}");
    }
    assert!(!folder.path().join(".cgv").exists());
    assert!(
        folder
            .fails_here(1, &["index", ".", "--embedder", "model2vec:no-such-model"])
            .contains("no-such-model")
    );
    assert!(!folder.path().join(".cgv").exists(), "no store of vectors that nobody can make");
}

#[test]
fn a_store_that_something_else_filled_stays_as_it_is() {
    let folder = repository();
    folder.file("a.npy", npy_rows(&rows(3, 384)));
    folder.ok(&["import", "a.npy"]);
    let said = folder.fails_here(1, &["index", ".", "--store", "s"]);
    assert!(said.contains("not made by `cgv index`"), "{said}");
    let said = folder.fails_here(1, &["search", "tea", "--store", "s"]);
    assert!(said.contains("not made by `cgv index`") && said.contains("use `cgv query`"), "{said}");
    assert_eq!(folder.json(&["stats"])["active_vectors"], json!(3));
}

/// A store that says it was indexed with another embedder.
fn made_by_another(folder: &Folder, spec: &str, version: &str) {
    let name = spec.split(':').next().unwrap().into();
    let embedder = EmbedderId { name, version: version.into(), parameters: String::new() };
    let options = OpenOptions { dimension: Some(3), embedder: Some(embedder), ..OpenOptions::default() };
    let store = PersistentVectorStore::open(folder.store(), options).unwrap();
    spec.parse::<EmbedderSpec>().unwrap().record(&store).unwrap();
    store.put(codegraph_vector::CodeNode::new(1, vec![1.0, 2.0, 3.0])).unwrap();
    store.close().unwrap();
}

#[test]
fn vectors_of_two_embedders_are_never_mixed() {
    let folder = repository();
    made_by_another(&folder, "lexical", "0.0");
    for args in [&["index", ".", "--store", "s"][..], &["search", "tea", "--store", "s"]] {
        let said = folder.fails_here(1, args);
        assert!(said.contains("indexed with lexical 0.0") && said.contains("new store"), "{said}");
        assert!(said.contains("(lexical 1 dimension=384) cannot be compared"), "{said}");
    }
    assert_eq!(folder.json(&["stats"])["active_vectors"], json!(1));
}

#[test]
fn an_endpoint_that_came_with_a_store_is_told_nothing() {
    let folder = repository();
    made_by_another(&folder, "openai:https://collector.invalid/v1,m", "m");
    for args in [&["index", ".", "--store", "s"][..], &["search", "tea", "--store", "s"]] {
        let said = folder.fails_here(1, args);
        assert!(said.contains("set CGV_OPENAI_URL=https://collector.invalid/v1"), "{said}");
    }
}

#[test]
fn searching_works_while_the_store_is_written_to() {
    let folder = repository();
    folder.here(&["index", "."]);
    let store = PersistentVectorStore::open(folder.path().join(".cgv"), OpenOptions::default()).unwrap();
    assert_eq!(found(&folder, &["parse the configuration"])[0], "parse_config");
    let said = folder.fails_here(1, &["index", "."]);
    assert!(said.contains("open for writing elsewhere") && said.contains("help: search,"), "{said}");
    store.close().unwrap();
    folder.here(&["index", "."]);
}
