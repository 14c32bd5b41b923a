//! k-means on planted, random and awkward points.

use proptest::prelude::*;

use super::*;

const KMEANS: KMeans = KMeans { centroids: 8, iterations: 25, least_gain: 0.0 };

fn points(dim: usize, rows: &[f32]) -> Points {
    Points::new(dim, rows.len() / dim, |at| &rows[at * dim..][..dim])
}

fn train(kmeans: KMeans, dim: usize, rows: &[f32], threads: usize) -> Clusters {
    let control = TrainControl { threads, ..TrainControl::QUIET };
    kmeans.train(&points(dim, rows), &mut Random::new(1, 2), &control).expect("nobody stops it")
}

fn random_rows(dim: usize, count: usize) -> Vec<f32> {
    let mut random = Random::new(7, 0);
    (0..dim * count).map(|_| random.unit() as f32 - 0.5).collect()
}

#[test]
fn planted_clusters_are_found() {
    let dim = 5;
    let centres = random_rows(dim, 8);
    let noise = random_rows(dim, 4000);
    let rows: Vec<f32> =
        noise.iter().enumerate().map(|(at, x)| centres[at / dim % 8 * dim + at % dim] + 0.01 * x).collect();
    let found = train(KMEANS, dim, &rows, 1);
    for centre in centres.chunks(dim) {
        let distance = |c: &[f32]| c.iter().zip(centre).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let least = found.centroids.chunks(dim).map(distance).fold(f32::INFINITY, f32::min);
        assert!(least < 1e-5, "{least}");
    }
}

#[test]
fn the_objective_never_rises_and_a_little_gain_is_the_end() {
    let rows = random_rows(3, 5000);
    let kmeans = KMeans { centroids: 64, ..KMEANS };
    let found = train(kmeans, 3, &rows, 1);
    assert_eq!(found.objectives.len(), 25);
    for pair in found.objectives.windows(2) {
        assert!(pair[1] <= pair[0] * (1.0 + 1e-6), "{pair:?}");
    }
    let early = train(KMeans { least_gain: 0.02, ..kmeans }, 3, &rows, 1);
    assert!((2..25).contains(&early.objectives.len()), "{}", early.objectives.len());
    let [.., before, last] = early.objectives[..] else { unreachable!("two at least") };
    assert!(before - last <= 0.02 * before);
}

#[test]
fn any_number_of_threads_finds_the_same() {
    let rows = random_rows(6, 9000);
    for centroids in [1, 7, 256] {
        let kmeans = KMeans { centroids, iterations: 6, least_gain: 0.0 };
        let alone = train(kmeans, 6, &rows, 1);
        for threads in [2, 3, 8] {
            assert_eq!(train(kmeans, 6, &rows, threads), alone);
        }
    }
}

#[test]
fn fewer_points_than_centroids_are_all_centroids() {
    for count in 1..8 {
        let rows = random_rows(2, count);
        let found = train(KMEANS, 2, &rows, 2);
        assert_eq!(found.centroids.len(), 16);
        for row in rows.chunks(2) {
            assert!(found.centroids.chunks(2).any(|centroid| centroid == row), "{row:?}");
        }
        assert!(found.centroids.chunks(2).all(|centroid| rows.chunks(2).any(|row| centroid == row)));
    }
}

#[test]
fn a_centroid_without_points_goes_where_the_error_is_greatest() {
    // Two far clusters, and centroids that know of one only.
    let mut rows = vec![0.0, 0.1, 0.2, 0.3];
    rows.extend([100.0, 101.0]);
    let far = vec![0.0, 0.3, -500.0];
    let kmeans = KMeans { centroids: 3, ..KMEANS };
    let found = kmeans.improve(&points(1, &rows), far, &TrainControl::QUIET).expect("nobody stops it");
    assert!(found.centroids.iter().all(|centroid| *centroid >= 0.0), "{:?}", found.centroids);
    assert!(*found.objectives.last().expect("one at least") < 1.0, "{:?}", found.objectives);
}

#[test]
fn who_says_stop_is_heard() {
    let control = TrainControl { stop: &|| true, ..TrainControl::QUIET };
    let stopped = KMEANS.train(&points(1, &[0.0, 1.0]), &mut Random::new(0, 0), &control);
    assert_eq!(stopped, Err(CodecError::Stopped));
}

proptest! {
    #[test]
    fn centroids_lie_among_the_points_however_equal_these_are(
        values in prop::collection::vec((-2..3_i8).prop_map(f32::from), 1..200), dim in 1..4_usize,
    ) {
        prop_assume!(values.len() >= dim);
        let rows = &values[..values.len() / dim * dim];
        let found = train(KMEANS, dim, rows, 1);
        prop_assert_eq!(found.centroids.len(), 8 * dim);
        prop_assert!(found.centroids.iter().all(|x| (-2.0..=2.0).contains(x)));
    }
}
