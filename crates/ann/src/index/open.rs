//! Reads an index and checks all that a search relies on.

use crate::Metric;
use crate::codec::CodecError;

use super::calibrate::Calibration;
use super::hnsw::Hnsw;
use super::ivf::Ivf;
use super::parts::Parts;
use super::sketch::Sketcher;
use super::{Body, Common, IndexKind, VectorIndex, part};

/// See [`VectorIndex::open`].
pub(super) fn open(bytes: &[u8]) -> Result<VectorIndex, CodecError> {
    let (head, parts) = Parts::open(bytes)?;
    let kind =
        IndexKind::ALL.get(head.kind as usize).ok_or_else(|| malformed("is of no kind that is known"))?;
    let metric =
        Metric::ALL.get(head.metric as usize).ok_or_else(|| malformed("has no metric that is known"))?;
    if head.rows == 0 {
        return Err(malformed("has no rows"));
    }
    let sketcher = Sketcher::read(parts.bytes(bytes, part::SKETCHER), head.dim)?;
    let common = Common {
        metric: *metric,
        sketcher: &sketcher,
        sketches: parts.bytes(bytes, part::SKETCHES),
        ordinals: parts.numbers(bytes, part::ORDINALS)?,
        places: parts.numbers(bytes, part::PLACES)?,
        norms: parts.numbers(bytes, part::NORMS)?,
    };
    check(&common, head.rows)?;
    let calibration = Calibration::read(parts.bytes(bytes, part::CALIBRATION))?;
    let body = match kind {
        IndexKind::Ivf => Body::Ivf(Ivf::open(bytes, &parts, &common)?),
        IndexKind::Hnsw => Body::Hnsw(Hnsw::open(bytes, &parts, &common)?),
    };
    Ok(VectorIndex {
        metric: *metric,
        dim: head.dim,
        rows: head.rows,
        added: head.added,
        parts,
        sketcher,
        calibration,
        body,
    })
}

fn check(common: &Common<'_>, rows: usize) -> Result<(), CodecError> {
    if Some(common.sketches.len()) != rows.checked_mul(common.sketcher.bytes()) {
        return Err(malformed("has not as many sketches as rows"));
    }
    if common.ordinals.len() != rows || common.places.len() != rows {
        return Err(malformed("has not as many places as rows"));
    }
    // Then both are permutations.
    let there_and_back = |(place, &ordinal): (usize, &u32)| {
        common.places.get(ordinal as usize).is_some_and(|&back| back as usize == place)
    };
    if !common.ordinals.iter().enumerate().all(there_and_back) {
        return Err(malformed("has a row at two places"));
    }
    let of_norms = if common.metric == Metric::Cosine { 0 } else { rows };
    if common.norms.len() != of_norms || !common.norms.iter().all(|norm| (0.0..=f32::MAX).contains(norm)) {
        return Err(malformed("has not a norm for each row"));
    }
    Ok(())
}

fn malformed(why: &str) -> CodecError {
    CodecError::Malformed(format!("an index {why}"))
}
