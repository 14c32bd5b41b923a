//! The manifests in a store's folder: finding the newest, switching to the next, clearing away what neither needs.

use std::path::PathBuf;

use codegraph_vector_base::vfs::{OpenMode, Vfs};
use codegraph_vector_base::{Error, ErrorKind, Generation, Result};

use super::{Manifest, file, rules};
use crate::layout::{StoreLayout, list_or_none};

/// How often a reader starts over because a writer replaced what it was about to read.
const ATTEMPTS: usize = 16;

/// The state of a store.
#[derive(Debug)]
pub struct Loaded {
    /// The highest valid generation.
    pub manifest: Manifest,
    /// The next valid one below it, whose files must stay, too.
    pub previous: Option<Manifest>,
    /// Higher generations that are damaged, highest first: the store fell back, which is to be reported.
    pub fallbacks: Vec<Fallback>,
    /// Lower generations that cannot be read: no harm yet, but nothing to fall back to.
    pub damaged: Vec<Fallback>,
}

/// A manifest that cannot be read.
#[derive(Clone, Debug)]
pub struct Fallback {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: Error,
}

/// Finds the state of a store: its highest valid manifest.
///
/// # Errors
/// `NotFound` if there is no store; `Unsupported` if the newest manifest is of a newer format, which is never passed
/// over; `Corrupt`, naming the newest, if none is valid; `Stale` if a writer kept replacing what was being read.
pub fn load_newest(vfs: &dyn Vfs, layout: &StoreLayout) -> Result<Loaded> {
    for _ in 0..ATTEMPTS {
        let generations = generations(vfs, layout)?;
        if generations.is_empty() {
            let message = "this is not a store: it has no manifest";
            return Err(Error::new(ErrorKind::NotFound, message).at(layout.root()));
        }
        if let Some(loaded) = load(vfs, layout, &generations)? {
            return Ok(loaded);
        }
    }
    Err(Error::new(ErrorKind::Stale, "manifests went away while they were read").at(layout.root()))
}

/// The highest valid one of `generations`, which fall; `None` if one that counts is gone.
fn load(vfs: &dyn Vfs, layout: &StoreLayout, generations: &[Generation]) -> Result<Option<Loaded>> {
    let mut fallbacks = Vec::new();
    let mut rest = generations.iter();
    let manifest = loop {
        let Some(generation) = rest.next() else { return Err(none_valid(fallbacks)) };
        let path = layout.manifest_path(*generation);
        let file = match vfs.open(&path, OpenMode::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        match file::read_open(&*file, &path, *generation) {
            Ok(manifest) => break manifest,
            // A sector that cannot be read is damage as well; a file that cannot be opened is not.
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Io) => {
                fallbacks.push(Fallback { path, error });
            }
            Err(error) => return Err(error),
        }
    };
    let mut damaged = Vec::new();
    let mut previous = None;
    for generation in rest {
        match file::read(vfs, layout, *generation) {
            Ok(lower) if lower.store_id == manifest.store_id => {
                previous = Some(lower);
                break;
            }
            Ok(_) => {
                let error = Error::new(ErrorKind::Corrupt, "the manifest is of another store");
                let path = layout.manifest_path(*generation);
                damaged.push(Fallback { error: error.at(&path), path });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => damaged.push(Fallback { path: layout.manifest_path(*generation), error }),
        }
    }
    Ok(Some(Loaded { manifest, previous, fallbacks, damaged }))
}

fn none_valid(fallbacks: Vec<Fallback>) -> Error {
    let count = fallbacks.len();
    match fallbacks.into_iter().next() {
        Some(newest) => {
            newest.error.as_kind(ErrorKind::Corrupt).context(format!("none of {count} manifests is valid"))
        }
        None => Error::new(ErrorKind::NotFound, "this is not a store: it has no manifest"),
    }
}

/// Switches the store from `previous` to `next`, durably; without `previous`, creates the store.
///
/// # Errors
/// `InvalidInput` if a rule is broken, or a store is there already: nothing was written. `OutcomeUnknown` if the switch
/// may or may not have happened: files that either generation names must stay until a later one is installed.
/// Otherwise what the file system says, and the switch did not happen.
pub fn install(
    vfs: &dyn Vfs,
    layout: &StoreLayout,
    previous: Option<&Manifest>,
    next: &Manifest,
) -> Result<()> {
    let path = layout.manifest_path(next.generation);
    rules::check(next).map_err(|error| error.at(&path))?;
    match previous {
        Some(previous) => rules::check_successor(previous, next).map_err(|error| error.at(&path))?,
        None if layout.is_store(vfs)? => {
            return Err(Error::invalid("there is a store already").at(layout.root()));
        }
        None => {}
    }
    file::write(vfs, &path, next).map_err(|error| match vfs.exists(&path) {
        Ok(false) => error,
        // Renamed, but the folder was not synced: a crash may show either generation.
        _ => error.as_kind(ErrorKind::OutcomeUnknown).context("the switch to a new manifest may be lost"),
    })
}

/// Removes all manifests but those given, the two newest, and says which went. The folder is not synced: one that
/// comes back after a crash is removed the next time.
///
/// # Errors
/// `InvalidInput` if none is to be kept; what the file system says.
pub fn prune(vfs: &dyn Vfs, layout: &StoreLayout, keep: &[&Manifest]) -> Result<Vec<PathBuf>> {
    if keep.is_empty() {
        return Err(Error::invalid("a store without a manifest is none").at(layout.root()));
    }
    let kept = |generation: &Generation| keep.iter().any(|manifest| manifest.generation == *generation);
    let mut removed = Vec::new();
    for generation in generations(vfs, layout)?.iter().filter(|generation| !kept(generation)) {
        let path = layout.manifest_path(*generation);
        vfs.remove_file(&path)?;
        removed.push(path);
    }
    Ok(removed)
}

/// Segments and death files that none of these manifests, the two newest, names: what a crash left between writing them
/// and the switch, or between a switch and clearing away. To be removed only while no segment is being made.
///
/// # Errors
/// What the file system says.
pub fn unreferenced(vfs: &dyn Vfs, layout: &StoreLayout, keep: &[&Manifest]) -> Result<Vec<PathBuf>> {
    let needed = rules::referenced_files(keep);
    let orphan = |name: &String| {
        let segment = StoreLayout::parse_segment_name(name).is_some_and(|id| !needed.segments.contains(&id));
        let deaths = StoreLayout::parse_deaths_name(name).is_some_and(|file| !needed.deaths.contains(&file));
        segment || deaths
    };
    let folder = layout.segments_dir();
    Ok(list_or_none(vfs, &folder)?.iter().filter(|name| orphan(name)).map(|name| folder.join(name)).collect())
}

/// The generations in the folder, highest first.
fn generations(vfs: &dyn Vfs, layout: &StoreLayout) -> Result<Vec<Generation>> {
    let names = list_or_none(vfs, layout.root())?;
    let mut found: Vec<_> = names.iter().filter_map(|name| StoreLayout::parse_manifest_name(name)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
