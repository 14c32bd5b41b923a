//! Graphs of planted, equal, few and damaged rows, held against brute force over the same sketches.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::Metric;
use crate::codec::TrainControl;
use crate::index::parts::{Head, PartsWriter};
use crate::index::sketch::Sketcher;
use crate::index::{IndexKind, IndexSource, IndexSpec, VectorIndex};
use crate::numeric::norm_f64;
use crate::random::Random;

const DIM: usize = 24;

/// An index of what a graph needs.
struct Index {
    metric: Metric,
    sketcher: Sketcher,
    ordinals: Vec<u32>,
    places: Vec<u32>,
    sketches: Vec<u8>,
    norms: Vec<f32>,
    /// In words, so that numbers can be used where they lie.
    words: Vec<u64>,
    parts: Parts,
}

impl Index {
    fn new(metric: Metric, rows: &[f32], threads: usize) -> Self {
        let norms: Vec<f32> = rows.chunks(DIM).map(crate::norm).collect();
        let mut directions = vec![0.0; rows.len()];
        crate::codec::directions(rows, &norms, &mut directions);
        let control = TrainControl { threads, seed: 5, ..TrainControl::QUIET };
        let sketcher = Sketcher::train(&directions, DIM, &control).expect("rows");
        let mut rotated = vec![0.0; norms.len() * sketcher.bytes()];
        sketcher.rotate(&directions, &mut rotated);
        let mut sketches = vec![0; rotated.len()];
        sketcher.sketch(&rotated, &mut sketches);
        let spec = IndexSpec { m: 8, ef_construction: 60, ..IndexSpec::new(IndexKind::Hnsw) };
        let built = build(&spec, metric, &sketcher, &sketches, &norms, &control).expect("nobody stops it");
        let mut places = vec![u32::MAX; norms.len()];
        for (place, ordinal) in (0..).zip(&built.order) {
            places[*ordinal as usize] = place;
        }
        assert!(!places.contains(&u32::MAX), "every row has a place");
        let order = |ordinal: &u32| *ordinal as usize;
        let (words, parts) = put_together(&built.parts);
        Self {
            metric,
            sketches: built
                .order
                .iter()
                .flat_map(|at| &sketches[order(at) * sketcher.bytes()..][..sketcher.bytes()])
                .copied()
                .collect(),
            norms: built.order.iter().map(|at| norms[order(at)]).collect(),
            sketcher,
            places,
            ordinals: built.order,
            words,
            parts,
        }
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.parts.len()]
    }

    fn common(&self) -> Common<'_> {
        Common {
            metric: self.metric,
            sketcher: &self.sketcher,
            sketches: &self.sketches,
            ordinals: &self.ordinals,
            places: &self.places,
            norms: if self.metric == Metric::Cosine { &[] } else { &self.norms },
        }
    }

    fn score(&self, query: &IndexQuery, place: u32) -> f32 {
        let mut score = [0.0];
        self.common().score_listed(query, &[place], &mut score);
        score[0]
    }

    fn open(&self) -> Hnsw {
        Hnsw::open(self.bytes(), &self.parts, &self.common()).expect("as written")
    }

    fn prepare(&self, query: &[f32]) -> IndexQuery {
        let norm = norm_f64(query);
        let direction: Vec<f32> = query.iter().map(|x| (f64::from(*x) / norm.max(1e-30)) as f32).collect();
        IndexQuery { sketch: self.sketcher.prepare(&direction), norm }
    }

    /// What a search finds, and how many rows it looked at.
    fn search(
        &self,
        query: &[f32],
        k: usize,
        ef: usize,
        admit: impl Fn(u32) -> bool,
    ) -> (Vec<(f32, u32)>, usize) {
        let mut tops = [TopK::new(k)];
        let mut asked = vec![false; self.ordinals.len()];
        let mut admit = |number, ordinal: u32| {
            assert_eq!(number, 0);
            assert!(!std::mem::replace(&mut asked[ordinal as usize], true), "{ordinal} once more");
            admit(ordinal).then_some(ordinal)
        };
        let queries = [self.prepare(query)];
        let looked_at = self.open().graph(self.bytes(), &self.parts).search(
            &self.common(),
            &queries,
            &[ef],
            &mut admit,
            &mut tops,
        );
        let [top] = tops;
        (top.into_sorted().iter().map(|hit| (hit.score, hit.key)).collect(), looked_at)
    }

    /// What there is to find.
    fn best(&self, query: &[f32], k: usize, admit: impl Fn(u32) -> bool) -> Vec<(f32, u32)> {
        let ready = self.prepare(query);
        let mut top = TopK::new(k);
        for (place, ordinal) in (0..).zip(&self.ordinals).filter(|(_, ordinal)| admit(**ordinal)) {
            top.push(self.score(&ready, place), *ordinal);
        }
        top.into_sorted().iter().map(|hit| (hit.score, hit.key)).collect()
    }

    /// The share of the best scores that is found; of equal rows one is as good as another.
    fn recall(&self, queries: &[f32], k: usize, ef: usize, admit: impl Fn(u32) -> bool) -> f64 {
        let (mut wanted, mut found) = (0, 0);
        for query in queries.chunks(DIM) {
            let best = self.best(query, k, &admit);
            let worst = best.last().map_or(f32::INFINITY, |(score, _)| *score);
            let (hits, _) = self.search(query, k, ef, &admit);
            assert!(hits.iter().all(|(_, ordinal)| admit(*ordinal)));
            wanted += best.len();
            found += hits.iter().filter(|(score, _)| *score >= worst).count();
        }
        found as f64 / wanted as f64
    }
}

