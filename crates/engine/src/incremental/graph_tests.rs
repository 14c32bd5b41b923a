use std::collections::BTreeSet;

use codegraph_vector_testkit::Rng;
use proptest::prelude::*;

use super::*;
use crate::incremental::IncrementalOperation;
use crate::node::CodeNode;

const URGENT_FIRST: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];
const ALL: Most = Most { weight: usize::MAX, bytes: usize::MAX };

fn insert(node_id: u128) -> IncrementalOperation {
    IncrementalOperation::Insert { node_id, vector: vec![1.0] }
}

fn delete(node_id: u128) -> IncrementalOperation {
    IncrementalOperation::Delete { node_id }
}

fn put(node_id: u128, path: &str) -> IncrementalOperation {
    IncrementalOperation::Put(CodeNode::new(node_id, vec![1.0]).with_path(path))
}

fn replace(path: &str, ids: &[u128]) -> IncrementalOperation {
    let nodes = ids.iter().map(|id| CodeNode::new(*id, vec![1.0])).collect();
    IncrementalOperation::ReplacePath { path: path.to_owned(), nodes }
}

fn graph_of(operations: &[(IncrementalOperation, Priority)]) -> Graph<usize> {
    let mut graph = Graph::default();
    for (at, (operation, priority)) in operations.iter().enumerate() {
        graph.insert(operation.spec(*priority), at);
    }
    graph
}

fn normal(operations: impl IntoIterator<Item = IncrementalOperation>) -> Graph<usize> {
    graph_of(&operations.into_iter().map(|operation| (operation, Priority::Normal)).collect::<Vec<_>>())
}

fn take(graph: &mut Graph<usize>, most: Most) -> Vec<usize> {
    graph.take(most, URGENT_FIRST).into_iter().map(|(_, task)| task).collect()
}

#[test]
fn what_may_follow_on_the_same_node_goes_along_and_a_delete_ends_that() {
    let mut graph = normal([insert(1), insert(2), delete(1), insert(1), insert(1)]);
    assert_eq!(take(&mut graph, ALL), [0, 1, 2]);
    assert_eq!(take(&mut graph, ALL), [0; 0], "what follows the delete waits for it");
    graph.finish(0);
    assert_eq!(take(&mut graph, ALL), [0; 0]);
    graph.finish(2);
    assert_eq!(take(&mut graph, ALL), [3, 4]);
}

#[test]
fn a_batch_is_no_larger_than_it_may_be_and_what_it_leaves_waits_for_it() {
    let mut graph = normal([insert(1), insert(1), insert(1), insert(2)]);
    let two = Most { weight: 2, bytes: usize::MAX };
    assert_eq!(take(&mut graph, two), [0, 1]);
    assert_eq!(graph.ready_weight(), 1);
    assert_eq!(take(&mut graph, two), [3], "the third update of node 1 waits for the batch at work");
    graph.finish(0);
    graph.finish(1);
    assert_eq!(take(&mut graph, two), [2]);
    let mut graph = normal([replace("a", &[1, 2, 3]), insert(9)]);
    assert_eq!(take(&mut graph, two), [0], "one that is too large goes alone");
    let bytes = insert(1).spec(Priority::Normal).bytes;
    let mut graph = normal([insert(1), insert(2), insert(3)]);
    assert_eq!(take(&mut graph, Most { weight: 9, bytes: 2 * bytes }), [0, 1]);
}

#[test]
fn the_urgent_goes_first_and_takes_along_what_it_waits_for() {
    let mut graph = graph_of(&[
        (insert(1), Priority::Low),
        (insert(2), Priority::Low),
        (delete(2), Priority::Normal),
        (insert(2), Priority::High),
    ]);
    assert_eq!(graph.queued(), [1, 1, 2]);
    let one = Most { weight: 1, bytes: usize::MAX };
    assert_eq!(take(&mut graph, one), [1]);
    graph.finish(1);
    assert_eq!(take(&mut graph, one), [2]);
    graph.finish(2);
    assert_eq!(take(&mut graph, one), [3]);
    assert_eq!(take(&mut graph, one), [0]);
}

#[test]
fn nodes_of_one_path_do_not_wait_for_each_other_but_its_replacement_waits_for_them() {
    let mut graph = normal([put(1, "a"), put(2, "a"), replace("a", &[3]), put(4, "a"), put(5, "b")]);
    let under: Vec<Key> = graph.nodes_under(Key::path("a")).collect();
    assert_eq!(under, [Key::Node(4), Key::Node(3)]);
    assert_eq!(take(&mut graph, Most { weight: 1, bytes: usize::MAX }), [0]);
    assert_eq!(take(&mut graph, ALL), [1, 4]);
    graph.finish(0);
    assert_eq!(take(&mut graph, ALL), [0; 0]);
    graph.finish(1);
    assert_eq!(take(&mut graph, ALL), [2]);
    graph.finish(2);
    assert_eq!(take(&mut graph, ALL), [3]);
}

