//! The point of a grid that lies closest in direction to a vector.
//!
//! The grid has the odd halves ±1/2, ±3/2, … below `2^(bits-1)` in each component. RaBitQ's extension looks at every
//! scale at which a component of the scaled vector changes its nearest point; here a few scales about the one that is
//! best for normal components are tried, and the best point found is then improved one component at a time, as long as
//! that helps. It finds nearly the same points in a small part of the time.

/// What was found of a vector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Product of the vector and the point.
    pub(super) product: f64,
    /// Squared norm of the point.
    pub(super) squared_norm: f64,
}

/// Distance of the levels that are best for a normal number of variance 1, for 2 to 8 bits (Max 1960, table II; the
/// later ones computed alike).
const STEPS: [f64; 7] = [0.9957, 0.5860, 0.3352, 0.1881, 0.1041, 0.0569, 0.0308];

/// Factors of the scale that are tried.
const TRIED: [f32; 14] = [0.76, 0.82, 0.87, 0.91, 0.95, 0.98, 1.01, 1.04, 1.08, 1.12, 1.17, 1.23, 1.3, 1.4];

/// And then, of the best of them.
const TRIED_NEXT: [f32; 8] = [0.97, 0.978, 0.985, 0.993, 1.007, 1.015, 1.022, 1.03];

/// Rounds over all components.
const ROUNDS: usize = 4;

/// Writes the magnitudes of the closest point to `point`, less a half each: whole numbers below `2^(bits-1)`.
///
/// `magnitudes` are those of a vector of norm 1.
pub(super) fn closest(magnitudes: &[f32], bits: u8, point: &mut [f32]) -> Found {
    let top = ((1_u32 << (bits - 1)) - 1) as f32;
    let mut found = Found { product: 0.0, squared_norm: 0.0 };
    if bits == 1 {
        point.fill(0.0);
    } else {
        let middle = ((magnitudes.len() as f64).sqrt() / STEPS[usize::from(bits) - 2]) as f32;
        let mut best = (0.0, middle);
        let mut try_scale = |scale| {
            let worth = worth_of(magnitudes, scale, top);
            if worth > best.0 {
                best = (worth, scale);
            }
            best.1
        };
        for factor in TRIED {
            try_scale(factor * middle);
        }
        // With many bits it is best to reach just as far as the greatest component.
        let greatest = magnitudes.iter().fold(0.0, |most: f32, &x| most.max(x));
        let about = try_scale((top + 0.75) / greatest);
        for factor in TRIED_NEXT {
            try_scale(factor * about);
        }
        for (x, place) in magnitudes.iter().zip(&mut *point) {
            *place = nearest(*x, best.1, top);
        }
        improve(magnitudes, top, point);
    }
    for (&x, &level) in magnitudes.iter().zip(&*point) {
        let level = f64::from(level) + 0.5;
        found.product += f64::from(x) * level;
        found.squared_norm += level * level;
    }
    found
}

/// The whole number that, with a half added, is nearest to `x × scale`.
#[inline]
fn nearest(x: f32, scale: f32, top: f32) -> f32 {
    /// Floats of this size are whole numbers, so that adding it rounds.
    const WHOLE: f32 = (1 << 23) as f32;
    let wanted = x * scale - 0.5;
    let wanted = if wanted > 0.0 { wanted } else { 0.0 };
    let wanted = if wanted < top { wanted } else { top };
    (wanted + WHOLE) - WHOLE
}

/// Squared product over squared norm of the point that belongs to a scale.
fn worth_of(magnitudes: &[f32], scale: f32, top: f32) -> f32 {
    const LANES: usize = 8;
    let (mut products, mut squares) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let (eights, rest) = magnitudes.as_chunks::<LANES>();
    for eight in eights {
        for lane in 0..LANES {
            let level = nearest(eight[lane], scale, top) + 0.5;
            products[lane] += eight[lane] * level;
            squares[lane] += level * level;
        }
    }
    let (mut product, mut square): (f32, f32) = (products.iter().sum(), squares.iter().sum());
    for &x in rest {
        let level = nearest(x, scale, top) + 0.5;
        product += x * level;
        square += level * level;
    }
    product * (product / square)
}

/// Moves single components by one as long as the cosine grows.
fn improve(magnitudes: &[f32], top: f32, point: &mut [f32]) {
    let (mut product, mut square) = (0.0_f64, 0.0_f64);
    for (&x, &level) in magnitudes.iter().zip(&*point) {
        let level = f64::from(level) + 0.5;
        product += f64::from(x) * level;
        square += level * level;
    }
    for _ in 0..ROUNDS {
        let mut moved = false;
        for (&x, level) in magnitudes.iter().zip(&mut *point) {
            let (x, odd) = (f64::from(x), f64::from(2.0 * *level + 1.0));
            // By how much product and square grow, one up; one down.
            for (step, more, squares) in [(1.0_f32, x, odd + 1.0), (-1.0, -x, 1.0 - odd)] {
                let (new_product, new_square) = (product + more, square + squares);
                let within = (0.0..=top).contains(&(*level + step));
                // Without a division; by a margin, so that rounding sends it round no circle.
                if within
                    && new_product * new_product * square > product * product * new_square * (1.0 + 1e-9)
                {
                    (product, square) = (new_product, new_square);
                    *level += step;
                    moved = true;
                    break;
                }
            }
        }
        if !moved {
            break;
        }
    }
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
