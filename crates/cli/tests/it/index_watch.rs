//! `cgv index --watch`: from an edit to what is found, and to its end.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sample::Folder;
use crate::search::{found, repository};

/// More than a round takes, on whatever machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `cgv index --watch` that runs; killed if it is dropped.
pub(crate) struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    pub(crate) fn start(folder: &Folder, args: &[&str]) -> Self {
        let args = [&["index", "--watch"], args].concat();
        let mut command = folder.cgv_anywhere(&args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cgv runs");
        let output: ChildStdout = child.stdout.take().unwrap();
        let (line, lines) = channel();
        thread::spawn(move || {
            let all = BufReader::new(output).lines().map_while(Result::ok);
            all.take_while(|text| line.send(text.clone()).is_ok()).for_each(drop);
        });
        Self { child, lines }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            self.kill();
            panic!("no round: {}", self.said())
        })
    }

    fn round(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("JSON")
    }

    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// What it said on standard error, once it has ended.
    fn said(&mut self) -> String {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }

    /// Sends it a signal, and waits for its end: the exit code, what it still printed, and what it said.
    fn end(mut self, signal: &str) -> (Option<i32>, Vec<String>, String) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        (code, self.lines.iter().collect(), self.said())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn what_is_edited_is_found_a_moment_later() {
    let folder = repository();
    let mut watch = Watch::start(&folder, &[".", "--json"]);
    let first = watch.round();
    assert_eq!((&first["round"], &first["paths"], &first["files"]), (&json!(1), &Value::Null, &json!(4)));

    folder.source("src/keys.py", "def rotate_keys(ring):\n    \"\"\"Rotates the encryption keys.\"\"\"\n");
    let round = watch.round();
    assert_eq!((&round["round"], &round["paths"]), (&json!(2), &json!(["src/keys.py"])));
    assert_eq!((&round["files"], &round["files_indexed"]), (&json!(1), &json!(1)));
    assert_eq!(found(&folder, &["rotate the encryption keys"])[0], "rotate_keys");
    let said = folder.fails_here(1, &["index", "."]);
    assert!(said.contains("open for writing elsewhere"), "one writer at a time: {said}");

    fs::remove_file(folder.path().join("src/keys.py")).unwrap();
    let round = watch.round();
    assert_eq!((&round["files_removed"], &round["nodes"]), (&json!(1), &first["nodes"]));
    let (code, lines, said) = watch.end("TERM");
    assert_eq!((code, lines.len()), (Some(0), 0), "{said}");
    assert!(said.contains("watching ") && !said.contains("error"), "{said}");
    folder.here(&["index", ".", "--store", "fresh"]);
    let export = |store: &str| folder.here(&["export", "--store", store]).out;
    assert_eq!(export(".cgv"), export("fresh"));
    assert_eq!(folder.here(&["index", "."]).err, "", "nothing had to be recovered: the store was closed");
}

#[test]
fn people_are_told_in_lines() {
    let folder = repository();
    let mut watch = Watch::start(&folder, &["."]);
    let line = watch.line();
    assert!(
        line.starts_with("4 source files looked at: 4 files indexed, ") && line.ends_with(" in the store"),
        "{line}"
    );
    folder.source("src/tea.rs", "pub fn brew() {}\n");
    let line = watch.line();
    assert!(line.starts_with("src/tea.rs: 1 file indexed, 2 nodes embedded in "), "{line}");
    let (code, _, said) = watch.end("INT");
    assert_eq!((code, said.lines().count()), (Some(0), 1), "{said}");
}

#[test]
fn a_watch_that_cannot_begin_says_why() {
    let folder = repository();
    assert!(folder.fails_here(1, &["index", "missing", "--watch"]).contains("there is no such folder"));
    let mut first = Watch::start(&folder, &[".", "--json"]);
    first.round();
    assert!(folder.fails_here(1, &["index", ".", "--watch"]).contains("open for writing elsewhere"));
    folder.here(&["index", "src", "--store", "other"]);
    let said = folder.fails_here(1, &["index", ".", "--watch", "--store", "other"]);
    assert!(said.contains("is the index of"), "{said}");
}
