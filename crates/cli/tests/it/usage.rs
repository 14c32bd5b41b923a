//! Words, exit codes, and where the store is looked for.

use std::process::Stdio;

use serde_json::json;

use crate::sample::{Folder, npy_rows, rows, run};

#[test]
fn help_names_the_commands() {
    let folder = Folder::new();
    let help = folder.ok(&["--help"]);
    assert!(
        help.starts_with("The persistent vector store for code graphs\n\nUsage: cgv [OPTIONS] <COMMAND>\n"),
        "{help}"
    );
    for command in ["import", "export", "query", "get", "delete", "stats", "verify", "flush", "merge"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{command}");
        assert!(folder.ok(&[command, "--help"]).contains("--store <DIR>"));
    }
    assert!(folder.ok(&["--version"]).starts_with("cgv "));
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = Folder::new();
    folder.file("a.npy", "").file("a.jsonl", "");
    for args in [
        &["nonsense"][..],
        &[],
        &["get"],
        &["get", "not-an-id"],
        &["get", "-1"],
        &["delete"],
        &["delete", "--id"],
        &["delete", "--id", "1", "--path", "a"],
        &["delete", "--filter", "{"],
        &["delete", "--filter", r#"{"colour":"red"}"#],
        &["query", "a.npy", "-k", "0"],
        &["query", "a.npy", "-k", "10001"],
        &["query", "a.npy", "--threads", "0"],
        &["query", "a.npy", "--out", "a.txt"],
        &["import", "a.txt"],
        &["import", "a.npy", "--commit-rows", "0"],
        &["import", "a.npy", "--metric", "l2"],
        &["import", "a.npy", "--embedder", "minilm"],
        &["import", "a.jsonl", "--ids", "a.npy"],
        &["import", "a.npy", "--receipts", "--json"],
        &["--store", "", "stats"],
    ] {
        let ran = run(&mut folder.cgv_anywhere(args));
        assert_eq!(ran.code, Some(2), "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{args:?}: {}", ran.out);
    }
}

#[test]
fn what_is_wrong_is_said_in_the_words_of_the_command_line() {
    let folder = Folder::new();
    let ran = run(folder.cgv_anywhere(&["stats"]).env("CGV_STORE", ""));
    assert!(ran.code == Some(2) && ran.err.contains("CGV_STORE unset"), "{}", ran.err);
    let ran = run(folder.cgv_anywhere(&["stats"]).env("CGV_BACKUPS", ""));
    assert!(ran.code == Some(1) && ran.err.contains("there is no store"), "{}", ran.err);
    assert!(folder.fails(2, &["get", "abc"]).contains("expected a number or a UUID"));
    folder.file("a.npy", npy_rows(&rows(1, 4)));
    assert!(folder.ok(&["import", "a.npy"]).starts_with("1 row in "));
    assert_eq!(folder.ok(&["delete", "--id", "0"]), "1 node deleted\n");
    assert_eq!(folder.ok(&["delete", "--id", "0"]), "0 nodes deleted\n");
}

#[test]
fn what_is_no_store_is_said_to_be_none() {
    let folder = Folder::new();
    folder.file("a.npy", npy_rows(&rows(3, 4)));
    for args in [
        &["stats"][..],
        &["export"],
        &["verify"],
        &["get", "1"],
        &["query", "a.npy"],
        &["flush"],
        &["delete", "--id", "1"],
    ] {
        let said = folder.fails(1, args);
        assert!(said.contains("there is no store here") && said.contains("cgv import"), "{said}");
        let ran = run(&mut folder.cgv_anywhere(args));
        assert!(ran.err.contains("no .cgv here or above") && ran.code == Some(1), "{}", ran.err);
    }
    assert!(!folder.store().exists() && !folder.path().join(".cgv").exists());
    std::fs::create_dir(folder.store()).unwrap();
    folder.file("s/precious.txt", "data");
    assert!(folder.fails(1, &["import", "a.npy"]).contains("this folder is not a store"));
    assert!(folder.fails(1, &["stats"]).contains("there is no store here"));
    let said = run(&mut folder.cgv_anywhere(&["--store", "a.npy", "import", "a.npy"])).err;
    assert!(said.contains("a store is a folder"), "{said}");
}

#[test]
fn the_store_is_found_upward_and_made_here() {
    let folder = Folder::new();
    folder.file("a.npy", npy_rows(&rows(3, 4)));
    std::fs::create_dir_all(folder.path().join("deep/down")).unwrap();
    assert_eq!(run(&mut folder.cgv_anywhere(&["import", "a.npy"])).code, Some(0));
    assert_eq!(folder.read(".cgv/.gitignore"), b"*\n");
    let mut below = folder.cgv_anywhere(&["stats", "--json"]);
    let ran = run(below.current_dir(folder.path().join("deep/down")));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ran.out).unwrap()["active_vectors"], json!(3));
    let ran = run(folder.cgv_anywhere(&["import", "a.npy"]).env("CGV_STORE", "named"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(folder.path().join("named/LOCK").exists() && !folder.path().join("named/.gitignore").exists());
    assert!(
        run(folder.cgv_anywhere(&["stats", "--store", "other"]).env("CGV_STORE", "named"))
            .err
            .contains("no store")
    );
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let folder = Folder::new();
    folder.file("a.npy", npy_rows(&rows(5000, 16)));
    folder.ok(&["import", "a.npy"]);
    let mut child = folder.cgv(&["export"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = folder.cgv(&["export"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("standard output"), "{said}");
}
