//! The life of a store: import, look, search, delete, export, verify.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::sample::{Folder, npy, npy_ids, npy_rows, read_u64s, rows, run_with_input};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The numbers of a vector, read as what they are.
fn floats(vector: &Value) -> Vec<f32> {
    serde_json::from_str(&vector.to_string()).expect("numbers")
}

fn metadata_lines(count: usize) -> String {
    let line = |row: usize| {
        let language = if row.is_multiple_of(2) { "rust" } else { "python" };
        format!("{{\"name\":\"f{row}\",\"language\":\"{language}\",\"path\":\"src/{}.rs\"}}\n", row / 10)
    };
    (0..count).map(line).collect()
}

#[test]
fn import_stats_query_get_delete_export_verify() {
    let folder = Folder::new();
    let rows = rows(300, 16);
    folder.file("base.npy", npy_rows(&rows)).file("meta.jsonl", metadata_lines(300));
    folder.file("queries.npy", npy_rows(&rows[..20]));

    let summary = folder.json(&["import", "base.npy", "--metadata", "meta.jsonl", "--commit-rows", "70"]);
    assert_eq!(
        (&summary["rows"], &summary["commits"], &summary["seqno"]),
        (&json!(300), &json!(5), &json!(5))
    );
    assert_eq!(summary["durable"], json!(true));

    let stats = folder.json(&["stats"]);
    assert_eq!(stats["active_vectors"], json!(300));
    assert_eq!(stats["dimension"], json!(16));
    assert_eq!(stats["metric"], json!("cosine"));
    assert_eq!(stats["seqno"], json!(5));
    assert_eq!(stats["compression"]["type"], json!("none"));
    assert_eq!(stats["compression"]["ratio"], json!(1.0));
    assert_eq!(stats["compression"]["recall_at_10"], json!(1.0));
    for name in ["segments", "storage_bytes", "vector_bytes", "metadata_bytes"] {
        assert!(stats[name].is_u64(), "{name}");
    }

    let timed = folder.json(&[
        "query",
        "queries.npy",
        "-k",
        "5",
        "--out",
        "found.npy",
        "--ef",
        "50",
        "--threads",
        "3",
    ]);
    assert_eq!((&timed["queries"], &timed["k"], &timed["threads"]), (&json!(20), &json!(5), &json!(3)));
    assert!(timed["qps"].as_f64().unwrap() > 0.0 && timed["p50_us"].as_f64() <= timed["p99_us"].as_f64());
    let found = read_u64s(&folder.read("found.npy"), "(20, 5)");
    assert_eq!(found.chunks(5).map(|ids| ids[0]).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    folder.ok(&["query", "queries.npy", "-k", "5", "--out", "found.jsonl", "--exact"]);
    for (line, ids) in
        lines(&String::from_utf8(folder.read("found.jsonl")).unwrap()).iter().zip(found.chunks(5))
    {
        assert_eq!(line["node_ids"], json!(ids));
        assert_eq!(line["scores"].as_array().unwrap().len(), 5);
    }

    let node = folder.json(&["get", "42"]);
    assert_eq!(node["metadata"], json!({"name": "f42", "language": "rust", "path": "src/4.rs"}));
    assert_eq!(floats(&node["vector"]), rows[42]);
    assert_eq!(node["vector_metadata"]["seqno"], json!(1));
    assert_eq!(node["vector_metadata"]["vector_bytes"], json!(64));

    assert_eq!(folder.json(&["delete", "--id", "0", "1", "777"])["deleted"], json!(2));
    assert_eq!(folder.json(&["delete", "--path", "src/4.rs"])["deleted"], json!(10));
    let filter = r#"{"language":"python","path":{"glob":"src/2*.rs"}}"#;
    assert_eq!(folder.json(&["delete", "--filter", filter])["deleted"], json!(55));
    assert!(folder.fails(1, &["get", "42"]).contains("there is no node 42"));

    let exported = lines(&folder.ok(&["export"]));
    let is_left =
        |row: &usize| !(*row < 2 || row / 10 == 4 || (row % 2 == 1 && (row / 10 == 2 || *row >= 200)));
    let left: Vec<usize> = (0..300).filter(is_left).collect();
    assert_eq!(
        exported.iter().map(|node| node["node_id"].as_u64().unwrap() as usize).collect::<Vec<_>>(),
        left
    );

    assert_eq!(folder.json(&["verify"])["clean"], json!(true));
    assert_eq!(folder.json(&["flush"])["segments"], json!(folder.json(&["stats"])["segments"]));
    assert_eq!(folder.json(&["merge"])["segments"], json!(1));
    assert!(folder.ok(&["verify"]).starts_with("ok: "));
    assert_eq!(folder.json(&["stats"])["active_vectors"], json!(left.len()));
    assert_eq!(lines(&folder.ok(&["export"])), exported);
}

#[test]
fn what_was_exported_can_be_imported_and_is_the_same() {
    let folder = Folder::new();
    let nodes = [
        r#"{"node_id":3,"vector":[0.1,1e-45,-0.0],"name":"a","attributes":{"pi":0.30000000000000004,"n":-3,"async":true}}"#,
        r#"{"node_id":"67e55044-10b1-426f-9247-bb680e5fe0c8","vector":[3.4028235e38,1,16777217],"path":"src/ß.rs"}"#,
        r#"{"node_id":"9007199254740993","vector":[1,2,3],"start_line":1,"end_line":2}"#,
    ];
    let input = format!("{}\n", nodes.join("\n"));
    let import = ["import", "-", "--metric", "dot", "--receipts", "--commit-rows", "2"];
    let ran = run_with_input(&mut folder.cgv(&import), &input);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(
        lines(&ran.out),
        [
            json!({"seqno": 1, "first_row": 0, "rows": 2, "durable": true}),
            json!({"seqno": 2, "first_row": 2, "rows": 1, "durable": true})
        ]
    );
    let exported = folder.ok(&["export"]);
    assert!(exported.starts_with(r#"{"node_id":3,"attributes":{"async":true,"n":-3,"pi":0.30000000000000004},"name":"a","vector":[0.1,1e-45,-0.0]}"#), "{exported}");
    folder.file("again.jsonl", &exported);
    let other = Folder::new();
    other.file("again.jsonl", &exported);
    other.ok(&["import", "again.jsonl", "--metric", "dot"]);
    assert_eq!(other.ok(&["export"]), exported);
    assert_eq!(other.json(&["stats"])["content_hash"], folder.json(&["stats"])["content_hash"]);
    let ids: Vec<_> = lines(&exported).iter().map(|node| node["node_id"].clone()).collect();
    assert_eq!(
        ids,
        [
            json!(3),
            json!("00000000-0000-0000-0020-000000000001"),
            json!("67e55044-10b1-426f-9247-bb680e5fe0c8")
        ]
    );
}

#[test]
fn ids_come_from_a_file_and_metadata_is_matched_by_them() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(6, 4))).file("ids.npy", npy_ids(&[10, 20, 30, 40, 50, 60]));
    // In order at first, then not; 30 is missing, 99 is nobody's.
    let order = [10, 20, 99, 60, 40, 50];
    let metadata: String =
        order.iter().map(|id| format!("{{\"node_id\":{id},\"name\":\"n{id}\"}}\n")).collect();
    folder.file("meta.jsonl", metadata);
    folder.ok(&["import", "base.npy", "--ids", "ids.npy", "--metadata", "meta.jsonl", "--commit-rows", "4"]);
    let names: BTreeMap<u64, Value> = lines(&folder.ok(&["export"]))
        .iter()
        .map(|node| (node["node_id"].as_u64().unwrap(), node["name"].clone()))
        .collect();
    let named = [10, 20, 40, 50, 60].map(|id| (id, json!(format!("n{id}"))));
    assert_eq!(names, named.into_iter().chain([(30, Value::Null)]).collect());
}

