//! Randomness, time and data from seeds.

use std::time::Duration;

use codegraph_vector_base::{Clock, Random};
use codegraph_vector_testkit::{Rng, SeededRandom, SimClock, generators};

#[test]
fn generators_give_the_same_for_the_same_seed() {
    let all = |seed| {
        let mut rng = Rng::new(seed);
        let clusters = generators::Clusters::new(&mut rng, 8, 3, 0.3);
        let vectors = (clusters.sample(&mut rng), generators::unit_vector(&mut rng, 8));
        let texts =
            (generators::path(&mut rng), generators::text(&mut rng, 5), generators::identifier(&mut rng));
        (vectors, texts, rng.bytes(13))
    };
    assert_eq!(all(1), all(1));
    assert_ne!(all(1), all(2));
}

#[test]
fn numbers_cover_their_range() {
    let mut rng = Rng::new(1);
    let mut counts = [0; 10];
    for _ in 0..10_000 {
        counts[rng.below(10)] += 1;
        assert!((0.0..1.0).contains(&rng.f32()) && (0.0..1.0).contains(&rng.f64()));
        assert!((3..5).contains(&rng.between(3, 5)));
        assert!(rng.normal().is_finite());
    }
    assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    assert!(!rng.chance(0.0) && rng.chance(1.0));
    let mut items: Vec<u8> = (0..100).collect();
    rng.shuffle(&mut items);
    assert!(!items.is_sorted());
    items.sort_unstable();
    assert!(items.into_iter().eq(0..100));
}

#[test]
fn clustered_vectors_are_unit_and_near_one_another() {
    let mut rng = Rng::new(1);
    let clusters = generators::Clusters::new(&mut rng, 64, 1, 0.2);
    let (a, b) = (clusters.sample(&mut rng), clusters.sample(&mut rng));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    assert!((dot(&a, &a) - 1.0).abs() < 1e-5);
    assert!(dot(&a, &b) > 0.8);
}

#[test]
fn seeded_randomness_is_reproducible() {
    let fill = || {
        let random = SeededRandom::new(5);
        let mut bytes = [0; 33];
        random.fill(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(fill(), fill());
    assert_ne!(fill(), [0; 33]);
}

#[test]
fn the_clock_moves_when_told_and_a_little_when_read() {
    let clock = SimClock::new(1_000_000);
    let shared = clock.clone();
    assert_eq!((clock.now_us(), shared.now_us()), (1_000_001, 1_000_002));
    clock.advance(Duration::from_secs(1));
    assert_eq!(clock.now_us(), 2_000_003);
    let before = clock.monotonic();
    clock.jump_wall_us(-1_500_000);
    assert_eq!(clock.now_us(), 500_005);
    assert_eq!(clock.monotonic() - before, Duration::from_micros(2));
}
