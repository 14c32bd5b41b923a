//! Input that cannot be: each has its kind of error and a message that helps, and nothing is lost by it.

use codegraph_vector::{
    CodeNode, ErrorKind, Filter, Metric, NodeId, OpenOptions, PersistentVectorStore, Result, SearchRequest,
    Settings,
};
use codegraph_vector_testkit::{Rng, SimVfs};

use crate::sample::{self, DIMENSION, Model, ROOT, assert_holds, assert_refused, node, nodes, open, put};

/// A store with rows in a segment and in memory.
fn some_store(sim: &SimVfs) -> (PersistentVectorStore, Model) {
    let (store, mut model, rng) = (open(sim).unwrap(), Model::new(), &mut Rng::new(1));
    put(&store, &mut model, &nodes(rng, 0..20)).unwrap();
    store.flush().unwrap();
    put(&store, &mut model, &nodes(rng, 15..30)).unwrap();
    (store, model)
}

/// Refused in every way that a vector comes in, and a whole batch with it.
fn assert_vector_refused(store: &PersistentVectorStore, vector: &[f32], piece: &str) {
    let good = node(&mut Rng::new(2), 500);
    let bad = CodeNode::new(501, vector.to_vec());
    let named = [piece, "node 501"];
    assert_refused(store.put(bad.clone()), ErrorKind::InvalidInput, &named);
    assert_refused(store.put_batch(&[good.clone(), bad.clone()]), ErrorKind::InvalidInput, &named);
    assert_refused(store.replace_path("src/a.rs", &[bad]), ErrorKind::InvalidInput, &named);
    assert_refused(store.update_vector(3, vector), ErrorKind::InvalidInput, &[piece, "node 3"]);
    let search = store.search(&SearchRequest::new(vector, 3));
    assert_refused(search, ErrorKind::InvalidInput, &[piece, "query"]);
}

#[test]
fn a_vector_that_cannot_be_compared_is_refused_everywhere() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim);
    let with = |value: f32| {
        let mut vector = vec![1.0; DIMENSION];
        vector[5] = value;
        vector
    };
    assert_vector_refused(&store, &with(f32::NAN), "at 5 is NaN");
    assert_vector_refused(&store, &with(f32::INFINITY), "at 5 is inf");
    assert_vector_refused(&store, &with(f32::NEG_INFINITY), "at 5 is -inf");
    assert_vector_refused(&store, &[f32::MAX; DIMENSION], "overflows");
    assert_vector_refused(&store, &[0.0; DIMENSION], "zero");
    assert_vector_refused(&store, &[-0.0; DIMENSION], "zero");
    for wrong in [&[][..], &[1.0; DIMENSION - 1], &[1.0; DIMENSION + 1], &[1.0; 4096]] {
        assert_vector_refused(&store, wrong, "this store's vectors have 8");
    }
    assert_holds(&store, &model);
}

#[test]
fn a_zero_vector_is_welcome_where_it_has_a_score() {
    for metric in [Metric::Dot, Metric::Euclidean] {
        let sim = SimVfs::new(1);
        let options = OpenOptions { metric: Some(metric), ..sample::options(&sim) };
        let store = PersistentVectorStore::open(ROOT, options).unwrap();
        store.put(CodeNode::new(1, vec![0.0; DIMENSION])).unwrap();
        store.flush().unwrap();
        let found = store.search(&SearchRequest::new([0.0; DIMENSION], 1)).unwrap();
        assert_eq!((found.matches[0].node_id, found.matches[0].score), (1, 0.0), "{metric}");
    }
}

#[test]
fn a_batch_is_neither_empty_nor_names_an_id_twice() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim);
    assert_refused(store.put_batch(&[]), ErrorKind::InvalidInput, &["empty"]);
    let rng = &mut Rng::new(3);
    let twice = [node(rng, 7), node(rng, 900), node(rng, 7)];
    assert_refused(store.put_batch(&twice), ErrorKind::InvalidInput, &["node 7", "twice"]);
    let unpathed = twice.map(|node| CodeNode { path: None, ..node });
    assert_refused(store.replace_path("a.rs", &unpathed), ErrorKind::InvalidInput, &["node 7", "twice"]);
    assert_eq!(store.delete_batch(&[]).unwrap().deleted, 0);
    assert_holds(&store, &model);
    // Deleting an id twice in one go is not a mistake: it is gone, once.
    assert_eq!(store.delete_batch(&[3, 3, 4, 3]).unwrap().deleted, 2);
}

