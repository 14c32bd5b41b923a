//! Holds an open store against a state of the model, through every door for reading.
//!
//! Guards against: rows that differ between `iter`, `get`, `search`, `count` and the content hash; vectors
//! that are not bit-exact; times that change by a recovery, a flush or a merge; damage that
//! `verify` finds.

use std::collections::BTreeSet;

use codegraph_vector::{Filter, NodeId, PersistentVectorStore, ScoreKind, SearchRequest, Snapshot};
use codegraph_vector_testkit::Rng;

use super::generate;
use super::model::{Check, Row, State};

/// Everything that can be asked of a store whose threads are at rest.
pub fn whole(store: &PersistentVectorStore, state: &State, rng: &mut Rng) -> Check {
    let snapshot = store.snapshot().map_err(|error| format!("snapshot: {error}"))?;
    rows(&snapshot, state)?;
    reads(&snapshot, state, rng)?;
    let stats = store.stats().map_err(|error| format!("stats: {error}"))?;
    if (stats.active_vectors, stats.content_hash) != (state.rows.len() as u64, state.hash()) {
        return Err(format!("content: {} rows with hash {:?}", stats.active_vectors, stats.content_hash));
    }
    Ok(())
}

/// Reads every byte again.
pub fn verify(store: &PersistentVectorStore) -> Check {
    let report = store.verify().map_err(|error| format!("verify: {error}"))?;
    if report.is_clean() { Ok(()) } else { Err(format!("verify: {:?}", report.bad_blocks)) }
}

/// All rows, in id order.
pub fn rows(snapshot: &Snapshot, state: &State) -> Check {
    let found = snapshot.iter().map_err(|error| format!("iter: {error}"))?;
    let mut expected = state.rows.values();
    for node in found {
        let node = node.map_err(|error| format!("iter: {error}"))?;
        let row = expected.next().ok_or_else(|| format!("content: node {} is too many", node.id))?;
        same_node(row, &node)?;
    }
    expected.next().map_or(Ok(()), |row| Err(format!("content: node {} is missing", row.node.id)))
}

fn same_node(row: &Row, node: &codegraph_vector::CodeNode) -> Check {
    let bits = |vector: &[f32]| vector.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    if row.node == *node && bits(&row.node.embedding) == bits(&node.embedding) {
        return Ok(());
    }
    Err(format!("content: {node:?} is not as commit {} wrote it: {:?}", row.seqno, row.node))
}

/// A few reads, chosen at random.
pub fn reads(snapshot: &Snapshot, state: &State, rng: &mut Rng) -> Check {
    for _ in 0..3 {
        one(snapshot, state, generate::id(rng))?;
    }
    let filter = generate::filter(rng);
    let ids = snapshot.ids(&filter).map_err(|error| format!("ids: {error}"))?;
    if ids != state.ids(&filter) {
        return Err(format!("content: {filter:?} finds {ids:?}, not {:?}", state.ids(&filter)));
    }
    search(snapshot, state, rng)
}

fn one(snapshot: &Snapshot, state: &State, id: NodeId) -> Check {
    let node = snapshot.get(id).map_err(|error| format!("get: {error}"))?;
    let metadata = snapshot.vector_metadata(id).map_err(|error| format!("vector_metadata: {error}"))?;
    let (row, node, metadata) = match (state.rows.get(&id), node, metadata) {
        (None, None, None) => return Ok(()),
        (Some(row), Some(node), Some(metadata)) => (row, node, metadata),
        (row, node, _) => return Err(format!("content: get({id}) is {node:?}, not {row:?}")),
    };
    same_node(row, &node)?;
    let updated = *row.updated.get_or_init(|| metadata.updated_us);
    let created = *row.created.get_or_init(|| metadata.created_us);
    let found = (metadata.seqno.0, metadata.created_us, metadata.updated_us, metadata.checksum);
    if found != (row.seqno, created, updated, row.checksum) || created > updated {
        return Err(format!("content: columns of node {id} are {found:?}, not those of {row:?}"));
    }
    Ok(())
}

/// A search, held against scores computed here.
fn search(snapshot: &Snapshot, state: &State, rng: &mut Rng) -> Check {
    const TOLERANCE: f64 = 1e-4;
    let dimension = state.rows.values().next().map_or(2, |row| row.node.embedding.len());
    if state.rows.is_empty() {
        return Ok(());
    }
    // So many are ranked by their vectors, that no index and no code leaves one out.
    let request = SearchRequest::new(generate::vector(rng, dimension), rng.between(1, 6)).with_rerank(1000);
    let request = if rng.chance(0.5) { request.with_filter(generate::filter(rng)) } else { request };
    let results = snapshot.search(&request).map_err(|error| format!("search: {error}"))?;
    let everything = Filter::everything();
    let admitted = state.ids(request.filter.as_ref().unwrap_or(&everything));
    let score = |id: &NodeId| {
        let vector = state.rows.get(id).map_or(&[][..], |row| &row.node.embedding);
        score(results.score_kind, &request.vector, vector)
    };
    let found: BTreeSet<NodeId> = results.matches.iter().map(|hit| hit.node_id).collect();
    let worst = results.matches.iter().map(|hit| f64::from(hit.score)).fold(f64::INFINITY, f64::min);
    let wrong = |what: &str| Err(format!("content: the search {request:?} {what}: {:?}", results.matches));
    if found.len() != results.matches.len() || found.len() != admitted.len().min(request.limit) {
        return wrong("finds too few or too many");
    }
    for hit in &results.matches {
        let row = state.rows.get(&hit.node_id).filter(|_| admitted.contains(&hit.node_id));
        let near = (score(&hit.node_id) - f64::from(hit.score)).abs()
            < TOLERANCE * (1.0 + f64::from(hit.score).abs());
        if row.is_none_or(|row| hit.metadata != Some(row.node.metadata()) || hit.seqno.0 != row.seqno)
            || !near
        {
            return wrong(&format!("has a wrong hit on node {}", hit.node_id));
        }
    }
    let better = |id: &&NodeId| !found.contains(id) && score(id) > worst + TOLERANCE * (1.0 + worst.abs());
    admitted.iter().find(better).map_or(Ok(()), |id| wrong(&format!("misses node {id}")))
}

fn score(kind: ScoreKind, a: &[f32], b: &[f32]) -> f64 {
    let sum = |f: fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f((*x).into(), (*y).into())).sum::<f64>();
    let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    match kind {
        ScoreKind::Dot => sum(|x, y| x * y),
        ScoreKind::Euclidean => -sum(|x, y| (x - y) * (x - y)).sqrt(),
        ScoreKind::Cosine => sum(|x, y| x * y) / (norm(a) * norm(b)),
        // No search by vector has such scores: nothing fits them.
        ScoreKind::Bm25 | ScoreKind::Fused => f64::NAN,
    }
}