fn put_together(kind_parts: &[Vec<u8>]) -> (Vec<u64>, Parts) {
    let mut writer = PartsWriter::default();
    (0..crate::index::part::OF_KIND).for_each(|_| writer.push(Vec::new()));
    kind_parts.iter().for_each(|part| writer.push(part.clone()));
    let bytes = writer.finish(Head { kind: 0, metric: 0, dim: DIM, rows: 0, added: 0 });
    let (_, parts) = Parts::open(&bytes).expect("as written");
    (in_words(&bytes), parts)
}

fn in_words(bytes: &[u8]) -> Vec<u64> {
    bytes
        .chunks(8)
        .map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
        .collect()
}

/// Rows about `centres` centres, of different lengths.
fn clustered(count: usize, centres: usize, seed: u64) -> Vec<f32> {
    let mut plan = Random::new(11, 0);
    let plan: Vec<f32> = (0..centres * DIM).map(|_| plan.unit() as f32 - 0.5).collect();
    let mut random = Random::new(seed, 1);
    let mut rows = Vec::with_capacity(count * DIM);
    for _ in 0..count {
        let centre = random.below(centres) * DIM;
        let length = 0.5 + random.unit() as f32;
        rows.extend((0..DIM).map(|at| length * (plan[centre + at] + 0.4 * (random.unit() as f32 - 0.5))));
    }
    rows
}

fn all(_: u32) -> bool {
    true
}

#[test]
fn nearly_all_of_the_best_are_found_by_every_metric() {
    let (rows, queries) = (clustered(4000, 60, 1), clustered(40, 60, 2));
    for metric in Metric::ALL {
        let index = Index::new(metric, &rows, 2);
        let recalls = [10, 40, 160].map(|ef| index.recall(&queries, 10, ef, all));
        assert!(recalls[1] > 0.9 && recalls[2] > 0.98, "{metric}: {recalls:?}");
        assert!(index.recall(&queries, 10, rows.len(), all) > 0.999, "{metric}");
    }
}

#[test]
fn more_effort_looks_at_more_rows_and_the_greatest_at_all() {
    let index = Index::new(Metric::Cosine, &clustered(3000, 100, 1), 1);
    for query in clustered(10, 100, 2).chunks(DIM) {
        let looked_at = [1, 5, 20, 100, 500, 3000, usize::MAX].map(|ef| index.search(query, 1, ef, all).1);
        assert!(looked_at.is_sorted(), "{looked_at:?}");
        assert!(looked_at[1] < 1000, "{looked_at:?}");
        assert_eq!(looked_at[5..], [3000; 2]);
    }
}

#[test]
fn rows_that_are_not_admitted_take_no_place_of_those_that_are() {
    let (rows, queries) = (clustered(3000, 50, 1), clustered(30, 50, 2));
    let index = Index::new(Metric::Euclidean, &rows, 1);
    for share in [2, 10] {
        let admit = |ordinal: u32| ordinal.is_multiple_of(share);
        let recall = index.recall(&queries, 10, 200, admit);
        assert!(recall > 0.95, "one in {share}: {recall}");
    }
    // All rows are looked at: the one that is admitted is found, however far it is.
    for query in queries.chunks(DIM) {
        assert_eq!(index.search(query, 10, 3000, |ordinal| ordinal == 77).0.len(), 1);
        assert_eq!(index.search(query, 10, 3000, |_| false).0, []);
    }
    assert_eq!(index.search(&queries[..DIM], 0, 50, all).0, []);
}

#[test]
fn only_rows_that_would_be_among_the_best_are_asked_for() {
    let index = Index::new(Metric::Cosine, &clustered(2000, 50, 1), 1);
    let query = index.prepare(&clustered(1, 50, 2));
    let mut scores = Vec::new();
    let mut admit = |_, ordinal: u32| {
        scores.push(index.score(&query, index.places[ordinal as usize]));
        Some(ordinal)
    };
    let (graph, common) = (index.open(), index.common());
    let mut tops = [TopK::new(7)];
    graph.graph(index.bytes(), &index.parts).search(
        &common,
        std::slice::from_ref(&query),
        &[100],
        &mut admit,
        &mut tops,
    );
    assert_eq!(scores.len(), 7);
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
}

