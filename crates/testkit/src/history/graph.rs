//! The direct serialization graph: who wrote over whom, who read from whom, who wrote over what whom had read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use super::{Class, End, History, Item, Level, Predicate, Version};

/// A transaction's place in the history.
pub(super) type Node = usize;

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// ww: the other wrote the next version.
    Write,
    /// wr: the other read what this one wrote, or a predicate whose matches this one changed.
    Read,
    /// rw: the other wrote the next version of what this one read.
    AntiItem,
    /// rw: the other changed the matches of what this one searched for.
    AntiPredicate,
}

impl Kind {
    pub(super) fn is_anti(self) -> bool {
        matches!(self, Kind::AntiItem | Kind::AntiPredicate)
    }

    /// The class that the level of whom an edge concerns has to forbid for a longer cycle through the edge to count.
    fn concern(self) -> Class {
        match self {
            Kind::Write => Class::G0,
            Kind::Read => Class::G1c,
            Kind::AntiItem => Class::G2Item,
            Kind::AntiPredicate => Class::G2,
        }
    }
}

/// An edge of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: Node,
    pub(super) to: Node,
    pub(super) kind: Kind,
    pub(super) item: Item,
    /// The level of the transaction that it concerns: who reads, or for writes over writes anybody.
    level: Level,
}

impl Edge {
    /// Whether it matters in a cycle of this sort.
    pub(super) fn matters(&self, class: Class) -> bool {
        class.forbidden_at(self.level)
    }
}

/// What became of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is, or was, what the item is: the place among the item's installed versions, from 1. 0 is unborn.
    Installed(usize),
    /// Its own transaction wrote over it.
    Intermediate,
    /// Its transaction, or its savepoint, was rolled back.
    Aborted,
}

/// A history's versions, in order, and its edges.
pub(super) struct Graph<'a> {
    pub(super) history: &'a History,
    /// The installed versions of each item, with who wrote them.
    installed: BTreeMap<Item, Vec<(Version, Node)>>,
    fates: BTreeMap<Version, (Node, Fate)>,
    pub(super) edges: Vec<Edge>,
}

