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
    let found = run(&mut folder.cgv(&["backup", "verify", "--restore"]));
    assert_eq!(found.code, Some(1), "{}", found.err);
    assert!(found.out.contains("damaged: it cannot be restored"), "{}", found.out);
    fs::remove_dir_all(folder.store()).unwrap();
    assert!(folder.fails(1, &["restore"]).contains("not what was put there"));
    assert!(folder.fails(1, &["stats"]).contains("no store"));
    assert!(folder.ok(&["backup", "delete", &ids[2]]).starts_with(&ids[2]));
}

#[test]
fn a_mistake_is_undone_to_the_commit_the_moment_or_the_name_before_it() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(50, 8)));
    folder.ok(&["import", "base.npy"]);
    assert!(folder.fails(1, &["backup", "point", "early"]).contains("not archived"));
    assert_eq!(folder.json(&["backup", "archive", "on"])["seqno"], json!(1));
    folder.ok(&["backup", "create"]);
    folder.ok(&["delete", "--id", "7"]);
    let point = folder.json(&["backup", "point", "good"]);
    assert_eq!((&point["name"], &point["seqno"]), (&json!("good"), &json!(2)));
    let good = folder.ok(&["export"]);
    folder.ok(&["delete", "--id", "8"]);
    let bad = folder.ok(&["export"]);
    assert_eq!(folder.json(&["backup", "archive"]), json!({"enabled": true, "seqno": 3, "gap": null}));
    assert_eq!(folder.json(&["backup", "list"])["points"][0]["name"], json!("good"));
    // In the store that is there.
    let restored = folder.json(&["restore", "--to-seqno", "2"]);
    assert_eq!(
        (
            &restored["seqno"],
            &restored["now_seqno"],
            &restored["replayed_commits"],
            &restored["active_vectors"]
        ),
        (&json!(2), &json!(4), &json!(1), &json!(49))
    );
    assert_eq!(folder.ok(&["export"]), good);
    let replaced = restored["replaced"].as_str().unwrap();
    assert_eq!(folder.here(&["export", "--store", replaced]).out, bad);
    let names = || fs::read_dir(folder.path()).unwrap().count();
    let (before, hash) = (names(), folder.json(&["stats"])["content_hash"].clone());
    let rehearsed = folder.json(&["backup", "verify", "--restore"]);
    assert_eq!((&rehearsed["active_vectors"], &rehearsed["content_hash"]), (&json!(49), &hash));
    assert_eq!(names(), before, "it is removed");
    // To what was undone, and back by name.
    folder.ok(&["restore", "--to-seqno", "3"]);
    assert_eq!(folder.ok(&["export"]), bad);
    folder.ok(&["restore", "--to-name", "good"]);
    assert_eq!(folder.ok(&["export"]), good);
    let said = folder.ok(&["restore", "--to-time", "2999-01-01T00:00:00Z"]);
    assert!(said.contains("what it was is kept in"), "{said}");
    assert_eq!(folder.ok(&["export"]), good, "the line that was committed to last");
    assert!(folder.fails(1, &["restore", "--to-time", "2001-01-01T00:00"]).contains("no backup is as old"));
    assert!(folder.fails(2, &["restore", "--to-time", "soon"]).contains("is no time"));
    assert!(folder.fails(1, &["restore", "--to-seqno", "99"]).contains("ends at commit"));
    assert_eq!(folder.ok(&["export"]), good);
    assert_eq!(folder.json(&["restore", "--forget-replaced"])["removed"], json!(4));
    assert!(folder.ok(&["verify"]).starts_with("ok: "));
    // All of it, after the store was lost.
    folder.ok(&["delete", "--id", "9"]);
    let last = folder.ok(&["export"]);
    fs::remove_dir_all(folder.store()).unwrap();
    folder.ok(&["restore", "--to-latest"]);
    assert_eq!(folder.ok(&["export"]), last);
    folder.ok(&["backup", "point", "good", "--delete"]);
    assert!(folder.fails(1, &["backup", "point", "good", "--delete"]).contains("no restore point"));
}
