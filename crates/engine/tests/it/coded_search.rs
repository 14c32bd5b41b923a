//! Search through codes and indexes: filters, deaths and snapshots are heeded, scores are true where vectors are kept, near
//! rows are found, and what is said to be exact is.

use std::collections::BTreeMap;

use codegraph_vector::{
    CodeNode, CodecSpec, CompressRequest, Compression, Filter, IndexPolicy, Keep, Match, Metric, NodeId,
    OpenOptions, PersistentVectorStore, Scope, SearchRequest, SearchResults, Settings, Snapshot, Target,
    TestSwitches, VectorMetadata,
};
use codegraph_vector_ann::ExactScan;
use codegraph_vector_testkit::{Rng, SimVfs, generators};

use crate::sample::{self, DIMENSION, Model, ROOT};

/// Candidates enough to leave no row of these stores out.
const EVERY_ROW: usize = 5000;

fn specs() -> [CodecSpec; 6] {
    let scalar = |nbits, uniform| CodecSpec::Scalar { nbits, uniform, scope: Scope::Dimension, brain: false };
    [
        scalar(4, false),
        scalar(8, true),
        scalar(16, true),
        CodecSpec::Product { m: 4, nbits: 6, rotate: true },
        CodecSpec::Binary { bits: 3 },
        CodecSpec::Transform { bytes: 4 },
    ]
}

/// A store and what it should hold.
struct World {
    rng: Rng,
    clusters: generators::Clusters,
    metric: Metric,
    store: PersistentVectorStore,
    model: Model,
}

impl World {
    fn new(seed: u64, metric: Metric, index: IndexPolicy) -> Self {
        let sim = SimVfs::new(seed);
        let mut rng = Rng::new(seed);
        let (min_training_rows, min_index_rows) = (Some(100), Some(100));
        let switches = TestSwitches { min_training_rows, min_index_rows, ..TestSwitches::default() };
        let settings = Some(Settings { index, ..sample::settings() });
        let options = OpenOptions { metric: Some(metric), settings, switches, ..sample::options(&sim) };
        let store = PersistentVectorStore::open(ROOT, options).unwrap();
        let clusters = generators::Clusters::new(&mut rng, DIMENSION, 12, 0.5);
        Self { rng, clusters, metric, store, model: Model::new() }
    }

    /// A vector near others, of some length.
    fn vector(&mut self) -> Vec<f32> {
        let length = self.rng.f32() * 3.0 + 0.1;
        self.clusters.sample(&mut self.rng).into_iter().map(|x| x * length).collect()
    }

    fn put(&mut self, ids: std::ops::Range<NodeId>) {
        let nodes: Vec<CodeNode> =
            ids.map(|id| CodeNode { embedding: self.vector(), ..sample::node(&mut self.rng, id) }).collect();
        sample::put(&self.store, &mut self.model, &nodes).unwrap();
    }

    fn delete_some(&mut self, count: usize) {
        let ids: Vec<NodeId> = self.model.keys().copied().collect();
        let ids: Vec<NodeId> = (0..count).map(|_| *self.rng.pick(&ids)).collect();
        sample::delete(&self.store, &mut self.model, &ids).unwrap();
    }

    fn compress(&self, spec: CodecSpec, keep: Keep) {
        let request = CompressRequest::new(Target::Codec(spec)).with_keep(keep).with_loss();
        self.store.compress(&request, &|_| {}).unwrap();
    }

    /// Gives segments such an index from now on, and those that are there.
    fn index(&self, policy: IndexPolicy) {
        self.store.configure(|settings| settings.index = policy).unwrap();
        self.store.build_indexes().unwrap();
        let stats = self.store.stats().unwrap().index;
        assert_eq!((stats.policy, stats.waiting_segments), (policy.to_string(), 0));
    }

    /// Compresses so from now on, but encodes nothing that is there.
    fn switch(&self, spec: CodecSpec, keep: Keep) {
        self.store.enable_compression(Compression { spec, keep }).unwrap();
    }

    fn check(&mut self) {
        let view = View::of(self.store.snapshot().unwrap(), self.model.clone(), self.metric);
        view.check(self);
    }

