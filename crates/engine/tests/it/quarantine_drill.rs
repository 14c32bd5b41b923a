//! The drill: bytes of live segments are turned while threads search, and backups mend it all, under an open store.
//!
//! What is held, of every answer: each score is that of the node's vector by a brute-force oracle; and the answer is all there
//! is to find, or says that it is not. Once a byte has turned in a block that was looked at already, and until the scrub
//! comes by, a row of that segment may be overlooked; no other, and none is wrong.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use codegraph_vector::{
    BackupOptions, CodeNode, NodeId, OpenOptions, PersistentVectorStore, SearchRequest, Settings,
};
use codegraph_vector_base::vfs::{OpenMode, RealVfs, Vfs};
use codegraph_vector_testkit::{Rng, generators};
use parking_lot::RwLock;

use crate::sample::until;

const DIMENSION: usize = 64;
/// Rows of a segment.
const ROWS: NodeId = 2000;
const SEGMENTS: usize = 3;
const ROUNDS: usize = 12;
const K: usize = 10;
/// What f32 sums in another order may differ by.
const NEAR: f32 = 1e-5;

struct Oracle {
    nodes: BTreeMap<NodeId, Vec<f32>>,
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

impl Oracle {
    fn score(&self, id: NodeId, query: &[f32]) -> f32 {
        let row = &self.nodes[&id];
        (dot(row, query) / (dot(row, row).sqrt() * dot(query, query).sqrt())) as f32
    }

