//! Rows in memory that have codes: the nearest by those are ranked anew by their vectors.

use std::sync::Arc;

use codegraph_vector_ann::TopK;
use codegraph_vector_ann::index::FreshRows;
use codegraph_vector_base::SeqNo;

use super::exact::scan_chunk;
use super::{Place, Search, Source};
use crate::memtable::{Chunk, CodedChunk};
use crate::version::Version;

/// Chunks with codes from which on it pays to make a query ready for them.
const LEAST_CHUNKS: usize = 4;
/// Candidates for each result, and at least.
const CANDIDATES_PER_RESULT: usize = 3;
const LEAST_CANDIDATES: usize = 30;

/// Scans all memtables.
pub(super) fn scan_memtables(version: &Version, seqno: SeqNo, search: &mut Search<'_>) {
    let Search { request, scan, top, .. } = &mut *search;
    let filter = request.filter.as_ref();
    let mut full = Vec::new();
    for table in version.memtables() {
        let ((), chunks) = table.chunks_now(|open| scan_chunk(scan, open, seqno, filter, top));
        full.extend(chunks);
    }
    let (coded, others): (Vec<_>, Vec<_>) =
        full.into_iter().partition(|chunk| !request.exact && chunk.coded.get().is_some());
    others.iter().for_each(|chunk| scan_chunk(scan, chunk, seqno, filter, top));
    if coded.len() < LEAST_CHUNKS {
        coded.iter().for_each(|chunk| scan_chunk(scan, chunk, seqno, filter, top));
    } else {
        scan_coded(&coded, seqno, search);
    }
}

/// Scans chunks that all have codes.
fn scan_coded(chunks: &[Arc<Chunk>], seqno: SeqNo, search: &mut Search<'_>) {
    search.exact = false;
    let request = search.request;
    let mut left: Vec<(&Chunk, &CodedChunk)> =
        chunks.iter().filter_map(|chunk| Some((&**chunk, chunk.coded.get()?))).collect();
    // Those by the same coder together: there are few of them, as a coder is as old as the index that it is of.
    while let Some((_, CodedChunk { coder, .. })) = left.first() {
        let (here, others): (Vec<_>, Vec<_>) =
            left.iter().partition(|(_, coded)| Arc::ptr_eq(&coded.coder, coder));
        let batches: Vec<&FreshRows> = here.iter().map(|(_, coded)| &coded.rows).collect();
        let admit = |chunk: usize, at: u32| {
            let row = &here[chunk].0.rows[at as usize];
            let matches = |filter: &crate::filter::Filter| filter.matches(row.id, &row.metadata);
            let seen = row.visible_at(seqno) && request.filter.as_ref().is_none_or(matches);
            seen.then_some((chunk as u32, at))
        };
        let wanted = request.rerank.unwrap_or(CANDIDATES_PER_RESULT * request.limit);
        let mut candidates = TopK::new(wanted.max(request.limit).max(LEAST_CANDIDATES));
        coder.search(&request.vector, &batches, admit, &mut candidates);
        for hit in candidates.into_sorted() {
            let (chunk, at) = (here[hit.key.0 as usize].0, hit.key.1 as usize);
            let score = search.scan.score_one(chunk.vector(at), chunk.norms[at]);
            search.top.push(score, Place { id: chunk.rows[at].id, source: Source::Memory });
        }
        left = others;
    }
}
