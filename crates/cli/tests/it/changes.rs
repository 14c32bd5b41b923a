//! `cgv changes`: what another process committed, line by line, and pins that outlive both.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::sample::Folder;

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Three commits: two nodes, another one, and one is gone.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.file(
        "nodes.jsonl",
        "{\"node_id\":1,\"vector\":[0.1,-0.25],\"path\":\"a.rs\",\"name\":\"one\"}\n{\"node_id\":2,\"vector\":[1,2]}\n\
         {\"node_id\":\"f0000000-0000-0000-0000-000000000001\",\"vector\":[3,4],\"path\":\"b.rs\"}\n",
    );
    folder.ok(&["import", "nodes.jsonl", "--commit-rows", "2"]);
    folder.ok(&["delete", "--id", "2"]);
    folder
}

#[test]
fn changes_are_printed_in_order_and_gone_on_with_by_cursor() {
    let folder = folder();
    let all = lines(&folder.ok(&["changes"]));
    let cursors: Vec<&str> = all.iter().map(|line| line["cursor"].as_str().unwrap()).collect();
    assert_eq!(cursors, ["0:1", "0:2", "0:3"]);
    assert_eq!(all[0]["puts"], json!([{"node_id": 1, "path": "a.rs", "name": "one"}, {"node_id": 2}]));
    assert_eq!(all[1]["puts"][0]["node_id"], "f0000000-0000-0000-0000-000000000001");
    assert_eq!((&all[2]["puts"], &all[2]["deletes"]), (&json!([]), &json!([2])));
    assert!(all[0]["commit_time_us"].as_u64().unwrap() > 1_600_000_000_000_000);
    for from in ["0:1", "1"] {
        assert_eq!(lines(&folder.ok(&["changes", "--from", from])), all[1..]);
    }
    assert_eq!(folder.ok(&["changes", "--from", "0:3"]), "");
    let with_vectors = lines(&folder.ok(&["changes", "--vectors", "--from", "0:0"]));
    assert_eq!(with_vectors[0]["puts"][0]["vector"], json!([0.1, -0.25]));
    assert!(folder.fails(1, &["changes", "--from", "0:9"]).contains("ahead"));
    assert!(folder.fails(1, &["changes", "--from", "7:1"]).contains("timeline 7"));
    assert!(folder.fails(2, &["changes", "--from", "soon"]).contains("cursor"));
}

#[test]
fn a_pin_goes_on_where_it_was_and_keeps_the_log() {
    let folder = folder();
    assert_eq!(lines(&folder.ok(&["changes", "--pin", "hook"])).len(), 3);
    assert_eq!(folder.ok(&["changes", "--pin", "hook"]), "");
    for round in 0..3 {
        folder.ok(&["delete", "--id", &(1 + round).to_string()]);
        folder.ok(&["import", "nodes.jsonl"]);
        folder.ok(&["flush"]);
    }
    let stats = folder.json(&["stats"]);
    let pin = &stats["changes"]["pins"][0];
    assert_eq!((&pin["name"], &pin["cursor"], &pin["lost"]), (&json!("hook"), &json!("0:3"), &json!(false)));
    let lag = pin["lag_commits"].as_u64().unwrap();
    assert!(folder.ok(&["stats"]).contains(&format!("hook at 0:3: {lag} commits")));
    let printed = lines(&folder.ok(&["changes", "--pin", "hook"]));
    assert_eq!(printed.len() as u64, lag);
    assert_eq!(printed[0]["cursor"], "0:4");
    assert!(folder.ok(&["changes", "--unpin", "hook"]).contains("nothing is kept"));
    assert_eq!(folder.json(&["changes", "--unpin", "hook"]), json!({"unpinned": false}));
    assert_eq!(folder.json(&["stats"])["changes"]["pins"], json!([]));
    folder.fails(1, &["changes", "--pin", "No Name"]);
    assert!(folder.fails(2, &["changes", "--pin", "hook", "--follow"]).contains("--follow"));
}

#[test]
fn follow_prints_what_another_process_commits() {
    let folder = folder();
    let mut child = folder.cgv(&["changes", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&out.next().unwrap().unwrap()).unwrap();
    for seqno in 1..=3 {
        assert_eq!(next()["cursor"], format!("0:{seqno}"));
    }
    folder.ok(&["import", "nodes.jsonl"]);
    assert_eq!(next()["cursor"], "0:4");
    folder.ok(&["delete", "--id", "1"]);
    assert_eq!(next()["deletes"], json!([1]));
    child.kill().unwrap();
    child.wait().unwrap();
}
