//! Text search against BM25 computed the long way: random stores, deletes, filters, snapshots; and what is the same
//! wherever rows are. Hybrid search against both rankings.

use std::collections::BTreeMap;

use codegraph_vector::words::each_term;
use codegraph_vector::{
    CodeNode, ErrorKind, Filter, HybridRequest, NodeId, QUALIFIED_NAME, ScoreKind, SearchRequest,
    SearchResults, Snapshot, TextRequest,
};
use codegraph_vector_testkit::SimVfs;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::sample::{self, DIMENSION, Model};

const WORDS: [&str; 9] = ["parse", "parser", "config", "file", "store", "open", "zebra", "größe", "http"];
const PATHS: [&str; 4] = ["src/config.rs", "src/net/http.rs", "lib/open.py", "a"];
/// What a word counts in a name, in a qualified name, among the terms or in a path; what counts as once.
const COUNTS: [f64; 3] = [20.0, 6.0, 1.0];
const ONCE: f64 = 10.0 / 3.0;

#[derive(Clone, Debug)]
enum Op {
    Put(Vec<CodeNode>),
    Delete(Vec<NodeId>),
    Flush,
    Merge,
    Snapshot,
}

fn any_node() -> impl Strategy<Value = CodeNode> {
    let name = vec(select(WORDS.as_slice()), 0..3);
    let terms = vec(select(WORDS.as_slice()), 0..9);
    let path = option::of(select(PATHS.as_slice()));
    (0..60_u128, name, terms, path, any::<bool>()).prop_map(|(id, name, terms, path, qualified)| {
        let mut node = CodeNode::new(id, vec![1.0 + id as f32; DIMENSION]);
        node.path = path.map(str::to_owned);
        node.name = (!name.is_empty()).then(|| name.join("_"));
        node.terms = (!terms.is_empty()).then(|| terms.join(" "));
        match node.name.clone().filter(|_| qualified) {
            Some(name) => node.with_attribute(QUALIFIED_NAME, format!("Store::{name}")),
            None => node,
        }
    })
}

fn any_op() -> impl Strategy<Value = Op> {
    let put = vec(any_node(), 1..30).prop_map(|nodes| {
        let by_id: BTreeMap<_, _> = nodes.into_iter().map(|node| (node.id, node)).collect();
        Op::Put(by_id.into_values().collect())
    });
    prop_oneof![
        4 => put,
        3 => vec(0..60_u128, 1..6).prop_map(Op::Delete),
        2 => Just(Op::Flush),
        1 => Just(Op::Merge),
        1 => Just(Op::Snapshot),
    ]
}

fn any_question() -> impl Strategy<Value = String> {
    let words = vec(select(WORDS.as_slice()), 1..5).prop_map(|words| words.join(" "));
    let names = vec(select(WORDS.as_slice()), 1..3).prop_map(|words| words.join("_"));
    prop_oneof![
        3 => words,
        2 => names.clone(),
        1 => names.prop_map(|name| format!("Store::{name}()")),
        1 => Just("config.rs".to_owned()),
        1 => Just("config config parse_config xyz".to_owned()),
    ]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    prop_oneof![
        select(PATHS.as_slice()).prop_map(Filter::path),
        Just(Filter::path_prefix("src/")),
        Just(Filter::missing("path")),
        vec(0..60_u128, 0..40).prop_map(Filter::ids),
        select(WORDS.as_slice()).prop_map(|name| !Filter::eq("name", name)),
    ]
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    each_term(text, |_, term| words.push(term.to_owned()));
    words
}

/// An identifier as it is kept whole.
fn whole(text: &str) -> Option<String> {
    let joined = text.replace("::", ".").to_lowercase();
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    joined.split('.').all(is_part).then_some(joined)
}

