//! Histories of transactions, and a checker that says which of the anomalies that a level forbids are in one.
//!
//! A [`History`] is what transactions did and saw: each write makes a version with a number of its own, each read names the
//! versions that it saw. From it Adya's direct serialization graph is built (`graph`), and the phenomena of the
//! literature are looked for (`phenomena`): Adya, "Weak Consistency" (1999); Adya, Liskov, O'Neil, "Generalized Isolation Level
//! Definitions" (2000); Bailis et al., "Highly Available Transactions" (2013) for OTV and PMP; Berenson et al. (1995) for P4.
//!
//! What always holds:
//! - the checker knows nothing of an engine: a history is plain data, and its text form can be read again;
//! - the order of an item's versions is that of the commits that installed them, unless the history says another;
//! - where levels are mixed, each edge of the graph is somebody's concern (Adya's mixing-correct): a write over a write
//!   everybody's, a read of a write the reader's, a write over a read the reader's again. A cycle is an anomaly only if each of its
//!   edges matters to the level of whom it concerns, by the one table in [`Class::forbidden_at`];
//! - a transaction that gave up has told its caller what it read all the same: dirty reads count for it as well.

mod class;
mod graph;
mod phenomena;
mod text;

use std::collections::{BTreeMap, BTreeSet};

pub use class::{Class, Level};
pub use phenomena::{Anomaly, anomalies};

/// What is read and written.
pub type Item = u128;

/// One write's number, unique in a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// What an item is before anybody has written it.
    pub const UNBORN: Version = Version(0);
}

/// Transactions, in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// What each of them did.
    pub transactions: Vec<Transaction>,
    /// The order of an item's installed versions, where it was observed and is not to be taken from the commits.
    pub orders: BTreeMap<Item, Vec<Version>>,
}

/// What one transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its number, unique in the history.
    pub id: u64,
    /// What it was promised.
    pub level: Level,
    /// Its statements, in order.
    pub events: Vec<Event>,
    /// How it ended.
    pub end: End,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It committed, as this one in the order of commits. Those that wrote nothing have no place in it.
    Committed(Option<u64>),
    /// Nothing of it happened.
    Aborted,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A read of some items, and maybe of all items by a predicate, at once.
    Read(Read),
    /// A write of an item.
    Write {
        /// What was written.
        item: Item,
        /// The version that it made.
        version: Version,
        /// Whether the item is gone by it.
        is_delete: bool,
    },
    /// A write that was taken back before the end, by a savepoint.
    Undo(Version),
}

/// What a statement read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The items that it returned or was asked for, with the versions that it saw of them.
    pub rows: BTreeMap<Item, Version>,
    /// How it found them, if it searched.
    pub predicate: Option<Predicate>,
}

/// A search for all items of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Predicate {
    /// The version of every item that it went by, whether that fits or not. Of items that are not here nothing is known.
    pub versions: BTreeMap<Item, Version>,
    /// All versions of the history that fit.
    pub fitting: BTreeSet<Version>,
    /// The level whose promises this search has, where it is not the transaction's: predicate writes are validated at
    /// every level.
    pub level: Option<Level>,
}

impl History {
    /// The same with every transaction at this level, and so with whatever that forbids counted.
    #[must_use]
    pub fn at(&self, level: Level) -> Self {
        let mut history = self.clone();
        history.transactions.iter_mut().for_each(|transaction| transaction.level = level);
        history
    }

    /// Refuses what is no history: versions that nobody wrote or two did, transactions that do not see their own writes.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and where.
    pub fn check_form(&self) -> Result<(), String> {
        let mut items = BTreeMap::new();
        for transaction in &self.transactions {
            for event in &transaction.events {
                if let Event::Write { item, version, .. } = event
                    && (*version == Version::UNBORN || items.insert(*version, *item).is_some())
                {
                    return Err(format!("transaction {} writes version {} anew", transaction.id, version.0));
                }
            }
        }
        let mut numbers = BTreeSet::new();
        for transaction in &self.transactions {
            transaction
                .check_form(&items)
                .map_err(|error| format!("transaction {}: {error}", transaction.id))?;
            if !numbers.insert(transaction.id) {
                return Err(format!("there are two transactions {}", transaction.id));
            }
        }
        let commits = self.transactions.iter().filter_map(|transaction| transaction.end.place());
        let mut places = BTreeSet::new();
        for place in commits {
            if !places.insert(place) {
                return Err(format!("two transactions are commit {place}"));
            }
        }
        Ok(())
    }
}

impl End {
    /// The place in the order of commits.
    fn place(self) -> Option<u64> {
        match self {
            End::Committed(place) => place,
            End::Aborted => None,
        }
    }
}

impl Transaction {
    fn check_form(&self, items: &BTreeMap<Version, Item>) -> Result<(), String> {
        let mut own: Vec<(Item, Version)> = Vec::new();
        for event in &self.events {
            match event {
                Event::Write { item, version, .. } => own.push((*item, *version)),
                Event::Undo(version) => {
                    let at = own.iter().position(|(_, own)| own == version);
                    own.remove(at.ok_or_else(|| format!("takes back {}, which is not there", version.0))?);
                }
                Event::Read(read) => {
                    let searched = read.predicate.iter().flat_map(|predicate| &predicate.versions);
                    for (item, version) in read.rows.iter().chain(searched) {
                        if *version != Version::UNBORN && items.get(version) != Some(item) {
                            return Err(format!("reads {item}:{}, which nobody wrote", version.0));
                        }
                        let last = own.iter().rev().find(|(of, _)| of == item);
                        if let Some((_, last)) = last
                            && last != version
                        {
                            return Err(format!("reads {item}:{}, and had written {}", version.0, last.0));
                        }
                        let is_ours = self.writes().any(|(_, written)| written == *version);
                        if is_ours && last.is_none() {
                            return Err(format!("reads {item}:{}, which it had taken back", version.0));
                        }
                    }
                }
            }
        }
        if !own.is_empty() && self.end == End::Committed(None) {
            return Err("wrote, and has no place in the order of commits".to_owned());
        }
        Ok(())
    }

    /// Every version that it wrote, in order, those taken back as well.
    fn writes(&self) -> impl Iterator<Item = (Item, Version)> {
        self.events.iter().filter_map(|event| match event {
            Event::Write { item, version, .. } => Some((*item, *version)),
            _ => None,
        })
    }

    /// The versions that it took back.
    fn undone(&self) -> BTreeSet<Version> {
        let undone = self.events.iter().filter_map(|event| match event {
            Event::Undo(version) => Some(*version),
            _ => None,
        });
        undone.collect()
    }

    /// What it leaves behind if it commits: its last version of each item.
    fn last_writes(&self) -> BTreeMap<Item, Version> {
        let undone = self.undone();
        self.writes().filter(|(_, version)| !undone.contains(version)).collect()
    }

    fn reads(&self) -> impl Iterator<Item = &Read> {
        self.events.iter().filter_map(|event| match event {
            Event::Read(read) => Some(read),
            _ => None,
        })
    }
}