    fn requests(&mut self) -> Vec<SearchRequest> {
        let filters = [
            None,
            None,
            Some(Filter::eq("language", "rust")),
            Some(Filter::path_prefix("src/").and(!Filter::eq("attributes.visits", 3))),
            Some(Filter::eq("attributes.visits", 4).and(Filter::eq("kind", "struct"))),
            Some(Filter::ids([1, 2, 3, 150, 700])),
            Some(Filter::eq("language", "cobol")),
        ];
        let request = |filter: Option<Filter>| SearchRequest {
            filter,
            with_vector: true,
            ..SearchRequest::new(self.vector(), self.rng.between(1, 30))
        };
        filters.into_iter().map(request).collect()
    }
}

/// One moment of a store: what a reader sees, and what was given.
struct View {
    snapshot: Snapshot,
    model: Model,
    metric: Metric,
    /// What the store has of each row.
    kept: BTreeMap<NodeId, (CodeNode, VectorMetadata)>,
}

impl View {
    fn of(snapshot: Snapshot, model: Model, metric: Metric) -> Self {
        let row = |node: codegraph_vector::Result<CodeNode>| {
            let node = node.unwrap();
            let metadata = snapshot.vector_metadata(node.id).unwrap().unwrap();
            assert_eq!(snapshot.get(node.id).unwrap().as_ref(), Some(&node));
            assert_eq!(snapshot.is_exact(node.id).unwrap(), metadata.exact);
            (node.id, (node, metadata))
        };
        let kept: BTreeMap<_, _> = snapshot.iter().unwrap().map(row).collect();
        assert!(kept.keys().eq(model.keys()), "the rows that there are");
        for (id, (node, metadata)) in &kept {
            assert_eq!(node.metadata(), model[id].metadata());
            assert!(!metadata.exact || node.embedding == model[id].embedding, "row {id} is not exact");
        }
        Self { snapshot, model, metric, kept }
    }

    fn matching(&self, request: &SearchRequest) -> Vec<NodeId> {
        let everything = Filter::everything();
        let filter = request.filter.as_ref().unwrap_or(&everything);
        let matching = self.model.values().filter(|node| filter.matches(node.id, &node.metadata()));
        matching.map(|node| node.id).collect()
    }

    /// The best rows by these scores.
    fn brute_force(&self, request: &SearchRequest, score: impl Fn(NodeId) -> f32) -> Vec<(f32, NodeId)> {
        let mut scored: Vec<_> = self.matching(request).into_iter().map(|id| (score(id), id)).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.truncate(request.limit);
        scored
    }

    /// The best by the vectors that were given.
    fn given(&self, request: &SearchRequest) -> Vec<(f32, NodeId)> {
        let scan = ExactScan::new(self.metric, &request.vector);
        self.brute_force(request, |id| scan.score_one(&self.model[&id].embedding, self.kept[&id].1.norm))
    }

    /// The best by what is kept.
    fn stored(&self, request: &SearchRequest) -> Vec<(f32, NodeId)> {
        self.brute_force(request, |id| self.score(request, id))
    }

    /// The score of what is kept of a row: of its vector, or if a search may go by codes and there is nothing else, what
    /// is made of the norm and the product that the code stands for.
    fn score(&self, request: &SearchRequest, id: NodeId) -> f32 {
        let (CodeNode { embedding, .. }, VectorMetadata { norm, .. }) = &self.kept[&id];
        if request.exact || self.has_vector(id) {
            return ExactScan::new(self.metric, &request.vector).score_one(embedding, *norm);
        }
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
        let (product, norm) = (dot(&request.vector, embedding), f64::from(*norm));
        let squared = dot(&request.vector, &request.vector);
        let score = match self.metric {
            Metric::Cosine => (product / (squared.sqrt() * norm)).clamp(-1.0, 1.0),
            Metric::Dot => product,
            Metric::Euclidean => -(squared + norm * norm - 2.0 * product).max(0.0).sqrt(),
        };
        score as f32
    }

