//! Levels, the anomalies that have names, and the one table of which level forbids which.

use std::fmt;
use std::str::FromStr;

/// An isolation level, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Forbids G0.
    ReadUncommitted,
    /// Forbids dirty reads in all forms, and OTV.
    ReadCommitted,
    /// Forbids all but predicate write skew.
    RepeatableRead,
    /// Forbids all.
    Serializable,
}

/// An anomaly of the literature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Write cycles (dirty writes).
    G0,
    /// Aborted reads: what was read never happened.
    G1a,
    /// Intermediate reads: what was read was written over by the very transaction that wrote it.
    G1b,
    /// Circular information flow: a cycle of writes over writes, and reads of writes.
    G1c,
    /// Observed transaction vanishes: one effect of a transaction was seen, and later another was not.
    Otv,
    /// Predicate-many-preceders: the same search twice, with other results.
    Pmp,
    /// Lost update: written over a version newer than the one that was read.
    P4,
    /// A cycle with exactly one write over a read (read skew).
    GSingle,
    /// A cycle with several writes over reads, of items all of them (write skew).
    G2Item,
    /// A cycle with several writes over reads, of predicates too.
    G2,
}

use Class::{G0, G1a, G1b, G1c, G2, G2Item, GSingle, Otv, P4, Pmp};

/// The table: what each level forbids beyond the one above it.
const FORBIDDEN: [(Level, &str, &[Class]); 4] = [
    (Level::ReadUncommitted, "read_uncommitted", &[G0]),
    (Level::ReadCommitted, "read_committed", &[G1a, G1b, G1c, Otv]),
    (Level::RepeatableRead, "repeatable_read", &[Pmp, P4, GSingle, G2Item]),
    (Level::Serializable, "serializable", &[G2]),
];

impl Level {
    /// Every level, the weakest first.
    pub const ALL: [Level; 4] =
        [Level::ReadUncommitted, Level::ReadCommitted, Level::RepeatableRead, Level::Serializable];
}

impl Class {
    /// Every anomaly.
    pub const ALL: [Class; 10] = [G0, G1a, G1b, G1c, Otv, Pmp, P4, GSingle, G2Item, G2];

    /// Whether a level forbids it.
    pub fn forbidden_at(self, level: Level) -> bool {
        FORBIDDEN.iter().any(|(least, _, classes)| *least <= level && classes.contains(&self))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORBIDDEN[*self as usize].1)
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = FORBIDDEN.iter().find(|(_, name, _)| *name == text);
        found.map(|(level, ..)| *level).ok_or_else(|| format!("{text:?} is no level"))
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            G0 => "G0",
            G1a => "G1a",
            G1b => "G1b",
            G1c => "G1c",
            Otv => "OTV",
            Pmp => "PMP",
            P4 => "P4",
            GSingle => "G-single",
            G2Item => "G2-item",
            G2 => "G2",
        })
    }
}