/// Terms of a node with what they count, and its length.
fn document(node: &CodeNode) -> (BTreeMap<String, f64>, f64) {
    let name = node.name.clone().unwrap_or_default();
    let qualified = match node.attributes.get(QUALIFIED_NAME) {
        Some(codegraph_vector::AttributeValue::Text(text)) => text.clone(),
        _ => name.clone(),
    };
    let path = node.path.clone().unwrap_or_default();
    let (mut counts, mut length) = (BTreeMap::<String, f64>::new(), 0.0);
    let texts = [name.clone(), qualified.clone(), node.terms.clone().unwrap_or_default()];
    for (text, count) in texts.iter().zip(COUNTS) {
        for word in words(text) {
            *counts.entry(word).or_default() += count;
            length += 1.0;
        }
    }
    for word in words(&path) {
        *counts.entry(word).or_default() += 1.0;
    }
    let mut wholes: Vec<String> = [name, qualified].iter().filter_map(|name| whole(name)).collect();
    wholes.dedup();
    wholes.extend(path.rsplit('/').next().and_then(whole).map(|file| format!("file {file}")));
    for whole in wholes {
        *counts.entry(format!("whole {whole}")).or_default() += 1.0;
    }
    (counts, length)
}

/// The score of each node by the formula, and whether it is named as asked.
fn scores(model: &Model, question: &str) -> BTreeMap<NodeId, (bool, f64)> {
    let documents: BTreeMap<NodeId, _> = model.iter().map(|(id, node)| (*id, document(node))).collect();
    let rows = documents.len() as f64;
    let mean = (documents.values().map(|(_, length)| length).sum::<f64>() / rows.max(1.0)).max(1.0);
    let mut terms = words(question);
    let asked = |token: &str| {
        let name = whole(token.trim_end_matches("()"));
        name.map_or(Vec::new(), |name| vec![format!("whole {name}"), format!("whole file {name}")])
    };
    for token in question.split_whitespace().filter(|token| words(token).len() > 1) {
        terms.extend(asked(token));
    }
    let mut found: BTreeMap<NodeId, (bool, f64)> = BTreeMap::new();
    for term in &terms {
        let having = documents.values().filter(|(counts, _)| counts.contains_key(term)).count() as f64;
        let rarity = (1.0 + (rows - having + 0.5) / (having + 0.5)).ln();
        for (id, (counts, length)) in &documents {
            if let Some(count) = counts.get(term) {
                let count = count / ONCE;
                let norm = 1.2 * (0.25 + 0.75 * length / mean);
                found.entry(*id).or_default().1 += rarity * 2.2 * count / (count + norm);
            }
        }
    }
    for name in asked(question) {
        for (id, _) in documents.iter().filter(|(_, (counts, _))| counts.contains_key(&name)) {
            found.entry(*id).or_default().0 = true;
        }
    }
    found
}

/// Held against the formula: the right nodes, in order, named ones first.
fn check(results: &SearchResults, model: &Model, question: &str, limit: usize, filter: Option<&Filter>) {
    let mut expected = scores(model, question);
    expected.retain(|id, _| filter.is_none_or(|filter| filter.matches(*id, &model[id].metadata())));
    assert_eq!(results.matches.len(), expected.len().min(limit), "{question}");
    assert_eq!(results.score_kind, ScoreKind::Bm25);
    let found: Vec<(NodeId, f32)> = results.matches.iter().map(|hit| (hit.node_id, hit.score)).collect();
    let in_order =
        |pair: &[(NodeId, f32)]| pair[0].1 > pair[1].1 || pair[0].1 == pair[1].1 && pair[0].0 < pair[1].0;
    assert!(found.windows(2).all(in_order), "{question}: {found:?}");
    // What a name gives is the same for all that have it; words give the rest.
    let name = results.matches.iter().find(|hit| expected[&hit.node_id].0);
    let name = name.map_or(0.0, |hit| f64::from(hit.score) - expected[&hit.node_id].1);
    let score = |(named, by_words): &(bool, f64)| by_words + if *named { name } else { 0.0 };
    for hit in &results.matches {
        let expected = score(&expected[&hit.node_id]);
        assert!(
            (f64::from(hit.score) - expected).abs() < 1e-4 * expected.max(1.0),
            "{question}: {hit:?} {expected}"
        );
        assert_eq!(hit.metadata.as_ref(), Some(&model[&hit.node_id].metadata()));
    }
    let worst = results.matches.last().map_or(f64::INFINITY, |hit| f64::from(hit.score));
    for (id, left_out) in expected.iter().filter(|(id, _)| !found.iter().any(|(found, _)| found == *id)) {
        assert!(score(left_out) < worst + 1e-4 * worst.max(1.0), "{question}: {id} was left out");
    }
    let names = found.iter().map(|(id, _)| expected[id].0);
    assert!(names.is_sorted_by(|a, b| a >= b), "{question}: what is named so is not first: {found:?}");
}