    fn check(&self, world: &mut World) {
        let requests = world.requests();
        let alone: Vec<SearchResults> =
            requests.iter().map(|request| self.snapshot.search(request).unwrap()).collect();
        assert_eq!(self.snapshot.search_many(&requests).unwrap(), alone);
        let (mut found, mut asked) = (0, 0);
        for (request, results) in requests.iter().zip(&alone) {
            self.check_matches(request, results);
            self.check_exact(request);
            self.check_every_row(request);
            let best = self.given(request);
            found += best.iter().filter(|(_, id)| is_in(*id, results)).count();
            asked += best.len();
        }
        // Of 600 rows in 8 dimensions, by codes of 3 to 4 bytes at the worst.
        let floor = if self.kept.keys().all(|id| self.has_vector(*id)) { 90 } else { 55 };
        assert!(found * 100 >= asked * floor, "{found} of {asked} were found");
    }

    /// What holds of every result, by codes or not.
    fn check_matches(&self, request: &SearchRequest, results: &SearchResults) {
        let matching = self.matching(request);
        assert_eq!(results.matches.len(), matching.len().min(request.limit), "as many as there are");
        let order = |pair: &[Match]| {
            let [a, b] = pair else { unreachable!("windows of two") };
            a.score > b.score || (a.score == b.score && a.node_id < b.node_id)
        };
        assert!(results.matches.windows(2).all(order), "best first, ties by id");
        for hit in &results.matches {
            assert!(matching.contains(&hit.node_id), "{} does not match", hit.node_id);
            let (node, metadata) = &self.kept[&hit.node_id];
            assert_eq!(hit.vector.as_ref(), Some(&node.embedding));
            assert_eq!(hit.exact, metadata.exact);
            let score = self.score(request, hit.node_id);
            if self.has_vector(hit.node_id) {
                assert_eq!(hit.score.to_bits(), score.to_bits(), "the score of the vector");
            } else {
                assert!((hit.score - score).abs() < 1e-2, "{} is far from {score}", hit.score);
            }
        }
        if results.exact {
            assert_eq!(scores(results), self.given(request), "it said exact");
        }
    }

    /// Whether more than a code is kept of a row. Codes of 16 bits are as long as half floats, and count as no more.
    fn has_vector(&self, id: NodeId) -> bool {
        let VectorMetadata { exact, codec, vector_bytes, .. } = &self.kept[&id].1;
        let long_code = codec.as_ref().is_some_and(|codec| codec.starts_with("scalar:nbits=16"));
        *exact || (*vector_bytes == 2 * DIMENSION as u64 && !long_code)
    }

    /// An exact request looks at all that is kept.
    fn check_exact(&self, request: &SearchRequest) {
        let request = &request.clone().with_exact(true);
        let results = self.snapshot.search(request).unwrap();
        let all_given = self.kept.values().all(|(_, metadata)| metadata.exact);
        assert!(results.exact || !all_given, "every vector was looked at");
        self.check_matches(request, &results);
        self.assert_like_stored(request, &results);
    }

    /// With room for every row, codes leave none out.
    fn check_every_row(&self, request: &SearchRequest) {
        let results = self.snapshot.search(&request.clone().with_rerank(EVERY_ROW)).unwrap();
        self.assert_like_stored(request, &results);
    }

    /// Bit for bit where vectors are kept; where some are decoded, or only estimated, as far as that goes.
    fn assert_like_stored(&self, request: &SearchRequest, results: &SearchResults) {
        let stored = self.stored(request);
        if self.kept.keys().all(|id| self.has_vector(*id)) {
            assert_eq!(scores(results), stored);
            return;
        }
        for (hit, (score, id)) in results.matches.iter().zip(&stored) {
            let off = (hit.score - score).abs();
            assert!(off < 1e-2, "{} has {}, where {id} has {score}", hit.node_id, hit.score);
        }
    }
}

fn scores(results: &SearchResults) -> Vec<(f32, NodeId)> {
    results.matches.iter().map(|hit| (hit.score, hit.node_id)).collect()
}

fn is_in(id: NodeId, results: &SearchResults) -> bool {
    results.matches.iter().any(|hit| hit.node_id == id)
}

