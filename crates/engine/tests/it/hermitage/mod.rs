//! Hermitage (Kleppmann, <https://github.com/ept/hermitage>): for each anomaly a script of two or three transactions in
//! which it happens unless the level prevents it; here at all levels, and for every way in which rows are searched.
//!
//! The design's table is asserted both ways: what a level prevents does not happen, and what it allows does. Row 1 is 10 and row
//! 2 is 20 at first. A row's value is an attribute and the place of its vector on a line, so that "values near 30" can be asked for
//! by a filter, within a radius, or as the nearest two, also of an index.

mod dirty;
mod predicates;
mod skew;
mod vectors;
mod world;

use codegraph_vector::IsolationLevel;

use self::world::{Search, World};

use IsolationLevel::{ReadCommitted, ReadUncommitted, RepeatableRead, Serializable};

/// The design's table: the weakest level that prevents each.
const PREVENTED_FROM: [(&str, IsolationLevel); 10] = [
    ("G0", ReadUncommitted),
    ("G1a", ReadCommitted),
    ("G1b", ReadCommitted),
    ("G1c", ReadCommitted),
    ("OTV", ReadCommitted),
    ("PMP", RepeatableRead),
    ("P4", RepeatableRead),
    ("G-single", RepeatableRead),
    ("G2-item", RepeatableRead),
    ("G2", Serializable),
];

/// Runs a script at each level, for each way to search. It says whether the anomaly happened, and that has to be as the
/// table says.
fn each_level(anomaly: &str, script: impl Fn(&World, IsolationLevel) -> bool) {
    let (_, least) = PREVENTED_FROM.iter().find(|(name, _)| *name == anomaly).expect("it is in the table");
    for search in Search::ALL {
        for level in IsolationLevel::ALL {
            let world = World::new(search);
            let happened = script(&world, level);
            assert_eq!(happened, level < *least, "{anomaly} at {level}, {search:?}");
            world.assert_nothing_is_left();
        }
    }
}

/// Runs a script that ends the same at every level.
fn at_all_levels(script: impl Fn(&World, IsolationLevel)) {
    for search in Search::ALL {
        for level in IsolationLevel::ALL {
            let world = World::new(search);
            script(&world, level);
            world.assert_nothing_is_left();
        }
    }
}
