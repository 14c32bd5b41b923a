//! Stores on simulated disks, nodes to put into them, and looks at them, for the tests of the engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use codegraph_vector::{
    CodeNode, Environment, ErrorKind, Filter, Match, NodeId, OpenOptions, PersistentVectorStore, Result,
    SearchRequest, SearchResults, Settings,
};
use codegraph_vector_testkit::{Rng, SeededRandom, SimClock, SimVfs, generators};

/// Where the store lies on a simulated disk.
pub(crate) const ROOT: &str = "/store";
/// Numbers a vector.
pub(crate) const DIMENSION: usize = 8;

/// What a store should hold.
pub(crate) type Model = BTreeMap<NodeId, CodeNode>;

/// Nothing in the background: a simulation is one thread.
pub(crate) fn settings() -> Settings {
    Settings { background: false, ..Settings::default() }
}

/// A world whose files are on `sim`.
pub(crate) fn environment(sim: &SimVfs) -> Environment {
    let (clock, random) = (Arc::new(SimClock::default()), Arc::new(SeededRandom::new(7)));
    Environment { vfs: Arc::new(sim.clone()), clock, random }
}

/// Opens or creates, with [`settings`].
pub(crate) fn options(sim: &SimVfs) -> OpenOptions {
    let (dimension, settings) = (Some(DIMENSION), Some(settings()));
    OpenOptions { dimension, settings, environment: environment(sim), ..OpenOptions::default() }
}

/// Opens the store on `sim`, or creates it.
pub(crate) fn open(sim: &SimVfs) -> Result<PersistentVectorStore> {
    PersistentVectorStore::open(ROOT, options(sim))
}

/// Opens the store on `sim`, which is there, with the settings that are kept in it.
pub(crate) fn reopen(sim: &SimVfs) -> Result<PersistentVectorStore> {
    let options = OpenOptions { must_exist: true, environment: environment(sim), ..OpenOptions::default() };
    PersistentVectorStore::open(ROOT, options)
}

/// Opens the store on `sim` as it is, or not at all if a segment cannot be opened.
pub(crate) fn open_undamaged(sim: &SimVfs, read_only: bool) -> Result<PersistentVectorStore> {
    let (must_exist, refuse_damaged, environment) = (true, true, environment(sim));
    let options =
        OpenOptions { must_exist, read_only, refuse_damaged, environment, ..OpenOptions::default() };
    PersistentVectorStore::open(ROOT, options)
}

/// Opens the store on `sim` beside whoever writes it.
pub(crate) fn open_read_only(sim: &SimVfs) -> Result<PersistentVectorStore> {
    let options = OpenOptions { read_only: true, environment: environment(sim), ..OpenOptions::default() };
    PersistentVectorStore::open(ROOT, options)
}

/// A node as an indexer would make it.
pub(crate) fn node(rng: &mut Rng, id: NodeId) -> CodeNode {
    let line = rng.below(500) as u32 + 1;
    CodeNode::new(id, generators::vector(rng, DIMENSION))
        .with_path(generators::path(rng))
        .with_name(generators::identifier(rng))
        .with_kind(*rng.pick(&["function", "struct", "module"]))
        .with_language(generators::language(rng).0)
        .with_lines(line, line + rng.below(40) as u32)
        .with_attribute("visits", rng.below(9) as u32)
}

/// Nodes with these ids.
pub(crate) fn nodes(rng: &mut Rng, ids: impl IntoIterator<Item = NodeId>) -> Vec<CodeNode> {
    ids.into_iter().map(|id| node(rng, id)).collect()
}

/// Puts into store and model alike.
pub(crate) fn put(store: &PersistentVectorStore, model: &mut Model, nodes: &[CodeNode]) -> Result<()> {
    store.put_batch(nodes)?;
    model.extend(nodes.iter().map(|node| (node.id, node.clone())));
    Ok(())
}

/// Deletes from store and model alike.
pub(crate) fn delete(store: &PersistentVectorStore, model: &mut Model, ids: &[NodeId]) -> Result<()> {
    store.delete_batch(ids)?;
    model.retain(|id, _| !ids.contains(id));
    Ok(())
}

/// All that is in the store.
pub(crate) fn contents(store: &PersistentVectorStore) -> Result<Model> {
    store.snapshot()?.iter()?.map(|node| node.map(|node| (node.id, node))).collect()
}

/// Panics unless the store holds exactly what the model does, and is sound.
#[track_caller]
pub(crate) fn assert_holds(store: &PersistentVectorStore, model: &Model) {
    let found = contents(store).unwrap();
    let ids = |model: &Model| model.keys().copied().collect::<Vec<_>>();
    assert_eq!(ids(&found), ids(model));
    assert!(found == *model, "a node differs");
    assert_eq!(store.stats().unwrap().active_vectors, model.len() as u64);
    let report = store.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// Panics unless this failed with that kind, and a message (file and cause included) that holds every piece.
#[track_caller]
pub(crate) fn assert_refused<T>(outcome: Result<T>, kind: ErrorKind, pieces: &[&str]) {
    let error = outcome.err().expect("this should have been refused");
    assert_eq!(error.kind(), kind, "{error}");
    for piece in pieces {
        assert!(error.to_string().contains(piece), "{piece:?} is not in: {error}");
    }
}

/// What one read of a store says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Nodes(Vec<CodeNode>),
    Node(Box<Option<CodeNode>>),
    Count(u64),
    Found(Vec<Match>),
    /// The same of what is not damaged.
    Degraded(Vec<Match>),
}

impl Answer {
    fn of(results: SearchResults) -> Self {
        match results.degraded {
            true => Self::Degraded(results.matches),
            false => Self::Found(results.matches),
        }
    }
}

/// Every kind of read that there is: all nodes in order, each of `ids`, counts, exact searches.
pub(crate) fn reads(store: &PersistentVectorStore, ids: &[NodeId]) -> Vec<Result<Answer>> {
    let all = || store.snapshot()?.iter()?.collect::<Result<Vec<_>>>();
    let mut answers = vec![all().map(Answer::Nodes)];
    answers.extend(ids.iter().map(|id| store.get(*id).map(|node| Answer::Node(Box::new(node)))));
    let rust = Filter::eq("language", "rust");
    let lines = Filter::range("start_line", 100..400).and(!Filter::path_prefix("src/"));
    let filters = [Filter::everything(), rust, lines, Filter::eq("attributes.visits", 3)];
    answers.extend(filters.iter().map(|filter| store.count(filter).map(Answer::Count)));
    let query: Vec<f32> = (0..DIMENSION).map(|at| at as f32 - 3.5).collect();
    for filter in filters {
        let request = SearchRequest::new(query.clone(), 1000).with_filter(filter);
        answers.push(store.search(&request).map(Answer::of));
    }
    answers.push(store.search(&SearchRequest::new(query, 5)).map(Answer::of));
    answers
}

/// Waits until something is so, for a minute at most.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("a minute passed without: {what}");
}