#[test]
fn metadata_that_is_too_much_or_says_nonsense_is_refused() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim);
    let base = || CodeNode::new(600, vec![1.0; DIMENSION]);
    let huge = base().with_attribute("text", "x".repeat(10 << 20));
    assert_refused(store.put(huge), ErrorKind::TooLarge, &["node 600", "limit", "1048576"]);
    let paths = [
        ("../a.rs", "\"..\""),
        ("src/../../etc/passwd", "\"..\""),
        ("/etc/passwd", "absolute"),
        ("c:/a.rs", "absolute"),
        ("src\\a.rs", "backslash"),
        ("", "empty"),
        ("a//b", "empty component"),
        ("a\0b", "NUL"),
    ];
    for (path, piece) in paths {
        let refused = store.put(base().with_path(path));
        assert_refused(refused, ErrorKind::InvalidInput, &["node 600", piece]);
        assert_refused(store.replace_path(path, &[base()]), ErrorKind::InvalidInput, &[piece]);
    }
    let long = "a/".repeat(3000) + "b";
    assert_refused(store.put(base().with_path(long)), ErrorKind::InvalidInput, &["limit of 4096"]);
    let other = store.replace_path("a.rs", &[base().with_path("b.rs")]);
    assert_refused(other, ErrorKind::InvalidInput, &["a.rs", "b.rs", "node 600"]);
    assert_refused(
        store.put(base().with_lines(9, 3)),
        ErrorKind::InvalidInput,
        &["start_line 9", "end_line 3"],
    );
    let nan = base().with_attribute("x", f64::NAN);
    assert_refused(store.put(nan), ErrorKind::InvalidInput, &["\"x\"", "finite"]);
    assert_holds(&store, &model);
}

#[test]
fn the_largest_metadata_that_is_allowed_comes_back() {
    let sim = SimVfs::new(1);
    let (store, mut model) = some_store(&sim);
    let large = node(&mut Rng::new(9), 700).with_attribute("text", "é".repeat(500_000));
    put(&store, &mut model, &[large]).unwrap();
    assert_holds(&store, &model);
    store.flush().unwrap();
    assert_holds(&store, &model);
    drop(store);
    assert_holds(&open(&sim).unwrap(), &model);
}

#[test]
fn limits_of_searches_and_batches_are_told() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim);
    for limit in [0, codegraph_vector::MAX_LIMIT + 1, usize::MAX] {
        let search = store.search(&SearchRequest::new([1.0; DIMENSION], limit));
        assert_refused(search, ErrorKind::InvalidInput, &["limit", "10000"]);
    }
    let most = store.search(&SearchRequest::new([1.0; DIMENSION], codegraph_vector::MAX_LIMIT)).unwrap();
    assert_eq!(most.matches.len(), model.len());
    store.configure(|settings| settings.max_batch_bytes = 8 << 10).unwrap();
    let rng = &mut Rng::new(4);
    let batch = nodes(rng, 1000..1200);
    assert_refused(store.put_batch(&batch), ErrorKind::TooLarge, &["max_batch_bytes is 8192", "split"]);
    let update = [1.5; DIMENSION];
    store.update_vector(3, &update).unwrap();
    let unknown = store.configure(|settings| settings.merge_fanout = 1);
    assert_refused(unknown, ErrorKind::InvalidInput, &["merge_fanout is 1", "at least 2"]);
    assert_eq!(store.settings().max_batch_bytes, 8 << 10);
    let mut model = model;
    model.get_mut(&3).unwrap().embedding = update.into();
    assert_holds(&store, &model);
}

