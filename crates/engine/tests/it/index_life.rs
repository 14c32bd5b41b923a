//! The life of an index: built by merges, taken over, done without where it is damaged, replaced when another is asked for.

use std::path::Path;

use codegraph_vector::vfs::{OpenMode, Vfs};
use codegraph_vector::{
    CodeNode, Filter, IndexPolicy, NodeId, OpenOptions, PersistentVectorStore, SearchRequest, Settings,
};
use codegraph_vector_testkit::{Rng, SimVfs, generators};

use crate::sample::{self, DIMENSION, ROOT};

fn open(sim: &SimVfs, index: IndexPolicy) -> PersistentVectorStore {
    let settings = Some(Settings { index, ..sample::settings() });
    PersistentVectorStore::open(ROOT, OpenOptions { settings, ..sample::options(sim) }).unwrap()
}

fn put(store: &PersistentVectorStore, rng: &mut Rng, ids: std::ops::Range<NodeId>) {
    let nodes: Vec<CodeNode> = ids.map(|id| CodeNode::new(id, generators::vector(rng, DIMENSION))).collect();
    store.put_batch(&nodes).unwrap();
}

/// The share of the true ten nearest that searches find.
fn recall(store: &PersistentVectorStore, rng: &mut Rng) -> f64 {
    let (mut found, mut asked) = (0, 0);
    for _ in 0..60 {
        let request = SearchRequest::new(generators::vector(rng, DIMENSION), 10);
        let exact = store.search(&request.clone().with_exact(true)).unwrap().matches;
        let matches = store.search(&request).unwrap().matches;
        assert_eq!(matches.len(), exact.len());
        asked += exact.len();
        found += exact.iter().filter(|hit| matches.iter().any(|other| other == *hit)).count();
    }
    found as f64 / asked as f64
}

fn indexed(store: &PersistentVectorStore) -> (u64, u64, u64) {
    let stats = store.stats().unwrap().index;
    assert_eq!(stats.bytes > 0, stats.ivf_rows + stats.hnsw_rows > 0);
    (stats.ivf_rows, stats.hnsw_rows, stats.flat_rows)
}

#[test]
fn an_index_comes_with_a_merge_and_is_the_one_that_is_asked_for() {
    let (sim, mut rng) = (SimVfs::new(1), Rng::new(1));
    let store = open(&sim, IndexPolicy::Ivf);
    put(&store, &mut rng, 0..600);
    store.flush().unwrap();
    assert_eq!(indexed(&store), (0, 0, 600), "a flush does not wait for an index");
    assert_eq!(store.build_indexes().unwrap(), 1);
    assert_eq!(indexed(&store), (600, 0, 0));
    assert_eq!(store.build_indexes().unwrap(), 0, "it is there");
    for (policy, expected) in [
        (IndexPolicy::hnsw(), (0, 600, 0)),
        (IndexPolicy::Flat, (0, 0, 600)),
        (IndexPolicy::Ivf, (600, 0, 0)),
    ] {
        store.configure(|settings| settings.index = policy).unwrap();
        assert_eq!(store.stats().unwrap().index.waiting_segments, 1);
        store.merge().unwrap();
        assert_eq!(indexed(&store), expected);
        assert!(recall(&store, &mut rng) > 0.9, "{policy}");
        assert!(store.verify().unwrap().is_clean());
    }
    drop(store);
    let store = sample::reopen(&sim).unwrap();
    assert_eq!((indexed(&store), store.settings().index), ((600, 0, 0), IndexPolicy::Ivf));
}

#[test]
fn recall_stays_while_rows_are_replaced_round_by_round() {
    let (sim, mut rng) = (SimVfs::new(2), Rng::new(2));
    let store = open(&sim, IndexPolicy::Ivf);
    put(&store, &mut rng, 0..3000);
    store.flush().unwrap();
    store.merge().unwrap();
    for round in 0..10 {
        put(&store, &mut rng, round * 300..round * 300 + 300);
        store.flush().unwrap();
        store.merge().unwrap();
        assert_eq!(indexed(&store), (3000, 0, 0));
    }
    let updated = recall(&store, &mut rng);
    let nodes: Vec<CodeNode> = store.snapshot().unwrap().iter().unwrap().map(Result::unwrap).collect();
    let other = SimVfs::new(3);
    let fresh = open(&other, IndexPolicy::Ivf);
    fresh.put_batch(&nodes).unwrap();
    fresh.flush().unwrap();
    fresh.merge().unwrap();
    let fresh = recall(&fresh, &mut rng);
    assert!(updated > fresh - 0.03, "{updated} where a fresh build has {fresh}");
}

/// Damages a byte of the index of the newest segment, so far from its beginning.
fn damage(sim: &SimVfs, place: usize) {
    damage_at(sim, b"CGVX", place);
}

