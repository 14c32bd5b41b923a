//! What scores are.

use std::fmt;

use codegraph_vector_ann::Metric;

/// What the score of a match is. Higher is always better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScoreKind {
    /// The cosine of two vectors, from -1 to 1.
    Cosine,
    /// Their dot product.
    Dot,
    /// The negative distance between them.
    Euclidean,
    /// BM25 of the words of a text; more than 0.
    Bm25,
    /// Of a vector's and a text's rankings put together; more than 0, 1 at the most.
    Fused,
}

impl ScoreKind {
    /// The name in JSON: `cosine`, `dot`, `euclidean`, `bm25` or `fused`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => Metric::Cosine.name(),
            Self::Dot => Metric::Dot.name(),
            Self::Euclidean => Metric::Euclidean.name(),
            Self::Bm25 => "bm25",
            Self::Fused => "fused",
        }
    }
}

impl From<Metric> for ScoreKind {
    fn from(metric: Metric) -> Self {
        match metric {
            Metric::Cosine => Self::Cosine,
            Metric::Dot => Self::Dot,
            Metric::Euclidean => Self::Euclidean,
        }
    }
}

impl fmt::Display for ScoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
