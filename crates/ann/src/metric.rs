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
