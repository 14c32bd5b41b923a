//! Stores that keep their vectors as codes, from the command line.

use std::path::Path;

use serde_json::{Value, json};

use crate::sample::{Folder, npy, npy_rows, read_u64s, run};

const DIMENSION: usize = 32;
const ROWS: usize = 3000;
const QUERIES: usize = 40;

/// Numbers that look random but are always the same, from -0.5 to 0.5.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32 - 0.5
    }

    fn row(&mut self, dimension: usize) -> Vec<f32> {
        (0..dimension).map(|_| self.next()).collect()
    }

    /// Rows that crowd around a few, in some directions more than in others, as embeddings do.
    fn crowded(&mut self, rows: usize, dimension: usize) -> Vec<Vec<f32>> {
        let centres: Vec<Vec<f32>> = (0..50).map(|_| self.row(dimension)).collect();
        let near = |at: usize, numbers: &mut Self| {
            let centre = &centres[at % centres.len()];
            let wide = |at: usize| 1.5 / (1.0 + at as f32 * 8.0 / dimension as f32);
            centre.iter().enumerate().map(|(at, x)| x + wide(at) * numbers.next()).collect()
        };
        (0..rows).map(|at| near(at, self)).collect()
    }
}

/// A store of rows and a file of queries.
fn imported() -> Folder {
    let folder = Folder::new();
    let rows = Numbers(1).crowded(ROWS + QUERIES, DIMENSION);
    folder.file("base.npy", npy_rows(&rows[..ROWS])).file("queries.npy", npy_rows(&rows[ROWS..]));
    folder.ok(&["import", "base.npy"]);
    folder
}

/// Ids that a query finds, ten for each.
fn found(folder: &Folder, how: &[&str]) -> Vec<u64> {
    folder.ok(&[&["query", "queries.npy", "-k", "10", "--out", "found.npy"], how].concat());
    read_u64s(&folder.read("found.npy"), &format!("({QUERIES}, 10)"))
}

fn recall(truth: &[u64], found: &[u64]) -> f64 {
    let of_query = |(truth, found): (&[u64], &[u64])| truth.iter().filter(|id| found.contains(id)).count();
    let shared: usize = truth.chunks(10).zip(found.chunks(10)).map(of_query).sum();
    shared as f64 / truth.len() as f64
}

/// Bytes of all files of a folder and those below.
fn du(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let bytes = |entry: std::fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => du(&entry.path()),
        false => entry.metadata().unwrap().len(),
    };
    entries.map(bytes).sum()
}

/// Folders may count, with what they take themselves.
fn assert_is_size_of(bytes: &Value, path: &Path) {
    let (bytes, files) = (bytes.as_u64().unwrap(), du(path));
    assert!((files..files + (32 << 10)).contains(&bytes), "{bytes}, where the files have {files}");
}

#[test]
fn every_way_to_compress_keeps_what_it_says() {
    let folder = imported();
    let truth = found(&folder, &[]);
    let none = folder.json(&["stats"])["compression"].clone();
    assert_eq!((&none["type"], &none["ratio"]), (&json!("none"), &json!(1.0)));
    for (way, kind, codec, ratio) in [
        (&["scalar"][..], "scalar", "scalar:nbits=8,uniform=true,scope=dimension,brain=false", 3.0),
        (
            &["scalar", "--nbits", "16", "--bfloat16"],
            "scalar",
            "scalar:nbits=16,uniform=true,scope=dimension,brain=true",
            2.0,
        ),
        (
            &["product", "--m", "8", "--nbits", "6", "--rotate"],
            "product",
            "product:m=8,nbits=6,rotate=true",
            16.0,
        ),
        (&["transform", "--bytes", "12"], "transform", "transform:bytes=12", 10.0),
        // Half floats last: nothing makes vectors of them again.
        (&["binary", "--bits", "2", "--keep", "f16"], "binary", "binary:bits=2", 8.0),
        (
            &["scalar", "--nbits", "4", "--non-uniform", "--scope", "global", "--keep", "f16"],
            "scalar",
            "scalar:nbits=4,uniform=false,scope=global,brain=false",
            6.0,
        ),
    ] {
        let report = folder.json(&[&["compress"], way].concat());
        assert_eq!((&report["type"], &report["codec"]), (&json!(kind), &json!(codec)), "{report}");
        assert!(report["ratio"].as_f64().unwrap() >= ratio, "{report}");
        assert!(report["measured"]["rows"].as_u64().unwrap() > 1000, "{report}");
        let stats = folder.json(&["stats"]);
        let compression = &stats["compression"];
        assert_eq!((&compression["type"], &compression["codec"]), (&json!(kind), &json!(codec)));
        assert_eq!(compression["ratio"], report["ratio"]);
        assert_eq!(compression["recall_at_10"], report["measured"]["recall_at_10"]);
        assert_eq!((&compression["encoded_rows"], &compression["raw_rows"]), (&json!(ROWS), &json!(0)));
        assert!(compression["ratio_disk"].as_f64().unwrap() > 0.2, "{stats}");
        assert_is_size_of(&stats["storage_bytes"], &folder.store());
        let by_codes = recall(&truth, &found(&folder, &["--rerank", "10"]));
        let ranked_anew = recall(&truth, &found(&folder, &[]));
        let exact = recall(&truth, &found(&folder, &["--exact"]));
        assert!(by_codes >= 0.3 && ranked_anew >= by_codes - 0.01 && ranked_anew >= 0.9, "{way:?}");
        let is_full = compression["keep"] == json!("full");
        let query = ["query", "queries.npy"];
        assert_eq!(folder.json(&query)["exact"], json!(false), "candidates were left out");
        assert_eq!(folder.json(&[&query[..], &["--exact"]].concat())["exact"], json!(is_full));
        assert!(if is_full { exact == 1.0 } else { exact >= 0.99 }, "{way:?}: {exact}");
        assert_eq!(folder.json(&["get", "7"])["exact"], json!(is_full));
        assert_eq!(folder.json(&["get", "7"])["vector_metadata"]["codec"], json!(codec));
        assert_eq!(folder.json(&["verify"])["clean"], json!(true));
        let text = folder.ok(&["stats"]);
        assert!(text.contains(codec) && text.contains("by codes alone"), "{text}");
    }
}

