//! The three metrics and their names on the wire.
//!
//! A metric here is a *score*: higher is better for all three, so Euclidean is negated.

use std::fmt;
use std::str::FromStr;

/// How two vectors are compared. The score of every metric is better when higher.
///
/// ```
/// use codegraph_vector_ann::Metric;
///
/// assert_eq!("euclidean".parse(), Ok(Metric::Euclidean));
/// assert_eq!(Metric::Cosine.to_string(), "cosine");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// `dot(q, x) / (|q| |x|)`, in -1 ..= 1; 0 when either vector is zero.
    #[default]
    Cosine,
    /// `dot(q, x)`.
    Dot,
    /// `-|q - x|`: the negative distance (not its square), at most 0.
    Euclidean,
}

impl Metric {
    /// Every metric, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Cosine, Self::Dot, Self::Euclidean];

    /// The name in JSON, on the command line and as `score_kind`: `cosine`, `dot` or `euclidean`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::Euclidean => "euclidean",
        }
    }

    /// The score of a row of norm `norm` for a query of norm `query_norm`, `dot` being the product of their directions,
    /// as far as it is known. It never falls when that product rises, and is never NaN.
    pub(crate) fn of_directions(self, dot: f32, query_norm: f64, norm: f32) -> f32 {
        match self {
            Self::Cosine if query_norm == 0.0 || norm == 0.0 => 0.0,
            Self::Cosine => finite(f64::from(dot).clamp(-1.0, 1.0)),
            Self::Dot | Self::Euclidean => {
                self.of_product(f64::from(dot) * (query_norm * f64::from(norm)), query_norm, norm)
            }
        }
    }

    /// A product of directions that a row must come to for a score of `threshold`, whatever its norm, as long as that
    /// lies within `norms`; a little too low, or minus infinity where any product may do.
    pub(crate) fn least_dot(self, threshold: f32, query_norm: f64, (shortest, longest): (f32, f32)) -> f64 {
        /// Many times the rounding of f32.
        const SLACK: f64 = 1e-5;
        let lenient = f64::from(threshold) - SLACK * f64::from(threshold).abs();
        let (shortest, longest) = (f64::from(shortest), f64::from(longest));
        if query_norm == 0.0 {
            return f64::NEG_INFINITY;
        }
        let least = match self {
            // A row of norm 0 scores 0.
            Self::Cosine if threshold <= 0.0 => f64::NEG_INFINITY,
            Self::Cosine => lenient,
            Self::Dot if threshold > 0.0 => lenient / (query_norm * longest),
            Self::Dot => lenient / (query_norm * shortest),
            Self::Euclidean => {
                let room = query_norm * query_norm - lenient * lenient;
                let norm = room.max(0.0).sqrt().clamp(shortest, longest.max(shortest));
                (room / norm + norm) / (2.0 * query_norm)
            }
        };
        if least.is_nan() { f64::NEG_INFINITY } else { least - SLACK * least.abs() }
    }

    /// The score of such a row, `product` being that of query and row as they are.
    pub(crate) fn of_product(self, product: f64, query_norm: f64, norm: f32) -> f32 {
        let norm = f64::from(norm);
        finite(match self {
            Self::Cosine if query_norm == 0.0 || norm == 0.0 => 0.0,
            Self::Cosine => (product / (query_norm * norm)).clamp(-1.0, 1.0),
            Self::Dot => product,
            Self::Euclidean => 0.0 - (query_norm * query_norm + norm * norm - 2.0 * product).max(0.0).sqrt(),
        })
    }
}

/// A score within what an f32 holds; what cannot be right makes the least score, not a NaN.
fn finite(score: f64) -> f32 {
    let score = if score.is_nan() { f64::NEG_INFINITY } else { score };
    score.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32 + 0.0
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|metric| metric.name() == name).ok_or(UnknownMetric)
    }
}

/// The text given to `Metric::from_str` is none of the names (they are lower case).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMetric;

impl fmt::Display for UnknownMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown metric: expected cosine, dot or euclidean")
    }
}

impl std::error::Error for UnknownMetric {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        for wrong in ["", "Cosine", "l2", "dot "] {
            assert_eq!(wrong.parse::<Metric>(), Err(UnknownMetric));
        }
    }
}
