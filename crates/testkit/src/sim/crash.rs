//! What a power cut leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::Content;
use super::file_node::FileNode;
use super::names::{self, Entry, Folder, Names};
use super::state::{Ino, Node, ROOT, State};
use crate::Rng;

/// What becomes of the changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrashStyle {
    /// None of them reached the disk.
    LoseUnsynced,
    /// All of them did.
    KeepAll,
    /// The first ones did, and a part of the next: in the order of all changes, or with a place
    /// of its own for each file and for the names.
    Prefix,
    /// A random choice did, each whole or torn at random bytes or sectors, in random order.
    Subset,
}

impl CrashStyle {
    /// Every style.
    pub const ALL: [Self; 4] = [Self::LoseUnsynced, Self::KeepAll, Self::Prefix, Self::Subset];

    /// A style, the richer ones more often.
    pub fn random(rng: &mut Rng) -> Self {
        *rng.pick(&[
            Self::LoseUnsynced,
            Self::KeepAll,
            Self::Prefix,
            Self::Prefix,
            Self::Subset,
            Self::Subset,
        ])
    }
}

/// The state of the disk after a power cut.
pub(super) fn after(state: &State, rng: &mut Rng, style: CrashStyle) -> State {
    let cut = (style == CrashStyle::Prefix && rng.chance(0.5)).then(|| random_cut(state, rng)).flatten();
    let mut names = DurableNames { state, changed: Vec::new() };
    for entry in surviving(&state.journal, style, cut, rng) {
        entry.change.apply(|(folder, name), ino| names.put(*folder, name, ino));
    }
    let mut nodes = BTreeMap::new();
    let mut next = vec![ROOT];
    while let Some(ino) = next.pop() {
        if nodes.contains_key(&ino) {
            continue; // It has another name.
        }
        let node = match state.nodes.get(&ino) {
            Some(Node::File(file)) => Node::File(file_after(file, style, cut, rng)),
            Some(Node::Folder(_)) => {
                let live = names.of(ino);
                next.extend(live.values().copied().filter(|child| !nodes.contains_key(child)));
                Node::Folder(Folder { durable: live.clone(), live })
            }
            None => continue,
        };
        nodes.insert(ino, node);
    }
    state.restarted(nodes, rng.split())
}

/// A place in the order of the unsynced changes.
fn random_cut(state: &State, rng: &mut Rng) -> Option<u64> {
    let of_files = state.nodes.values().flat_map(|node| match node {
        Node::File(file) => file.pending.as_slice(),
        Node::Folder(_) => &[],
    });
    let seqs = of_files.map(|pending| pending.seq).chain(state.journal.iter().map(|entry| entry.seq));
    let seqs: Vec<u64> = seqs.collect();
    (!seqs.is_empty()).then(|| *rng.pick(&seqs))
}

fn file_after(file: &Arc<FileNode>, style: CrashStyle, cut: Option<u64>, rng: &mut Rng) -> Arc<FileNode> {
    if file.is_clean() {
        return file.clone();
    }
    let content: Content = match style {
        CrashStyle::LoseUnsynced => file.durable.clone(),
        CrashStyle::KeepAll => file.synced(),
        CrashStyle::Prefix => file.prefix(cut, rng),
        CrashStyle::Subset => file.subset(rng),
    };
    Arc::new(FileNode::durable(content))
}

fn surviving<'a>(journal: &'a [Entry], style: CrashStyle, cut: Option<u64>, rng: &mut Rng) -> Vec<&'a Entry> {
    match (style, cut) {
        (CrashStyle::LoseUnsynced, _) => Vec::new(),
        (CrashStyle::KeepAll, _) => journal.iter().collect(),
        (CrashStyle::Prefix, Some(cut)) => journal.iter().take_while(|entry| entry.seq < cut).collect(),
        (CrashStyle::Prefix, None) => journal[..rng.below(journal.len() + 1)].iter().collect(),
        (CrashStyle::Subset, _) => names::subset(journal, rng),
    }
}

/// The durable names of all folders, with copies of those that the journal changes.
struct DurableNames<'a> {
    state: &'a State,
    changed: Vec<(Ino, Arc<Names>)>,
}

impl DurableNames<'_> {
    fn of(&self, folder: Ino) -> Arc<Names> {
        let changed = self.changed.iter().find(|(ino, _)| *ino == folder);
        changed.map_or_else(
            || self.state.folder(folder).map(|found| found.durable.clone()).unwrap_or_default(),
            |(_, names)| names.clone(),
        )
    }

    fn put(&mut self, folder: Ino, name: &Arc<str>, ino: Option<Ino>) {
        if !self.changed.iter().any(|(changed, _)| *changed == folder) {
            self.changed.push((folder, self.of(folder)));
        }
        if let Some((_, names)) = self.changed.iter_mut().find(|(changed, _)| *changed == folder) {
            names::put(names, name, ino);
        }
    }
}

/// The state of the disk and the page cache after the end of all processes.
pub(super) fn after_kill(state: &State) -> State {
    let mut state = state.clone();
    state.handles.clear();
    state.locks.clear();
    state.mapped.clear();
    state
}
