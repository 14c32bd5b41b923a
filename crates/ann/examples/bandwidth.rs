//! How close the exact scan comes to the pace of memory, on one thread.
//!
//! `cargo run --release -p codegraph-vector-ann --example bandwidth -- ROWS DIM`
//!
//! In each of five rounds, one after the other over the same bytes: a plain read of every
//! byte by a loop of the compiler's ("plain") and by each instruction set, then the exact scan, top 10, under each metric.
//! Prints the medians in GB/s (10^9 bytes) and their ratio to the best plain read.
// A benchmark takes the time itself.
#![allow(clippy::disallowed_methods)]

use codegraph_vector_ann::{ExactScan, Kernels, Metric, RowBlock, Rows, TopK, norm};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 5;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let (Some(Ok(count)), Some(Ok(dim))) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: bandwidth ROWS DIM");
        std::process::exit(2);
    };
    let mut state = 1_u64;
    let rows: Vec<f32> = (0..count * dim).map(|_| uniform(&mut state)).collect();
    let norms: Vec<f32> = rows.chunks(dim).map(norm).collect();
    let queries: Vec<Vec<f32>> =
        (0..ROUNDS).map(|_| (0..dim).map(|_| uniform(&mut state)).collect()).collect();
    let block = RowBlock { rows: &rows, norms: &norms };

    let repeats = ((1 << 29) / size_of_val(&rows[..])).max(1);
    let gigabytes = (size_of_val(&rows[..]) * repeats) as f64 / 1e9;
    let all_kernels = Kernels::all_available();
    let mut reads = vec![Vec::new(); 1 + all_kernels.len()];
    let mut scans = vec![Vec::new(); Metric::ALL.len()];
    let pace = |work: &dyn Fn() -> u32| {
        let start = Instant::now();
        for _ in 0..repeats {
            black_box(work());
        }
        gigabytes / start.elapsed().as_secs_f64()
    };
    for query in &queries {
        reads[0].push(pace(&|| plain_read(black_box(&rows))));
        for (kernels, reads) in all_kernels.iter().zip(&mut reads[1..]) {
            reads.push(pace(&|| kernels.read(black_box(&rows))));
        }
        for (metric, scans) in Metric::ALL.into_iter().zip(&mut scans) {
            let scan = ExactScan::new(metric, query);
            scans.push(pace(&|| {
                let mut top = TopK::new(10);
                scan.scan_block(black_box(block), Rows::All, Some, &mut top);
                top.into_sorted().iter().fold(0, |keys, hit| keys ^ hit.key)
            }));
        }
    }

    println!("{count} rows x {dim}, {:.1} MB", size_of_val(&rows[..]) as f64 / 1e6);
    let reads: Vec<f64> = reads.into_iter().map(median).collect();
    let names = std::iter::once("plain").chain(all_kernels.iter().map(|kernels| kernels.name()));
    for (name, read) in names.zip(&reads) {
        println!("read {name:12} {read:7.2} GB/s");
    }
    let best = reads.iter().copied().fold(0.0, f64::max);
    for (metric, scan) in Metric::ALL.into_iter().zip(scans) {
        let scan = median(scan);
        let ms = gigabytes / repeats as f64 / scan * 1e3;
        let ratio = scan / best;
        println!("scan {metric:12} {scan:7.2} GB/s  {ms:8.3} ms/query  {ratio:.3} of read");
    }
}

fn plain_read(rows: &[f32]) -> u32 {
    rows.iter().fold(0, |sum, x| x.to_bits().wrapping_add(sum))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Uniform in -1 .. 1 (xorshift, Marsaglia 2003).
fn uniform(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
}
