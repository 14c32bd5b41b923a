//! `cgv merge`, killed at random moments: what is stored is the same before and after, the next open leaves no half file,
//! and the run that gets through merges.

use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use codegraph_vector::{CodeNode, NodeId, OpenOptions, PersistentVectorStore, Settings};

use crate::kill::random_up_to;
use crate::sample::Folder;

/// Runs that have to be killed while they work.
const KILLS: usize = 20;
/// Runs at the most; one that ends before it is killed does not count.
const MAX_RUNS: u64 = 200;
const DIMENSION: usize = 32;
const NODES: u64 = 4_800;
const SEGMENTS: u64 = 6;

/// With nothing in the background: what is there after the open is what the open left.
fn open(path: &Path) -> PersistentVectorStore {
    let settings = Settings { background: false, ..Settings::default() };
    let options =
        OpenOptions { dimension: Some(DIMENSION), settings: Some(settings), ..OpenOptions::default() };
    PersistentVectorStore::open(path, options).unwrap()
}

/// Spreads rows over segments: all of them at first, later some.
fn fill(store: &PersistentVectorStore, round: u64) {
    for part in 0..SEGMENTS {
        let ids = (0..NODES).filter(|id| id % SEGMENTS == part && (round == 0 || id % 31 == round % 31));
        let node = |id: u64| {
            let vector = (0..DIMENSION as u64).map(|at| ((id * 7 + at * 13 + round) % 101) as f32 + 1.0);
            CodeNode::new(NodeId::from(id), vector.collect()).with_path(format!("src/f{}.rs", id % 40))
        };
        store.put_batch(&ids.map(node).collect::<Vec<_>>()).unwrap();
        store.flush().unwrap();
    }
}

fn rows(store: &PersistentVectorStore) -> Vec<CodeNode> {
    store.snapshot().unwrap().iter().unwrap().map(|node| node.unwrap()).collect()
}

/// Files that are none of a whole segment, and whole segments.
fn files(path: &Path) -> (Vec<String>, u64) {
    let listed = std::fs::read_dir(path.join("segments")).unwrap();
    let names: Vec<String> = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let (whole, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.ends_with(".seg"));
    (others.into_iter().filter(|name| !name.ends_with(".dead")).collect(), whole.len() as u64)
}

#[test]
fn a_killed_merge_changes_nothing_and_the_next_one_completes_it() {
    let folder = Folder::new();
    let path = folder.store();
    fill(&open(&path), 0);
    let (mut kills, mut in_the_midst, mut whole_run) = (0, 0, Duration::from_millis(400));
    for round in 1..=MAX_RUNS {
        let (before, segments) = {
            let store = open(&path);
            if store.stats().unwrap().segments < SEGMENTS {
                fill(&store, round);
            }
            (rows(&store), store.stats().unwrap().segments)
        };
        let args = if round % 3 == 0 { &["merge", "--max", "4"][..] } else { &["merge"][..] };
        let mut command = folder.cgv(args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(random_up_to(whole_run));
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // Earlier, so that the next is caught; later, so that its end is hit as well.
        match ended {
            Some(status) => {
                assert!(status.success());
                whole_run = whole_run.mul_f64(0.8);
            }
            None => {
                kills += 1;
                in_the_midst += usize::from(!files(&path).0.is_empty());
                whole_run = whole_run.mul_f64(1.1).min(Duration::from_secs(5));
            }
        }
        let store = open(&path);
        assert!(rows(&store) == before, "round {round}: a row differs");
        let (half, whole) = files(&path);
        assert!(half.is_empty(), "round {round}: {half:?} are left");
        let stats = store.stats().unwrap();
        // The manifest before the present one may need as many again.
        assert!(stats.segments <= segments && whole <= stats.segments + segments, "{whole} of {stats:?}");
        if kills >= KILLS {
            break;
        }
    }
    assert!(kills >= KILLS, "only {kills} kills in {MAX_RUNS} runs");
    let before = rows(&open(&path));
    assert_eq!(folder.json(&["merge"])["segments"], 1);
    assert_eq!(files(&path), (Vec::new(), 1));
    assert!(rows(&open(&path)) == before);
    assert!(folder.ok(&["verify"]).starts_with("ok: "));
    println!("{kills} kills, {in_the_midst} of them left half a file for the next open");
}