#[test]
fn codes_alone_are_honest_about_it_and_left_only_on_purpose() {
    let folder = imported();
    let truth = found(&folder, &[]);
    let refused =
        folder.fails(1, &["compress", "binary", "--bits", "1", "--keep", "none", "--min-recall", "0.9999"]);
    assert!(refused.contains("0.9999") && refused.contains("binary:bits=1"), "{refused}");
    assert_eq!(folder.json(&["stats"])["compression"]["type"], json!("none"), "nothing was changed");
    assert_eq!(recall(&truth, &found(&folder, &[])), 1.0);

    let told = folder.ok(&["compress", "transform", "--bytes", "16", "--keep", "none"]);
    for word in [
        "transform:bytes=16, keep none",
        "16 bytes a vector, 8.0 times smaller",
        "recall@10",
        "by codes alone",
    ] {
        assert!(told.contains(word), "{told}");
    }
    assert!(recall(&truth, &found(&folder, &[])) >= 0.7);
    assert!(recall(&truth, &found(&folder, &["--exact"])) >= 0.7);
    let node = folder.json(&["get", "7"]);
    assert_eq!((&node["exact"], &node["vector_metadata"]["vector_bytes"]), (&json!(false), &json!(16)));
    let exported = run(&mut folder.cgv(&["export"]));
    assert!(exported.err.contains("warning: 3000 vectors"), "{}", exported.err);
    let line: Value = serde_json::from_str(exported.out.lines().nth(7).unwrap()).unwrap();
    assert_eq!((&line["exact"], &line["vector"]), (&json!(false), &node["vector"]));
    folder.file("back.jsonl", &exported.out);
    assert_eq!(run(&mut folder.cgv_anywhere(&["--store", "copy", "import", "back.jsonl"])).code, Some(0));

    // Rows that come later are encoded too, and a merge keeps codes as they are.
    folder.file(
        "more.jsonl",
        "{\"node_id\":9999,\"vector\":[1,2]}".replace("[1,2]", &json!(vec![0.25; DIMENSION]).to_string()),
    );
    folder.ok(&["import", "more.jsonl"]);
    assert_eq!(folder.json(&["get", "9999"])["exact"], json!(true), "it is in memory yet");
    folder.ok(&["merge"]);
    assert_eq!(folder.json(&["get", "9999"])["exact"], json!(false));
    assert_eq!(folder.json(&["get", "7"])["vector"], node["vector"]);
    assert_eq!(folder.json(&["verify"])["clean"], json!(true));

    for way in [&["none"][..], &["scalar"]] {
        let refused = folder.fails(1, &[&["compress"], way].concat());
        assert!(refused.contains("lossy"), "{refused}");
    }
    folder.ok(&["compress", "none", "--lossy"]);
    let stats = folder.json(&["stats"]);
    assert_eq!(stats["compression"]["type"], json!("none"));
    let after = folder.json(&["get", "7"]);
    assert_eq!(after["vector_metadata"]["codec"], json!("f32"));
    assert_eq!(folder.json(&["verify"])["clean"], json!(true));
}

