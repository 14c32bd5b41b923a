//! Cells from the build to the search, against all rows looked at one by one.

use std::collections::HashSet;
use std::ops::Range;

use proptest::prelude::*;

use crate::codec::{CodecError, TrainControl, directions};
use crate::index::{IndexError, IndexKind, IndexSource, IndexSpec, VectorIndex, build};
use crate::random::Random;
use crate::{ExactScan, Metric, RowBlock, Rows, TopK, norm};

const DIM: usize = 24;
const K: usize = 10;
const SPEC: IndexSpec = IndexSpec { kind: IndexKind::Ivf, m: 16, ef_construction: 100 };

/// Rows in memory, of which some may not be readable.
struct Given {
    dim: usize,
    vectors: Vec<f32>,
    norms: Vec<f32>,
    unreadable: Option<usize>,
}

impl Given {
    fn new(dim: usize, vectors: Vec<f32>) -> Self {
        let norms = vectors.chunks(dim).map(norm).collect();
        Self { dim, vectors, norms, unreadable: None }
    }

    /// Rows around a few centres, of lengths between 1 and 2.
    fn clustered(rows: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let mut normal = move || (0..6).map(|_| random.unit() as f32 - 0.5).sum::<f32>();
        let centres: Vec<f32> = (0..40 * DIM).map(|_| normal()).collect();
        let mut vectors = Vec::with_capacity(rows * DIM);
        for row in 0..rows {
            let centre = &centres[row * 7 % 40 * DIM..][..DIM];
            let vector: Vec<f32> = centre.iter().map(|x| x + 0.5 * normal()).collect();
            let scale = (1.0 + (row % 11) as f32 / 10.0) / norm(&vector);
            vectors.extend(vector.iter().map(|x| x * scale));
        }
        Self::new(DIM, vectors)
    }

    fn build(&self, metric: Metric, threads: usize) -> Result<Vec<u8>, IndexError<usize>> {
        let control = TrainControl { threads, ..TrainControl::QUIET };
        build(&SPEC, metric, self.dim, self, &[], None, &control)
    }

    fn nearest(&self, metric: Metric, query: &[f32]) -> Vec<u32> {
        let mut top = TopK::new(K);
        let block = RowBlock { rows: &self.vectors, norms: &self.norms };
        ExactScan::new(metric, query).scan_block(block, Rows::All, Some, &mut top);
        top.into_sorted().iter().map(|hit| hit.key).collect()
    }
}

impl IndexSource for Given {
    type Error = usize;

    fn rows(&self) -> usize {
        self.norms.len()
    }

    fn directions(&self, rows: Range<usize>, out: &mut [f32]) -> Result<(), usize> {
        if let Some(bad) = self.unreadable.filter(|bad| rows.contains(bad)) {
            return Err(bad);
        }
        let vectors = &self.vectors[rows.start * self.dim..rows.end * self.dim];
        directions(vectors, &self.norms[rows], out);
        Ok(())
    }

    fn norms(&self) -> &[f32] {
        &self.norms
    }
}

/// Candidates, the best first, and the rows that were looked at.
fn found(
    index: &VectorIndex,
    bytes: &[u8],
    query: &[f32],
    ef: usize,
    k: usize,
    mut admit: impl FnMut(u32) -> bool,
) -> (Vec<u32>, usize) {
    let mut top = [TopK::new(k)];
    let mut asked = HashSet::new();
    let admit = |number: usize, ordinal: u32| {
        assert_eq!(number, 0);
        assert!(asked.insert(ordinal), "row {ordinal} is asked for twice");
        admit(ordinal).then_some(ordinal)
    };
    let looked_at = index.search_counting(bytes, &[index.prepare(query)], &[ef], admit, &mut top);
    let [top] = top;
    let keys: Vec<u32> = top.into_sorted().iter().map(|hit| hit.key).collect();
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "a row is found twice");
    (keys, looked_at)
}

