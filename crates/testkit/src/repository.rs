//! Git repositories that tests make: commits of files that are given, without a `git`.
#![allow(clippy::disallowed_methods)] // A repository is no store.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use gix::actor::Signature;
use gix::objs::tree::{Entry, EntryKind};
use gix::objs::{Commit, Tree};
use gix::{ObjectId, ThreadSafeRepository, create, open};

/// A repository whose commits are each a whole tree.
#[derive(Debug)]
pub struct Repository {
    git: gix::Repository,
}

/// What a path of a commit is.
#[derive(Clone, Debug)]
pub enum Item {
    /// A file of these bytes.
    File(Vec<u8>),
    /// A file of these bytes that may be run.
    Program(Vec<u8>),
    /// A link to this path.
    Link(String),
    /// Another repository, at some commit.
    Submodule,
    /// A file whose bytes the repository lacks, as a clone in part does.
    Missing(Vec<u8>),
}

impl From<&str> for Item {
    fn from(text: &str) -> Self {
        Self::File(text.as_bytes().to_vec())
    }
}

impl From<String> for Item {
    fn from(text: String) -> Self {
        Self::File(text.into_bytes())
    }
}

/// A folder on the way to being written.
#[derive(Default)]
struct Folder {
    items: BTreeMap<Vec<u8>, Item>,
    folders: BTreeMap<Vec<u8>, Folder>,
}

impl Repository {
    /// An empty repository in a folder, with a working tree, which stays empty, or without.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn make(folder: &Path, bare: bool) -> Self {
        let kind = if bare { create::Kind::Bare } else { create::Kind::WithWorktree };
        let options = open::Options::isolated();
        let git = ThreadSafeRepository::init_opts(folder, kind, create::Options::default(), options);
        Self { git: git.expect("a repository").to_thread_local() }
    }

    /// Commits exactly these files, onto the commits before; gives the commit's id.
    ///
    /// # Panics
    /// If that cannot be written.
    pub fn commit<P: AsRef<[u8]>, I: Into<Item>>(&self, files: impl IntoIterator<Item = (P, I)>) -> String {
        let mut top = Folder::default();
        for (path, item) in files {
            let parts: Vec<&[u8]> = path.as_ref().split(|byte| *byte == b'/').collect();
            let (name, folders) = parts.split_last().expect("a name");
            let folder = folders
                .iter()
                .fold(&mut top, |folder, name| folder.folders.entry(name.to_vec()).or_default());
            folder.items.insert(name.to_vec(), item.into());
        }
        let tree = self.write(top);
        let parents: Vec<ObjectId> = self.git.head_id().into_iter().map(gix::Id::detach).collect();
        let who = Signature { name: "test".into(), email: "test@invalid".into(), time: Default::default() };
        let commit = Commit {
            tree,
            parents: parents.into(),
            author: who.clone(),
            committer: who,
            encoding: None,
            message: "a commit".into(),
            extra_headers: Vec::new(),
        };
        let id = self.git.write_object(commit).expect("a commit").detach();
        let branch = self.git.head_name().expect("a head").expect("on a branch");
        let path = self.git.git_dir().join(branch.as_bstr().to_string());
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, format!("{id}\n")).expect("written");
        id.to_string()
    }

    fn write(&self, folder: Folder) -> ObjectId {
        let mut entries = Vec::new();
        for (name, below) in folder.folders {
            entries.push(entry(name, EntryKind::Tree, self.write(below)));
        }
        for (name, item) in folder.items {
            let blob = |bytes: &[u8]| self.git.write_blob(bytes).expect("a blob").detach();
            let (kind, id) = match &item {
                Item::File(bytes) => (EntryKind::Blob, blob(bytes)),
                Item::Program(bytes) => (EntryKind::BlobExecutable, blob(bytes)),
                Item::Link(to) => (EntryKind::Link, blob(to.as_bytes())),
                Item::Submodule => (EntryKind::Commit, blob(b"somewhere else")),
                Item::Missing(bytes) => (EntryKind::Blob, self.unwritten(bytes)),
            };
            entries.push(entry(name, kind, id));
        }
        entries.sort();
        self.git.write_object(Tree { entries }).expect("a tree").detach()
    }

    fn unwritten(&self, bytes: &[u8]) -> ObjectId {
        gix::objs::compute_hash(self.git.object_hash(), gix::objs::Kind::Blob, bytes).expect("an id")
    }
}

fn entry(name: Vec<u8>, kind: EntryKind, oid: ObjectId) -> Entry {
    Entry { mode: kind.into(), filename: name.into(), oid }
}
