//! Two processes at one store: one writes, others only read.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::json;

use crate::sample::{Folder, npy_rows, rows};

#[test]
fn readers_work_beside_a_writer_and_a_second_writer_is_told() {
    let folder = Folder::new();
    folder.file("q.npy", npy_rows(&rows(2, 3)));
    let mut writer = folder
        .cgv(&["import", "-", "--receipts", "--commit-rows", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = writer.stdin.take().unwrap();
    let mut receipts = BufReader::new(writer.stdout.take().unwrap()).lines();
    for round in 0..3u64 {
        for row in 0..2 {
            writeln!(input, "{{\"node_id\":{},\"vector\":[{row},1,2]}}", round * 2 + row).unwrap();
        }
        input.flush().unwrap();
        let receipt = receipts.next().unwrap().unwrap();
        assert!(receipt.contains("\"durable\":true"), "{receipt}");
        // What was acknowledged is there for every other process.
        let stats = folder.json(&["stats"]);
        assert_eq!((&stats["active_vectors"], &stats["seqno"]), (&json!(round * 2 + 2), &json!(round + 1)));
        assert_eq!(folder.ok(&["export"]).lines().count() as u64, round * 2 + 2);
        assert_eq!(folder.json(&["get", &(round * 2).to_string()])["vector"], json!([0.0, 1.0, 2.0]));
        assert_eq!(folder.json(&["query", "q.npy"])["queries"], json!(2));
        assert_eq!(folder.json(&["verify"])["clean"], json!(true));
    }
    for args in [&["delete", "--id", "1"][..], &["flush"], &["merge"], &["import", "q.npy"]] {
        let said = folder.fails(1, args);
        assert!(
            said.contains("open for writing elsewhere") && said.contains("stats and verify work beside"),
            "{said}"
        );
    }
    drop(input);
    assert!(writer.wait().unwrap().success());
    assert_eq!(folder.json(&["delete", "--id", "1"])["deleted"], json!(1));
}
