//! What a system is worth at a recall: the upper envelope of what was measured, log rate linear in recall.
//!
//! (As in the summaries of the harness that other systems are measured by.)

/// Recalls at which systems are compared.
pub(super) const TARGETS: [f64; 3] = [0.90, 0.95, 0.99];

/// A recall and a rate.
pub(super) type Point = (f64, f64);

/// The points that no other one beats in both recall and rate, best recall first.
pub(super) fn envelope(points: impl IntoIterator<Item = Point>) -> Vec<Point> {
    let mut sorted: Vec<Point> = points.into_iter().collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
    let mut envelope: Vec<Point> = Vec::new();
    for point in sorted {
        if envelope.last().is_none_or(|last| point.1 > last.1) {
            envelope.push(point);
        }
    }
    envelope
}

/// The rate at a recall; `None` above the best recall of all.
pub(super) fn rate_at(envelope: &[Point], target: f64) -> Option<f64> {
    let above = envelope.iter().take_while(|point| point.0 >= target).count();
    let (high, fast) = *envelope[..above].last()?;
    let Some(&(low, faster)) = envelope.get(above) else { return Some(fast) };
    let share = (target - low) / (high - low);
    Some(((1.0 - share) * faster.ln() + share * fast.ln()).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beaten_in_both_is_left_out() {
        let points = [(0.9, 100.0), (0.8, 90.0), (0.99, 10.0), (0.9, 120.0), (0.7, 300.0)];
        assert_eq!(envelope(points), [(0.99, 10.0), (0.9, 120.0), (0.7, 300.0)]);
        assert_eq!(envelope([]), []);
    }

    #[test]
    fn between_two_points_the_logarithm_is_linear() {
        let envelope = envelope([(1.0, 10.0), (0.9, 1000.0)]);
        // Nothing is made up beyond either end: the worst that was measured is at least as good as asked.
        for (target, rate) in [(1.0, 10.0), (0.95, 100.0), (0.9, 1000.0)] {
            let found = rate_at(&envelope, target).unwrap();
            assert!((found - rate).abs() < 1e-6, "{target}: {found}");
        }
        assert_eq!(rate_at(&envelope, 0.5), Some(1000.0));
        assert_eq!(rate_at(&envelope[1..], 0.95), None);
        assert_eq!(rate_at(&[], 0.9), None);
    }
}
