//! A write set against a stack of copies.

use codegraph_vector_ann::Metric;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::sample;
use super::*;
use crate::indexing::IndexPolicy;
use crate::node::CodeNode;

#[derive(Clone, Debug)]
enum Step {
    Put(NodeId, u8),
    Delete(NodeId),
    Savepoint,
    /// To one of the savepoints that there are.
    Rollback(prop::sample::Index),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u128, 1..200_u8).prop_map(|(id, value)| Step::Put(id, value)),
        2 => (0..6_u128).prop_map(Step::Delete),
        2 => Just(Step::Savepoint),
        1 => any::<prop::sample::Index>().prop_map(Step::Rollback),
    ]
}

/// What tells a change from another.
fn value(change: &Change) -> Option<f32> {
    change.row().map(|row| row.vector[0])
}

type Model = BTreeMap<NodeId, Option<f32>>;

fn contents(set: &WriteSet) -> Model {
    set.iter().map(|(id, change)| (id, value(change))).collect()
}

proptest! {
    #[test]
    fn goes_back_to_what_it_was(steps in vec(any_step(), 0..40)) {
        let core = sample::open(Metric::Dot, 1, IndexPolicy::Flat);
        let (mut set, mut model) = (WriteSet::default(), Model::new());
        let mut savepoints: Vec<(Savepoint, Model)> = Vec::new();
        for step in steps {
            match step {
                Step::Put(id, number) => {
                    // Some rows are larger than others.
                    let node = CodeNode::new(id, vec![number.into()]).with_name("x".repeat(number.into()));
                    set.set(id, sample::put(&core, node));
                    model.insert(id, Some(number.into()));
                }
                Step::Delete(id) => {
                    set.set(id, Change::Delete);
                    model.insert(id, None);
                }
                Step::Savepoint => savepoints.push((set.savepoint(), model.clone())),
                Step::Rollback(which) => {
                    if savepoints.is_empty() {
                        continue;
                    }
                    savepoints.truncate(which.index(savepoints.len()) + 1);
                    let (savepoint, then) = savepoints.last().unwrap();
                    let changed = set.rollback_to(*savepoint);
                    for (id, change) in &changed {
                        prop_assert_eq!(change.as_ref().map(value), then.get(id).copied());
                    }
                    let ids = model.keys().chain(then.keys());
                    let mut differ = ids.filter(|id| model.get(*id) != then.get(*id));
                    prop_assert!(differ.all(|id| changed.contains_key(id)));
                    model = then.clone();
                }
            }
            prop_assert_eq!(contents(&set), model.clone());
            prop_assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
            prop_assert_eq!(set.bytes(), set.iter().map(|(_, change)| change.bytes()).sum::<u64>());
            for id in 0..6 {
                prop_assert_eq!(set.get(id).map(value), model.get(&id).copied());
            }
            let puts: Vec<_> = set.puts().iter().map(|row| row.id).collect();
            let of_model = |kept: bool| -> Vec<NodeId> {
                let some = model.iter().filter(|(_, value)| value.is_some() == kept);
                some.map(|(id, _)| *id).collect()
            };
            prop_assert_eq!((puts, set.deletes()), (of_model(true), of_model(false)));
        }
    }
}

#[test]
fn overwritten_rows_are_kept_only_as_far_as_a_savepoint_needs_them() {
    let mut set = WriteSet::default();
    (0..10).for_each(|_| set.set(1, Change::Delete));
    assert_eq!(set.undo.len(), 0);
    set.savepoint();
    (0..10).for_each(|_| set.set(1, Change::Delete));
    assert_eq!(set.undo.len(), 1);
    let last = set.savepoint();
    (0..10).for_each(|_| set.set(1, Change::Delete));
    assert_eq!(set.undo.len(), 2);
    set.rollback_to(last);
    (0..10).for_each(|_| set.set(1, Change::Delete));
    assert_eq!(set.undo.len(), 2);
}