#[test]
fn halves_and_fvecs_are_rows_too() {
    let folder = Folder::new();
    let halves: Vec<u8> =
        [0x3c00u16, 0xc000, 0x3800, 0x0001].iter().flat_map(|half| half.to_le_bytes()).collect();
    folder.file("half.npy", npy("<f2", "(2, 2)", &halves));
    folder.ok(&["import", "half.npy"]);
    let vectors: Vec<_> = lines(&folder.ok(&["export"])).iter().map(|node| floats(&node["vector"])).collect();
    assert_eq!(vectors, [[1.0, -2.0], [0.5, 5.9604645e-8]]);
    let fvecs: Vec<u8> =
        [2u32, 4f32.to_bits(), 5f32.to_bits()].iter().flat_map(|word| word.to_le_bytes()).collect();
    folder.file("more.fvecs", fvecs).file("ids.npy", npy_ids(&[7]));
    folder.ok(&["import", "more.fvecs", "--ids", "ids.npy"]);
    assert_eq!(folder.json(&["get", "7"])["vector"], json!([4.0, 5.0]));
}

#[test]
fn fewer_nodes_than_k_are_filled_up_and_large_ids_refused() {
    let folder = Folder::new();
    folder.file("q.npy", npy_rows(&[vec![1.0, 0.0]]));
    folder.file("n.jsonl", "{\"node_id\":4,\"vector\":[1,1]}\n{\"node_id\":9,\"vector\":[1,0]}\n");
    folder.ok(&["import", "n.jsonl"]);
    folder.ok(&["query", "q.npy", "-k", "4", "--out", "f.npy"]);
    assert_eq!(read_u64s(&folder.read("f.npy"), "(1, 4)"), [9, 4, u64::MAX, u64::MAX]);
    for id in [u128::from(u64::MAX), 1 << 100] {
        folder.file("big.jsonl", format!("{{\"node_id\":\"{id}\",\"vector\":[1,0]}}"));
        folder.ok(&["import", "big.jsonl"]);
        assert!(folder.fails(1, &["query", "q.npy", "-k", "2", "--out", "f.npy"]).contains("write a .jsonl"));
        folder.ok(&["query", "q.npy", "-k", "2", "--out", "f.jsonl"]);
        folder.ok(&["delete", "--id", &id.to_string()]);
    }
}

