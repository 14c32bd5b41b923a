//! Searches that others change the answer of: PMP, and G-single by predicates.

use codegraph_vector::IsolationLevel::RepeatableRead;

use super::world::{Values, conflict, two};
use super::{at_all_levels, each_level};

#[test]
fn pmp_predicate_many_preceders() {
    each_level("PMP", |world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        assert_eq!(t1.near(31, 3), Values::new());
        t2.set(3, 30).unwrap();
        t2.commit().unwrap();
        let found = t1.near(29, 3);
        t1.commit().unwrap();
        assert!(found.is_empty() || found == Values::from([(3, 30)]), "{found:?}");
        !found.is_empty()
    });
}

#[test]
fn pmp_by_counts_and_ids() {
    each_level("PMP", |world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        assert_eq!((t1.count_near(20, 10), t1.ids_near(20, 10)), (2, vec![1, 2]));
        t2.set(3, 30).unwrap();
        t2.commit().unwrap();
        let (count, ids) = (t1.count_near(20, 10), t1.ids_near(20, 10));
        t1.commit().unwrap();
        assert_eq!(count, ids.len() as u64);
        ids.contains(&3)
    });
}

#[test]
fn pmp_for_write_predicates() {
    // T1 moves both rows on while T2 deletes those that are 20. Predicate writes are validated at every level, so that nowhere
    // such a row outlives a delete that committed behind it.
    at_all_levels(|world, level| {
        let (mut t1, t2) = (world.begin(level), world.begin(level));
        t1.set(1, 20).unwrap();
        t1.set(2, 30).unwrap();
        let t2 = world.blocks(t2, |t2| t2.delete_where(20));
        t1.commit().unwrap();
        let (t2, outcome) = t2.goes_on();
        let outcome = outcome.and_then(|deleted| t2.commit().map(|_| deleted));
        match outcome {
            Ok(deleted) => {
                assert!(level < RepeatableRead);
                assert_eq!((deleted, world.values()), (1, Values::from([(2, 30)])));
            }
            refused => {
                assert!(conflict(refused).is_some());
                assert_eq!(world.values(), two(20, 30));
            }
        }
    });
}

#[test]
fn g_single_by_predicate_dependencies() {
    each_level("G-single", |world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        assert_eq!(t1.near(15, 6), two(10, 20));
        t2.set(1, 40).unwrap();
        t2.commit().unwrap();
        let found = t1.near(41, 5);
        t1.commit().unwrap();
        assert!(found.is_empty() || found == Values::from([(1, 40)]), "{found:?}");
        !found.is_empty()
    });
}

#[test]
fn g_single_by_a_write_predicate_1() {
    // T1 knows row 1 from before T2; its delete must not go by row 2 from after it.
    each_level("G-single", |world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        assert_eq!(t1.get(1), Some(10));
        assert_eq!(t2.all(), two(10, 20));
        t2.set(1, 12).unwrap();
        t2.set(2, 18).unwrap();
        t2.commit().unwrap();
        let outcome = t1.delete_where(20).and_then(|deleted| t1.commit().map(|_| deleted));
        assert_eq!(world.values(), two(12, 18));
        match outcome {
            Ok(deleted) => {
                assert_eq!(deleted, 0, "row 2 is not 20 any more");
                true
            }
            refused => conflict(refused).is_none(),
        }
    });
}

#[test]
fn g_single_by_a_write_predicate_2() {
    // The delete of T1 comes first, and is taken back: T2 has nothing to fear from it, at any level.
    at_all_levels(|world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        assert_eq!(t1.get(1), Some(10));
        assert_eq!(t2.all(), two(10, 20));
        t2.set(1, 12).unwrap();
        assert_eq!(t1.delete_where(20).unwrap(), 1);
        let t2 = world.blocks(t2, |t2| t2.set(2, 18));
        t1.abort();
        let (t2, outcome) = t2.goes_on();
        outcome.unwrap();
        t2.commit().unwrap();
        assert_eq!(world.values(), two(12, 18));
    });
}
