//! Input that cannot be: a clear error, exit code 1, and nothing stored of the commit it is in.

use serde_json::json;

use crate::sample::{Folder, npy, npy_ids, npy_rows, rows, run_with_input};

#[test]
fn a_lying_npy_makes_no_store() {
    let folder = Folder::new();
    for (name, bytes, why) in [
        (
            "more.npy",
            npy("<f4", "(1000000000, 384)", &[0; 64]),
            "1000000000 × 384 elements of 4 bytes, and 64 bytes follow",
        ),
        ("overflow.npy", npy("<f4", "(4611686018427387904, 4)", &[]), "0 bytes follow"),
        ("less.npy", npy("<f4", "(1, 4)", &[0; 64]), "64 bytes follow"),
        ("double.npy", npy("<f8", "(2, 4)", &[0; 64]), "astype"),
        ("flat.npy", npy("<f4", "(16,)", &[0; 64]), "1 axes"),
        ("text.npy", b"hello, world".to_vec(), "not a .npy file"),
        ("empty.npy", Vec::new(), "ends too early"),
        ("short.fvecs", vec![2, 0, 0, 0, 1], "claims 2 dimensions"),
        ("huge.fvecs", vec![255, 255, 255, 127, 1, 1, 1, 1], "claims 2147483647 dimensions"),
        ("none.jsonl", b"\n\n".to_vec(), "holds no node"),
        ("bad.jsonl", b"{\"vector\":[1,]}".to_vec(), "line 1, column 14"),
    ] {
        folder.file(name, bytes);
        let said = folder.fails(1, &["import", name]);
        assert!(said.contains(why) && said.contains(name), "{name}: {said}");
    }
    assert!(folder.fails(1, &["import", "missing.npy"]).contains("missing.npy"));
    assert!(!folder.store().exists());
}

#[test]
fn numbers_that_are_none_name_their_row() {
    let folder = Folder::new();
    let mut rows = rows(25, 4);
    rows[13][2] = f32::NAN;
    folder.file("nan.npy", npy_rows(&rows));
    let said = folder.fails(1, &["import", "nan.npy", "--commit-rows", "10"]);
    assert!(
        said.contains("row 13: the number at 2 is NaN") && said.contains("10 rows went into the store"),
        "{said}"
    );
    assert_eq!(folder.json(&["stats"])["active_vectors"], json!(10));
    rows[13][2] = f32::NEG_INFINITY;
    folder.file("inf.npy", npy_rows(&rows));
    assert!(folder.fails(1, &["import", "inf.npy"]).contains("row 13: the number at 2 is -inf"));
    rows[13] = vec![f32::MAX; 4];
    folder.file("long.npy", npy_rows(&rows));
    let said = folder.fails(1, &["import", "long.npy"]);
    assert!(
        said.contains("rows 0 to 24") && said.contains("node 13") && said.contains("scale it down"),
        "{said}"
    );
    rows[13] = vec![0.0; 4];
    folder.file("zero.npy", npy_rows(&rows));
    let said = folder.fails(1, &["import", "zero.npy"]);
    assert!(said.contains("node 13") && said.contains("cosine"), "{said}");
    assert_eq!(folder.json(&["stats"])["active_vectors"], json!(10));
}

#[test]
fn a_store_that_got_no_row_is_said_to_be_there() {
    let folder = Folder::new();
    folder.file("zero.npy", npy_rows(&[vec![0.0; 4]]));
    let said = folder.fails(1, &["import", "zero.npy"]);
    assert!(said.contains("is empty and keeps its dimension and metric"), "{said}");
}

#[test]
fn companions_have_to_fit() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(3, 4))).file("two.npy", npy_ids(&[1, 2]));
    assert!(folder.fails(1, &["import", "base.npy", "--ids", "two.npy"]).contains("2 ids for 3 vectors"));
    folder.file("neg.npy", npy_ids(&[1, -2, 3])).file("twice.npy", npy_ids(&[5, 5, 6]));
    folder.file("meta.jsonl", "{}\n{}\n");
    assert!(
        folder
            .fails(1, &["import", "base.npy", "--metadata", "meta.jsonl"])
            .contains("2 lines without node_id for 3 rows")
    );
    assert!(!folder.store().exists());
    assert!(folder.fails(1, &["import", "base.npy", "--ids", "neg.npy"]).contains("row 1: -2 is no id"));
    assert!(
        folder
            .fails(1, &["import", "base.npy", "--ids", "twice.npy"])
            .contains("node 5 is in this batch twice")
    );
    folder.file("mixed.jsonl", "{\"name\":\"a\"}\n{\"node_id\":1}\n{}\n");
    assert!(folder.fails(1, &["import", "base.npy", "--metadata", "mixed.jsonl"]).contains("or none"));
    folder.file("up.jsonl", "{\"path\":\"../a\"}\n{}\n{}\n");
    let said = folder.fails(1, &["import", "base.npy", "--metadata", "up.jsonl"]);
    assert!(said.contains("component \"..\"") && said.contains("line 1"), "{said}");
    assert_eq!(folder.json(&["stats"])["active_vectors"], json!(0));
}

#[test]
fn lines_have_to_be_alike() {
    let folder = Folder::new();
    let import = |input: &str| {
        let ran = run_with_input(&mut folder.cgv(&["import", "-"]), input);
        assert_eq!(ran.code, Some(1), "{}", ran.out);
        ran.err
    };
    assert!(
        import("{\"vector\":[1,2]}\n{\"vector\":[1]}")
            .contains("line 2: its vector has 1 dimensions, and the first has 2")
    );
    assert!(
        import("{\"vector\":[1,2]}\n{\"vector\":[1,2],\"node_id\":1}")
            .contains("either all nodes have a node_id")
    );
    assert!(import("{\"vector\":[1,2]}\n{\"vector\":[1,2").contains("line 2, column 14"));
    assert!(
        import(&format!("{{\"vector\":[1,2],\"name\":\"{}\"}}", "x".repeat(2 << 20)))
            .contains("over the limit of 1048576")
    );
    assert!(import("{\"vector\":[]}").contains("empty"));
    assert_eq!(folder.json(&["stats"])["active_vectors"], json!(0));
}

#[test]
fn a_store_keeps_to_its_dimension_metric_and_embedder() {
    let folder = Folder::new();
    folder.file("a.npy", npy_rows(&rows(3, 4))).file("b.npy", npy_rows(&rows(3, 5)));
    folder.ok(&["import", "a.npy", "--embedder", "minilm:2:f16", "--metric", "dot"]);
    assert!(folder.fails(1, &["import", "b.npy"]).contains("have 4 dimensions, not 5"));
    assert!(folder.fails(1, &["import", "a.npy", "--metric", "cosine"]).contains("compares by dot"));
    assert!(
        folder.fails(1, &["import", "a.npy", "--embedder", "minilm:3:f16"]).contains("must not be mixed")
    );
    assert!(folder.fails(1, &["query", "b.npy"]).contains("have 5 dimensions, and the store's have 4"));
    folder.ok(&["import", "a.npy", "--embedder", "minilm:2:f16"]);
    assert_eq!(
        folder.json(&["stats"])["embedder"],
        json!({"name": "minilm", "version": "2", "parameters": "f16"})
    );
}
