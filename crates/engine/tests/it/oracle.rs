//! Random histories of a store, each read held against a model that is a sorted map and a loop.

use std::collections::BTreeMap;

use codegraph_vector::{
    CodeNode, Filter, Metric, NodeId, NodeMetadata, OpenOptions, PersistentVectorStore, SearchRequest,
    Settings, Snapshot,
};
use codegraph_vector_testkit::SimVfs;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::sample::{self, Model, ROOT};

/// Small whole numbers: dot products and squared distances are exact in f32, so scores have one right value,
/// and there are many ties.
const DIMENSION: usize = 3;
const PATHS: [&str; 6] = ["a", "src/a.rs", "src/a.rs2", "src/b.py", "lib/ü.rs", "z/z/z"];
const LANGUAGES: [&str; 3] = ["rust", "python", "go"];

#[derive(Clone, Debug)]
enum Op {
    Put(Vec<CodeNode>),
    Delete(Vec<NodeId>),
    UpdateVector(NodeId, Vec<f32>),
    ReplacePath(&'static str, Vec<CodeNode>),
    DeleteByFilter(Filter),
    Flush,
    Merge,
    Reopen { cleanly: bool },
    Snapshot,
    Search { query: Vec<f32>, limit: usize, filter: Option<Filter> },
    Count(Filter),
}

fn any_id() -> impl Strategy<Value = NodeId> {
    prop_oneof![8 => 0..24_u128, 1 => select(vec![u128::MAX, 1 << 64, u128::from(u64::MAX)])]
}

fn any_vector() -> impl Strategy<Value = Vec<f32>> {
    let numbers = vec(-2..=2_i8, DIMENSION);
    numbers.prop_map(|numbers| {
        let vector: Vec<f32> = numbers.into_iter().map(f32::from).collect();
        if vector.iter().all(|x| *x == 0.0) { vec![1.0; DIMENSION] } else { vector }
    })
}

fn any_node(path: Option<&'static str>) -> impl Strategy<Value = CodeNode> {
    let path = match path {
        Some(path) => option::of(Just(path)).boxed(),
        None => option::of(select(PATHS.as_slice())).boxed(),
    };
    let metadata =
        (path, option::of(select(LANGUAGES.as_slice())), option::of(0..9_u32), option::of(-2..3_i64));
    (any_id(), any_vector(), metadata).prop_map(|(id, vector, (path, language, line, level))| {
        let metadata = NodeMetadata {
            path: path.map(str::to_owned),
            language: language.map(str::to_owned),
            start_line: line,
            attributes: level.map(|level| ("level".to_owned(), level.into())).into_iter().collect(),
            ..NodeMetadata::default()
        };
        CodeNode::from_parts(id, vector, metadata)
    })
}

fn any_nodes(path: Option<&'static str>) -> impl Strategy<Value = Vec<CodeNode>> {
    let without_repeats = |nodes: Vec<CodeNode>| {
        let by_id: BTreeMap<_, _> = nodes.into_iter().map(|node| (node.id, node)).collect();
        by_id.into_values().collect()
    };
    vec(any_node(path), 1..8).prop_map(without_repeats)
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        select(PATHS.as_slice()).prop_map(Filter::path),
        select(vec!["src/", "", "lib/ü", "src/a.rs"]).prop_map(Filter::path_prefix),
        select(vec!["**/*.rs", "src/*", "*"]).prop_map(Filter::path_glob),
        select(LANGUAGES.as_slice()).prop_map(|language| Filter::eq("language", language)),
        select(vec!["path", "language", "start_line", "attributes.level"]).prop_map(Filter::missing),
        (0..9_u32, 0..9_u32).prop_map(|(a, b)| Filter::range("start_line", a.min(b)..=a.max(b))),
        vec(-2..3_i64, 0..3).prop_map(|levels| Filter::any_of("attributes.level", levels)),
        vec(any_id(), 0..5).prop_map(Filter::ids),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Filter::all),
            vec(inner.clone(), 0..3).prop_map(Filter::any),
            inner.prop_map(|filter| !filter),
        ]
    })
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => any_nodes(None).prop_map(Op::Put),
        3 => vec(any_id(), 1..4).prop_map(Op::Delete),
        2 => (any_id(), any_vector()).prop_map(|(id, vector)| Op::UpdateVector(id, vector)),
        3 => select(PATHS.as_slice())
            .prop_flat_map(|path| (Just(path), prop_oneof![Just(Vec::new()), any_nodes(Some(path))]))
            .prop_map(|(path, nodes)| Op::ReplacePath(path, nodes)),
        1 => any_filter().prop_map(Op::DeleteByFilter),
        3 => Just(Op::Flush),
        2 => Just(Op::Merge),
        2 => any::<bool>().prop_map(|cleanly| Op::Reopen { cleanly }),
        2 => Just(Op::Snapshot),
        5 => (any_vector(), prop_oneof![1..6_usize, Just(1000)], option::of(any_filter()))
            .prop_map(|(query, limit, filter)| Op::Search { query, limit, filter }),
        2 => any_filter().prop_map(Op::Count),
    ]
}

