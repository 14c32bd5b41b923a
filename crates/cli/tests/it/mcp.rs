//! `cgv mcp` as a client sees it: the protocol, the tools, what they refuse.

use serde_json::{Value, json};

use crate::mcp_client::{Client, project, text};
use crate::sample::Folder;

const TOOLS: [&str; 5] = ["get_node", "reindex", "search_code", "similar_code", "stats"];

#[test]
fn the_server_and_its_tools_say_what_they_are() {
    let folder = project();
    let mut client = Client::silent(&mut folder.cgv_anywhere(&["mcp", "--root", "code"]));
    let hello = client.ask(
        "initialize",
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}),
    );
    assert_eq!(hello["result"]["serverInfo"]["name"], "codegraph-vector");
    assert_eq!(hello["result"]["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(hello["result"]["instructions"].as_str().unwrap().contains("search_code"));
    let listed = client.ask("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect::<Vec<_>>(), TOOLS);
    assert!(!listed.to_string().contains("\"format\""), "formats that clients refuse: {listed}");
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        assert!(tool["description"].as_str().unwrap().len() > 40, "{tool}");
        assert_eq!(tool["annotations"]["readOnlyHint"], name != "reindex", "{tool}");
        assert_eq!(tool["annotations"]["idempotentHint"], true, "{tool}");
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool}");
        for (name, property) in tool["inputSchema"]["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{name}: {property}");
        }
    }
    assert_eq!(tools[2]["inputSchema"]["required"], json!(["query"]));
    let limit = &tools[2]["inputSchema"]["properties"]["limit"];
    assert_eq!([&limit["default"], &limit["minimum"], &limit["maximum"]], [10, 1, 50]);
    assert!(client.end().success());
}

