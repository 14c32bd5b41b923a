//! Which codecs `compress auto` tries.

use codegraph_vector_ann::codec::{self, CodecSpec, Scope, TrainControl};
use codegraph_vector_base::{Error, Result};

/// Codecs to try for vectors of `dimension`, with the bytes of their codes, smallest first. A codec of a family that is
/// known to hold less at about the same bytes comes behind the other.
pub(crate) fn candidates(dimension: usize, max_bytes: Option<usize>) -> Result<Vec<(CodecSpec, usize)>> {
    let transform = |bytes: usize| CodecSpec::Transform { bytes: bytes.clamp(2, dimension + 1) };
    let scalar = |nbits| CodecSpec::Scalar { nbits, uniform: true, scope: Scope::Dimension, brain: false };
    let mut specs: Vec<CodecSpec> =
        [8, 6, 4, 3, 2, 1].map(|divisor| transform(dimension.div_ceil(divisor))).into();
    specs.extend((1..=4).map(|bits| CodecSpec::Binary { bits }));
    specs.extend([scalar(4), scalar(8)]);
    let mut found: Vec<(CodecSpec, usize)> = Vec::new();
    for spec in specs {
        let bytes = code_bytes(&spec, dimension)?;
        let known = found.iter().any(|(other, _)| *other == spec);
        if !known && max_bytes.is_none_or(|most| bytes <= most) {
            found.push((spec, bytes));
        }
    }
    found.sort_by_key(|(_, bytes)| *bytes);
    Ok(found)
}

/// Bytes of a code: these follow from spec and dimension, whatever a codec is trained on.
fn code_bytes(spec: &CodecSpec, dimension: usize) -> Result<usize> {
    if let CodecSpec::Transform { bytes } = spec {
        return Ok(*bytes);
    }
    let trained = codec::train(spec, dimension, &vec![1.0; dimension], &TrainControl::QUIET);
    trained.map(|codec| codec.bytes_per_vector()).map_err(|error| Error::invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_fit_and_come_by_size() {
        for dimension in [1, 2, 3, 17, 100, 768] {
            let all = candidates(dimension, None).unwrap();
            assert!(all.len() >= 6 && all.is_sorted_by_key(|(_, bytes)| *bytes), "{dimension}: {all:?}");
            assert!(all.iter().all(|(spec, _)| spec.check(dimension).is_ok()), "{dimension}: {all:?}");
            let most = all[all.len() / 2].1;
            let some = candidates(dimension, Some(most)).unwrap();
            assert!(some.iter().eq(all.iter().filter(|(_, bytes)| *bytes <= most)), "{dimension}: {some:?}");
        }
    }
}