#[test]
fn what_was_measured_is_what_is_found() {
    let given = Given::clustered(6000, 1);
    let queries = Given::clustered(6060, 1).vectors.split_off(6000 * DIM);
    for metric in Metric::ALL {
        let bytes = given.build(metric, 1).expect("built");
        let index = VectorIndex::open(&bytes).expect("opened");
        assert_eq!((index.kind(), index.rows(), index.dim()), (IndexKind::Ivf, 6000, DIM));
        for (promised, floor) in [(0.9, 0.85), (0.99, 0.96)] {
            let rung = index.calibration().for_recall(promised).expect("measured");
            assert!(rung.recall >= promised, "{metric}: {rung:?}");
            let (mut hits, mut rows) = (0, 0);
            for query in queries.chunks(DIM) {
                let (keys, looked_at) = found(&index, &bytes, query, rung.ef, rung.candidates, |_| true);
                assert_eq!(keys.len(), rung.candidates);
                hits += given.nearest(metric, query).iter().filter(|row| keys.contains(row)).count();
                rows += looked_at;
            }
            let (recall, looked_at) = (hits as f32 / 600.0, rows as f32 / 60.0 / 6000.0);
            assert!(recall >= floor, "{metric} at {rung:?}: {recall}");
            assert!((looked_at - rung.looked_at).abs() < 0.2, "{metric} at {rung:?}: {looked_at}");
        }
        let least = index.calibration().for_recall(0.9).expect("measured");
        assert!(least.looked_at < 0.6, "cells spare nothing: {least:?}");
        let rungs = index.calibration().rungs();
        assert!(rungs.is_sorted_by(|a, b| a.ef < b.ef && a.recall < b.recall), "{rungs:?}");
    }
}

#[test]
fn any_number_of_threads_builds_the_same() {
    let given = Given::clustered(3000, 2);
    let bytes = given.build(Metric::Euclidean, 1).expect("built");
    assert!(bytes == given.build(Metric::Euclidean, 2).expect("built"));
    assert!(bytes == given.build(Metric::Euclidean, 3).expect("built"));
}

#[test]
fn rows_that_are_not_admitted_take_no_place() {
    let given = Given::clustered(4000, 3);
    for metric in Metric::ALL {
        let bytes = given.build(metric, 1).expect("built");
        let index = VectorIndex::open(&bytes).expect("opened");
        for query in given.vectors.chunks(DIM).step_by(400) {
            let (none, looked_at) = found(&index, &bytes, query, 1, 5, |_| false);
            assert_eq!((none.len(), looked_at), (0, 4000), "there is no other way to find none");
            // So few that all are wanted, wherever they are.
            let (mut few, _) = found(&index, &bytes, query, 1, 8, |row| row % 500 == 3);
            few.sort_unstable();
            assert_eq!(few, [3, 503, 1003, 1503, 2003, 2503, 3003, 3503]);
            let (half, _) = found(&index, &bytes, query, 1 << 20, 40, |row| row % 2 == 1);
            let odd: Vec<u32> = given.nearest(metric, query).into_iter().filter(|row| row % 2 == 1).collect();
            let missed = odd.iter().filter(|row| !half.contains(row)).count();
            assert!(half.iter().all(|row| row % 2 == 1) && missed <= 1, "{odd:?} in {half:?}");
        }
    }
}

#[test]
fn rows_that_are_listed_are_found_as_if_only_they_were_admitted() {
    let given = Given::clustered(3000, 7);
    for metric in Metric::ALL {
        let bytes = given.build(metric, 1).expect("built");
        let index = VectorIndex::open(&bytes).expect("opened");
        for (number, query) in given.vectors.chunks(DIM).step_by(300).enumerate() {
            for (effort, k) in [(1, 5), (3, 40), (1 << 20, 12)] {
                let is_listed = |row: u32| row as usize % 23 == number;
                let mut top = TopK::new(k);
                let listed = (0..3000).filter(|row| is_listed(*row));
                index.search_among(&bytes, &index.prepare(query), effort, listed, Some, &mut top);
                let keys: Vec<u32> = top.into_sorted().iter().map(|hit| hit.key).collect();
                assert_eq!(keys, found(&index, &bytes, query, effort, k, is_listed).0);
            }
        }
    }
}

#[test]
fn several_queries_at_once_find_what_each_finds_alone() {
    let given = Given::clustered(2000, 4);
    let bytes = given.build(Metric::Dot, 1).expect("built");
    let index = VectorIndex::open(&bytes).expect("opened");
    let queries: Vec<&[f32]> = given.vectors.chunks(DIM).step_by(100).collect();
    let efforts: Vec<usize> = (0..queries.len()).map(|at| 1 + at % 5).collect();
    let prepared: Vec<_> = queries.iter().map(|query| index.prepare(query)).collect();
    let mut tops: Vec<TopK<u32>> = (0..queries.len()).map(|at| TopK::new(at % 4 * 6)).collect();
    let admit = |at: usize, row: u32| (row as usize % 9 != at % 9).then_some(row);
    index.search(&bytes, &prepared, &efforts, admit, &mut tops);
    for (at, top) in tops.into_iter().enumerate() {
        let k = top.k();
        let together: Vec<u32> = top.into_sorted().iter().map(|hit| hit.key).collect();
        let alone = found(&index, &bytes, queries[at], efforts[at], k, |row| row as usize % 9 != at % 9);
        assert_eq!((together.len(), together), (k, alone.0));
    }
}

