//! What a codec was found to be worth, as commands show it.

use codegraph_vector::{CodecReport, Keep};
use serde::Serialize;

use crate::output;

/// The names are kept: other programs read them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Measured {
    /// The one that counts: reranked where vectors are kept, else by codes alone.
    recall_at_10: f32,
    pub(crate) recall_at_10_codes: f32,
    pub(crate) recall_at_10_reranked: f32,
    pub(crate) mean_squared_error: f32,
    /// Vectors that were searched.
    rows: u64,
    /// Queries that were rows of the store.
    held_out_queries: u32,
    /// Queries that somebody had asked.
    real_queries: u32,
}

impl Measured {
    pub(crate) fn of(report: &CodecReport, keep: Keep) -> Self {
        let CodecReport { rows, held_out_queries, real_queries, mean_squared_error, .. } = *report;
        Self {
            recall_at_10: keep.recall(report),
            recall_at_10_codes: report.recall_at_10,
            recall_at_10_reranked: report.recall_at_10_reranked,
            mean_squared_error,
            rows,
            held_out_queries,
            real_queries,
        }
    }

    /// For people: what is found of the true 10 nearest.
    pub(crate) fn recall(&self) -> String {
        format!(
            "{:.4} by codes alone, {:.4} with the best {} ranked anew by vectors",
            self.recall_at_10_codes,
            self.recall_at_10_reranked,
            CodecReport::RERANK
        )
    }

    /// For people: what it was measured on.
    pub(crate) fn sample(&self) -> String {
        let queries = self.held_out_queries + self.real_queries;
        let rows = output::count(self.rows, "row");
        format!("{rows} by {queries} queries, {} of which somebody had asked", self.real_queries)
    }
}
