//! What the store has at the start of a run: its files, and which vector belongs to which text.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use codegraph_vector::{AttributeValue, CodeNode, Filter, NodeId, NodeMetadata, Result, Snapshot};

use super::rows::{self, FILE_BYTES, FILE_HASH, INDEX_VERSION, VERSION};
use super::source::{Mark, Stamp};
use super::walk::At;

/// A file whose time is not at least this much older than the moment at which it was read may have been written to
/// again without its time telling: file systems count in steps of up to two seconds.
const SETTLED_US: i64 = 2_000_000;

/// What the store has, as of one snapshot; of the files that the run is about, if those are not all.
pub(crate) struct Plan {
    snapshot: Snapshot,
    files: HashMap<Box<str>, Recorded>,
    /// Nodes by the hash of their content, sorted, each hash once: 32 bytes a node.
    contents: Vec<(u128, NodeId)>,
    /// Whatever the store says of a file was so at this moment or after it, in µs since the Unix epoch.
    checked_us: i64,
}

/// What the store says of a file.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// `None`: not what this version would store.
    state: Option<(Stamp, u128)>,
    /// Whether the walk came by it.
    seen: AtomicBool,
}

impl Plan {
    /// Reads through what the store has of each of these.
    pub(crate) fn load(snapshot: Snapshot, filters: &[Filter], checked_us: i64) -> Result<Self> {
        let mut files: HashMap<Box<str>, Recorded> = HashMap::new();
        let mut contents = Vec::new();
        for filter in filters {
            snapshot.each_metadata(filter, &mut |id, metadata| {
                if let Some(hash) = metadata.content_hash.as_deref().and_then(rows::parse_hash) {
                    contents.push((hash, id));
                }
                if let Some(path) = metadata.path.as_deref() {
                    if !files.contains_key(path) {
                        files.insert(path.into(), Recorded::default());
                    }
                    if let (Some(state), Some(recorded)) = (state_of(metadata), files.get_mut(path)) {
                        recorded.state = Some(state);
                    }
                }
                Ok(())
            })?;
        }
        contents.sort_unstable();
        contents.dedup_by_key(|(hash, _)| *hash);
        contents.shrink_to_fit();
        Ok(Self { snapshot, files, contents, checked_us })
    }

    /// What the store says of a file, which from now on counts as being there.
    pub(crate) fn see(&self, path: &str) -> Option<&Recorded> {
        let recorded = self.files.get(path)?;
        recorded.seen.store(true, Ordering::Relaxed);
        Some(recorded)
    }

    /// What the store says of a file.
    pub(crate) fn recorded(&self, path: &str) -> Option<&Recorded> {
        self.files.get(path)
    }

    /// Whether a file of at most `max_bytes` that is in this state need not even be read.
    pub(crate) fn is_settled(&self, recorded: &Recorded, at: At, max_bytes: u64) -> bool {
        let Some((known, _)) = recorded.state.filter(|(known, _)| known.size <= max_bytes) else {
            return false;
        };
        match (known.mark, at) {
            (Mark::Modified(us), At::Folder(Some((stamp, changed_us)))) => {
                known == stamp
                    && us.saturating_add(SETTLED_US) <= self.checked_us
                    && changed_us <= self.checked_us
            }
            (Mark::Blob(known), At::Blob(blob)) => known == blob,
            _ => false,
        }
    }

    /// Files of those that were loaded that the walk did not come by.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = &str> {
        let unseen = self.files.iter().filter(|(_, recorded)| !recorded.seen.load(Ordering::Relaxed));
        unseen.map(|(path, _)| &**path)
    }

    /// A node as it was at the start of the run.
    pub(crate) fn node(&self, id: NodeId) -> Result<Option<CodeNode>> {
        self.snapshot.get(id)
    }

    /// The vector of a text with this hash: of the node itself if it has not changed, else of any other.
    pub(crate) fn vector(&self, id: NodeId, hash: u128) -> Result<Option<Vec<f32>>> {
        let Ok(at) = self.contents.binary_search_by_key(&hash, |(known, _)| *known) else { return Ok(None) };
        let text = rows::hash_text(hash);
        for id in [id, self.contents[at].1] {
            if let Some(node) = self.snapshot.get(id)?
                && node.content_hash.as_deref() == Some(&*text)
            {
                return Ok(Some(node.embedding));
            }
        }
        Ok(None)
    }
}

impl Recorded {
    /// Whether the file had these bytes.
    pub(crate) fn is_of(&self, stamp: Stamp, hash: u128) -> bool {
        self.state.is_some_and(|(known, of)| known.size == stamp.size && of == hash)
    }

    /// Whether it is known by what is recorded.
    pub(crate) fn has_mark(&self, stamp: Stamp) -> bool {
        self.state.is_some_and(|(known, _)| known.mark == stamp.mark)
    }
}

/// What a file's own node says of the file.
fn state_of(metadata: &NodeMetadata) -> Option<(Stamp, u128)> {
    let integer = |name: &str| match metadata.attributes.get(name) {
        Some(AttributeValue::Integer(number)) => Some(*number),
        _ => None,
    };
    if integer(VERSION)? != INDEX_VERSION {
        return None;
    }
    let Some(AttributeValue::Text(hash)) = metadata.attributes.get(FILE_HASH) else { return None };
    let size = u64::try_from(integer(FILE_BYTES)?).ok()?;
    Some((Stamp { size, mark: rows::mark_of(&metadata.attributes)? }, rows::parse_hash(hash)?))
}
