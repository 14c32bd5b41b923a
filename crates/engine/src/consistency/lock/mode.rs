//! What is locked, and how: the modes, and the one table of which of them go together.

use std::fmt;

use codegraph_vector_base::NodeId;

/// What a lock is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockTarget {
    /// The whole store.
    Store,
    /// One node, whether it is there or not.
    Node(NodeId),
}

impl LockTarget {
    /// The node that this is.
    pub fn node(self) -> Option<NodeId> {
        match self {
            LockTarget::Store => None,
            LockTarget::Node(node) => Some(node),
        }
    }
}

/// How something is locked: the modes of Gray, Lorie, Putzolu and Traiger, *Granularity of Locks and Degrees of
/// Consistency in a Shared Data Base* (1976).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Intention shared: nodes below are locked to be read.
    IS,
    /// Intention exclusive: nodes below are locked to be written.
    IX,
    /// Shared: nobody else may write.
    S,
    /// Shared, and nodes below are locked to be written.
    SIX,
    /// Exclusive: nobody else may do anything.
    X,
}

/// The modes that others may not hold beside each mode, one bit a mode. All else follows from this table: one mode is stronger
/// than another if it shuts out more, and the join of two is the weakest that shuts out what either does.
const SHUTS_OUT: [u8; 5] = [
    // X SIX S IX IS
    0b1_0_0_0_0, // IS
    0b1_1_1_0_0, // IX
    0b1_1_0_1_0, // S
    0b1_1_1_1_0, // SIX
    0b1_1_1_1_1, // X
];

impl LockMode {
    /// Every mode, none before a weaker one.
    pub const ALL: [LockMode; 5] = [LockMode::IS, LockMode::IX, LockMode::S, LockMode::SIX, LockMode::X];

    fn shuts_out(self) -> u8 {
        SHUTS_OUT[self as usize]
    }

    /// Whether one owner may hold this while another holds `other`.
    pub fn is_compatible(self, other: LockMode) -> bool {
        self.shuts_out() & (1 << other as u8) == 0
    }

    /// Whether who holds this needs no more to have `other`.
    pub fn covers(self, other: LockMode) -> bool {
        self.shuts_out() | other.shuts_out() == self.shuts_out()
    }

    /// The weakest mode that covers both.
    #[must_use]
    pub fn join(self, other: LockMode) -> LockMode {
        let covering = LockMode::ALL.into_iter().find(|mode| mode.covers(self) && mode.covers(other));
        covering.unwrap_or(LockMode::X)
    }

    /// What has to be held on the store by who locks a node so.
    #[must_use]
    pub fn intention(self) -> LockMode {
        match self {
            LockMode::IS | LockMode::S => LockMode::IS,
            LockMode::IX | LockMode::SIX | LockMode::X => LockMode::IX,
        }
    }

    /// The usual name.
    pub fn name(self) -> &'static str {
        match self {
            LockMode::IS => "IS",
            LockMode::IX => "IX",
            LockMode::S => "S",
            LockMode::SIX => "SIX",
            LockMode::X => "X",
        }
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many locks there are of each mode, so that a request need not look at every one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally([u32; 5]);

impl Tally {
    pub(super) fn add(&mut self, mode: LockMode) {
        self.0[mode as usize] += 1;
    }

    pub(super) fn remove(&mut self, mode: LockMode) {
        self.0[mode as usize] -= 1;
    }

    /// Whether a lock of `mode` may come to these.
    pub(super) fn admits(&self, mode: LockMode) -> bool {
        LockMode::ALL.into_iter().all(|other| self.0[other as usize] == 0 || mode.is_compatible(other))
    }
}

#[cfg(test)]
mod tests {
    use super::LockMode::{IS, IX, S, SIX, X};
    use super::*;

    #[test]
    fn the_matrix_is_the_textbooks() {
        // Gray and Reuter, *Transaction Processing* (1993), table 7.11; rows and columns IS, IX, S, SIX, X.
        let textbook = [
            [true, true, true, true, false],
            [true, true, false, false, false],
            [true, false, true, false, false],
            [true, false, false, false, false],
            [false, false, false, false, false],
        ];
        for (row, one) in LockMode::ALL.into_iter().enumerate() {
            for (column, other) in LockMode::ALL.into_iter().enumerate() {
                assert_eq!(one.is_compatible(other), textbook[row][column], "{one} beside {other}");
            }
        }
    }

    #[test]
    fn upgrades_follow_the_lattice() {
        // The same book's table 7.12: what a holder of the row's mode gets who asks for the column's.
        let textbook = [
            [IS, IX, S, SIX, X],
            [IX, IX, SIX, SIX, X],
            [S, SIX, S, SIX, X],
            [SIX, SIX, SIX, SIX, X],
            [X, X, X, X, X],
        ];
        for (row, one) in LockMode::ALL.into_iter().enumerate() {
            for (column, other) in LockMode::ALL.into_iter().enumerate() {
                assert_eq!(one.join(other), textbook[row][column], "{one} and {other}");
                assert_eq!(one.covers(other), one.join(other) == one, "{one} over {other}");
            }
        }
    }

    #[test]
    fn intentions_are_weaker_than_what_they_announce() {
        assert_eq!(LockMode::ALL.map(LockMode::intention), [IS, IX, IS, IX, IX]);
        assert!(LockMode::ALL.into_iter().all(|mode| mode.covers(mode.intention())));
    }

    #[test]
    fn a_tally_admits_what_goes_with_all_it_counts() {
        let mut tally = Tally::default();
        assert!(LockMode::ALL.into_iter().all(|mode| tally.admits(mode)));
        [IS, IX, IX].into_iter().for_each(|mode| tally.add(mode));
        assert_eq!(LockMode::ALL.map(|mode| tally.admits(mode)), [true, true, false, false, false]);
        [IX, IX].into_iter().for_each(|mode| tally.remove(mode));
        assert_eq!(LockMode::ALL.map(|mode| tally.admits(mode)), [true, true, true, true, false]);
    }
}
