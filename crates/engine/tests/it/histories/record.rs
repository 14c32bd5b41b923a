//! What a run of transactions did and saw, as it was recorded, before anybody has made sense of it.

use std::sync::atomic::{AtomicU64, Ordering};

use codegraph_vector::{AttributeValue, CodeNode, Filter, Match, SearchRequest, TxnId};
use codegraph_vector_testkit::Rng;
use codegraph_vector_testkit::history::{Item, Level, Version};

use crate::sample::DIMENSION;

/// Items that there may be.
pub(super) const ITEMS: std::ops::Range<Item> = 1..7;
/// Groups that items are in. A group is an attribute and a path.
pub(super) const GROUPS: usize = 3;
/// Versions that stand for deletes count from here on.
const DEAD: u64 = 1_000_000;
/// Places on the line: a prime, so that each version has one of its own.
const PLACES: u64 = 1009;

/// Hands out the numbers of versions.
#[derive(Debug, Default)]
pub(super) struct Versions {
    made: AtomicU64,
    dead: AtomicU64,
}

impl Versions {
    pub(super) fn live(&self) -> Version {
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(number < PLACES, "a history has more versions than there are places");
        Version(number)
    }

    pub(super) fn dead(&self) -> Version {
        Version(DEAD + self.dead.fetch_add(1, Ordering::Relaxed))
    }

    /// One delete for each item, of a statement that has yet to be told which of them it deleted.
    pub(super) fn dead_each(&self) -> u64 {
        DEAD + self.dead.fetch_add(ITEMS.end as u64, Ordering::Relaxed)
    }
}

/// Where a version lies on the line: no two at one place, neighbours far apart.
pub(super) fn place(version: Version) -> u64 {
    version.0 * 389 % PLACES
}

fn vector_at(place: f32) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSION];
    vector[0] = place;
    vector
}

pub(super) fn vector(version: Version) -> Vec<f32> {
    vector_at(place(version) as f32)
}

/// The version that lies where a vector is.
pub(super) fn version_of(vector: &[f32]) -> Version {
    let at = vector[0] as u64;
    (1..PLACES).map(Version).find(|version| place(*version) == at).expect("a place has a version")
}

pub(super) fn path(group: usize) -> String {
    format!("group-{group}.rs")
}

pub(super) fn node(item: Item, version: Version, group: usize) -> CodeNode {
    CodeNode::new(item, vector(version)).with_path(path(group)).with_attribute("group", group as i64)
}

pub(super) fn group_of(node: &CodeNode) -> usize {
    match node.attributes["group"] {
        AttributeValue::Integer(group) if node.path.as_deref() == Some(&path(group as usize)) => {
            group as usize
        }
        _ => panic!("a row of two halves: {node:?}"),
    }
}

pub(super) fn by_group(group: usize) -> Filter {
    Filter::eq("attributes.group", group as i64)
}

/// What a search asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) group: Option<usize>,
    /// A place on the line, and how many of the nearest to it; all if none is said.
    pub(super) near: Option<(u64, usize)>,
}

impl Ask {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let near = (rng.below(PLACES as usize) as u64, rng.between(1, 4));
        match rng.below(3) {
            0 => Self { group: Some(rng.below(GROUPS)), near: None },
            1 => Self { group: Some(rng.below(GROUPS)), near: Some(near) },
            _ => Self { group: None, near: Some(near) },
        }
    }

    pub(super) fn request(&self) -> SearchRequest {
        let (place, limit) = self.near.unwrap_or((0, 100));
        // A quarter beyond it, so that nothing is as far on the one side as on the other.
        let mut request = SearchRequest::new(vector_at(place as f32 + 0.25), limit);
        request.with_vector = true;
        match self.group {
            Some(group) => request.with_filter(by_group(group)),
            None => request,
        }
    }

    /// How far a version is from what is asked for, in quarters.
    pub(super) fn distance(&self, version: Version) -> u64 {
        let at = self.near.map_or(0, |(place, _)| place) * 4 + 1;
        at.abs_diff(place(version) * 4)
    }
}

/// The rows that a search found, best first.
pub(super) fn found(matches: &[Match]) -> Vec<(Item, Version)> {
    let vector = |hit: &Match| hit.vector.clone().expect("it was asked for");
    matches.iter().map(|hit| (hit.node_id, version_of(&vector(hit)))).collect()
}

/// The commits that were visible before a statement and after it.
pub(super) type Bracket = (u64, u64);

/// A statement, and what came of it.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    Get {
        item: Item,
        version: Option<Version>,
        at: Bracket,
    },
    /// With the state that it says it searched.
    Search {
        ask: Ask,
        found: Vec<(Item, Version)>,
        seqno: u64,
        at: Bracket,
    },
    Count {
        group: usize,
        count: u64,
        at: Bracket,
    },
    Ids {
        group: usize,
        ids: Vec<Item>,
        at: Bracket,
    },
    Put {
        item: Item,
        version: Version,
        group: usize,
    },
    /// With the group that it kept.
    Update {
        item: Item,
        version: Version,
        group: usize,
    },
    /// There was one to delete.
    Delete {
        item: Item,
        version: Version,
    },
    /// Everything in a group was deleted but for what was put there; so many rows are gone, if it was said.
    Replace {
        group: usize,
        put: Option<(Item, Version)>,
        dead: u64,
        deleted: Option<u64>,
    },
    Savepoint,
    /// Back to the last savepoint.
    RollBack,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the commit that its receipt names.
    Committed(u64),
    Aborted,
}

/// A transaction.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) id: u64,
    /// Its id in the store, if it has one.
    pub(super) txn: Option<TxnId>,
    pub(super) level: Level,
    pub(super) seen: Vec<Seen>,
    /// The commit that all its statements read at, where that is one and it is known.
    pub(super) snapshot: Option<u64>,
    /// What was visible when its first statement began and when that was over.
    pub(super) first: Option<Bracket>,
    pub(super) ending: Ending,
}