    fn best(&self, query: &[f32]) -> Vec<(f32, NodeId)> {
        let mut all: Vec<_> = self.nodes.keys().map(|id| (self.score(*id, query), *id)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        all.truncate(K);
        all
    }
}

/// What is damaged at the moment: which ids a segment has that was damaged and is not yet repaired, and whether it was scrubbed.
#[derive(Default)]
struct Harmed {
    /// Ids of the segment whose bytes were turned; none if it is whole.
    ids: Option<Range<NodeId>>,
    /// Whether it was found.
    found: bool,
}

struct Drill {
    store: PersistentVectorStore,
    oracle: Oracle,
    harmed: RwLock<Harmed>,
    over: AtomicBool,
    answers: AtomicU64,
    degraded: AtomicU64,
    overlooked: AtomicU64,
}

impl Drill {
    /// Asks, holds the answer against the oracle, and says whether it was degraded.
    fn search(&self, rng: &mut Rng) -> bool {
        let query = generators::vector(rng, DIMENSION);
        let request = SearchRequest::new(query.clone(), K).with_exact(rng.chance(0.5));
        // Once it was found, nothing is overlooked any more.
        let (harmed, known) = {
            let harmed = self.harmed.read();
            (harmed.ids.clone(), harmed.found)
        };
        let found = self.store.search(&request).unwrap();
        let since = self.harmed.read().ids.clone().filter(|_| harmed.is_none());
        self.answers.fetch_add(1, Ordering::Relaxed);
        for hit in &found.matches {
            let score = self.oracle.score(hit.node_id, &query);
            assert!((hit.score - score).abs() < NEAR, "a wrong score: {hit:?}, not {score}");
            assert_eq!(hit.metadata.as_ref().unwrap().name, Some(format!("n{}", hit.node_id)));
        }
        if found.degraded {
            self.degraded.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let best = self.oracle.best(&query);
        let least = found.matches.last().map_or(f32::MAX, |hit| hit.score);
        let lacks = |(score, id): &&(f32, NodeId)| {
            *score > least + NEAR && !found.matches.iter().any(|hit| hit.node_id == *id)
        };
        let lacking: Vec<_> = best.iter().filter(lacks).collect();
        if lacking.is_empty() && found.matches.len() == K {
            return false;
        }
        let may_lack = |id: &NodeId| {
            let unfound = harmed.iter().filter(|_| !known).chain(&since);
            unfound.into_iter().any(|ids| ids.contains(id))
        };
        assert!(lacking.iter().all(|(_, id)| may_lack(id)), "not all, and not degraded: {lacking:?}");
        self.overlooked.fetch_add(1, Ordering::Relaxed);
        false
    }
}

fn name_of(segment: usize) -> String {
    format!("{segment:010}.seg")
}

/// Turns some bytes of a file, in place.
fn turn(path: &Path, rng: &mut Rng) {
    let file = RealVfs.open(path, OpenMode::ReadWrite).unwrap();
    let len = file.len().unwrap() as usize;
    for _ in 0..=rng.below(40) {
        let (mut byte, at) = ([0], rng.below(len) as u64);
        file.read_at(&mut byte, at).unwrap();
        file.write_at(&[byte[0] ^ (1 << rng.below(8))], at).unwrap();
    }
}

/// The ids of the rows of a segment.
fn ids_of(segment: usize) -> Range<NodeId> {
    segment as NodeId * ROWS..(segment as NodeId + 1) * ROWS
}

#[test]
fn bytes_turn_under_load_and_nothing_wrong_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { merge_fanout: 100, ..Settings::default() };
    let options = OpenOptions {
        dimension: Some(DIMENSION),
        backups: Some(folder.path().join("backups")),
        settings: Some(settings),
        ..OpenOptions::default()
    };
    let path = folder.path().join("store");
    let store = PersistentVectorStore::open(&path, options).unwrap();
    let (mut rng, mut nodes) = (Rng::new(11), BTreeMap::new());
    for segment in 0..SEGMENTS {
        let rows: Vec<_> = ids_of(segment)
            .map(|id| {
                let vector = generators::vector(&mut rng, DIMENSION);
                nodes.insert(id, vector.clone());
                CodeNode::new(id, vector).with_name(format!("n{id}"))
            })
            .collect();
        store.put_batch(&rows).unwrap();
        store.flush().unwrap();
    }
    store.create_backup_with(&BackupOptions::default()).unwrap();
    let files: Vec<_> = (1..=SEGMENTS).map(|segment| path.join("segments").join(name_of(segment))).collect();
    let drill = Drill {
        store,
        oracle: Oracle { nodes },
        harmed: RwLock::default(),
        over: AtomicBool::new(false),
        answers: AtomicU64::new(0),
        degraded: AtomicU64::new(0),
        overlooked: AtomicU64::new(0),
    };
    thread::scope(|scope| {
        let drill = &drill;
        for seed in 0..2 {
            scope.spawn(move || {
                let mut rng = Rng::new(100 + seed);
                while !drill.over.load(Ordering::Relaxed) {
                    drill.search(&mut rng);
                }
            });
        }
        // Whatever goes wrong here, the searches end.
        let _end = End(&drill.over);
        for round in 0..ROUNDS {
            let segment = rng.below(SEGMENTS);
            *drill.harmed.write() = Harmed { ids: Some(ids_of(segment)), found: false };
            turn(&files[segment], &mut rng);
            let answers = drill.answers.load(Ordering::Relaxed);
            until("some searches", || drill.answers.load(Ordering::Relaxed) > answers + 4);
            let report = drill.store.verify().unwrap();
            let mended_already = || drill.store.quarantined().is_empty();
            assert!(!report.is_clean() || mended_already(), "round {round}: {report:?}");
            drill.harmed.write().found = true;
            // The backup is found without being asked for.
            until("repair", mended_already);
            let report = drill.store.verify().unwrap();
            assert!(report.is_clean(), "round {round}: {report:?}");
            *drill.harmed.write() = Harmed::default();
        }
        // All is whole again.
        let mut rng = Rng::new(5);
        assert!((0..20).all(|_| !drill.search(&mut rng)));
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{} answers, {} degraded, {} that overlooked a damaged row before the scrub",
        count(&drill.answers),
        count(&drill.degraded),
        count(&drill.overlooked)
    );
    assert!(count(&drill.degraded) > 0);
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
