//! Portable arithmetic in f64: norms, the exact fallbacks of the scan, the finiteness check.
//!
//! No square of a finite f32 over- or underflows an f64, and the sums run in one fixed order
//! of eight lanes, so that every machine computes the same bits.

const LANES: usize = 8;

/// The Euclidean norm of `vector`, the same bits on every machine.
///
/// A finite non-zero vector never has norm 0 (the norm of a denormal is a denormal), and has
/// norm infinity only where f32 cannot hold the true norm. An empty vector has norm 0.
///
/// ```
/// use codegraph_vector_ann::norm;
///
/// assert_eq!(norm(&[3.0, 4.0]), 5.0);
/// assert_eq!(norm(&[3e30, 4e30]), 5e30); // the squares overflow f32
/// ```
#[must_use]
pub fn norm(vector: &[f32]) -> f32 {
    norm_f64(vector) as f32
}

pub(crate) fn norm_f64(vector: &[f32]) -> f64 {
    sum_f64(vector, vector, |x, y| x * y).sqrt()
}

pub(crate) fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    sum_f64(a, b, |x, y| x * y)
}

pub(crate) fn l2_squared_f64(a: &[f32], b: &[f32]) -> f64 {
    sum_f64(a, b, |x, y| (x - y) * (x - y))
}

fn sum_f64(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let (a_chunks, a_tail) = a.as_chunks::<LANES>();
    let (b_chunks, b_tail) = b.as_chunks::<LANES>();
    let mut lanes = [0.0_f64; LANES];
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += term(f64::from(x[lane]), f64::from(y[lane]));
        }
    }
    for (lane, (&x, &y)) in a_tail.iter().zip(b_tail).enumerate() {
        lanes[lane] += term(f64::from(x), f64::from(y));
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Checks that no component is NaN or infinite.
///
/// # Errors
///
/// The index of the first component that is not finite.
///
/// ```
/// use codegraph_vector_ann::check_finite;
///
/// assert_eq!(check_finite(&[1.0, f32::NAN, f32::INFINITY]), Err(1));
/// ```
pub fn check_finite(vector: &[f32]) -> Result<(), usize> {
    // First without a branch, which the compiler can spread over vector lanes.
    const ALL_ONES_EXPONENT: u32 = 0x7f80_0000;
    let is_bad = |x: &f32| x.to_bits() & ALL_ONES_EXPONENT == ALL_ONES_EXPONENT;
    if vector.iter().fold(false, |bad, x| bad | is_bad(x)) {
        return vector.iter().position(is_bad).map_or(Ok(()), Err);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norm_is_neither_zero_nor_infinite_without_need() {
        let least = f32::from_bits(1);
        assert_eq!(norm(&[least]), least);
        assert_eq!(norm(&[0.0, -0.0]), 0.0);
        assert_eq!(norm(&[]), 0.0);
        assert_eq!(norm(&[f32::MAX]), f32::MAX);
        assert_eq!(norm(&[f32::MAX; 2]), f32::INFINITY);
        assert_eq!(norm(&[1e-25; 100]), 1e-24);
        for n in 0..40 {
            assert_eq!(norm(&vec![2.0; n]), (4.0 * n as f64).sqrt() as f32, "{n} components");
        }
    }

    #[test]
    fn the_first_bad_component_is_named() {
        for len in 0..40 {
            let mut vector = vec![f32::MAX; len];
            assert_eq!(check_finite(&vector), Ok(()));
            for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in 0..len {
                    vector[at] = bad;
                    vector[len - 1] = bad;
                    assert_eq!(check_finite(&vector), Err(at));
                    vector[at] = -0.0;
                    vector[len - 1] = f32::from_bits(1);
                }
            }
        }
    }
}
