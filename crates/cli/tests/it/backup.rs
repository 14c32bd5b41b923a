//! `cgv backup` and `cgv restore` through their front door.

use std::fs;

use serde_json::json;

use crate::sample::{Folder, npy_rows, rows, run};

#[test]
fn a_store_that_was_lost_is_there_again() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(50, 8)));
    folder.ok(&["import", "base.npy"]);
    assert!(folder.ok(&["backup", "list"]).starts_with("no backups"));
    let first = folder.json(&["backup", "create", "--name", "first"]);
    assert_eq!((&first["seqno"], &first["new_bytes"]), (&json!(1), &first["bytes"]));
    assert!(first["bytes"].as_u64().unwrap() > 50 * 8 * 4);
    assert!(fs::metadata(first["path"].as_str().map(|path| folder.path().join(path)).unwrap()).is_ok());
    let wanted = folder.ok(&["export"]);
    folder.ok(&["delete", "--id", "7"]);
    let second = folder.json(&["backup", "create"]);
    assert!(second["new_bytes"].as_u64() < second["bytes"].as_u64(), "{second}");
    let listed = folder.json(&["backup", "list"]);
    let [one, two] = &listed["backups"].as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!((&one["backup_id"], &two["backup_id"]), (&first["backup_id"], &second["backup_id"]));
    assert_eq!((&one["name"], &one["seqno"], &two["name"]), (&json!("first"), &json!(1), &json!(null)));
    for quick in [&["backup", "verify"][..], &["backup", "verify", "--quick"]] {
        assert!(folder.ok(quick).starts_with("ok: backup"), "{quick:?}");
    }
    assert!(folder.fails(1, &["restore"]).contains("there is a store already"));
    fs::remove_dir_all(folder.store()).unwrap();
    let id = first["backup_id"].as_str().unwrap();
    let restored = folder.json(&["restore", id]);
    assert_eq!(
        (&restored["seqno"], &restored["timeline"], &restored["active_vectors"]),
        (&json!(1), &json!(1), &json!(50))
    );
    assert_eq!(folder.ok(&["export"]), wanted);
    assert!(folder.ok(&["verify"]).starts_with("ok: "));
    // The newest, beside it.
    let backups = format!("{}.backups", folder.store().display());
    let beside = folder.here(&["restore", "--store", "beside", "--backups", &backups]).out;
    assert!(beside.starts_with("beside has 49 vectors as of commit 2 ("), "{beside}");
}

#[test]
fn damage_is_told_and_what_need_not_be_kept_goes() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(50, 8)));
    let mut ids = Vec::new();
    for round in 0..3 {
        folder.ok(&["import", "base.npy"]);
        if round == 2 {
            folder.ok(&["merge"]);
        }
        ids.push(folder.json(&["backup", "create"])["backup_id"].as_str().unwrap().to_owned());
    }
    assert!(folder.fails(2, &["backup", "prune"]).contains("say what to keep"));
    let told = folder.json(&["backup", "prune", "--last", "1", "--dry-run"]);
    assert_eq!((&told["deleted"], &told["kept"]), (&json!([ids[0], ids[1]]), &json!([ids[2]])));
    assert_eq!(folder.json(&["backup", "list"])["backups"].as_array().unwrap().len(), 3);
    let done = folder.json(&["backup", "prune", "--last", "1"]);
    assert_eq!((&done["deleted"], &done["bytes"]), (&told["deleted"], &told["bytes"]));
    assert!(folder.fails(1, &["backup", "verify", &ids[0]]).contains("there is no backup"));
    assert!(folder.ok(&["backup", "verify", &ids[2]]).starts_with("ok: "));
    // A byte of the largest object that is left.
    let backups = format!("{}.backups", folder.store().display());
    let store = fs::read_dir(backups).unwrap().next().unwrap().unwrap().path();
    let objects = fs::read_dir(store.join("objects")).unwrap().map(|entry| entry.unwrap().path());
    let largest = objects.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&largest, bytes).unwrap();
    assert!(folder.ok(&["backup", "verify", "--quick"]).starts_with("ok: "));
    let found = run(&mut folder.cgv(&["backup", "verify"]));
    assert_eq!(found.code, Some(1), "{}", found.err);
    assert!(found.out.contains("bad: an object of this backup is not what was put there"), "{}", found.out);
    fs::remove_dir_all(folder.store()).unwrap();
    assert!(folder.fails(1, &["restore"]).contains("not what was put there"));
    assert!(folder.fails(1, &["stats"]).contains("no store"));
    assert!(folder.ok(&["backup", "delete", &ids[2]]).starts_with(&ids[2]));
}