#[test]
fn a_project_is_indexed_searched_and_read() {
    let folder = project();
    let mut client = Client::new(&folder);
    for tool in ["search_code", "similar_code", "get_node", "stats"] {
        let arguments = match tool {
            "search_code" => json!({"query": "retry"}),
            "stats" => json!({}),
            _ => json!({"path": "src/retry.rs", "line": 2}),
        };
        assert!(client.refused(tool, arguments).contains("`reindex`"), "{tool}");
    }
    assert!(!folder.path().join("code/.cgv").exists(), "asking makes nothing");

    let done = client.get("reindex", json!({}));
    assert_eq!([&done["files"], &done["files_indexed"], &done["files_skipped"]], [3, 3, 0], "{done}");
    assert_eq!(folder.read("code/.cgv/.gitignore"), b"*\n");
    let again = client.get("reindex", json!({}));
    assert_eq!([&again["files_unchanged"], &again["nodes_embedded"]], [3, 0], "{again}");

    let found = client.call("search_code", json!({"query": "retry with backoff after failure", "limit": 3}));
    let matches = found["structuredContent"]["matches"].as_array().unwrap();
    assert!(matches.len() <= 3);
    let retry = matches.iter().find(|found| found["name"] == "retry_with_backoff").expect("found");
    assert_eq!(
        [&retry["path"], &retry["kind"], &retry["language"]],
        ["src/retry.rs", "function", "rust"],
        "{retry}"
    );
    assert_eq!([&retry["start_line"], &retry["end_line"]], [2, 8]);
    assert!(retry["snippet"].as_str().unwrap().contains("2: pub fn retry_with_backoff"), "{retry}");
    assert!(
        text(&found).contains("src/retry.rs:2-8 function retry_with_backoff (rust, "),
        "{}",
        text(&found)
    );

    let shown = client.get("get_node", json!({"node_id": retry["node_id"]}));
    let source = shown["source"].as_str().unwrap();
    assert!(source.starts_with("/// Waits longer") && source.ends_with("delay_ms > 0\n}\n"), "{source}");
    assert_eq!((&shown["source_start_line"], &shown["notes"]), (&json!(1), &Value::Null));
    let root = folder.path().join("code").canonicalize().unwrap();
    let absolute = root.join("src/store.rs");
    for path in ["src/store.rs", "./src/store.rs", absolute.to_str().unwrap()] {
        let shown = client.get("get_node", json!({"path": path, "line": 9, "with_source": false}));
        assert!(shown["name"].as_str().unwrap().ends_with("open_store"), "{shown}");
        assert_eq!((&shown["kind"], &shown["source"]), (&json!("method"), &Value::Null));
    }
    let like = client.get("similar_code", json!({"path": "src/retry.rs", "line": 4, "limit": 50}));
    let like = like["matches"].as_array().unwrap();
    assert!(!like.is_empty() && like.iter().all(|found| found["node_id"] != retry["node_id"]), "{like:?}");

    let stats = client.call("stats", json!({}));
    let numbers = &stats["structuredContent"];
    assert_eq!([&numbers["files"], &numbers["nodes"]], [&json!(3), &done["nodes"]], "{numbers}");
    assert_eq!(numbers["root"], root.to_str().unwrap());
    assert_eq!(numbers["embedder"], "lexical");
    let sum = |counts: &Value| {
        counts.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    for by in ["languages", "kinds"] {
        assert_eq!(sum(&numbers[by]), numbers["nodes"].as_u64().unwrap(), "{numbers}");
    }
    assert!(text(&stats).contains("rust ") && text(&stats).contains("3 files"), "{}", text(&stats));
    assert!(client.end().success());
}

#[test]
fn filters_narrow_a_search() {
    let folder = project();
    let mut client = Client::new(&folder);
    client.get("reindex", json!({}));
    let mut find = |key: &str, value: &str| {
        let found =
            client.get("search_code", json!({"query": "rows report store", "limit": 50, (key): value}));
        found["matches"].as_array().unwrap().clone()
    };
    let all = |matches: &[Value], key: &str, value: &str| {
        !matches.is_empty() && matches.iter().all(|found| found[key].as_str().unwrap().starts_with(value))
    };
    assert!(all(&find("language", "Python"), "language", "python"));
    assert!(all(&find("kind", "method"), "kind", "method"));
    assert!(all(&find("path_prefix", "src/"), "path", "src/"));
    assert!(find("language", "cobol").is_empty());
    let none = client.get("search_code", json!({"query": "rows", "kind": "union"}));
    assert!(none["note"].as_str().unwrap().contains("filters"), "{none}");
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let folder = project();
    let mut client = Client::new(&folder);
    client.get("reindex", json!({}));
    for (tool, arguments, word) in [
        ("search_code", json!({}), "query"),
        ("search_code", json!({"query": ["a"]}), "string"),
        ("search_code", json!({"query": " "}), "query is empty"),
        ("search_code", json!({"query": "q".repeat(9000)}), "over the limit"),
        ("search_code", json!({"query": "q", "limit": 51}), "from 1 to 50"),
        ("search_code", json!({"query": "q", "colour": "red"}), "colour"),
        ("search_code", json!({"query": "q", "path_prefix": "../x"}), ".."),
        ("similar_code", json!({}), "node_id"),
        ("similar_code", json!({"node_id": "7", "path": "a", "line": 1}), "not both"),
        ("get_node", json!({"path": "../retry.rs", "line": 1}), ".."),
        ("get_node", json!({"path": "/etc/passwd", "line": 1}), "outside"),
        ("get_node", json!({"path": "src/none.rs", "line": 1}), "nothing is indexed"),
        ("get_node", json!({"node_id": "7"}), "no definition"),
        ("similar_code", json!({"node_id": "7"}), "no definition"),
        ("reindex", json!({"path": "/"}), "path"),
        ("stats", json!({"x": 1}), "x"),
    ] {
        let said = client.refused(tool, arguments.clone());
        assert!(said.contains(word), "{tool} {arguments}: {said}");
    }
    let unknown = client.ask("tools/call", json!({"name": "drop_table", "arguments": {}}));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    assert_eq!(client.ask("no/method", json!({}))["error"]["code"], -32601);
    assert_eq!(client.get("stats", json!({}))["files"], 3);
}

#[test]
fn nonsense_on_the_line_ends_nothing() {
    let folder = project();
    let mut client = Client::new(&folder);
    client.write("this is no JSON");
    client.write("{\"jsonrpc\":\"2.0\",");
    client.write("");
    client.write("\u{0}\u{1}\u{fffd}");
    client.write("{\"id\":[],\"method\":4}");
    let said = client.read();
    assert_eq!(said["error"]["code"], -32600, "{said}");
    assert_eq!(client.ask("tools/list", json!({}))["result"]["tools"].as_array().unwrap().len(), TOOLS.len());
    // Longer than any question may be, and still an answer.
    assert!(client.refused("search_code", json!({"query": "q".repeat(1 << 20)})).contains("over the limit"));
    assert!(client.end().success());
}

#[test]
fn it_ends_with_its_client() {
    let folder = project();
    let command = || folder.cgv_anywhere(&["mcp", "--root", "code"]);
    assert!(Client::silent(&mut command()).end().success(), "nothing was said");
    assert!(Client::start(&mut command()).end().success());
    let mut early = Client::silent(&mut command());
    early.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert_eq!(early.child.wait().unwrap().code(), Some(1), "no client begins like that");
    #[cfg(unix)]
    {
        let mut client = Client::new(&folder);
        client.get("reindex", json!({}));
        let kill = format!("kill -TERM {}", client.child.id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        assert!(!client.child.wait().unwrap().success());
    }
}

#[test]
fn a_wrong_start_is_said_on_the_command_line() {
    let folder = Folder::new();
    folder.file("file", "x");
    for (args, code, word) in [
        (["mcp", "--root", "none"], 1, "none"),
        (["mcp", "--root", "file"], 1, "folder"),
        (["mcp", "--stdio", "yes"], 2, "--stdio"),
    ] {
        let ran = crate::sample::run(&mut folder.cgv_anywhere(&args));
        assert_eq!((ran.code, &*ran.out), (Some(code), ""), "{args:?}");
        assert!(ran.err.contains(word), "{}", ran.err);
    }
}
