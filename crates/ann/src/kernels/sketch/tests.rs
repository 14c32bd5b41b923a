//! Every instruction set against sums of products made one byte at a time.

use super::*;
use proptest::prelude::*;

fn by_bytes(query: &[i8], sketches: &[u8], place: u32) -> i32 {
    let sketch = &sketches[place as usize * query.len()..][..query.len()];
    query.iter().zip(sketch).map(|(q, x)| i32::from(*q) * i32::from(*x)).sum()
}

fn check(query: &[i8], sketches: &[u8], places: &[u32]) {
    let expected: Vec<i32> = places.iter().map(|&place| by_bytes(query, sketches, place)).collect();
    for kernels in SketchDots::detect() {
        let mut sums = vec![7; places.len()];
        kernels.dot_listed(query, sketches, places, &mut sums);
        assert_eq!(sums, expected, "{kernels:?}");
    }
}

#[test]
fn the_greatest_bytes_do_not_overflow() {
    for bytes in [32, 64, 96, 256, MOST_BYTES] {
        for q in [-128, 127] {
            check(&vec![q; bytes], &vec![255; 5 * bytes], &[0, 4, 4, 1, 2]);
        }
    }
}

#[test]
fn wrong_lengths_and_places_are_refused() {
    // Bytes of the query, of sketches, place, sums.
    for (query, sketches, place, sums) in
        [(32, 32, 1, 1), (32, 33, 0, 1), (31, 31, 0, 1), (0, 0, 0, 1), (32, 64, 0, 2), (32, 0, 0, 1)]
    {
        for kernels in SketchDots::detect() {
            let refused = std::panic::catch_unwind(|| {
                kernels.dot_listed(&vec![1; query], &vec![1; sketches], &[place], &mut vec![0; sums]);
            });
            assert!(refused.is_err(), "{kernels:?}: {query}, {sketches}, {place}, {sums}");
        }
    }
}

proptest! {
    #[test]
    fn all_instruction_sets_find_the_same_sums(
        (units, count) in (1_usize..12, 1_usize..9),
        bytes in prop::collection::vec(any::<u8>(), 12 * 10 * UNIT),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let (query, sketches) = bytes.split_at(units * UNIT);
        let query: Vec<i8> = query.iter().map(|byte| byte.cast_signed()).collect();
        let places: Vec<u32> = places.iter().map(|place| place.index(count) as u32).collect();
        check(&query, &sketches[..count * query.len()], &places);
    }
}
