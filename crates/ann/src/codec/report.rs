//! What a codec was found to be worth.

/// Recall and error of a codec, measured on vectors that it was not trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodecReport {
    /// Share of the true 10 nearest among the 10 nearest by codes alone.
    pub recall_at_10: f32,
    /// The same after the [`CodecReport::RERANK`] nearest by codes were ranked anew by their vectors.
    pub recall_at_10_reranked: f32,
    /// Mean of the squared distance between a vector, as the codec was given it, and what its code decodes to.
    pub mean_squared_error: f32,
    /// Vectors that were searched.
    pub rows: u64,
    /// Queries that were rows of the store, held out of training and of what was searched.
    pub held_out_queries: u32,
    /// Queries that somebody had asked.
    pub real_queries: u32,
}

impl CodecReport {
    /// Candidates by codes that are ranked anew.
    pub const RERANK: usize = 100;
}