fn search(snapshot: &Snapshot, question: &str, limit: usize, filter: Option<&Filter>) -> SearchResults {
    let request = TextRequest { filter: filter.cloned(), ..TextRequest::new(question, limit) };
    snapshot.search_text(&request).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn text_search_is_bm25_wherever_rows_are(
        ops in vec(any_op(), 1..20),
        questions in vec((any_question(), 1..12_usize, option::of(any_filter())), 1..5),
    ) {
        let store = sample::open(&SimVfs::new(1)).unwrap();
        let mut model = Model::new();
        let mut snapshots: Vec<(Snapshot, Model)> = Vec::new();
        for op in &ops {
            match op {
                Op::Put(nodes) => sample::put(&store, &mut model, nodes).unwrap(),
                Op::Delete(ids) => sample::delete(&store, &mut model, ids).unwrap(),
                Op::Flush => store.flush().unwrap(),
                Op::Merge => drop(store.merge().unwrap()),
                Op::Snapshot => snapshots.push((store.snapshot().unwrap(), model.clone())),
            }
        }
        snapshots.push((store.snapshot().unwrap(), model.clone()));
        let mut last = Vec::new();
        for (question, limit, filter) in &questions {
            for (snapshot, model) in &snapshots {
                let results = search(snapshot, question, *limit, filter.as_ref());
                check(&results, model, question, *limit, filter.as_ref());
                last.push(results.matches);
            }
        }
        // Old snapshots see what they saw, and a new one the same scores, bit for bit, after rows have moved.
        store.flush().unwrap();
        store.merge().unwrap();
        snapshots.pop();
        snapshots.push((store.snapshot().unwrap(), model));
        let mut last = last.into_iter();
        for (question, limit, filter) in &questions {
            for (snapshot, _) in &snapshots {
                let results = search(snapshot, question, *limit, filter.as_ref());
                prop_assert_eq!(Some(results.matches), last.next(), "{}", question);
            }
        }
    }
}

fn named(id: NodeId, name: &str, terms: &str) -> CodeNode {
    let mut vector = vec![0.0; DIMENSION];
    vector[id as usize % DIMENSION] = 1.0;
    CodeNode::new(id, vector).with_name(name).with_terms(terms)
}

