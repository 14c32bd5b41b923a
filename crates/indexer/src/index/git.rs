//! The files of a commit, read from the repository as they are there, without a checkout.
//!
//! What always holds: nothing is written to the repository, no program is run, nothing but the repository's own
//! files is read (no settings of the user or the machine); a tree that two commits share is not looked into to
//! tell them apart.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use codegraph_vector::{Error, ErrorKind, Result};
use gix::objs::tree::EntryKind;
use gix::{ObjectId, Repository, ThreadSafeRepository};

use super::walk::{At, Seen, file};
use crate::language::Language;

/// More files than any commit has; trees can be made that have no end, of a few objects that name each other.
const MAX_ENTRIES: u64 = 50_000_000;
/// Memory for objects that others are made from.
const OBJECT_CACHE_BYTES: usize = 16 << 20;

/// A commit, and the folder in it that is indexed.
pub(crate) struct Commit {
    repository: ThreadSafeRepository,
    id: ObjectId,
    /// The tree of the folder.
    tree: ObjectId,
    /// The folder, from the top of the tree; empty for all of it.
    folder: String,
}

/// What one commit has otherwise than another.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The source files that are new, or other ones.
    pub(crate) files: Vec<Seen>,
    /// The paths of these, and of the source files that are gone.
    pub(crate) paths: Vec<String>,
}

/// Takes a path, and its blob in the old tree and in the new one.
type Each<'a> = dyn FnMut(&[u8], Option<ObjectId>, Option<ObjectId>) -> ControlFlow<()> + 'a;

/// An entry of a tree that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    File(ObjectId),
    Folder(ObjectId),
}

impl Entry {
    fn file(self) -> Option<ObjectId> {
        if let Self::File(id) = self { Some(id) } else { None }
    }

    fn folder(self) -> Option<ObjectId> {
        if let Self::Folder(id) = self { Some(id) } else { None }
    }
}

impl Commit {
    /// The commit that `revision` names in the repository that `root`, a canonical path, lies in: the files of that
    /// folder, as they are in the commit.
    ///
    /// # Errors
    /// `NotFound` if there is no repository, no such commit, or no such folder in it; `InvalidInput` if `revision`
    /// means something else.
    pub(crate) fn open(root: &Path, revision: &str) -> Result<Self> {
        let missing = |what: String| Error::new(ErrorKind::NotFound, what);
        let open = || gix::sec::trust::Mapping {
            full: gix::open::Options::isolated(),
            reduced: gix::open::Options::isolated(),
        };
        let repository = ThreadSafeRepository::discover_opts(root, Default::default(), open())
            .map_err(|error| missing(format!("there is no git repository to read: {error}")).at(root))?;
        let local = local(&repository);
        let named = local
            .rev_parse_single(revision)
            .map_err(|error| missing(format!("there is no commit {revision:?}: {error}")).at(root))?;
        let commit = named
            .object()
            .map_err(|error| unreadable(named.detach(), &error))?
            .peel_to_commit()
            .map_err(|_| Error::invalid(format!("{revision:?} is not a commit")).at(root))?;
        let id = commit.id;
        let folder = folder_of(&local, root)?;
        let Some(tree) = tree_of(&local, id, &folder)? else {
            return Err(missing(format!("the commit {id} has no folder {folder:?}")).at(root));
        };
        Ok(Self { repository, id, tree, folder })
    }

    /// The id, in hexadecimal digits.
    pub(crate) fn id(&self) -> String {
        self.id.to_string()
    }

    /// The folder, from the top of the tree; empty for all of it.
    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    /// The repository, for one thread.
    pub(crate) fn repository(&self) -> Repository {
        local(&self.repository)
    }

    /// Calls `each` for every source file, until it breaks.
    ///
    /// # Errors
    /// `NotFound` and its kin if a tree is missing or damaged.
    pub(crate) fn walk(&self, each: &mut dyn FnMut(Seen) -> ControlFlow<()>) -> Result<()> {
        compare(&self.repository(), None, self.tree, &mut |path, _, id| match id {
            Some(id) => file(path, At::Blob(id)).map_or(ControlFlow::Continue(()), &mut *each),
            None => ControlFlow::Continue(()),
        })
    }

    /// What it has otherwise than another commit. `None` if that is not to be had any more.
    pub(crate) fn changes_since(&self, other: &str) -> Option<Changes> {
        let repository = self.repository();
        let other = ObjectId::from_hex(other.as_bytes()).ok()?;
        let tree = tree_of(&repository, other, &self.folder).ok()??;
        let mut changes = Changes::default();
        // What is wrong with the new trees is found again by whoever reads them, and told there.
        let compared = compare(&repository, Some(tree), self.tree, &mut |path, _, id| {
            if let Ok(path) = std::str::from_utf8(path) {
                changes.paths.push(path.to_owned());
            }
            if let Some(id) = id {
                changes.files.extend(file(path, At::Blob(id)));
            }
            ControlFlow::Continue(())
        });
        compared.ok()?;
        Some(changes)
    }
}

