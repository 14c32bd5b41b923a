//! `cgv mcp` while files change, others index, and what is indexed is large or leads elsewhere.

use std::fs::File;

use serde_json::{Value, json};

use crate::mcp_client::{Client, project, text};
use crate::sample::{Folder, run};

#[test]
fn what_one_window_indexes_the_other_finds() {
    let folder = project();
    let (mut one, mut other) = (Client::new(&folder), Client::new(&folder));
    one.get("reindex", json!({}));
    assert!(other.names("open the store").iter().any(|name| name.ends_with("open_store")));
    let before = other.get("stats", json!({}))["last_commit"].clone();

    folder.file(
        "code/src/parse.rs",
        "/// Reads numbers.\npub fn parse_numbers(text: &str) -> Vec<u32> {\n    vec![]\n}\n",
    );
    folder.file("code/src/retry.rs", "pub fn never_again() -> bool {\n    false\n}\n");
    std::fs::remove_file(folder.path().join("code/tools/report.py")).unwrap();
    let old = other.get("search_code", json!({"query": "retry with backoff", "path_prefix": "src/retry.rs"}));
    assert!(old["matches"].as_array().unwrap().iter().all(|found| found["changed"] == true), "{old}");
    let done = one.get("reindex", json!({}));
    assert_eq!([&done["files"], &done["files_indexed"], &done["files_removed"]], [3, 2, 1], "{done}");

    assert!(other.names("parse numbers").contains(&"parse_numbers".to_owned()));
    let all = other.names("retry backoff render report never again");
    assert!(all.contains(&"never_again".to_owned()), "{all:?}");
    assert!(
        !all.iter().any(|name| name == "retry_with_backoff" || name.contains("render_report")),
        "{all:?}"
    );
    assert_ne!(other.get("stats", json!({}))["last_commit"], before);

    // The store is deleted and made again, with less in it.
    std::fs::remove_dir_all(folder.path().join("code/.cgv")).unwrap();
    assert!(other.refused("stats", json!({})).contains("`reindex`"));
    std::fs::remove_file(folder.path().join("code/src/parse.rs")).unwrap();
    one.get("reindex", json!({}));
    assert_eq!(other.get("stats", json!({}))["files"], 2);
    assert!(!other.names("parse numbers").contains(&"parse_numbers".to_owned()));
}

#[test]
fn searching_goes_on_while_another_process_indexes() {
    let folder = project();
    let (mut one, mut other) = (Client::new(&folder), Client::new(&folder));
    one.get("reindex", json!({}));
    // Who holds the lock is indexing, as far as anyone can tell.
    let lock = File::open(folder.path().join("code/.cgv/LOCK")).unwrap();
    lock.try_lock().unwrap();
    for client in [&mut one, &mut other] {
        let said = client.refused("reindex", json!({}));
        assert!(said.contains("another process is indexing") && said.contains("try again"), "{said}");
        assert!(client.names("open the store").iter().any(|name| name.ends_with("open_store")));
        assert_eq!(client.get("stats", json!({}))["files"], 3);
    }
    lock.unlock().unwrap();
    assert_eq!(other.get("reindex", json!({}))["files_unchanged"], 3);

    // And while it really does so.
    for file in 0..150 {
        let functions = (0..10).map(|at| format!("fn filler_{file}_{at}() {{ let a = {at}; }}\n"));
        folder.file(&format!("code/src/f{file}.rs"), functions.collect::<String>());
    }
    let mut third = folder.cgv_anywhere(&["index", "code"]);
    let mut third = third.stdout(std::process::Stdio::null()).spawn().unwrap();
    let (mut rounds, mut ended) = (0, false);
    while !ended || rounds < 3 {
        ended = third.try_wait().unwrap().is_some();
        for client in [&mut one, &mut other] {
            assert!(client.names("open the store").iter().any(|name| name.ends_with("open_store")));
            let shown = client.get("get_node", json!({"path": "src/retry.rs", "line": 3}));
            assert_eq!(shown["name"], "retry_with_backoff");
        }
        rounds += 1;
    }
    assert!(third.wait().unwrap().success());
    for client in [&mut one, &mut other] {
        assert_eq!(client.get("stats", json!({}))["files"], 153);
        let found = client
            .get("search_code", json!({"query": "filler_149_9", "path_prefix": "src/f149.rs", "limit": 20}));
        assert!(found["matches"].to_string().contains("filler_149_9"), "{found}");
    }
}

#[test]
fn one_run_at_a_time_and_progress_for_who_asks() {
    let folder = project();
    for file in 0..60 {
        folder.file(&format!("code/src/f{file}.rs"), format!("fn filler_{file}() {{}}\n"));
    }
    let mut client = Client::new(&folder);
    let done = client
        .ask("tools/call", json!({"name": "reindex", "arguments": {}, "_meta": {"progressToken": "p1"}}));
    assert_eq!(done["result"]["structuredContent"]["files"], 63, "{done}");
    let mut last = 0.0;
    for note in &client.notes {
        assert_eq!(note["method"], "notifications/progress");
        assert_eq!(note["params"]["progressToken"], "p1");
        let progress = note["params"]["progress"].as_f64().unwrap();
        assert!(
            progress > last && note["params"]["total"].as_f64().is_none_or(|total| total >= progress),
            "{note}"
        );
        last = progress;
    }
    assert_eq!(last, 63.0, "{:?}", client.notes);
    client.notes.clear();
    client.get("reindex", json!({}));
    assert!(client.notes.is_empty(), "nobody asked: {:?}", client.notes);

    // Asked for many at once, it does one, and refuses those that come while it is at it.
    let ids: Vec<u64> =
        (0..8).map(|_| client.send("tools/call", json!({"name": "reindex", "arguments": {}}))).collect();
    let answers: Vec<Value> = ids.iter().map(|_| client.answer()).collect();
    let (done, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer["result"]["isError"] == false);
    assert!(!done.is_empty(), "{answers:?}");
    assert!(refused.iter().all(|answer| text(&answer["result"]).contains("already indexing")), "{refused:?}");
}

