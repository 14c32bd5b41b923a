//! How fast an index is searched, on one thread, and what it finds.
//!
//! `cargo run --release -p codegraph-vector-ann --example index -- BASE.npy QUERIES.npy ivf|hnsw [METRIC]`
//!
//! The files hold float16, row after row. Prints what was measured at the build, on two threads; then by effort and number of candidates the
//! share of the true 10 nearest that are found once candidates are ranked by their vectors, queries a second in a batch, and the microseconds
//! of single queries, ranking included.
// A benchmark takes the time itself, and reads its input.
#![allow(clippy::disallowed_methods)]

use codegraph_vector_ann::codec::TrainControl;
use codegraph_vector_ann::index::{IndexKind, IndexSource, IndexSpec, VectorIndex, build};
use codegraph_vector_ann::{ExactScan, Metric, RowBlock, Rows, TopK, norm};
use std::ops::Range;
use std::time::Instant;

mod npy;
use npy::{read, spent_ns};

const K: usize = 10;
const ROUNDS: usize = 5;
const BATCH: usize = 64;

struct Source {
    dim: usize,
    directions: Vec<f32>,
    norms: Vec<f32>,
}

impl IndexSource for Source {
    type Error = std::convert::Infallible;

    fn rows(&self) -> usize {
        self.norms.len()
    }

    fn directions(&self, rows: Range<usize>, out: &mut [f32]) -> Result<(), Self::Error> {
        out.copy_from_slice(&self.directions[rows.start * self.dim..rows.end * self.dim]);
        Ok(())
    }

    fn norms(&self) -> &[f32] {
        &self.norms
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, queries, kind, metric @ ..] = &arguments[..] else {
        eprintln!("usage: index BASE.npy QUERIES.npy ivf|hnsw [METRIC]");
        std::process::exit(2);
    };
    let metric = metric.first().map_or(Metric::Cosine, |name| name.parse().expect("a metric"));
    let (vectors, dim) = read(base);
    let (queries, _) = read(queries);
    let kind = IndexKind::ALL.into_iter().find(|one| one.name() == kind).expect("a kind");
    let norms: Vec<f32> = vectors.chunks(dim).map(norm).collect();
    let mut directions = vec![0.0; vectors.len()];
    codegraph_vector_ann::codec::directions(&vectors, &norms, &mut directions);
    let source = Source { dim, directions, norms };

    let start = Instant::now();
    let progress = |share| eprintln!("{:6.2} s: {share}", start.elapsed().as_secs_f64());
    let control = TrainControl { threads: 2, progress: &progress, ..TrainControl::QUIET };
    let built = build(&IndexSpec::new(kind), metric, dim, &source, &[], None, &control).expect("built");
    println!("{} rows built in {:.2} s, {} bytes", source.rows(), start.elapsed().as_secs_f64(), built.len());
    // At a multiple of 64, as in a segment.
    let mut room = vec![0; built.len() + 64];
    let at = room.as_ptr().align_offset(64);
    room[at..at + built.len()].copy_from_slice(&built);
    let bytes = &room[at..at + built.len()];
    let start = Instant::now();
    let index = VectorIndex::open(bytes).expect("opened");
    println!("opened in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    for rung in index.calibration().rungs() {
        println!("  {rung:?}");
    }

    let exact: Vec<ExactScan> = queries.chunks(dim).map(|query| ExactScan::new(metric, query)).collect();
    let block = RowBlock { rows: &vectors, norms: &source.norms };
    let truth: Vec<Vec<u32>> = exact
        .iter()
        .map(|scan| {
            let mut top = TopK::new(K);
            scan.scan_block(block, Rows::All, Some, &mut top);
            top.into_sorted().iter().map(|hit| hit.key).collect()
        })
        .collect();

    let asked: Vec<&[f32]> = queries.chunks(dim).collect();
    let answer = |first: usize, asked: &[&[f32]], ef: usize, candidates: usize| -> Vec<Vec<u32>> {
        let ready: Vec<_> = asked.iter().map(|query| index.prepare(query)).collect();
        let mut tops: Vec<TopK<u32>> = asked.iter().map(|_| TopK::new(candidates)).collect();
        index.search(bytes, &ready, &vec![ef; asked.len()], |_, row| Some(row), &mut tops);
        let ranked = tops.into_iter().zip(&exact[first..]).map(|(top, exact)| {
            let listed: Vec<u32> = top.into_sorted().iter().map(|hit| hit.key).collect();
            let mut top = TopK::new(K);
            exact.scan_block(block, Rows::Listed(&listed), Some, &mut top);
            top.into_sorted().iter().map(|hit| hit.key).collect()
        });
        ranked.collect()
    };
    let efforts: &[usize] = match kind {
        IndexKind::Ivf => &[32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1 << 20],
        IndexKind::Hnsw => &[16, 32, 48, 64, 96, 128, 192, 256, 512],
    };
    for &ef in efforts {
        for candidates in [20, 30] {
            let mut found = 0;
            for (at, truth) in truth.iter().enumerate() {
                let hits = &answer(at, &asked[at..=at], ef, candidates)[0];
                found += truth.iter().filter(|row| hits.contains(row)).count();
            }
            let batch = (0..ROUNDS)
                .map(|_| {
                    let start = spent_ns();
                    for (at, some) in asked.chunks(BATCH).enumerate() {
                        std::hint::black_box(answer(at * BATCH, some, ef, candidates));
                    }
                    (spent_ns() - start) / 1e3 / asked.len() as f64
                })
                .fold(f64::INFINITY, f64::min);
            let mut single: Vec<f64> = (0..asked.len())
                .map(|at| {
                    let start = Instant::now();
                    std::hint::black_box(answer(at, &asked[at..=at], ef, candidates));
                    start.elapsed().as_secs_f64() * 1e6
                })
                .collect();
            single.sort_by(f64::total_cmp);
            println!(
                "ef {ef:7} of {candidates:2}: recall {:.4}, {:7.0} QPS in a batch ({batch:5.1} us), p50 {:5.1} us, p99 {:5.1} us",
                found as f64 / (K * asked.len()) as f64,
                1e6 / batch,
                single[single.len() / 2],
                single[single.len() * 99 / 100]
            );
        }
    }
}