/// The number of bytes of a blob.
pub(crate) fn blob_bytes(repository: &Repository, id: ObjectId) -> Result<u64> {
    let header = repository.find_header(id).map_err(|error| unreadable(id, &error))?;
    Ok(header.size())
}

/// The bytes of a blob.
pub(crate) fn blob(repository: &Repository, id: ObjectId) -> Result<Vec<u8>> {
    Ok(repository.find_blob(id).map_err(|error| unreadable(id, &error))?.take_data())
}

fn local(repository: &ThreadSafeRepository) -> Repository {
    let mut repository = repository.to_thread_local();
    repository.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
    repository
}

fn unreadable(id: ObjectId, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, format!("the object {id} of the repository cannot be read: {error}"))
}

/// Where a folder is in the trees of its repository.
fn folder_of(repository: &Repository, root: &Path) -> Result<String> {
    let Some(top) = repository.workdir() else { return Ok(String::new()) };
    let top = top.canonicalize().map_err(|cause| Error::io("find the top of the repository", top, cause))?;
    super::scope::below(&top, root)
        .ok_or_else(|| Error::invalid("this folder is not one of the repository's working tree").at(root))
}

/// The tree of a folder in a commit. `None` if it has no such folder.
fn tree_of(repository: &Repository, commit: ObjectId, folder: &str) -> Result<Option<ObjectId>> {
    let unread = |error: gix::Error| unreadable(commit, &error);
    let tree = repository.find_commit(commit).and_then(|commit| commit.tree()).map_err(unread)?;
    if folder.is_empty() {
        return Ok(Some(tree.id));
    }
    let entry = tree.lookup_entry_by_path(folder).map_err(unread)?;
    Ok(entry.filter(|entry| entry.mode().is_tree()).map(|entry| entry.object_id()))
}

/// Calls `each` with the path of every source file that is not the same in two trees, and its blob in either, until
/// it breaks. Trees that are the same are not looked into.
fn compare(repository: &Repository, old: Option<ObjectId>, new: ObjectId, each: &mut Each<'_>) -> Result<()> {
    let mut folders = vec![(Vec::new(), old, Some(new))];
    let mut seen = 0;
    while let Some((folder, old, new)) = folders.pop() {
        if old == new {
            continue;
        }
        let entries = pairs(repository, old, new)?;
        seen += entries.len() as u64;
        if seen > MAX_ENTRIES {
            return Err(Error::new(ErrorKind::TooLarge, format!("there are more than {MAX_ENTRIES} files")));
        }
        // From the last on, since the first of them is to be taken next.
        for (name, [old, new]) in entries.into_iter().rev() {
            if old == new {
                continue;
            }
            let mut path = folder.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend(name);
            let files = [old, new].map(|entry| entry.and_then(Entry::file));
            if files != [None; 2] && is_source(&path) && each(&path, files[0], files[1]).is_break() {
                return Ok(());
            }
            let below = [old, new].map(|entry| entry.and_then(Entry::folder));
            if below != [None; 2] {
                folders.push((path, below[0], below[1]));
            }
        }
    }
    Ok(())
}

/// The entries of two trees side by side, by name.
fn pairs(
    repository: &Repository,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
) -> Result<BTreeMap<Vec<u8>, [Option<Entry>; 2]>> {
    let mut pairs = BTreeMap::<Vec<u8>, [Option<Entry>; 2]>::new();
    for (side, id) in [old, new].into_iter().enumerate() {
        let Some(id) = id else { continue };
        let tree = repository.find_tree(id).map_err(|error| unreadable(id, &error))?;
        for entry in tree.iter() {
            let entry = entry.map_err(|error| unreadable(id, &error))?;
            let (name, object) = (entry.filename(), entry.object_id());
            // As of a folder: hidden files are left out, links and other repositories are not followed.
            let entry = match entry.mode().kind() {
                _ if name.starts_with(b".") => continue,
                EntryKind::Blob | EntryKind::BlobExecutable => Entry::File(object),
                EntryKind::Tree => Entry::Folder(object),
                EntryKind::Link | EntryKind::Commit => continue,
            };
            pairs.entry(name.to_vec()).or_default()[side] = Some(entry);
        }
    }
    Ok(pairs)
}

/// Whether a file with this path may be source code, going by its name.
fn is_source(path: &[u8]) -> bool {
    Language::of_path(Path::new(&*String::from_utf8_lossy(path))).is_some()
}
