//! What `compress` is asked, what it tells meanwhile, and what it reports.

use codegraph_vector_ann::codec::{CodecReport, CodecSpec};

use super::{Compression, Keep};

/// What vectors are to be compressed by.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// This codec.
    Codec(CodecSpec),
    /// The smallest of a handful of codecs that holds what is asked, measured on the store's own rows.
    Auto {
        /// Least recall@10, from 0 to 1.
        min_recall: f32,
        /// Most bytes of a code.
        max_bytes: Option<usize>,
    },
    /// Nothing: vectors in full.
    None,
}

/// Asks for the vectors of a store to be compressed, in the foreground.
#[derive(Clone, Debug, PartialEq)]
pub struct CompressRequest {
    /// By what.
    pub target: Target,
    /// What is kept beside the codes.
    pub keep: Keep,
    /// Least recall@10 of a [`Target::Codec`], from 0 to 1; one that falls short is refused, and nothing changes.
    pub min_recall: Option<f32>,
    /// Whether rows of which only codes are kept may be decoded and coded anew, which loses more of them.
    pub lossy: bool,
    /// Threads to train with; 0 takes the setting `compression_threads`.
    pub threads: usize,
}

impl CompressRequest {
    /// A request that keeps vectors in full, refuses no recall, and loses nothing more.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target, keep: Keep::Full, min_recall: None, lossy: false, threads: 0 }
    }

    /// Keeps this beside the codes.
    #[must_use]
    pub fn with_keep(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// Refuses a codec whose recall@10 is below this.
    #[must_use]
    pub fn with_min_recall(self, recall: f32) -> Self {
        Self { min_recall: Some(recall), ..self }
    }

    /// Allows rows of which only codes are kept to be decoded and coded anew.
    #[must_use]
    pub fn with_loss(self) -> Self {
        Self { lossy: true, ..self }
    }
}

/// What a [`compress`](crate::PersistentVectorStore::compress) is at.
#[derive(Clone, Debug, PartialEq)]
pub enum CompressProgress {
    /// A codec is being trained.
    Training {
        /// Which.
        spec: CodecSpec,
        /// How much is done, from 0 to 1.
        share: f32,
    },
    /// A codec is being measured.
    Measuring {
        /// How much is done, from 0 to 1.
        share: f32,
    },
    /// Segments are being rewritten.
    Rewriting {
        /// Rewritten so far.
        done: u64,
        /// Known to wait still.
        waiting: u64,
    },
}

/// A codec that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Which.
    pub spec: CodecSpec,
    /// Bytes of a code.
    pub bytes_per_vector: usize,
    /// What it is worth.
    pub report: CodecReport,
    /// Whether it holds what was asked.
    pub accepted: bool,
}

/// What a `compress` did.
#[derive(Clone, Debug, PartialEq)]
pub struct CompressReport {
    /// How vectors are compressed from now on.
    pub compression: Option<Compression>,
    /// What the codec is worth; `None` for no codec, and for one that is trained later, when there are rows enough.
    pub report: Option<CodecReport>,
    /// What was tried, smallest first.
    pub candidates: Vec<Candidate>,
    /// Segments that were written anew.
    pub segments_rewritten: u64,
    /// Bytes of all files of the store, everything flushed.
    pub bytes_before: u64,
    /// The same afterwards.
    pub bytes_after: u64,
}

impl Keep {
    /// The recall that counts: where vectors are kept they rank what the codes find, else nothing does.
    #[must_use]
    pub fn recall(self, report: &CodecReport) -> f32 {
        match self {
            Self::None => report.recall_at_10,
            Self::F16 | Self::Full => report.recall_at_10_reranked,
        }
    }
}
