use super::super::super::conformance::directions;
use super::*;

/// The best squared cosine over all scales at which a component's nearest point changes.
fn best(magnitudes: &[f32], bits: u8) -> f64 {
    let top = (1_u32 << (bits - 1)) - 1;
    let scales = (1..=top).flat_map(|level| magnitudes.iter().map(move |x| f64::from(level) / f64::from(*x)));
    let worth = |scale: f64| {
        let (mut product, mut square) = (0.0, 0.0);
        for &x in magnitudes {
            let level = (f64::from(x) * scale * (1.0 + 1e-9)).floor().min(f64::from(top)) + 0.5;
            product += f64::from(x) * level;
            square += level * level;
        }
        product * product / square
    };
    scales.chain([0.0]).filter(|scale| scale.is_finite()).map(worth).fold(0.0, f64::max)
}

#[test]
fn the_point_is_nearly_the_best_there_is() {
    for dim in [1, 2, 5, 64, 100] {
        for vector in directions(20, dim, 21).chunks_exact(dim) {
            let magnitudes: Vec<f32> = vector.iter().map(|x| x.abs()).collect();
            for bits in 1..=8 {
                let mut point = vec![f32::NAN; dim];
                let found = closest(&magnitudes, bits, &mut point);
                let top = ((1_u32 << (bits - 1)) - 1) as f32;
                assert!(point.iter().all(|x| (0.0..=top).contains(x) && x.fract() == 0.0));
                let (worth, best) = (found.product.powi(2) / found.squared_norm, best(&magnitudes, bits));
                // Among the thousands of scales at which 7 bits change, one may be lucky by a quarter in so few dimensions.
                let allowed = if dim < 10 { 0.03 } else { (1.0 - best) * if bits <= 4 { 0.05 } else { 0.3 } };
                assert!(worth >= best - allowed, "{bits} bits of {dim}: {worth}, and {best} can be had");
            }
        }
    }
}