#[test]
fn any_number_of_threads_builds_the_same_bytes() {
    let rows = clustered(3000, 30, 1);
    let one = Index::new(Metric::Dot, &rows, 1);
    for threads in [2, 5] {
        let other = Index::new(Metric::Dot, &rows, threads);
        assert!(other.words == one.words && other.ordinals == one.ordinals, "{threads} threads");
    }
}

#[test]
fn equal_rows_are_all_reached() {
    // All equal; and a few that are, among many that are not.
    let same = clustered(1, 1, 1).repeat(1000);
    let mut mixed = clustered(1500, 40, 1);
    (0..900).for_each(|at| mixed.copy_within(0..DIM, at * DIM));
    for rows in [same, mixed, vec![0.0; 300 * DIM]] {
        let count = rows.len() / DIM;
        for metric in Metric::ALL {
            let index = Index::new(metric, &rows, 1);
            let (hits, looked_at) = index.search(&clustered(1, 40, 3), count, 1, all);
            assert_eq!((hits.len(), looked_at), (count, count), "{metric}");
            assert!(index.recall(&rows[..DIM], 100, 100, all) > 0.99, "{metric}");
            assert!(index.recall(&rows[(count - 1) * DIM..], 10, 100, all) > 0.99, "{metric}");
        }
    }
}

#[test]
fn few_rows_are_all_found() {
    for count in [1, 2, 3, 7, 8, 16, 17, 40, 129] {
        for metric in Metric::ALL {
            let rows = clustered(count, 5, 1);
            let index = Index::new(metric, &rows, 2);
            for query in rows.chunks(DIM) {
                assert_eq!(
                    index.search(query, 200, 1, all).0,
                    index.best(query, 200, all),
                    "{count}, {metric}"
                );
            }
        }
    }
}

#[test]
fn what_cannot_be_built_is_refused_and_who_says_stop_is_heard() {
    let rows = clustered(100, 5, 1);
    let sketcher = Sketcher::train(&rows, DIM, &TrainControl::QUIET).expect("rows");
    let (sketches, norms) = (vec![128; 100 * sketcher.bytes()], vec![1.0; 100]);
    let build = |m, control: &TrainControl<'_>| {
        let spec = IndexSpec { m, ..IndexSpec::new(IndexKind::Hnsw) };
        build(&spec, Metric::Cosine, &sketcher, &sketches, &norms, control).map(|built| built.order.len())
    };
    for m in [0, 3, 65] {
        assert!(matches!(build(m, &TrainControl::QUIET), Err(CodecError::Spec(_))));
    }
    assert_eq!(build(4, &TrainControl::QUIET), Ok(100));
    let control = TrainControl { stop: &|| true, ..TrainControl::QUIET };
    assert_eq!(build(4, &control), Err(CodecError::Stopped));
}

/// Rows in memory.
struct Rows {
    directions: Vec<f32>,
    norms: Vec<f32>,
}

impl IndexSource for Rows {
    type Error = std::convert::Infallible;

    fn rows(&self) -> usize {
        self.norms.len()
    }

    fn directions(&self, rows: Range<usize>, out: &mut [f32]) -> Result<(), Self::Error> {
        out.copy_from_slice(&self.directions[rows.start * DIM..rows.end * DIM]);
        Ok(())
    }

    fn norms(&self) -> &[f32] {
        &self.norms
    }
}

#[test]
fn listed_rows_are_scored_as_those_that_are_found() {
    let rows = clustered(700, 20, 1);
    let norms: Vec<f32> = rows.chunks(DIM).map(crate::norm).collect();
    let mut directions = vec![0.0; rows.len()];
    crate::codec::directions(&rows, &norms, &mut directions);
    let source = Rows { directions, norms };
    let spec = IndexSpec::new(IndexKind::Hnsw);
    for metric in Metric::ALL {
        let built =
            crate::index::build(&spec, metric, DIM, &source, &[], None, &TrainControl::QUIET).expect("built");
        let words = in_words(&built);
        let bytes = &bytemuck::cast_slice(&words)[..built.len()];
        let index = VectorIndex::open(bytes).expect("as written");
        assert_eq!((index.kind(), index.rows(), index.dim()), (IndexKind::Hnsw, 700, DIM));
        for query in clustered(5, 20, 2).chunks(DIM) {
            let query = index.prepare(query);
            let pairs = |top: TopK<u32>| -> Vec<(f32, u32)> {
                top.into_sorted().iter().map(|hit| (hit.score, hit.key)).collect()
            };
            // As many as there are, and none but those that are admitted.
            for count in [0, 1, 63, 64, 65, 700] {
                let listed = || (0..700).filter(|ordinal| ordinal * 37 % 700 < count);
                let admit = |ordinal: u32| (ordinal % 3 != 1).then_some(ordinal);
                let mut top = TopK::new(40);
                index.score_listed(bytes, &query, listed(), admit, &mut top);
                let mut found = [TopK::new(40)];
                let admit =
                    |_, ordinal: u32| admit(ordinal).filter(|at| listed().any(|listed| listed == *at));
                index.search(bytes, std::slice::from_ref(&query), &[700], admit, &mut found);
                let [found] = found;
                assert_eq!(found.len(), listed().filter(|ordinal| ordinal % 3 != 1).count().min(40));
                assert_eq!(pairs(top), pairs(found), "{metric}, {count}");
            }
        }
    }
}

