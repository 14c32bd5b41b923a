//! Lost updates, read skew and write skew: P4, G-single, G2-item, G2.

use codegraph_vector::ConflictCause;
use codegraph_vector::IsolationLevel::{ReadUncommitted, RepeatableRead};

use super::each_level;
use super::world::{Txn, Values, conflict, two};

#[test]
fn p4_lost_update() {
    each_level("P4", |world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        assert_eq!((t1.get(1), t2.get(1)), (Some(10), Some(10)));
        t1.set(1, 11).unwrap();
        let t2 = world.blocks(t2, |t2| t2.set(1, 12));
        t1.commit().unwrap();
        let (t2, outcome) = t2.goes_on();
        match outcome {
            Ok(()) => {
                t2.commit().unwrap();
                assert_eq!(world.values(), two(12, 20));
                true
            }
            refused => {
                assert_eq!(conflict(refused), Some(ConflictCause::Write));
                assert_eq!(world.values(), two(11, 20));
                false
            }
        }
    });
}

#[test]
fn g_single_read_skew() {
    each_level("G-single", |world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        assert_eq!(t1.get(1), Some(10));
        assert_eq!((t2.get(1), t2.get(2)), (Some(10), Some(20)));
        t2.set(1, 12).unwrap();
        t2.set(2, 18).unwrap();
        t2.commit().unwrap();
        let read = t1.get(2).unwrap();
        assert_eq!(t1.get(1), Some(if read == 18 { 12 } else { 10 }));
        t1.commit().unwrap();
        assert!([18, 20].contains(&read));
        read == 18
    });
}

#[test]
fn g2_item_write_skew() {
    each_level("G2-item", |world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        for txn in [&mut t1, &mut t2] {
            assert_eq!((txn.get(1), txn.get(2)), (Some(10), Some(20)));
        }
        t1.set(1, 11).unwrap();
        t2.set(2, 21).unwrap();
        t1.commit().unwrap();
        let refused = conflict(t2.commit());
        assert!([None, Some(ConflictCause::Read)].contains(&refused));
        assert_eq!(world.values(), two(11, if refused.is_some() { 20 } else { 21 }));
        refused.is_none()
    });
}

#[test]
fn g2_item_write_skew_on_rows_that_were_found() {
    each_level("G2-item", |world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        assert_eq!((t1.near(15, 6), t2.near(15, 6)), (two(10, 20), two(10, 20)));
        // Both stay where both searched.
        t1.set(1, 11).unwrap();
        t2.set(2, 19).unwrap();
        t1.commit().unwrap();
        conflict(t2.commit()).is_none()
    });
}

/// Two transactions look for something, find nothing, and each puts what the other looked for.
fn phantoms(
    world: &super::World,
    level: codegraph_vector::IsolationLevel,
    look: fn(&mut Txn) -> usize,
) -> bool {
    let (mut t1, mut t2) = (world.begin(level), world.begin(level));
    assert_eq!((look(&mut t1), look(&mut t2)), (0, 0));
    t1.set(3, 30).unwrap();
    t2.set(4, 32).unwrap();
    t1.commit().unwrap();
    let refused = conflict(t2.commit());
    assert!([None, Some(ConflictCause::Predicate)].contains(&refused), "{refused:?}");
    let mut left = two(10, 20);
    left.extend([(3, 30)]);
    left.extend(refused.is_none().then_some((4, 32)));
    assert_eq!(world.values(), left);
    refused.is_none()
}

#[test]
fn g2_predicate_write_skew() {
    each_level("G2", |world, level| phantoms(world, level, |txn| txn.near(31, 3).len()));
}

#[test]
fn g2_by_counts_and_ids() {
    each_level("G2", |world, level| phantoms(world, level, |txn| txn.count_near(31, 3) as usize));
    each_level("G2", |world, level| phantoms(world, level, |txn| txn.ids_near(31, 3).len()));
}

#[test]
fn g2_with_two_anti_dependency_edges() {
    // T3 sees the world after T2 and before T1, which itself has seen it before T2. T1 read the row that T2 wrote, so this
    // is prevented where rows are validated.
    each_level("G2-item", |world, level| {
        let mut t1 = world.begin(level);
        assert_eq!(t1.all(), two(10, 20));
        let mut t2 = world.begin(level);
        t2.set(2, 25).unwrap();
        t2.commit().unwrap();
        let mut t3 = world.begin(level);
        assert_eq!(t3.all(), two(10, 25));
        t3.commit().unwrap();
        let outcome = t1.set(1, 0).and_then(|()| t1.commit());
        conflict(outcome).is_none()
    });
}

#[test]
fn g2_with_two_anti_dependency_edges_on_a_phantom() {
    each_level("G2", |world, level| {
        let mut t1 = world.begin(level);
        assert_eq!(t1.near(31, 3), Values::new());
        let mut t2 = world.begin(level);
        t2.set(3, 30).unwrap();
        t2.commit().unwrap();
        let mut t3 = world.begin(level);
        assert_eq!(t3.near(31, 3), Values::from([(3, 30)]));
        assert_eq!(t3.get(4), None);
        t3.commit().unwrap();
        let outcome = t1.set(4, 0).and_then(|()| t1.commit());
        let refused = conflict(outcome);
        assert!(level >= RepeatableRead || refused.is_none());
        assert!(level > ReadUncommitted || world.values().contains_key(&4));
        refused.is_none()
    });
}