/// Damages a byte of the newest segment, so far behind the first such bytes.
fn damage_at(sim: &SimVfs, what: &[u8], place: usize) {
    let folder = Path::new(ROOT).join("segments");
    let names = sim.list(&folder).unwrap();
    let name = names.iter().max().expect("a segment");
    let path = folder.join(name);
    let file = sim.open(&path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    let start = bytes.windows(what.len()).position(|some| some == what).expect("such bytes");
    sim.flip_bit(&path, (start + place) as u64, 4);
}

#[test]
fn a_damaged_index_is_done_without_told_of_and_built_anew() {
    for place in [0, 20, 200, 5000] {
        let (sim, mut rng) = (SimVfs::new(4), Rng::new(4));
        let store = open(&sim, IndexPolicy::Ivf);
        put(&store, &mut rng, 0..700);
        store.flush().unwrap();
        store.merge().unwrap();
        store.close().unwrap();
        damage(&sim, place);
        let store = sample::reopen(&sim).unwrap();
        assert!((recall(&store, &mut rng) - 1.0).abs() < 1e-9, "all rows are scanned");
        let filtered = SearchRequest::new(vec![1.0; DIMENSION], 5).with_filter(Filter::ids(0..40));
        assert_eq!(store.search(&filtered).unwrap().matches.len(), 5);
        let report = store.verify().unwrap();
        assert!(!report.is_clean(), "damage at {place}");
        put(&store, &mut rng, 0..30);
        store.flush().unwrap();
        store.merge().unwrap();
        // The generation before goes on naming the damaged file until there is another.
        store.set_property("reason", Some("damage")).unwrap();
        store.flush().unwrap();
        assert!(store.verify().unwrap().is_clean());
        assert_eq!(indexed(&store), (700, 0, 0));
        assert!(recall(&store, &mut rng) > 0.9);
    }
}

#[test]
fn results_are_the_same_in_every_run_and_by_every_way_of_asking() {
    let run = || {
        let (sim, mut rng) = (SimVfs::new(5), Rng::new(5));
        let store = open(&sim, IndexPolicy::Ivf);
        put(&store, &mut rng, 0..2000);
        store.flush().unwrap();
        store.merge().unwrap();
        let requests: Vec<SearchRequest> = (0..30)
            .map(|_| SearchRequest::new(generators::vector(&mut rng, DIMENSION), 7).with_ef(3))
            .collect();
        let snapshot = store.snapshot().unwrap();
        let alone: Vec<_> = requests.iter().map(|request| snapshot.search(request).unwrap()).collect();
        assert_eq!(snapshot.search_many(&requests).unwrap(), alone);
        for threads in [1, 2, 7, 64] {
            let threads = std::num::NonZeroUsize::new(threads).unwrap();
            assert_eq!(snapshot.search_parallel(&requests, threads).unwrap(), alone);
        }
        alone
    };
    assert_eq!(run(), run());
}

#[test]
fn a_radius_bounds_what_is_found_and_a_node_finds_others_like_it() {
    let (sim, mut rng) = (SimVfs::new(6), Rng::new(6));
    let store = open(&sim, IndexPolicy::Ivf);
    put(&store, &mut rng, 0..900);
    store.flush().unwrap();
    store.merge().unwrap();
    let request = SearchRequest::new(generators::vector(&mut rng, DIMENSION), 50).with_effort(1.0);
    let all = store.search(&request).unwrap().matches;
    let radius = all[19].score;
    let within = store.search(&request.clone().with_min_score(radius)).unwrap().matches;
    assert_eq!(within, all[..20]);
    assert!(store.search(&request.with_min_score(1.5)).unwrap().matches.is_empty());

    let snapshot = store.snapshot().unwrap();
    let like = SearchRequest::new(Vec::new(), 10).with_effort(1.0);
    let node = snapshot.get(77).unwrap().unwrap();
    let mut expected =
        snapshot.search(&SearchRequest::new(node.embedding, 11).with_exact(true)).unwrap().matches;
    expected.retain(|hit| hit.node_id != 77);
    assert_eq!(snapshot.search_like(77, &like).unwrap().matches, expected);
    let few = snapshot.search_like(77, &like.with_filter(Filter::ids([77, 78, 79]))).unwrap().matches;
    let mut ids: Vec<_> = few.iter().map(|hit| hit.node_id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [78, 79]);
    assert_eq!(
        snapshot.search_like(5000, &SearchRequest::new(Vec::new(), 3)).unwrap_err().kind(),
        codegraph_vector::ErrorKind::NotFound
    );
}

#[test]
fn a_damaged_vector_gives_no_score_by_way_of_an_index() {
    let (sim, mut rng) = (SimVfs::new(11), Rng::new(11));
    let store = open(&sim, IndexPolicy::Ivf);
    put(&store, &mut rng, 0..600);
    store.flush().unwrap();
    store.build_indexes().unwrap();
    let (_, vector, _) = store.get(77).unwrap().unwrap().into_parts();
    drop(store);
    let request = SearchRequest::new(vector.clone(), 3);
    let store = sample::reopen(&sim).unwrap();
    assert_eq!(store.search(&request).unwrap().matches[0].node_id, 77);
    drop(store);
    let stored: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    damage_at(&sim, &stored, 5);
    let store = sample::reopen(&sim).unwrap();
    let found = store.search(&request).unwrap();
    assert!(found.degraded && found.matches.is_empty(), "{found:?}");
    let bad = &store.quarantined()[0];
    assert!(bad.is_open && bad.what.contains("section 5"), "{bad:?}");
}