/// The score as its definition says, in f64 of exact sums.
fn score(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    let sum =
        |term: fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| term((*x).into(), (*y).into())).sum::<f64>();
    let norm = |v: &[f32]| f64::from(v.iter().map(|x| x * x).sum::<f32>().sqrt());
    // Adding 0 makes a 0 of -0, which sorts elsewhere.
    0.0 + match metric {
        Metric::Cosine => (sum(|x, y| x * y) / (norm(a) * norm(b))).clamp(-1.0, 1.0) as f32,
        Metric::Dot => sum(|x, y| x * y) as f32,
        Metric::Euclidean => -(sum(|x, y| (x - y) * (x - y)) as f32).sqrt(),
    }
}

fn matching<'a>(model: &'a Model, filter: &Filter) -> Vec<&'a CodeNode> {
    model.values().filter(|node| filter.matches(node.id, &node.metadata())).collect()
}

/// What can be read, of the store or of a snapshot, against the model of that moment.
fn check_reads(snapshot: &Snapshot, model: &Model, metric: Metric, op: &Op) {
    match op {
        Op::Search { query, limit, filter } => {
            let everything = Filter::everything();
            let mut expected: Vec<_> = matching(model, filter.as_ref().unwrap_or(&everything))
                .into_iter()
                .map(|node| (score(metric, query, &node.embedding), node.id))
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            expected.truncate(*limit);
            let with_vector = true;
            let request = SearchRequest {
                filter: filter.clone(),
                with_vector,
                ..SearchRequest::new(query.clone(), *limit)
            };
            let results = snapshot.search(&request).unwrap();
            let found: Vec<_> = results.matches.iter().map(|hit| (hit.score, hit.node_id)).collect();
            assert_eq!(found, expected, "{metric} {op:?}");
            for hit in results.matches {
                let node = &model[&hit.node_id];
                assert_eq!(hit.vector.as_ref(), Some(&node.embedding));
                assert_eq!(hit.metadata, Some(node.metadata()));
            }
        }
        Op::Count(filter) => {
            let expected: Vec<_> = matching(model, filter).into_iter().map(|node| node.id).collect();
            assert_eq!(snapshot.ids(filter).unwrap(), expected, "{filter:?}");
            assert_eq!(snapshot.count(filter).unwrap(), expected.len() as u64);
            assert_eq!(each_metadata(snapshot, filter), metadata_of(matching(model, filter)), "{filter:?}");
        }
        _ => {}
    }
}

fn metadata_of<'a>(nodes: impl IntoIterator<Item = &'a CodeNode>) -> BTreeMap<NodeId, NodeMetadata> {
    nodes.into_iter().map(|node| (node.id, node.metadata())).collect()
}

/// What a pass over the metadata visits, none of it twice.
fn each_metadata(snapshot: &Snapshot, filter: &Filter) -> BTreeMap<NodeId, NodeMetadata> {
    let mut found = BTreeMap::new();
    let mut visit = |id, metadata: &NodeMetadata| {
        assert_eq!(found.insert(id, metadata.clone()), None, "node {id} is visited twice");
        Ok(())
    };
    snapshot.each_metadata(filter, &mut visit).unwrap();
    found
}

fn check_all(snapshot: &Snapshot, model: &Model) {
    let found: Vec<_> = snapshot.iter().unwrap().map(Result::unwrap).collect();
    assert!(found.iter().eq(model.values()), "iteration differs from the model");
    assert_eq!(each_metadata(snapshot, &Filter::everything()), metadata_of(&found));
    for id in (0..25).chain([u128::MAX, 1 << 64]) {
        assert_eq!(snapshot.get(id).unwrap().as_ref(), model.get(&id));
    }
}

struct History {
    sim: SimVfs,
    metric: Metric,
    store: Option<PersistentVectorStore>,
    model: Model,
    snapshots: Vec<(Snapshot, Model)>,
}

