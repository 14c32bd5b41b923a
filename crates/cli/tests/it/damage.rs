//! `cgv` on a store that is damaged: what is found says that it is not all, and a backup mends it.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::mcp_client::Client;
use crate::sample::{Folder, npy_rows, rows, run};

/// The only segment of a store, with the byte in its middle turned.
fn damage(store: PathBuf) -> PathBuf {
    let mut segments = fs::read_dir(store.join("segments")).unwrap().map(|entry| entry.unwrap().path());
    let segment = segments.find(|path| path.extension().is_some_and(|ending| ending == "seg")).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    segment
}

fn report(folder: &Folder, args: &[&str], code: i32) -> Value {
    let ran = run(&mut folder.cgv(&[&["--json"], args].concat()));
    assert_eq!(ran.code, Some(code), "{}{}", ran.out, ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn a_backup_mends_what_verify_finds() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(2000, 64)));
    folder.ok(&["import", "base.npy"]);
    folder.ok(&["backup", "create"]);
    let wanted = folder.ok(&["export"]);
    assert_eq!(folder.json(&["stats"])["degraded"], json!(false));
    let segment = damage(folder.store());
    let query = folder.json(&["query", "base.npy", "-k", "5"]);
    assert_eq!((&query["degraded"], &query["exact"]), (&json!(true), &json!(false)), "{query}");
    let found = report(&folder, &["verify"], 1);
    let [bad] = &found["quarantined"].as_array().unwrap()[..] else { panic!("{found}") };
    assert!(bad["path"].as_str().unwrap().ends_with(segment.file_name().unwrap().to_str().unwrap()));
    assert!(!found["lost"].as_array().unwrap().is_empty(), "{found}");
    // Of a store whose backups are elsewhere, the lost are told, and nothing is thrown away unasked.
    let nowhere = report(&folder, &["--backups", "nowhere", "verify", "--repair"], 1);
    assert_eq!(nowhere["repair"]["repaired"], json!([]), "{nowhere}");
    assert_eq!(nowhere["quarantined"].as_array().unwrap().len(), 1, "{nowhere}");
    assert!(folder.fails(2, &["verify", "--give-up"]).contains("--repair"));
    let mended = report(&folder, &["verify", "--repair"], 0);
    assert_eq!(mended["repair"]["repaired"], json!([bad["segment"]]), "{mended}");
    assert_eq!((&mended["clean"], &mended["lost"]), (&json!(true), &json!([])), "{mended}");
    assert_eq!(folder.ok(&["export"]), wanted);
    assert_eq!(folder.json(&["query", "base.npy", "-k", "5"])["degraded"], json!(false));
}

#[test]
fn what_no_backup_has_is_given_up_by_name() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(500, 16)));
    folder.ok(&["import", "base.npy"]);
    folder.ok(&["flush"]);
    damage(folder.store());
    let ran = run(&mut folder.cgv(&["verify", "--repair"]));
    assert!(ran.code == Some(1) && ran.out.contains("quarantined: segment 1"), "{}{}", ran.out, ran.err);
    let given_up = report(&folder, &["verify", "--repair", "--give-up"], 0);
    let lost = given_up["repair"]["lost"].as_array().unwrap();
    assert_eq!(lost.len(), 500, "{given_up}");
    assert_eq!(lost[7], json!(7));
    assert_eq!(folder.json(&["stats"])["active_vectors"], json!(0));
    folder.ok(&["import", "base.npy"]);
    assert_eq!(folder.json(&["stats"])["active_vectors"], json!(500));
    assert_eq!(folder.json(&["verify"])["clean"], json!(true));
}

#[test]
fn searches_say_that_a_part_is_missing() {
    let folder = Folder::new();
    for file in 0..40 {
        folder.source(
            &format!("code/f{file}.rs"),
            &format!("/// Retries number {file}.\npub fn retry_{file}() {{}}\n"),
        );
    }
    folder.below("code", &["index", "."]);
    folder.below("code", &["flush"]);
    let whole = folder.below("code", &["search", "retry", "--json"]).out;
    assert_eq!(serde_json::from_str::<Value>(&whole).unwrap()["degraded"], json!(false));
    // All of it, so that no search gets by.
    let store = folder.path().join("code/.cgv");
    let segment = damage(store);
    let mut bytes = fs::read(&segment).unwrap();
    let end = bytes.len() - 200;
    bytes[200..end].iter_mut().for_each(|byte| *byte ^= 4);
    fs::write(&segment, bytes).unwrap();
    let ran = folder.below("code", &["search", "retry", "--json"]);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found["degraded"], json!(true), "{found}");
    assert!(ran.err.contains("cgv verify --repair"), "{}", ran.err);
    let stats: Value = serde_json::from_str(&folder.below("code", &["stats", "--json"]).out).unwrap();
    assert_eq!(stats["degraded"], json!(stats["quarantined_segments"].as_u64().unwrap() > 0));
    let mut client = Client::new(&folder);
    let found = client.get("search_code", json!({"query": "retry"}));
    assert_eq!(found["degraded"], json!(true), "{found}");
    assert!(found["note"].as_str().unwrap().contains("damaged"), "{found}");
    assert!(client.end().success());
}
