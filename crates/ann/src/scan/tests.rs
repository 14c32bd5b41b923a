//! The scan against brute force in f64, and its promises about bits, calls and odd input.

use super::*;
use crate::topk::Hit;
use proptest::prelude::*;

/// The true score.
fn reference(metric: Metric, q: &[f32], x: &[f32]) -> f64 {
    match metric {
        Metric::Dot => dot_f64(q, x),
        Metric::Euclidean => -l2_squared_f64(q, x).sqrt(),
        Metric::Cosine => {
            let scale = norm_f64(q) * norm_f64(x);
            if scale == 0.0 { 0.0 } else { dot_f64(q, x) / scale }
        }
    }
}

fn norms_of(rows: &[f32], dim: usize) -> Vec<f32> {
    rows.chunks(dim).map(norm).collect()
}

fn bits(hits: &[Hit<u64>]) -> Vec<(u32, u64)> {
    hits.iter().map(|hit| (hit.score.to_bits(), hit.key)).collect()
}

/// All of `score_one`, sorted: what any scan of `ordinals` must find, bit for bit.
fn by_sorting(scan: &ExactScan, block: RowBlock<'_>, ordinals: &[u32], k: usize) -> Vec<Hit<u64>> {
    let score = |&ordinal: &u32| {
        let row = &block.rows[ordinal as usize * scan.dim()..][..scan.dim()];
        // The keys run against the ordinals, so that ties show which of the two orders them.
        Hit { score: scan.score_one(row, block.norms[ordinal as usize]), key: key_of(ordinal) }
    };
    let mut hits: Vec<_> = ordinals.iter().map(score).collect();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.key.cmp(&b.key)));
    hits.truncate(k);
    hits
}

fn key_of(ordinal: u32) -> u64 {
    1_000_000 - u64::from(ordinal)
}

fn component() -> impl Strategy<Value = f32> {
    let any_finite = any::<f32>().prop_filter("finite", |x| x.is_finite());
    let few = prop::sample::select(vec![-1.0_f32, 0.0, 0.5, 1.0]);
    prop_oneof![4 => -1.0_f32..1.0, 4 => few, 1 => any_finite]
}

fn blocks() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    (1_usize..40, 0_usize..150).prop_flat_map(|(dim, count)| {
        let floats = |len| prop::collection::vec(component(), len);
        (floats(dim), floats(dim * count))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_scan_finds_what_a_sort_of_all_scores_does(
        (query, rows) in blocks(),
        k in 0_usize..20,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        hidden in 1_u32..6,
    ) {
        let norms = norms_of(&rows, query.len());
        let block = RowBlock { rows: &rows, norms: &norms };
        let all: Vec<u32> = (0..norms.len() as u32).collect();
        let listed: Vec<u32> = match all.len() {
            0 => Vec::new(),
            len => picks.iter().map(|pick| pick.index(len) as u32).collect(),
        };
        let seen = |ordinal: &u32| ordinal.is_multiple_of(hidden);
        for metric in Metric::ALL {
            for kernels in Kernels::all_available() {
                let scan = ExactScan::with_kernels(metric, &query, kernels);
                for (selection, ordinals) in [(Rows::All, &all), (Rows::Listed(&listed), &listed)] {
                    let mut top = TopK::new(k);
                    scan.scan_block(block, selection, |ordinal| Some(key_of(ordinal)), &mut top);
                    let expected = by_sorting(&scan, block, ordinals, k);
                    prop_assert_eq!(bits(&top.into_sorted()), bits(&expected));

                    let mut top = TopK::new(k);
                    let admit = |ordinal| seen(&ordinal).then(|| key_of(ordinal));
                    scan.scan_block(block, selection, admit, &mut top);
                    let ordinals: Vec<u32> = ordinals.iter().copied().filter(seen).collect();
                    let expected = by_sorting(&scan, block, &ordinals, k);
                    prop_assert_eq!(bits(&top.into_sorted()), bits(&expected));
                }
            }
        }
    }

    #[test]
    fn a_score_is_finite_and_near_the_true_one((query, rows) in blocks()) {
        for metric in Metric::ALL {
            for kernels in Kernels::all_available() {
                let scan = ExactScan::with_kernels(metric, &query, kernels);
                for row in rows.chunks(query.len()) {
                    let got = f64::from(scan.score_one(row, norm(row)));
                    prop_assert!(got.is_finite());
                    let limit = f64::from(f32::MAX);
                    let truth = reference(metric, &query, row).clamp(-limit, limit);
                    // Relative to what was summed, not to a sum that may have cancelled out.
                    let scale = match metric {
                        Metric::Cosine => 1.0,
                        Metric::Dot => norm_f64(&query) * norm_f64(row) + 1e-38,
                        Metric::Euclidean => truth.abs(),
                    };
                    let miss = (got - truth).abs();
                    prop_assert!(miss <= 1e-5 * scale, "{} {} for {}", metric, got, truth);
                }
            }
        }
    }
}

#[test]
fn scanning_block_by_block_is_scanning_at_once() {
    let dim = 24;
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as f32 - 8.0
    };
    let rows: Vec<f32> = (0..dim * 1000).map(|_| next()).collect();
    let query: Vec<f32> = (0..dim).map(|_| next()).collect();
    let norms = norms_of(&rows, dim);
    for metric in Metric::ALL {
        let scan = ExactScan::new(metric, &query);
        let mut whole = TopK::new(50);
        scan.scan_block(
            RowBlock { rows: &rows, norms: &norms },
            Rows::All,
            |o| Some(u64::from(o)),
            &mut whole,
        );
        let mut parts = TopK::new(50);
        for (i, (rows, norms)) in rows.chunks(dim * 77).zip(norms.chunks(77)).enumerate().rev() {
            let admit = |ordinal: u32| Some(i as u64 * 77 + u64::from(ordinal));
            scan.scan_block(RowBlock { rows, norms }, Rows::All, admit, &mut parts);
        }
        assert_eq!(bits(&whole.into_sorted()), bits(&parts.into_sorted()), "{metric}");
    }
}

