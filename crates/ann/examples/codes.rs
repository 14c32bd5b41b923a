//! How fast codes are searched, on one thread, and what the estimate of tails loses.
//!
//! `cargo run --release -p codegraph-vector-ann --example codes -- BASE.npy QUERIES.npy K SPEC...`
//!
//! The files hold float16, row after row. Each codec is trained on every fourth row and codes all of them. Prints, for each metric, the
//! microseconds of the processor that a query takes by itself and in a batch, the least of five rounds, and the share of the `K` best by the
//! scores of all codes that the scan finds; for the best kernels, and for the others under cosine.
// A benchmark takes the time itself, and reads its input.
#![allow(clippy::disallowed_methods)]

use codegraph_vector_ann::codec::{CodeScan, CodecSpec, CodedRows, Input, PackedCodes, TrainControl, train};
use codegraph_vector_ann::{LookUps, Metric, Rows, TopK, norm};
use std::hint::black_box;

mod npy;
use npy::{read, spent_ns};

const ROUNDS: usize = 5;
const BATCH: usize = 128;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, queries, k, specs @ ..] = &arguments[..] else {
        eprintln!("usage: codes BASE.npy QUERIES.npy K SPEC...");
        std::process::exit(2);
    };
    let (base, dim) = read(base);
    let (queries, _) = read(queries);
    let k = k.parse().expect("K is a number");
    for spec in specs {
        measure(&spec.parse().expect("a codec"), dim, &base, &queries, k);
    }
}

fn measure(spec: &CodecSpec, dim: usize, base: &[f32], queries: &[f32], k: usize) {
    let rows = base.len() / dim;
    let norms: Vec<f32> = base.chunks(dim).map(norm).collect();
    let mut vectors = base.to_vec();
    if spec.input() == Input::Direction {
        for (vector, norm) in vectors.chunks_mut(dim).zip(&norms) {
            vector.iter_mut().for_each(|x| *x /= norm);
        }
    }
    let sample: Vec<f32> = vectors.chunks(dim).step_by(4).flatten().copied().collect();
    let codec = train(spec, dim, &sample, &TrainControl::QUIET).expect("trained");
    let mut codes = vec![0; rows * codec.bytes_per_vector()];
    codec.encode(&vectors, &mut codes);
    let packed = codec.layout().pack(&codes);
    // At a multiple of 64, as in a segment.
    let mut room = vec![0; packed.len() + 64];
    let start = room.as_ptr().align_offset(64);
    room[start..start + packed.len()].copy_from_slice(&packed);
    let codes =
        PackedCodes::new(codec.layout(), rows, &room[start..start + packed.len()]).expect("as packed");
    let coded = CodedRows { codes, norms: &norms };
    println!("{spec}: {rows} rows, {:?}, best {k}", codec.layout());
    for (kernels, metrics) in
        LookUps::all_available().into_iter().zip([&Metric::ALL[..], &Metric::ALL[..1], &[]])
    {
        for &metric in metrics {
            let scan = |query| CodeScan::with_kernels(metric, query, &*codec, kernels);
            let ready: Vec<CodeScan<'_>> = queries.chunks(dim).map(scan).collect();
            let alone = cost(ready.len(), || {
                for scan in &ready {
                    black_box(found(scan, coded, k));
                }
            });
            let batch = cost(ready.len(), || {
                for scans in ready.chunks(BATCH) {
                    let mut tops: Vec<TopK<u32>> = scans.iter().map(|_| TopK::new(k)).collect();
                    CodeScan::scan_batch(scans, coded, |_, row| Some(row), &mut tops);
                    black_box(tops);
                }
            });
            let made =
                cost(ready.len(), || drop(black_box(queries.chunks(dim).map(scan).collect::<Vec<_>>())));
            let (mut wanted, mut got) = (0, 0);
            for scan in ready.iter().step_by(8) {
                let mut top = TopK::new(k);
                for row in 0..rows as u32 {
                    top.push(scan.score(coded, row), row);
                }
                let hits = found(scan, coded, k);
                wanted += k;
                got += top.into_sorted().iter().filter(|hit| hits.contains(&hit.key)).count();
            }
            println!(
                "  {:10} {metric:9}: {alone:6.1} us alone, {batch:6.1} in a batch, {made:5.1} to prepare; {:.5} found",
                kernels.name(),
                got as f64 / wanted as f64
            );
        }
    }
}

fn found(scan: &CodeScan<'_>, coded: CodedRows<'_>, k: usize) -> Vec<u32> {
    let mut top = TopK::new(k);
    scan.scan(coded, Rows::All, Some, &mut top);
    top.into_sorted().iter().map(|hit| hit.key).collect()
}

/// Microseconds of the processor a query.
fn cost(queries: usize, mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let start = spent_ns();
        work();
        (spent_ns() - start) / 1e3 / queries as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
