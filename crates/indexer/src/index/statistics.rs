//! Keeping count of the words of the indexed code, for embedders that weigh questions with it.

use std::collections::BTreeMap;

use codegraph_vector::{Filter, NodeId, PersistentVectorStore, Result};

use super::IndexSummary;
use super::origin::{Found, Origin};
use super::rows::FILE_HASH;
use crate::embed::{CorpusCounter, CorpusStatistics};
use crate::node::NodeKind;

/// Most files that are counted, picked at random, the same ones each time.
const SAMPLE_FILES: usize = 2_000;
/// Bytes of source after which no further file is counted.
const SAMPLE_BYTES: usize = 8 << 20;
/// A run that changed less than one in so many nodes leaves the counts as they are.
const CHANGED_SHARE: u64 = 10;

/// Counts anew if the run changed enough, or nothing was counted before.
pub(super) fn refresh(
    store: &PersistentVectorStore,
    origin: &Origin<'_>,
    max_file_bytes: u64,
    summary: &IndexSummary,
) -> Result<()> {
    if let Some(counted) = CorpusStatistics::of_store(store)? {
        let changed =
            (summary.nodes_embedded + summary.nodes_reused).max(counted.nodes.abs_diff(summary.nodes));
        if changed <= counted.nodes / CHANGED_SHARE {
            return Ok(());
        }
    }
    let mut corpus = CorpusCounter::default();
    let mut bytes = 0;
    let reader = origin.reader();
    for found in sample(store)?.into_values() {
        // A file that cannot be read any more is one less in the sample.
        if let Ok(source) = reader.read(&found, max_file_bytes) {
            corpus.add(&String::from_utf8_lossy(&source.bytes));
            bytes += source.bytes.len();
        }
        if bytes >= SAMPLE_BYTES {
            break;
        }
    }
    corpus.finish(summary.nodes).record(store)
}

/// The files with the least ids, which are hashes: as good as picked at random, whatever else is there.
fn sample(store: &PersistentVectorStore) -> Result<BTreeMap<NodeId, Found>> {
    let mut sample = BTreeMap::new();
    let files = Filter::eq("kind", NodeKind::Module.name());
    store.snapshot()?.each_metadata(&files, &mut |id, metadata| {
        if let Some(path) = &metadata.path
            && metadata.attributes.contains_key(FILE_HASH)
        {
            sample.insert(id, Found::of_node(path, metadata));
            if sample.len() > SAMPLE_FILES {
                sample.pop_last();
            }
        }
        Ok(())
    })?;
    Ok(sample)
}