#[test]
fn few_or_equal_rows_are_all_found() {
    let cases = [
        Given::new(3, vec![1.0, 2.0, 3.0]),
        Given::new(3, vec![0.0; 3]),
        Given::new(1, vec![2.0, -3.0, 0.5]),
        Given::new(5, [0.5, 1.0, -1.0, 0.0, 2.0].repeat(300)),
        Given::new(DIM, Given::clustered(65, 5).vectors),
    ];
    for given in cases {
        for metric in Metric::ALL {
            let bytes = given.build(metric, 2).expect("built");
            let index = VectorIndex::open(&bytes).expect("opened");
            for query in [vec![1.0; given.dim], vec![0.0; given.dim]] {
                let (mut keys, _) = found(&index, &bytes, &query, 1, 1000, |_| true);
                keys.sort_unstable();
                assert!(keys.into_iter().eq(0..given.rows() as u32), "{metric}: {} rows", given.rows());
            }
        }
    }
}

#[test]
fn what_cannot_be_read_or_goes_on_no_longer_is_no_index() {
    let mut given = Given::clustered(3000, 6);
    let stopped = TrainControl { stop: &|| true, ..TrainControl::QUIET };
    let refused = build(&SPEC, Metric::Cosine, DIM, &given, &[], None, &stopped);
    assert!(matches!(refused, Err(IndexError::Training(CodecError::Stopped))));
    given.unreadable = Some(2999);
    assert!(matches!(given.build(Metric::Cosine, 2), Err(IndexError::Source(2999))));
    let none = Given::new(DIM, Vec::new());
    assert!(matches!(none.build(Metric::Dot, 1), Err(IndexError::Training(CodecError::Sample(_)))));
}

#[test]
fn real_queries_are_measured_by_as_well() {
    let given = Given::clustered(3000, 7);
    // Far from all rows, as no mixture is.
    let queries: Vec<f32> = given.vectors[..50 * DIM].iter().map(|x| -x).collect();
    let rungs = |queries: &[f32]| {
        let bytes =
            build(&SPEC, Metric::Cosine, DIM, &given, queries, None, &TrainControl::QUIET).expect("built");
        VectorIndex::open(&bytes).expect("opened").calibration().rungs().to_vec()
    };
    let (with, without) = (rungs(&queries), rungs(&[]));
    assert!(with[0].recall < without[0].recall, "{:?} and {:?}", with[0], without[0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_bytes_are_refused_or_harmless(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        near_the_front in any::<bool>(),
    ) {
        static BUILT: std::sync::LazyLock<Vec<u8>> =
            std::sync::LazyLock::new(|| Given::clustered(500, 8).build(Metric::Dot, 1).expect("built"));
        let mut bytes = BUILT.clone();
        let reach = if near_the_front { 320 } else { bytes.len() };
        for (at, byte) in damage {
            bytes[at.index(reach)] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(index) = VectorIndex::open(&bytes) {
            let (keys, _) = found(&index, &bytes, &vec![0.5; index.dim()], 3, 12, |row| row % 3 > 0);
            prop_assert!(keys.iter().all(|row| (*row as usize) < index.rows()));
        }
    }

    #[test]
    fn more_effort_never_looks_at_fewer_rows(
        rows in 1_usize..700, seed in any::<u64>(), k in 1_usize..50, every in 1_u32..30, metric in 0_usize..3,
    ) {
        let given = Given::clustered(rows, seed);
        let bytes = given.build(Metric::ALL[metric], 1).expect("built");
        let index = VectorIndex::open(&bytes).expect("opened");
        let admitted = (0..rows as u32).filter(|row| row % every == 0).count();
        let mut last = 0;
        for ef in [1, 2, 3, 5, 9, 20, 1000] {
            let query = &given.vectors[..DIM];
            let (keys, looked_at) = found(&index, &bytes, query, ef, k, |row| row % every == 0);
            prop_assert!(looked_at >= last && looked_at <= rows);
            prop_assert!(keys.iter().all(|row| row % every == 0));
            prop_assert_eq!(keys.len(), k.min(admitted));
            last = looked_at;
        }
        prop_assert_eq!(last, rows);
    }
}