#[test]
fn a_server_that_is_left_while_it_indexes_ends_and_harms_nothing() {
    let folder = project();
    for file in 0..300 {
        let functions = (0..20).map(|at| format!("fn filler_{file}_{at}() {{ let a = {at}; }}\n"));
        folder.file(&format!("code/src/f{file}.rs"), functions.collect::<String>());
    }
    let mut client = Client::new(&folder);
    let id = client.send("tools/call", json!({"name": "reindex", "arguments": {}}));
    client.write(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
            .to_string(),
    );
    // A cancelled call is not answered, unless it was done by then; the server is there for the next one.
    let ping = client.send("ping", json!({}));
    while client.answer()["id"] != ping {}
    client.send("tools/call", json!({"name": "reindex", "arguments": {}}));
    assert!(client.end().success());
    let verified = run(&mut folder.cgv_anywhere(&["--store", "code/.cgv", "--json", "verify"]));
    assert!(
        verified.code == Some(0) || verified.err.contains("no store"),
        "{}{}",
        verified.out,
        verified.err
    );
    let mut client = Client::new(&folder);
    assert_eq!(client.get("reindex", json!({}))["files"], 303);
    assert_eq!(client.get("stats", json!({}))["files"], 303);
}

#[test]
fn answers_are_bounded() {
    let folder = project();
    let body: String =
        (0..2000).map(|at| format!("    let text_{at} = \"\\\"quoted\\\" {at}\";\n")).collect();
    folder.file("code/src/long.rs", format!("fn long_function() {{\n{body}}}\n"));
    folder.file(
        "code/src/wide.rs",
        format!("fn wide_function() {{ let x = \"{}\"; }}\n", "\u{1}é".repeat(200_000)),
    );
    let wide_names: String = (0..60)
        .map(|at| {
            format!("fn common_{at}_{}() {{ let {} = {at}; }}\n", "x".repeat(3000), "common ".repeat(300))
        })
        .collect();
    folder.file("code/src/names.rs", wide_names);
    let mut client = Client::new(&folder);
    client.get("reindex", json!({}));
    for (tool, arguments) in [
        ("get_node", json!({"path": "src/long.rs", "line": 5})),
        ("get_node", json!({"path": "src/wide.rs", "line": 1})),
        ("search_code", json!({"query": "common", "limit": 50})),
    ] {
        let result = client.call(tool, arguments.clone());
        assert_eq!(result["isError"], false, "{arguments}");
        assert!(result.to_string().len() <= 100 << 10, "{arguments}: {} bytes", result.to_string().len());
    }
    let shown = client.get("get_node", json!({"path": "src/long.rs", "line": 5}));
    assert_eq!(shown["source"].as_str().unwrap().lines().count(), 400);
    assert!(shown["notes"][0].as_str().unwrap().contains("1602 more lines"), "{}", shown["notes"]);
}

#[test]
fn nothing_is_shown_that_lies_outside_of_the_root() {
    let folder = project();
    let mut client = Client::new(&folder);
    client.get("reindex", json!({}));
    folder.file("secret.rs", "/// retry with backoff\nfn the_secret() {}\n".repeat(9));
    let path = folder.path().join("code/src/retry.rs");
    std::fs::remove_file(&path).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path().join("secret.rs"), &path).unwrap();
    let shown = client.call("get_node", json!({"path": "src/retry.rs", "line": 3}));
    assert_eq!(shown["structuredContent"]["source"], Value::Null, "{shown}");
    assert!(text(&shown).contains("gone"), "{shown}");
    let found = client.call("search_code", json!({"query": "retry with backoff"}));
    assert_eq!(found["isError"], false, "{found}");
    assert!(
        !shown.to_string().contains("the_secret") && !found.to_string().contains("the_secret"),
        "{found}"
    );
}

#[test]
fn a_store_that_was_not_made_by_indexing_is_told_apart() {
    let folder = Folder::new();
    folder.file("v.jsonl", "{\"node_id\":1,\"vector\":[1,0]}\n{\"node_id\":2,\"vector\":[1,1]}\n");
    folder.ok(&["import", "v.jsonl"]);
    let mut client = Client::start(&mut folder.cgv(&["mcp"]));
    assert!(client.refused("search_code", json!({"query": "x"})).contains("not made by indexing"));
    let like = client.get("similar_code", json!({"node_id": "1"}));
    assert_eq!(like["matches"][0]["node_id"], "2", "{like}");
    assert_eq!(client.get("stats", json!({}))["root"], Value::Null);
    let said = client.refused("reindex", json!({}));
    assert!(!said.is_empty());
    assert_eq!(folder.json(&["stats"])["active_vectors"], 2, "nothing was taken away");
}
