//! A pass over metadata: in storage order, stopped by its visitor, beside writers, and without a look at vectors. What it
//! visits is held against a model in `oracle.rs`.

use std::collections::BTreeSet;

use codegraph_vector::{Error, ErrorKind, Filter, NodeId, NodeMetadata, PersistentVectorStore};
use codegraph_vector_testkit::{Rng, SimVfs};

use crate::sample::{assert_refused, node, nodes, open};

/// Rows in several segments, some of them dead, and in memory.
fn spread(sim: &SimVfs) -> PersistentVectorStore {
    let (store, rng) = (open(sim).unwrap(), &mut Rng::new(1));
    for start in [0, 400, 800] {
        store.put_batch(&nodes(rng, start..start + 500)).unwrap();
        store.flush().unwrap();
    }
    store.delete_batch(&(0..1300).step_by(3).collect::<Vec<NodeId>>()).unwrap();
    store.put_batch(&nodes(rng, 1200..1600)).unwrap();
    store
}

#[test]
fn each_segment_is_visited_in_its_order() {
    let sim = SimVfs::new(1);
    let (store, rng) = (open(&sim).unwrap(), &mut Rng::new(1));
    store.put_batch(&nodes(rng, 0..900)).unwrap();
    store.flush().unwrap();
    let mut visited: Vec<(Option<String>, NodeId)> = Vec::new();
    let mut visit = |id: NodeId, metadata: &NodeMetadata| {
        visited.push((metadata.path.clone(), id));
        Ok(())
    };
    store.snapshot().unwrap().each_metadata(&Filter::everything(), &mut visit).unwrap();
    assert_eq!(visited.len(), 900);
    assert!(visited.is_sorted());
}

#[test]
fn an_error_of_the_visitor_ends_the_pass_and_comes_out() {
    let sim = SimVfs::new(1);
    let snapshot = spread(&sim).snapshot().unwrap();
    let all = snapshot.count(&Filter::everything()).unwrap();
    // In the open chunk and in a full one of the memtable, in a segment, and at the last row.
    for stop_at in [1, 300, 700, all] {
        let mut visits = 0;
        let outcome = snapshot.each_metadata(&Filter::everything(), &mut |_, _| {
            visits += 1;
            if visits == stop_at { Err(Error::new(ErrorKind::Conflict, "enough")) } else { Ok(()) }
        });
        assert_refused(outcome, ErrorKind::Conflict, &["enough"]);
        assert_eq!(visits, stop_at);
    }
    let bad = snapshot.each_metadata(&Filter::eq("no such field", 1), &mut |_, _| Ok(()));
    assert_refused(bad, ErrorKind::InvalidInput, &[]);
}

#[test]
fn a_visitor_may_write_and_does_not_see_it() {
    let sim = SimVfs::new(1);
    let store = spread(&sim);
    let (snapshot, rng) = (store.snapshot().unwrap(), &mut Rng::new(2));
    let before: BTreeSet<NodeId> = snapshot.ids(&Filter::everything()).unwrap().into_iter().collect();
    let mut visited = BTreeSet::new();
    let mut visit = |id: NodeId, _: &NodeMetadata| {
        assert!(visited.insert(id), "node {id} is visited twice");
        if visited.len() % 100 == 1 {
            store.put(node(rng, id))?;
            store.put(node(rng, 10_000 + id))?;
            store.flush()?;
        }
        Ok(())
    };
    snapshot.each_metadata(&Filter::everything(), &mut visit).unwrap();
    assert_eq!(visited, before);
}

#[test]
fn vectors_are_not_looked_at() {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    let rows = nodes(&mut Rng::new(1), 0..300);
    store.put_batch(&rows).unwrap();
    store.flush().unwrap();
    drop(store);
    let segment = sim.paths().into_iter().find(|path| path.extension().is_some_and(|end| end == "seg"));
    let segment = segment.expect("a segment");
    let bytes = sim.read_all(&segment).expect("there");
    // Rows are ordered by path, so that this one's vector is somewhere.
    let vector: Vec<u8> = rows[0].embedding.iter().flat_map(|x| x.to_le_bytes()).collect();
    let at = bytes.windows(vector.len()).position(|window| window == vector).expect("its vector");
    sim.flip_bit(&segment, at as u64, 0);
    let store = open(&sim).unwrap();
    store.get(rows[0].id).expect_err("a damaged vector");
    let mut visits = 0;
    let mut visit = |_, _: &NodeMetadata| {
        visits += 1;
        Ok(())
    };
    store.snapshot().unwrap().each_metadata(&Filter::everything(), &mut visit).unwrap();
    assert_eq!(visits, 300);
}