/// One store's life, with codecs and indexes that come and go.
fn history(seed: u64, metric: Metric) {
    let policies = [IndexPolicy::Ivf, IndexPolicy::hnsw(), IndexPolicy::Flat];
    let policy = |at: u64| policies[(seed / Metric::ALL.len() as u64 + at) as usize % policies.len()];
    let mut world = World::new(seed, metric, policy(0));
    let keeps = [Keep::Full, Keep::F16, Keep::None];
    let codec = |rng: &mut Rng| (rng.pick(&specs()).clone(), *rng.pick(&keeps));
    world.put(0..400);
    world.store.flush().unwrap();
    world.put(380..500);
    world.check();
    let (spec, keep) = codec(&mut world.rng);
    world.compress(spec, keep);
    world.check();
    world.index(policy(1));
    world.check();
    world.put(450..560);
    world.delete_some(40);
    let before = View::of(world.store.snapshot().unwrap(), world.model.clone(), metric);
    let (spec, keep) = (codec(&mut world.rng).0, keep.max(Keep::F16));
    if keep_allows(&world) {
        world.switch(spec.clone(), keep);
    }
    world.put(540..700);
    world.check();
    world.store.flush().unwrap();
    world.put(690..720);
    world.delete_some(20);
    world.check();
    before.check(&mut world);
    world.compress(spec, keep);
    world.check();
    before.check(&mut world);
    world.store.configure(|settings| settings.index = policy(2)).unwrap();
    world.store.merge().unwrap();
    world.check();
    world.store.compress(&CompressRequest::new(Target::None).with_loss(), &|_| {}).unwrap();
    world.check();
    assert!(world.store.verify().unwrap().is_clean());
}

/// Whether the store may be told to compress otherwise: what has nothing but codes is decoded by `compress` alone.
fn keep_allows(world: &World) -> bool {
    world.store.settings().compression.is_none_or(|compression| compression.keep > Keep::None)
}

#[test]
fn searches_are_right_whatever_is_kept() {
    for seed in 0..24 {
        history(seed, Metric::ALL[seed as usize % Metric::ALL.len()]);
    }
}

#[test]
fn a_kept_vector_is_found_and_scored_as_if_there_were_no_codes() {
    for (seed, spec) in specs().into_iter().enumerate() {
        let mut world = World::new(seed as u64, Metric::Cosine, IndexPolicy::Flat);
        world.put(0..600);
        world.store.flush().unwrap();
        let requests = world.requests();
        let search = |world: &World, request: &SearchRequest| {
            let results = world.store.search(request).unwrap();
            assert_eq!(results.matches.iter().filter(|hit| !hit.exact).count(), 0);
            scores(&results)
        };
        let before: Vec<_> = requests.iter().map(|request| search(&world, request)).collect();
        world.compress(spec, Keep::Full);
        let every_row = |request: &SearchRequest| request.clone().with_rerank(EVERY_ROW);
        let after: Vec<_> = requests.iter().map(|request| search(&world, &every_row(request))).collect();
        assert_eq!(before, after);
    }
}

#[test]
fn a_result_says_whether_it_is_exact() {
    let mut world = World::new(1, Metric::Cosine, IndexPolicy::Flat);
    world.put(0..600);
    let request = SearchRequest::new(world.vector(), 10);
    let exact = |request: &SearchRequest, world: &World| {
        let results = world.store.search(request).unwrap();
        (results.exact, results.matches.iter().all(|hit| hit.exact))
    };
    assert_eq!(exact(&request, &world), (true, true), "memtables are scanned");
    let few = request.clone().with_filter(Filter::ids(0..50));
    for (keep, by_codes, all, of_few) in [
        (Keep::Full, (false, true), (true, true), (true, true)),
        (Keep::F16, (false, false), (false, false), (false, false)),
        (Keep::None, (false, false), (false, false), (false, false)),
    ] {
        world.compress(CodecSpec::Binary { bits: 1 }, keep);
        assert_eq!(exact(&request, &world), by_codes, "{keep}");
        assert_eq!(exact(&request.clone().with_exact(true), &world), all, "{keep}");
        assert_eq!(exact(&few, &world), of_few, "{keep}: all that match are ranked by their vectors");
    }
}