impl History {
    fn open(&mut self) -> PersistentVectorStore {
        // Small files: they rotate and fill up by themselves within a history.
        let settings =
            Settings { memtable_bytes: 16 << 10, max_wal_file_bytes: 4 << 10, ..sample::settings() };
        let (dimension, metric) = (Some(DIMENSION), Some(self.metric));
        let environment = sample::environment(&self.sim);
        let options = OpenOptions {
            dimension,
            metric,
            settings: Some(settings),
            environment,
            ..OpenOptions::default()
        };
        PersistentVectorStore::open(ROOT, options).unwrap()
    }

    fn write(&mut self, store: &PersistentVectorStore, op: &Op) {
        let model = &mut self.model;
        match op {
            Op::Put(nodes) => sample::put(store, model, nodes).unwrap(),
            Op::Delete(ids) => {
                let before = model.len();
                model.retain(|id, _| !ids.contains(id));
                assert_eq!(store.delete_batch(ids).unwrap().deleted, (before - model.len()) as u64);
            }
            Op::UpdateVector(id, vector) => match model.get_mut(id) {
                Some(node) => {
                    store.update_vector(*id, vector).unwrap();
                    node.embedding.clone_from(vector);
                }
                None => sample::assert_refused(
                    store.update_vector(*id, vector),
                    codegraph_vector::ErrorKind::NotFound,
                    &["update"],
                ),
            },
            Op::ReplacePath(path, nodes) => {
                let gone = |node: &CodeNode| {
                    node.path.as_deref() == Some(path) && !nodes.iter().any(|new| new.id == node.id)
                };
                let expected = model.values().filter(|node| gone(node)).count();
                assert_eq!(store.replace_path(path, nodes).unwrap().deleted, expected as u64);
                model.retain(|_, node| !gone(node));
                model.extend(nodes.iter().map(|node| (node.id, node.clone().with_path(*path))));
            }
            Op::DeleteByFilter(filter) => {
                let ids: Vec<_> = matching(model, filter).into_iter().map(|node| node.id).collect();
                assert_eq!(store.delete_by_filter(filter).unwrap().deleted, ids.len() as u64);
                model.retain(|id, _| !ids.contains(id));
            }
            Op::Flush => store.flush().unwrap(),
            Op::Merge => drop(store.merge().unwrap()),
            _ => {}
        }
    }

    fn run(&mut self, op: &Op) {
        let store = match self.store.take() {
            Some(store) => store,
            None => self.open(),
        };
        self.write(&store, op);
        match op {
            Op::Snapshot => self.snapshots.push((store.snapshot().unwrap(), self.model.clone())),
            Op::Reopen { cleanly } => {
                self.check_snapshots();
                self.snapshots.clear();
                if !cleanly {
                    self.sim = self.sim.kill();
                }
                drop(store);
                return; // The next operation opens it.
            }
            _ => {}
        }
        check_reads(&store.snapshot().unwrap(), &self.model, self.metric, op);
        for (snapshot, model) in &self.snapshots {
            check_reads(snapshot, model, self.metric, op);
        }
        let stats = store.stats().unwrap();
        assert_eq!(stats.active_vectors, self.model.len() as u64);
        self.store = Some(store);
    }

    fn check_snapshots(&self) {
        self.snapshots.iter().for_each(|(snapshot, model)| check_all(snapshot, model));
    }

    fn finish(mut self) {
        self.check_snapshots();
        self.snapshots.clear();
        let store = self.store.take().unwrap_or_else(|| self.open());
        check_all(&store.snapshot().unwrap(), &self.model);
        let report = store.verify().unwrap();
        assert!(report.is_clean(), "{report:?}");
        // The same contents by another way have the same hash, and other contents have another.
        let sim = SimVfs::new(99);
        let mut other =
            Self { sim, metric: self.metric, store: None, model: Model::new(), snapshots: Vec::new() };
        let direct = other.open();
        for node in self.model.values().rev() {
            direct.put(node.clone()).unwrap();
        }
        assert_eq!(direct.stats().unwrap().content_hash, store.stats().unwrap().content_hash);
        direct.put(CodeNode::new(7777, vec![1.0; DIMENSION])).unwrap();
        assert_ne!(direct.stats().unwrap().content_hash, store.stats().unwrap().content_hash);
    }
}

fn run(metric: Metric, ops: &[Op]) {
    let sim = SimVfs::new(1);
    let mut history = History { sim, metric, store: None, model: Model::new(), snapshots: Vec::new() };
    ops.iter().for_each(|op| history.run(op));
    history.finish();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_read_equals_brute_force(ops in vec(any_op(), 1..50), metric in select(Metric::ALL.as_slice())) {
        run(metric, &ops);
    }
}
