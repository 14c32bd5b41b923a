//! `cgv index --git` and `cgv index --watch`, killed at random moments: no file is ever there in part, and the next run
//! ends where an undisturbed one does.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use codegraph_vector_testkit::repository::Repository;

use crate::index_kill::{Rows, TREE, Tree, fresh, name, rows, text};
use crate::index_watch::Watch;
use crate::kill::random_up_to;
use crate::sample::Folder;

/// Processes that have to be killed while they work.
const KILLS: usize = 20;
/// Processes at the most; one that ends before it is killed does not count.
const MAX_RUNS: u64 = 100;
const FILES: u64 = 100;
/// About what a watch waits for further changes.
const QUIET: Duration = Duration::from_millis(300);

/// Each file is there as it was, or as it is to be.
fn assert_whole(after: &Rows, before: &Rows, wanted: &Rows, round: u64) {
    let paths: BTreeSet<&String> = [before, wanted, after].iter().flat_map(|rows| rows.keys()).collect();
    for path in paths {
        let whole = [before, wanted].iter().any(|rows| rows.get(path) == after.get(path));
        assert!(whole, "round {round}: {path} is there in part: {:?}", after.get(path));
    }
}

/// Compares every row, and what a dump of each store says.
fn assert_same(folder: &Folder, wanted: &Rows) {
    assert_eq!(&rows(folder, "s", true), wanted);
    let export = |store: &str| folder.here(&["export", "--store", store]).out;
    assert!(export("s") == export("fresh"), "another export than of a fresh index");
}

#[test]
fn a_killed_index_of_a_commit_is_completed_by_the_next_run() {
    let folder = Folder::new();
    let repository = Repository::make(&folder.path().join(TREE), false);
    let mut tree = Tree::new(&folder, FILES);
    let commit = |tree: &Tree<'_>| {
        let below = |file: &u64| name(*file).split_once('/').unwrap().1.to_owned();
        repository.commit(tree.versions.iter().map(|(file, version)| (below(file), text(*file, *version))))
    };
    let index = ["index", TREE, "--git", "HEAD", "--store"];
    let (mut before, mut kills, mut diffs) = (Rows::new(), 0, 0);
    let mut whole_run = Duration::from_millis(200);
    for round in 1..=MAX_RUNS {
        commit(&tree);
        let wanted = fresh(&folder, &index);
        let mut child = folder
            .cgv_anywhere(&[&index[..], &["s"]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(random_up_to(whole_run));
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        kills += usize::from(ended.is_none());
        let factor = if ended.is_some() { 0.8 } else { 1.1 };
        whole_run = whole_run.mul_f64(factor).min(Duration::from_secs(20));
        assert_whole(&rows(&folder, "s", round % 2 == 0), &before, &wanted, round);
        // Every other time the next commit comes before anybody has completed this one.
        if round % 2 == 0 || kills == KILLS {
            let again = folder.json_here(&[&index[..], &["s"]].concat());
            diffs += usize::from(!again["since"].is_null());
            assert_same(&folder, &wanted);
            if kills == KILLS {
                break;
            }
        }
        // As whoever writes next finds it: a reader shows no more than what is known to be synced.
        before = rows(&folder, "s", false);
        tree.edit(round);
    }
    assert_eq!(kills, KILLS, "in {MAX_RUNS} runs");
    folder.here(&["verify", "--store", "s"]);
    println!("{kills} kills; {diffs} of the runs after one went by the commit before");
}

#[test]
fn a_killed_watch_leaves_whole_files_and_the_next_run_completes_it() {
    let folder = Folder::new();
    let mut tree = Tree::new(&folder, FILES);
    let start = Instant::now();
    let mut wanted = fresh(&folder, &["index", TREE, "--store"]);
    let whole_run = start.elapsed();
    let mut before = Rows::new();
    for round in 1..=KILLS as u64 {
        let mut watch = Watch::start(&folder, &[TREE, "--json", "--store", "s"]);
        let is_first_round = round % 4 == 1;
        if !is_first_round {
            watch.line();
            before = wanted;
            tree.edit(round);
        }
        thread::sleep(random_up_to(if is_first_round { whole_run } else { QUIET + whole_run }));
        watch.kill();
        wanted = fresh(&folder, &["index", TREE, "--store"]);
        assert_whole(&rows(&folder, "s", round % 2 == 0), &before, &wanted, round);
        if round % 4 == 0 {
            folder.here(&["index", TREE, "--store", "s"]);
            assert_same(&folder, &wanted);
            // What the next first round finds.
            before = wanted;
            tree.edit(round + 100);
            wanted = Rows::new();
        }
    }
    folder.here(&["verify", "--store", "s"]);
}
