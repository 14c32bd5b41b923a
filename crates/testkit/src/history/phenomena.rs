//! The phenomena, looked for one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::graph::{Edge, Fate, Graph, Kind, Node};
use super::{Class, History, Predicate, Read, Transaction, Version};

/// An anomaly that a history shows, and that the level of whom it concerns forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Which.
    pub class: Class,
    /// Where: a cycle of transactions, or who read what.
    pub told: String,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.told)
    }
}

/// What a history shows that it should not, one of each class, in their order. Give it [`History::at`] the strictest level
/// to see all that a history shows.
pub fn anomalies(history: &History) -> Vec<Anomaly> {
    let graph = Graph::of(history);
    let mut found: BTreeMap<Class, String> = cycles(&graph);
    for (node, transaction) in history.transactions.iter().enumerate() {
        let mut add = |class: Class, told: Option<String>| {
            if let Some(told) = told
                && class.forbidden_at(transaction.level)
            {
                let told = format!("transaction {} {told}", transaction.id);
                found.entry(class).or_insert(told);
            }
        };
        add(Class::G1a, dirty(&graph, node, transaction, Fate::Aborted));
        add(Class::G1b, dirty(&graph, node, transaction, Fate::Intermediate));
        add(Class::Otv, vanished(&graph, node, transaction));
        add(Class::Pmp, many_preceders(&graph, node, transaction));
        add(Class::P4, lost_update(&graph, node, transaction));
    }
    found.into_iter().map(|(class, told)| Anomaly { class, told }).collect()
}

/// The classes that are cycles.
fn cycles(graph: &Graph<'_>) -> BTreeMap<Class, String> {
    let is_write = |edge: &Edge| edge.kind == Kind::Write;
    let is_dependency = |edge: &Edge| !edge.kind.is_anti() && Graph::matters(edge);
    let is_item = |edge: &Edge| edge.kind != Kind::AntiPredicate && Graph::matters(edge);
    let mut found = BTreeMap::new();
    let mut add = |class: Class, cycle: Option<Vec<Edge>>| {
        if let Some(cycle) = cycle {
            found.entry(class).or_insert_with(|| graph.tell(&cycle));
        }
    };
    for edge in &graph.edges {
        match edge.kind {
            Kind::Write => add(Class::G0, graph.cycle(edge, false, is_write)),
            Kind::Read if Graph::matters(edge) => add(Class::G1c, graph.cycle(edge, false, is_dependency)),
            Kind::Read => {}
            Kind::AntiItem | Kind::AntiPredicate => {
                if edge.matters(Class::GSingle) {
                    add(Class::GSingle, graph.cycle(edge, false, is_dependency));
                }
                if !Graph::matters(edge) {
                    continue;
                }
                if edge.kind == Kind::AntiItem {
                    add(Class::G2Item, graph.cycle(edge, true, is_item));
                } else {
                    add(Class::G2, graph.cycle(edge, true, Graph::matters));
                }
            }
        }
    }
    found
}

/// Everything that a read saw.
fn seen(read: &Read) -> impl Iterator<Item = Version> {
    let searched = read.predicate.iter().flat_map(|predicate| predicate.versions.values());
    read.rows.values().chain(searched).copied()
}

/// G1a and G1b: a version that somebody else never meant to stay.
fn dirty(graph: &Graph<'_>, node: Node, transaction: &Transaction, fate: Fate) -> Option<String> {
    for version in transaction.reads().flat_map(seen) {
        if let (Some(writer), found) = graph.fate(version)
            && found == fate
            && writer != node
        {
            let writer = graph.history.transactions[writer].id;
            return Some(format!("read version {} of transaction {writer}", version.0));
        }
    }
    None
}

/// OTV: it saw what another transaction wrote, and later, or in the same statement, what that wrote over.
fn vanished(graph: &Graph<'_>, node: Node, transaction: &Transaction) -> Option<String> {
    let mut observed: BTreeSet<Node> = BTreeSet::new();
    for read in transaction.reads() {
        let installed = |version: &Version| match graph.fate(*version) {
            (Some(writer), Fate::Installed(_)) if writer != node => Some(writer),
            _ => None,
        };
        observed.extend(read.rows.values().filter_map(installed));
        let rows = read.rows.iter().map(|row| (row, None));
        let searched = read.predicate.iter().flat_map(|predicate| {
            let with = move |row| (row, Some(predicate));
            predicate.versions.iter().map(with)
        });
        for ((item, version), predicate) in rows.chain(searched) {
            let Some(place) = graph.place(node, *version) else { continue };
            let versions = graph.versions(*item);
            for (newer, writer) in &versions[place..] {
                // What fits a search neither before nor after tells nobody that it is old.
                let shows = |predicate: &Predicate| {
                    predicate.fitting.contains(version) || predicate.fitting.contains(newer)
                };
                if observed.contains(writer) && predicate.is_none_or(shows) {
                    let writer = graph.history.transactions[*writer].id;
                    return Some(format!(
                        "saw transaction {writer}, and {item}:{} from before it",
                        version.0
                    ));
                }
            }
        }
    }
    None
}

/// PMP: of what two searches have in common, they saw different states.
fn many_preceders(graph: &Graph<'_>, node: Node, transaction: &Transaction) -> Option<String> {
    let searches: Vec<&Predicate> = transaction.reads().filter_map(|read| read.predicate.as_ref()).collect();
    for (at, one) in searches.iter().enumerate() {
        for other in &searches[at + 1..] {
            let fitting = one.fitting.intersection(&other.fitting).copied().collect();
            let common = Predicate { fitting, ..Predicate::default() };
            for (item, version) in &one.versions {
                let places = [Some(version), other.versions.get(item)]
                    .map(|version| version.and_then(|version| graph.place(node, *version)));
                let [Some(first), Some(second)] = places else { continue };
                let between = first.min(second) + 1..=first.max(second);
                let changes = graph.changes(&common, *item);
                if let Some((_, writer)) = changes.iter().find(|(place, _)| between.contains(place)) {
                    let writer = graph.history.transactions[*writer].id;
                    return Some(format!("searched before and after transaction {writer} wrote {item}"));
                }
            }
        }
    }
    None
}

/// P4: it read an item, and then wrote over somebody else's newer version of it.
fn lost_update(graph: &Graph<'_>, node: Node, transaction: &Transaction) -> Option<String> {
    for (item, version) in transaction.reads().flat_map(|read| &read.rows) {
        let (Some(read), Some(written)) = (graph.place(node, *version), graph.place_of_write(*item, node))
        else {
            continue;
        };
        if read + 1 < written {
            let lost = graph.versions(*item)[read].0;
            return Some(format!("read {item}:{} and wrote over {}", version.0, lost.0));
        }
    }
    None
}