#[test]
fn more_rows_than_a_chunk_of_memory_are_found() {
    let store = sample::open(&SimVfs::new(2)).unwrap();
    let mut model = Model::new();
    let nodes: Vec<CodeNode> =
        (0..700).map(|id| named(id, &format!("f{}", id % 7), WORDS[id as usize % WORDS.len()])).collect();
    sample::put(&store, &mut model, &nodes).unwrap();
    sample::delete(&store, &mut model, &(0..300).step_by(3).collect::<Vec<_>>()).unwrap();
    for moved in [false, true] {
        for question in ["zebra", "f3 config", "f5"] {
            check(&search(&store.snapshot().unwrap(), question, 50, None), &model, question, 50, None);
        }
        if !moved {
            store.flush().unwrap();
            sample::delete(&store, &mut model, &[400, 401, 402]).unwrap();
        }
    }
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn what_is_named_as_asked_comes_first() {
    let store = sample::open(&SimVfs::new(3)).unwrap();
    let nodes = [
        named(1, "open_store_file", "open store open store open store"),
        named(2, "open", "unrelated words that are many and long and say nothing of it"),
        named(3, "Store", "open"),
        named(4, "open", "another").with_attribute(QUALIFIED_NAME, "Store::open"),
        named(5, "open_store", "open open open"),
    ];
    store.put_batch(&nodes).unwrap();
    let ids = |question: &str| -> Vec<NodeId> {
        let found = store.search_text(&TextRequest::new(question, 10)).unwrap();
        found.matches.iter().map(|hit| hit.node_id).collect()
    };
    assert_eq!(ids("Store::open")[0], 4);
    assert_eq!(ids("OPEN_STORE()")[0], 5);
    let mut opens = ids("open")[..2].to_vec();
    opens.sort_unstable();
    assert_eq!(opens, [2, 4]);
    // Also where the vectors say otherwise.
    for question in ["Store::open", "`Store.open`"] {
        let near_1 = HybridRequest::new(question, nodes[0].embedding.clone(), 3);
        let found = store.search_hybrid(&near_1).unwrap();
        assert_eq!(found.matches[0].node_id, 4, "{question}");
        assert_eq!(found.score_kind, ScoreKind::Fused);
    }
}

#[test]
fn hybrid_search_is_both_rankings() {
    let store = sample::open(&SimVfs::new(4)).unwrap();
    let nodes: Vec<CodeNode> = (0..40)
        .map(|id| {
            let mut node = named(id, "f", WORDS[id as usize % WORDS.len()]).with_path(PATHS[id as usize % 4]);
            node.embedding[0] += 0.01 * id as f32;
            node
        })
        .collect();
    store.put_batch(&nodes[..25]).unwrap();
    store.flush().unwrap();
    store.put_batch(&nodes[25..]).unwrap();
    store.delete(13).unwrap();
    let snapshot = store.snapshot().unwrap();
    let mut request = HybridRequest::new("zebra config", nodes[9].embedding.clone(), 8);
    request.near.filter = Some(!Filter::path("a"));
    request.near.with_vector = true;
    let found = snapshot.search_hybrid(&request).unwrap();
    // The same by hand, out of the two rankings.
    let filter = request.near.filter.clone().unwrap();
    let by_vector = SearchRequest::new(request.near.vector.clone(), 100).with_filter(filter.clone());
    let by_text = TextRequest::new("zebra config", 100).with_filter(filter);
    let mut scores: BTreeMap<NodeId, f64> = BTreeMap::new();
    for ranking in [snapshot.search(&by_vector).unwrap(), snapshot.search_text(&by_text).unwrap()] {
        for (place, hit) in ranking.matches.iter().enumerate() {
            *scores.entry(hit.node_id).or_default() += 0.5 * 61.0 / (61.0 + place as f64);
        }
    }
    let mut expected: Vec<_> = scores.into_iter().map(|(id, score)| (id, score as f32)).collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    expected.truncate(8);
    assert_eq!(found.matches.iter().map(|hit| (hit.node_id, hit.score)).collect::<Vec<_>>(), expected);
    for hit in &found.matches {
        let node = &nodes[hit.node_id as usize];
        assert_eq!(hit.vector.as_ref(), Some(&node.embedding));
        assert_eq!(hit.metadata.as_ref(), Some(&node.metadata()));
    }
    // A ranking of one's own takes the place of that by vector.
    let own: Vec<NodeId> =
        snapshot.search(&by_vector).unwrap().matches.iter().map(|hit| hit.node_id).collect();
    let by_text = TextRequest { limit: 8, ..by_text };
    let fused = snapshot.search_fused(&by_text, &own, 0.5).unwrap();
    assert_eq!(fused.matches.iter().map(|hit| (hit.node_id, hit.score)).collect::<Vec<_>>(), expected);
    let absent = snapshot.search_fused(&by_text, &[13], 0.5).unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let store = sample::open(&SimVfs::new(5)).unwrap();
    store.put(named(1, "f", "word")).unwrap();
    for limit in [0, codegraph_vector::MAX_LIMIT + 1] {
        let error = store.search_text(&TextRequest::new("word", limit)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error =
            store.search_hybrid(&HybridRequest::new("word", vec![1.0; DIMENSION], limit)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let mistaken = TextRequest::new("word", 1).with_filter(Filter::eq("nonsense", 1));
    assert_eq!(store.search_text(&mistaken).unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut request = HybridRequest::new("word", vec![1.0; DIMENSION], 1);
    request.text_share = 1.5;
    assert!(store.search_hybrid(&request).unwrap_err().message().contains("text_share"));
    for nothing in ["", " ?! ", "neverseen"] {
        assert!(store.search_text(&TextRequest::new(nothing, 5)).unwrap().matches.is_empty(), "{nothing}");
        let found = store.search_hybrid(&HybridRequest::new(nothing, vec![1.0; DIMENSION], 5)).unwrap();
        assert_eq!(found.matches.len(), 1, "{nothing}: by vector alone");
    }
}
