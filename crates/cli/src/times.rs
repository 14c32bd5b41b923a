//! Figures of many times.

/// By the nearest rank: the least of some sorted times that so many percent of them do not exceed; 0 of none.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    match sorted.len() {
        0 => 0.0,
        count => sorted[(count * percent).div_ceil(100).max(1) - 1],
    }
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<f64> = (1..=200).map(f64::from).collect();
        let at = |percent| percentile(&times, percent);
        assert_eq!([0, 50, 99, 100].map(at), [1.0, 100.0, 198.0, 200.0]);
        assert_eq!((percentile(&[7.0], 50), percentile(&[7.0], 99), percentile(&[], 50)), (7.0, 7.0, 0.0));
    }
}
