//! The isolation levels, and the one table of what each of them does.

use std::fmt;
use std::str::FromStr;

use codegraph_vector_base::{Error, Result};

/// How much of what others do a transaction may notice. Names as in the literature (Adya's classes and Hermitage's tests
/// say what each allows and prevents).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IsolationLevel {
    /// Reads the latest, others' uncommitted writes included. Prevents G0.
    ReadUncommitted,
    /// Each statement reads a snapshot of its own. Prevents G0, G1a, G1b, G1c, OTV.
    ReadCommitted,
    /// All reads are of one snapshot, the first committer of a node wins, and nodes that were read, or found by a search, must
    /// still be the same at the commit. Prevents PMP, P4, G-single and G2-item, too.
    RepeatableRead,
    /// The same, and filtered searches, nearest-neighbour searches and counts must still find the same. Prevents G2, too.
    Serializable,
}

/// The state that a statement reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadPoint {
    /// What is committed when it begins, and what others have written since.
    Latest,
    /// What is committed when it begins.
    Statement,
    /// What was committed when the transaction began.
    Transaction,
}

/// What a level does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) level: IsolationLevel,
    pub(crate) name: &'static str,
    pub(crate) reads: ReadPoint,
    /// A write of a node that another has committed since the snapshot is refused.
    pub(crate) first_committer_wins: bool,
    /// Nodes read or found are kept in mind, and validated at the commit.
    pub(crate) tracks_rows: bool,
    /// So are searches, counts and filters.
    pub(crate) tracks_predicates: bool,
}

/// The table: one line a level, in order.
const LEVELS: [Rules; 4] = [
    Rules {
        level: IsolationLevel::ReadUncommitted,
        name: "read_uncommitted",
        reads: ReadPoint::Latest,
        first_committer_wins: false,
        tracks_rows: false,
        tracks_predicates: false,
    },
    Rules {
        level: IsolationLevel::ReadCommitted,
        name: "read_committed",
        reads: ReadPoint::Statement,
        first_committer_wins: false,
        tracks_rows: false,
        tracks_predicates: false,
    },
    Rules {
        level: IsolationLevel::RepeatableRead,
        name: "repeatable_read",
        reads: ReadPoint::Transaction,
        first_committer_wins: true,
        tracks_rows: true,
        tracks_predicates: false,
    },
    Rules {
        level: IsolationLevel::Serializable,
        name: "serializable",
        reads: ReadPoint::Transaction,
        first_committer_wins: true,
        tracks_rows: true,
        tracks_predicates: true,
    },
];

impl IsolationLevel {
    /// Every level, the weakest first.
    pub const ALL: [IsolationLevel; 4] = [
        IsolationLevel::ReadUncommitted,
        IsolationLevel::ReadCommitted,
        IsolationLevel::RepeatableRead,
        IsolationLevel::Serializable,
    ];

    /// What this level does.
    pub(crate) fn rules(self) -> &'static Rules {
        &LEVELS[self as usize]
    }

    /// A stable, lower-case name for wire formats.
    pub fn name(self) -> &'static str {
        self.rules().name
    }
}

impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for IsolationLevel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = LEVELS.iter().find(|rules| rules.name == text).map(|rules| rules.level);
        found.ok_or_else(|| {
            let names: Vec<_> = LEVELS.iter().map(|rules| rules.name).collect();
            Error::invalid(format!("there is no isolation level {text:?}; there are {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_levels_only_get_stricter() {
        for (level, rules) in IsolationLevel::ALL.into_iter().zip(&LEVELS) {
            assert_eq!((level.rules(), level), (rules, rules.level));
            assert_eq!(level.name().parse::<IsolationLevel>().unwrap(), level);
        }
        let strictness = |rules: &Rules| {
            let Rules { first_committer_wins, tracks_rows, tracks_predicates, reads, .. } = *rules;
            (reads as u8, first_committer_wins, tracks_rows, tracks_predicates)
        };
        assert!(LEVELS.is_sorted_by_key(strictness));
        assert!("read committed".parse::<IsolationLevel>().unwrap_err().message().contains("read_committed"));
    }
}
