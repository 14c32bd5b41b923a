//! Transactions that a program has prepared and left, decided by hand.

use codegraph_vector::{CodeNode, IsolationLevel, PersistentVectorStore};
use serde_json::json;

use crate::sample::{Folder, npy_rows, rows};

/// Prepares a transaction that puts one node and deletes another, as a program does that is gone then.
fn prepare(folder: &Folder, put: u128, delete: u128) -> u64 {
    let path = folder.store();
    let store = PersistentVectorStore::new(&path, path.with_extension("backups"), 3).unwrap();
    let mut transaction = store.begin(IsolationLevel::Serializable).unwrap();
    transaction.put(CodeNode::new(put, vec![1.0, 2.0, 3.0])).unwrap();
    assert!(transaction.delete(delete).unwrap());
    transaction.prepare().unwrap().0
}

#[test]
fn what_is_in_doubt_is_listed_and_decided() {
    let folder = Folder::new();
    folder.file("rows.npy", npy_rows(&rows(4, 3)));
    folder.ok(&["import", "rows.npy"]);
    assert_eq!(folder.json(&["in-doubt"]), json!({"in_doubt": []}));
    assert!(folder.ok(&["in-doubt"]).contains("no transaction is in doubt"));

    let (one, other) = (prepare(&folder, 10, 0), prepare(&folder, 11, 1));
    let listed = folder.json(&["in-doubt"]);
    let of = |at: usize| &listed["in_doubt"][at];
    assert_eq!((&of(0)["transaction_id"], &of(1)["transaction_id"]), (&json!(one), &json!(other)));
    assert_eq!((&of(0)["isolation_level"], &of(0)["puts"]), (&json!("serializable"), &json!(1)));
    assert_eq!(of(1)["deletes"], json!(1));
    assert_eq!(folder.json(&["stats"])["in_doubt"], json!(2));
    assert!(folder.ok(&["stats"]).contains("cgv in-doubt"));
    assert_eq!(folder.ok(&["export"]).lines().count(), 4, "nothing of it shows");

    let (one, other) = (one.to_string(), other.to_string());
    assert_eq!(folder.json(&["in-doubt", "commit", &one])["committed"], json!(true));
    assert_eq!(folder.json(&["get", "10"])["vector"], json!([1.0, 2.0, 3.0]));
    folder.fails(1, &["get", "0"]);
    // A decision may be repeated, and not be reversed.
    folder.ok(&["in-doubt", "commit", &one]);
    assert!(folder.fails(1, &["in-doubt", "rollback", &one]).contains("committed"));

    folder.ok(&["in-doubt", "rollback", &other]);
    assert_eq!(folder.json(&["get", "1"])["node_id"], json!(1));
    folder.fails(1, &["get", "11"]);
    assert_eq!(folder.json(&["in-doubt"]), json!({"in_doubt": []}));
    assert!(folder.fails(1, &["in-doubt", "commit", "12345"]).contains("12345"));
}
