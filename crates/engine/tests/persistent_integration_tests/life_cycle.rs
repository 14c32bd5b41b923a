//! From the first line of a user's program to the last: creating, storing, finding, replacing, deleting.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use codegraph_vector::{
    CodeNode, EmbedderId, Error, ErrorKind, Filter, Metric, OpenOptions, PersistentVectorStore, Result,
    SearchRequest,
};
use codegraph_vector_testkit::Rng;

use super::{Model, Place, assert_holds, block_on, found, model_of, nearest, node, nodes};

#[test]
fn the_lines_of_the_design_work_as_written() -> Result<()> {
    let place = Place::new();
    let (vectors, backups) = (place.store(), place.backups());
    let (vectors, backups) = (vectors.to_str().unwrap(), backups.to_str().unwrap());
    let nodes = nodes(&mut Rng::new(1), 0..50, 768);
    let query = nodes[7].embedding.clone();

    #[allow(unused_mut)] // As the design has it: what comes later changes the store.
    let mut store = PersistentVectorStore::new(vectors, backups, 768)?; // opens or creates
    block_on(async {
        store.store_embeddings(&nodes).await?; // &[CodeNode] -> CommitReceipt
        let hits = store.search_similar(&query, 10).await?; // Vec<Match {node_id, score, …}>
        assert_eq!((hits.len(), hits[0].node_id), (10, 7));
        assert!(hits[0].score > 0.9999 && hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
        assert_eq!(hits[0].metadata, Some(nodes[7].metadata()));
        Ok::<(), Error>(())
    })?;
    assert_eq!(store.backups().to_str(), Some(backups));
    assert_holds(&store, &model_of(&nodes));
    Ok(())
}

#[test]
fn a_write_that_was_polled_once_and_dropped_happens_all_the_same() {
    let place = Place::new();
    let store = place.open(16).unwrap();
    let batch = nodes(&mut Rng::new(1), 0..20, 16);
    {
        let mut job = pin!(store.store_embeddings(&batch));
        let _ = job.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    for _ in 0..1000 {
        if store.get(19).unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_holds(&store, &model_of(&batch));
    // An error comes out of the future, too.
    let error = block_on(store.store_embeddings(&[CodeNode::new(1, vec![1.0; 3])])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = block_on(store.search_similar(&[0.0; 16], 3)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn many_futures_at_once_under_one_thread() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(2);
    let batches: Vec<_> = (0..50).map(|at| nodes(rng, at * 10..at * 10 + 10, 8)).collect();
    let jobs: Vec<_> = batches.iter().map(|batch| store.store_embeddings(batch)).collect();
    let mut seqnos: Vec<_> = jobs.into_iter().map(|job| block_on(job).unwrap().seqno.0).collect();
    seqnos.sort_unstable();
    assert!(seqnos.into_iter().eq(1..=50), "every commit has its own number");
    assert_holds(&store, &model_of(&batches.concat()));
}

#[test]
fn the_header_says_what_the_store_is() {
    let place = Place::new();
    let embedder = EmbedderId { name: "minilm".into(), version: "6".into(), parameters: "mean".into() };
    let options = OpenOptions {
        dimension: Some(12),
        metric: Some(Metric::Dot),
        embedder: Some(embedder.clone()),
        ..OpenOptions::default()
    };
    let store = PersistentVectorStore::open(place.store(), options).unwrap();
    let header = store.storage_header();
    assert_eq!((header.dimension, header.metric, header.embedder), (12, Metric::Dot, Some(embedder)));
    assert_eq!((header.checkpoint_seqno.0, header.timeline, header.format_version), (0, 0, 2));
    assert!(header.created_us > 1_600_000_000_000_000, "{}", header.created_us);
    store.put(node(&mut Rng::new(1), 1, 12)).unwrap();
    store.flush().unwrap();
    let later = store.storage_header();
    assert_eq!((later.checkpoint_seqno.0, later.store_id), (1, header.store_id));
    assert!(later.generation > header.generation);
    drop(store);
    let reopened = PersistentVectorStore::open(place.store(), OpenOptions::default()).unwrap();
    assert_eq!(reopened.storage_header().store_id, header.store_id);
    assert_eq!(reopened.storage_header().created_us, header.created_us);
    assert!(reopened.backups().to_str().unwrap().ends_with("vectors.db.backups"));
}

#[test]
fn vector_metadata_tells_when_what_and_how_much() {
    let place = Place::new();
    let store = place.open(4).unwrap();
    let first = CodeNode::new(5, vec![3.0, 0.0, 4.0, 0.0]).with_path("a.rs");
    let receipt = store.put(first).unwrap().receipt;
    let then = store.vector_metadata(5).unwrap().unwrap();
    assert_eq!((then.node_id, then.seqno, then.norm), (5, receipt.seqno, 5.0));
    assert!(then.exact && then.codec.is_none());
    assert_eq!((then.created_us, then.vector_bytes), (then.updated_us, 16));
    assert!(then.metadata_bytes > 4);
    for round in 1..=3_u8 {
        std::thread::sleep(std::time::Duration::from_millis(2));
        if round == 2 {
            store.flush().unwrap(); // What is in a segment keeps its times as well.
        }
        let before = store.vector_metadata(5).unwrap().unwrap();
        match round {
            1 => store.put(CodeNode::new(5, vec![3.0, 0.0, 4.0, 0.0]).with_path("b.rs")).unwrap(),
            _ => store.update_vector(5, &[f32::from(round), 0.0, 0.0, 0.0]).unwrap(),
        };
        let now = store.vector_metadata(5).unwrap().unwrap();
        assert_eq!(now.created_us, then.created_us, "replacing keeps the time of creation");
        assert!(now.updated_us > before.updated_us && now.seqno > before.seqno);
        let same = |part: fn(&codegraph_vector::VectorMetadata) -> u64| part(&now) == part(&before);
        assert_eq!(same(|of| of.checksum.vector), round == 1, "the vector's half tells of the vector alone");
        assert_eq!(same(|of| of.checksum.metadata), round != 1, "the metadata's half of the metadata alone");
    }
    store.delete(5).unwrap();
    assert_eq!(store.vector_metadata(5).unwrap(), None);
    store.put(CodeNode::new(5, vec![1.0; 4])).unwrap();
    assert!(
        store.vector_metadata(5).unwrap().unwrap().created_us > then.created_us,
        "a deleted node starts anew"
    );
}

#[test]
fn putting_replaces_updating_keeps_metadata_deleting_counts() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(3);
    let mut model = Model::new();
    for flushed in [false, true] {
        let batch = nodes(rng, 0..30, 8);
        store.put_batch(&batch).unwrap();
        model.extend(model_of(&batch));
        if flushed {
            store.flush().unwrap();
        }
        let bare = CodeNode::new(3, vec![0.5; 8]);
        store.put(bare.clone()).unwrap();
        model.insert(3, bare);
        store.update_vector(4, &[0.25; 8]).unwrap();
        model.get_mut(&4).unwrap().embedding = vec![0.25; 8];
        assert_eq!(store.update_vector(999, &[1.0; 8]).unwrap_err().kind(), ErrorKind::NotFound);
        let outcome = store.delete_batch(&[5, 6, 999]).unwrap();
        assert!(outcome.deleted == 2 && outcome.receipt.durable);
        assert_eq!((store.delete(5).unwrap().deleted, store.delete(7).unwrap().deleted), (0, 1));
        model.retain(|id, _| ![5, 6, 7].contains(id));
        assert_holds(&store, &model);
    }
    let rust = Filter::eq("language", "rust").and(!Filter::ids([8, 9]));
    let expected = model.values().filter(|node| rust.matches(node.id, &node.metadata())).count() as u64;
    assert!(expected > 0);
    assert_eq!(store.delete_by_filter(&rust).unwrap().deleted, expected);
    model.retain(|_, node| !rust.matches(node.id, &node.metadata()));
    assert_holds(&store, &model);
    assert_eq!(store.delete_by_filter(&rust).unwrap().deleted, 0);
}

#[test]
fn replacing_a_path_leaves_exactly_what_was_given() {
    let place = Place::new();
    let store = place.open(8).unwrap();
    let rng = &mut Rng::new(4);
    let at = |path: &str, node: CodeNode| CodeNode { path: Some(path.to_owned()), ..node };
    let mut model = Model::new();
    for (id, path) in (0..40).map(|id| (id, ["a.rs", "a.rs.orig", "b.rs", "src/a.rs"][id % 4])) {
        let node = at(path, node(rng, id as u128, 8));
        model.insert(node.id, node.clone());
        store.put(node).unwrap();
    }
    store.flush().unwrap();
    // One node stays, one moves here from another path, one is new and says no path.
    let kept = at("a.rs", node(rng, 4, 8));
    let moved = at("a.rs", node(rng, 2, 8));
    let new = CodeNode { path: None, ..node(rng, 100, 8) };
    let outcome = store.replace_path("a.rs", &[kept.clone(), moved.clone(), new.clone()]).unwrap();
    assert_eq!(outcome.deleted, 9, "ten had been there, one of them stays");
    model.retain(|_, node| node.path.as_deref() != Some("a.rs"));
    model.extend(model_of(&[kept, moved, at("a.rs", new)]));
    assert_holds(&store, &model);
    assert_eq!(store.replace_path("b.rs", &[]).unwrap().deleted, 9);
    model.retain(|_, node| node.path.as_deref() != Some("b.rs"));
    let before = store.stats().unwrap().seqno;
    assert_eq!(store.replace_path("nowhere.rs", &[]).unwrap().deleted, 0);
    assert_eq!(store.stats().unwrap().seqno, before, "nothing to do is no commit");
    assert_holds(&store, &model);
}

#[test]
fn searches_find_the_nearest_of_those_that_match() {
    let place = Place::new();
    let store = place.open(32).unwrap();
    let rng = &mut Rng::new(5);
    let all = nodes(rng, 0..900, 32);
    for part in all.chunks(300) {
        store.put_batch(part).unwrap();
        store.flush().unwrap();
    }
    let model = model_of(&all);
    let filters = [
        Filter::everything(),
        Filter::eq("language", "rust"),
        Filter::path_prefix("src/").and(Filter::eq("kind", "function")),
        Filter::path_glob("**/*.py").or(Filter::range("start_line", ..50)),
        Filter::nothing(),
    ];
    for filter in filters {
        for limit in [1, 7, 2000] {
            let query = codegraph_vector_testkit::generators::unit_vector(rng, 32);
            let request = SearchRequest::new(query.clone(), limit).with_filter(filter.clone());
            assert_eq!(found(&store, &request), nearest(&model, &query, limit, &filter), "{filter:?}");
        }
    }
}

#[test]
fn vectors_of_another_kind_are_kept_out_and_the_way_out_is_told() {
    let place = Place::new();
    let embedder = |version: &str| EmbedderId {
        name: "minilm".into(),
        version: version.into(),
        parameters: "mean".into(),
    };
    drop(place.open(8).unwrap());
    let open = |options: OpenOptions| PersistentVectorStore::open(place.store(), options).map(drop);
    let refused = |options: OpenOptions, pieces: &[&str]| {
        let error = open(options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(pieces.iter().all(|piece| error.to_string().contains(piece)), "{error}");
    };
    let dimension = OpenOptions { dimension: Some(9), ..OpenOptions::default() };
    refused(dimension, &["8 dimensions, not 9", "the model that made them, or another store", "vectors.db"]);
    let metric = OpenOptions { metric: Some(Metric::Dot), ..OpenOptions::default() };
    refused(metric, &["cosine", "dot", "leave the metric out, or use another store"]);
    // The first embedder that is named is the store's from then on.
    open(OpenOptions { embedder: Some(embedder("1")), ..OpenOptions::default() }).unwrap();
    let other = OpenOptions { embedder: Some(embedder("2")), ..OpenOptions::default() };
    refused(other, &["minilm 1 (mean)", "minilm 2 (mean)", "use that embedder, or index into another store"]);
    open(OpenOptions { embedder: Some(embedder("1")), ..OpenOptions::default() }).unwrap();
    open(OpenOptions::default()).unwrap();
}
