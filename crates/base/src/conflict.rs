//! Why a write or a transaction could not go on beside others. Every one of them may succeed when it is tried again.

use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::ids::{NodeId, TxnId};

/// What got in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictCause {
    /// Another transaction has written a node since this one's snapshot: first committer wins.
    Write,
    /// Another commit changed a node that was read.
    Read,
    /// Another commit changed which nodes a search, count, filter or path is about.
    Predicate,
    /// A prepared transaction, which must be able to commit, has read or written what this one writes or read.
    Prepared,
    /// Transactions waited for each other in a circle, and this is the youngest of them.
    Deadlock,
    /// An older transaction wanted a lock of this one, under wound-wait.
    Wounded,
    /// A lock was not free in time.
    LockTimeout,
    /// The transaction is so old that it is no longer known what was committed since.
    SnapshotTooOld,
    /// The transaction was idle, or open, for too long, and was rolled back.
    Expired,
    /// There are as many transactions as there may be.
    TooManyTransactions,
}

impl ConflictCause {
    /// Every cause, in the order of statistics.
    pub const ALL: [ConflictCause; 10] = [
        ConflictCause::Write,
        ConflictCause::Read,
        ConflictCause::Predicate,
        ConflictCause::Prepared,
        ConflictCause::Deadlock,
        ConflictCause::Wounded,
        ConflictCause::LockTimeout,
        ConflictCause::SnapshotTooOld,
        ConflictCause::Expired,
        ConflictCause::TooManyTransactions,
    ];

    /// A stable, lower-case name for logs and wire formats.
    pub fn name(self) -> &'static str {
        match self {
            ConflictCause::Write => "write",
            ConflictCause::Read => "read",
            ConflictCause::Predicate => "predicate",
            ConflictCause::Prepared => "prepared",
            ConflictCause::Deadlock => "deadlock",
            ConflictCause::Wounded => "wounded",
            ConflictCause::LockTimeout => "lock_timeout",
            ConflictCause::SnapshotTooOld => "snapshot_too_old",
            ConflictCause::Expired => "expired",
            ConflictCause::TooManyTransactions => "too_many_transactions",
        }
    }
}

impl fmt::Display for ConflictCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConflictCause::Write => "another transaction wrote this node first",
            ConflictCause::Read => "another commit changed a node that was read",
            ConflictCause::Predicate => "another commit changed which nodes this is about",
            ConflictCause::Prepared => "a prepared transaction stands in the way",
            ConflictCause::Deadlock => "a deadlock",
            ConflictCause::Wounded => "an older transaction took a lock over",
            ConflictCause::LockTimeout => "a lock was not free in time",
            ConflictCause::SnapshotTooOld => "the transaction's snapshot is too old to be checked",
            ConflictCause::Expired => "the transaction took too long and was rolled back",
            ConflictCause::TooManyTransactions => "too many transactions are open",
        })
    }
}

/// What got in the way, with whatever is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What it is.
    pub cause: ConflictCause,
    /// The node that it is about.
    pub node: Option<NodeId>,
    /// The search, count, filter or path that it is about, for a human.
    pub predicate: Option<String>,
    /// The other transaction.
    pub transaction: Option<TxnId>,
    /// Of a deadlock: who waited for whom, each for the next and the last for the first.
    pub cycle: Vec<TxnId>,
}

impl Conflict {
    /// A conflict of which no more is known.
    pub fn new(cause: ConflictCause) -> Self {
        Self { cause, node: None, predicate: None, transaction: None, cycle: Vec::new() }
    }

    /// The same, about a node.
    #[must_use]
    pub fn on_node(self, node: NodeId) -> Self {
        Self { node: Some(node), ..self }
    }

    /// The same, about a search, count, filter or path.
    #[must_use]
    pub fn on_predicate(self, predicate: impl Into<String>) -> Self {
        Self { predicate: Some(predicate.into()), ..self }
    }

    /// The same, because of another transaction, if it is known which.
    #[must_use]
    pub fn with(self, transaction: Option<TxnId>) -> Self {
        Self { transaction, ..self }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        if let Some(node) = self.node {
            write!(f, "; node {node}")?;
        }
        if let Some(predicate) = &self.predicate {
            write!(f, "; {predicate}")?;
        }
        if let Some(transaction) = self.transaction {
            write!(f, "; transaction {transaction}")?;
        }
        if let [first, others @ ..] = &self.cycle[..] {
            write!(f, "; transaction {first}")?;
            others.iter().try_for_each(|next| write!(f, " waits for {next}"))?;
            write!(f, ", which waits for {first}")?;
        }
        f.write_str("; try again")
    }
}

impl From<Conflict> for Error {
    fn from(conflict: Conflict) -> Self {
        Self::new(ErrorKind::Conflict, conflict.to_string()).because_of(conflict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_known_and_is_found_in_the_error() {
        let conflict = Conflict::new(ConflictCause::Write).on_node(7).with(Some(TxnId(9)));
        let error = Error::from(conflict.clone());
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(
            error.message(),
            "another transaction wrote this node first; node 7; transaction 9; try again"
        );
        assert_eq!(error.context("commit").conflict(), Some(&conflict));
    }

    #[test]
    fn a_cycle_is_told_in_full() {
        let cycle = vec![TxnId(1), TxnId(2), TxnId(3)];
        let conflict = Conflict { cycle, ..Conflict::new(ConflictCause::Deadlock) };
        let told = "a deadlock; transaction 1 waits for 2 waits for 3, which waits for 1; try again";
        assert_eq!(conflict.to_string(), told);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> =
            ConflictCause::ALL.iter().map(|cause| cause.name()).collect();
        assert_eq!(names.len(), ConflictCause::ALL.len());
    }
}
