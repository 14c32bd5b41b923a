//! The nouns of the store as newtypes, wherever a mix-up could compile.

use std::fmt;
use wincode::{SchemaRead, SchemaWrite};

/// The caller's name for a node of the code graph; wide enough for a UUID's bits.
pub type NodeId = u128;

/// A row's place in its segment, from 0.
pub type RowOrdinal = u32;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, SchemaRead, SchemaWrite)]
        pub struct $name(pub $inner);

        impl $name {
            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// Commit order. 0 is the empty store; the first commit is 1.
    SeqNo(u64)
}
number! {
    /// A byte position in the write-ahead log, counted over all of its files, headers left out.
    Lsn(u64)
}
number! {
    /// A segment file's number, never used twice in one store.
    SegmentId(u64)
}
number! {
    /// A manifest's number; the highest valid one is the state of the store.
    Generation(u64)
}
number! {
    /// Raised whenever a log's unproven tail is rewritten, so that frames of the old tail are void.
    Epoch(u32)
}

number! {
    /// A transaction's number: the greater, the younger. Never used twice in one store.
    TxnId(u64)
}

impl SeqNo {
    /// Later than every commit.
    pub const MAX: SeqNo = SeqNo(u64::MAX);
}

impl Epoch {
    /// The one that none can follow. Reached by damage or forgery only: a store is not recovered so often.
    pub const LAST: Epoch = Epoch(u32::MAX);
}

impl Lsn {
    /// The position `bytes` further on.
    #[must_use]
    pub fn advance(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }
}

/// A store's random 128-bit identity, part of every checksum, so that no file of another store passes for its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, SchemaRead, SchemaWrite)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