#[test]
fn damage_is_listed() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(2000, 64)));
    folder.ok(&["import", "base.npy"]);
    let segments = folder.store().join("segments");
    let segment = std::fs::read_dir(segments).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let ran = crate::sample::run(&mut folder.cgv(&["verify", "--json"]));
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let bad = &report["bad_blocks"][0];
    let (from, len) = (bad["offset"].as_u64().unwrap(), bad["len"].as_u64().unwrap());
    assert!((from..from + len).contains(&(middle as u64)), "{report}");
    assert!(bad["path"].as_str().unwrap().ends_with(segment.file_name().unwrap().to_str().unwrap()));
    let ran = crate::sample::run(&mut folder.cgv(&["verify"]));
    assert!(ran.out.starts_with("bad: ") && ran.code == Some(1), "{}", ran.out);
}

#[test]
fn a_damaged_manifest_is_listed_though_the_store_gets_by_without_it() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(20, 4)));
    folder.ok(&["import", "base.npy"]);
    folder.ok(&["flush"]);
    let manifests = || {
        let names = std::fs::read_dir(folder.store()).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = names.filter(|path| path.to_string_lossy().contains("MANIFEST-")).collect();
        found.sort();
        found
    };
    let whole: Vec<_> =
        manifests().into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    assert_eq!(whole.len(), 2);
    for (path, bytes) in &whole {
        std::fs::write(path, [&bytes[..150], &[bytes[150] ^ 1], &bytes[151..]].concat()).unwrap();
        let ran = crate::sample::run(&mut folder.cgv(&["verify", "--json"]));
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((ran.code, report["bad_blocks"].as_array().unwrap().len()), (Some(1), 1), "{report}");
        let blamed = report["bad_blocks"][0]["path"].as_str().unwrap();
        assert!(blamed.ends_with(path.file_name().unwrap().to_str().unwrap()), "{report}");
        assert_eq!(folder.json(&["stats"])["active_vectors"], json!(20));
        std::fs::write(path, bytes).unwrap();
        assert_eq!(folder.json(&["verify"])["clean"], json!(true));
    }
    let (oldest, bytes) = &whole[0];
    std::fs::write(oldest, &bytes[..60]).unwrap();
    let ran = crate::sample::run(&mut folder.cgv(&["delete", "--id", "1"]));
    assert!(
        ran.code == Some(0) && ran.err.contains("warning: ") && ran.err.contains("is damaged"),
        "{}",
        ran.err
    );
}

#[test]
fn a_store_without_manifests_is_lost_not_missing() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(20, 4)));
    folder.ok(&["import", "base.npy"]);
    for entry in std::fs::read_dir(folder.store()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("MANIFEST-") {
            std::fs::remove_file(path).unwrap();
        }
    }
    for args in [&["stats"][..], &["flush"], &["import", "base.npy"]] {
        assert!(folder.fails(1, args).contains("this store has lost its manifests"), "{args:?}");
    }
    let ran = crate::sample::run(&mut folder.cgv(&["verify"]));
    assert!(ran.code == Some(1) && ran.out.contains("has lost its manifests"), "{}", ran.out);
}
