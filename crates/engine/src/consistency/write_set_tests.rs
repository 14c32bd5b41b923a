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
    /// One of the savepoints that there are.
    Release(prop::sample::Index),
    /// To one of the savepoints that there are.
    Rollback(prop::sample::Index),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u128, 1..200_u8).prop_map(|(id, value)| Step::Put(id, value)),
        2 => (0..6_u128).prop_map(Step::Delete),
        3 => Just(Step::Savepoint),
        1 => any::<prop::sample::Index>().prop_map(Step::Release),
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
                Step::Release(which) if !savepoints.is_empty() => {
                    let (savepoint, _) = savepoints.remove(which.index(savepoints.len()));
                    set.release(savepoint);
                    set.release(savepoint);
                }
                Step::Rollback(which) if !savepoints.is_empty() => {
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
                Step::Release(_) | Step::Rollback(_) => {}
            }
            prop_assert_eq!(contents(&set), model.clone());
            prop_assert_eq!(set.is_empty(), model.is_empty());
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
fn what_is_kept_for_savepoints_does_not_grow_with_what_is_overwritten() {
    let mut set = WriteSet::default();
    let change = |set: &mut WriteSet| (0..10).for_each(|id| set.set(id % 2, Change::Delete));
    change(&mut set);
    assert_eq!(set.undo.len(), 0);
    let outer = set.savepoint();
    change(&mut set);
    assert_eq!(set.undo.len(), 2);
    for _ in 0..10 {
        // As statements do that may fail.
        let inner = set.savepoint();
        change(&mut set);
        assert_eq!(set.undo.len(), 4);
        set.rollback_to(inner);
        change(&mut set);
        assert_eq!(set.undo.len(), 4);
        set.release(inner);
        assert_eq!(set.undo.len(), 2);
    }
    set.release(outer);
    assert_eq!((set.undo.len(), set.savepoints.len()), (0, 0));
}