#[test]
fn the_smallest_codec_that_is_good_enough_is_found() {
    let folder = imported();
    let truth = found(&folder, &[]);
    let report = folder.json(&["compress", "auto", "--min-recall", "0.95"]);
    let tried = report["candidates"].as_array().unwrap();
    let bytes = |tried: &Value| tried["bytes_per_vector"].as_u64().unwrap();
    assert!(tried.windows(2).all(|pair| bytes(&pair[0]) <= bytes(&pair[1])), "{report}");
    let (chosen, smaller) = tried.split_last().unwrap();
    assert!(chosen["accepted"] == json!(true) && chosen["codec"] == report["codec"], "{report}");
    assert!(smaller.iter().all(|tried| tried["accepted"] == json!(false)), "{report}");
    assert!(report["measured"]["recall_at_10"].as_f64().unwrap() >= 0.95, "{report}");
    let seen = recall(&truth, &found(&folder, &[]));
    assert!(seen >= 0.9, "{seen}");
    let refused = folder
        .fails(1, &["compress", "auto", "--min-recall", "0.9999", "--max-bytes", "8", "--keep", "none"]);
    assert!(refused.contains("0.9999"), "{refused}");
    assert_eq!(folder.json(&["stats"])["compression"]["codec"], report["codec"], "as it was before");
}

#[test]
fn too_few_rows_wait_for_more() {
    let folder = Folder::new();
    let rows = Numbers(2).crowded(ROWS, DIMENSION);
    folder.file("few.npy", npy_rows(&rows[..50])).file("all.npy", npy_rows(&rows));
    folder.ok(&["import", "few.npy"]);
    assert!(folder.fails(1, &["compress", "auto", "--min-recall", "0.9"]).contains("takes 1000"));
    let report = folder.json(&["compress", "binary"]);
    assert_eq!((&report["codec"], &report["measured"]), (&json!("binary:bits=1"), &Value::Null));
    let compression = folder.json(&["stats"])["compression"].clone();
    assert_eq!((&compression["type"], &compression["trained"]), (&json!("binary"), &json!(false)));
    assert_eq!((&compression["ratio"], &compression["recall_at_10"]), (&json!(1.0), &json!(1.0)));
    assert!(folder.ok(&["stats"]).contains("once there are rows enough"));
    folder.ok(&["import", "all.npy"]);
    folder.ok(&["compress", "binary"]);
    assert_eq!(folder.json(&["stats"])["compression"]["trained"], json!(true));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = Folder::new();
    for args in [
        &["compress"][..],
        &["compress", "gzip"],
        &["compress", "scalar", "--nbits", "5"],
        &["compress", "scalar", "--bfloat16"],
        &["compress", "scalar", "--nbits", "16", "--non-uniform"],
        &["compress", "product"],
        &["compress", "product", "--m", "0"],
        &["compress", "product", "--m", "8", "--nbits", "13"],
        &["compress", "binary", "--bits", "9"],
        &["compress", "binary", "--keep", "most"],
        &["compress", "binary", "--min-recall", "95"],
        &["compress", "auto"],
        &["compress", "none", "--keep", "full"],
        &["query", "a.npy", "--exact", "--rerank", "5"],
    ] {
        assert_eq!(run(&mut folder.cgv(args)).code, Some(2), "{args:?}");
    }
    folder.file("a.npy", npy_rows(&Numbers(3).crowded(20, 8)));
    folder.ok(&["import", "a.npy"]);
    let said = folder.fails(1, &["compress", "product", "--m", "9"]);
    assert!(said.contains("m is 9"), "{said}");
}

/// The disk truly shrinks: an eighth, and what rows cost beside their vectors.
#[test]
fn codes_alone_take_a_sixth_of_the_disk() {
    /// Enough for codebooks and the sample that stays to weigh little.
    const MANY: usize = 80_000;
    const WIDE: usize = 384;
    let folder = Folder::new();
    let mut numbers = Numbers(4);
    let centres: Vec<Vec<f32>> = (0..200).map(|_| numbers.row(WIDE)).collect();
    let mut data = Vec::with_capacity(MANY * WIDE * 4);
    for at in 0..MANY {
        // Cheap noise: a slice of numbers that begins elsewhere for each row.
        let scale = 0.5 + numbers.next();
        for (x, y) in centres[at % 200].iter().zip(&centres[(at * 7 + at / 200) % 200]) {
            data.extend((x + scale * y + 0.2 * numbers.next()).to_le_bytes());
        }
    }
    folder.file("base.npy", npy("<f4", &format!("({MANY}, {WIDE})"), &data));
    folder.ok(&["import", "base.npy"]);
    folder.ok(&["merge"]);
    let raw = du(&folder.store());
    let report = folder.json(&["compress", "transform", "--bytes", "192", "--keep", "none"]);
    assert_eq!(report["ratio"], json!(8.0));
    folder.ok(&["merge"]);
    let codes = du(&folder.store());
    assert!(raw > (MANY * WIDE * 4) as u64 && codes as f64 <= 0.18 * raw as f64, "{codes} of {raw} bytes");
    assert_is_size_of(&folder.json(&["stats"])["storage_bytes"], &folder.store());
    assert!(report["storage_bytes"].as_u64().unwrap() as f64 <= 0.18 * raw as f64, "{report}");
    assert_eq!(folder.json(&["verify"])["clean"], json!(true));
}
