//! Everything a simulated disk knows, and the changes it makes under its lock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};
use std::sync::Arc;

use super::content::{Content, MAX_LEN};
use super::fault::Lies;
use super::file_node::{Change, FileNode};
use super::names::{self, Entry, Folder, Slot};
use super::{EFBIG, EIO, EISDIR, ENOENT, ENOSPC, ENOTDIR, EROFS, Errno};
use crate::Rng;

/// The number of a file or folder; never used twice.
pub(super) type Ino = u32;

pub(super) const ROOT: Ino = 0;

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(Arc<FileNode>),
    Folder(Folder),
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) nodes: BTreeMap<Ino, Node>,
    /// Changes of names that no sync has covered.
    pub(super) journal: Vec<Entry>,
    next_ino: Ino,
    next_seq: u64,
    pub(super) boot_id: u128,
    /// Decides what a failed sync leaves.
    pub(super) rng: Rng,
    pub(super) capacity: Option<u64>,
    pub(super) read_only: bool,
    pub(super) lies: Lies,
    /// Lock files that someone holds.
    pub(super) locks: BTreeSet<Ino>,
    /// Open handles a file; such a file stays although nothing names it.
    pub(super) handles: BTreeMap<Ino, usize>,
    /// Files that were mapped, and must not change any more.
    pub(super) mapped: BTreeSet<Ino>,
    /// Number of nodes at which to look for those that nothing names.
    sweep_at: usize,
}

