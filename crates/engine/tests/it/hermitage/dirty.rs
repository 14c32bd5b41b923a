//! Dirty writes and dirty reads: G0, G1a, G1b, G1c, OTV.

use codegraph_vector::ConflictCause;
use codegraph_vector::IsolationLevel::{ReadCommitted, ReadUncommitted, RepeatableRead};

use super::each_level;
use super::world::{conflict, two};

#[test]
fn g0_dirty_writes() {
    each_level("G0", |world, level| {
        let (mut t1, t2) = (world.begin(level), world.begin(level));
        t1.set(1, 11).unwrap();
        let t2 = world.blocks(t2, |t2| t2.set(1, 12));
        t1.set(2, 21).unwrap();
        t1.commit().unwrap();
        let (mut t2, outcome) = t2.goes_on();
        if level >= RepeatableRead {
            assert_eq!(conflict(outcome), Some(ConflictCause::Write));
            drop(t2);
            assert_eq!(world.values(), two(11, 21));
            return false;
        }
        outcome.unwrap();
        assert_eq!(world.values(), two(11, 21));
        t2.set(2, 22).unwrap();
        t2.commit().unwrap();
        world.values() != two(12, 22)
    });
}

#[test]
fn g1a_aborted_reads() {
    each_level("G1a", |world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        t1.set(1, 101).unwrap();
        let read = t2.get(1).unwrap();
        let found = t2.near(101, 5);
        assert_eq!(found.contains_key(&1), read == 101, "searches and reads see the same");
        t1.abort();
        assert_eq!(t2.get(1), Some(10));
        assert!(!t2.near(101, 5).contains_key(&1));
        t2.commit().unwrap();
        assert_eq!(world.values(), two(10, 20));
        read == 101
    });
}

#[test]
fn g1b_intermediate_reads() {
    each_level("G1b", |world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        t1.set(1, 101).unwrap();
        let read = t2.get(1).unwrap();
        assert_eq!(t2.near(101, 5).contains_key(&1), read == 101);
        t1.set(1, 11).unwrap();
        assert!(!t2.near(101, 5).contains_key(&1));
        t1.commit().unwrap();
        assert_eq!(t2.get(1), Some(if level >= RepeatableRead { 10 } else { 11 }));
        t2.commit().unwrap();
        read == 101
    });
}

#[test]
fn g1c_circular_information_flow() {
    each_level("G1c", |world, level| {
        let (mut t1, mut t2) = (world.begin(level), world.begin(level));
        t1.set(1, 11).unwrap();
        t2.set(2, 22).unwrap();
        let seen = (t1.get(2), t2.get(1));
        t1.commit().unwrap();
        // Each has read what the other wrote over: at stricter levels that is write skew.
        let skew = (level >= RepeatableRead).then_some(ConflictCause::Read);
        assert_eq!(conflict(t2.commit()), skew);
        assert!([(Some(22), Some(11)), (Some(20), Some(10))].contains(&seen), "{seen:?}");
        seen == (Some(22), Some(11))
    });
}

#[test]
fn otv_observed_transaction_vanishes() {
    each_level("OTV", |world, level| {
        let (mut t1, t2, mut t3) = (world.begin(level), world.begin(level), world.begin(level));
        t1.set(1, 11).unwrap();
        t1.set(2, 19).unwrap();
        let t2 = world.blocks(t2, |t2| t2.set(1, 12));
        t1.commit().unwrap();
        let (mut t2, outcome) = t2.goes_on();
        if level >= RepeatableRead {
            assert_eq!(conflict(outcome), Some(ConflictCause::Write));
            assert_eq!((t3.get(1), t3.get(2)), (Some(10), Some(20)));
            t3.commit().unwrap();
            return false;
        }
        let seen = [t3.get(1).unwrap(), t3.get(2).unwrap()];
        t2.set(2, 18).unwrap();
        assert_eq!(t3.get(2), Some(if level == ReadUncommitted { 18 } else { 19 }));
        t2.commit().unwrap();
        // Once the second row of T2 is seen, so is the first.
        assert_eq!((t3.get(2), t3.get(1)), (Some(18), Some(12)));
        assert_eq!(t3.all(), two(12, 18));
        t3.commit().unwrap();
        assert_eq!(seen[0], if level == ReadCommitted { 11 } else { 12 });
        seen == [12, 19]
    });
}
