//! Which segments get an index, and of which kind.

use std::fmt;
use std::str::FromStr;

use codegraph_vector_ann::index::{IndexKind, IndexSpec};
use codegraph_vector_base::{Error, Result};

use crate::compression::Keep;

/// With fewer rows, scanning them all is as quick, and what an index brings along would be much beside them.
const AUTO_ROWS: usize = 4096;
/// The same where all that is kept of vectors is codes: there an index takes about as much again.
const AUTO_ROWS_OF_CODES: usize = 200_000;
/// Below this an index is of no use whatever was asked for.
const LEAST_ROWS: usize = 64;

/// The index that segments get. As a text: `auto`, `flat`, `ivf`, `hnsw`, or `hnsw:m=24;ef_construction=400`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IndexPolicy {
    /// None for a small segment, else the kind that was found to be the quickest for so many rows.
    #[default]
    Auto,
    /// None: all rows are looked at, by their codes if they have any.
    Flat,
    /// Cells around centroids, of which the nearest are scanned by short codes.
    Ivf,
    /// A graph that is walked (Malkov, Yashunin, 1603.09320).
    Hnsw {
        /// Links of a node in the layers above the base, where it has twice as many; from 4 to 64.
        m: usize,
        /// How many of the nearest are kept in sight while links of a new node are looked for; from 8 to 4096.
        ef_construction: usize,
    },
}

impl IndexPolicy {
    /// A graph with what serves most data.
    #[must_use]
    pub fn hnsw() -> Self {
        let IndexSpec { m, ef_construction, .. } = IndexSpec::new(IndexKind::Hnsw);
        Self::Hnsw { m, ef_construction }
    }

    /// Refuses what cannot be built.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Hnsw { m, ef_construction }
                if !(4..=64).contains(m) || !(8..=4096).contains(ef_construction) =>
            {
                Err(Error::invalid(format!(
                    "an index by {self}: m must be from 4 to 64, and ef_construction from 8 to 4096"
                )))
            }
            _ => Ok(()),
        }
    }

    /// What a segment of so many rows gets, of whose vectors so much is kept. `least` is for tests: the rows from which on
    /// there is an index.
    pub(crate) fn spec(&self, rows: usize, keep: Keep, least: Option<u64>) -> Option<IndexSpec> {
        let least_rows = match (least, self) {
            (Some(least), _) => least as usize,
            (None, Self::Auto) if keep == Keep::None => AUTO_ROWS_OF_CODES,
            (None, Self::Auto) => AUTO_ROWS,
            (None, _) => LEAST_ROWS,
        };
        if rows < least_rows {
            return None;
        }
        match *self {
            Self::Flat => None,
            Self::Auto | Self::Ivf => Some(IndexSpec::new(IndexKind::Ivf)),
            Self::Hnsw { m, ef_construction } => {
                Some(IndexSpec { kind: IndexKind::Hnsw, m, ef_construction })
            }
        }
    }
}

impl fmt::Display for IndexPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Flat => f.pad("flat"),
            Self::Ivf => f.pad("ivf"),
            hnsw if *hnsw == Self::hnsw() => f.pad("hnsw"),
            Self::Hnsw { m, ef_construction } => write!(f, "hnsw:m={m};ef_construction={ef_construction}"),
        }
    }
}

impl FromStr for IndexPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(format!(
                "an index cannot be {text:?}: it is auto, flat, ivf, hnsw or hnsw:m=M;ef_construction=E"
            ))
        };
        let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
        let mut policy = match name {
            "auto" => Self::Auto,
            "flat" => Self::Flat,
            "ivf" => Self::Ivf,
            "hnsw" => Self::hnsw(),
            _ => return Err(bad()),
        };
        for parameter in parameters.split(';').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').ok_or_else(bad)?;
            let value: usize = value.parse().map_err(|_| bad())?;
            match (&mut policy, name) {
                (Self::Hnsw { m, .. }, "m") => *m = value,
                (Self::Hnsw { ef_construction, .. }, "ef_construction") => *ef_construction = value,
                _ => return Err(bad()),
            }
        }
        policy.check()?;
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_survive_their_text() {
        let graph = IndexPolicy::Hnsw { m: 24, ef_construction: 400 };
        for policy in [IndexPolicy::Auto, IndexPolicy::Flat, IndexPolicy::Ivf, IndexPolicy::hnsw(), graph] {
            assert_eq!(policy.to_string().parse::<IndexPolicy>().unwrap(), policy);
        }
        assert_eq!("hnsw:m=24".parse::<IndexPolicy>().unwrap().to_string(), "hnsw:m=24;ef_construction=200");
        for bad in ["", "tree", "ivf:m=3", "hnsw:m", "hnsw:m=3", "hnsw:m=x", "hnsw:ef_construction=5000"] {
            assert!(bad.parse::<IndexPolicy>().is_err(), "{bad}");
        }
    }

    #[test]
    fn small_segments_have_none() {
        let spec = |policy: IndexPolicy, rows, keep| policy.spec(rows, keep, None).map(|spec| spec.kind);
        assert_eq!(spec(IndexPolicy::Auto, AUTO_ROWS - 1, Keep::Full), None);
        assert_eq!(spec(IndexPolicy::Auto, AUTO_ROWS, Keep::Full), Some(IndexKind::Ivf));
        assert_eq!(spec(IndexPolicy::Auto, AUTO_ROWS, Keep::None), None);
        assert_eq!(spec(IndexPolicy::Flat, 1 << 30, Keep::Full), None);
        assert_eq!(spec(IndexPolicy::hnsw(), AUTO_ROWS, Keep::None), Some(IndexKind::Hnsw));
    }
}
