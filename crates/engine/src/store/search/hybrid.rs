//! Hybrid search: the rankings by vector and by text, fused by reciprocal rank (Cormack, Clarke and Büttcher, 2009).
//!
//! What always holds: the same rankings give the same result; ties go by id; what is named exactly as asked comes
//! before all else.

use std::collections::BTreeMap;

use codegraph_vector_ann::{Hit, TopK};
use codegraph_vector_base::{Error, NodeId, Result, SeqNo};

use super::text::TextRanking;
use super::{MAX_LIMIT, ScoreKind, SearchRequest, SearchResults, TextRequest, check};
use crate::store::core::Core;
use crate::text::Question;
use crate::version::Version;

/// How slowly what a place in a ranking says falls off: 60 in the paper, and here.
const K: f64 = 60.0;

/// How far down each ranking is looked, at least, unless it is said.
pub(crate) const DEPTH: usize = 100;

/// What to look for, by a vector and by a text at once.
#[derive(Clone, Debug)]
pub struct HybridRequest {
    /// As in a [`TextRequest`](crate::TextRequest).
    pub text: String,
    /// The vector; and what is asked of the results: number, filter, what they carry.
    pub near: SearchRequest,
    /// How much the ranking by text counts, from 0 to 1; that by vector counts the rest.
    pub text_share: f32,
    /// How far down each ranking is looked, at least; 100 unless said.
    pub depth: usize,
}

impl HybridRequest {
    /// The `limit` nodes that are near to `vector`, fit `text`, or both, with metadata.
    pub fn new(text: impl Into<String>, vector: impl Into<Vec<f32>>, limit: usize) -> Self {
        let near = SearchRequest::new(vector, limit);
        Self { text: text.into(), near, text_share: 0.5, depth: DEPTH }
    }
}

impl Core {
    /// The rows that are near, fit, or both, and that a reader at `seqno` sees.
    pub(crate) fn search_hybrid(
        &self,
        version: &Version,
        seqno: SeqNo,
        request: &HybridRequest,
    ) -> Result<SearchResults> {
        let HybridRequest { text, near, text_share, depth } = request;
        let limit = if near.limit == 0 { 0 } else { near.limit.max((*depth).min(MAX_LIMIT)) };
        let by_vector = SearchRequest { limit, with_metadata: false, with_vector: false, ..near.clone() };
        let by_vector = self.search(version, seqno, &by_vector)?;
        let (below_exact, below_degraded) = (by_vector.exact, by_vector.degraded);
        let SearchRequest { limit, ref filter, with_metadata, with_vector, .. } = *near;
        let ranked = Ranked {
            ids: &by_vector.matches.iter().map(|found| found.node_id).collect::<Vec<_>>(),
            text_share: *text_share,
            depth: *depth,
            with_vector,
        };
        let request = TextRequest { text: text.clone(), limit, filter: filter.clone(), with_metadata };
        let fused = self.search_fused(version, seqno, &request, &ranked)?;
        Ok(SearchResults { exact: below_exact, ..fused }.degraded_if(below_degraded || fused.degraded))
    }

    /// The rows that fit a text, beside a ranking that there is already.
    pub(crate) fn search_fused(
        &self,
        version: &Version,
        seqno: SeqNo,
        request: &TextRequest,
        ranked: &Ranked<'_>,
    ) -> Result<SearchResults> {
        let TextRequest { text, limit, filter, with_metadata } = request;
        let Ranked { ids, text_share, depth, with_vector } = *ranked;
        if !(0.0..=1.0).contains(&text_share) {
            return Err(Error::invalid(format!("text_share is {text_share}, and must be from 0 to 1")));
        }
        self.check_open()?;
        check(*limit, filter.as_ref())?;
        let question = Question::new(text);
        let deep = depth.min(MAX_LIMIT).max(*limit);
        let (matches, degraded) = self.around_damage(version, |rest| {
            let by_text = self.rank_text(rest, seqno, &question, deep, filter.as_ref())?;
            // What the ranking has and is damaged is left out of it.
            let is_left = |id: &&NodeId| {
                let is_all = std::ptr::eq(rest, version);
                is_all || self.contains(rest, seqno, **id).unwrap_or(true)
            };
            let ids: Vec<NodeId> = ids.iter().filter(is_left).copied().collect();
            let hits = fuse(&ids, &by_text, &question, f64::from(text_share), *limit);
            let found = |hit| self.found(rest, seqno, hit, (*with_metadata, with_vector));
            hits.into_iter().map(found).collect::<Result<_>>()
        })?;
        let score_kind = ScoreKind::Fused;
        let results = SearchResults { matches, score_kind, seqno, exact: true, degraded: false };
        Ok(results.degraded_if(degraded))
    }
}

/// A ranking that one by text is fused with.
pub(crate) struct Ranked<'a> {
    /// Rows that the reader sees, best first.
    pub(crate) ids: &'a [NodeId],
    /// See [`HybridRequest`].
    pub(crate) text_share: f32,
    pub(crate) depth: usize,
    /// Whether matches carry their vector.
    pub(crate) with_vector: bool,
}

/// The best of two rankings. A score of 1 is first in both, and, if a name was asked for, named so.
fn fuse(
    by_vector: &[NodeId],
    by_text: &TextRanking,
    question: &Question,
    text_share: f64,
    limit: usize,
) -> Vec<Hit<NodeId>> {
    let mut scores: BTreeMap<NodeId, f64> = BTreeMap::new();
    let (is_name, of_rankings) = match question.named.is_empty() {
        true => (0.0, 1.0),
        false => (0.5, 0.5),
    };
    let mut rank = |place: usize, id: NodeId, share: f64| {
        let said = share * of_rankings * (K + 1.0) / (K + 1.0 + place as f64);
        *scores.entry(id).or_default() += said;
    };
    by_vector.iter().enumerate().for_each(|(place, id)| rank(place, *id, 1.0 - text_share));
    by_text.hits.iter().enumerate().for_each(|(place, hit)| rank(place, hit.key, text_share));
    for hit in &by_text.hits[..by_text.named] {
        *scores.entry(hit.key).or_default() += is_name;
    }
    let mut top = TopK::new(limit);
    scores.into_iter().filter(|(_, score)| *score > 0.0).for_each(|(id, score)| {
        top.push(score as f32, id);
    });
    top.into_sorted()
}

#[cfg(test)]
#[path = "hybrid_tests.rs"]
mod tests;
