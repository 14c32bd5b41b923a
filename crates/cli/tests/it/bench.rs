//! `cgv bench`: what it measures is there and right, whatever the times are.

use serde_json::{Value, json};

use crate::sample::{Folder, npy_rows};

const ROWS: usize = 2000;
const QUERIES: usize = 30;
const DIMENSION: usize = 16;

/// Rows and queries that are spread out, always the same.
fn folder() -> Folder {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let rows: Vec<Vec<f32>> = (0..ROWS + QUERIES).map(|_| (0..DIMENSION).map(|_| next()).collect()).collect();
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows[..ROWS])).file("queries.npy", npy_rows(&rows[ROWS..]));
    folder
}

/// As quick as can be.
const QUICK: [&str; 10] = [
    "bench",
    "search",
    "--base",
    "base.npy",
    "--queries",
    "queries.npy",
    "--repeat",
    "1",
    "--min-seconds",
    "0",
];

fn bench(folder: &Folder, more: &[&str]) -> Value {
    folder.json_here(&[&QUICK, more].concat())
}

#[test]
fn a_search_without_codes_finds_everything_and_says_what_it_costs() {
    let folder = folder();
    let document = bench(&folder, &["--out", "ours.jsonl", "--svg", "curve.svg"]);
    let rows = document["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["recall"]), (1, &json!(1.0)), "{document}");
    let row = &rows[0];
    assert_eq!((&row["peer"], &row["n"], &row["dim"]), (&json!("cgv"), &json!(ROWS), &json!(DIMENSION)));
    for name in ["qps", "p50_us", "p99_us", "build_s", "import_s"] {
        assert!(row[name].as_f64().unwrap() > 0.0, "{name}: {row}");
    }
    assert!(row["p99_us"].as_f64() >= row["p50_us"].as_f64(), "{row}");
    assert!(row["bytes"].as_u64().unwrap() >= (ROWS * DIMENSION * 4) as u64, "{row}");
    if cfg!(target_os = "linux") {
        assert!(row["rss_anonymous_bytes"].as_u64().unwrap() > 0, "{row}");
        assert!(row["rss_mapped_bytes"].as_u64().unwrap() > 0, "{row}");
    }
    assert_eq!(document["summary"][0]["qps@0.95"], row["qps"]);
    let line = String::from_utf8(folder.read("ours.jsonl")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), *row);
    assert!(String::from_utf8(folder.read("curve.svg")).unwrap().contains("<polyline"));
    assert!(
        !folder.store().exists() && !folder.path().join(".cgv").exists(),
        "it made a store of the caller's"
    );
}

#[test]
fn more_effort_finds_more_and_a_store_that_is_there_is_taken() {
    let folder = folder();
    // Codes that lose something, so that there is something to win back.
    let how = ["--compression", "binary:bits=1;keep=full", "--dir", "kept"];
    let document = bench(&folder, &how);
    let recalls: Vec<f64> =
        document["rows"].as_array().unwrap().iter().map(|row| row["recall"].as_f64().unwrap()).collect();
    assert!(recalls.len() > 1 && recalls.is_sorted(), "{recalls:?}");
    assert!(recalls[0] < 0.995 && *recalls.last().unwrap() >= 0.995, "{recalls:?}");
    let built = &document["rows"][0]["build_s"];
    let again = bench(&folder, &how);
    assert_eq!(&again["rows"][0]["build_s"], built, "it was built anew");
    // One that was built of something else is not taken for this one.
    let refusal = folder.fails_here(1, &[&QUICK[..], &["--dir", "kept"]].concat());
    assert!(refusal.contains("other vectors or settings"), "{refusal}");
    // Neighbours that are given are what counts.
    folder.file("none.npy", crate::sample::npy("<i4", &format!("({QUERIES}, 10)"), &[0xff; QUERIES * 40]));
    let worst = bench(&folder, &[&how[..], &["--gt", "none.npy"]].concat());
    assert!(worst["rows"].as_array().unwrap().iter().all(|row| row["recall"] == json!(0.0)), "{worst}");
    let refusal = folder.fails_here(1, &[&QUICK[..], &how, &["--gt", "none.npy", "-k", "11"]].concat());
    assert!(refusal.contains("for 11 each"), "{refusal}");
}

#[test]
fn an_index_is_searched_with_rising_effort_of_its_own() {
    let folder = folder();
    let document = bench(&folder, &["--index", "ivf", "--rerank", "20,40", "--out", "ours.jsonl"]);
    let rows = document["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["peer"] == json!("cgv-ivf")), "{document}");
    assert!(rows.iter().all(|row| row["build_params"]["index"] == json!("ivf")), "{document}");
    let with = |rerank: Value| -> Vec<(u64, f64)> {
        let some = rows.iter().filter(|row| row["search_params"]["rerank"] == rerank);
        let ef = |row: &Value| row["search_params"]["ef"].as_u64().unwrap();
        some.map(|row| (ef(row), row["recall"].as_f64().unwrap())).collect()
    };
    for rerank in [Value::Null, json!(20), json!(40)] {
        let found = with(rerank);
        assert!(!found.is_empty() && found.is_sorted_by(|a, b| a.0 < b.0), "{document}");
        assert!(found.last().unwrap().1 >= 0.9 && found.last() >= found.first(), "{document}");
    }
    // One that is chosen by itself is none, for so few rows.
    assert_eq!(bench(&folder, &[])["rows"][0]["recall"], json!(1.0));
    let refusal = folder.fails_here(2, &[&QUICK[..], &["--index", "tree"]].concat());
    assert!(refusal.contains("tree"), "{refusal}");
}

#[test]
fn figures_of_others_are_drawn_beside() {
    let folder = folder();
    let theirs = |recall: f64, qps: f64| {
        json!({"peer": "graph<1>", "version": "1", "durable": false, "n": ROWS, "dim": DIMENSION, "build_s": 1.0,
            "build_params": {}, "threads": 1, "search_params": {"ef": 10}, "bytes": 1000, "recall": recall,
            "qps": qps, "qps_by": "batch", "p50_us": 1e6 / qps, "p99_us": 2e6 / qps})
    };
    let lines = [theirs(1.0, 100.0), json!({"peer": "dead", "error": "it died"}), theirs(0.9, 10_000.0)];
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    folder.file("theirs.jsonl", lines.join("\n"));
    let document = folder.json_here(&["bench", "plot", "theirs.jsonl", "--svg", "plot.svg"]);
    assert_eq!(
        document["summary"],
        json!([{"peer": "graph<1>", "qps@0.90": 10_000.0, "qps@0.95": 1000.0, "qps@0.99": 158.5,
            "p50_us@0.90": 100.0, "p50_us@0.95": 1000.0, "p50_us@0.99": 6309.6}])
    );
    assert!(String::from_utf8(folder.read("plot.svg")).unwrap().contains("graph&lt;1&gt;"));
    let beside = bench(&folder, &["--peers", "theirs.jsonl"]);
    let names: Vec<&Value> =
        beside["summary"].as_array().unwrap().iter().map(|system| &system["peer"]).collect();
    assert_eq!(names, ["cgv", "graph<1>"]);
    assert!(beside["rows"].as_array().unwrap().iter().all(|row| row["peer"] == "cgv"));
    let table = folder.here(&["bench", "plot", "theirs.jsonl"]).out;
    assert!(table.contains("graph<1>") && table.contains("10000"), "{table}");
    let refusal = folder.fails_here(1, &["bench", "plot", "base.npy"]);
    assert!(refusal.contains("base.npy"), "{refusal}");
}
