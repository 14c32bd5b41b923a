//! What the scripts mean for vectors: nothing uncommitted is in an index, and several rows at once are seen at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use codegraph_vector::IsolationLevel::{self, ReadUncommitted, RepeatableRead};

use super::at_all_levels;
use super::world::{Search, Values, World, row, two};

#[test]
fn an_aborted_upsert_is_in_no_index_and_no_search() {
    at_all_levels(|world, level| {
        let mut t1 = world.begin(level);
        t1.set(1, 101).unwrap();
        t1.set(3, 102).unwrap();
        assert!(t1.delete(2).unwrap());
        // It sees its own writes itself, in searches too.
        assert_eq!(t1.near(101, 5), Values::from([(1, 101), (3, 102)]));
        assert_eq!((t1.near(20, 5), t1.near(10, 5)), (Values::new(), Values::new()));
        // Flushes and merges go on, and take nothing of it along.
        world.index();
        let unchanged = || {
            assert_eq!(
                (world.near(10, 5), world.near(20, 5)),
                (Values::from([(1, 10)]), Values::from([(2, 20)]))
            );
            assert_eq!((world.near(101, 5), world.values()), (Values::new(), two(10, 20)));
        };
        unchanged();
        assert_eq!(t1.near(101, 5), Values::from([(1, 101), (3, 102)]));
        t1.abort();
        unchanged();
        world.index();
        unchanged();
        for level in IsolationLevel::ALL {
            let mut later = world.begin(level);
            assert_eq!((later.near(101, 5), later.near(15, 5)), (Values::new(), two(10, 20)));
            later.commit().unwrap();
        }
    });
}

#[test]
fn several_rows_at_once_are_seen_whole_or_not_at_all() {
    at_all_levels(|world, level| {
        let mut reader = world.begin(level);
        let mut writer = world.begin(level);
        for (at, id) in (1..).zip([1, 2]) {
            writer.set(id, 100 + id as i64).unwrap();
            let seen = reader.near(101, 5).len();
            assert_eq!(seen, if level == ReadUncommitted { at } else { 0 }, "{level}");
            assert_eq!(world.near(101, 5).len(), 0, "outside of transactions only what is committed counts");
        }
        writer.commit().unwrap();
        let seen = reader.near(101, 5);
        assert_eq!(seen, if level >= RepeatableRead { Values::new() } else { two(101, 102) });
        reader.commit().unwrap();
        assert_eq!(world.near(101, 5), two(101, 102));
    });
}

/// Tells readers that there is no more to come, also when the writer panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[test]
fn concurrent_searches_never_see_a_part_of_several_rows() {
    const ROUNDS: i64 = 150;
    for search in Search::ALL {
        let world = &World::new(search);
        let writing = &AtomicBool::new(true);
        let looks: usize = thread::scope(|scope| {
            let readers: Vec<_> = IsolationLevel::ALL[1..]
                .iter()
                .map(|level| {
                    scope.spawn(move || {
                        let mut looks = 0;
                        while writing.load(Ordering::SeqCst) || looks == 0 {
                            let mut txn = world.begin(*level);
                            for value in [0, 50] {
                                // Both rows are always 10 apart, from 10 or from 60 on by turns.
                                let found = txn.near(value + 15, 20);
                                let values: Vec<_> = found.values().copied().collect();
                                match values[..] {
                                    [] => {}
                                    [one, other] => assert_eq!(other, one + 10, "{level}: {found:?}"),
                                    _ => panic!("{level}: a part was seen: {found:?}"),
                                }
                            }
                            txn.commit().unwrap();
                            looks += 1;
                        }
                        looks
                    })
                })
                .collect();
            let stop = Stop(writing);
            for round in 0..ROUNDS {
                let at = if round % 2 == 0 { 60 } else { 10 } + round % 4;
                if round % 3 == 0 {
                    world.store.put_batch(&[row(1, at), row(2, at + 10)]).unwrap();
                } else {
                    let mut txn = world.begin(IsolationLevel::ALL[round as usize % 4]);
                    txn.set(1, at).unwrap();
                    txn.set(2, at + 10).unwrap();
                    txn.commit().unwrap();
                }
                if round % 50 == 20 {
                    world.index();
                }
            }
            drop(stop);
            readers.into_iter().map(|reader| reader.join().unwrap()).sum()
        });
        assert!(looks >= 3);
        world.assert_nothing_is_left();
    }
}
