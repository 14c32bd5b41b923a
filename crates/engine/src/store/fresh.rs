//! Rows in memory are coded as those of an index are, chunk by chunk, so that looking at them costs no more than the index.
//!
//! What always holds: codes are nothing but a quicker way; what has none is scanned.

use std::sync::Arc;

use codegraph_vector_ann::codec::directions;
use codegraph_vector_ann::index::RowCoder;
use codegraph_vector_base::Result;

use super::core::Core;
use crate::memtable::{Chunk, CodedChunk};

/// Full chunks without codes that are worth a round in the background.
const DUE_CHUNKS: usize = 4;

impl Core {
    /// Whether rows in memory are to be coded.
    pub(super) fn is_coding_due(&self) -> bool {
        let version = self.version.load();
        let due = version.memtables().map(|table| table.uncoded_chunks()).sum::<usize>() >= DUE_CHUNKS;
        due && version.segments.iter().any(|segment| segment.index_kind().is_some())
    }

    /// Codes the full chunks of memtables that have no codes, as the largest segment that has an index codes its rows.
    pub(super) fn code_fresh_rows(&self) -> Result<()> {
        let version = self.version.load_full();
        let indexed = version.segments.iter().filter(|segment| segment.index_kind().is_some());
        let Some(largest) = indexed.max_by_key(|segment| segment.rows()) else { return Ok(()) };
        let Some(coder) = largest.coder()? else { return Ok(()) };
        for table in version.memtables() {
            let ((), full) = table.chunks_now(|_| ());
            for chunk in full.iter().filter(|chunk| chunk.coded.get().is_none()) {
                if self.is_closing() {
                    return Ok(());
                }
                code(chunk, &coder);
            }
            table.count_coded();
        }
        Ok(())
    }
}

fn code(chunk: &Chunk, coder: &Arc<RowCoder>) {
    let mut rows = vec![0.0; chunk.vectors.len()];
    directions(&chunk.vectors, &chunk.norms, &mut rows);
    // If another round was quicker, its codes are as good.
    let _ = chunk.coded.set(CodedChunk { rows: coder.code(&rows, &chunk.norms), coder: coder.clone() });
}

#[cfg(test)]
#[path = "fresh_tests.rs"]
mod tests;
