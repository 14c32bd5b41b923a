//! Golden cases of the fusion, by hand.

use super::*;

const K1: f64 = K + 1.0;

fn by_text(ids: &[NodeId], named: usize) -> TextRanking {
    let hits = ids.iter().enumerate().map(|(place, id)| Hit { score: 100.0 - place as f32, key: *id });
    TextRanking { hits: hits.collect(), named }
}

fn fused(by_vector: &[NodeId], text: &TextRanking, question: &str, share: f64) -> Vec<(NodeId, f32)> {
    let hits = fuse(by_vector, text, &Question::new(question), share, 10);
    hits.into_iter().map(|hit| (hit.key, hit.score)).collect()
}

fn close(found: &[(NodeId, f32)], expected: &[(NodeId, f64)]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((id, score), (expected_id, expected)) in found.iter().zip(expected) {
        assert!(id == expected_id && (f64::from(*score) - expected).abs() < 1e-6, "{found:?} {expected:?}");
    }
}

#[test]
fn what_is_well_placed_in_both_comes_first() {
    let words = "two words";
    // 7 is second in both, 1 and 2 are first in one each, and neither is in the other.
    let found = fused(&[1, 7, 3], &by_text(&[2, 7, 4], 0), words, 0.5);
    let second = K1 / (K1 + 1.0);
    close(&found, &[(7, second), (1, 0.5), (2, 0.5), (3, 0.5 * K1 / 63.0), (4, 0.5 * K1 / 63.0)]);
    // First in both is 1.
    close(&fused(&[5], &by_text(&[5], 0), words, 0.5), &[(5, 1.0)]);
    // The same places the other way round are a tie, which goes by id.
    let found = fused(&[9, 8], &by_text(&[8, 9], 0), words, 0.5);
    close(&found, &[(8, 0.5 + 0.5 * second), (9, 0.5 + 0.5 * second)]);
}

#[test]
fn shares_say_which_ranking_counts_more() {
    let words = "two words";
    let (vector, text) = ([1, 2], by_text(&[2, 1], 0));
    let second = K1 / (K1 + 1.0);
    close(&fused(&vector, &text, words, 0.75), &[(2, 0.75 + 0.25 * second), (1, 0.25 + 0.75 * second)]);
    close(&fused(&vector, &text, words, 0.25), &[(1, 0.75 + 0.25 * second), (2, 0.25 + 0.75 * second)]);
    // A ranking that does not count adds nothing of its own.
    close(&fused(&[1], &by_text(&[2], 0), words, 0.0), &[(1, 1.0)]);
    close(&fused(&[1], &by_text(&[2], 0), words, 1.0), &[(2, 1.0)]);
    assert!(fused(&[], &by_text(&[], 0), words, 0.5).is_empty());
}

#[test]
fn what_is_named_as_asked_comes_before_all_else() {
    // 3 is first by vector and second by text; 9 is not even found by vector, and named as asked.
    let found = fused(&[3, 4], &by_text(&[9, 3], 1), "Store::open", 0.5);
    let second = K1 / (K1 + 1.0);
    close(&found, &[(9, 0.5 + 0.25), (3, 0.25 + 0.25 * second), (4, 0.25 * second)]);
    // Of two, the one that is nearer.
    let found = fused(&[6, 5], &by_text(&[5, 6], 2), "open()", 0.25);
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [6, 5]);
}

#[test]
fn no_more_than_the_limit() {
    let ids: Vec<NodeId> = (1..40).collect();
    let hits = fuse(&ids, &by_text(&ids, 0), &Question::new("a b"), 0.5, 3);
    assert_eq!(hits.iter().map(|hit| hit.key).collect::<Vec<_>>(), [1, 2, 3]);
}
