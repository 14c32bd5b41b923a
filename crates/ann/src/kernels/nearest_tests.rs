//! The nearest centroid, by every kernel of this machine.

use super::super::Kernels;
use super::*;
use proptest::prelude::*;

/// By the definition, in the very order of the kernels: its bits must be theirs.
fn reference(group: &[Group], centroids: &[f32], half_norms: &[f32]) -> Nearest {
    let mut found = Nearest { index: [0; GROUP], score: [f32::INFINITY; GROUP] };
    for lane in 0..GROUP {
        for (at, half_norm) in half_norms.iter().enumerate() {
            let centroid = &centroids[at * group.len()..][..group.len()];
            let score = group.iter().zip(centroid).fold(*half_norm, |score, (x, c)| score - c * x[lane]);
            if score < found.score[lane] {
                (found.index[lane], found.score[lane]) = (at as u32, score);
            }
        }
    }
    found
}

fn check(group: &[Group], centroids: &[f32], half_norms: &[f32]) -> Nearest {
    let expected = reference(group, centroids, half_norms);
    for kernels in Kernels::all_available() {
        let found = kernels.nearest(group, centroids, half_norms);
        assert_eq!(found.index, expected.index, "{kernels:?}");
        assert_eq!(found.score.map(f32::to_bits), expected.score.map(f32::to_bits), "{kernels:?}");
    }
    expected
}

fn component() -> impl Strategy<Value = f32> {
    // Few different values, so that many centroids are equally near.
    prop_oneof![-1.0_f32..1.0, (-2..3_i8).prop_map(f32::from), Just(1e30_f32), Just(f32::MAX)]
}

proptest! {
    #[test]
    fn every_kernel_finds_the_same_with_the_same_bits(
        (dim, points, centroids) in (1..20_usize, 1..40_usize).prop_flat_map(|(dim, count)| (
            Just(dim),
            prop::collection::vec(component(), dim * GROUP),
            prop::collection::vec(component(), dim * count),
        )),
    ) {
        let group: Vec<Group> = points.as_chunks().0.to_vec();
        let half_norms: Vec<f32> =
            centroids.chunks(dim).map(|c| c.iter().map(|x| x * x).sum::<f32>() / 2.0).collect();
        check(&group, &centroids, &half_norms);
    }
}

#[test]
fn of_equally_near_centroids_the_first_is_taken_and_of_no_number_the_first_of_all() {
    let mut group = [[0.5; GROUP]; 3];
    let centroids = [[9.0; 3], [1.0; 3], [1.0; 3], [0.0; 3], [0.0; 3]];
    // 0.5 is as far from 1 as from 0.
    let half_norms = [243.0 / 2.0, 1.5, 1.5, 0.0, 0.0];
    assert_eq!(check(&group, centroids.as_flattened(), &half_norms).index, [1; GROUP]);
    group[1][7] = f32::NAN;
    let found = check(&group, centroids.as_flattened(), &half_norms);
    assert_eq!((found.index[7], found.index[8]), (0, 1));
    assert_eq!(check(&group, &[], &[]).score, [f32::INFINITY; GROUP]);
}

#[test]
fn lengths_that_do_not_go_together_are_refused() {
    for kernels in Kernels::all_available() {
        let refused = std::panic::catch_unwind(|| kernels.nearest(&[[0.0; GROUP]; 2], &[0.0; 5], &[0.0; 2]));
        assert!(refused.is_err());
    }
}