/// Opens other parts in an index's place; searches if they were taken for a graph.
fn open_damaged(index: &Index, kind_parts: &[Vec<u8>]) -> Result<(), CodecError> {
    let (words, parts) = put_together(kind_parts);
    let bytes = &bytemuck::cast_slice(&words)[..parts.len()];
    let graph = Hnsw::open(bytes, &parts, &index.common())?;
    let queries = [index.prepare(&[1.0; DIM]), index.prepare(&[-0.5; DIM])];
    let mut tops = [TopK::new(5), TopK::new(40)];
    graph.graph(bytes, &parts).search(
        &index.common(),
        &queries,
        &[1, 60],
        &mut |_, ordinal| Some(ordinal),
        &mut tops,
    );
    assert!(tops.iter().all(|top| !top.is_empty()));
    Ok(())
}

fn kind_parts(index: &Index) -> Vec<Vec<u8>> {
    (of_kind::NUMBERS..=of_kind::UPPER).map(|part| index.parts.bytes(index.bytes(), part).to_vec()).collect()
}

#[test]
fn links_and_layers_that_lead_nowhere_are_refused() {
    let index = Index::new(Metric::Cosine, &clustered(300, 10, 1), 1);
    let parts = kind_parts(&index);
    assert_eq!(open_damaged(&index, &parts), Ok(()));
    let with = |part: usize, at: usize, word: u32| {
        let mut parts = parts.clone();
        parts[part][4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
        open_damaged(&index, &parts)
    };
    // m, layers, rows of them: 4 and 37.
    assert_eq!(parts[0].len(), 16);
    for (at, wrong) in
        [(0, 0), (0, 9), (0, 65), (1, 1), (1, 3), (1, u32::MAX), (2, 0), (2, 38), (3, 36), (3, 301)]
    {
        assert!(with(0, at, wrong).is_err(), "{at}: {wrong}");
    }
    assert_eq!(with(1, 0, 299), Ok(()));
    assert!(with(1, 0, 300).is_err() && with(1, 16 * 300 - 1, u32::MAX).is_err());
    assert_eq!(with(2, 0, 3), Ok(()));
    assert!(with(2, 0, 4).is_err() && with(2, 4 * 8, 37).is_err());
    for part in 0..3 {
        let mut short = parts.clone();
        short[part].pop();
        assert!(open_damaged(&index, &short).is_err());
        let mut long = parts.clone();
        long[part].extend([0; 4]);
        assert!(open_damaged(&index, &long).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_never_makes_a_search_fall_over(
        damage in prop::collection::vec((0..3_usize, any::<prop::sample::Index>(), 0..300_u32), 1..40),
        bytes in any::<bool>(),
    ) {
        let index = Index::new(Metric::Dot, &clustered(300, 10, 1), 1);
        let mut parts = kind_parts(&index);
        for (part, at, value) in damage {
            let part = &mut parts[part];
            if bytes {
                let at = at.index(part.len());
                part[at] = value as u8;
            } else {
                let at = at.index(part.len() / 4) * 4;
                part[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
        // Refused or searched; neither panics.
        let _ = open_damaged(&index, &parts);
    }

    #[test]
    fn every_row_can_be_reached_whatever_rows_there_are(
        values in prop::collection::vec(-3..4_i8, 1..12),
        count in 1..260_usize,
    ) {
        // Few values make many equal rows, and rows of zeros.
        let mut random = Random::new(count as u64, 9);
        let rows: Vec<f32> = (0..count * DIM)
            .map(|at| if at % DIM < 3 { f32::from(values[random.below(values.len())]) } else { 0.0 })
            .collect();
        for metric in Metric::ALL {
            let index = Index::new(metric, &rows, 1);
            prop_assert_eq!(index.search(&rows[..DIM], count, 1, all).0, index.best(&rows[..DIM], count, all));
        }
    }
}