impl State {
    pub(super) fn new(mut rng: Rng) -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::Folder(Folder::default()))]),
            journal: Vec::new(),
            next_ino: ROOT + 1,
            next_seq: 1,
            boot_id: rng.next_u128(),
            rng,
            capacity: None,
            read_only: false,
            lies: Lies::default(),
            locks: BTreeSet::new(),
            handles: BTreeMap::new(),
            mapped: BTreeSet::new(),
            sweep_at: 32,
        }
    }

    /// The same disk without handles, locks and maps, holding `nodes` with nothing on the way.
    pub(super) fn restarted(&self, nodes: BTreeMap<Ino, Node>, rng: Rng) -> Self {
        let (capacity, lies, next_ino) = (self.capacity, self.lies, self.next_ino);
        Self { nodes, capacity, lies, next_ino, ..Self::new(rng) }
    }

    /// The next place in the order of all changes.
    fn next_seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq
    }

    pub(super) fn check_writable(&self) -> Result<(), Errno> {
        if self.read_only { Err(EROFS) } else { Ok(()) }
    }

    // Names.

    /// What a path names. The root is both `/` and the working directory.
    pub(super) fn find(&self, path: &Path) -> Result<Ino, Errno> {
        let mut at = vec![ROOT];
        for component in path.components() {
            match component {
                Component::RootDir | Component::Prefix(_) => at.truncate(1),
                Component::CurDir => {}
                Component::ParentDir => at.truncate((at.len() - 1).max(1)),
                Component::Normal(name) => {
                    let name = name.to_str().ok_or(ENOENT)?;
                    let folder = self.folder(at[at.len() - 1])?;
                    at.push(*folder.live.get(name).ok_or(ENOENT)?);
                }
            }
        }
        Ok(at[at.len() - 1])
    }

    /// The folder and name that a path ends in, whether or not anything is there.
    pub(super) fn slot(&self, path: &Path) -> Result<Slot, Errno> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(EISDIR)?;
        let folder = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.folder(folder)?;
        Ok((folder, name.into()))
    }

    pub(super) fn at(&self, slot: &Slot) -> Option<Ino> {
        self.folder(slot.0).ok()?.live.get(&slot.1).copied()
    }

    pub(super) fn folder(&self, ino: Ino) -> Result<&Folder, Errno> {
        match self.nodes.get(&ino) {
            Some(Node::Folder(folder)) => Ok(folder),
            Some(Node::File(_)) => Err(ENOTDIR),
            None => Err(ENOENT),
        }
    }

    pub(super) fn change_names(&mut self, change: names::Change) {
        change.apply(|(folder, name), ino| {
            if let Some(Node::Folder(folder)) = self.nodes.get_mut(folder) {
                names::put(&mut folder.live, name, ino);
            }
        });
        let seq = self.next_seq();
        self.journal.push(Entry { seq, change });
        self.sweep();
    }

    /// Makes a change of names durable.
    pub(super) fn settle(&mut self, change: &names::Change) {
        change.apply(|(folder, name), ino| {
            if let Some(Node::Folder(folder)) = self.nodes.get_mut(folder) {
                names::put(&mut folder.durable, name, ino);
            }
        });
    }

    pub(super) fn create(&mut self, at: Slot, node: Node) -> Ino {
        let ino = self.add(node);
        self.change_names(names::Change::Link { at, ino });
        ino
    }

    pub(super) fn add(&mut self, node: Node) -> Ino {
        let ino = self.next_ino;
        self.next_ino += 1;
        self.nodes.insert(ino, node);
        ino
    }

    pub(super) fn sync_folder(&mut self, folder: Ino) {
        if !self.lies.ignore_dir_sync {
            for entry in names::take(&mut self.journal, |slot| slot.0 == folder) {
                self.settle(&entry.change);
            }
            self.sweep();
        }
    }

    pub(super) fn sync_folder_failed(&mut self, folder: Ino) {
        let entries = names::take(&mut self.journal, |slot| slot.0 == folder);
        let mut rng = self.rng.split();
        for entry in names::subset(&entries, &mut rng) {
            self.settle(&entry.change);
        }
    }

    // Files.

    pub(super) fn file(&self, ino: Ino) -> Result<&FileNode, Errno> {
        match self.nodes.get(&ino) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder(_)) => Err(EISDIR),
            None => Err(EIO), // Unreachable while a handle keeps the file.
        }
    }

    pub(super) fn file_mut(&mut self, ino: Ino) -> Result<&mut FileNode, Errno> {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(file)) => Ok(Arc::make_mut(file)),
            Some(Node::Folder(_)) => Err(EISDIR),
            None => Err(EIO),
        }
    }

    /// Writes as much of `bytes` as there is space for.
    pub(super) fn write(&mut self, ino: Ino, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let fits = self.fitting(ino, offset, bytes.len())?;
        if fits > 0 {
            self.change_file(ino, Change::Write { offset, bytes: bytes[..fits].into() })?;
        }
        if fits < bytes.len() { Err(ENOSPC) } else { Ok(()) }
    }

    /// Reserves as much as there is space for.
    pub(super) fn allocate(&mut self, ino: Ino, offset: u64, len: usize) -> Result<(), Errno> {
        let fits = self.fitting(ino, offset, len)?;
        if fits > 0 {
            self.change_file(ino, Change::Allocate { offset, len: fits as u64 })?;
        }
        if fits < len { Err(ENOSPC) } else { Ok(()) }
    }

    pub(super) fn change_file(&mut self, ino: Ino, change: Change) -> Result<(), Errno> {
        let seq = self.next_seq();
        self.file_mut(ino)?.change(seq, change);
        Ok(())
    }

    fn fitting(&self, ino: Ino, offset: u64, len: usize) -> Result<usize, Errno> {
        if offset.checked_add(len as u64).is_none_or(|end| end > MAX_LEN) {
            return Err(EFBIG);
        }
        let file = self.file(ino)?;
        let Some(capacity) = self.capacity else { return Ok(len) };
        Ok(file.cache.fitting(offset, len, capacity.saturating_sub(self.used())))
    }

    /// Space taken by the files that have a name or a handle.
    pub(super) fn used(&self) -> u64 {
        let held = self.reachable(|folder| vec![&folder.live], false);
        let files = held.iter().filter_map(|ino| self.file(*ino).ok());
        files.map(|file| file.cache.allocated()).sum()
    }

    pub(super) fn release(&mut self, ino: Ino) {
        if let Some(count) = self.handles.get_mut(&ino) {
            *count -= 1;
            if *count == 0 {
                self.handles.remove(&ino);
            }
        }
    }

    // What can still be reached.

    /// Forgets files that nothing can bring back, once there may be many.
    fn sweep(&mut self) {
        if self.nodes.len() >= self.sweep_at {
            let held = self.reachable(|folder| vec![&folder.live, &folder.durable], true);
            self.nodes.retain(|ino, _| held.contains(ino));
            self.mapped.retain(|ino| held.contains(ino));
            self.sweep_at = 2 * self.nodes.len() + 32;
        }
    }

    fn reachable<'a>(
        &'a self,
        names: impl Fn(&'a Folder) -> Vec<&'a Arc<names::Names>>,
        journal: bool,
    ) -> BTreeSet<Ino> {
        let mut held = BTreeSet::new();
        let mut next: Vec<Ino> = std::iter::once(ROOT).chain(self.handles.keys().copied()).collect();
        if journal {
            next.extend(self.journal.iter().filter_map(|entry| entry.change.linked()));
        }
        while let Some(ino) = next.pop() {
            if held.insert(ino)
                && let Ok(folder) = self.folder(ino)
            {
                next.extend(names(folder).into_iter().flat_map(|names| names.values().copied()));
            }
        }
        held
    }

    /// The file at `path`, made durably with its folders if it is missing.
    pub(super) fn plant(&mut self, path: &Path, content: Content) -> Result<(), Errno> {
        let mut slots = Vec::new();
        for prefix in path.ancestors().filter(|prefix| prefix.file_name().is_some()).collect::<Vec<_>>() {
            slots.insert(0, prefix);
        }
        for prefix in slots {
            let slot = self.slot(prefix)?;
            let is_file = prefix == path;
            if self.at(&slot).is_none() {
                let node = if is_file { Node::File(Arc::default()) } else { Node::Folder(Folder::default()) };
                self.create(slot.clone(), node);
            }
            for entry in names::take(&mut self.journal, |touched| *touched == slot) {
                self.settle(&entry.change);
            }
        }
        let ino = self.find(path)?;
        *self.file_mut(ino)? = FileNode::durable(content);
        Ok(())
    }
}