#[test]
fn what_is_put_back_keeps_its_place() {
    let mut graph = normal([insert(1), insert(1), insert(1)]);
    let taken = graph.take(Most { weight: 2, bytes: usize::MAX }, URGENT_FIRST);
    for (id, task) in taken {
        graph.put_back(id, task);
    }
    assert_eq!(take(&mut graph, ALL), [0, 1, 2]);
    (0..3).for_each(|id| assert_eq!(graph.finish(id), 1));
    assert_eq!((graph.oldest(), graph.ready_weight(), graph.queued()), (None, 0, [0; 3]));
    assert!(graph.tails.is_empty() && graph.places.is_empty(), "nothing is left over");
}

#[test]
fn one_that_fails_at_once_does_not_let_others_past_the_one_before_it() {
    let mut graph = normal([insert(1), insert(1), insert(1)]);
    let taken = graph.take(Most { weight: 2, bytes: usize::MAX }, URGENT_FIRST);
    let [(first, task), (second, _)] = taken[..] else { panic!("{taken:?}") };
    graph.finish(second);
    assert_eq!(take(&mut graph, ALL), [0; 0], "the first is still out");
    graph.put_back(first, task);
    assert_eq!(take(&mut graph, ALL), [0]);
    graph.finish(first);
    assert_eq!(take(&mut graph, ALL), [2]);
    graph.finish(2);
    assert!(graph.tails.is_empty() && graph.places.is_empty());
}

#[test]
fn an_id_that_is_named_twice_does_not_wait_for_itself() {
    let mut graph = normal([replace("a", &[1, 1])]);
    assert_eq!(take(&mut graph, ALL), [0]);
    graph.finish(0);
    assert!(graph.tails.is_empty());
}

fn any_operation() -> impl Strategy<Value = (IncrementalOperation, Priority)> {
    let path = prop::sample::select(vec!["a", "b"]);
    let operation = prop_oneof![
        4 => (0u128..5).prop_map(insert),
        2 => (0u128..5).prop_map(delete),
        2 => (0u128..5, path.clone()).prop_map(|(id, path)| put(id, path)),
        1 => (path, prop::collection::vec(0u128..5, 0..3)).prop_map(|(path, ids)| replace(path, &ids)),
    ];
    (operation, prop::sample::select(URGENT_FIRST.to_vec()))
}

proptest! {
    #[test]
    fn nobody_overtakes_on_a_node_and_everybody_gets_there(
        operations in prop::collection::vec(any_operation(), 1..40),
        seed: u64,
    ) {
        let (mut rng, mut graph) = (Rng::new(seed), Graph::default());
        let (mut left, mut out, mut done) = (operations.iter().enumerate(), Vec::new(), BTreeSet::new());
        let specs: Vec<Spec> = operations.iter().map(|(operation, priority)| operation.spec(*priority)).collect();
        let clash = |a: &Spec, b: &Spec| {
            let all = |spec: &Spec| spec.keys.iter().chain(&spec.shared).copied().collect::<BTreeSet<_>>();
            all(a).intersection(&all(b)).any(|key| Some(*key) != a.shared || Some(*key) != b.shared)
        };
        while done.len() < operations.len() {
            match rng.below(3) {
                0 => if let Some((at, _)) = left.next() {
                    graph.insert(specs[at].clone(), at);
                },
                1 => {
                    let lanes = *rng.pick(&[URGENT_FIRST, [Priority::Low, Priority::High, Priority::Normal]]);
                    let batch: Vec<usize> = graph
                        .take(Most { weight: rng.between(1, 9), bytes: usize::MAX }, lanes)
                        .into_iter()
                        .map(|(_, at)| at)
                        .collect();
                    prop_assert!(batch.is_sorted());
                    for at in &batch {
                        for before in (0..*at).filter(|before| clash(&specs[*before], &specs[*at])) {
                            let follows = specs[before].leads && specs[*at].follows && batch.contains(&before);
                            prop_assert!(done.contains(&before) || follows, "{at} overtook {before}");
                        }
                    }
                    out.extend(batch);
                }
                _ => if !out.is_empty() {
                    let at = out.swap_remove(rng.below(out.len()));
                    if rng.chance(0.3) {
                        graph.put_back(at as TaskId, at);
                    } else {
                        graph.finish(at as TaskId);
                        done.insert(at);
                    }
                },
            }
            let stuck = left.len() == 0 && out.is_empty() && graph.ready_weight() == 0;
            prop_assert!(!stuck || done.len() == operations.len(), "those that are left wait for nobody");
        }
        prop_assert!(graph.tails.is_empty());
    }
}