impl<'a> Graph<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut graph =
            Self { history, installed: BTreeMap::new(), fates: BTreeMap::new(), edges: Vec::new() };
        graph.install();
        graph.link_writes();
        for (node, transaction) in history.transactions.iter().enumerate() {
            if transaction.end != End::Aborted {
                transaction.reads().for_each(|read| graph.link_read(node, read));
            }
        }
        graph
    }

    fn install(&mut self) {
        let mut commits: Vec<(u64, Node)> = Vec::new();
        for (node, transaction) in self.history.transactions.iter().enumerate() {
            let undone = transaction.undone();
            for (_, version) in transaction.writes() {
                let is_lost = transaction.end == End::Aborted || undone.contains(&version);
                self.fates.insert(version, (node, if is_lost { Fate::Aborted } else { Fate::Intermediate }));
            }
            commits.extend(transaction.end.place().map(|place| (place, node)));
        }
        commits.sort_unstable();
        for (_, node) in commits {
            for (item, version) in self.history.transactions[node].last_writes() {
                self.installed.entry(item).or_default().push((version, node));
            }
        }
        for (item, versions) in &mut self.installed {
            if let Some(order) = self.history.orders.get(item) {
                versions.sort_by_key(|(version, _)| order.iter().position(|other| other == version));
            }
            for (at, (version, node)) in versions.iter().enumerate() {
                self.fates.insert(*version, (*node, Fate::Installed(at + 1)));
            }
        }
    }

    /// Who wrote a version, and what became of it. Nobody wrote the unborn one.
    pub(super) fn fate(&self, version: Version) -> (Option<Node>, Fate) {
        self.fates.get(&version).map_or((None, Fate::Installed(0)), |(node, fate)| (Some(*node), *fate))
    }

    /// The place of a version that others than `reader` installed, if it is one.
    pub(super) fn place(&self, reader: Node, version: Version) -> Option<usize> {
        match self.fate(version) {
            (writer, Fate::Installed(place)) if writer != Some(reader) => Some(place),
            _ => None,
        }
    }

    /// Versions of an item from place 1 on.
    pub(super) fn versions(&self, item: Item) -> &[(Version, Node)] {
        self.installed.get(&item).map_or(&[], Vec::as_slice)
    }

    /// The place at which a transaction installed a version of an item.
    pub(super) fn place_of_write(&self, item: Item, node: Node) -> Option<usize> {
        self.versions(item).iter().position(|(_, writer)| *writer == node).map(|at| at + 1)
    }

    fn link_writes(&mut self) {
        for (item, versions) in &self.installed {
            for pair in versions.windows(2) {
                let (from, to) = (pair[0].1, pair[1].1);
                let level = Level::ReadUncommitted;
                self.edges.push(Edge { from, to, kind: Kind::Write, item: *item, level });
            }
        }
    }

    fn link_read(&mut self, node: Node, read: &super::Read) {
        let level = self.history.transactions[node].level;
        let mut links = Vec::new();
        for (item, version) in &read.rows {
            let Some(place) = self.place(node, *version) else { continue };
            let versions = self.versions(*item);
            if place > 0 {
                links.push((versions[place - 1].1, node, Kind::Read, *item, level));
            }
            if let Some((_, next)) = versions.get(place) {
                links.push((node, *next, Kind::AntiItem, *item, level));
            }
        }
        if let Some(predicate) = &read.predicate {
            let level = predicate.level.unwrap_or(level);
            for (item, version) in &predicate.versions {
                let Some(place) = self.place(node, *version) else { continue };
                let changes = self.changes(predicate, *item);
                let before = changes.iter().rev().find(|(at, _)| *at <= place);
                links.extend(before.map(|(_, writer)| (*writer, node, Kind::Read, *item, level)));
                let after = changes.iter().find(|(at, writer)| *at > place && *writer != node);
                links.extend(after.map(|(_, writer)| (node, *writer, Kind::AntiPredicate, *item, level)));
            }
        }
        let others = links.into_iter().filter(|(from, to, ..)| from != to);
        self.edges.extend(others.map(|(from, to, kind, item, level)| Edge { from, to, kind, item, level }));
    }

    /// The places at which an item's versions begin or cease to fit a predicate, and who wrote them.
    pub(super) fn changes(&self, predicate: &Predicate, item: Item) -> Vec<(usize, Node)> {
        let mut did_fit = false;
        let mut changes = Vec::new();
        for (at, (version, writer)) in self.versions(item).iter().enumerate() {
            let fits = predicate.fitting.contains(version);
            if fits != did_fit {
                changes.push((at + 1, *writer));
            }
            did_fit = fits;
        }
        changes
    }

    /// The shortest cycle through `first` along edges that `may` take, with another write over a read if `anti`.
    pub(super) fn cycle(&self, first: &Edge, anti: bool, may: impl Fn(&Edge) -> bool) -> Option<Vec<Edge>> {
        // A step is a transaction, and whether there was another write over a read on the way to it. Each is kept with the
        // step before it and the edge between.
        let start = (first.to, false);
        let mut reached: BTreeMap<(Node, bool), ((Node, bool), Edge)> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(step) = queue.pop_front() {
            if step == (first.from, anti) {
                let mut cycle = Vec::new();
                let mut at = step;
                while at != start {
                    let (before, edge) = reached[&at];
                    cycle.push(edge);
                    at = before;
                }
                cycle.push(*first);
                cycle.reverse();
                // A walk that meets a transaction twice is two shorter cycles, which are found as such.
                let met: BTreeSet<Node> = cycle.iter().map(|edge| edge.from).collect();
                return (met.len() == cycle.len()).then_some(cycle);
            }
            let onward = self.edges.iter().filter(|edge| edge.from == step.0 && step.0 != first.from);
            for edge in onward.filter(|edge| may(edge)) {
                let next = (edge.to, step.1 || (anti && edge.kind.is_anti()));
                if next != start && !reached.contains_key(&next) {
                    reached.insert(next, (step, *edge));
                    queue.push_back(next);
                }
            }
        }
        None
    }

    /// Whether an edge matters in cycles of any length.
    pub(super) fn matters(edge: &Edge) -> bool {
        edge.matters(edge.kind.concern())
    }

    /// A cycle, for a human.
    pub(super) fn tell(&self, cycle: &[Edge]) -> String {
        let id = |node: Node| self.history.transactions[node].id;
        let mut told = format!("{}", cycle.first().map_or(0, |edge| id(edge.from)));
        for edge in cycle {
            told.push_str(&format!(" -{} {}-> {}", edge.kind, edge.item, id(edge.to)));
        }
        told
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Write => "ww",
            Kind::Read => "wr",
            Kind::AntiItem => "rw",
            Kind::AntiPredicate => "rw(predicate)",
        })
    }
}