#[test]
fn a_filter_with_a_mistake_deletes_and_counts_nothing() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim);
    let mistakes = [
        (Filter::eq("langauge", "rust"), "langauge"),
        (!Filter::eq("langauge", "rust"), "langauge"),
        (Filter::path_glob("src/[a"), "bad pattern"),
        (Filter::eq("attributes.x", f64::NAN), "finite"),
        (Filter::any_of("name", (0..20_000).map(|n| n.to_string())), "values"),
    ];
    for (filter, piece) in mistakes {
        assert_refused(store.count(&filter), ErrorKind::InvalidInput, &[piece]);
        assert_refused(store.delete_by_filter(&filter), ErrorKind::InvalidInput, &[piece]);
        let search = SearchRequest::new([1.0; DIMENSION], 3).with_filter(filter);
        assert_refused(store.search(&search), ErrorKind::InvalidInput, &[piece]);
    }
    assert_holds(&store, &model);
}

#[test]
fn a_missing_node_is_not_found_and_deletes_nothing() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim);
    assert_refused(store.update_vector(999, &[1.0; DIMENSION]), ErrorKind::NotFound, &["node 999", "put it"]);
    let before = store.stats().unwrap().seqno;
    let outcome = store.delete(999).unwrap();
    assert_eq!((outcome.deleted, outcome.receipt.seqno, outcome.receipt.durable), (0, before, true));
    assert_eq!(store.get(999).unwrap(), None);
    assert_eq!(store.vector_metadata(999).unwrap(), None);
    assert_holds(&store, &model);
}

/// Everything that changes a store.
pub(crate) fn every_write(store: &PersistentVectorStore) -> Vec<(&'static str, Result<()>)> {
    let node = |id: NodeId| CodeNode::new(id, vec![1.0; DIMENSION]);
    vec![
        ("put", store.put(node(1)).map(drop)),
        ("put_batch", store.put_batch(&[node(1), node(2)]).map(drop)),
        ("update_vector", store.update_vector(1, &[1.0; DIMENSION]).map(drop)),
        ("delete", store.delete(1).map(drop)),
        ("delete_by_filter", store.delete_by_filter(&Filter::everything()).map(drop)),
        ("replace_path", store.replace_path("a.rs", &[node(1)]).map(drop)),
        ("configure", store.configure(|settings: &mut Settings| settings.merge_fanout = 9)),
        ("set_property", store.set_property("root", Some("/"))),
        ("flush", store.flush()),
        ("merge", store.merge().map(drop)),
    ]
}

#[test]
fn a_store_opened_for_reading_says_so_to_every_write() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim);
    let reader = sample::open_read_only(&sim).unwrap();
    for (name, outcome) in every_write(&reader) {
        let error = outcome.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::ReadOnly, "{name}: {error}");
        assert!(
            error.to_string().contains("opened read-only") && error.to_string().contains(ROOT),
            "{name}: {error}"
        );
    }
    assert_holds(&reader, &model);
    assert_holds(&store, &model);
}

#[test]
fn a_closed_store_says_so_to_every_call() {
    let sim = SimVfs::new(1);
    let (store, model) = some_store(&sim);
    let snapshot = store.snapshot().unwrap();
    let other = store.clone();
    store.close().unwrap();
    store.close().unwrap();
    let everything = Filter::everything();
    let request = SearchRequest::new([1.0; DIMENSION], 3);
    let mut outcomes = every_write(&other);
    outcomes.extend([
        ("get", other.get(1).map(drop)),
        ("count", other.count(&everything).map(drop)),
        ("search", other.search(&request).map(drop)),
        ("snapshot", other.snapshot().map(drop)),
        ("verify", other.verify().map(drop)),
        ("stats", other.stats().map(drop)),
        ("property", other.property("root").map(drop)),
        ("refresh", other.refresh()),
        ("snapshot.get", snapshot.get(1).map(drop)),
        ("snapshot.search", snapshot.search(&request).map(drop)),
        ("snapshot.count", snapshot.count(&everything).map(drop)),
        ("snapshot.iter", snapshot.iter().map(|_| ())),
        ("snapshot.each_metadata", snapshot.each_metadata(&everything, &mut |_, _| Ok(()))),
    ]);
    for (name, outcome) in outcomes {
        let error = outcome.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Closed, "{name}: {error}");
        assert!(error.to_string().contains("closed") && error.to_string().contains(ROOT), "{name}: {error}");
    }
    drop((store, other, snapshot));
    assert_holds(&open(&sim).unwrap(), &model);
}