#[test]
fn only_rows_that_would_enter_are_asked_about() {
    // Best first: after the first ten, no row can enter.
    let rows: Vec<f32> = (0..1000).map(|i| 1000.0 - i as f32).collect();
    let scan = ExactScan::new(Metric::Dot, &[1.0]);
    let mut top = TopK::new(10);
    let mut asked = 0;
    let admit = |ordinal| {
        asked += 1;
        (ordinal % 2 == 0).then_some(ordinal)
    };
    scan.scan_block(RowBlock { rows: &rows, norms: &[] }, Rows::All, admit, &mut top);
    assert_eq!(asked, 19);
    assert_eq!(top.threshold(), 1000.0 - 18.0);
}

#[test]
fn extreme_vectors_have_sensible_scores() {
    let least = f32::from_bits(1);
    for kernels in Kernels::all_available() {
        let score =
            |metric, q: &[f32], x: &[f32]| ExactScan::with_kernels(metric, q, kernels).score_one(x, norm(x));
        for x in [least, 1e-38, 1e-25, 1.0, 1e25, f32::MAX] {
            for dim in [1, 3, 100] {
                let (q, opposite) = (vec![x; dim], vec![-x; dim]);
                let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-5, "{a} for {b}: {x}");
                near(score(Metric::Cosine, &q, &q), 1.0);
                near(score(Metric::Cosine, &q, &opposite), -1.0);
                near(score(Metric::Cosine, &vec![1.0; dim], &q), 1.0);
                assert_eq!(score(Metric::Cosine, &q, &vec![0.0; dim]), 0.0);
                assert_eq!(score(Metric::Cosine, &vec![0.0; dim], &q), 0.0);
                let zero = score(Metric::Euclidean, &q, &q);
                assert_eq!(zero.to_bits(), 0.0_f32.to_bits());
                assert!(score(Metric::Euclidean, &q, &opposite) <= -2.0 * x.min(1e38));
            }
        }
        assert_eq!(score(Metric::Dot, &[f32::MAX; 2], &[f32::MAX; 2]), f32::MAX);
        assert_eq!(score(Metric::Dot, &[f32::MAX, 1.0], &[f32::MIN, 1.0]), f32::MIN);
        // Infinities of both signs would make a NaN in f32.
        assert_eq!(score(Metric::Dot, &[1e30, 1e30], &[1e30, -1e30]), 0.0);
        assert_eq!(score(Metric::Dot, &[1.0], &[-0.0]).to_bits(), 0);
    }
}

#[test]
fn bad_norms_and_bad_components_neither_panic_nor_enter_as_nan() {
    let rows = [1.0, 0.0, f32::NAN, 1.0, f32::INFINITY, 0.0, 0.0, 1.0_f32];
    for norms in [[f32::NAN; 4], [0.0; 4], [-1.0; 4], [f32::INFINITY; 4]] {
        for metric in Metric::ALL {
            let mut top = TopK::new(9);
            let scan = ExactScan::new(metric, &[0.0, 1.0]);
            scan.scan_block(RowBlock { rows: &rows, norms: &norms }, Rows::All, Some, &mut top);
            let hits = top.into_sorted();
            assert!(hits.iter().all(|hit| !hit.score.is_nan()));
            // A norm that cannot be right is computed again.
            assert_eq!((hits[0].key, metric == Metric::Euclidean), (3, hits[0].score == 0.0));
        }
    }
    let mut top = TopK::new(9);
    let scan = ExactScan::new(Metric::Cosine, &[f32::NAN, f32::INFINITY]);
    scan.scan_block(RowBlock { rows: &rows, norms: &[1.0; 4] }, Rows::All, Some, &mut top);
    assert!(top.is_empty());
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let cases: [fn(); 5] = [
        || drop(ExactScan::new(Metric::Dot, &[])),
        || refuse(Metric::Dot, &[1.0; 3], &[], Rows::All),
        || refuse(Metric::Cosine, &[1.0; 4], &[1.0], Rows::All),
        || refuse(Metric::Dot, &[1.0; 4], &[], Rows::Listed(&[0, 2])),
        || drop(ExactScan::new(Metric::Dot, &[1.0; 2]).score_one(&[1.0], 1.0).to_string()),
    ];
    for case in cases {
        assert!(std::panic::catch_unwind(case).is_err());
    }
}

fn refuse(metric: Metric, rows: &[f32], norms: &[f32], selection: Rows<'_>) {
    let mut top = TopK::new(1);
    ExactScan::new(metric, &[1.0, 0.0]).scan_block(RowBlock { rows, norms }, selection, Some, &mut top);
}
