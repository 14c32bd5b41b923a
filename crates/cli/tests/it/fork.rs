//! `cgv fork` through its front door, and killed at random moments.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::kill::random_up_to;
use crate::sample::{Folder, npy_ids, npy_rows, rows, run};

const KILLS: usize = 20;
/// More runs than this means that no kill comes in time.
const MAX_RUNS: usize = 400;

#[test]
fn a_fork_is_a_store_of_its_own() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(50, 8)));
    folder.ok(&["import", "base.npy"]);
    let forked = folder.json(&["fork", "branch"]);
    assert_eq!(
        (&forked["active_vectors"], &forked["segments"], &forked["copied"]),
        (&json!(50), &json!(1), &json!(0))
    );
    assert_eq!((&forked["timeline"], &forked["rolled_back"]), (&json!(1), &json!([])));
    let stats = |store: &str| folder.json_here(&["stats", "--store", store]);
    assert_eq!(stats("branch")["content_hash"], stats("s")["content_hash"]);
    assert_eq!(stats("branch")["store_id"], forked["store_id"]);
    assert_eq!(stats("s")["store_id"], forked["source_store_id"]);
    folder.here(&["delete", "--id", "7", "--store", "branch"]);
    assert_eq!((&stats("branch")["active_vectors"], &stats("s")["active_vectors"]), (&json!(49), &json!(50)));
    assert!(folder.fails(1, &["fork", "branch"]).contains("there is a store already"));
    assert!(folder.fails(1, &["fork", "."]).contains("not empty"));
    folder.fails(2, &["fork", ""]);
    fs::remove_dir_all(folder.store()).unwrap();
    assert!(folder.here(&["verify", "--store", "branch"]).out.starts_with("ok: "));
    let again = folder.here(&["fork", "again", "--store", "branch"]).out;
    assert_eq!(again, "again has 49 vectors as of commit 2\n");
}

#[test]
fn a_killed_fork_leaves_a_whole_store_or_none_and_the_next_run_completes_it() {
    let folder = Folder::new();
    folder.file("base.npy", npy_rows(&rows(300, 16)));
    // Several files, so that there is something to be cut short.
    for first in 0..6 {
        folder.file("ids.npy", npy_ids(&(0..300).map(|id| first * 200 + id).collect::<Vec<_>>()));
        folder.ok(&["import", "base.npy", "--ids", "ids.npy"]);
        folder.ok(&["flush"]);
    }
    let export = |store: &str| folder.here(&["export", "--store", store]).out;
    let wanted = export("s");
    let start = Instant::now();
    folder.ok(&["fork", "whole"]);
    let mut whole_run = start.elapsed();
    let (mut kills, mut unfinished, mut finished) = (0, 0, 0);
    for round in 0..MAX_RUNS {
        let name = format!("fork-{round}");
        let mut child =
            folder.cgv(&["fork", &name]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(random_up_to(whole_run));
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        match ended {
            Some(status) => {
                assert!(status.success());
                whole_run = whole_run.mul_f64(0.9);
            }
            None => kills += 1,
        }
        let target = folder.path().join(&name);
        let names = fs::read_dir(&target).into_iter().flatten().map(|entry| entry.unwrap().file_name());
        let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        let is_store = names.iter().any(|name| name.starts_with("MANIFEST-") && !name.ends_with(".tmp"));
        if is_store {
            // It is whole, whether or not its maker knew.
            let ran = run(&mut folder.cgv_anywhere(&["export", "--store", &name]));
            assert!(ran.code == Some(0) && ran.out == wanted, "round {round}: {names:?}: {}", ran.err);
        } else {
            assert!(ended.is_none(), "a run that ended well made no store");
            folder.fails_here(1, &["export", "--store", &name]);
        }
        // Nobody has written into it, so that the next run may begin anew where it was cut short.
        let again = run(&mut folder.cgv(&["fork", &name]));
        match again.code {
            Some(0) => unfinished += 1,
            _ => {
                assert!(is_store && again.err.contains("there is a store already"), "{}", again.err);
                finished += 1;
            }
        }
        assert!(export(&name) == wanted, "round {round}: another export than of the source");
        assert!(folder.here(&["verify", "--store", &name]).out.starts_with("ok: "));
        fs::remove_dir_all(target).unwrap();
        if kills >= KILLS && unfinished >= KILLS / 2 {
            break;
        }
    }
    assert!(kills >= KILLS && unfinished >= KILLS / 2, "{kills} kills, {unfinished} forks were not finished");
    assert!(export("s") == wanted);
    assert!(folder.ok(&["verify"]).starts_with("ok: "));
    println!("{kills} kills, {unfinished} forks unfinished, {finished} finished");
}
